"""All-pay contests for identical prizes: reach, threshold, power and payoffs (DESIGN section 3).

A deterministic leaderboard game whose prizes are all alike is an all-pay contest in which developers choose scores:
developer i begins at its start a_i, the score of its free effort, and a score s costs it C_i(s), zero up to a_i.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from followers.arrays import FloatArray, above
from followers.game import LeaderboardGame
from solvers.deviations import rounding_cost

__all__ = [
    "TOLERANCE",
    "ContestPayoffs",
    "PayoffStatus",
    "check_exact_single",
    "cost_left",
    "identical_prizes_payoffs",
    "obstacle",
    "score_costs",
    "score_efforts_costs",
]

TOLERANCE = 1e-9
"""A power or a gain below this share of the prize is zero."""


class PayoffStatus(StrEnum):
    """Whether a theorem gives the payoffs."""

    GENERIC = "generic"
    """The contest is generic: these are the payoffs of every equilibrium."""
    NOT_GENERIC = "not-generic"
    """Another developer's power is zero too: equilibria exist, but their payoffs may differ."""
    OUTSIDE = "outside"
    """Not a contest of the theory: some cost jumps, or some score ends, where it matters."""


@dataclass(frozen=True, slots=True)
class ContestPayoffs:
    """A contest for m identical prizes, and the payoffs of its equilibria.

    Scores are two floats (score, tail).

    Attributes
    ----------
    game : the game, B = 1.
    status, reason : whether the payoffs are proved, and if not, which condition fails.
    winners : number m of prizes above the last.
    value : V, by how much they exceed the last prize, prize units.
    start, start_tail : (n,), scores at the end of the free effort.
    reach, reach_tail : (n,), highest scores worth V.
    marginal : the developer with the (m+1)-th highest reach, from 0.
    threshold : its reach.
    cost_at_threshold : (n,), cost of the threshold, inf where out of reach; zero for who begins there or above.
    power : (n,), V less the cost of the threshold; -inf where out of reach.
    payoffs : (n,), expected prize less cost, prize units; NaN unless `status` is GENERIC.
    """

    game: LeaderboardGame
    status: PayoffStatus
    reason: str
    winners: int
    value: float
    start: FloatArray
    start_tail: FloatArray
    reach: FloatArray
    reach_tail: FloatArray
    marginal: int
    threshold: tuple[float, float]
    cost_at_threshold: FloatArray
    power: FloatArray
    payoffs: FloatArray


def check_exact_single(game: LeaderboardGame) -> None:
    """Refuse what no closed form is about: batches, measurement other than exact, prizes that are all equal."""
    if game.batch != 1:
        raise ValueError(f"contest: {game.batch} games; closed forms take one at a time")
    if not game.exact:
        raise ValueError("contest: noise, a score grid or audits; closed forms need exact scores and no audits")
    if not game.prize_span[0] > 0:
        raise ValueError("contest: all prizes are equal; nobody competes")


def score_costs(game: LeaderboardGame, score: Any, tail: Any = 0.0) -> FloatArray:
    """C_i(score + tail) of a single game, (..., n): zero up to the start, inf where out of reach."""
    return score_efforts_costs(game, score, tail)[1]


def score_efforts_costs(game: LeaderboardGame, score: Any, tail: Any = 0.0) -> tuple[FloatArray, FloatArray]:
    """Least effort that reaches score + tail, and its cost, each (..., n); see `score_costs`."""
    score, tail = (np.asarray(x, dtype=np.float64)[..., None, None] for x in (score, tail))
    effort = game.reach(score, tail)
    possible = np.isfinite(effort)
    # zero up to the start by comparing scores: an effort read off an inverted curve may be a shade above the free one
    paid = game.cost.cost(np.where(possible & above(score, tail, *game.scores(game.free_effort())), effort, 0.0))
    return effort[..., 0, :], np.where(possible, paid, np.inf)[..., 0, :]


def cost_left(contest: ContestPayoffs, cost: FloatArray) -> FloatArray:
    """q_i = (C_i(T) - cost) / V, what is left up to the threshold T, not below 0; 0 where T is out of reach."""
    top = contest.cost_at_threshold
    finite = np.where(np.isfinite(top), top, 0.0)
    return np.asarray((finite - np.minimum(cost, finite)) / contest.value)


