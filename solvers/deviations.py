"""What deviating costs and brings: the exact finite form of continuous deviations (DESIGN section 2).

A developer's prize only changes where its score meets a rival's, so of all efforts only two per rival score matter:
the least that reaches it, and the infimum of those that exceed it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from followers.arrays import FloatArray, IntArray, above
from followers.costs import PowerCost
from followers.curves import GeneralizedLogit
from followers.game import LeaderboardGame, TieRule, select
from followers.hidden import PartlyHidden
from solvers.threads import each_slice, plain

__all__ = [
    "EFFORT_ULPS",
    "FreeProfileCheck",
    "check_free_effort",
    "deviation_costs",
    "has_kernel",
    "kernel_law",
    "rounding_cost",
    "tie_groups",
]

EFFORT_ULPS = 16 * float(np.finfo(np.float64).eps)
"""Rounding of an effort read off an inverted curve, relative to its place on the curve."""

_CHUNK_CELLS = 4_000_000  # cells of one (targets, games, developers) array: 32 MB
_SLICE = 2_048  # games per compiled call


def deviation_costs(game: LeaderboardGame, score: Any, tail: Any) -> tuple[FloatArray, FloatArray]:
    """Cost of reaching and of exceeding a score, each (..., B, n); inf where impossible.

    The infimum of the efforts that exceed is not attained; its cost is the limit from above, which at zero effort is
    the entry fee.
    """
    free = game.scores(game.free_effort())
    reach, exceed = game.reach(score, tail), game.exceed(score, tail)
    reach_cost = np.where(above(score, tail, *free), game.cost.cost(reach), 0.0)
    exceed_limit = np.where(exceed <= 0, game.cost.entry_jump(), game.cost.cost(exceed))
    exceed_cost = np.where(above(*free, score, tail), 0.0, exceed_limit)
    return (
        np.where(np.isinf(reach), np.inf, reach_cost),
        np.where(np.isinf(exceed), np.inf, exceed_cost),
    )


def rounding_cost(game: LeaderboardGame, effort: FloatArray) -> FloatArray:
    """Prize units (..., B, n) by which rounding may shift the cost of an effort; zero where it is infinite."""
    finite = np.where(np.isfinite(effort), effort, 0.0)
    blur = EFFORT_ULPS * (1.0 + game.head_start + finite)
    below = np.maximum(finite - blur, 1e-300)  # stay behind an entry fee's jump
    more, less = game.cost.cost(finite + blur), game.cost.cost(below)
    known = np.isfinite(effort) & np.isfinite(more)  # an effort may be finite and yet cost more than a double holds
    return np.asarray(np.where(known, np.where(known, more, 0.0) - np.where(known, less, 0.0), 0.0))


def tie_groups(score: FloatArray, tail: FloatArray) -> tuple[IntArray, IntArray]:
    """First and last position of each entry's tied group; scores (B, n) sorted from the top."""
    n = score.shape[1]
    new = np.ones(score.shape, dtype=np.bool_)
    new[:, 1:] = (score[:, 1:] != score[:, :-1]) | (tail[:, 1:] != tail[:, :-1])
    position = np.broadcast_to(np.arange(n), score.shape)
    first = np.maximum.accumulate(np.where(new, position, 0), axis=1)
    end = np.concatenate([new[:, 1:], np.ones((len(new), 1), dtype=np.bool_)], axis=1)
    last = np.minimum.accumulate(np.where(end, position, n)[:, ::-1], axis=1)[:, ::-1]
    return first, last


def has_kernel(game: LeaderboardGame) -> bool:
    """Whether compiled code knows the developers: generalized-logit curves, plain or partly hidden, and power costs."""
    curve = game.curve.curve if isinstance(game.curve, PartlyHidden) else game.curve
    return isinstance(curve, GeneralizedLogit) and isinstance(game.cost, PowerCost)


def kernel_law(game: LeaderboardGame, piece: slice = slice(None)) -> tuple[FloatArray, float, float]:
    """What compiled code is told of the developers of a game that it knows (`has_kernel`), or of a piece of the batch.

    Returns the parameters (10, B, n): lower, upper, intercept, slope, scale, exponent, free, entry fee, head start,
    effort cap; and the hidden share and its transfer (0 and 1 where nothing is hidden).
    """
    whole, cost, share, transfer = game.curve, game.cost, 0.0, 1.0
    curve = whole
    if isinstance(whole, PartlyHidden):
        curve, share, transfer = whole.curve, float(whole.share), float(whole.transfer)
    assert isinstance(curve, GeneralizedLogit) and isinstance(cost, PowerCost)
    shape = game.head_start.shape
    law = np.empty((10, *game.head_start[piece].shape))
    for row, values in enumerate(
        (
            curve.lower,
            curve.upper,
            curve.intercept,
            curve.slope,
            cost.scale,
            cost.exponent,
            cost.free,
            cost.entry_fee,
            game.head_start,
            game.effort_cap,
        )
    ):
        law[row] = np.broadcast_to(values, shape)[piece]
    return law, share, transfer


@dataclass(frozen=True, slots=True)
class FreeProfileCheck:
    """What deviating from the free-effort profile z brings.

    margins : (B, n), stability margin per developer, prize units; inf where no deviation gains a prize.
    ranks : (B, n), 0 is first; under `split` ties the first rank of the tied group.
    lowest, highest : (B,), least margin of the game if rounding errs one way, and the other.
    """

    margins: FloatArray
    ranks: IntArray
    lowest: FloatArray
    highest: FloatArray


