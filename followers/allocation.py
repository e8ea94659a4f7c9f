"""One effort, several tasks: the split that scores most, for tasks of any shape (DESIGN section 1, `envelope`).

Tasks enter as piece tables (see `followers.maxplus`) and are added one by one: the best score of the first k tasks is
the max-plus convolution of that of the first k - 1 with the k-th. No shape is assumed, so S-shaped tasks, where all
but at most one stand at zero or share one marginal value on concave stretches, need no case of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from followers.arrays import FloatArray

__all__ = ["Allocation", "Gain", "allocate", "efforts_grid", "piece_tables", "relaxed", "split", "tabulated_optimum"]

Gain = Callable[[FloatArray], tuple[FloatArray, FloatArray, FloatArray]]
"""Efforts (m, R, n) to a task's gain over zero effort and its slopes just right and just left."""

PRECISION = 1e-10
"""Share of the suite's whole gain by which a task, or a sum of tasks, may miss its piece table."""

_TASK_PRECISION = 0.1 * PRECISION
_ROUNDS, _FINEST = 6, 64
_GRID = 49
_LIMIT = 100_000
_APART = 1e-8  # relative distance of the two knots that stand for a kink


def efforts_grid(horizon: float, marks: FloatArray) -> FloatArray:
    """0, log-spaced efforts from a tiny one up to the horizon, and the marks in between."""
    tiny = 1e-3 * min(1.0, horizon)
    inside = marks[(marks > 0) & (marks < horizon)]
    return np.unique(np.concatenate([[0.0], np.geomspace(tiny, horizon, _GRID), inside]))


def _padded(rows: Sequence[FloatArray], shape: tuple[int, ...]) -> FloatArray:
    """Rows of any lengths as (m, *shape), the last value repeated."""
    longest = max(len(row) for row in rows)
    columns = [np.concatenate([row, np.full(longest - len(row), row[-1])]) for row in rows]
    return np.stack(columns, axis=-1).reshape(longest, *shape)


def piece_tables(
    gain: Gain, grids: Sequence[FloatArray], shape: tuple[int, ...], scale: FloatArray
) -> list[FloatArray]:
    """Piece tables of one task for the cells of `shape` (R, n), in C order.

    Knots are added until the cubics miss the task by at most a share 1e-11 of `scale` (R, n) at the quarters of every
    interval; the error of a cubic falls with the fourth power of its width, which says how many are needed.
    """
    size, allowed = len(grids), _TASK_PRECISION * scale.reshape(-1)
    rows = list(grids)
    for _ in range(_ROUNDS):
        tables = _evaluated(gain, rows, shape)
        probes = [_quarters(t[0]) for t in tables]
        exact = gain(_padded([p.reshape(-1) for p in probes], shape))[0].reshape(-1, size)
        settled = True
        for k, (table, probe) in enumerate(zip(tables, probes, strict=True)):
            miss = np.abs(_cubic(table, probe) - exact[: probe.size, k].reshape(probe.shape)).max(axis=0)
            rough = np.where(allowed[k] > 0, miss / max(allowed[k], 1e-300), 0.0)
            parts = np.clip(np.ceil(1.1 * rough**0.25), 1, _FINEST).astype(int)
            parts = np.where((rough > 1) & (np.diff(table[0]) > 1e-12 * table[0, 1:]), np.maximum(parts, 2), 1)
            if parts.max() > 1:
                settled = False
                rows[k] = _cut(table[0], parts)
        if settled:
            return tables
    return _evaluated(gain, rows, shape)


def _evaluated(gain: Gain, rows: Sequence[FloatArray], shape: tuple[int, ...]) -> list[FloatArray]:
    size = len(rows)
    value, right, left = (x.reshape(-1, size) for x in gain(_padded(rows, shape)))
    tables = []
    for k, row in enumerate(rows):
        m = len(row)
        table = np.stack([row, np.maximum.accumulate(value[:m, k]), right[:m, k], left[:m, k]])
        table[2, -1] = 0.0  # flat beyond the horizon
        tables.append(np.ascontiguousarray(table))
    return tables


def _quarters(knots: FloatArray) -> FloatArray:
    """(3, G - 1): efforts at the quarters of every interval."""
    return knots[:-1] + np.array([[0.25], [0.5], [0.75]]) * np.diff(knots)


def _cubic(table: FloatArray, probe: FloatArray) -> FloatArray:
    """The cubics of a piece table at its quarters."""
    width, rise = np.diff(table[0]), np.diff(table[1])
    d0, d1 = table[2, :-1] * width, table[3, 1:] * width
    t = (probe - table[0, :-1]) / width
    return np.asarray(table[1, :-1] + t * (d0 + t * (3 * rise - 2 * d0 - d1 + t * (d0 + d1 - 2 * rise))))