def obstacle(game: LeaderboardGame, score: float, tail: float) -> str:
    """Why costs are not continuous and strictly rising, or not known well, up to a score; empty where they are.

    A cap or a ceiling counts where it keeps somebody from a score for which it would pay V; above the score given,
    which nobody needs to exceed, it does not.
    """
    free = game.free_effort()[0]
    who = np.arange(1, game.n + 1)
    fee = np.broadcast_to(game.cost.entry_jump(), (1, game.n))[0]
    if (fee > 0).any():
        return f"developer {who[fee > 0][0]} pays an entry fee: its cost jumps"
    # up to the score given, or as far as the prize pays for where that is not beyond it
    reach, reach_tail = game.scores(game.worthwhile_effort())
    beyond = above(reach, reach_tail, score, tail)
    needed = np.where(beyond, game.reach(score, tail), game.worthwhile_effort())[0]
    if float((game.head_start[0] + needed).max()) > game.curve.resolved_until():
        return "a score lies so near its ceiling that double precision cannot tell it from the ceiling"
    capped = (game.effort_cap < game.cost.affordable(game.prize_span[:, None])) & ~beyond
    if capped.any():
        return f"developer {who[capped[0]][0]} is held back by its effort cap, not by its cost"
    starts, ends = (x[:, 0] for x in game.flat_stretches())
    flat = ((ends > free) & (starts < needed)).any(axis=0)
    if flat.any():
        return f"the score of developer {who[flat][0]} is flat where effort costs: the cost of a score jumps there"
    lost = np.where(needed > free, rounding_cost(game, needed[None])[0], 0.0)
    if lost.max() > TOLERANCE * float(game.prize_span[0]):
        return f"costs of developer {who[np.argmax(lost)]} are known to {lost.max():.1g} only: double precision"
    return ""


def identical_prizes_payoffs(game: LeaderboardGame) -> ContestPayoffs:
    """Equilibrium payoffs of n developers who compete for m identical prizes.

    In a generic contest the payoff of developer i in every equilibrium is R_n + max(V - C_i(max(T, a_i)), 0): what the
    prize leaves after matching the threshold T, the highest score that the (m+1)-th strongest can afford.

    Raises
    ------
    ValueError : more than one game; noise, a score grid or audits; prizes above the last that differ, or none.

    References
    ----------
    Siegel (2009), All-pay contests, Econometrica 77(1), Theorem 1. Its cost condition holds because costs rise
    strictly beyond the free effort; its power condition (only the marginal developer has power zero) is checked here.
    """
    check_exact_single(game)
    prizes, value = game.prizes[0], float(game.prize_span[0])
    winners = int((prizes == prizes[0]).sum())
    if not np.all(prizes[winners:] == prizes[-1]):
        listed = ", ".join(f"{p:g}" for p in prizes)
        raise ValueError(f"contest: prizes {listed}; those above the last must be identical")
    start, start_tail = (x[0] for x in game.scores(game.free_effort()))
    reach, reach_tail = (x[0] for x in game.scores(game.worthwhile_effort()))
    marginal = int(np.lexsort((-reach_tail, -reach))[winners])
    threshold = float(reach[marginal]), float(reach_tail[marginal])
    cost = score_costs(game, *threshold)
    power = value - cost
    power[marginal] = 0.0
    reason = obstacle(game, *threshold)
    others = np.flatnonzero((np.abs(power) <= TOLERANCE * value) & (np.arange(game.n) != marginal))
    status = PayoffStatus.OUTSIDE if reason else PayoffStatus.GENERIC
    if not reason and len(others):
        status = PayoffStatus.NOT_GENERIC
        reason = f"developers {marginal + 1} and {others[0] + 1} have the same reach: both have power zero"
    return ContestPayoffs(
        game=game,
        status=status,
        reason=reason,
        winners=winners,
        value=value,
        start=start,
        start_tail=start_tail,
        reach=reach,
        reach_tail=reach_tail,
        marginal=marginal,
        threshold=threshold,
        cost_at_threshold=cost,
        power=power,
        payoffs=np.where(status is PayoffStatus.GENERIC, np.maximum(power, 0.0) + prizes[-1], np.nan),
    )
