"""From measured trajectories to a population: score curves fitted by weighted least squares (DESIGN section 1)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from followers.arrays import FloatArray
from followers.errors import InputError
from followers.tabulated import isotonic
from followers.trajectories import Trajectory

__all__ = ["Calibration", "CurveFit", "QualityRule", "calibrate", "fit_curve"]

QualityRule = Literal["fitted ceiling", "last measured score", "column"]

_ALPHA, _BETA = (-60.0, 20.0), (0.001, 12.0)
_STARTS = 6
_LEAST_POINTS = 6
_POOR_RMSE = 0.025
"""A fit that misses by more than this (root mean square, score units) is replaced by the measured table."""


@dataclass(frozen=True, slots=True)
class CurveFit:
    """A generalized-logit curve fitted to one trajectory, and how well it fits.

    rmse, max_abs_resid: score units, unweighted. chi2_per_dof: weighted. max_drop_z: largest fall from an earlier to a
    later score, in joint standard errors. rise_chi2: what the rise improves chi-square by over a constant. at_bound:
    parameters at the edge of what was allowed.
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
        """Why the measured table is used instead of the fit; empty where the fit is good enough."""
        points = len(self.trajectory.steps)
        if points < _LEAST_POINTS:
            return f"{points} points, fewer than {_LEAST_POINTS}"
        return f"rmse {self.rmse:.3f} above {_POOR_RMSE}" if self.rmse > _POOR_RMSE else ""

    def score(self, steps: FloatArray) -> FloatArray:
        """Fitted score after `steps`."""
        return _curve(np.array([self.lower, self.upper, self.intercept, self.slope]), np.log1p(steps))[0]


def _curve(parameters: FloatArray, log_effort: FloatArray) -> tuple[FloatArray, FloatArray]:
    lower, upper, intercept, slope = parameters
    share = 1.0 / (1.0 + np.exp(-np.clip(intercept + slope * log_effort, -700, 700)))
    return lower + (upper - lower) * share, share


def _starts(log_effort: FloatArray, y: FloatArray, weight: FloatArray) -> FloatArray:
    """Best (lower, upper, intercept, slope) of a grid of bends and slopes, floor and ceiling by least squares."""
    mesh = np.meshgrid(np.linspace(-2.0, log_effort[-1] + 3.0, 40), np.geomspace(0.05, 11.0, 24))
    bend, slope = (x.ravel() for x in mesh)
    intercept = np.clip(-bend * slope, *_ALPHA)
    share = 1.0 / (1.0 + np.exp(-np.clip(intercept[:, None] + slope[:, None] * log_effort, -700, 700)))
    w = weight / weight.sum()
    mean_x, mean_y = share @ w, float(y @ w)
    var = ((share - mean_x[:, None]) ** 2) @ w
    gap = np.clip((((share - mean_x[:, None]) * (y - mean_y)) @ w) / np.maximum(var, 1e-12), 0.0, 1.0)
    lower = np.clip(mean_y - gap * mean_x, 0.0, 1.0)
    upper = np.clip(lower + gap, lower, 1.0)
    loss = ((lower[:, None] + (upper - lower)[:, None] * share - y) ** 2) @ weight
    best: list[int] = []
    for k in np.argsort(loss, kind="stable"):  # distinct places, not one place several times
        if all(abs(bend[k] - bend[b]) > 0.6 or abs(np.log(slope[k] / slope[b])) > 0.4 for b in best):
            best.append(int(k))
        if len(best) == _STARTS:
            break
    return np.stack([lower, upper, intercept, slope], axis=1)[best]


def fit_curve(trajectory: Trajectory) -> CurveFit:
    """Weighted least squares with weights 1 / stderr^2 from several starts, deterministic.

    Bounds: 0 <= lower <= upper <= 1, intercept in [-60, 20], slope in [0.001, 12]. Needs at least 2 points.
    """
    from scipy.optimize import least_squares

    log_effort, y, weight = np.log1p(trajectory.steps), trajectory.scores, trajectory.stderrs**-2.0
    root = 1.0 / trajectory.stderrs

    # lower = floor share * upper keeps 0 <= lower <= upper <= 1 by simple bounds
    def unpack(p: FloatArray) -> FloatArray:
        return np.array([p[0] * p[1], p[1], p[2], p[3]])

    def residuals(p: FloatArray) -> FloatArray:
        return np.asarray((_curve(unpack(p), log_effort)[0] - y) * root)

    def jacobian(p: FloatArray) -> FloatArray:
        share = _curve(unpack(p), log_effort)[1]
        bend = p[1] * (1 - p[0]) * share * (1 - share)
        columns = [p[1] * (1 - share), p[0] + (1 - p[0]) * share, bend, bend * log_effort]
        return np.stack(columns, axis=1) * root[:, None]

    bounds = ([0.0, 0.0, _ALPHA[0], _BETA[0]], [1.0, 1.0, _ALPHA[1], _BETA[1]])
    best: Any = None
    for lower, upper, intercept, slope in _starts(log_effort, y, weight):
        start = [lower / upper if upper > 0 else 0.5, upper, intercept, slope]
        inside = np.clip(start, np.array(bounds[0]) + 1e-9, np.array(bounds[1]) - 1e-9)
        found = least_squares(
            residuals,
            inside,
            jac=jacobian,
            bounds=bounds,
            x_scale=[0.1, 0.1, 1.0, 0.1],
            ftol=1e-12,
            xtol=1e-12,
            gtol=1e-12,
            max_nfev=400,
        )
        if best is None or found.cost < best.cost * (1 - 1e-10):
            best = found
    fitted = unpack(best.x)
    residual = _curve(fitted, log_effort)[0] - y
    chi2 = float(residual**2 @ weight)
    constant = float((y - (y @ weight) / weight.sum()) ** 2 @ weight)
    close = {
        "intercept": min(best.x[2] - _ALPHA[0], _ALPHA[1] - best.x[2]) < 1e-3,
        "slope": min(best.x[3] - _BETA[0], _BETA[1] - best.x[3]) < 1e-4,
        "lower": best.x[0] < 1e-9,
        "upper": best.x[1] > 1 - 1e-9,
    }
    return CurveFit(
        trajectory=trajectory,
        lower=float(fitted[0]),
        upper=float(fitted[1]),
        intercept=float(fitted[2]),
        slope=float(fitted[3]),
        rmse=float(np.sqrt(np.mean(residual**2))),
        max_abs_resid=float(np.max(np.abs(residual))),
        chi2_per_dof=chi2 / max(len(y) - 4, 1),
        max_drop_z=_largest_drop(trajectory),
        rise_chi2=constant - chi2,
        at_bound=tuple(name for name, there in close.items() if there),
    )


