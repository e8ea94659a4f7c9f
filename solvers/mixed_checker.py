"""The independent check of a mixed profile: its exploitability, found anew from the game and the pieces alone.

Efforts come from bisection, ranks from counting, expectations from sums over more points than the solver looks at.
Between two neighbouring scores a developer can never gain more than the reward at the upper one less the cost of the
lower one, which bounds *every* deviation.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from followers.arrays import BoolArray, FloatArray, above, two_sum
from followers.game import LeaderboardGame
from followers.measurement import grid_level, grid_score
from solvers.absence import Check
from solvers.board import Board
from solvers.claims import MixedCertificate, Piece
from solvers.noisy_checker import expected_by_count

__all__ = ["check_mixed"]

_BLUR = 1e-6
"""Share of R_1 - R_n that the checker allows on a price: it finds efforts by bisection."""
_PER_CELL = 8
_STRETCHES = 16
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)


class _Play:
    """Everybody's pieces as arrays, and how likely each is below, at, or just above a score."""

    def __init__(self, board: Board, certificate: MixedCertificate) -> None:
        self.board = board
        pieces = certificate.pieces
        width = max(len(p) for p in pieces)
        blank = Piece(0.0, 0.0, 0.0, 0.0, 0.0)
        padded = [[*p, *[blank] * (width - len(p))] for p in pieces]

        def column(name: str) -> FloatArray:
            return np.array([[float(getattr(x, name)) for x in row] for row in padded])

        self.low, self.low_tail = column("low"), column("low_tail")
        self.high, self.high_tail = column("high"), column("high_tail")
        self.probability, self.over = column("probability"), column("just_above") > 0
        self.size = (self.high - self.low) + (self.high_tail - self.low_tail)

    def below(self, score: FloatArray, tail: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Probabilities (P, n) that each developer is below, exactly at, and just above a score (P,)."""
        under, at, over = (np.zeros((len(score), self.board.n)) for _ in range(3))
        for j in range(self.board.n):
            for k in np.flatnonzero(self.probability[j] > 0):
                p, size = self.probability[j, k], self.size[j, k]
                if size > 0:
                    share = ((score - self.low[j, k]) + (tail - self.low_tail[j, k])) / size
                    under[:, j] += p * np.clip(share, 0.0, 1.0)
                    continue
                same = (score == self.low[j, k]) & (tail == self.low_tail[j, k])
                under[:, j] += p * (above(score, tail, self.low[j, k], self.low_tail[j, k]))
                if self.over[j, k]:
                    over[:, j] += p * same
                else:
                    at[:, j] += p * same
        return under, at, over


def check_mixed(game: LeaderboardGame, certificate: MixedCertificate) -> tuple[Check, ...]:
    """Probabilities sum to one, scores can be had, utilities and exploitability are as stated."""
    board = Board(game)
    pieces = certificate.pieces
    total = [sum(p.probability for p in row) for row in pieces]
    good = len(pieces) == board.n and all(abs(t - 1.0) < 1e-9 for t in total)
    good = good and all(p.probability >= 0 for row in pieces for p in row)
    checks = [Check("probabilities", good, f"sums within {max(abs(t - 1.0) for t in total):.1g} of one")]
    if not good:
        return tuple(checks)
    play = _Play(board, certificate)
    slack = _BLUR * board.span + 1e-9 * float(np.abs(board.prizes).max())
    utilities = np.empty(board.n)
    for i in range(board.n):
        utilities[i], reachable = _expected_utility(play, i)
        if not reachable:
            return (*checks, Check("scores can be had", False, f"developer {i} holds a score beyond its reach"))
    checks.append(Check("scores can be had", True, "within every cap, at or above every start"))
    off = float(np.abs(utilities - np.array(certificate.utilities)).max())
    # the solver integrates cells with fewer nodes
    close = off <= slack + 0.05 * certificate.exploitability * board.span
    checks.append(Check("utilities as stated", close, f"largest difference {off:.3g}"))
    gain, bound, points = _deviations(play, utilities)
    unit = board.span or 1.0
    allowed = 1.05 * certificate.exploitability + 2.0 * slack / unit
    detail = f"largest gain {gain / unit:.3g} of R_1 - R_n at {points} scores, stated {certificate.exploitability:.3g}"
    if np.isfinite(bound):
        detail += f"; no effort whatever gains more than {bound / unit:.3g}"
    checks.append(Check("exploitability", gain / unit <= allowed, detail))
    return tuple(checks)


def _efforts(board: Board, score: FloatArray, tail: FloatArray, *, strictly: bool) -> FloatArray:
    """Least efforts (P, n) that reach a score (or just exceed it), inf where none does, by bisection."""
    stop = board.affordable(beyond=float(board.penalty.max()))
    at, at_tail = score[:, None], tail[:, None]

    def there(efforts: FloatArray) -> BoolArray:
        own, own_tail = board.scores(efforts)
        return above(own, own_tail, at, at_tail) if strictly else ~above(at, at_tail, own, own_tail)

    low, high = np.zeros((len(score), board.n)), np.repeat(stop[None], len(score), axis=0)
    at_zero, at_stop = there(low), there(high)
    for _ in range(80):
        middle = 0.5 * (low + high)
        true = there(middle)
        low, high = np.where(true, low, middle), np.where(true, middle, high)
    return np.where(at_zero, 0.0, np.where(at_stop, high, np.inf))


def _rewards(play: _Play, i: int, score: FloatArray, tail: FloatArray, *, side: int) -> FloatArray:
    """Expected reward (P,) of developer i at a score (side 0), or in the limit from below (-1) or above (1)."""
    board = play.board
    under, at, over = play.below(score, tail)
    flagged = board.flagged(i, score)

    def reward(below: FloatArray) -> FloatArray:
        value = expected_by_count(below, i, board.prizes)
        return value - flagged * expected_by_count(below, i, board.penalty) if board.penalty.any() else value

    if side:
        return reward(under + at + over if side > 0 else under)
    if not board.split:
        return reward(under + at * (board.order[i] < board.order))
    lots, weights = np.polynomial.legendre.leggauss(board.n)
    return np.asarray(sum(w / 2 * reward(under + (x + 1) / 2 * at) for x, w in zip(lots, weights, strict=True)))


def _expected_utility(play: _Play, i: int) -> tuple[float, bool]:
    """Expected reward less cost of developer i, and whether all its scores can be had."""
    board = play.board
    start, start_tail = (float(x[i]) for x in board.scores(board.zero))
    total = 0.0
    held = np.flatnonzero(play.probability[i] > 0)
    nodes, weights = _NODES, _WEIGHTS
    if board.penalty.any():  # suspicion jumps with the claim: many short stretches
        ends = np.linspace(-1.0, 1.0, _STRETCHES + 1)
        nodes = (0.5 * (ends[1:] + ends[:-1])[:, None] + _NODES / _STRETCHES).ravel()
        weights = np.tile(_WEIGHTS / _STRETCHES, _STRETCHES)
    places: list[tuple[float, float, float, int]] = []
    for k in held:
        p = play.probability[i, k]
        low, low_tail = float(play.low[i, k]), float(play.low_tail[i, k])
        if play.size[i, k] > 0:
            for x, w in zip(nodes, weights, strict=True):
                places.append((low, low_tail + (x + 1) / 2 * float(play.size[i, k]), p * w / 2, 0))
        else:
            places.append((low, low_tail, p, 2 if play.over[i, k] else 1))
    table = np.array(places)
    weight, what = table[:, 2], table[:, 3]
    s, t = two_sum(table[:, 0], table[:, 1])  # renormalised, so that scores compare
    if board.game.precision == 0 and np.any(above(start, start_tail, s, t) & (what == 1)):
        return 0.0, False
    if board.game.precision > 0 and np.any(start - s >= board.game.precision * (1 + 1e-9)):
        return 0.0, False
    for strictly in (False, True):
        rows = (what == 2) == strictly
        if not rows.any():
            continue
        efforts = _efforts(board, s[rows], t[rows], strictly=strictly)[:, i]
        if not np.all(np.isfinite(efforts)):
            return 0.0, False
        full = np.zeros((int(rows.sum()), board.n))
        full[:, i] = efforts
        costs = board.costs(full)[:, i]
        # just above everything at a score, and level with those who also are: half of them below, to second order
        if strictly:
            under, at, over = play.below(s[rows], t[rows])
            flagged = board.flagged(i, s[rows])
            below = under + at + 0.5 * over
            reward = expected_by_count(below, i, board.prizes) - flagged * expected_by_count(below, i, board.penalty)
        else:
            reward = _rewards(play, i, s[rows], t[rows], side=0)
        total += float((weight[rows] * (reward - costs)).sum())
    return total, True


def _deviations(play: _Play, utilities: FloatArray) -> tuple[float, float, int]:
    """Largest gain at any of the scores looked at, a bound for every score, and how many were looked at."""
    board, eta = play.board, play.board.game.precision
    ends = {
        (float(s), float(t))
        for low, low_tail, high, high_tail, p in zip(
            play.low.ravel(),
            play.low_tail.ravel(),
            play.high.ravel(),
            play.high_tail.ravel(),
            play.probability.ravel(),
            strict=True,
        )
        if p > 0
        for s, t in ((low, low_tail), (high, high_tail))
    }
    start = board.scores(board.zero)
    if eta > 0:  # only grid levels are published
        levels = grid_level(np.array([*start[0], *(s for s, _ in ends)]), 0.0, eta)
        ends = {(float(s), 0.0) for s in grid_score(np.arange(levels.min(), levels.max() + 2), eta)}
        start = (grid_score(grid_level(*start, eta), eta), board.zero)
    ends |= {(float(s), float(t)) for s, t in zip(*start, strict=True)}
    marks = sorted(ends)
    if eta == 0:
        for (a, at), (b, bt) in pairwise(marks):
            size = (b - a) + (bt - at)
            for share in np.linspace(0, 1, _PER_CELL + 1)[1:-1]:
                middle = a + (at + share * size)
                ends.add((middle, (a - middle) + (at + share * size)))
    both = np.array(sorted(ends))
    score, tail = both[:, 0], both[:, 1]
    gain, bound = 0.0, 0.0
    reach = _efforts(board, score, tail, strictly=False)
    exceed = _efforts(board, score, tail, strictly=True) if eta == 0 else np.full_like(reach, np.inf)
    for i in range(board.n):
        own = ~above(start[0][i], start[1][i], score, tail)
        costs = {}
        for name, efforts in (("at", reach), ("over", exceed)):
            known = np.isfinite(efforts[:, i]) & own
            full = np.zeros((len(score), board.n))
            full[:, i] = np.where(known, efforts[:, i], 0.0)
            costs[name] = np.where(known, board.costs(full)[:, i], np.inf)
        passing = _rewards(play, i, score, tail, side=1)
        reaching = _rewards(play, i, score, tail, side=0)
        found = np.maximum(reaching - costs["at"], passing - costs["over"])
        gain = max(gain, float(found.max()) - utilities[i])
        # between two scores the reward is at most the one just below the upper, the cost at least that of the lower
        under = _rewards(play, i, score, tail, side=-1)
        between = under[1:] - np.minimum(costs["at"], costs["over"])[:-1]
        bound = max(bound, float(np.append(between, found.max()).max()) - utilities[i])
    return gain, bound if eta == 0 and not board.penalty.any() else np.inf, len(score)
