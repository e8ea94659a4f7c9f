"""Pure equilibria of the noisy leaderboard game, for whole batches (DESIGN section 3).

A candidate is found by damped best responses and Newton's method from several starts. Only the check of every
developer's deviations over its whole range of efforts turns it into an equilibrium: with little noise a stationary
profile may be the worst a developer can do.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from threadpoolctl import threadpool_limits

from followers.arrays import BoolArray, FloatArray, IntArray
from followers.game import LeaderboardGame, select
from solvers.certificate import Status
from solvers.claims import NoisyCertificate
from solvers.noise_payoffs import NoisyBoard, noise_of, observe, payoff_rows, scan_payoffs

__all__ = ["NoisyEquilibrium", "solve_noisy"]

TOLERANCE = 1e-7
"""A deviation that gains less than this share of R_1 - R_n is none: efforts are found to about its square root."""

_SCAN = 97
_SWEEPS = 12
_NEWTON = 12
_REPAIRS = 2
_HOPEFUL = 0.02
"""Largest gain, as a share of the span, with which a candidate is worth repairing."""
_STARTS = (0.0, 0.5)
"""Starts, as shares of the most effort that any prize could pay for."""
_BATCH = 100
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
    best: NoisyEquilibrium | None = None
    left = np.arange(game.batch)
    for attempt, share in enumerate(_STARTS, start=1):
        part = select(game, left)
        top = part.worthwhile_effort()
        efforts = _sweeps(part, np.maximum(share * top, part.free_effort()), top)
        found = _repaired(part, _checked(part, _newton(part, efforts, top), top, attempt), top)
        best = found if best is None else _better(best, found, left)
        left = np.flatnonzero(best.codes != 0)
        if not len(left):
            break
    assert best is not None
    return replace(best, game=game)


def _repaired(game: LeaderboardGame, found: NoisyEquilibrium, top: FloatArray) -> NoisyEquilibrium:
    """Candidates that fail by one developer's far deviation: let it deviate, solve again, check again."""
    for _ in range(_REPAIRS):
        tempted = np.argmax(found.gain, axis=1)[:, None]
        near = (found.gain.max(axis=1) < _HOPEFUL * game.prize_span) | (
            np.take_along_axis(found.deviation, tempted, 1)[:, 0] == 0  # an entry fee not worth its while
        )
        left = np.flatnonzero((found.codes != 0) & near)
        if not len(left):
            break
        part = select(game, left)
        efforts = found.efforts[left].copy()
        tempted = np.argmax(found.gain[left], axis=1)
        rows = np.arange(len(left))
        efforts[rows, tempted] = found.deviation[left][rows, tempted]
        again = _checked(part, _newton(part, efforts, top[left]), top[left], int(found.starts[0]))
        found = _better(found, again, left)
    return found


def _better(best: NoisyEquilibrium, found: NoisyEquilibrium, at: IntArray) -> NoisyEquilibrium:
    """`best`, with the candidates of `found` (of the games `at`) where their largest gain is smaller."""
    better = found.gain.max(axis=1) < best.gain[at].max(axis=1)
    changed = {}
    for name in ("codes", "efforts", "utilities", "gain", "deviation"):
        values = getattr(best, name).copy()
        values[at[better]] = getattr(found, name)[better]
        changed[name] = values
    starts = best.starts.copy()
    starts[at] = found.starts
    return replace(best, starts=starts, **changed)


def _grid(game: LeaderboardGame, top: FloatArray, count: int) -> FloatArray:
    """Efforts (G, B, n) from zero to the top: log-spaced from 1e-4 of the top, the ends of what is free among them."""
    shares = np.concatenate([[0.0], np.geomspace(1e-4, 1.0, count)])
    efforts = shares[:, None, None] * top
    extra = np.stack([game.free_effort(), np.fmin(game.plateau_effort(), game.free_effort() * 0.0 + top)])
    extra = np.where(np.isfinite(extra), np.minimum(extra, top), 0.0)
    return np.asarray(np.sort(np.concatenate([efforts, extra]), axis=0))