def _largest_drop(trajectory: Trajectory) -> float:
    """Of all earlier-later pairs the one that falls most in score, in joint standard errors (0 where none falls)."""
    y, s = trajectory.scores, trajectory.stderrs
    fall = np.triu(y[:, None] - y[None, :], 1)
    i, j = np.unravel_index(int(np.argmax(fall)), fall.shape)
    return float(max(fall[i, j], 0.0) / math.hypot(s[i], s[j]))


@dataclass(frozen=True, slots=True)
class Calibration:
    """Fits of all usable trajectories, what was done about the others (`notes`), and the population they make."""

    fits: tuple[CurveFit, ...]
    quality: QualityRule
    cost_scale: float
    notes: tuple[str, ...]

    def developers(self) -> list[dict[str, Any]]:
        """Entries of `[[developers]]`: fitted curves, or the measured table where the fit is poor."""
        return [self._developer(fit) for fit in self.fits]

    def _developer(self, fit: CurveFit) -> dict[str, Any]:
        t = fit.trajectory
        if fit.poor:
            scores = isotonic(t.scores.tolist(), (t.stderrs**-2.0).tolist())
            curve: dict[str, Any] = {
                "kind": "tabulated",
                "effort": t.steps.tolist(),
                "score": [_rounded(s) for s in scores.tolist()],
            }
        else:
            shape = {k: _rounded(getattr(fit, k)) for k in ("lower", "upper", "intercept", "slope")}
            curve = {"kind": "generalized-logit", **shape}
        quality = {"fitted ceiling": fit.upper, "last measured score": float(t.scores[-1]), "column": t.quality}
        developer = {
            "name": t.model,
            "quality": _rounded(quality[self.quality]),
            "curve": curve,
            "cost": {"kind": "power", "scale": self.cost_scale},
            "score_stderr": _rounded(float(t.stderrs[-1])),
        }
        return developer if math.isnan(t.parameters_b) else {**developer, "parameters_b": t.parameters_b}


def _rounded(value: float) -> float:
    return float(f"{value:.8g}")


def calibrate(
    trajectories: Sequence[Trajectory],
    *,
    quality: QualityRule = "last measured score",
    cost_scale: float,
    clean_only: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Calibration:
    """Fit every trajectory.

    `quality`: what counts as true quality (a choice, and stated in the result). `cost_scale`: prize units per step,
    linear. `clean_only` leaves out trajectories that fall by more than 3 joint standard errors or never rise. Nothing
    is left out or replaced without a note. `progress` is called with (trajectories done, trajectories in all).
    """
    fits, notes = [], []
    for done, t in enumerate(trajectories):
        if progress is not None:
            progress(done, len(trajectories))
        if len(t.steps) < 2:
            notes.append(f"{t.model}: left out, 1 point; a curve needs at least 2")
            continue
        if quality == "column" and math.isnan(t.quality):
            raise InputError(
                f"quality of {t.model!r}: no column 'quality' in the trajectories; add one or choose another rule"
            )
        fit = fit_curve(t)
        if clean_only and not fit.clean:
            why = "never rises" if fit.flat else f"falls by {fit.max_drop_z:.1f} joint standard errors"
            notes.append(f"{t.model}: left out, {why}")
            continue
        if clean_only and len(t.steps) < _LEAST_POINTS:
            notes.append(f"{t.model}: left out, {fit.poor}")
            continue
        if fit.poor:
            notes.append(f"{t.model}: measured table instead of the fit, {fit.poor}")
        fits.append(fit)
    return Calibration(tuple(fits), quality, cost_scale, tuple(notes))
