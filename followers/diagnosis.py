"""How far a fitted curve can be trusted: dispersion, intervals, shape, held-out steps, simulated refits.

All trajectories are treated at once; see `logit_fits` for the batch and DESIGN section 1 for the curve.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from followers.arrays import FloatArray
from followers.logit_fits import BOUNDS, Points, concave_chi2, curve_and_jacobian, fit, fit_from, profile
from followers.tabulated import isotonic
from followers.trajectories import Trajectory

__all__ = [
    "LEVEL",
    "PARAMETERS",
    "HeldOut",
    "bootstrap",
    "covariances",
    "dispersions",
    "held_out",
    "intervals",
    "s_shape",
    "table_score",
]

PARAMETERS = ("lower", "upper", "intercept", "slope")
LEVEL = 0.90
"""Confidence level of every interval."""

_CHI2_ONE = 2.705543454095404  # 90% point of chi-square with one degree of freedom
_SHARED_WEIGHT = 4.0
"""Steps' worth of evidence that the other trajectories give about one trajectory's dispersion."""


def dispersions(chi2: FloatArray, points: FloatArray) -> FloatArray:
    """Factor (B,) on the variances of the scores beyond the stated standard errors; 1 where there is none.

    chi2, points: (B,), weighted sum of squares and number of points of each fit. A trajectory's own chi-square per
    degree of freedom is drawn towards the median of all (few steps say little about a variance); runs differ by more
    than the test items drawn, never by less, hence at least 1.
    """
    freedom = np.maximum(points - 4.0, 0.0)
    known = freedom > 0
    # median of chi2/dof over its median under no overdispersion (Wilson & Hilferty 1931)
    expected = (1 - 2 / (9 * np.maximum(freedom, 1.0))) ** 3
    typical = max(1.0, float(np.median((chi2 / np.maximum(freedom, 1) / expected)[known]))) if known.any() else 1.0
    return np.maximum(1.0, (_SHARED_WEIGHT * typical + chi2) / (_SHARED_WEIGHT + freedom))


def covariances(own: Points, parameters: FloatArray, dispersion: FloatArray) -> FloatArray:
    """Covariances (B, 4, 4) of the parameters by the curve's slope in them; zero for parameters at a bound."""
    _, jacobian = curve_and_jacobian(parameters, own.log_effort)
    normal = np.einsum("bmk,bm,bml->bkl", jacobian, own.weight, jacobian)
    free = (parameters > BOUNDS[0] + 1e-6) & (parameters < BOUNDS[1] - 1e-6)
    normal *= free[:, :, None] & free[:, None, :]
    return np.linalg.pinv(normal, rcond=1e-12, hermitian=True) * dispersion[:, None, None]


def intervals(own: Points, parameters: FloatArray, chi2: FloatArray, dispersion: FloatArray) -> FloatArray:
    """90% profile intervals, (B, 4, 2): an end at a bound says that the trajectory does not limit the parameter."""
    rise = dispersion * _CHI2_ONE
    return np.stack([np.stack(profile(own, parameters, chi2, rise, k), axis=-1) for k in range(4)], axis=1)


def s_shape(own: Points, parameters: FloatArray, chi2: FloatArray, dispersion: FloatArray) -> FloatArray:
    """p-value (B,) of "the curve is concave from the start" against the best fit; 1 where the best fit is concave.

    Likelihood ratio to the best concave curve; half of chi-square with one degree of freedom, as the hypothesis is
    bounded by a surface (Self & Liang 1987, J. Amer. Statist. Assoc. 82).
    """
    _, _, intercept, slope = parameters.T
    concave = slope - 1 <= np.exp(intercept) * (slope + 1)
    worse = np.maximum(concave_chi2(own) - chi2, 0.0) / dispersion
    tail = np.array([math.erfc(math.sqrt(x / 2)) for x in worse])
    return np.where(concave, 1.0, tail / 2)


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Errors (m,), prediction less measurement, at each step from a fit to all other steps: curve and table."""

    curve: FloatArray
    table: FloatArray

    @property
    def prefers_table(self) -> bool:
        """Whether the table's squared errors are smaller by more than two standard errors of the paired difference."""
        gain = self.curve**2 - self.table**2
        return bool(gain.mean() > 2.0 * gain.std(ddof=1) / math.sqrt(len(gain)))


def table_score(steps: FloatArray, scores: FloatArray, weights: FloatArray, at: FloatArray) -> FloatArray:
    """The tabulated curve (isotonic regression and PCHIP, flat outside) of these measurements at other steps."""
    from scipy.interpolate import PchipInterpolator

    level = isotonic(scores.tolist(), weights.tolist())
    if len(steps) == 1:
        return np.full(np.shape(at), level[0])
    return np.asarray(PchipInterpolator(steps, level)(np.clip(at, steps[0], steps[-1])))


def held_out(trajectories: Sequence[Trajectory], own: Points, parameters: FloatArray) -> tuple[HeldOut, ...]:
    """Leave one step out, refit, predict it: for every step of every trajectory."""
    counts = np.array([len(t.steps) for t in trajectories])
    row = np.repeat(np.arange(len(counts)), counts)
    column = np.concatenate([np.arange(m) for m in counts])
    left = own.at(row)
    weight = left.weight.copy()
    weight[np.arange(len(row)), column] = 0.0
    without = Points(left.log_effort, left.score, weight)
    afresh, cost = fit(without)
    near, near_cost = fit_from(without, parameters[row][:, None])
    found = np.where((near_cost < cost)[:, None], near, afresh)
    x = left.log_effort[np.arange(len(row)), column][:, None]
    error = curve_and_jacobian(found, x)[0][:, 0] - left.score[np.arange(len(row)), column]
    results = []
    for i, t in enumerate(trajectories):
        others = [np.delete(np.arange(counts[i]), j) for j in range(counts[i])]
        table = [
            float(table_score(t.steps[o], t.scores[o], t.stderrs[o] ** -2.0, t.steps[j])) - t.scores[j]
            for j, o in enumerate(others)
        ]
        results.append(HeldOut(error[row == i], np.array(table)))
    return tuple(results)


def bootstrap(
    own: Points, parameters: FloatArray, dispersion: FloatArray, draws: int, rng: np.random.Generator
) -> FloatArray:
    """Parametric bootstrap: parameters (draws, B, 4) refitted to scores simulated from the fitted curves.

    Simulated scores scatter by the stated standard errors times the root of the dispersion, clipped to [0, 1]. Efron &
    Tibshirani (1993), An Introduction to the Bootstrap, section 6.5.
    """
    batch = len(parameters)
    score, _ = curve_and_jacobian(parameters, own.log_effort)
    with np.errstate(divide="ignore"):
        spread = np.where(own.weight > 0, np.sqrt(dispersion[:, None] / own.weight), 0.0)
    noise = rng.standard_normal((draws, *score.shape)) * spread
    simulated = np.clip(score + noise, 0.0, 1.0).reshape(draws * batch, -1)
    row = np.tile(np.arange(batch), draws)
    again = own.at(row)
    start = parameters[row]
    # a second start, with the bend a little earlier: the nearest optimum need not be the best one
    earlier = start.copy()
    earlier[:, 2] = np.clip(start[:, 2] + start[:, 3], *BOUNDS[:, 2])
    found, _ = fit_from(Points(again.log_effort, simulated, again.weight), np.stack([start, earlier], axis=1))
    return found.reshape(draws, batch, 4)
