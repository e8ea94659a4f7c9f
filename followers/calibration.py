"""From measured trajectories to a population: score curves, how far to trust them, and what was done where not.

Curves are generalized logits fitted by weighted least squares (DESIGN section 1). A trajectory of few steps borrows
from its family (`pooling`); one that no such curve predicts well is kept as its measured table.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from followers.arrays import FloatArray
from followers.curve_fit import LEAST_POINTS, CurveFit, fit_curve, fit_curves
from followers.diagnosis import (
    LEVEL,
    PARAMETERS,
    HeldOut,
    bootstrap,
    covariances,
    dispersions,
    held_out,
    intervals,
    s_shape,
)
from followers.errors import InputError
from followers.logit_fits import curve_and_jacobian, points
from followers.pooling import Pool, from_coordinates, pool, shrink
from followers.tabulated import isotonic
from followers.trajectories import Trajectory

__all__ = ["Calibration", "Choice", "CurveFit", "QualityRule", "calibrate", "fit_curve"]

QualityRule = Literal["fitted ceiling", "last measured score", "column"]
Choice = Literal["held-out", "fit"]
"""What decides between fit and table: held-out steps (and a poor fit), or a poor fit alone."""

_LEAST_POOL = 8
"""Trajectories of enough steps from which others may borrow."""
_BOOTSTRAP_SEED = 20260308


@dataclass(frozen=True, slots=True)
class Calibration:
    """Fits of all usable trajectories, what was done about the others (`notes`), and the population they make."""

    fits: tuple[CurveFit, ...]
    quality: QualityRule
    cost_scale: float
    notes: tuple[str, ...]
    pool: Pool | None = None

    def developers(self) -> list[dict[str, Any]]:
        """Entries of `[[developers]]`: fitted curves, or the measured table where the fit is poor."""
        return [self._developer(fit) for fit in self.fits]

    def _quality(self, fit: CurveFit, parameters: FloatArray) -> FloatArray:
        """True quality under the chosen rule, were these the parameters (..., 4)."""
        last = np.log1p(fit.trajectory.efforts[-1:])
        level = curve_and_jacobian(parameters, last)[0][..., 0] - curve_and_jacobian(fit.parameters(), last)[0][0]
        found = {
            "fitted ceiling": parameters[..., 1],
            "last measured score": fit.trajectory.scores[-1] + level,
            "column": np.full(parameters.shape[:-1], fit.trajectory.quality),
        }
        return np.asarray(found[self.quality])

    def _developer(self, fit: CurveFit) -> dict[str, Any]:
        t = fit.trajectory
        developer: dict[str, Any] = {
            "name": t.model,
            "quality": _rounded(float(self._quality(fit, fit.parameters()))),
        }
        if fit.source == "table":
            scores = isotonic(t.scores.tolist(), (t.stderrs**-2.0).tolist())
            developer["curve"] = {
                "kind": "tabulated",
                "effort": t.efforts.tolist(),
                "score": [_rounded(s) for s in scores.tolist()],
            }
        else:
            shape = {k: _rounded(getattr(fit, k)) for k in PARAMETERS}
            developer["curve"] = {"kind": "generalized-logit", **shape}
        # a step that counts for less costs as much: effort is dearer
        developer["cost"] = {"kind": "power", "scale": _rounded(self.cost_scale / t.effort_scale)}
        developer["score_stderr"] = _rounded(float(t.stderrs[-1]))
        if fit.source != "table" and len(fit.draws):
            rows = np.column_stack([fit.draws, self._quality(fit, fit.draws)])
            developer["curve_draws"] = [[float(f"{x:.5g}") for x in row] for row in rows.tolist()]
        return developer if math.isnan(t.parameters_b) else {**developer, "parameters_b": t.parameters_b}

    def table(self) -> list[dict[str, Any]]:
        """The report: one row per model with its curve, 90% intervals, errors and flags."""
        rows = []
        for f in self.fits:
            row: dict[str, Any] = {
                "model": f.trajectory.model,
                "family": f.trajectory.family,
                "points": len(f.trajectory.steps),
                "effort_scale": f.trajectory.effort_scale,
                "source": f.source,
                "why": f.why,
            }
            for k, name in enumerate(PARAMETERS):
                row[name] = getattr(f, name)
                row[f"{name}_low"], row[f"{name}_high"] = f.intervals[k] if f.intervals.size else (None, None)
            out = f.held_out
            row |= {
                "rmse": f.rmse,
                "max_abs_resid": f.max_abs_resid,
                "chi2_per_dof": f.chi2_per_dof,
                "dispersion": f.dispersion,
                "max_drop_z": f.max_drop_z,
                "s_shape_p": None if math.isnan(f.s_shape_p) else f.s_shape_p,
                "held_out_curve": None if out is None else float(np.sqrt(np.mean(out.curve**2))),
                "held_out_table": None if out is None else float(np.sqrt(np.mean(out.table**2))),
                "flags": "; ".join(f.flags),
            }
            rows.append(row)
        return rows

    def residuals(self) -> list[dict[str, Any]]:
        """Data of a residual plot: one row per model and step; `standardized` counts the dispersion."""
        rows = []
        for f in self.fits:
            t, fitted = f.trajectory, f.score(f.trajectory.steps)
            for k, step in enumerate(t.steps.tolist()):
                rows.append(
                    {
                        "model": t.model,
                        "step": step,
                        "score": float(t.scores[k]),
                        "stderr": float(t.stderrs[k]),
                        "fitted": float(fitted[k]),
                        "standardized": float((t.scores[k] - fitted[k]) / (t.stderrs[k] * math.sqrt(f.dispersion))),
                        "held_out_error": float(f.held_out.curve[k]) if f.held_out is not None else None,
                    }
                )
        return rows


def _rounded(value: float) -> float:
    return float(f"{value:.8g}")


def calibrate(
    trajectories: Sequence[Trajectory],
    *,
    quality: QualityRule = "last measured score",
    cost_scale: float,
    clean_only: bool = False,
    choose: Choice = "held-out",
    like: Pool | None = None,
    draws: int = 0,
    seed: int = _BOOTSTRAP_SEED,
    progress: Callable[[int, int], None] | None = None,
) -> Calibration:
    """Fit every trajectory.

    `quality`: what counts as true quality (a choice, and stated in the result). `cost_scale`: prize units per step,
    linear. `clean_only` leaves out trajectories that fall by more than 3 joint standard errors or never rise. Nothing
    is left out or replaced without a note. `choose` "held-out" examines every fit (intervals, shape, held-out steps)
    and prefers the measured table where it predicts steps left out clearly better; "fit" does neither. `draws`:
    refits to simulated scores, by which a population carries the errors of its curves. A trajectory of fewer than 6
    steps borrows from its family, or else from all, where at least 8 cleanly measured models are there to borrow from,
    or from `like`.
    `progress` is called with (stages done, stages in all).
    """
    stage = _stages(progress)
    notes: dict[str, str] = {}
    usable: list[Trajectory] = []
    for t in trajectories:
        if quality == "column" and math.isnan(t.quality) and len(t.steps) > 1:
            raise InputError(
                f"quality of {t.model!r}: no column 'quality' in the trajectories; add one or choose another rule"
            )
        if len(t.steps) < 2:
            notes[t.model] = f"left out, 1 point (step {t.steps[0]:g}); measure it at a second step"
        else:
            usable.append(t)
    fits = fit_curves(usable) if usable else []
    stage()
    related = _pool_of(fits) or like
    stage()
    kept = []
    for f in fits:
        said = _refusal(f, related) if clean_only else ""
        if said:
            notes[f.trajectory.model] = f"left out, {said}"
        else:
            kept.append(f)
    if choose == "held-out" and kept:
        kept = _examined(kept, stage)
    done = []
    for f in kept:
        f = _settled(f, related, choose)
        if f.source != "fit":
            instead = "measured table instead of the fit" if f.source == "table" else "fit pooled with its family"
            notes[f.trajectory.model] = f"{instead}, {f.why}"
        done.append(f)
    if draws and done:
        done = _with_draws(done, related, draws, seed)
    stage()
    said_in_order = tuple(f"{t.model}: {notes[t.model]}" for t in trajectories if t.model in notes)
    return Calibration(tuple(done), quality, cost_scale, said_in_order, related)


def _stages(progress: Callable[[int, int], None] | None) -> Callable[[], None]:
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, 6)

    return step


def _refusal(fit: CurveFit, related: Pool | None) -> str:
    """Why a trajectory is not clean; empty where it is."""
    if fit.flat:
        return "never rises"
    if fit.nonmonotone:
        return f"falls by {fit.max_drop_z:.1f} joint standard errors"
    return fit.poor if len(fit.trajectory.steps) < LEAST_POINTS and related is None else ""


def _pool_of(fits: Sequence[CurveFit]) -> Pool | None:
    good = [f for f in fits if f.clean and not f.poor]
    if len(good) < _LEAST_POOL:
        return None
    table = points([f.trajectory for f in good])
    chi2 = np.array([f.chi2_per_dof * max(len(f.trajectory.steps) - 4, 1) for f in good])
    spread = dispersions(chi2, np.array([float(len(f.trajectory.steps)) for f in good]))
    return pool(table, np.array([f.parameters() for f in good]), [f.trajectory.family for f in good], spread)


def _examined(fits: Sequence[CurveFit], stage: Callable[[], None]) -> list[CurveFit]:
    table = points([f.trajectory for f in fits])
    parameters = np.array([f.parameters() for f in fits])
    count = np.array([float(len(f.trajectory.steps)) for f in fits])
    chi2 = np.array([f.chi2_per_dof for f in fits]) * np.maximum(count - 4, 1)
    spread = dispersions(chi2, count)
    errors = covariances(table, parameters, spread)
    shape = s_shape(table, parameters, chi2, spread)
    stage()
    ranges = intervals(table, parameters, chi2, spread)
    stage()
    enough = [i for i, f in enumerate(fits) if len(f.trajectory.steps) >= LEAST_POINTS]
    out: dict[int, HeldOut] = {}
    if enough:
        tried = held_out([fits[i].trajectory for i in enough], table.at(enough), parameters[enough])
        out = dict(zip(enough, tried, strict=True))
    stage()
    return [
        replace(
            f,
            dispersion=float(spread[i]),
            covariance=errors[i],
            intervals=ranges[i],
            s_shape_p=float(shape[i]),
            held_out=out.get(i),
        )
        for i, f in enumerate(fits)
    ]


def _settled(fit: CurveFit, related: Pool | None, choose: Choice) -> CurveFit:
    """The fit with what stands for the model in a population."""
    if len(fit.trajectory.steps) < LEAST_POINTS and related is not None and fit.clean:
        coordinates, errors = _pooled(fit, related)
        settled = fit.with_parameters(from_coordinates(coordinates))
        settled = replace(settled, source="pooled fit", why=fit.poor, at_bound=())
        if not fit.intervals.size:
            return settled
        rng = np.random.default_rng(_BOOTSTRAP_SEED)
        likely = from_coordinates(rng.multivariate_normal(coordinates, errors, size=4_000, method="cholesky"))
        ends = np.quantile(likely, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
        return replace(settled, covariance=np.cov(likely.T), intervals=ends.T, s_shape_p=math.nan)
    if fit.poor:
        return replace(fit, source="table", why=fit.poor)
    if choose == "held-out" and fit.held_out is not None and fit.held_out.prefers_table:
        table, curve = (float(np.sqrt(np.mean(e**2))) for e in (fit.held_out.table, fit.held_out.curve))
        why = f"which misses steps left out by {curve:.3f}, the table by {table:.3f}"
        return replace(fit, source="table", why=why)
    return fit


def _pooled(fit: CurveFit, related: Pool) -> tuple[FloatArray, FloatArray]:
    mean, covariance = related.expectation(fit.trajectory.family)
    spread = np.array([max(fit.dispersion, 1.0)])
    coordinates, errors = shrink(points([fit.trajectory]), mean[None], covariance[None], spread)
    return coordinates[0], errors[0]


def _with_draws(fits: list[CurveFit], related: Pool | None, draws: int, seed: int) -> list[CurveFit]:
    rng = np.random.default_rng(seed)
    table = points([f.trajectory for f in fits])
    spread = np.array([f.dispersion for f in fits])
    again = bootstrap(table, np.array([f.parameters() for f in fits]), spread, draws, rng)
    result = []
    for i, f in enumerate(fits):
        own = again[:, i]
        if f.source == "pooled fit" and related is not None:
            coordinates, errors = _pooled(f, related)
            own = from_coordinates(rng.multivariate_normal(coordinates, errors, size=draws, method="cholesky"))
        result.append(f if f.source == "table" else replace(f, draws=own))
    return result