def check_free_effort(game: LeaderboardGame, *, compiled: bool = True) -> FreeProfileCheck:
    """Check every deviation from the free-effort profile z; `compiled=False` forces the general numpy path."""
    if compiled and has_kernel(game):
        return _compiled_margins(game)
    step = max(1, _CHUNK_CELLS // (game.n * game.n))
    if step >= game.batch:
        return _general_margins(game)
    pieces = [_general_margins(select(game, slice(k, k + step))) for k in range(0, game.batch, step)]
    return FreeProfileCheck(
        *(np.concatenate([getattr(p, name) for p in pieces]) for name in ("margins", "ranks", "lowest", "highest"))
    )


def _compiled_margins(game: LeaderboardGame) -> FreeProfileCheck:
    from solvers.kernels import free_profile_margins
    from solvers.margin_kernels import climb_margins

    shape = game.head_start.shape
    margins, ranks = np.empty(shape), np.empty(shape, dtype=np.int64)
    bounds, settled = np.empty((2, game.batch)), np.ones(game.batch, dtype=np.bool_)
    split = game.ties is TieRule.SPLIT

    def run(piece: slice) -> None:
        # laid out slice by slice: the working set stays in cache and memory does not grow with the batch
        law, share, transfer = kernel_law(game, piece)
        prizes, tie_order = plain(game.prizes[piece]), plain(game.tie_order[piece])
        within = np.empty((2, len(prizes)))
        out = margins[piece], ranks[piece], within
        if split or (share > 0 and transfer < 1):
            climb_margins(law, split, share, transfer, prizes, tie_order, EFFORT_ULPS, *out, settled[piece])
        else:
            free_profile_margins(law[:4], law[4:8], law[8:], prizes, tie_order, *out, EFFORT_ULPS)
        bounds[:, piece] = within

    each_slice(game.batch, _SLICE, run)
    others = np.flatnonzero(~settled)
    if len(others):  # digits run out at a ceiling
        general = check_free_effort(select(game, others), compiled=False)
        margins[others], ranks[others] = general.margins, general.ranks
        bounds[0, others], bounds[1, others] = general.lowest, general.highest
    return FreeProfileCheck(margins, ranks, bounds[0], bounds[1])


def _general_margins(game: LeaderboardGame) -> FreeProfileCheck:
    """The same for any curves, costs and tie rule, by arrays over (target, game, developer)."""
    score, tail = game.scores(game.free_effort())
    order = np.lexsort((game.tie_order, -tail, -score), axis=-1)
    ranks = np.argsort(order, axis=-1)
    sorted_score, sorted_tail = (np.take_along_axis(x, order, -1) for x in (score, tail))
    level, level_tail = sorted_score.T[:, :, None], sorted_tail.T[:, :, None]
    reach, exceed = deviation_costs(game, level, level_tail)
    lost = np.maximum(
        rounding_cost(game, game.reach(level, level_tail)), rounding_cost(game, game.exceed(level, level_tail))
    )
    target = np.arange(game.n)[:, None, None]
    prizes = game.prizes
    if game.ties is TieRule.QUALITY:
        target_order = np.take_along_axis(game.tie_order, order, -1).T[:, :, None]
        price = np.where(game.tie_order < target_order, reach, exceed)
        gain = prizes.T[:, :, None] - np.take_along_axis(prizes, ranks, -1)
        return _least(np.where((target < ranks) & (gain > 0), price - gain, np.inf), lost, ranks)
    first, last = tie_groups(sorted_score, sorted_tail)
    total = np.concatenate([np.zeros((game.batch, 1)), np.cumsum(prizes, axis=1)], axis=1)

    def share(start: IntArray, stop: IntArray) -> FloatArray:
        top, bottom = (np.take_along_axis(prizes, np.minimum(k, game.n - 1), -1) for k in (start, stop))
        mean = (np.take_along_axis(total, stop + 1, -1) - np.take_along_axis(total, start, -1)) / (stop - start + 1)
        return np.where(top == bottom, top, mean)  # equal prizes share exactly

    own_first = np.take_along_axis(first, ranks, -1)
    own = share(own_first, np.take_along_axis(last, ranks, -1))
    least_gain = 1e-12 * game.prize_span[:, None]
    joins = share(first, np.minimum(last + 1, game.n - 1)).T[:, :, None] - own
    passes = np.take_along_axis(prizes, first, -1).T[:, :, None] - own
    higher = first.T[:, :, None] < own_first
    margin = np.minimum(
        np.where(higher & (joins > least_gain), reach - joins, np.inf),
        np.where(passes > least_gain, exceed - passes, np.inf),
    )
    return _least(margin, lost, own_first)


def _least(margin: FloatArray, lost: FloatArray, ranks: IntArray) -> FreeProfileCheck:
    """Reduce margins over targets (n, B, n), and their bounds over targets and developers."""
    lowest, highest = ((margin + sign * lost).min(axis=(0, 2)) for sign in (-1.0, 1.0))
    return FreeProfileCheck(np.asarray(margin.min(axis=0)), ranks, np.asarray(lowest), np.asarray(highest))
