"""Every developer's best deviation in a noisy game, over its whole range of efforts.

A scan finds where a deviation may gain: between two efforts it earns at most the reward of the upper one and pays at
least the cost of the lower one. There peaks are sought to full accuracy.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from followers.arrays import BoolArray, FloatArray, IntArray
from followers.game import LeaderboardGame, select
from solvers.noise_payoffs import EffortTable, NoisyBoard, noise_of, observe, payoff_rows, profile, scan_table

__all__ = ["best_deviations", "effort_grid", "free_to_move", "kinks", "places_of_kinks", "rows_of", "slope_unit"]

_NEAR = 2e-4
"""Shortfall, as a share of the span, of a scanned effort that is looked at more closely."""
_BY_LOG_NOISE = 0.242
"""max x phi(x), at x = 1."""
_HALVINGS = 18

Bracket = tuple[IntArray, IntArray, FloatArray, FloatArray, FloatArray]


def effort_grid(game: LeaderboardGame, top: FloatArray, count: int) -> FloatArray:
    """Efforts (G, B, n) from zero to the top: log-spaced from 1e-4 of the top, the ends of what is free among them.

    With audits also those just below which one more success becomes too few: the power of the test jumps there.
    """
    shares = np.concatenate([[0.0], np.geomspace(1e-4, 1.0, count)])
    extra = np.stack([game.free_effort(), game.plateau_effort()])
    if game.audit is not None:
        claims = game.audit.claim_steps()
        claims = claims[(claims > game.scores(0.0)[0].min()) & (claims < game.scores(top)[0].max())]
        reach = game.reach(claims[:, None, None], 0.0)
        extra = np.concatenate([extra, np.where(np.isfinite(reach), reach * (1.0 - 1e-10), 0.0)])
    extra = np.where(np.isfinite(extra), np.minimum(extra, top), 0.0)
    return np.asarray(np.sort(np.concatenate([shares[:, None, None] * top, extra]), axis=0))


def places_of_kinks(game: LeaderboardGame, table: EffortTable) -> IntArray:
    """Places in the table of efforts at which costs may jump or bend, (K, B, n): zero, the ends of what is free."""
    top = table.effort[-1]
    plateau = np.where(np.isfinite(game.plateau_effort()), game.plateau_effort(), 0.0)
    places = (np.minimum(e, top) for e in (game.free_effort(), plateau))
    return np.stack([np.zeros(top.shape, np.int64), *((table.effort < e).sum(axis=0) for e in places)])


def kinks(game: LeaderboardGame) -> FloatArray:
    """Efforts at which a cost may bend from flat to rising, (2, B, n), 0 where there are none."""
    ends = np.stack([game.free_effort(), game.plateau_effort()])
    return np.asarray(np.where(np.isfinite(ends), ends, 0.0))


def free_to_move(game: LeaderboardGame, efforts: FloatArray, slope: FloatArray, top: FloatArray) -> BoolArray:
    """Who can gain by a small change; the first step from zero costs an entry fee, where there is one."""
    held = (slope <= 0) | (np.broadcast_to(game.cost.entry_jump(), efforts.shape) > 0)
    bent = (efforts > 0) & (efforts == kinks(game)).any(axis=0) & (slope <= 0)  # falls beyond, rises up to it
    with np.errstate(invalid="ignore"):
        bent &= ~(slope + game.cost.marginal(efforts) < 0)
    return np.asarray(~(((efforts <= 0) & held) | ((efforts >= top) & (slope >= 0)) | bent))


def slope_unit(game: LeaderboardGame, top: FloatArray) -> FloatArray:
    """What slopes are measured in, (B, n): prize span per worthwhile effort; 1 where there is nothing to win."""
    span = game.prize_span[:, None]
    return np.where((top > 0) & (span > 0), span / np.maximum(top, 1e-300), 1.0)


def rows_of(table: EffortTable, at: IntArray) -> EffortTable:
    """The table of the games `at`."""
    names = ("effort", "score", "scale", "cost", "flagged")
    return EffortTable(*(np.ascontiguousarray(getattr(table, name)[:, at]) for name in names))


def best_deviations(
    game: LeaderboardGame, table: EffortTable, efforts: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Utilities at `efforts`, the gains by the best deviations from there, and their efforts, all (B, n).

    Where the scan alone finds a gain beyond all doubt, that is the gain reported.
    """
    board = observe(game, efforts)
    at = profile(game, board)
    utilities, span = at.value, game.prize_span
    settled = _settled(game, efforts, at.slope, table.effort[-1])
    worth, blur = scan_table(game, board, table)
    best = np.argmax(worth, axis=0)[None]
    gain = np.maximum(np.take_along_axis(worth, best, 0)[0] - utilities, 0.0)
    deviation = np.where(gain > 0, np.take_along_axis(table.effort, best, 0)[0], efforts)
    open_ = np.flatnonzero(~(gain.max(axis=1) > (_NEAR + blur) * span))
    if len(open_):
        closer = select(game, open_)
        near = NoisyBoard(*(getattr(board, f)[open_] for f in ("efforts", "score", "scale", "change", "bend")))
        gain[open_], deviation[open_] = _deviations(
            closer, near, rows_of(table, open_), worth[:, open_], blur[open_], utilities[open_], settled[open_]
        )
    gain[gain < 1e-13 * np.abs(game.prizes).max(axis=1, keepdims=True)] = 0.0  # rounding
    return utilities, gain, deviation


