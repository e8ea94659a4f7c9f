"""Equilibria of a level game by an interior-point path (DESIGN section 3).

At an equilibrium every developer's masses w and shortfalls z = U - payoff satisfy w >= 0, z >= 0, w z = 0. The path
relaxes the last to w z = mu / (number of open levels) and follows mu to zero: the logarithmic tracing procedure, which
generically leads from the evenly spread profile to an equilibrium (Harsanyi & Selten 1988; Herings & Peeters 2010,
Economic Theory 42). Since the masses of a developer sum to one, mu bounds what it can still gain in the level game.

Payoffs at a level depend on rivals only through their cumulative masses there, so each Newton system is banded: unknown
cumulative masses F_k and equilibrium payoffs U, level by level, 2n per level; O(E n^3) in all, and never (E n)^3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from followers.arrays import BoolArray, FloatArray, IntArray
from solvers.levels import LevelGame, Payoffs, level_payoffs

__all__ = ["Path", "follow"]

_CLOSE = 0.1
"""How far from the path, as a share of mu, a point still counts as on it."""


@dataclass(frozen=True, slots=True)
class Path:
    """Where the path ended.

    mass, shortfall : (E, n). payoffs : (n,), U. mu : what a developer can still gain in the level game, as a share of
    the prize span. solves : linear systems solved. reached : whether mu came down to what was asked.
    """

    mass: FloatArray
    shortfall: FloatArray
    payoffs: FloatArray
    mu: float
    solves: int
    reached: bool


@dataclass(frozen=True, slots=True)
class _Point:
    """A point near the path: w z = mu weight holds exactly by the choice of coordinates y = w - z."""

    y: FloatArray
    payoffs: FloatArray
    log_mu: float


@dataclass(frozen=True, slots=True)
class _Move:
    """A direction: change of w, of U and of log mu, and of log(w / z)."""

    mass: FloatArray
    payoffs: FloatArray
    log_mu: float
    ratio: FloatArray


def _masses(point: _Point, weight: FloatArray, is_open: BoolArray) -> tuple[FloatArray, FloatArray]:
    product = np.exp(point.log_mu) * weight
    root = np.sqrt(point.y**2 + 4.0 * product)
    larger = 0.5 * (np.abs(point.y) + root)
    smaller = product / larger
    mass = np.where(point.y >= 0, larger, smaller)
    shortfall = np.where(point.y >= 0, smaller, larger)
    return np.where(is_open, mass, 0.0), np.where(is_open, shortfall, 1.0)


def follow(
    game: LevelGame, mass: FloatArray, payoffs: FloatArray, value: FloatArray, *, mu_end: float, max_solves: int
) -> Path:
    """Follow the path from a profile down to `mu_end`; costs and prizes must be scaled to a prize span of one.

    mass, value : (E, n), positive where open, and the payoffs there against it. payoffs : (n,), above all of `value`.
    The barrier is weighted so that the path passes through this profile.
    """
    is_open, layout = game.open, layout_of(game.open)
    shortfall = np.where(is_open, payoffs - value, 1.0)
    product = np.where(is_open, mass * shortfall, 0.0)
    start = float(product.sum(axis=0).max())
    weight = np.where(is_open, product / start, 1.0)
    point = _Point(np.where(is_open, mass - shortfall, 0.0), payoffs, float(np.log(start)))
    floor = np.log(mu_end)
    length, budget = 0.5, [max_solves]
    near = _correct(game, layout, point, weight, None, budget)
    tangent: _Move | None = None
    while near is not None and budget[0] > 0 and near.point.log_mu > floor:
        along = near.along
        sign = -1.0 if tangent is None else np.sign(_dot(along, tangent, is_open))
        tangent = _scaled(along, sign / np.sqrt(_dot(along, along, is_open)))
        falls = tangent.log_mu < -0.3
        found = None
        while found is None and length > 1e-4 and budget[0] > 0:
            if falls:  # masses and shortfalls are all but linear in mu
                share = max(np.exp(max(-length / abs(tangent.log_mu), floor - 0.01 - near.point.log_mu)), 1e-3) - 1.0
                tried = _moved(near, _scaled(along, share), np.log1p(share))
            else:
                tried = _moved(near, _scaled(tangent, length), length * tangent.log_mu)
            before = budget[0]
            found = _correct(game, layout, tried, weight, None if falls else tangent, budget)
            if found is None:
                length *= 0.4
        if found is None:
            break
        near = found
        used = before - budget[0]
        length *= 2.0 if used <= 3 else 1.4 if used <= 4 else 0.8
    if near is None:
        return Path(mass, shortfall, payoffs, np.inf, max_solves - budget[0], False)
    mu = float(np.exp(near.point.log_mu))
    return Path(near.mass, near.shortfall, near.point.payoffs, mu, max_solves - budget[0], near.point.log_mu <= floor)


@dataclass(frozen=True, slots=True)
class _Near:
    """A point on the path, to working accuracy, and the direction of the path per unit of log mu."""

    point: _Point
    mass: FloatArray
    shortfall: FloatArray
    along: _Move


def _scaled(move: _Move, by: float) -> _Move:
    return _Move(move.mass * by, move.payoffs * by, move.log_mu * by, move.ratio * by)


def _dot(a: _Move, b: _Move, is_open: BoolArray) -> float:
    return float((a.ratio * b.ratio)[is_open].mean() + a.log_mu * b.log_mu)


def _moved(near: _Near, move: _Move, log_mu: float) -> _Point:
    return _step(near.point, near.mass, near.shortfall, move, log_mu)


def _step(point: _Point, mass: FloatArray, shortfall: FloatArray, move: _Move, log_mu: float) -> _Point:
    with np.errstate(divide="ignore", invalid="ignore"):
        by = np.where(mass > 0, (mass + shortfall) / mass * move.mass - shortfall * move.log_mu, 0.0)
    return _Point(point.y + by, point.payoffs + move.payoffs, point.log_mu + log_mu)


def _correct(
    game: LevelGame, layout: Layout, point: _Point, weight: FloatArray, tangent: _Move | None, budget: list[int]
) -> _Near | None:
    """Newton's method back to the path, across the tangent, or at fixed mu without one."""
    for _ in range(10):
        if not _in_range(point):
            return None
        mass, shortfall = _masses(point, weight, game.open)
        budget[0] -= 1
        try:
            back, along, error = _directions(game, layout, mass, shortfall, point.payoffs)
        except np.linalg.LinAlgError:  # exactly at a fold: another step length misses it
            return None
        if error <= _CLOSE * np.exp(point.log_mu):
            return _Near(point, mass, shortfall, along)
        shift = 0.0
        if tangent is not None:
            shift = -_dot(tangent, back, game.open) / _dot(tangent, along, game.open)
            if not abs(shift) < 2.0:
                return None
        move = _Move(back.mass + shift * along.mass, back.payoffs + shift * along.payoffs, shift, back.ratio)
        before = _merit(game, point, weight)
        size = 1.0
        while size > 0.01:
            tried = _step(point, mass, shortfall, _scaled(move, size), size * shift)
            if _in_range(tried) and _merit(game, tried, weight) <= (1.0 - 0.1 * size) * before:
                break
            size *= 0.4
        else:
            return None
        point = tried
    return None


