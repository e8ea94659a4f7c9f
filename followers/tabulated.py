"""Tabulated score curve: a measured trajectory, interpolated without inventing bumps (DESIGN section 1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from followers.arrays import BoolArray, FloatArray

__all__ = ["Tabulated", "isotonic", "tabulate"]

_BISECTIONS = 64  # a double has 53 bits; a few more settle denormal ends


@dataclass(frozen=True, slots=True)
class Tabulated:
    """PCHIP interpolation through non-decreasing scores; flat before the first and beyond the last step.

    `steps`, `scores`, `slopes` have shape (..., n, K): steps strictly increasing, scores non-decreasing. Shorter
    trajectories are padded with further steps at the last score and slope zero (see `tabulate`), which is
    exactly what the curve does there anyway. Fritsch & Carlson (1980), SIAM J. Numer. Anal. 17(2).
    """

    steps: FloatArray
    scores: FloatArray
    slopes: FloatArray

    kind: ClassVar[str] = "tabulated"
    table_axes: ClassVar[int] = 1

    def score(self, effort: Any) -> FloatArray:
        """v(effort); exactly the tabulated score at a tabulated step."""
        effort = np.asarray(effort, dtype=np.float64)
        knots = self.steps.shape[-1]
        left = np.clip((self.steps <= effort[..., None]).sum(axis=-1) - 1, 0, knots - 2)
        x0, x1 = self._pick(self.steps, left), self._pick(self.steps, left + 1)
        inside = np.clip(np.where(np.isfinite(effort), effort, x1), x0, x1)
        return self._segment(left, (inside - x0) / (x1 - x0))

    def score_pair(self, effort: Any) -> tuple[FloatArray, FloatArray]:
        """v(effort); a measured curve has no digits beyond a double, so the tail is zero."""
        score = self.score(effort)
        return score, np.zeros_like(score)

    def derivative(self, effort: Any) -> FloatArray:
        """Slope of the cubic; zero before the first and beyond the last step."""
        effort = np.asarray(effort, dtype=np.float64)
        left = np.clip((self.steps <= effort[..., None]).sum(axis=-1) - 1, 0, self.steps.shape[-1] - 2)
        x0, x1 = self._pick(self.steps, left), self._pick(self.steps, left + 1)
        rise = self._pick(self.scores, left + 1) - self._pick(self.scores, left)
        d0, d1 = self._pick(self.slopes, left), self._pick(self.slopes, left + 1)
        secant, t = rise / (x1 - x0), (np.clip(effort, x0, x1) - x0) / (x1 - x0)
        slope = d0 + t * (6.0 * secant - 4.0 * d0 - 2.0 * d1 + t * (3.0 * (d0 + d1) - 6.0 * secant))
        return np.where((effort >= x0) & (effort <= x1), np.maximum(slope, 0.0), 0.0)

    def anchored(self, start: FloatArray) -> Tabulated:
        """The same from anywhere."""
        return self

    def effort_to_reach(self, score: Any, tail: Any = 0.0) -> FloatArray:
        """Exact at knots; inside a segment, bisection to the last bit."""
        level = np.asarray(score, dtype=np.float64)[..., None]
        tail = np.asarray(tail, dtype=np.float64)[..., None]
        return self._invert(level, (self.scores > level) | ((self.scores == level) & (tail <= 0)))

    def effort_to_exceed(self, score: Any, tail: Any = 0.0) -> FloatArray:
        """Right end of the flat stretch where there is one; else as `effort_to_reach`."""
        level = np.asarray(score, dtype=np.float64)[..., None]
        tail = np.asarray(tail, dtype=np.float64)[..., None]
        return self._invert(level, (self.scores > level) | ((self.scores == level) & (tail < 0)))

    def flat_stretches(self) -> tuple[FloatArray, FloatArray]:
        """Runs of equal tabulated scores, and [last step, inf); each start is the start of its whole run."""
        flat = np.diff(self.scores, axis=-1) == 0
        first = np.concatenate([np.ones_like(flat[..., :1]), flat, np.ones_like(flat[..., :1])], axis=-1)
        # stretch k lies between knots k-1 and k (0: before the first step, K: beyond the last one)
        edges = np.concatenate(
            [np.zeros_like(self.steps[..., :1]), self.steps, np.full_like(self.steps[..., :1], np.inf)],
            axis=-1,
        )
        starts, ends = edges[..., :-1].copy(), edges[..., 1:].copy()
        for k in range(1, first.shape[-1]):
            joined = first[..., k] & first[..., k - 1]
            starts[..., k] = np.where(joined, starts[..., k - 1], starts[..., k])
        for k in range(first.shape[-1] - 2, -1, -1):
            joined = first[..., k] & first[..., k + 1]
            ends[..., k] = np.where(joined, ends[..., k + 1], ends[..., k])
        real = first & (starts < ends)
        return (
            np.moveaxis(np.where(real, starts, np.nan), -1, 0),
            np.moveaxis(np.where(real, ends, np.nan), -1, 0),
        )

    def resolved_until(self) -> float:
        """Always: beyond the last step the curve really is flat."""
        return float("inf")

    def is_concave(self) -> FloatArray:
        """Concave where the trajectory starts at step 0 and no PCHIP slope rises between or at knots."""
        secant = np.diff(self.scores, axis=-1) / np.diff(self.steps, axis=-1)
        rising = secant > 0
        d0, d1 = np.where(rising, self.slopes[..., :-1], 0.0), np.where(rising, self.slopes[..., 1:], 0.0)
        # a cubic Hermite segment is concave iff its second derivative is <= 0 at both ends
        bends = (3 * secant - 2 * d0 - d1 <= 1e-12) & (2 * d1 + d0 - 3 * secant <= 1e-12)
        starts_rising = (self.steps[..., 0] <= 0) | (self.scores[..., 0] == self.scores[..., -1])
        return np.where(bends.all(axis=-1) & starts_rising, 1.0, 0.0)

    def _pick(self, table: FloatArray, index: Any) -> FloatArray:
        shape = np.broadcast_shapes(table.shape[:-1], index.shape)
        full = np.broadcast_to(table, (*shape, table.shape[-1]))
        return np.take_along_axis(full, np.broadcast_to(index, shape)[..., None], axis=-1)[..., 0]

    def _segment(self, left: Any, t: FloatArray) -> FloatArray:
        """Cubic Hermite on segment `left` at t in [0, 1], kept between its two ends."""
        x0, x1 = self._pick(self.steps, left), self._pick(self.steps, left + 1)
        y0, y1 = self._pick(self.scores, left), self._pick(self.scores, left + 1)
        d0, d1 = self._pick(self.slopes, left), self._pick(self.slopes, left + 1)
        h, rise = x1 - x0, y1 - y0
        value = y0 + t * (h * d0 + t * ((3 * rise - h * (2 * d0 + d1)) + t * (h * (d0 + d1) - 2 * rise)))
        return np.where(t >= 1, y1, np.clip(value, y0, y1))

    def _invert(self, level: FloatArray, passed: BoolArray) -> FloatArray:
        """First effort at which the curve passes `level`; `passed` says so for each knot."""
        passed = np.broadcast_to(passed, np.broadcast_shapes(passed.shape, self.steps.shape))
        first = np.argmax(passed, axis=-1)
        never = ~passed[..., -1]
        left = np.clip(first - 1, 0, self.steps.shape[-1] - 2)
        x0, x1 = self._pick(self.steps, left), self._pick(self.steps, left + 1)
        y0, y1 = self._pick(self.scores, left), self._pick(self.scores, left + 1)
        target = np.broadcast_to(level[..., 0], first.shape)
        low, high = np.zeros(first.shape), np.ones(first.shape)
        if bool(np.any((target > y0) & (target < y1))):
            for _ in range(_BISECTIONS):
                middle = 0.5 * (low + high)
                below = self._segment(left, middle) < target
                low, high = np.where(below, middle, low), np.where(below, high, middle)
        inside = np.clip(x0 + high * (x1 - x0), x0, x1)
        effort = np.where(target <= y0, x0, np.where(target >= y1, x1, inside))
        return np.where(never, np.inf, np.where(first == 0, 0.0, effort))


def isotonic(scores: Sequence[float], weights: Sequence[float] | None = None) -> FloatArray:
    """Closest non-decreasing sequence in weighted least squares (pool adjacent violators, from scipy)."""
    from scipy.optimize import isotonic_regression

    return np.asarray(isotonic_regression(np.asarray(scores, dtype=np.float64), weights=weights).x)


def tabulate(trajectories: Sequence[tuple[Sequence[float], Sequence[float]]]) -> Tabulated:
    """Build the curve of n developers from (steps, scores) pairs of any lengths; falls are pooled by `isotonic`.

    Steps must be finite, non-negative and strictly increasing. One point gives a flat curve.
    """
    from scipy.interpolate import PchipInterpolator

    width = max(2, *(len(steps) for steps, _ in trajectories))
    table = np.zeros((3, len(trajectories), width))
    for i, (steps, scores) in enumerate(trajectories):
        x, y = np.asarray(steps, dtype=np.float64), isotonic(scores)
        slopes = PchipInterpolator(x, y).derivative()(x) if len(x) > 1 else np.zeros(1)
        padding = width - len(x)
        table[0, i] = np.concatenate([x, x[-1] + 1.0 + np.arange(padding)])
        table[1, i] = np.concatenate([y, np.full(padding, y[-1])])
        table[2, i] = np.concatenate([np.maximum(slopes, 0.0), np.zeros(padding)])
    return Tabulated(steps=table[0], scores=table[1], slopes=table[2])
