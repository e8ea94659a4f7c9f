"""Pure equilibria of the noisy leaderboard game, for whole batches (DESIGN section 3).

A candidate is found by damped best responses and Newton's method from several starts. Only the check of every
developer's deviations over its whole range of efforts turns it into an equilibrium: with little noise a stationary
profile may be the worst a developer can do.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from threadpoolctl import threadpool_limits

from followers.arrays import BoolArray, FloatArray, IntArray
from followers.game import LeaderboardGame, select
from solvers.certificate import Status
from solvers.claims import NoisyCertificate
from solvers.noise_payoffs import (
    EffortTable,
    NoisyBoard,
    effort_table,
    noise_of,
    observe,
    payoff_rows,
    profile,
    scan_table,
)
from solvers.noise_search import best_responses

__all__ = ["NoisyEquilibrium", "solve_noisy"]

TOLERANCE = 1e-7
"""A deviation that gains less than this share of R_1 - R_n is none: efforts are found to about its square root."""

_SCAN = 97
_NEWTON = 25
_WORTH_NEWTON = 5e-3
"""Largest regret after best responses, as a share of the span, from which Newton's method is tried."""
_NEAR = 2e-4
"""Shortfall of a scanned effort, as a share of the span, within which a better one may lie beside it."""
_BY_LOG_NOISE = 0.242
"""max x phi(x), at x = 1."""
_STARTS = (
    (0.0, np.concatenate([np.linspace(0.7, 0.2, 12), np.linspace(0.5, 0.05, 12)])),
    (0.03, np.linspace(0.7, 0.08, 16)),
)
"""Starts, as shares of the most effort that any prize could pay for, and the damping of the sweeps from there."""
_ANOTHER_START = 0.15
"""Largest regret, as a share of the span, after which another start is tried."""
_BATCH = 64
_CODES = (Status.EXISTS, Status.ABSENT, Status.UNKNOWN)


@dataclass(frozen=True, slots=True)
class NoisyEquilibrium:
    """What is known about the pure equilibria of a batch of B noisy games.

    Attributes
    ----------
    game : the batch that was solved.
    codes : (B,), index into (EXISTS, ABSENT, UNKNOWN); never ABSENT: no theorem gives that here.
    efforts : (B, n), the equilibrium, or the best candidate where the status is UNKNOWN; steps.
    utilities : (B, n), expected prize less cost there, prize units.
    gain : (B, n), what each developer gains by its best deviation found, prize units.
    deviation : (B, n), the effort of that deviation, steps.
    tolerance : (B,), prize units.
    starts : (B,), how many starts were tried.
    """

    game: LeaderboardGame
    codes: IntArray
    efforts: FloatArray
    utilities: FloatArray
    gain: FloatArray
    deviation: FloatArray
    tolerance: FloatArray
    starts: IntArray

    def status(self, b: int = 0) -> Status:
        """Status of game b."""
        return _CODES[int(self.codes[b])]

    @property
    def exists(self) -> BoolArray:
        """(B,), whether an equilibrium was found."""
        return np.asarray(self.codes == 0)

    def certificate(self, b: int = 0) -> NoisyCertificate:
        """Certificate of game b; see `solvers.checker.check`."""
        exists = self.status(b) is Status.EXISTS
        notes: tuple[str, ...] = ()
        if not exists:
            notes = (
                "no candidate survives the check of every deviation, which is no proof that there is no equilibrium; "
                f"the best one found leaves a gain of {self.gain[b].max():.4g}",
            )
        return NoisyCertificate(
            status=self.status(b),
            theorem="checked over every developer's whole range of efforts" if exists else "none applies",
            efforts=tuple(self.efforts[b].tolist()),
            utilities=tuple(self.utilities[b].tolist()),
            gains=tuple(self.gain[b].tolist()),
            deviations=tuple(self.deviation[b].tolist()),
            tolerance=float(self.tolerance[b]),
            notes=notes,
        )

    def method(self, b: int = 0) -> str:
        """How game b was decided, in words."""
        return f"noisy: best responses and Newton from {int(self.starts[b])} start(s), then every deviation checked"


