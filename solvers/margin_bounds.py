"""Bounds on the stability margin that hold for every head start between two, whatever the curves' shape (DESIGN 5).

More tuning before the test never lowers a score that is reached with a given effort. So between budgets a <= b every
entry's score at the free-effort profile lies between those at a and at b, and the effort with which a developer meets
a rival lies between those of reaching the rival's score at a from the start at b, and of exceeding its score at b from
the start at a. Curves may cross, be S-shaped or tie in between: where an order is open both orders are allowed for.
"""

from __future__ import annotations

import numpy as np

from followers.arrays import BoolArray, FloatArray, IntArray, above
from followers.game import LeaderboardGame, TieRule
from solvers.deviations import deviation_costs

__all__ = ["margin_bounds"]


def margin_bounds(low: LeaderboardGame, high: LeaderboardGame) -> tuple[FloatArray, FloatArray]:
    """Bounds of the margin at the free-effort profile, (B,) each, prize units, over all head starts in between.

    Parameters
    ----------
    low, high : batches of the same games, but for a common shift of each game's head starts, not less in `high`.

    Returns
    -------
    least, most : the margin (`solvers.deviations.check_free_effort`, least of all developers) lies between them at
        every shift in between; inf where no deviation gains a prize. Rounding of double precision is not in them.

    Raises
    ------
    ValueError : split ties, noise, rounded scores or audits.
    """
    for game in (low, high):
        if not game.exact or game.ties is not TieRule.QUALITY:
            raise ValueError("margin bounds: need exact scores, no audits and a strict tie order")
    n, order = low.n, low.tie_order
    itself = np.eye(n, dtype=np.bool_)
    lower, upper = (_levels(game) for game in (low, high))  # the least and the most that each entry scores
    # [b, j, m]: m scores more than j, or is published above it, throughout
    surely = above(*(x[:, None, :] for x in lower), *(x[:, :, None] for x in upper))
    equal = (lower[0][:, None, :] == upper[0][:, :, None]) & (lower[1][:, None, :] == upper[1][:, :, None])
    leads = surely | (equal & (order[:, None, :] < order[:, :, None]))
    ahead = above(*(x[:, None, :] for x in upper), *(x[:, :, None] for x in upper))  # scores more than j's most
    wins_tie = order[None] < order.T[:, :, None]  # (target j, B, developer i), as all that follows
    targets_low, targets_high = (tuple(x.T[:, :, None] for x in levels) for levels in (lower, upper))
    cost_least = np.where(wins_tie, *deviation_costs(high, *targets_low))
    cost_most = deviation_costs(low, *targets_high)[1]
    idle = leads.transpose(1, 0, 2) | itself[:, None, :]  # i is above j already
    worst_rank = n - 1 - leads.sum(axis=1)  # those that i does not lead throughout
    gain_most = _prize(low, _others(surely)) - np.take_along_axis(low.prizes, worst_rank, 1)
    least = np.where((gain_most > 0) & ~idle, cost_least - gain_most, np.inf).min(axis=(0, 2))
    # of two entries one is the lower and may pass the other; its rank is below all those that lead it throughout
    best_rank = np.minimum(1 + leads.sum(axis=2)[None] - leads.transpose(2, 0, 1), n - 1)
    gain_least = _prize(low, _others(ahead)) - _prize(low, best_rank)
    as_lower = np.where(gain_least > 0, cost_most - gain_least, np.inf)
    as_lower = np.where(leads.transpose(1, 0, 2), -np.inf, as_lower)
    pair = np.maximum(as_lower, as_lower.transpose(2, 1, 0))
    most = np.where(itself[:, None, :], np.inf, pair).min(axis=(0, 2))
    return least, most


def _levels(game: LeaderboardGame) -> tuple[FloatArray, FloatArray]:
    score, tail = game.scores(game.free_effort())
    return np.broadcast_to(score, game.head_start.shape), np.broadcast_to(tail, game.head_start.shape)


def _others(over: BoolArray) -> IntArray:
    """Number of entries m over target j other than i, (j, B, i), from (B, j, m)."""
    return np.asarray(over.sum(axis=2).T[:, :, None] - over.transpose(1, 0, 2))


def _prize(game: LeaderboardGame, rank: IntArray) -> FloatArray:
    """Prize of ranks (j, B, i)."""
    return np.asarray(np.take_along_axis(np.broadcast_to(game.prizes, (*rank.shape[:-1], game.n)), rank, -1))