def _deviations(
    game: LeaderboardGame,
    board: NoisyBoard,
    table: EffortTable,
    worth: FloatArray,
    blur: FloatArray,
    utilities: FloatArray,
    settled: BoolArray,
) -> tuple[FloatArray, FloatArray]:
    """Gains and efforts (B, n) of the best deviations, from a scan `worth` that is exact to `blur` of the span."""
    grid, efforts = table.effort, board.efforts
    gain, deviation = np.zeros_like(efforts), efforts.copy()
    promising = _promising(game, table, worth, blur, utilities)
    for bb, ii, low, middle, high in _brackets(table, worth, promising, efforts, settled):
        value, where = _peak(game, board, bb, ii, low, high, middle)
        better = value - utilities[bb, ii] > gain[bb, ii]
        gain[bb[better], ii[better]] = (value - utilities[bb, ii])[better]
        deviation[bb[better], ii[better]] = where[better]
    above = utilities - ((_NEAR + blur) * game.prize_span)[:, None]
    # costs may jump or bend there, next to a place where the slope says that all is settled
    for place in places_of_kinks(game, table):
        effort = np.take_along_axis(grid, place[None], 0)[0]
        bb, ii = np.nonzero((np.take_along_axis(worth, place[None], 0)[0] >= above) & (effort != efforts))
        if not len(bb):
            continue
        more = payoff_rows(game, board, bb, ii, effort[bb, ii]).value - utilities[bb, ii]
        better = more > gain[bb, ii]
        gain[bb[better], ii[better]] = more[better]
        deviation[bb[better], ii[better]] = effort[bb, ii][better]
    return gain, deviation


def _settled(game: LeaderboardGame, efforts: FloatArray, slope: FloatArray, top: FloatArray) -> BoolArray:
    """Whether an effort is a stationary point of the own payoff, so that the peak it is on need not be sought."""
    return ~free_to_move(game, efforts, slope, top) | (np.abs(slope) < 1e-9 * slope_unit(game, top))


