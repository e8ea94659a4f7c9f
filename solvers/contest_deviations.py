"""What deviating from the strategies of an all-pay contest brings: to those who compete, and to those who do not."""

from __future__ import annotations

import numpy as np

from followers.arrays import BoolArray, FloatArray, above
from solvers.contest_payoffs import TOLERANCE, ContestPayoffs, score_costs
from solvers.contest_strategies import ContestEquilibrium

__all__ = ["deviation_gains", "entry_bounds", "lowest_competitor", "score_mesh"]

_HALVINGS = 60
_MOST_CELLS = 20_000


def lowest_competitor(contest: ContestPayoffs, competing: BoolArray) -> int:
    """The competitor with the lowest start: its effort measures every score that matters."""
    return int(np.lexsort((contest.start_tail, contest.start, ~competing))[0])


def score_mesh(contest: ContestPayoffs, competing: BoolArray, points: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Scores (K,) as two floats from the lowest start of a competitor to the threshold, and its efforts.

    Some `points` each are even in every competitor's effort and cost: kinks and crossings come on either scale. All
    competitors' starts and the threshold are among them, exactly.
    """
    game, who = contest.game, np.flatnonzero(competing)
    lead = lowest_competitor(contest, competing)
    free, top = game.free_effort()[0], game.reach(*contest.threshold)[0]
    share = np.linspace(0.0, 1.0, points + 2)[1:-1, None, None]
    even = free + share * (np.where(competing, top, free) - free)
    dear = game.cost.affordable(share * np.where(competing, contest.cost_at_threshold, 0.0))
    # geometric steps to both ends, where powers bend most
    near = np.geomspace(1e-11, 1.0 / points, points // 8)
    fine = np.concatenate([near, 1.0 - near])
    ends = free + fine[:, None, None] * (np.where(competing, top, free) - free)
    pairs = [game.scores(efforts) for efforts in (even, dear, ends)]
    score, tail = (
        np.concatenate([*(p[side][:, 0, who].ravel() for p in pairs), starts[who], [contest.threshold[side]]])
        for side, starts in enumerate((contest.start, contest.start_tail))
    )
    order = np.lexsort((tail, score))
    score, tail = score[order], tail[order]
    inside = ~above(contest.start[lead], contest.start_tail[lead], score, tail) & ~above(
        score, tail, *contest.threshold
    )
    new = np.concatenate([[True], (np.diff(score) != 0) | (np.diff(tail) != 0)])
    score, tail = score[inside & new], tail[inside & new]
    return score, tail, np.asarray(game.reach(score[:, None, None], tail[:, None, None])[:, 0, lead])


def _but_one(survival: FloatArray) -> FloatArray:
    """Products over all but one of the last axis, same shape."""
    ones = np.ones_like(survival[..., :1])
    before = np.concatenate([ones, np.cumprod(survival[..., :-1], axis=-1)], axis=-1)
    after = np.concatenate([ones, np.cumprod(survival[..., :0:-1], axis=-1)], axis=-1)[..., ::-1]
    return np.asarray(before * after)


def deviation_gains(equilibrium: ContestEquilibrium, *, points: int = 2000) -> FloatArray:
    """What each competitor gains over its payoff by the best score on a mesh, (n,), prize units; zero for the others.

    Rivals' atoms count as overtaken at their own score, so the supremum of just overtaking is included. A competitor
    wins unless all its fellow competitors are above it: one of them is bound to lose.
    """
    contest, who = equilibrium.contest, np.flatnonzero(equilibrium.competing)
    gains = np.zeros(contest.game.n)
    if not len(who):
        return gains
    score, tail, _ = score_mesh(contest, equilibrium.competing, points)
    others = _but_one(equilibrium.survival(score, tail)[:, who])
    worth = contest.value * (1.0 - others) - score_costs(contest.game, score, tail)[:, who]
    started = ~above(contest.start[who], contest.start_tail[who], score[:, None], tail[:, None])
    last = contest.game.prizes[0, -1]
    gains[who] = np.maximum(np.where(started, worth, -np.inf).max(axis=0) - (equilibrium.payoffs[who] - last), 0.0)
    return gains


def entry_bounds(equilibrium: ContestEquilibrium, *, points: int = 200) -> FloatArray:
    """Upper bound on what each developer beyond the m + 1 strongest gains by any score, (n,), prize units, else 0.

    Prizes won rise with the score and so do costs, so between two scores nobody gains more than the prize at the upper
    one less the cost of the lower one. Cells are halved until that is below `TOLERANCE` of the prize, or a score is
    found that gains more; such an entrant wins where at least two competitors are at or below it.

    That includes its own start: who begins above scores with which competitors win would win by staying. So where the
    bound is zero no such start is in the competitors' way, and their payoffs are what they are without it.
    """
    contest, competing = equilibrium.contest, equilibrium.competing
    game, bounds = contest.game, np.zeros(contest.game.n)
    below = above(*contest.threshold, contest.start, contest.start_tail)
    outside = np.flatnonzero(~competing & below)
    if not competing.any() or not len(outside):
        return bounds
    score, tail, effort = score_mesh(contest, competing, points)
    lead = lowest_competitor(contest, competing)

    def prize_and_costs(score: FloatArray, tail: FloatArray) -> tuple[FloatArray, FloatArray]:
        survival = equilibrium.survival(score, tail)[:, competing]
        lose = survival.prod(axis=-1) + ((1.0 - survival) * _but_one(survival)).sum(axis=-1)
        return contest.value * (1.0 - lose), score_costs(game, score, tail)

    tolerance = TOLERANCE * contest.value
    prize, costs = prize_and_costs(score, tail)
    for k in outside:
        left, right, won, paid = effort[:-1], effort[1:], prize[1:], costs[:-1, k]
        bounds[k] = max(0.0, float((prize - costs[:, k]).max()))
        for _ in range(_HALVINGS):
            loose = won - paid > tolerance
            left, right, won, paid = (x[loose] for x in (left, right, won, paid))
            if not len(left) or bounds[k] > tolerance or len(left) > _MOST_CELLS:
                break
            middle = 0.5 * (left + right)
            mid_won, mid_costs = prize_and_costs(*(x[:, 0, lead] for x in game.scores(middle[:, None, None])))
            bounds[k] = max(bounds[k], float((mid_won - mid_costs[:, k]).max()))
            left, right = np.concatenate([left, middle]), np.concatenate([middle, right])
            won, paid = np.concatenate([mid_won, won]), np.concatenate([paid, mid_costs[:, k]])
        if len(left):
            bounds[k] = max(bounds[k], float((won - paid).max()))
    return bounds
