"""Pure equilibria of the deterministic leaderboard game (DESIGN section 2): T1 for whole batches, T2 where needed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from followers.arrays import BoolArray, FloatArray, IntArray
from followers.game import LeaderboardGame, select
from solvers.certificate import Certificate, Move, Refutations, Status
from solvers.cycle import overtaking_cycle
from solvers.deviations import check_free_effort
from solvers.lattice import Lattice, build_lattice, may_hold_effort, profile_deviations, search

__all__ = ["Profile", "PureEquilibrium", "solve_pure"]

TOLERANCE = 1e-9
"""A deviation that gains less than this share of R_1 - R_n is none: it is what inverting a curve may round."""

_CODES = (Status.EXISTS, Status.ABSENT, Status.UNKNOWN)
_NO_CYCLE = (
    "no race was found that returns to its start (a best response need not be attained: one can always pass a rival "
    "with a little less); the proof does not need one"
)
_THEOREM_T1 = "T1: nobody is stuck, so a pure equilibrium exists iff the free-effort profile is one"
_THEOREM_T2 = "T2: a pure equilibrium, if any, lies on the lattice of candidate efforts; every branch is refuted"


@dataclass(frozen=True, slots=True)
class Profile:
    """One profile of a single game: efforts (n,) in steps, and the exact scores (two floats) they stand for."""

    efforts: FloatArray
    score: FloatArray
    tail: FloatArray
    paid: FloatArray


@dataclass(frozen=True, slots=True)
class PureEquilibrium:
    """What is known about the pure equilibria of a batch of B games.

    Attributes
    ----------
    game : the batch that was solved.
    codes : (B,), index into (EXISTS, ABSENT, UNKNOWN); see `status`.
    profiles : the equilibrium found where it is not the free-effort profile, by game; more than one with `find_all`.
    margin : (B,), prize units: what the most tempted developer still loses by deviating, from the equilibrium where
        one exists, from the free-effort profile otherwise (then negative); inf where no deviation gains a prize.
    developer_margin : (B, n), the same per developer at the free-effort profile.
    ranks : (B, n), rank at the free-effort profile, 0 is first.
    unique : (B,), 1 unique, 0 not unique, -1 not known (or nothing to be unique).
    nodes : (B,), lattice nodes visited; 0 where T1 decides.
    tolerance : (B,), prize units.
    """

    game: LeaderboardGame
    codes: IntArray
    profiles: dict[int, tuple[Profile, ...]]
    margin: FloatArray
    developer_margin: FloatArray
    ranks: IntArray
    unique: IntArray
    nodes: IntArray
    tolerance: FloatArray
    refutations: dict[int, Refutations]
    notes: dict[int, tuple[str, ...]]

    def status(self, b: int = 0) -> Status:
        """Status of game b."""
        return _CODES[int(self.codes[b])]

    @property
    def exists(self) -> BoolArray:
        """(B,), whether a pure equilibrium is known to exist."""
        return np.asarray(self.codes == 0)

    @property
    def absent(self) -> BoolArray:
        """(B,), whether it is proved that there is none."""
        return np.asarray(self.codes == 1)

    @property
    def efforts(self) -> FloatArray:
        """(B, n), equilibrium efforts in steps; NaN where none is known."""
        efforts = np.where(self.exists[:, None], self.game.free_effort(), np.nan)
        for b, profiles in self.profiles.items():
            efforts[b] = profiles[0].efforts
        return efforts

    @property
    def paid(self) -> FloatArray:
        """(B, n), cost of the equilibrium efforts in prize units; NaN where none is known."""
        paid = np.where(self.exists[:, None], np.zeros(self.game.head_start.shape), np.nan)
        for b, profiles in self.profiles.items():
            paid[b] = profiles[0].paid
        return paid

    def scores(self) -> tuple[FloatArray, FloatArray]:
        """(B, n) twice: exact scores (two floats) at the equilibrium, or at the free-effort profile without one."""
        score, tail = (x.copy() for x in self.game.scores(self.game.free_effort()))
        for b, profiles in self.profiles.items():
            score[b], tail[b] = profiles[0].score, profiles[0].tail
        return score, tail

    def method(self, b: int = 0) -> str:
        """How game b was decided, in words."""
        if self.nodes[b]:
            return f"lattice search (T2), {int(self.nodes[b])} nodes"
        return "free-effort profile (T1)"

    def all_profiles(self, b: int = 0) -> tuple[Profile, ...]:
        """Every equilibrium of game b that was found."""
        if not self.exists[b]:
            return ()
        return self.profiles.get(b) or (free_profile(select(self.game, [b])),)

    def certificate(self, b: int = 0) -> Certificate:
        """Certificate of game b; see `solvers.checker.check`."""
        game = select(self.game, [b])
        status = self.status(b)
        profile = self.all_profiles(b)[0] if status is Status.EXISTS else free_profile(game)
        margins, found = profile_deviations(game, profile.efforts, profile.score, profile.tail, profile.paid)
        deviations = tuple(d for d in found if d is not None)
        tol = float(self.tolerance[b])
        start: tuple[float, ...] = ()
        cycle: tuple[Move, ...] = ()
        notes = self.notes.get(b, ())
        if status is not Status.EXISTS and deviations:
            worst = max(deviations, key=lambda d: d.gain)
            if worst.gain > tol:
                start, cycle = overtaking_cycle(game, worst.developer, tol)
            if status is Status.ABSENT:
                deviations = (worst,)
                if not cycle:
                    notes += (_NO_CYCLE,)
        theorem = {
            Status.EXISTS: "checked against every continuous deviation",
            Status.ABSENT: _THEOREM_T2 if b in self.refutations else _THEOREM_T1,
            Status.UNKNOWN: "none: see the notes",
        }[status]
        return Certificate(
            status=status,
            theorem=theorem,
            efforts=tuple(profile.efforts.tolist()),
            scores=tuple(profile.score.tolist()),
            tails=tuple(profile.tail.tolist()),
            deviations=deviations,
            margin=float(margins.min()),
            tolerance=tol,
            refutations=self.refutations.get(b),
            cycle=cycle,
            cycle_start=start,
            notes=notes,
        )


def free_profile(game: LeaderboardGame) -> Profile:
    """The profile z of a single game (B = 1): everybody at the end of its free effort."""
    efforts = game.free_effort()
    score, tail = game.scores(efforts)
    return Profile(efforts[0].copy(), score[0], tail[0], np.zeros(game.n))


def solve_pure(
    game: LeaderboardGame, *, node_budget: int = 100_000, find_all: bool = False, compiled: bool = True
) -> PureEquilibrium:
    """Pure equilibria of the deterministic leaderboard game.

    Parameters
    ----------
    game : LeaderboardGame
        Batch of B games with n developers each.
    node_budget : int
        Lattice nodes to visit per game where entrants may hold effort (T2); beyond it the answer is UNKNOWN.
    find_all : bool
        List every pure equilibrium on the lattice, a continuum by its corners. Searches every game of the batch.
    compiled : bool
        Use the compiled check where it applies; False forces the general one (they agree, which is tested).

    Notes
    -----
    O(B n^2) where T1 decides. Curves need not satisfy C1-C3 of the paper. Deviations are continuous: no effort grid.
    A gain below 1e-9 (R_1 - R_n) is rounding. Where the sign of a margin hangs on the digits that inverting a curve
    loses at very large head starts, the answer is UNKNOWN.

    References
    ----------
    Chen, Zhang, Hardt (2026), arXiv 2603.08371, Theorem 4.6; DESIGN.md section 2, T1 and T2; Che & Gale (1998),
    American Economic Review 88(3), for caps with split ties.
    """
    checked = check_free_effort(game, compiled=compiled)
    margins, ranks = checked.margins, checked.ranks
    tolerance = TOLERANCE * game.prize_span
    margin = margins.min(axis=1)
    at_free = margin >= -tolerance
    holding = may_hold_effort(game)
    still = (game.free_effort() == 0).all(axis=1) & ~holding
    codes = np.where(at_free, 0, 1)
    unique = np.where(at_free & still, 1, -1)
    nodes = np.zeros(game.batch, dtype=np.int64)
    profiles: dict[int, tuple[Profile, ...]] = {}
    refutations: dict[int, Refutations] = {}
    notes: dict[int, tuple[str, ...]] = {}
    unsure = ~((checked.lowest >= -tolerance) | (checked.highest < -tolerance))
    for b in np.flatnonzero(unsure).tolist():
        codes[b], unique[b] = 2, -1
        notes[b] = (
            f"the margin lies between {checked.lowest[b]:.3g} and {checked.highest[b]:.3g}: double precision "
            "loses the rest at these head starts",
        )
    for b in _unresolved(game).tolist():
        codes[b], unique[b] = 2, -1
        notes[b] = ("a score lies so near its ceiling that double precision cannot tell it from the ceiling",)
    to_search = (codes != 2) & (np.ones(game.batch, dtype=np.bool_) if find_all else holding & ~at_free)
    for b in np.flatnonzero(to_search).tolist():
        single = select(game, [b])
        corners = find_all and not still[b]
        lattice = build_lattice(single, corners=corners)
        # costs are known to +- lost: refute only what gains beyond doubt, accept only what holds beyond doubt
        tol = float(tolerance[b])
        doubt = 2.0 * lattice.lost if lattice.lost > 0.1 * tol else 0.0
        outcome = search(lattice, tol=tol + doubt, node_budget=node_budget, find_all=find_all or doubt > 0)
        possible = tuple(_profile(lattice, choice) for choice in outcome.profiles)
        found = tuple(p for p in possible if _margin(single, p) >= doubt - tol) if doubt else possible
        if holding[b] or corners:
            nodes[b] = outcome.nodes
        if found:
            codes[b], profiles[b] = 0, found
            margin[b] = _margin(single, found[0])
        elif at_free[b] or not holding[b]:
            pass  # the check of the free-effort profile has decided, and its bounds are sharper than the lattice's
        elif possible:
            codes[b], unique[b] = 2, -1
            notes[b] = (
                f"costs are known to {lattice.lost:.3g} only, and that decides: double precision loses the rest",
            )
        elif outcome.refutations is not None:
            codes[b], refutations[b] = 1, outcome.refutations
        else:
            codes[b] = 2
            notes[b] = (f"the budget of {node_budget} lattice nodes ran out before the search was complete",)
        if find_all:
            unique[b] = _uniqueness(len(found), outcome.exhausted, still=bool(still[b]), game=single)
            if not outcome.exhausted and codes[b] == 0:
                notes[b] = (f"the list may be incomplete: the budget of {node_budget} lattice nodes ran out",)
    if game.batch == 1 and not find_all and codes[0] == 0 and unique[0] == -1:
        unique[0] = _more_than_one(game, profiles.get(0, (free_profile(game),))[0], float(tolerance[0]))
        if unique[0] == -1 and holding[0]:
            unique[0] = _uniqueness_by_search(game, float(tolerance[0]), node_budget)
    return PureEquilibrium(game, codes, profiles, margin, margins, ranks, unique, nodes, tolerance, refutations, notes)


def _profile(lattice: Lattice, choice: tuple[int, ...]) -> Profile:
    level = np.array([lattice.level[i][k] for i, k in enumerate(choice)])
    return Profile(
        efforts=np.array([lattice.effort[i][k] for i, k in enumerate(choice)]),
        score=lattice.score[level],
        tail=lattice.tail[level],
        paid=np.array([lattice.paid[i][k] for i, k in enumerate(choice)]),
    )


def _margin(game: LeaderboardGame, profile: Profile) -> float:
    margins, _ = profile_deviations(game, profile.efforts, profile.score, profile.tail, profile.paid)
    return float(margins.min())


def _unresolved(game: LeaderboardGame) -> IntArray:
    """Games in which a score that still rises has been rounded to its ceiling: ties there may be false, (B',)."""
    ends = np.fmax(game.free_effort(), game.plateau_effort())
    if float(np.max(game.head_start + ends)) <= game.curve.resolved_until():
        return np.empty(0, dtype=np.int64)
    score, tail = game.scores(ends)
    lost = np.isinf(game.curve.effort_to_reach(score, tail)) & ~game.flat_beyond(ends)
    return np.flatnonzero(lost.any(axis=1) & (game.prize_span > 0))


def _uniqueness(found: int, exhausted: bool, *, still: bool, game: LeaderboardGame) -> int:
    """1 only where the lattice holds every equilibrium: no stretch of constant cost to move along."""
    if found > 1:
        return 0
    no_plateaus = bool((game.free_effort() == 0).all() and np.isnan(game.plateau_effort()).all())
    return 1 if found == 1 and exhausted and (still or no_plateaus) else -1


def _uniqueness_by_search(game: LeaderboardGame, tol: float, node_budget: int) -> int:
    """Go through the whole lattice of a single game, where costs are known well enough."""
    lattice = build_lattice(game)
    if lattice.lost > 0.1 * tol:
        return -1
    outcome = search(lattice, tol=tol, node_budget=node_budget, find_all=True)
    return _uniqueness(len(outcome.profiles), outcome.exhausted, still=False, game=game)


def _more_than_one(game: LeaderboardGame, profile: Profile, tol: float) -> int:
    """0 where a developer can move along a stretch of constant cost and the profile stays an equilibrium, else -1.

    Tried: each developer with free effort or a plateau, at half of it, slightly below it and (free effort) at none.
    """
    free, plateau = game.free_effort()[0], game.plateau_effort()[0]
    for i in range(game.n):
        at = profile.efforts[i]
        if at <= 0 or (at != free[i] and at != plateau[i]):
            continue
        for share in (1 - 1e-6, 0.5, 0.0):
            if share == 0.0 and at != free[i]:
                continue
            efforts = profile.efforts.copy()
            efforts[i] = share * at
            score, tail = (x[0].copy() for x in game.scores(efforts[None]))
            keep = np.arange(game.n) != i
            score[keep], tail[keep] = profile.score[keep], profile.tail[keep]
            if profile_deviations(game, efforts, score, tail, profile.paid)[0].min() >= -tol:
                return 0
    return -1
