"""All pure equilibria of the rounded game, by elimination and backtracking (DESIGN section 3, precision).

In an equilibrium nobody holds a level that another of its own beats against everything the rivals may still hold. So
levels are struck out until none is beaten any more; then one developer's levels are tried in turn, and the striking
goes on within each. What is never struck out and leaves everybody one level is an equilibrium; the list of strikes is a
proof that there is no other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba as nb
import numpy as np

from followers.arrays import BoolArray, FloatArray
from followers.game import LeaderboardGame
from solvers.certificate import Status
from solvers.claims import GridAction, RoundedCertificate
from solvers.finite import profile_payoffs
from solvers.ladder import Ladder, grid_ladder, prize_unit
from solvers.levels import LevelGame

__all__ = ["RoundedEquilibria", "Step", "pure_equilibria", "solve_rounded"]

_ROUNDING = 1e-12

Step = tuple[int, int, int]
"""(developer, level, better level): struck out. (developer, -1, -1): its levels are tried in turn from the bottom.
(-1, -1, -1): nothing is left to try here. (-2, -1, -1): an equilibrium."""


@dataclass(frozen=True, slots=True)
class RoundedEquilibria:
    """Pure equilibria of a single rounded game.

    Attributes
    ----------
    game : the game, B = 1. ladder : its grid levels, with the cheapest effort to each.
    status : EXISTS, ABSENT, or UNKNOWN beyond the node budget.
    profiles : every equilibrium found, as levels (positions on the ladder); all there are unless UNKNOWN.
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
        """The equilibrium whose efforts cost least in all; the first of several."""
        costs = [self.ladder.level.cost[list(p), np.arange(self.game.n)].sum() for p in self.profiles]
        return int(np.argmin(costs))

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
    node_budget : branches to visit before the answer is UNKNOWN.

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
    return RoundedEquilibria(game, ladder, status, found, steps, nodes, done, _ROUNDING * scale * span)


def pure_equilibria(
    game: LevelGame, *, node_budget: int = 100_000
) -> tuple[tuple[tuple[int, ...], ...], tuple[Step, ...], int, bool]:
    """All pure equilibria of a finite game, the proof, nodes visited, and whether the search was completed."""
    tolerance = _ROUNDING * max(1.0, float(np.abs(game.prizes).max()))
    found: list[tuple[int, ...]] = []
    steps: list[Step] = []
    stack: list[BoolArray | None] = [game.open.copy()]
    nodes = 0
    while stack:
        domain = stack.pop()
        assert domain is not None
        if nodes >= node_budget:
            return tuple(found), tuple(steps), nodes, False
        nodes += 1
        struck = _eliminate(
            domain,
            game.open,
            game.cost,
            game.flagged,
            game.prizes,
            game.penalty,
            game.split,
            game.order,
            tolerance,
        )
        steps += [(int(i), int(a), int(b)) for i, a, b in struck]
        left = domain.sum(axis=0)
        if np.any(left == 0):
            steps.append((-1, -1, -1))
        elif np.all(left == 1):
            profile = np.argmax(domain, axis=0)
            assert not _somebody_gains(game, profile, tolerance)  # with everybody fixed the bounds are exact
            found.append(tuple(profile.tolist()))
            steps.append((-2, -1, -1))
        else:
            i = int(np.argmin(np.where(left > 1, left, len(domain) + 1)))
            steps.append((i, -1, -1))
            for level in np.flatnonzero(domain[:, i])[::-1]:
                child = domain.copy()
                child[:, i] = False
                child[level, i] = True
                stack.append(child)
    return tuple(found), tuple(steps), nodes, True


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


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _eliminate(
    domain: Any,  # (E, n) in and out
    is_open: Any,
    cost: Any,
    flagged: Any,
    prizes: Any,
    penalty: Any,
    split: bool,
    order: Any,
    tolerance: float,
) -> Any:
    """Strike out levels a with lowest(b) - cost_b > highest(a) - cost_a + tolerance until none is left; (M, 3).

    highest and lowest: over the ranks that a level may lead to, given what rivals may still hold.
    """
    levels, n = domain.shape
    struck = np.empty((levels * n, 3), dtype=np.int64)
    count = 0
    high, low = np.empty(levels), np.empty(levels)
    top, bottom = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    for j in range(n):
        top[j], bottom[j] = -1, levels
        for k in range(levels):
            if domain[k, j]:
                top[j] = k
                bottom[j] = min(bottom[j], k)
    changed = True
    while changed:
        changed = False
        for i in range(n):
            best, best_level = -np.inf, -1
            for k in range(levels):
                if not is_open[k, i]:
                    continue
                sure, tied, unsure = 0, 0, 0
                for j in range(n):
                    if j == i:
                        continue
                    if bottom[j] > k:
                        sure += 1
                    elif top[j] == k and bottom[j] == k:
                        if split:
                            tied += 1
                        elif order[j] < order[i]:
                            sure += 1
                    elif top[j] > k or (top[j] == k and (split or order[j] < order[i])):
                        if not split and bottom[j] == k and order[j] < order[i]:
                            sure += 1
                        else:
                            unsure += 1
                if unsure == 0:
                    total = 0.0
                    for r in range(sure, sure + tied + 1):
                        total += prizes[r] - flagged[k, i] * penalty[r]
                    high[k] = low[k] = total / (tied + 1)
                else:
                    high[k], low[k] = -np.inf, np.inf
                    for r in range(sure, sure + tied + unsure + 1):
                        reward = prizes[r] - flagged[k, i] * penalty[r]
                        high[k], low[k] = max(high[k], reward), min(low[k], reward)
                if low[k] - cost[k, i] > best:
                    best, best_level = low[k] - cost[k, i], k
            for k in range(levels):
                if domain[k, i] and best > high[k] - cost[k, i] + tolerance:
                    domain[k, i] = False
                    struck[count, 0], struck[count, 1], struck[count, 2] = i, k, best_level
                    count += 1
                    changed = True
            top[i], bottom[i] = -1, levels
            for k in range(levels):
                if domain[k, i]:
                    top[i] = k
                    bottom[i] = min(bottom[i], k)
            if top[i] < 0:  # nothing is left to it: whatever else were struck out would follow from nothing
                return struck[:count]
    return struck[:count]
