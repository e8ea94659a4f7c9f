"""What it costs to climb: the least cost at which each entry, from the free-effort profile, takes each better rank.

All that a designer needs to know about the developers of a game whose tie order is strict: truthful play is an
equilibrium iff no climb earns more than it costs (DESIGN sections 2 and 5).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from followers.arrays import FloatArray, IntArray
from followers.game import LeaderboardGame, TieRule
from solvers.deviations import deviation_costs

__all__ = ["Climbs", "climbs"]


@dataclass(frozen=True, slots=True)
class Climbs:
    """Climbs of B games with n developers each, by published rank at the free-effort profile (0 is first).

    Attributes
    ----------
    order : (B, n), the developer published at each rank.
    effort : (B, n, n), [b, k, r] for r < k: the infimum of the efforts with which the entry at rank k takes rank r,
        steps; inf where none does, and for r >= k.
    cost : (B, n, n), its cost in the limit, prize units; inf likewise.
    """

    order: IntArray
    effort: FloatArray
    cost: FloatArray


def climbs(game: LeaderboardGame) -> Climbs:
    """Price every climb of a batch of games.

    Raises
    ------
    ValueError : split ties, noise or rounded scores, under which ranks do not follow from efforts one by one.
    """
    if game.noise is not None or game.precision > 0:
        raise ValueError("climbs: scores are noisy or rounded; exact scores are needed (precision, noise, items 0)")
    if game.ties is not TieRule.QUALITY:
        raise ValueError('climbs: ties = "split"; a strict tie order is needed (ties = "quality")')
    score, tail = (np.broadcast_to(x, game.head_start.shape) for x in game.scores(game.free_effort()))
    order = np.lexsort((game.tie_order, -tail, -score), axis=-1)
    level, level_tail = (np.take_along_axis(x, order, -1).T[:, :, None] for x in (score, tail))  # (rank, B, 1)
    reach, exceed = deviation_costs(game, level, level_tail)
    wins_tie = game.tie_order[None] < np.take_along_axis(game.tie_order, order, -1).T[:, :, None]
    cost = np.where(wins_tie, reach, exceed)
    effort = np.where(wins_tie, game.reach(level, level_tail), game.exceed(level, level_tail))

    def by_rank(values: FloatArray) -> FloatArray:
        """(target rank, B, developer) to (B, own rank, target rank), climbs only."""
        table = np.take_along_axis(values.transpose(1, 2, 0), order[..., None], 1)
        return np.where(np.tri(game.n, k=-1, dtype=bool), table, np.inf)

    return Climbs(order, by_rank(effort), by_rank(cost))
