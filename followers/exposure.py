"""Prior exposure from direct and tuned scores: who had trained on the task before anybody tuned it.

Two models that end at the same tuned score learnt the task equally well; the one that scored more before had seen more
of it. With a curve of common shape, v_i(e) = floor + (U_i - floor) sigmoid(alpha + beta log(1 + e)), the share of the
tuned rise that a model shows directly fixes its exposure x_i:

    (direct - floor) / (tuned - floor) = sigmoid(alpha + beta log(1 + x)) / sigmoid(alpha + beta log(1 + x + T)).

Only differences are seen: the models with the least share are taken to be unexposed (after Dominguez-Olmedo, Dorner &
Hardt, arXiv 2407.07890, who compare scores before and after tuning in the same way).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from followers.arrays import FloatArray

__all__ = ["Exposures", "estimate_exposures"]

_BISECTIONS = 80


@dataclass(frozen=True, slots=True)
class Exposures:
    """steps, low, high (n,): exposure in steps of tuning and its 90% interval; inf where a model has all of its tuned
    score already. NaN where tuned is at the floor. intercept: the unexposed curve's."""

    steps: FloatArray
    low: FloatArray
    high: FloatArray
    intercept: float


def _sigmoid(x: FloatArray) -> FloatArray:
    return 1.0 / (1.0 + np.exp(-np.clip(x, -700, 700)))


def estimate_exposures(
    direct: FloatArray,
    tuned: FloatArray,
    direct_stderr: FloatArray,
    tuned_stderr: FloatArray,
    *,
    tuned_steps: float,
    slope: float,
    floor: float = 0.0,
    unexposed: float = 0.1,
) -> Exposures:
    """Exposures of n models from scores before and after `tuned_steps` steps.

    `slope`: beta of the common curve (say, the median of a calibrated population). `floor`: chance level. `unexposed`:
    the share of models taken to have had none, those with the least share of their rise. Intervals by the delta method
    on the share. Raises ValueError on wrong shapes or values.
    """
    if not (direct.shape == tuned.shape == direct_stderr.shape == tuned_stderr.shape and direct.ndim == 1):
        raise ValueError("exposure: direct, tuned and their standard errors must be vectors of one length")
    if not (tuned_steps > 0 and slope > 0 and 0 < unexposed < 1):
        raise ValueError("exposure: tuned_steps and slope must be positive, unexposed between 0 and 1")
    rise = np.where(tuned - floor > 0, tuned - floor, np.nan)
    share = (direct - floor) / rise
    error = np.hypot(direct_stderr, share * tuned_stderr) / rise
    base = float(np.clip(np.nanquantile(share, unexposed), 1e-6, 1 - 1e-6))

    def of(intercept: FloatArray, exposure: FloatArray) -> FloatArray:
        before = _sigmoid(intercept + slope * np.log1p(exposure))
        return np.asarray(before / _sigmoid(intercept + slope * np.log1p(exposure + tuned_steps)))

    low, high = -60.0, 60.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if float(of(np.array(middle), np.zeros(()))) < base else (low, middle)
    intercept = (low + high) / 2

    def invert(target: FloatArray) -> FloatArray:
        a, b = np.zeros_like(target), np.full_like(target, np.log1p(1e9))
        for _ in range(_BISECTIONS):
            middle = (a + b) / 2
            less = of(np.array(intercept), np.expm1(middle)) < target
            a, b = np.where(less, middle, a), np.where(less, b, middle)
        found = np.where(target <= base, 0.0, np.where(b >= np.log1p(1e9), np.inf, np.expm1(b)))
        return np.where(np.isnan(target), np.nan, found)

    return Exposures(invert(share), invert(share - 1.645 * error), invert(share + 1.645 * error), float(intercept))
