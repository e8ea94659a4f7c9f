"""All pure equilibria of the rounded game, by elimination and backtracking (DESIGN section 3, precision).

In an equilibrium nobody holds a level that another of its own beats against everything the rivals may still hold. So
levels are struck out until none is beaten any more; then one developer holds the highest level it has left or does
not, and the striking goes on within each branch. What is never struck out and leaves everybody one level is an
equilibrium; the list of strikes is a proof that there is no other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from followers.arrays import FloatArray
from followers.game import LeaderboardGame
from solvers.certificate import Status
from solvers.claims import GridAction, RoundedCertificate
from solvers.finite import profile_payoffs
from solvers.ladder import Ladder, grid_ladder, prize_unit
from solvers.levels import LevelGame
from solvers.rounded_kernels import search_levels
from solvers.threads import plain

__all__ = ["ROUNDING", "RoundedEquilibria", "Step", "pure_equilibria", "solve_rounded"]

ROUNDING = 1e-12

Step = tuple[int, int, int]
"""(developer, level, better level): struck out. (developer, -1, level): two branches, in which it holds this level or
one above, and one below. (-1, -1, -1): nothing is left to try here. (-2, -1, -1): an equilibrium."""


@dataclass(frozen=True, slots=True)
class RoundedEquilibria:
    """Pure equilibria of a single rounded game.

    Attributes
    ----------
    game : the game, B = 1. ladder : its grid levels, with the cheapest effort to each.
    status : EXISTS, ABSENT, or UNKNOWN beyond the node budget.
    profiles : every equilibrium found, as levels (positions on the ladder), in lexicographic order; all there are
        unless UNKNOWN.
    steps : the proof, in preorder; see `Step`.
    nodes : branches visited.
    complete : whether the search came to its end.
    tolerance : a deviation that gains less is none: what rounding may do to a payoff, prize units.
    """

    game: LeaderboardGame
    ladder: Ladder
    status: Status
    profiles: tuple[tuple[int, ...], ...]
    steps: tuple[Step, ...]
    nodes: int
    complete: bool
    tolerance: float

    def efforts(self, k: int = 0) -> FloatArray:
        """Efforts (n,) of equilibrium k: the cheapest to its levels, steps."""
        return self.ladder.effort[list(self.profiles[k]), np.arange(self.game.n)]

    def cheapest(self) -> int:
        """The equilibrium whose efforts cost least in all; the first of several that cost the same but for rounding."""
        least, best = np.inf, 0
        slack = self.tolerance / prize_unit(self.game)
        for k, profile in enumerate(self.profiles):
            cost = float(self.ladder.level.cost[list(profile), np.arange(self.game.n)].sum())
            if cost < least - slack:
                least, best = cost, k
        return best

    def cheapest_levels(self) -> tuple[int, ...]:
        """The profile in which everybody holds its lowest level."""
        return tuple(np.argmax(self.ladder.level.open, axis=0).tolist())

    def gains(self, profile: tuple[int, ...]) -> FloatArray:
        """What each developer gains by its best other level (n,), negative where it loses; prize units."""
        held, level = np.array(profile), self.ladder.level
        result = np.full(self.game.n, -np.inf)
        payoffs = profile_payoffs(level, held)
        for i in range(self.game.n):
            others = np.flatnonzero(level.open[:, i] & (np.arange(len(level.open)) != profile[i]))
            tried = np.repeat(held[None], len(others), axis=0)
            tried[:, i] = others
            if len(others):
                result[i] = (profile_payoffs(level, tried)[:, i] - payoffs[i]).max()
        return result * prize_unit(self.game)

    def certificate(self) -> RoundedCertificate:
        """What a sceptic needs besides the game."""
        level, span = self.ladder.level, prize_unit(self.game)
        actions = tuple(
            tuple(
                GridAction(
                    int(k), float(self.ladder.score[k]), float(self.ladder.effort[k, i]), float(level.cost[k, i]) * span
                )
                for k in np.flatnonzero(level.open[:, i])
            )
            for i in range(self.game.n)
        )
        theorem = {
            Status.EXISTS: "every developer's every grid level is priced",
            Status.ABSENT: "every profile is struck out: somebody has a better level whatever the rest may hold",
            Status.UNKNOWN: "the node budget ran out",
        }[self.status]
        return RoundedCertificate(
            self.status, theorem, actions, self.profiles, self.steps, self.complete, self.tolerance
        )

    def method(self) -> str:
        """How the game was decided, in words."""
        return f"rounded: elimination and backtracking, {self.nodes} node(s)"


def solve_rounded(game: LeaderboardGame, *, node_budget: int = 100_000) -> RoundedEquilibria:
    """All pure equilibria of a single game whose scores are rounded down to a grid.

    Parameters
    ----------
    game : B = 1, precision > 0, no noise; audits and any tie rule.
    node_budget : branches to visit before the answer is UNKNOWN. Once an equilibrium is found, others are looked for in
        as many branches again, at least a quarter of the budget; `complete` says whether those are all.

    Raises
    ------
    ValueError : more than one game, noise, or exact scores.
    """
    if game.batch != 1:
        raise ValueError(f"rounded: {game.batch} games; one at a time")
    if game.noise is not None or game.precision == 0:
        raise ValueError("rounded: the game needs a precision above 0 and no noise")
    ladder = grid_ladder(game)
    span = prize_unit(game)
    scale = max(1.0, float(np.abs(ladder.level.prizes).max()))
    found, steps, nodes, done = pure_equilibria(ladder.level, node_budget=node_budget)
    status = Status.EXISTS if found else Status.ABSENT if done else Status.UNKNOWN
    return RoundedEquilibria(game, ladder, status, found, steps, nodes, done, ROUNDING * scale * span)


def pure_equilibria(
    game: LevelGame, *, node_budget: int = 100_000
) -> tuple[tuple[tuple[int, ...], ...], tuple[Step, ...], int, bool]:
    """All pure equilibria of a finite game, the proof, nodes visited, and whether the search was completed."""
    tolerance = ROUNDING * max(1.0, float(np.abs(game.prizes).max()))
    floats = (game.cost.T, game.flagged.T, game.prizes, game.penalty)
    cost, flagged, prizes, penalty = (plain(np.asarray(x, dtype=np.float64)) for x in floats)
    is_open, order = plain(game.open.T), plain(np.asarray(game.order, dtype=np.int64))
    _, _, nodes, done, profiles, steps = search_levels(
        is_open, cost, flagged, prizes, penalty, game.split, order, tolerance, node_budget, True
    )
    assert not any(_somebody_gains(game, p, tolerance) for p in profiles)  # with everybody fixed the bounds are exact
    found = tuple(sorted(tuple(p) for p in profiles.tolist()))
    return found, tuple((i, a, b) for i, a, b in steps.tolist()), int(nodes), bool(done)


def _somebody_gains(game: LevelGame, profile: Any, tolerance: float) -> bool:
    """Brute force at a single profile."""
    held = profile_payoffs(game, profile)
    for i in range(game.n):
        options = np.flatnonzero(game.open[:, i])
        tried = np.repeat(profile[None], len(options), axis=0)
        tried[:, i] = options
        if np.any(profile_payoffs(game, tried)[:, i] > held[i] + tolerance):
            return True
    return False
