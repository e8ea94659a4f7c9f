"""`truerank calibrate`: measurements of any known format become a population file and a report."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from followers.calibration import Calibration, QualityRule, calibrate
from followers.curves import GeneralizedLogit
from followers.errors import InputError
from followers.exposure import estimate_exposures
from followers.importers import read_effort_scales, read_measured, read_steps
from followers.importers.harness import OnBad
from followers.leaderboards import LeaderboardPrior, given_scores, typical
from followers.load import EMBEDDED, load
from followers.pooling import Pool
from followers.population import Population
from followers.trajectories import Trajectory

__all__ = ["Request", "Result", "held_out_sentence", "run"]

LAST_STEP = {"gsm8k": 25_000.0, "mmlu": 4_000.0}
"""Last measured step of the embedded populations."""

_DRAWS_SEED = 20260308


@dataclass(frozen=True, slots=True)
class Request:
    """What the command line asks for."""

    paths: tuple[Path, ...]
    benchmark: str | None = None
    metric: str | None = None
    steps: Path | None = None
    effort_scales: Path | None = None
    tuned_steps: float | None = None
    n_items: float | None = None
    on_bad: OnBad = "stop"
    like: str | None = None
    exposure: bool = False
    floor: float = 0.0
    quality: QualityRule = "last measured score"
    half_prize_steps: float = 25_000.0
    clean_only: bool = False
    draws: int = 32


@dataclass(frozen=True, slots=True)
class Result:
    """Developers of the population, what was noted on the way, and the calibration (None for a leaderboard)."""

    developers: list[dict[str, Any]]
    notes: tuple[str, ...]
    calibration: Calibration | None


def run(
    request: Request,
    *,
    reading: Callable[[int, int], None] | None = None,
    fitting: Callable[[int, int], None] | None = None,
) -> Result:
    """Read and calibrate; InputError where fewer than 2 models are usable or an option does not fit the files."""
    scale = 0.5 / request.half_prize_steps
    measured = read_measured(
        request.paths,
        benchmark=request.benchmark,
        metric=request.metric,
        steps=read_steps(request.steps) if request.steps else None,
        tuned_steps=request.tuned_steps,
        n_items=request.n_items,
        effort_scales=read_effort_scales(request.effort_scales) if request.effort_scales else None,
        on_bad=request.on_bad,
        progress=reading,
    )
    if "leaderboard" in measured.kinds:
        if len(measured.kinds) > 1:
            raise InputError(f"{request.paths[0]}: a leaderboard beside other measurements; calibrate them apart")
        developers, notes = _from_leaderboard(measured.trajectories, request, scale)
        result = Result(developers, (*measured.notes, *notes), None)
    elif request.exposure:
        developers, notes = _with_exposure(measured.trajectories, request, scale)
        result = Result(developers, (*measured.notes, *notes), None)
    else:
        found = calibrate(
            measured.trajectories,
            quality=request.quality,
            cost_scale=scale,
            clean_only=request.clean_only,
            like=Pool.of_parameters(_parameters(_like(request))) if request.like else None,
            draws=request.draws,
            progress=fitting,
        )
        result = Result(found.developers(), (*measured.notes, *found.notes), found)
    if len(result.developers) < 2:
        said = f" ({result.notes[0]})" if result.notes else ""
        raise InputError(
            f"{request.paths[0]}: {len(result.developers)} usable model(s); a leaderboard needs at least 2{said}"
        )
    return result


def _like(request: Request) -> Population:
    if request.like not in EMBEDDED:
        raise InputError(f"--like {request.like}: must be one of the embedded populations, {', '.join(EMBEDDED)}")
    return load(request.like)


def _parameters(population: Population) -> Any:
    curve = population.curve
    assert isinstance(curve, GeneralizedLogit)  # the embedded populations have no tables
    return np.stack([curve.lower, curve.upper, curve.intercept, curve.slope], axis=-1).reshape(population.n, 4)


def _curve(row: Sequence[float]) -> dict[str, Any]:
    names = ("lower", "upper", "intercept", "slope")
    return {"kind": "generalized-logit", **{k: float(f"{x:.8g}") for k, x in zip(names, row, strict=True)}}


def _common(t: Trajectory, scale: float) -> dict[str, Any]:
    rest = {} if math.isnan(t.parameters_b) else {"parameters_b": t.parameters_b}
    return {"name": t.model, "cost": {"kind": "power", "scale": scale}, **rest}


def _from_leaderboard(
    boards: Sequence[Trajectory], request: Request, scale: float
) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """One score per model says nothing of how it would rise: curves are borrowed from a calibrated population."""
    if request.like is None:
        raise InputError(
            f"{request.paths[0]}: a leaderboard has one score per model, no curves; borrow them with --like "
            f"{' or '.join(EMBEDDED)}, or measure the models after some tuning steps"
        )
    prior = LeaderboardPrior.of(_like(request), steps=LAST_STEP[request.like])
    scores = np.array([t.scores[0] for t in boards])
    errors, rng = np.array([t.stderrs[0] for t in boards]), np.random.default_rng(_DRAWS_SEED)
    drawn, far_off = given_scores(prior, scores, errors, rng, draws=max(request.draws, 16))
    notes = tuple(
        f"{t.model}: scores {t.scores[0]:g}, as hardly any model of {request.like} before tuning; its curve is a guess"
        for t, far in zip(boards, far_off, strict=True)
        if far
    )
    middle = typical(drawn)
    developers = [
        {
            **_common(t, scale),
            "quality": float(f"{middle[i, 4]:.8g}"),
            "curve": _curve(middle[i, :4].tolist()),
            "score_stderr": float(f"{t.stderrs[0]:.8g}"),
            "curve_draws": [[float(f"{x:.5g}") for x in row] for row in drawn[:, i].tolist()],
        }
        for i, t in enumerate(boards)
    ]
    return developers, notes


def _with_exposure(
    trajectories: Sequence[Trajectory], request: Request, scale: float
) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """Unexposed curves of one shape that end at the tuned scores, and the exposure that explains the direct ones."""
    pairs = [t for t in trajectories if len(t.steps) == 2 and t.steps[0] == 0]
    if len(pairs) < len(trajectories) or len({float(t.steps[1]) for t in pairs}) > 1:
        raise InputError(f"{request.paths[0]}: --exposure needs a direct and a tuned score of every model, alike tuned")
    steps = float(pairs[0].steps[1])
    slope = float(np.median(_parameters(_like(request))[:, 3])) if request.like else 1.0
    direct, tuned = np.array([t.scores for t in pairs]).T
    errors = np.array([t.stderrs for t in pairs]).T
    found = estimate_exposures(direct, tuned, *errors, tuned_steps=steps, slope=slope, floor=request.floor)
    developers, notes = [], []
    for t, exposure, low, high in zip(pairs, found.steps, found.low, found.high, strict=True):
        if not math.isfinite(exposure):
            notes.append(f"{t.model}: left out, tuning added nothing to its direct score, or it never left the floor")
            continue
        share = 1 / (1 + math.exp(-(found.intercept + slope * math.log1p(exposure + steps))))
        upper = min(1.0, request.floor + (float(t.scores[1]) - request.floor) / share)
        curve = _curve((min(request.floor, upper), upper, found.intercept, slope))
        rest = {"prior_exposure": float(f"{exposure:.6g}"), "score_stderr": float(f"{t.stderrs[1]:.8g}")}
        developers.append({**_common(t, scale), "quality": float(t.scores[1]), "curve": curve, **rest})
        if exposure > 0:
            notes.append(f"{t.model}: prior exposure {exposure:.4g} steps (90% interval {low:.4g} to {high:.4g})")
    return developers, tuple(notes)


def held_out_sentence(calibration: Calibration) -> str:
    """How well steps left out were predicted, and over which trajectories."""
    examined = [f for f in calibration.fits if f.held_out is not None]
    steady = [f for f in examined if not f.nonmonotone and f.held_out is not None]
    if not examined:
        return "no steps were left out to check: every model has fewer than 6"
    if not steady:
        return "no step was predicted: every trajectory falls by more than 3 joint standard errors"
    errors = np.concatenate([np.abs(f.held_out.curve) for f in steady if f.held_out is not None])
    fallen = [f.trajectory.model for f in examined if f.nonmonotone]
    without = f"; without those that fall by more than 3 joint standard errors: {', '.join(fallen)}" if fallen else ""
    return (
        f"steps left out one by one are predicted with a median absolute error of {np.median(errors):.4f} "
        f"({len(errors)} steps of {len(steady)} models{without})"
    )
