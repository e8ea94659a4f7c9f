"""Bounded nonlinear least squares for many small problems at once (Levenberg-Marquardt on arrays).

Calibration refits the same curve thousands of times: from several starts, without one step, along a profile, on
simulated scores. All of these are one batch here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from followers.arrays import FloatArray

__all__ = ["Residuals", "minimise"]

Residuals = Callable[[FloatArray, Any], tuple[FloatArray, FloatArray]]
"""(parameters (b, k), positions of these problems in the batch) -> residuals (b, m), Jacobian (b, m, k)."""

_STALLED = 1e12


def minimise(
    residuals: Residuals,
    start: FloatArray,
    low: FloatArray,
    high: FloatArray,
    *,
    iterations: int = 400,
    tolerance: float = 1e-11,
) -> tuple[FloatArray, FloatArray]:
    """Minimise the sum of squared residuals of each problem from `start` (B, k) within `low` and `high` (B, k).

    Returns parameters (B, k) and sums of squares (B,). A parameter at a bound that the gradient pushes outwards is
    held there for the step; equal bounds hold it for good. A problem is finished when the sum falls by less than
    `tolerance` of itself, or no shorter step lowers it. More (1978), The Levenberg-Marquardt algorithm; the projection
    onto bounds is that of Kanzow, Yamashita & Fukushima (2004), J. Comput. Appl. Math. 172.
    """
    best = np.clip(start, low, high)
    batch, k = best.shape
    cost = np.full(batch, np.inf)
    damping = np.full(batch, 1e-3)
    active = np.arange(batch)
    r, jacobian = residuals(best, active)
    cost[:] = np.einsum("bm,bm->b", r, r)
    calm = np.zeros(batch, dtype=np.int64)
    diagonal = np.arange(k)
    for _ in range(iterations):
        p, lo, hi = best[active], low[active], high[active]
        gradient = np.einsum("bmk,bm->bk", jacobian, r)
        held = ((p <= lo) & (gradient > 0)) | ((p >= hi) & (gradient < 0)) | (lo == hi)
        normal = np.einsum("bmk,bml->bkl", jacobian, jacobian)
        normal[np.broadcast_to(held[:, :, None] | held[:, None, :], normal.shape)] = 0.0
        scale = normal[:, diagonal, diagonal]
        largest = np.maximum(scale.max(axis=1, keepdims=True), 1e-30)
        normal[:, diagonal, diagonal] += damping[active, None] * np.maximum(scale, 1e-10 * largest) + 1e-14 * largest
        normal[:, diagonal, diagonal] += np.where(held, 1.0, 0.0)
        step = -np.linalg.solve(normal, np.where(held, 0.0, gradient)[:, :, None])[:, :, 0]
        tried = np.clip(p + step, lo, hi)
        new_r, new_jacobian = residuals(tried, active)
        new_cost = np.einsum("bm,bm->b", new_r, new_r)
        better = new_cost < cost[active]
        fall = np.where(better, cost[active] - new_cost, 0.0)
        small = fall <= tolerance * np.maximum(cost[active], 1e-30)
        calm[active] = np.where(better & small, calm[active] + 1, np.where(better, 0, calm[active]))
        best[active] = np.where(better[:, None], tried, p)
        cost[active] = np.where(better, new_cost, cost[active])
        damping[active] = np.where(better, np.maximum(damping[active] / 5.0, 1e-14), damping[active] * 4.0)
        keep = (calm[active] < 2) & (damping[active] < _STALLED)
        if not keep.any():
            break
        r = np.where(better[:, None], new_r, r)[keep]
        jacobian = np.where(better[:, None, None], new_jacobian, jacobian)[keep]
        active = active[keep]
    return best, cost
