"""Pure equilibria of the noisy leaderboard game, for whole batches (DESIGN section 3).

A candidate is found by damped best responses and Newton's method from several starts. Only the check of every
developer's deviations over its whole range of efforts turns it into an equilibrium: with little noise a stationary
profile may be the worst a developer can do.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from followers.arrays import BoolArray, FloatArray, IntArray
from followers.game import LeaderboardGame, select
from solvers.certificate import Status
from solvers.claims import NoisyCertificate
from solvers.noise_deviations import (
    best_deviations,
    effort_grid,
    free_to_move,
    kinks,
    places_of_kinks,
    rows_of,
    slope_unit,
)
from solvers.noise_payoffs import EffortTable, effort_table, noise_of, observe, profile
from solvers.noise_search import best_responses

__all__ = ["NoisyEquilibrium", "solve_noisy"]

TOLERANCE = 1e-7
"""A deviation that gains less than this share of R_1 - R_n is none: efforts are found to about its square root."""

_SCAN = 97
_NEWTON = 25
_WORTH_NEWTON = 5e-3
"""Largest regret after best responses, as a share of the span, from which Newton's method is tried."""
_STEADY = np.concatenate([np.linspace(0.7, 0.2, 12), np.linspace(0.5, 0.05, 12)])
_STARTS = ((0.0, _STEADY, 1_000_000), (0.03, np.linspace(0.7, 0.08, 16), 1_000_000), (1.0, _STEADY, 8))
"""Starts, as shares of the most effort that any prize could pay for, the damping of the sweeps from there, and up to
how many developers they are worth their time."""
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
    table = effort_table(game, effort_grid(game, top, _SCAN))
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
    for share, damping, most in _STARTS:
        left = np.flatnonzero((best.codes != 0) & ((best.starts == 0) | (regret <= _ANOTHER_START * span)))
        if not len(left) or game.n > most:
            break
        best.starts[left] += 1
        part, its_table = select(game, left), rows_of(table, left)
        start = np.maximum(share * top[left], part.free_effort())
        efforts, its_regret = _sweeps(part, its_table, start, damping)
        closer = left[its_regret < regret[left]]
        guess[closer] = efforts[its_regret < regret[left]]
        regret[left] = np.minimum(regret[left], its_regret)
        hopeful = its_regret <= _WORTH_NEWTON * span[left]
        at, part = left[hopeful], select(part, hopeful)
        if len(at):
            efforts = _newton(part, efforts[hopeful], top[at])
            best = _better(best, _checked(part, rows_of(table, at), efforts), at)
    failed = np.flatnonzero(best.codes != 0)
    if len(failed):
        best = _better(best, _checked(select(game, failed), rows_of(table, failed), guess[failed]), failed)
    return best


def _checked(game: LeaderboardGame, table: EffortTable, efforts: FloatArray) -> NoisyEquilibrium:
    """The profiles `efforts` (B, n), equilibria where nobody's best deviation gains more than the tolerance."""
    utilities, gain, deviation = best_deviations(game, table, efforts)
    tolerance = TOLERANCE * game.prize_span
    known = np.isfinite(efforts).all(axis=1) & np.isfinite(utilities).all(axis=1)
    codes = np.where(known & (gain.max(axis=1) <= tolerance), 0, 2)
    return NoisyEquilibrium(
        game, codes, efforts, utilities, gain, deviation, tolerance, np.zeros(game.batch, dtype=np.int64)
    )


def _better(best: NoisyEquilibrium, found: NoisyEquilibrium, at: IntArray) -> NoisyEquilibrium:
    """`best`, with the candidates of `found` (of the games `at`) where their largest gain is smaller."""
    better = found.gain.max(axis=1) < best.gain[at].max(axis=1)
    changed = {}
    for name in ("codes", "efforts", "utilities", "gain", "deviation"):
        values = getattr(best, name).copy()
        values[at[better]] = getattr(found, name)[better]
        changed[name] = values
    return replace(best, **changed)


def _sweeps(
    game: LeaderboardGame, table: EffortTable, start: FloatArray, damping: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Efforts (B, n) after damped simultaneous best responses from `start`, and the regret there (B,)."""

    def last(values: Any) -> Any:
        return np.ascontiguousarray(np.moveaxis(values, 0, -1))

    noise, shape = noise_of(game), game.head_start.shape
    score = np.clip(np.broadcast_to(game.scores(start)[0], shape), table.score[0], table.score[-1])
    efforts, regret = best_responses(
        last(table.effort),
        last(table.score),
        last(table.cost),
        last(table.flagged),
        np.ascontiguousarray(np.broadcast_to(game.cost.entry_jump(), shape)),
        last(places_of_kinks(game, table)),
        score,
        np.ascontiguousarray(game.prizes),
        np.ascontiguousarray(game.penalty),
        noise.sigma,
        noise.items,
        damping,
    )
    return np.clip(efforts, 0.0, table.effort[-1]), regret


def _newton(game: LeaderboardGame, efforts: FloatArray, top: FloatArray) -> FloatArray:
    """Damped Newton's method on the first-order conditions within [0, top]; games that arrive or stall drop out."""
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
        for kink in kinks(game):  # what is known of the slope ends there
            tried = np.where((efforts - kink) * (tried - kink) < 0, kink, tried)
        its_slope, its_jacobian = _first_order(game, tried, top)
        unit = slope_unit(game, top)
        after = np.where(free_to_move(game, tried, its_slope, top) & step.judged, its_slope / unit, 0.0)
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
    moving = free_to_move(game, efforts, slope, top)
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
    merit = np.sqrt((np.where(concave, slope / slope_unit(game, top), 0.0) ** 2).sum(axis=1))
    walking = np.asarray(bent.any(axis=1))
    return NewtonStep(move, merit, concave, walking, (merit < 1e-12) & ~walking)


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