def solve_noisy(game: LeaderboardGame) -> NoisyEquilibrium:
    """Pure equilibria of noisy games; EXISTS where a candidate survives the global check, else UNKNOWN.

    Raises
    ------
    ValueError : no noise.

    References
    ----------
    Lazear & Rosen (1981), Journal of Political Economy 89(5), for first-order candidates and why they may fail.
    """
    noise_of(game)
    slices = [slice(a, a + _BATCH) for a in range(0, game.batch, _BATCH)]
    # the slices, and so the result, do not depend on the workers; BLAS threads of their own would only stand in the way
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        parts = list(pool.map(lambda at: _solve_part(select(game, at)), slices))
    names = ("codes", "efforts", "utilities", "gain", "deviation", "tolerance", "starts")
    joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    return NoisyEquilibrium(game=game, **joined)


def _solve_part(game: LeaderboardGame) -> NoisyEquilibrium:
    top, span, shape = game.worthwhile_effort(), game.prize_span, game.head_start.shape
    table = effort_table(game, _grid(game, top, _SCAN))
    guess, regret = np.zeros(shape), np.full(game.batch, np.inf)
    best = NoisyEquilibrium(
        game=game,
        codes=np.full(game.batch, 2),
        efforts=guess.copy(),
        utilities=np.full(shape, np.nan),
        gain=np.full(shape, np.inf),
        deviation=guess.copy(),
        tolerance=TOLERANCE * span,
        starts=np.zeros(game.batch, dtype=np.int64),
    )
    for share, damping in _STARTS:
        left = np.flatnonzero((best.codes != 0) & ((best.starts == 0) | (regret <= _ANOTHER_START * span)))
        if not len(left):
            break
        best.starts[left] += 1
        part, its_table = select(game, left), _rows_of(table, left)
        start = np.maximum(share * top[left], part.free_effort())
        efforts, its_regret = _sweeps(part, its_table, start, damping)
        closer = left[its_regret < regret[left]]
        guess[closer] = efforts[its_regret < regret[left]]
        regret[left] = np.minimum(regret[left], its_regret)
        hopeful = its_regret <= _WORTH_NEWTON * span[left]
        at, part = left[hopeful], select(part, hopeful)
        if len(at):
            efforts = _newton(part, efforts[hopeful], top[at])
            best = _better(best, _checked(part, _rows_of(table, at), efforts), at)
    failed = np.flatnonzero(best.codes != 0)
    if len(failed):
        best = _better(best, _checked(select(game, failed), _rows_of(table, failed), guess[failed]), failed)
    return best


def _rows_of(table: EffortTable, at: IntArray) -> EffortTable:
    """The table of the games `at`."""
    names = ("effort", "score", "scale", "cost", "flagged")
    return EffortTable(*(np.ascontiguousarray(getattr(table, name)[:, at]) for name in names))


def _better(best: NoisyEquilibrium, found: NoisyEquilibrium, at: IntArray) -> NoisyEquilibrium:
    """`best`, with the candidates of `found` (of the games `at`) where their largest gain is smaller."""
    better = found.gain.max(axis=1) < best.gain[at].max(axis=1)
    changed = {}
    for name in ("codes", "efforts", "utilities", "gain", "deviation"):
        values = getattr(best, name).copy()
        values[at[better]] = getattr(found, name)[better]
        changed[name] = values
    return replace(best, **changed)


def _grid(game: LeaderboardGame, top: FloatArray, count: int) -> FloatArray:
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


def _special(game: LeaderboardGame, table: EffortTable) -> IntArray:
    """Where the efforts at which costs may jump or bend stand in the table, (K, B, n): zero, the ends of what is free."""
    top = table.effort[-1]
    plateau = np.where(np.isfinite(game.plateau_effort()), game.plateau_effort(), 0.0)
    places = (np.minimum(e, top) for e in (game.free_effort(), plateau))
    return np.stack([np.zeros(top.shape, np.int64), *((table.effort < e).sum(axis=0) for e in places)])


