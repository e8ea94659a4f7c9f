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
_DRAWS, _SEED = 400, 2407
_MOST = float(np.log1p(1e9))


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
    the share of models taken to have had none, those with the least share of their rise. Intervals by simulating both
    scores and the level of the unexposed anew (percentiles of a parametric bootstrap). Raises ValueError on wrong
    shapes or values.
    """
    if not (direct.shape == tuned.shape == direct_stderr.shape == tuned_stderr.shape and direct.ndim == 1):
        raise ValueError("exposure: direct, tuned and their standard errors must be vectors of one length")
    if not (tuned_steps > 0 and slope > 0 and 0 < unexposed < 1):
        raise ValueError("exposure: tuned_steps and slope must be positive, unexposed between 0 and 1")

    def shares(before: FloatArray, after: FloatArray) -> tuple[FloatArray, FloatArray]:
        rise = np.where(after - floor > 0, after - floor, np.nan)
        found = (before - floor) / rise
        return found, np.nanquantile(found, unexposed, axis=-1)

    share, base = shares(direct, tuned)
    rng = np.random.default_rng(_SEED)
    noise = rng.standard_normal((2, _DRAWS, len(direct)))
    again, bases = shares(direct + direct_stderr * noise[0], tuned + tuned_stderr * noise[1])
    # the lowest shares are low by bad luck too: as much lower as simulated ones are than these
    base = np.clip(2 * base - bases.mean(), 1e-6, 1 - 1e-6)
    bases = np.clip(bases + base - bases.mean(), 1e-6, 1 - 1e-6)

    def of(intercept: FloatArray, exposure: FloatArray) -> FloatArray:
        before = _sigmoid(intercept + slope * np.log1p(exposure))
        return np.asarray(before / _sigmoid(intercept + slope * np.log1p(exposure + tuned_steps)))

    def intercepts(target: FloatArray) -> FloatArray:
        low, high = np.full_like(target, -60.0), np.full_like(target, 60.0)
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            less = of(middle, np.zeros_like(middle)) < target
            low, high = np.where(less, middle, low), np.where(less, high, middle)
        return (low + high) / 2

    def invert(target: FloatArray, intercept: FloatArray, least: FloatArray) -> FloatArray:
        a, b = np.zeros_like(target), np.full_like(target, _MOST)
        for _ in range(_BISECTIONS):
            middle = (a + b) / 2
            less = of(intercept, np.expm1(middle)) < target
            a, b = np.where(less, middle, a), np.where(less, b, middle)
        found = np.where(target <= least, 0.0, np.where(b >= _MOST, np.inf, np.expm1(b)))
        return np.where(np.isnan(target), np.nan, found)

    intercept = intercepts(np.array([base]))
    simulated = invert(again, intercepts(bases)[:, None], bases[:, None])
    low, high = np.quantile(simulated, [0.05, 0.95], axis=0, method="nearest")
    return Exposures(invert(share, intercept, np.array([base])), low, high, float(intercept[0]))
