"""A score curve fitted to one trajectory, and what is known about the fit (DESIGN section 1)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from followers.arrays import FloatArray
from followers.diagnosis import HeldOut
from followers.logit_fits import curve_and_jacobian, fit, points
from followers.trajectories import Trajectory

__all__ = ["LEAST_POINTS", "CurveFit", "fit_curve", "fit_curves"]

LEAST_POINTS = 6
"""Points from which a curve of four parameters may be fitted on its own."""
_POOR_RMSE = 0.025
"""A fit that misses by more than this (root mean square, score units) is replaced by the measured table."""


@dataclass(frozen=True, slots=True)
class CurveFit:
    """A generalized-logit curve fitted to one trajectory, and how well it fits.

    rmse, max_abs_resid: score units, unweighted. chi2_per_dof: weighted. max_drop_z: largest fall from an earlier to a
    later score, in joint standard errors. rise_chi2: what the rise improves chi-square by over a constant. at_bound:
    parameters at the edge of what was allowed. dispersion: factor on the variances of the scores. covariance (4, 4)
    and intervals (4, 2), 90%, of (lower, upper, intercept, slope): profile, or posterior where pooled. draws (K, 4):
    parametric bootstrap. s_shape_p: p-value of "concave". held_out: errors at steps left out. The last five are empty
    where they were not asked for. source: what stands for the model in a population ("fit", "pooled fit" or "table"),
    and `why` not its own fit.
    """

    trajectory: Trajectory
    lower: float
    upper: float
    intercept: float
    slope: float
    rmse: float
    max_abs_resid: float
    chi2_per_dof: float
    max_drop_z: float
    rise_chi2: float
    at_bound: tuple[str, ...]
    dispersion: float = 1.0
    covariance: FloatArray = field(default_factory=lambda: np.zeros((0, 4)))
    intervals: FloatArray = field(default_factory=lambda: np.zeros((0, 2)))
    draws: FloatArray = field(default_factory=lambda: np.zeros((0, 4)))
    s_shape_p: float = math.nan
    held_out: HeldOut | None = None
    source: Literal["fit", "pooled fit", "table"] = "fit"
    why: str = ""

    @property
    def nonmonotone(self) -> bool:
        """Scores fall by more than 3 joint standard errors somewhere."""
        return self.max_drop_z > 3

    @property
    def flat(self) -> bool:
        """No rise to speak of: chi-square improves by less than 9 over a constant."""
        return self.rise_chi2 < 9

    @property
    def clean(self) -> bool:
        """Rises, and does not fall."""
        return not self.nonmonotone and not self.flat

    @property
    def poor(self) -> str:
        """Why the fit alone is not good enough; empty where it is."""
        count = len(self.trajectory.steps)
        if count < LEAST_POINTS:
            return f"{count} points, fewer than {LEAST_POINTS}"
        return f"rmse {self.rmse:.3f} above {_POOR_RMSE}" if self.rmse > _POOR_RMSE else ""

    @property
    def flags(self) -> tuple[str, ...]:
        """What a reader should know: falls, S-shape, open ceiling, overdispersion, parameters at bounds."""
        said = {
            "falls": self.nonmonotone,
            "never rises": self.flat,
            "S-shaped": self.s_shape_p < 0.05,
            "ceiling not reached": bool(self.intervals.size) and self.intervals[1, 1] > 0.999,
            "overdispersed": self.dispersion > 2,
        }
        return tuple(name for name, true in said.items() if true) + tuple(f"{p} at bound" for p in self.at_bound)

    def parameters(self) -> FloatArray:
        """(lower, upper, intercept, slope)."""
        return np.array([self.lower, self.upper, self.intercept, self.slope])

    def score(self, steps: FloatArray) -> FloatArray:
        """Fitted score after `steps` of this model's own training."""
        efforts = np.asarray(steps, dtype=np.float64) * self.trajectory.effort_scale
        return curve_and_jacobian(self.parameters(), np.log1p(efforts))[0]

    def with_parameters(self, parameters: FloatArray) -> CurveFit:
        """The same trajectory with another curve; its misses are measured anew, the rest is kept."""
        lower, upper, intercept, slope = map(float, parameters)
        other = replace(self, lower=lower, upper=upper, intercept=intercept, slope=slope)
        residual = other.score(self.trajectory.steps) - self.trajectory.scores
        chi2 = float(((residual / self.trajectory.stderrs) ** 2).sum())
        return replace(
            other,
            rmse=float(np.sqrt(np.mean(residual**2))),
            max_abs_resid=float(np.max(np.abs(residual))),
            chi2_per_dof=chi2 / max(len(residual) - 4, 1),
        )


def fit_curve(trajectory: Trajectory) -> CurveFit:
    """Weighted least squares with weights 1 / stderr^2 from several starts, deterministic. Needs at least 2 points.

    Bounds: 0 <= lower <= upper <= 1, intercept in [-60, 20], slope in [0.001, 12].
    """
    return fit_curves([trajectory])[0]


def fit_curves(trajectories: Sequence[Trajectory]) -> list[CurveFit]:
    """As `fit_curve`, all at once."""
    parameters, chi2 = fit(points(trajectories))
    return [_measured(t, p, float(c)) for t, p, c in zip(trajectories, parameters, chi2, strict=True)]


def _measured(t: Trajectory, fitted: FloatArray, chi2: float) -> CurveFit:
    weight = t.stderrs**-2.0
    constant = float((t.scores - (t.scores @ weight) / weight.sum()) ** 2 @ weight)
    residual = curve_and_jacobian(fitted, np.log1p(t.efforts))[0] - t.scores
    lower, upper, intercept, slope = map(float, fitted)
    close = {
        "intercept": min(intercept + 60.0, 20.0 - intercept) < 1e-3,
        "slope": min(slope - 0.001, 12.0 - slope) < 1e-4,
        "lower": lower < 1e-9,
        "upper": upper > 1 - 1e-9,
    }
    return CurveFit(
        trajectory=t,
        lower=lower,
        upper=upper,
        intercept=intercept,
        slope=slope,
        rmse=float(np.sqrt(np.mean(residual**2))),
        max_abs_resid=float(np.max(np.abs(residual))),
        chi2_per_dof=chi2 / max(len(residual) - 4, 1),
        max_drop_z=_largest_drop(t),
        rise_chi2=constant - chi2,
        at_bound=tuple(name for name, there in close.items() if there),
    )


def _largest_drop(trajectory: Trajectory) -> float:
    """Of all earlier-later pairs the one that falls most in score, in joint standard errors (0 where none falls)."""
    y, s = trajectory.scores, trajectory.stderrs
    fall = np.triu(y[:, None] - y[None, :], 1)
    i, j = np.unravel_index(int(np.argmax(fall)), fall.shape)
    return float(max(fall[i, j], 0.0) / math.hypot(s[i], s[j]))
