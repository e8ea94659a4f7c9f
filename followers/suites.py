"""From the tasks of a whole batch to its developers' allocations, and to the tables of their best gains.

Gains are scores above the score at zero effort: they keep their digits where tasks start on a flat foot.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from followers.allocation import Allocation, Gain, allocate, efforts_grid, piece_tables, split, tabulated_optimum
from followers.arrays import FloatArray, IntArray, two_sum
from followers.curves import ScoreCurve
from followers.roster import RosterCurve
from followers.tabulated import Tabulated

__all__ = ["Cells", "best_gains", "cells_of"]

_HORIZON = 1e7
"""Steps: no table goes further."""
_SATURATED = 1e-10
"""Share of the whole gain that may be left beyond the horizon."""
_INTERPOLATION = 1e-7
"""Share of the whole gain by which a table may miss the optimum before it gets another knot."""
_ROUNDING = 8 * 2.0**-52


@dataclass(frozen=True, slots=True)
class Cells:
    """The developers of a batch, those who are the same only once.

    Attributes
    ----------
    start : (R, n), where effort begins.
    where : (..., n), number of each developer's cell, in C order.
    gains : per task, its gains at efforts (m, R, n).
    allocations : by number of the cell.
    """

    start: FloatArray
    where: IntArray
    gains: tuple[Gain, ...]
    allocations: dict[int, Allocation]

    def each(self, method: Callable[[Allocation, FloatArray], FloatArray], effort: Any) -> FloatArray:
        """`method(allocation, efforts (m,))` of shape (m, k), for efforts (..., n); shape (k, ..., n)."""
        shape = np.broadcast_shapes(np.shape(effort), self.where.shape)
        efforts = np.broadcast_to(np.asarray(effort, dtype=np.float64), shape).reshape(-1)
        at = np.broadcast_to(self.where, shape).reshape(-1)
        found = {cell: method(a, efforts[at == cell]) for cell, a in self.allocations.items()}
        result = np.empty((next(iter(found.values())).shape[1], len(at)))
        for cell, values in found.items():
            result[:, at == cell] = values.T
        return result.reshape(-1, *shape)

    def exact(self, efforts: FloatArray) -> FloatArray:
        """True gain of the best split of efforts (m, R * n), one column per cell."""
        parts = np.zeros((len(self.gains), *efforts.shape))
        for cell, allocation in self.allocations.items():
            parts[:, :, cell] = split(allocation, efforts[:, cell]).T
        shaped = parts.reshape(*parts.shape[:2], *self.start.shape)
        return np.asarray(sum(g(e)[0] for g, e in zip(self.gains, shaped, strict=True))).reshape(efforts.shape)


def cells_of(tasks: tuple[ScoreCurve, ...], weights: tuple[FloatArray, ...], start: FloatArray) -> Cells:
    """Solve every developer at its start (..., n).

    Where parameters have no batch axis, a developer is the same in all games that it enters at the same start.
    """
    parameters = np.broadcast_shapes(*(t.is_concave().shape for t in tasks), *(w.shape for w in weights))
    n = parameters[-1]
    if len(parameters) == 1:
        columns = [np.unique(column, return_inverse=True) for column in start.reshape(-1, n).T]
        longest = max(len(distinct) for distinct, _ in columns)
        first = np.stack([np.append(d, np.full(longest - len(d), d[0])) for d, _ in columns], axis=1)
        where = np.stack([inverse * n + i for i, (_, inverse) in enumerate(columns)], axis=1).reshape(start.shape)
    else:
        first = np.broadcast_to(start, np.broadcast_shapes(parameters, start.shape))
        where = np.arange(first.size).reshape(first.shape)
    here = tuple(t.anchored(first) for t in tasks)
    gains = tuple(_gain(t, w, first) for t, w in zip(here, weights, strict=True))
    horizon, scale = _horizon(here, weights, gains, first)
    tables = []
    for task, gain in zip(here, gains, strict=True):
        marks = (_bends(task, first.shape) - first).reshape(-1, first.size).T
        grids = [efforts_grid(h, m) for h, m in zip(horizon.reshape(-1), marks, strict=True)]
        tables.append(piece_tables(gain, grids, first.shape, scale))
    return Cells(first, where, gains, {int(c): allocate([t[c] for t in tables]) for c in np.unique(where)})


def best_gains(
    tasks: tuple[ScoreCurve, ...], weights: tuple[FloatArray, ...], start: FloatArray
) -> tuple[Tabulated, FloatArray]:
    """Best gain by effort above `start` (..., n) as a table, and its largest error at the midpoints of its intervals.

    Knots carry the true gain of the best split; slopes are the common marginal values there, kept at most three
    times the neighbouring secants so that no interval falls (Fritsch & Carlson 1980).
    """
    cells = cells_of(tasks, weights, start)
    optima = {cell: tabulated_optimum(a, _INTERPOLATION) for cell, a in cells.allocations.items()}
    most = max(o.shape[1] for o in optima.values())
    knots, slopes = np.zeros((2, most, cells.start.size))
    knots += np.arange(most)[:, None]  # any increasing efforts in cells that stand for nobody
    horizon = knots[-1].copy()
    for cell, optimum in optima.items():
        spare, horizon[cell] = most - optimum.shape[1], optimum[0, -1]
        knots[:, cell] = np.append(optimum[0], horizon[cell] + 1.0 + np.arange(spare))
        slopes[:, cell] = np.append(optimum[1], np.zeros(spare))
    gains = _level(cells.exact(np.minimum(knots, horizon)))
    secants = np.diff(gains, axis=0) / np.diff(knots, axis=0)
    steepest = 3.0 * np.minimum(np.concatenate([secants[:1], secants]), np.concatenate([secants, secants[-1:]]))
    slopes = np.minimum(slopes, steepest)
    table = Tabulated(*(x.T[cells.where] for x in (knots, gains, slopes)))
    halves = np.minimum(0.5 * (knots[1:] + knots[:-1]), horizon)
    exact = cells.exact(halves)
    found = table.score(np.moveaxis(halves.T[cells.where], -1, 0))
    return table, np.abs(found - np.moveaxis(exact.T[cells.where], -1, 0)).max(axis=0)


def _level(gains: FloatArray) -> FloatArray:
    """Gains (m, cells) with what rounding lets rise or fall made flat: a flat stretch must be exactly flat."""
    level = gains.copy()
    for k in range(1, len(level)):
        same = level[k] <= level[k - 1] * (1.0 + _ROUNDING)
        level[k] = np.where(same, level[k - 1], level[k])
    return level


def _gain(curve: ScoreCurve, weight: FloatArray, start: FloatArray) -> Gain:
    """Weighted gain of a task over its score at `start`, and its slopes just right and left, at efforts (m, R, n)."""
    base, base_tail = curve.score_pair(start)

    def gain(efforts: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        place = start + efforts
        score, tail = curve.score_pair(place)
        right, left = curve.derivative(np.nextafter(place, np.inf)), curve.derivative(np.nextafter(place, 0.0))
        return weight * ((score - base) + (tail - base_tail)), weight * right, weight * left

    return gain


def _horizon(
    tasks: tuple[ScoreCurve, ...], weights: tuple[FloatArray, ...], gains: tuple[Gain, ...], start: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Effort that saturates all tasks one after the other, at most 1e7 steps, and the whole gain by 1e7; (R, n)."""
    rises = [gain(np.full((1, *start.shape), _HORIZON))[0][0] for gain in gains]
    scale = np.asarray(sum(rises))
    total = np.zeros(start.shape)
    for task, weight, rise in zip(tasks, weights, rises, strict=True):
        matters = rise > _SATURATED * scale
        with np.errstate(divide="ignore", invalid="ignore"):
            left = np.where(matters, _SATURATED * scale / weight, 0.0)
        top, tail = task.score_pair(start + _HORIZON)
        nearly = task.effort_to_reach(*two_sum(top, tail - left)) - start
        end = task.effort_to_reach(top, tail) - start
        # a trajectory that ends does so at its last step, not just before
        total += np.where(matters, np.where(end <= 1.001 * nearly, end, nearly), 0.0)
    horizon = np.clip(total, 0.0, _HORIZON)
    return np.where(horizon > 0, horizon, 1.0), scale


def _bends(curve: ScoreCurve, shape: tuple[int, ...]) -> FloatArray:
    """Positions (m, *shape) where a curve changes its formula: the steps of measured trajectories; inf where fewer."""
    if isinstance(curve, Tabulated):
        return np.moveaxis(np.broadcast_to(curve.steps, (*shape, curve.steps.shape[-1])), -1, 0)
    if isinstance(curve, RosterCurve):
        parts = [_bends(p.law, (*shape[:-1], len(p.developers))) for p in curve.parts]
        both = np.full((max(len(x) for x in parts), *shape), np.inf)
        for part, bends in zip(curve.parts, parts, strict=True):
            both[: len(bends), ..., part.developers] = bends
        return both
    return np.full((0, *shape), np.inf)