def _sweeps(game: LeaderboardGame, efforts: FloatArray, top: FloatArray) -> FloatArray:
    """Damped simultaneous best responses on a grid of efforts."""
    grid = _grid(game, top, _SCAN // 2)
    for sweep in range(_SWEEPS):
        worth = scan_payoffs(game, observe(game, efforts), grid)
        choice = np.argmax(worth, axis=0)
        response = np.take_along_axis(grid, choice[None], axis=0)[0]
        efforts = efforts + (0.6 if sweep < _SWEEPS // 2 else 0.3) * (response - efforts)
    return np.asarray(efforts)


def _everyone(game: LeaderboardGame) -> tuple[IntArray, IntArray]:
    b, i = np.indices(game.head_start.shape)
    return b.ravel(), i.ravel()


def _free_to_move(game: LeaderboardGame, efforts: FloatArray, slope: FloatArray, top: FloatArray) -> BoolArray:
    """Who can gain by a small change; the first step from zero costs an entry fee, where there is one."""
    held = (slope <= 0) | (np.broadcast_to(game.cost.entry_jump(), efforts.shape) > 0)
    return np.asarray(~(((efforts <= 0) & held) | ((efforts >= top) & (slope >= 0))))


def _newton(game: LeaderboardGame, efforts: FloatArray, top: FloatArray) -> FloatArray:
    """Newton's method on the first-order conditions within [0, top]; games that arrive or stall are left alone."""
    efforts = efforts.copy()
    left = np.arange(game.batch)
    for _ in range(_NEWTON):
        part = game if len(left) == game.batch else select(game, left)
        efforts[left], going = _newton_step(part, efforts[left], top[left])
        left = left[going]
        if not len(left):
            break
    return efforts


def _newton_step(game: LeaderboardGame, efforts: FloatArray, top: FloatArray) -> tuple[FloatArray, BoolArray]:
    """Efforts after one damped step, and which games (B,) should go on."""
    unit = game.prize_span[:, None] / np.maximum(top, 1e-300)
    slope, jacobian = _first_order(game, efforts, top)
    moving = _free_to_move(game, efforts, slope, top)
    # where payoffs bend upwards a stationary point is the worst effort nearby: walk away from it, downhill never
    developer = np.arange(game.n)
    bent = moving & (jacobian[:, developer, developer] >= 0)
    concave = moving & ~bent
    jacobian[~concave] = 0.0
    held, at = np.nonzero(~concave)
    jacobian[held, at, at] = 1.0
    away = np.where(slope < 0, -efforts, 0.5 * efforts + 0.02 * top)
    move = _solved(jacobian, np.where(concave, -slope, np.where(bent, away, 0.0)))
    merit = np.sqrt((np.where(concave, slope / unit, 0.0) ** 2).sum(axis=1))
    arrived = (merit < 1e-12) & ~bent.any(axis=1)
    result = efforts.copy()
    trying, size = np.flatnonzero(~arrived), 1.0
    for _ in range(5):
        if not len(trying):
            break
        part, most = select(game, trying), top[trying]
        tried = np.clip(efforts[trying] + size * move[trying], 0.0, most)
        b, i = _everyone(part)
        new = payoff_rows(part, observe(part, tried), b, i, tried.ravel()).slope.reshape(tried.shape)
        after = np.where(_free_to_move(part, tried, new, most) & concave[trying], new / unit[trying], 0.0)
        good = (np.sqrt((after**2).sum(axis=1)) < merit[trying]) | bent[trying].any(axis=1)
        result[trying[good]] = tried[good]
        trying, size = trying[~good], 0.3 * size
    going = ~arrived
    going[trying] = False
    return result, going


def _first_order(game: LeaderboardGame, efforts: FloatArray, top: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Slopes of utilities by own efforts (B, n), and their derivatives by all efforts (B, n, n)."""
    b, i = _everyone(game)
    rows = payoff_rows(game, observe(game, efforts), b, i, efforts.ravel(), curvature=True)
    shape, n = efforts.shape, game.n
    rise, per_score = rows.rise.reshape(shape), rows.per_score.reshape(shape)
    jacobian = rows.by_rival.reshape(*shape, n) * rise[:, :, None] * rise[:, None, :]
    # of curve and cost only first derivatives are known
    step = 1e-4 * (efforts + 1e-3 * top) + 1e-9 * (1.0 + efforts + game.head_start)
    place = game.head_start + efforts
    bend = (game.curve.derivative(place + step) - game.curve.derivative(np.maximum(place - step, 0.0))) / (
        place + step - np.maximum(place - step, 0.0)
    )
    lower = np.maximum(efforts - step, 0.0)
    dearer = (game.cost.marginal(efforts + step) - game.cost.marginal(lower)) / (efforts + step - lower)
    developer = np.arange(n)
    jacobian[:, developer, developer] += per_score * bend - dearer
    return rows.slope.reshape(shape), jacobian


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


def _checked(game: LeaderboardGame, efforts: FloatArray, top: FloatArray, attempt: int) -> NoisyEquilibrium:
    """Every developer's best deviation over its whole range: a scan, then the promising peaks to full accuracy."""
    board = observe(game, efforts)
    b, i = _everyone(game)
    at = payoff_rows(game, board, b, i, efforts.ravel())
    utilities = at.value.reshape(efforts.shape)
    settled = _settled(game, efforts, at.slope.reshape(efforts.shape), top)
    grid = _grid(game, top, _SCAN)
    worth = scan_payoffs(game, board, grid)
    span = game.prize_span
    gain, deviation = np.zeros_like(efforts), efforts.copy()
    for k, bb, ii in _peaks(worth, utilities - 2e-4 * span[:, None]):
        low, high = grid[np.maximum(k - 1, 0), bb, ii], grid[np.minimum(k + 1, len(grid) - 1), bb, ii]
        other = ~(settled[bb, ii] & (low <= efforts[bb, ii]) & (efforts[bb, ii] <= high))
        k, bb, ii, low, high = k[other], bb[other], ii[other], low[other], high[other]
        value, where = _peak(game, board, bb, ii, low, high, grid[k, bb, ii])
        better = value - utilities[bb, ii] > gain[bb, ii]
        gain[bb[better], ii[better]] = (value - utilities[bb, ii])[better]
        deviation[bb[better], ii[better]] = where[better]
    # costs may jump or bend there, next to a place where the slope says that all is settled
    plateau = np.where(np.isfinite(game.plateau_effort()), game.plateau_effort(), 0.0)
    for special in (np.zeros_like(efforts), np.minimum(game.free_effort(), top), np.minimum(plateau, top)):
        more = payoff_rows(game, board, b, i, special.ravel()).value.reshape(efforts.shape) - utilities
        deviation = np.where(more > gain, special, deviation)
        gain = np.maximum(gain, more)
    tolerance = TOLERANCE * span
    codes = np.where(gain.max(axis=1) <= tolerance, 0, 2)
    return NoisyEquilibrium(
        game, codes, efforts, utilities, gain, deviation, tolerance, np.full(game.batch, attempt, dtype=np.int64)
    )


def _settled(game: LeaderboardGame, efforts: FloatArray, slope: FloatArray, top: FloatArray) -> BoolArray:
    """Whether an effort is a stationary point of the own payoff, so that the peak it is on need not be sought."""
    unit = game.prize_span[:, None] / np.maximum(top, 1e-300)
    return ~_free_to_move(game, efforts, slope, top) | (np.abs(slope) < 1e-9 * unit)


def _peaks(worth: FloatArray, above: FloatArray) -> list[tuple[IntArray, IntArray, IntArray]]:
    """Local maxima (k, b, i) of worth (G, B, n) that are not below `above` (B, n), one of each developer at a time."""
    padded = np.concatenate([np.full_like(worth[:1], -np.inf), worth, np.full_like(worth[:1], -np.inf)])
    peak = (worth >= padded[:-2]) & (worth > padded[2:]) & (worth >= above)
    rank = np.cumsum(peak, axis=0)
    return [np.nonzero(peak & (rank == r)) for r in range(1, int(rank[-1].max(initial=0)) + 1)]  # type: ignore[misc]


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