def _sweeps(
    game: LeaderboardGame, table: EffortTable, start: FloatArray, damping: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Efforts (B, n) after damped simultaneous best responses from `start`, and the regret there (B,)."""

    def last(values: FloatArray) -> FloatArray:
        return np.ascontiguousarray(np.moveaxis(values, 0, -1))

    noise, shape = noise_of(game), game.head_start.shape
    score = np.clip(np.broadcast_to(game.scores(start)[0], shape), table.score[0], table.score[-1])
    efforts, regret = best_responses(
        *(last(x) for x in (table.effort, table.score, table.cost, table.flagged)),
        np.ascontiguousarray(np.broadcast_to(game.cost.entry_jump(), shape)),
        last(_special(game, table)),
        score,
        np.ascontiguousarray(game.prizes),
        np.ascontiguousarray(game.penalty),
        noise.sigma,
        noise.items,
        damping,
    )
    return np.clip(efforts, 0.0, table.effort[-1]), regret


def _kinks(game: LeaderboardGame) -> FloatArray:
    """Efforts at which a cost may bend from flat to rising, (2, B, n), 0 where there are none."""
    ends = np.stack([game.free_effort(), game.plateau_effort()])
    return np.asarray(np.where(np.isfinite(ends), ends, 0.0))


def _free_to_move(game: LeaderboardGame, efforts: FloatArray, slope: FloatArray, top: FloatArray) -> BoolArray:
    """Who can gain by a small change; the first step from zero costs an entry fee, where there is one."""
    held = (slope <= 0) | (np.broadcast_to(game.cost.entry_jump(), efforts.shape) > 0)
    bent = (efforts > 0) & (efforts == _kinks(game)).any(axis=0) & (slope <= 0)  # falls beyond, rises up to it
    with np.errstate(invalid="ignore"):
        bent &= ~(slope + game.cost.marginal(efforts) < 0)
    return np.asarray(~(((efforts <= 0) & held) | ((efforts >= top) & (slope >= 0)) | bent))


def _unit(game: LeaderboardGame, top: FloatArray) -> FloatArray:
    """Slopes are small or large beside the prize span per worthwhile effort, (B, n); 1 where there is nothing to win."""
    return np.asarray(np.where(top > 0, game.prize_span[:, None] / np.maximum(top, 1e-300), 1.0)) + (
        game.prize_span[:, None] == 0
    )


def _newton(game: LeaderboardGame, efforts: FloatArray, top: FloatArray) -> FloatArray:
    """Damped Newton's method on the first-order conditions within [0, top]; games that arrive or stall are left alone."""
    result = efforts.copy()
    left, size = np.arange(game.batch), np.ones(game.batch)
    slope, jacobian = _first_order(game, efforts, top)
    for _ in range(_NEWTON):
        step = _newton_step(game, efforts, top, slope, jacobian)
        going = ~step.arrived & (size > 0.3**4.5)
        if not going.all():
            result[left] = efforts
            left, game, efforts, top = left[going], select(game, going), efforts[going], top[going]
            slope, jacobian, size = slope[going], jacobian[going], size[going]
            step = NewtonStep(*(getattr(step, name)[going] for name in ("move", "merit", "judged", "bent", "arrived")))
        if not len(left):
            return result
        tried = np.clip(efforts + size[:, None] * step.move, 0.0, top)
        for kink in _kinks(game):  # what is known of the slope ends there
            tried = np.where((efforts - kink) * (tried - kink) < 0, kink, tried)
        its_slope, its_jacobian = _first_order(game, tried, top)
        unit = _unit(game, top)
        after = np.where(_free_to_move(game, tried, its_slope, top) & step.judged, its_slope / unit, 0.0)
        good = ((np.sqrt((after**2).sum(axis=1)) < step.merit) | step.bent) & np.isfinite(tried).all(axis=1)
        efforts = np.where(good[:, None], tried, efforts)
        slope = np.where(good[:, None], its_slope, slope)
        jacobian = np.where(good[:, None, None], its_jacobian, jacobian)
        size = np.where(good, 1.0, 0.3 * size)
    result[left] = efforts
    return result


@dataclass(frozen=True, slots=True)
class NewtonStep:
    """A step of Newton's method in B games.

    move : (B, n), steps. merit : (B,), how far the conditions of those `judged` (B, n) are from holding. bent : (B,),
    whether someone walks away from a payoff minimum, which the merit does not judge. arrived : (B,).
    """

    move: FloatArray
    merit: FloatArray
    judged: BoolArray
    bent: BoolArray
    arrived: BoolArray


def _newton_step(
    game: LeaderboardGame, efforts: FloatArray, top: FloatArray, slope: FloatArray, jacobian: FloatArray
) -> NewtonStep:
    moving = _free_to_move(game, efforts, slope, top)
    # where payoffs bend upwards a stationary point is the worst effort nearby: walk away from it, downhill never
    developer = np.arange(game.n)
    bent = moving & (jacobian[:, developer, developer] >= 0)
    concave = moving & ~bent
    matrix = np.where(concave[:, :, None], jacobian, 0.0)
    held, at = np.nonzero(~concave)
    matrix[held, at, at] = 1.0
    away = np.where(slope < 0, -efforts, 0.5 * efforts + 0.02 * top)
    move = _solved(matrix, np.where(concave, -slope, np.where(bent, away, 0.0)))
    move = np.where(np.isfinite(move), move, 0.0)
    merit = np.sqrt((np.where(concave, slope / _unit(game, top), 0.0) ** 2).sum(axis=1))
    return NewtonStep(move, merit, concave, bent.any(axis=1), (merit < 1e-12) & ~bent.any(axis=1))


def _first_order(game: LeaderboardGame, efforts: FloatArray, top: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Slopes of utilities by own efforts (B, n), and their derivatives by all efforts (B, n, n)."""
    rows = profile(game, observe(game, efforts), curvature=True)
    n, rise = game.n, rows.rise
    jacobian = rows.by_rival * rise[:, :, None] * rise[:, None, :]
    # of curve and cost only first derivatives are known
    step = 1e-4 * (efforts + 1e-3 * top) + 1e-9 * (1.0 + efforts + game.head_start)
    place = game.head_start + efforts
    bend = (game.curve.derivative(place + step) - game.curve.derivative(np.maximum(place - step, 0.0))) / (
        place + step - np.maximum(place - step, 0.0)
    )
    lower = np.maximum(efforts - step, 0.0)
    dearer = (game.cost.marginal(efforts + step) - game.cost.marginal(lower)) / (efforts + step - lower)
    developer = np.arange(n)
    jacobian[:, developer, developer] += rows.per_score * bend - dearer
    return rows.slope, jacobian


def _solved(matrix: FloatArray, right: FloatArray) -> FloatArray:
    """Solutions (B, n); zero steps where a matrix is singular."""
    try:
        return np.asarray(np.linalg.solve(matrix, right[..., None])[..., 0])
    except np.linalg.LinAlgError:
        result = np.zeros_like(right)
        for b in range(len(right)):
            if np.linalg.matrix_rank(matrix[b]) == right.shape[1]:
                result[b] = np.linalg.solve(matrix[b], right[b])
        return result


def _checked(game: LeaderboardGame, table: EffortTable, efforts: FloatArray) -> NoisyEquilibrium:
    """Every developer's best deviation over its whole range: a scan, then the promising peaks to full accuracy.

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
            closer, near, _rows_of(table, open_), worth[:, open_], blur[open_], utilities[open_], settled[open_]
        )
    gain[gain < 1e-13 * np.abs(game.prizes).max(axis=1, keepdims=True)] = 0.0  # rounding
    tolerance = TOLERANCE * span
    known = np.isfinite(efforts).all(axis=1) & np.isfinite(utilities).all(axis=1)
    codes = np.where(known & (gain.max(axis=1) <= tolerance), 0, 2)
    return NoisyEquilibrium(
        game, codes, efforts, utilities, gain, deviation, tolerance, np.zeros(game.batch, dtype=np.int64)
    )


def _deviations(
    game: LeaderboardGame,
    board: NoisyBoard,
    table: EffortTable,
    worth: FloatArray,
    blur: FloatArray,
    utilities: FloatArray,
    settled: BoolArray,
) -> tuple[FloatArray, FloatArray]:
    """Gains and efforts (B, n) of the best deviations, to full accuracy, from a scan `worth` that is exact to `blur`."""
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
    for place in _special(game, table):
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
    return ~_free_to_move(game, efforts, slope, top) | (np.abs(slope) < 1e-9 * _unit(game, top))


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
    with np.errstate(divide="ignore", invalid="ignore"):
        wider = np.abs(np.log(table.scale[1:] / table.scale[:-1]))
    slack = _BY_LOG_NOISE * np.where(np.isfinite(wider), wider, 1.0) + blur[:, None]
    if game.audit is not None:  # being flagged more often, or at another rank, may cost less
        slack = slack + np.abs(np.diff(table.flagged, axis=0)) * np.abs(game.penalty).max(axis=1, keepdims=True) + _NEAR
    most = np.where(game.audit is None, reward[1:], np.maximum(reward[1:], reward[:-1]))
    return np.asarray(most - left + slack * span > utilities)


Bracket = tuple[IntArray, IntArray, FloatArray, FloatArray, FloatArray]


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
    for _ in range(18):
        middle = 0.5 * (left + right)
        rows = payoff_rows(game, board, b, i, middle)
        value, slope = rows.value, rows.slope
        best, where = np.where(value > best, value, best), np.where(value > best, middle, where)
        left, right = np.where(slope > 0, middle, left), np.where(slope > 0, right, middle)
    return best, where