def _cut(knots: FloatArray, parts: np.ndarray[tuple[int], np.dtype[np.int64]]) -> FloatArray:
    """Each interval cut into so many equal parts."""
    at = np.repeat(np.arange(len(parts)), parts)
    share = (np.arange(len(at)) - np.repeat(np.cumsum(parts) - parts, parts)) / parts[at]
    return np.append(knots[at] + share * np.diff(knots)[at], knots[-1])


@dataclass(frozen=True, slots=True)
class Allocation:
    """One developer's suite: its K tasks, and the best gain of the first k of them together (k = 1..K-1).

    All are piece tables, (4, G); a suite of one task has the table that is zero before it. `kinks` are efforts where
    a task bends at once, `scale` is the gain of the whole suite at the horizon.
    """

    tasks: tuple[FloatArray, ...]
    before: tuple[FloatArray, ...]
    kinks: FloatArray
    scale: float


def allocate(tasks: Sequence[FloatArray]) -> Allocation:
    """Add up the tasks, all tabulated to the same horizon, each sum to within 1e-10 of the whole gain."""
    from followers.maxplus import convolve

    scale = float(sum(t[1, -1] for t in tasks))
    horizon = float(tasks[0][0, -1])
    bends = [t[0, np.abs(t[2] - t[3]) > 1e-6 * np.maximum(t[2], t[3])] for t in tasks]
    kinks = np.unique(np.concatenate(bends))
    zero = np.array([[0.0, horizon], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    before = [zero if len(tasks) == 1 else tasks[0]]
    for task in tasks[1:-1]:
        total, enough = convolve(before[-1], task, efforts_grid(horizon, kinks), PRECISION * scale, _LIMIT)
        if not enough:
            raise ValueError(f"envelope: {_LIMIT} knots are not enough for a sum of tasks; smooth the measured ones")
        before.append(total)
    return Allocation(tuple(tasks), tuple(before), kinks, scale)


def split(suite: Allocation, efforts: FloatArray) -> FloatArray:
    """Best efforts per task (m, K) for total efforts (m,)."""
    from followers.maxplus import shares

    parts = np.zeros((len(efforts), len(suite.tasks)))
    rest = np.ascontiguousarray(efforts, dtype=np.float64)
    for k in range(len(suite.tasks) - 1, 0, -1):
        parts[:, k] = shares(suite.before[k - 1], suite.tasks[k], rest)
        rest = rest - parts[:, k]
    parts[:, 0] = rest
    return parts


def tabulated_optimum(suite: Allocation, precision: float) -> FloatArray:
    """The best gain as knots and one slope each, (2, M): a table that misses it by some `precision` of the whole gain.

    Where the slope jumps (the set of active tasks changes, or a task bends at once), two knots stand close on either
    side, so that each has one slope.
    """
    from followers.maxplus import convolve

    horizon, allowed = float(suite.tasks[0][0, -1]), precision * suite.scale
    grid = efforts_grid(horizon, suite.kinks)
    table, _ = convolve(suite.before[-1], suite.tasks[-1], grid, allowed, _LIMIT)
    knots, right, left = table[0], table[2], table[3]
    right[-1] = 0.0  # flat beyond the horizon
    reach = np.diff(knots, prepend=0.0) + np.diff(knots, append=horizon)
    jumps = (np.abs(right - left) * reach > allowed) & (knots > 0)
    either = np.where((knots > 0) & (knots < horizon), left, right)
    apart = _APART * knots[jumps]
    after = np.minimum(knots[jumps] + apart, horizon)
    knots = np.concatenate([knots[~jumps], knots[jumps] - apart, after])
    slopes = np.concatenate([either[~jumps], left[jumps], right[jumps]])
    order = np.argsort(knots, kind="stable")
    apart_enough = np.diff(knots[order], append=np.inf) > 0.5 * _APART * knots[order]
    return np.stack([knots, slopes])[:, order[apart_enough]]


def relaxed(suite: Allocation, efforts: FloatArray) -> FloatArray:
    """Gain of the concave relaxation at total efforts (m,).

    min over prices p of p E + sum_k max_e (f_k(e) - p e). Every price gives an upper bound (weak duality); the least
    one is the gain with every task replaced by its concave hull. Bisection on the logarithm of the price, to where the
    efforts that it asks for cross E.
    """
    from followers.maxplus import steepest_excess

    steepest = max(float(np.max(t[2:])) for t in suite.tasks)
    bounds = np.full(len(efforts), suite.scale)
    if steepest == 0:
        return bounds
    for i, effort in enumerate(efforts):
        low, high = np.log(steepest) - 80.0, np.log(steepest) + 1.0
        for _ in range(80):
            price = float(np.exp(0.5 * (low + high)))
            excess = [steepest_excess(t, price) for t in suite.tasks]
            bounds[i] = min(bounds[i], price * effort + sum(value for value, _ in excess))
            if sum(asked for _, asked in excess) > effort:
                low = np.log(price)
            else:
                high = np.log(price)
    return bounds
