"""The envelope of a benchmark suite: a multi-task game as a game on one curve (DESIGN section 1, `envelope`).

S(E) = max{ sum_k w_k v_k(start + e_k) : sum_k e_k <= E, e_k >= 0 }, with the same head start on every task.

What is exact: the scores at the knots, each the true score of the best split found; no split scores more than that plus
1e-9 of the suite's whole gain, whatever the shapes of the tasks. What is interpolated: the score between
knots, with the error that `Envelope.tabulation_error` states. What is only a bound: `concave_relaxation`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from followers.allocation import relaxed, split
from followers.arrays import FloatArray, two_sum
from followers.curves import ScoreCurve
from followers.suites import best_gains, cells_of
from followers.tabulated import Tabulated

__all__ = ["Envelope", "concave_relaxation", "lifted", "optimal_split", "suite"]


@dataclass(frozen=True, slots=True)
class Envelope:
    """Best score of a weighted suite of K tasks; built by `suite`, which fills in the table.

    Positions are head start plus total effort; those below `start` score as at `start`. Beyond the horizon, where all
    but 1e-10 of the gain is made or at 1e7 steps, the curve is flat.

    Attributes
    ----------
    tasks, weights : K curves, and K arrays (..., n) that sum to 1 per developer.
    start : (..., n), where effort begins on every task: tuning budget plus prior exposure. The game sets it.
    level : (..., n), added to every score.
    base : (..., n), score at zero effort.
    table : gain over `base` by effort above `start`.
    errors : (..., n), largest difference between table and exact optimum at the midpoints of its intervals.
    """

    tasks: tuple[ScoreCurve, ...]
    weights: tuple[FloatArray, ...]
    start: FloatArray
    level: FloatArray
    base: FloatArray
    table: Tabulated
    errors: FloatArray

    kind: ClassVar[str] = "envelope"
    table_axes: ClassVar[int] = 0

    def tabulation_error(self) -> float:
        """Largest error of interpolation over all developers, score units; at the knots there is none."""
        return float(np.max(self.errors))

    def score(self, effort: Any) -> FloatArray:
        """Score at a position."""
        return self.score_pair(effort)[0]

    def score_pair(self, effort: Any) -> tuple[FloatArray, FloatArray]:
        """Base plus gain as two floats: small gains keep their digits, a ceiling is flat beyond the horizon."""
        return two_sum(self.base, self.table.score(np.asarray(effort, dtype=np.float64) - self.start))

    def derivative(self, effort: Any) -> FloatArray:
        """Slope of the table; zero below the start and beyond the horizon."""
        return self.table.derivative(np.asarray(effort, dtype=np.float64) - self.start)

    def anchored(self, start: FloatArray) -> Envelope:
        """The envelope of developers whose effort begins at `start`; itself where it is there already."""
        shape = np.broadcast_shapes(self.start.shape, start.shape)
        if np.array_equal(np.broadcast_to(self.start, shape), np.broadcast_to(start, shape)):
            return self
        return _anchored(self.tasks, self.weights, start, self.level)

    def effort_to_reach(self, score: Any, tail: Any = 0.0) -> FloatArray:
        """As the table inverts, exact at knots."""
        gain, rest = self._gain(score, tail)
        return np.where(
            (gain > 0) | ((gain == 0) & (rest > 0)), self.start + self.table.effort_to_reach(gain, rest), 0.0
        )

    def effort_to_exceed(self, score: Any, tail: Any = 0.0) -> FloatArray:
        """As the table inverts, exact at knots."""
        gain, rest = self._gain(score, tail)
        below = (gain < 0) | ((gain == 0) & (rest < 0))
        return np.where(below, 0.0, self.start + self.table.effort_to_exceed(gain, rest))

    def _gain(self, score: Any, tail: Any) -> tuple[FloatArray, FloatArray]:
        """Score over `base` as two floats; exactly the gain that `score_pair` put in."""
        gain, rest = two_sum(score, -self.base)
        return two_sum(gain, rest + tail)

    def flat_stretches(self) -> tuple[FloatArray, FloatArray]:
        """Below the start, where the table is flat, and beyond the horizon."""
        starts, ends = self.table.flat_stretches()
        shape = (len(starts), *np.broadcast_shapes(starts.shape[1:], self.start.shape))
        starts, ends = np.broadcast_to(starts, shape), np.broadcast_to(ends, shape)
        at_once = (starts == 0).any(axis=0)
        before = np.where((self.start > 0) & ~at_once, 0.0, np.nan)[None]
        lows = np.concatenate([before, np.where(starts == 0, 0.0, starts + self.start)])
        highs = np.concatenate([np.where(np.isnan(before), np.nan, self.start), ends + self.start])
        # the table repeats a run once per knot, and most of its rows are empty
        repeated = np.concatenate([np.zeros_like(before, dtype=bool), lows[1:] == lows[:-1]])
        lows, highs = np.where(repeated, np.nan, lows), np.where(repeated, np.nan, highs)
        order = np.argsort(lows, axis=0, kind="stable")
        most = max(1, int(np.isfinite(lows).sum(axis=0).max()))
        return np.take_along_axis(lows, order, axis=0)[:most], np.take_along_axis(highs, order, axis=0)[:most]

    def resolved_until(self) -> float:
        """Always: beyond the horizon the curve really is flat."""
        return float("inf")

    def is_concave(self) -> FloatArray:
        """1.0 where every task with a weight is concave; then the envelope is, from `start` on."""
        idle = [np.where(w == 0, 1.0, t.is_concave()) for t, w in zip(self.tasks, self.weights, strict=True)]
        return np.asarray(np.min(np.broadcast_arrays(*idle), axis=0))


def lifted(curve: Envelope, shift: FloatArray) -> Envelope:
    """The envelope with `shift` (..., n) added to every score."""
    return replace(curve, level=curve.level + shift, base=curve.base + shift)


def suite(tasks: Sequence[ScoreCurve], weights: Sequence[Any], start: Any = 0.0) -> Envelope:
    """The envelope of K tasks for n developers, each task a curve with parameters (..., n).

    Parameters
    ----------
    tasks : any score curves; K is not limited, time and memory grow in proportion to it.
    weights : one number or array (..., n) per task, not negative, summing to 1 within 1e-9 for every developer.
    start : (..., n), where effort begins; a game re-anchors to its own head starts.

    Errors
    ------
    ValueError: no tasks, a wrong number of weights, negative weights, or weights that do not sum to 1.

    Notes
    -----
    A developer takes some 10 milliseconds per task. Developers at equal starts are computed once.
    """
    if not tasks or len(tasks) != len(weights):
        raise ValueError(
            f"envelope: {len(tasks)} tasks and {len(weights)} weights; needs at least one task, each with one"
        )
    n = np.broadcast_shapes(*(t.is_concave().shape for t in tasks))[-1:]
    full = tuple(np.array(np.broadcast_to(w, np.broadcast_shapes(np.shape(w), n)), dtype=np.float64) for w in weights)
    total = np.sum(np.broadcast_arrays(*full), axis=0)
    if not all(np.all(np.isfinite(w) & (w >= 0)) for w in full):
        raise ValueError("envelope: weights must be finite numbers that are not negative")
    if np.any(np.abs(total - 1.0) > 1e-9):
        worst = total.flat[int(np.argmax(np.abs(total - 1.0)))]
        raise ValueError(f"envelope: weights sum to {worst:.10g}; they must sum to 1")
    start = np.array(np.broadcast_to(start, np.broadcast_shapes(np.shape(start), n)), dtype=np.float64)
    return _anchored(tuple(tasks), full, start, np.zeros(n))


def _anchored(
    tasks: tuple[ScoreCurve, ...], weights: tuple[FloatArray, ...], start: FloatArray, level: FloatArray
) -> Envelope:
    """The envelope with its table made anew."""
    tasks = tuple(t.anchored(start) for t in tasks)
    base = level + np.sum(
        np.broadcast_arrays(*(w * t.score(start) for t, w in zip(tasks, weights, strict=True))), axis=0
    )
    table, errors = best_gains(tasks, weights, start)
    return Envelope(tasks, weights, start, level, base, table, errors)


def optimal_split(curve: Envelope, effort: Any) -> FloatArray:
    """Efforts per task that score most, (..., n, K) for total efforts (..., n) above the head start; they sum to it.

    Found anew from the tasks, not from the table, to within 1e-9 of the whole gain in score.
    """
    cells = cells_of(curve.tasks, curve.weights, curve.start)
    return np.moveaxis(cells.each(split, effort), 0, -1)


def concave_relaxation(curve: Envelope, effort: Any) -> FloatArray:
    """Upper bound of the score at total efforts (..., n) above the head start: every task as its concave hull.

    Only a bound where tasks are S-shaped; where all are concave it is the optimum. By weak duality no split scores
    more, up to the 1e-11 of the whole gain by which each task may miss its table.
    """
    cells = cells_of(curve.tasks, curve.weights, curve.start)
    return np.asarray(curve.base + cells.each(lambda a, e: relaxed(a, e)[:, None], effort)[0])