def _in_range(point: _Point) -> bool:
    """Whether doubles still hold the squares that masses and shortfalls are made of."""
    return bool(abs(point.log_mu) < 500.0 and np.all(np.abs(point.y) < 1e100))


def _merit(game: LevelGame, point: _Point, weight: FloatArray) -> float:
    mass, shortfall = _masses(point, weight, game.open)
    value = level_payoffs(game, mass, slopes=False).value
    residual = np.where(game.open, point.payoffs - value - shortfall, 0.0)
    return float(np.sqrt((residual**2).sum() / len(mass) + ((1.0 - mass.sum(axis=0)) ** 2).sum()))


def _directions(
    game: LevelGame, layout: Layout, mass: FloatArray, shortfall: FloatArray, payoffs: FloatArray
) -> tuple[_Move, _Move, float]:
    """Newton's step back to the path at fixed mu, the direction along it per unit of log mu, and how far off it is.

    U - payoff(w) - z = 0 with log w + log z = log mu + constant: dU - dpayoff + (z / w) dw = -residual + z dlog mu.
    """
    is_open = game.open
    found = level_payoffs(game, mass)
    residual = np.where(is_open, payoffs - found.value - shortfall, 0.0)
    missing = 1.0 - mass.sum(axis=0)
    right = np.stack([-residual, np.where(is_open, shortfall, 0.0)])
    d_mass, d_payoffs = _solve(game, layout, found, mass, shortfall, right, np.stack([missing, np.zeros_like(missing)]))
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.where(is_open, d_mass / mass, 0.0)
    back = _Move(d_mass[0], d_payoffs[0], 0.0, 2.0 * relative[0])
    along = _Move(d_mass[1], d_payoffs[1], 1.0, np.where(is_open, 2.0 * relative[1] - 1.0, 0.0))
    return back, along, max(float(np.abs(residual).max()), float(np.abs(missing).max()))


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the unknowns of a Newton system stand: U and F of every developer on each level of its span.

    A developer's span runs from its lowest to its highest open level; below it F is 0, above it 1. Rows: of U_k its
    complementarity, of F_k the link U_{k+1} = U_k (F = 1 on the last level of the span).

    u, f : (E, n), positions, -1 outside the span. reach : how far from the diagonal entries stand. size : unknowns.
    rivals : level, developer, rival (M,), the pairs within whose spans a level lies.
    """

    u: IntArray
    f: IntArray
    last: BoolArray
    reach: int
    size: int
    rivals: tuple[IntArray, IntArray, IntArray]


def layout_of(is_open: BoolArray) -> Layout:
    """Unknowns level by level, payoffs before cumulative masses."""
    levels, n = is_open.shape
    k = np.arange(levels)[:, None]
    first = np.argmax(is_open, axis=0)
    final = levels - 1 - np.argmax(is_open[::-1], axis=0)
    alive = (k >= first) & (k <= final)
    u, f = np.full((levels, n), -1), np.full((levels, n), -1)
    size = 0
    for level in range(levels):
        who = np.flatnonzero(alive[level])
        u[level, who] = size + np.arange(len(who))
        f[level, who] = size + len(who) + np.arange(len(who))
        size += 2 * len(who)
    at, i, j = np.nonzero(is_open[:, :, None] & alive[:, None, :])
    earlier = np.where(at > 0, f[np.maximum(at - 1, 0), j], -1)
    spans = [np.abs(u[at, i] - f[at, j]), np.where(earlier >= 0, np.abs(u[at, i] - earlier), 0)]
    later = np.where(alive[1:] & alive[:-1], np.abs(f[:-1] - u[1:]), 0)
    own = np.where(alive, np.abs(f - u), 0)
    before = np.where(alive[1:] & alive[:-1], np.abs(u[1:] - f[:-1]), 0)
    reach = int(max(own.max(), later.max(initial=0), before.max(initial=0), *(s.max(initial=0) for s in spans)))
    return Layout(u, f, alive & (k == final), reach, size, (at, i, j))


def _solve(
    game: LevelGame,
    layout: Layout,
    found: Payoffs,
    mass: FloatArray,
    shortfall: FloatArray,
    right: FloatArray,
    total: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Banded solve for changes of w (R, E, n) and U (R, n); right (R, E, n), total (R, n)."""
    from scipy.linalg import solve_banded

    u, f, reach = layout.u, layout.f, layout.reach
    band = np.zeros((2 * reach + 1, layout.size))
    sides = np.zeros((layout.size, len(right)))

    def put(row: IntArray, column: IntArray, values: FloatArray) -> None:
        band[reach + row - column, column] = values

    alive = u >= 0
    held = np.where(game.open, shortfall, 1.0)
    put(u[alive], u[alive], np.where(game.open, mass, 0.0)[alive])
    k, i, j = layout.rivals
    weight = mass[k, i]
    put(u[k, i], f[k, j], np.where(i == j, held[k, i], 0.0) - weight * found.by_mass[k, i, j])
    earlier = (k > 0) & (f[np.maximum(k - 1, 0), j] >= 0)
    k, i, j, weight = k[earlier], i[earlier], j[earlier], weight[earlier]
    by_last = found.by_before[k, i, j] - found.by_mass[k, i, j]
    put(u[k, i], f[k - 1, j], np.where(i == j, -held[k, i], 0.0) - weight * by_last)
    closed = alive & ~game.open  # F stays as it was on the level before
    put(u[closed], f[closed], np.ones(int(closed.sum())))
    k, i = np.nonzero(closed)
    put(u[k, i], f[k - 1, i], -np.ones(len(k)))
    k, i = np.nonzero(alive & ~layout.last)
    put(f[k, i], u[k, i], -np.ones(len(k)))
    put(f[k, i], u[k + 1, i], np.ones(len(k)))
    ends = f[layout.last]
    put(ends, ends, np.ones(len(ends)))
    sides[u[game.open]] = (mass * right)[:, game.open].T
    k, i = np.nonzero(layout.last)
    sides[f[k, i]] = total[:, i].T
    x = solve_banded((reach, reach), band, sides, overwrite_ab=True, overwrite_b=True, check_finite=False).T
    cumulative = np.where(alive, x[:, np.maximum(f, 0)], 0.0)
    past = np.cumsum(layout.last, axis=0) - layout.last > 0
    cumulative = np.where(past, total[:, None, :], cumulative)
    k, i = np.nonzero(layout.last)
    payoffs = np.empty_like(total)
    payoffs[:, i] = x[:, u[k, i]]
    return np.diff(cumulative, axis=1, prepend=0.0), payoffs
