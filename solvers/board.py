"""One game seen forwards: what the independent checker rests on.

Scores and costs are only ever evaluated, never inverted; efforts are found by bisection, ranks by counting.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from followers.arrays import BoolArray, FloatArray, above
from followers.game import LeaderboardGame, TieRule

__all__ = ["Board", "free_by_bisection", "own_payoffs", "prize_at", "scores_agree", "stuck_at", "thresholds"]

_BISECTIONS = 200  # enough to settle any bracket of doubles


class Board:
    """One game, forwards: scores, costs and prizes of single developers."""

    def __init__(self, game: LeaderboardGame) -> None:
        if game.batch != 1:
            raise ValueError(f"check: {game.batch} games; a certificate belongs to one")
        self.game, self.n = game, game.n
        self.prizes, self.cap = game.prizes[0], game.effort_cap[0]
        self.order, self.split = game.tie_order[0], game.ties is TieRule.SPLIT
        self.span = float(game.prize_span[0])
        self.zero = np.zeros(self.n)
        self.penalty = game.penalty[0]
        self.fresh = self.scores(self.zero)[0]

    def scores(self, efforts: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(m, n) or (n,) scores of every developer at its own efforts, as two floats."""
        lifted = np.atleast_2d(efforts)[:, None, :]
        score, tail = (np.broadcast_to(x, lifted.shape)[:, 0, :] for x in self.game.scores(lifted))
        return (score, tail) if np.ndim(efforts) == 2 else (score[0], tail[0])

    def costs(self, efforts: FloatArray) -> FloatArray:
        """(m, n) or (n,) costs of every developer at its own efforts."""
        lifted = np.atleast_2d(efforts)[:, None, :]
        costs = np.broadcast_to(self.game.cost.cost(lifted), lifted.shape)[:, 0, :]
        return np.asarray(costs if np.ndim(efforts) == 2 else costs[0])

    def prize(self, i: int, own: FloatArray, own_tail: FloatArray, score: FloatArray, tail: FloatArray) -> FloatArray:
        """Prize of i, less what an audit is expected to take, at own scores (m,) against rivals' scores (n,)."""
        rivals = np.arange(self.n) != i
        at, at_tail = own[:, None], own_tail[:, None]
        over = above(score, tail, at, at_tail) & rivals
        tied = (score == at) & (tail == at_tail) & rivals
        flagged = self.flagged(i, own)
        if not self.split:
            rank = np.sum(over | (tied & (self.order < self.order[i])), axis=1)
            return np.asarray(self.prizes[rank] - flagged * self.penalty[rank])
        first, extra = over.sum(axis=1), tied.sum(axis=1)
        return np.array(
            [
                (self.prizes[a : a + t + 1] - d * self.penalty[a : a + t + 1]).mean()
                for a, t, d in zip(first, extra, flagged, strict=True)
            ]
        )

    def flagged(self, i: int, claimed: FloatArray) -> FloatArray:
        """Probability that developer i is flagged once audited, claiming scores (m,): binomial tails summed anew."""
        audit = self.game.audit
        if audit is None or not np.any(self.penalty):
            return np.zeros(len(claimed))
        from scipy.stats import binom

        k = np.arange(audit.items + 1)
        tails = np.cumsum(binom.pmf(k, audit.items, np.asarray(claimed)[:, None]), axis=1) <= audit.level
        fresh = np.concatenate([[0.0], np.cumsum(binom.pmf(k, audit.items, self.fresh[i]))])
        return np.asarray(fresh[tails.sum(axis=1)])

    def least(self, holds: Callable[[FloatArray], BoolArray], stop: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Bracket (low, high] of the least effort (n,) at which `holds` turns true; high is inf where it never does.

        `holds` maps efforts (n,) to booleans (n,) and is monotone; `stop` bounds the search.
        """
        at_stop, at_zero = holds(stop), holds(self.zero)
        low, high = np.zeros(self.n), stop.copy()
        for _ in range(_BISECTIONS):
            middle = 0.5 * (low + high)
            true = holds(middle)
            low, high = np.where(true, low, middle), np.where(true, middle, high)
        high = np.where(at_zero, 0.0, np.where(at_stop, high, np.inf))
        return np.where(at_zero, 0.0, low), high

    def affordable(self, beyond: float = 0.0) -> FloatArray:
        """Per developer an effort that costs more than twice R_1 - R_n, and `beyond` more, or the cap (n,)."""
        top = np.minimum(np.ones(self.n), self.cap)
        for _ in range(2_000):
            small = (self.costs(top) <= 2.0 * self.span + beyond) & (top < self.cap)
            if not small.any():
                break
            top = np.where(small, np.minimum(2.0 * top, self.cap), top)
        return np.asarray(top)

    def reach(self, level: float, level_tail: float, stop: FloatArray) -> FloatArray:
        """Least effort (n,) with which each developer scores at least a level; inf beyond `stop`."""
        return self.least(lambda e: ~above(level, level_tail, *self.scores(e)), stop)[1]

    def exceed(self, level: float, level_tail: float, stop: FloatArray) -> FloatArray:
        """Effort (n,) just beyond the infimum of those that score more than a level; inf where none up to `stop`."""
        return self.least(lambda e: above(*self.scores(e), level, level_tail), stop)[1]


def own_payoffs(board: Board, efforts: FloatArray, score: FloatArray, tail: FloatArray) -> FloatArray:
    """Prize less cost of every developer at a profile (n,)."""
    prizes = [board.prize(i, score[i : i + 1], tail[i : i + 1], score, tail)[0] for i in range(board.n)]
    return np.array(prizes) - board.costs(efforts)


def thresholds(board: Board, score: float, tail: float, *, strictly: bool, stop: FloatArray) -> FloatArray:
    """Cost (n,) of the least effort that reaches (or of efforts just above those that do not exceed) a score."""
    high = board.exceed(score, tail, stop) if strictly else board.reach(score, tail, stop)
    return np.where(np.isinf(high), np.inf, board.costs(np.where(np.isinf(high), 0.0, high)))


def prize_at(
    board: Board,
    i: int,
    level: float,
    level_tail: float,
    score: FloatArray,
    tail: FloatArray,
    *,
    strictly: bool,
) -> float:
    """Prize of i at a level, or in the limit from above it."""
    if not strictly:
        return float(board.prize(i, np.array([level]), np.array([level_tail]), score, tail)[0])
    over = above(score, tail, level, level_tail) & (np.arange(board.n) != i)
    rank = int(over.sum())
    return float(board.prizes[rank] - board.flagged(i, np.array([level]))[0] * board.penalty[rank])


def free_by_bisection(board: Board, stop: FloatArray) -> FloatArray:
    """Largest effort (n,) that costs nothing, within the cap."""
    low, _ = board.least(lambda e: board.costs(e) > 0, stop)
    return np.where(board.costs(stop) <= 0, stop, low)


def stuck_at(board: Board, efforts: FloatArray) -> BoolArray:
    """Who cannot raise its score above the one at `efforts` at vanishing cost, found by trying (n,)."""
    score, tail = board.scores(efforts)
    place = 1.0 + board.game.head_start[0] + efforts
    raised = board.scores(np.minimum(efforts + 1e-6 * place, board.cap))
    rises = above(raised[0], raised[1], score, tail)
    jump = (efforts <= 0) & (board.costs(np.full(board.n, 5e-324)) > 1e-9 * board.span)
    return np.asarray(~rises | (efforts >= board.cap) | jump)


def scores_agree(board: Board, efforts: FloatArray, score: FloatArray, tail: FloatArray) -> BoolArray:
    """Whether efforts (n,) give the stated scores (n,), up to moving each effort by a few ulps of its place.

    A tie held on purpose is exact on paper only: the effort that reaches a rival's score is rounded.
    """
    blur = 64 * np.finfo(np.float64).eps * (1.0 + board.game.head_start[0] + efforts)
    low, high = board.scores(np.maximum(efforts - blur, 0.0)), board.scores(efforts + blur)
    exact = board.scores(efforts)
    slack = 1e-13 * np.abs(score)
    same = (exact[0] == score) & (exact[1] == tail)
    return np.asarray(same | ((score >= low[0] - slack) & (score <= high[0] + slack)))
