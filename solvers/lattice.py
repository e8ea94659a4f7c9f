"""Lattice search for pure equilibria with stuck entrants and cost plateaus (DESIGN section 2, T2).

T2: if a pure equilibrium exists, one exists in which every effort is the right end of a stretch of constant cost, or
sits exactly at the score of an entrant that is stuck at such an end and loses the tie (strict tie order), or at an
effort cap or the left end of a flat stretch of the curve (split ties). That is a finite lattice; each profile on it is
checked against continuous deviations.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from followers.arrays import BoolArray, FloatArray, IntArray, above
from followers.game import LeaderboardGame, TieRule
from solvers.certificate import Candidate, Deviation, Refutations
from solvers.deviations import deviation_costs, rounding_cost
from solvers.kernels import first_refuted, profile_margin

__all__ = ["Lattice", "SearchOutcome", "build_lattice", "may_hold_effort", "profile_deviations", "search"]


def may_hold_effort(game: LeaderboardGame) -> BoolArray:
    """Games (B,) in which T1 does not settle the matter: somebody might hold costly effort, or effort on a plateau."""
    free, plateau = game.free_effort(), game.plateau_effort()
    if game.ties is TieRule.QUALITY:
        stuck = (game.effort_cap <= free) | game.flat_beyond(free) | (game.cost.entry_jump() > 0)
        return np.asarray((stuck | np.isfinite(plateau)).any(axis=1))
    span = game.prize_span[:, None]
    at_cap = np.isfinite(game.effort_cap) & (game.cost.cost(game.effort_cap) <= span)
    held = np.nan_to_num(game.flat_stretches()[0], nan=-np.inf)
    at_flat = ((held > 0) & (game.cost.cost(np.maximum(held, 0.0)) <= span)).any(axis=0)
    stuck = (game.effort_cap <= free) | game.flat_beyond(free) | (game.cost.entry_jump() > 0)
    return np.asarray((at_cap | at_flat | np.isfinite(plateau) | stuck).any(axis=1))


@dataclass(frozen=True, slots=True)
class Lattice:
    """Candidate efforts of one game, with the cost of reaching and exceeding every score that matters.

    score, tail : (m,) distinct levels, ascending. reach, exceed : (m, n) costs, inf where impossible.
    effort, level, paid : per developer, arrays over its candidates. beats : (n, n), who wins a tie. lost : prize units
    by which rounding may shift any cost that matters.
    """

    score: FloatArray
    tail: FloatArray
    reach: FloatArray
    exceed: FloatArray
    effort: tuple[FloatArray, ...]
    level: tuple[IntArray, ...]
    paid: tuple[FloatArray, ...]
    beats: BoolArray
    prizes: FloatArray
    split: bool
    lost: float

    def candidate(self, developer: int, k: int) -> Candidate:
        """Candidate k of a developer, as data."""
        level = self.level[developer][k]
        return Candidate(
            effort=float(self.effort[developer][k]),
            score=float(self.score[level]),
            tail=float(self.tail[level]),
            cost=float(self.paid[developer][k]),
        )


def build_lattice(game: LeaderboardGame, *, corners: bool = False) -> Lattice:
    """The T2 lattice of a single game (B = 1); with `corners`, zero effort is a candidate too."""
    if game.batch != 1:
        raise ValueError(f"lattice: {game.batch} games; it is built for one at a time")
    n = game.n
    free, plateau = game.free_effort()[0], game.plateau_effort()[0]
    anchors = [free] + ([plateau] if np.isfinite(plateau).any() else [])
    held: list[set[tuple[float, float, float]]] = [set() for _ in range(n)]  # (effort, score, tail)
    for efforts in anchors:
        score, tail = (x[0] for x in game.scores(np.nan_to_num(efforts)[None]))
        for i in range(n):
            if np.isfinite(efforts[i]):
                held[i].add((float(efforts[i]), float(score[i]), float(tail[i])))
    if corners:
        score, tail = (x[0] for x in game.scores(np.zeros((1, n))))
        for i in range(n):
            held[i].add((0.0, float(score[i]), float(tail[i])))
    span = float(game.prize_span[0])
    order = game.tie_order[0]
    found = _capped_or_flat(game) if game.ties is TieRule.SPLIT else _at_stuck_rivals(game, anchors)
    for i, effort, level, level_tail in found:
        costly = game.cost.cost(np.full(n, effort))[..., i] if effort > 0 else 0.0
        on_plateau = bool(np.isfinite(plateau[i]) and effort <= plateau[i])
        if effort > free[i] and not on_plateau and float(np.ravel(costly)[0]) <= span:
            held[i].add((effort, level, level_tail))
    levels = sorted({(s, t) for options in held for _, s, t in options})
    index = {level: k for k, level in enumerate(levels)}
    score, tail = np.array([s for s, _ in levels]), np.array([t for _, t in levels])
    reach, exceed = deviation_costs(game, score[:, None, None], tail[:, None, None])
    paid_at = {i: sorted(options) for i, options in enumerate(held)}
    width = max(len(options) for options in held)
    efforts = np.zeros((width, n))
    for i, options in paid_at.items():
        efforts[: len(options), i] = [e for e, _, _ in options]
    costs = np.broadcast_to(game.cost.cost(efforts[:, None, :]), (width, 1, n))[:, 0, :]
    costs = np.where(efforts <= free, 0.0, costs)
    return Lattice(
        score=score,
        tail=tail,
        reach=np.ascontiguousarray(reach[:, 0, :]),
        exceed=np.ascontiguousarray(exceed[:, 0, :]),
        effort=tuple(efforts[: len(o), i].copy() for i, o in paid_at.items()),
        level=tuple(np.array([index[s, t] for _, s, t in o]) for o in paid_at.values()),
        paid=tuple(costs[: len(o), i].copy() for i, o in paid_at.items()),
        beats=order[:, None] < order[None, :],
        prizes=game.prizes[0],
        split=game.ties is TieRule.SPLIT,
        lost=_lost(game, score[:, None, None], tail[:, None, None], np.maximum(reach, exceed)),
    )


def _lost(game: LeaderboardGame, score: FloatArray, tail: FloatArray, cost: FloatArray) -> float:
    """Most that rounding shifts the cost of a deviation that could pay at all."""
    shift = np.maximum(rounding_cost(game, game.reach(score, tail)), rounding_cost(game, game.exceed(score, tail)))
    span = game.prize_span[:, None]
    return float(np.max(np.where((cost <= 2.0 * span) & (span > 0), shift, 0.0)))


def _at_stuck_rivals(game: LeaderboardGame, anchors: list[FloatArray]) -> list[tuple[int, float, float, float]]:
    """(developer, effort, score, tail) that ties a stuck entrant whom the developer beats in the tie order."""
    found = []
    order = game.tie_order[0]
    for efforts in anchors:
        at = np.nan_to_num(efforts)[None]
        jumps = (at <= 0) & (np.broadcast_to(game.cost.entry_jump(), at.shape) > 0)
        stuck = ((game.effort_cap <= at) | game.flat_beyond(at) | jumps)[0] & np.isfinite(efforts)
        score, tail = (x[0] for x in game.scores(at))
        rivals = np.flatnonzero(stuck)
        if not len(rivals):
            continue
        reach = game.reach(score[rivals, None, None], tail[rivals, None, None])[:, 0, :]
        for row, k in enumerate(rivals):
            for i in np.flatnonzero((order < order[k]) & np.isfinite(reach[row])):
                found.append((int(i), float(reach[row, i]), float(score[k]), float(tail[k])))
    return found


def _capped_or_flat(game: LeaderboardGame) -> list[tuple[int, float, float, float]]:
    """(developer, effort, score, tail) at an effort cap or at the left end of a flat stretch."""
    found = []
    for row in [*game.flat_stretches()[0][:, 0, :], game.effort_cap[0]]:
        usable = np.isfinite(row) & (row > 0) & (row <= game.effort_cap[0])
        score, tail = (x[0] for x in game.scores(np.where(usable, row, 0.0)[None]))
        for i in np.flatnonzero(usable):
            found.append((int(i), float(row[i]), float(score[i]), float(tail[i])))
    return found


@dataclass(frozen=True, slots=True)
class SearchOutcome:
    """Equilibria found (one candidate index per developer), nodes visited, whether the search was exhausted."""

    profiles: tuple[tuple[int, ...], ...]
    nodes: int
    exhausted: bool
    refutations: Refutations | None


def search(lattice: Lattice, *, tol: float, node_budget: int, find_all: bool = False) -> SearchOutcome:
    """Depth-first search with pruning: a branch is cut when somebody assigned gains in every completion.

    Stops at the first equilibrium unless `find_all`. The tree that was visited is the proof of absence.
    """
    n = len(lattice.effort)
    highest_of = np.array([int(levels.max()) for levels in lattice.level])
    order = sorted(range(n), key=lambda i: (len(lattice.level[i]), i))
    levels, highest = np.full(n, -1), highest_of.copy()
    paid = np.zeros(n)
    profile = np.zeros(n, dtype=np.int64)
    profiles: list[tuple[int, ...]] = []
    tree: list[int] = []
    stack = [(0, 0)]  # (depth, candidate to try); depth d assigns order[d]
    nodes, exhausted = 0, True
    tree.append(-1)
    while stack:
        depth, k = stack.pop()
        i = order[depth]
        for later in order[depth:]:
            levels[later], highest[later], paid[later] = -1, highest_of[later], 0.0
        if k == len(lattice.level[i]):
            continue
        if nodes >= node_budget:
            exhausted = False
            break
        nodes += 1
        stack.append((depth, k + 1))
        profile[i] = k
        levels[i] = highest[i] = lattice.level[i][k]
        paid[i] = lattice.paid[i][k]
        loser = int(
            first_refuted(
                levels,
                highest,
                paid,
                lattice.reach,
                lattice.exceed,
                lattice.beats,
                lattice.prizes,
                lattice.split,
                tol,
            )
        )
        tree.append(loser)
        if loser >= 0:
            continue
        if depth + 1 == n:
            profiles.append(tuple(int(x) for x in profile))
            if not find_all:
                exhausted = False
                break
        else:
            stack.append((depth + 1, 0))
    refutations = None
    if exhausted and not profiles:
        candidates = tuple(tuple(lattice.candidate(i, k) for k in range(len(lattice.level[i]))) for i in range(n))
        refutations = Refutations(order=tuple(order), candidates=candidates, tree=tuple(tree))
    return SearchOutcome(tuple(profiles), nodes, exhausted, refutations)


def profile_deviations(
    game: LeaderboardGame, efforts: FloatArray, score: FloatArray, tail: FloatArray, paid: FloatArray
) -> tuple[FloatArray, tuple[Deviation | None, ...]]:
    """Margins (n,) and best deviations at one profile of a single game; None where nobody can gain a prize.

    `score`, `tail` are the exact scores the efforts stand for; inf margin where no deviation gains a prize or saves
    a cost.
    """
    n = game.n
    free = tuple(x[0] for x in game.scores(game.free_effort()))
    levels = sorted({*zip(score.tolist(), tail.tolist(), strict=True), *zip(*(x.tolist() for x in free), strict=True)})
    index = {level: k for k, level in enumerate(levels)}
    own = np.array([index[pair] for pair in zip(score.tolist(), tail.tolist(), strict=True)])
    at, at_tail = np.array([s for s, _ in levels]), np.array([t for _, t in levels])
    reach, exceed = (
        np.ascontiguousarray(x[:, 0, :]) for x in deviation_costs(game, at[:, None, None], at_tail[:, None, None])
    )
    order = game.tie_order[0]
    beats = order[:, None] < order[None, :]
    split = game.ties is TieRule.SPLIT
    out = np.empty((5, n))
    floor = 1e-12 * float(game.prize_span[0])
    profile_margin(own, paid, reach, exceed, beats, game.prizes[0], split, floor, out)
    needs = [game.reach(at[:, None, None], at_tail[:, None, None])[:, 0, :]]
    needs.append(game.exceed(at[:, None, None], at_tail[:, None, None])[:, 0, :])
    deviations: list[Deviation | None] = []
    for i in range(n):
        if not np.isfinite(out[0, i]):
            deviations.append(None)
            continue
        m, mode = int(out[1, i]), int(out[2, i])
        passed = above(at[m], at_tail[m], score, tail) | ((own == m) & ((mode == 1) | split | beats[i]))
        holders = np.flatnonzero(own == m)
        deviations.append(
            Deviation(
                developer=i,
                target=int(holders[0]) if len(holders) else i,
                rank=1 + int(np.sum(~passed & (np.arange(n) != i))),
                effort=float(needs[mode][m, i]),
                attained=mode == 0,
                prize_gain=float(out[3, i]),
                extra_cost=float(out[4, i]),
            )
        )
    return out[0], tuple(deviations)