def _promising(
    game: LeaderboardGame, table: EffortTable, worth: FloatArray, blur: FloatArray, utilities: FloatArray
) -> BoolArray:
    """Whether an effort between two of the table may gain, (G - 1, B, n).

    It earns at most the reward of the upper end and pays at least the cost of the lower end: the reward does not fall
    with the score, but for what a change of the noise can do, |d E[V] / d log sigma| <= max x phi(x) (R_1 - R_n).
    """
    span = game.prize_span[:, None]
    left = table.cost[:-1].copy()
    left[0] = np.maximum(left[0], game.cost.entry_jump())
    reward = worth + table.cost
    least, most_noise = np.fmin(table.scale[1:], table.scale[:-1]), np.fmax(table.scale[1:], table.scale[:-1])
    around = (table.score[:-1] < 0.5) & (table.score[1:] > 0.5)  # where a share of correct items is noisiest
    most_noise = np.where(around, np.fmax(most_noise, noise_of(game).scale(0.5)), most_noise)
    with np.errstate(divide="ignore", invalid="ignore"):
        wider = np.log(most_noise / least)
    slack = _BY_LOG_NOISE * np.where(np.isfinite(wider), wider, 1.0) + blur[:, None]
    if game.audit is not None:  # being flagged more often, or at another rank, may cost less
        slack = slack + np.abs(np.diff(table.flagged, axis=0)) * np.abs(game.penalty).max(axis=1, keepdims=True) + _NEAR
    most = np.where(game.audit is None, reward[1:], np.maximum(reward[1:], reward[:-1]))
    return np.asarray(most - left + slack * span > utilities)


def _brackets(
    table: EffortTable, worth: FloatArray, promising: BoolArray, efforts: FloatArray, settled: BoolArray
) -> Iterator[Bracket]:
    """Games b and developers i (M,) with the lower end, the middle and the upper end of where a peak is to be sought.

    Every local maximum of the scan `worth` beside a promising stretch, every promising stretch that is longer than the
    noise, and the effort itself where it is not settled; of each developer one at a time.
    """
    grid, last = table.effort, len(worth) - 1
    edge = np.full_like(worth[:1], -np.inf)
    padded = np.concatenate([edge, worth, edge])
    none = np.zeros_like(promising[:1])
    beside = np.concatenate([promising, none]) | np.concatenate([none, promising])
    peak = (worth >= padded[:-2]) & (worth > padded[2:]) & beside
    low, high = grid[np.r_[0, :last]], grid[np.r_[1 : last + 1, last]]
    peak &= ~(settled & (low <= efforts) & (efforts <= high))
    yield from _in_turn(peak, low, grid, high)
    long = promising & (np.diff(table.score, axis=0) > np.fmax(table.scale[1:], table.scale[:-1]))
    long &= ~(peak[1:] | peak[:-1] | (settled & (grid[:-1] <= efforts) & (efforts <= grid[1:])))
    yield from _in_turn(long, grid[:-1], 0.5 * (grid[:-1] + grid[1:]), grid[1:])
    if not settled.all():
        k = np.clip((grid < efforts).sum(axis=0), 1, last)[None]
        ends = (np.take_along_axis(grid, np.clip(x, 0, last), 0) for x in (k - 2, k + 1))
        below, beyond = ends
        yield from _in_turn(~settled[None], below, efforts[None], beyond)


def _in_turn(chosen: BoolArray, low: FloatArray, middle: FloatArray, high: FloatArray) -> Iterator[Bracket]:
    """The chosen brackets (K, B, n), those of a developer one after the other."""
    rank = np.cumsum(chosen, axis=0)
    for r in range(1, int(rank[-1].max(initial=0)) + 1):
        k, b, i = np.nonzero(chosen & (rank == r))
        yield b, i, low[k, b, i], middle[k, b, i], high[k, b, i]


def _peak(
    game: LeaderboardGame,
    board: NoisyBoard,
    b: IntArray,
    i: IntArray,
    low: FloatArray,
    high: FloatArray,
    middle: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Best payoff and effort (M,) found around a peak: bisection of the slope, and the three efforts given."""
    rows = payoff_rows(game, board, b, i, middle)
    value, slope = rows.value, rows.slope
    best, where = value, middle
    left, right = np.where(slope > 0, middle, low), np.where(slope > 0, high, middle)
    for end in (low, high):
        value = payoff_rows(game, board, b, i, end).value
        best, where = np.where(value > best, value, best), np.where(value > best, end, where)
    for _ in range(_HALVINGS):
        middle = 0.5 * (left + right)
        rows = payoff_rows(game, board, b, i, middle)
        value, slope = rows.value, rows.slope
        best, where = np.where(value > best, value, best), np.where(value > best, middle, where)
        left, right = np.where(slope > 0, middle, left), np.where(slope > 0, right, middle)
    return best, where
