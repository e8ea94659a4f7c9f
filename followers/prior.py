"""A population prior: reproducible draws of leaderboards that might have been (DESIGN section 4)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from followers.arrays import BoolArray, FloatArray
from followers.costs import EffortCost, PowerCost, TabulatedCost
from followers.curves import Exponential, GeneralizedLogit, Linear, ScoreCurve
from followers.envelope import Envelope, lifted
from followers.grouping import Part
from followers.population import Population
from followers.roster import RosterCost, RosterCurve
from followers.tabulated import Tabulated

__all__ = ["RosterPrior", "synthetic"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RosterPrior:
    """The same developers with what is not known about them drawn anew.

    Each draw takes every curve, and the true quality with it, from the population's simulated refits (`curve_draws`);
    where a developer has none, shifts them by a normal error with its `score_stderr`. It multiplies every cost by a
    log-normal factor, and gives some developers prior exposure to the task.

    Attributes
    ----------
    cost_spread : standard deviation of the log of the cost factor.
    exposure_share : probability that a developer has prior exposure beyond what the population states.
    exposure_median, exposure_spread : steps, and standard deviation of the log, of such an exposure.
    level_errors : whether curves (and qualities) are drawn.
    """

    cost_spread: float = 0.25
    exposure_share: float = 0.0
    exposure_median: float = 100.0
    exposure_spread: float = 1.0
    level_errors: bool = True

    def draw(self, population: Population, draws: int, rng: np.random.Generator) -> Population:
        """`draws` populations from a single one (B = 1); the same generator state gives the same draws."""
        if population.batch != 1:
            raise ValueError(f"prior: a roster of one population is needed, got {population.batch}")
        if draws < 1:
            raise ValueError(f"prior: {draws} draws; at least 1 is needed")
        shape = (draws, population.n)
        level = rng.standard_normal(shape) * (population.score_stderr if self.level_errors else 0.0)
        level = _within_shares(population.curve, level)
        factor = np.exp(self.cost_spread * rng.standard_normal(shape))
        exposed = rng.random(shape) < self.exposure_share
        exposure = self.exposure_median * np.exp(self.exposure_spread * rng.standard_normal(shape))
        quality, curve = population.quality + level, _lifted(population.curve, level)
        if self.level_errors and population.curve_draws is not None:
            refits = population.curve_draws
            chosen = refits[rng.integers(len(refits), size=shape), np.arange(population.n)]  # (draws, n, 5)
            known = np.isfinite(chosen[..., 4])
            quality = np.where(known, chosen[..., 4], quality)
            curve = _redrawn(curve, chosen, known)
        return replace(
            population,
            quality=quality,
            curve=curve,
            cost=_scaled(population.cost, factor),
            prior_exposure=population.prior_exposure + np.where(exposed, exposure, 0.0),
            effort_cap=np.broadcast_to(population.effort_cap, shape).copy(),
        )


def _within_shares(curve: ScoreCurve, shift: FloatArray) -> FloatArray:
    """The shift (B, n), cut where a curve of shares of correct items, within [0, 1], would leave them."""
    lowest, highest = curve.score(0.0), curve.score(np.inf)
    shares = (lowest >= 0) & (highest <= 1)
    inside = 1.0 - 1e-12  # so that rounding in the shifted curve does not leave them again
    down, up = (np.where(shares, inside * room, 0.0) for room in (-lowest, 1.0 - highest))
    return np.where(shares, np.clip(shift, down, up), shift)


def _lifted(curve: ScoreCurve, shift: FloatArray) -> ScoreCurve:
    """The curve with `shift` (B, n) added to every score."""
    if isinstance(curve, RosterCurve):
        parts = tuple(Part(p.developers, _lifted(p.law, shift[:, p.developers])) for p in curve.parts)
        return RosterCurve(parts, curve.n)
    if isinstance(curve, Tabulated):
        steps, slopes = (np.broadcast_to(x, (len(shift), *curve.steps.shape)) for x in (curve.steps, curve.slopes))
        return Tabulated(steps=steps, scores=curve.scores + shift[..., None], slopes=slopes)
    if isinstance(curve, Linear):
        return Linear(lower=curve.lower + shift, rate=np.broadcast_to(curve.rate, shift.shape))
    if isinstance(curve, GeneralizedLogit | Exponential):
        # rounding of the two sums must not open a gap in a flat curve, nor close or turn one round
        lower = curve.lower + shift
        return replace(curve, lower=lower, upper=lower + (curve.upper - curve.lower))
    if isinstance(curve, Envelope):
        return lifted(curve, shift)
    raise TypeError(f"prior: no level shift is known for {type(curve).__name__}")


def _redrawn(curve: ScoreCurve, refits: FloatArray, known: BoolArray) -> ScoreCurve:
    """The curve with the parameters of `refits` (B, n, 5) where they are `known` (B, n)."""
    if isinstance(curve, RosterCurve):
        own = ((p, refits[:, p.developers], known[:, p.developers]) for p in curve.parts)
        return RosterCurve(tuple(Part(p.developers, _redrawn(p.law, r, k)) for p, r, k in own), curve.n)
    if not isinstance(curve, GeneralizedLogit):
        return curve
    names = ("lower", "upper", "intercept", "slope")
    drawn = {n: np.where(known, refits[..., k], getattr(curve, n)) for k, n in enumerate(names)}
    return GeneralizedLogit(**drawn)


def _scaled(cost: EffortCost, factor: FloatArray) -> EffortCost:
    """The cost with every amount multiplied by `factor` (B, n)."""
    if isinstance(cost, RosterCost):
        parts = tuple(Part(p.developers, _scaled(p.law, factor[:, p.developers])) for p in cost.parts)
        return RosterCost(parts, cost.n)
    if isinstance(cost, PowerCost):
        return replace(cost, scale=cost.scale * factor, entry_fee=cost.entry_fee * factor)
    if isinstance(cost, TabulatedCost):
        efforts = np.broadcast_to(cost.efforts, (len(factor), *cost.efforts.shape))
        return TabulatedCost(efforts=efforts, costs=cost.costs * factor[..., None])
    raise TypeError(f"prior: no rescaling is known for {type(cost).__name__}")


def synthetic(
    n: int, draws: int, rng: np.random.Generator, *, common_ceiling: bool = False, cost_scale: float = 2e-5
) -> Population:
    """Draws of n generalized-logit developers in the range of the measured fits, for benchmarks and tests.

    Ceilings are uniform on [0.2, 0.9] (or 0.9 for all), floors a third of them, intercepts normal around -5, slopes
    log-normal around 0.9; linear costs of `cost_scale` per step. Quality is the ceiling, or the intercept where
    ceilings are common.
    """
    shape = (draws, n)
    ceiling = np.full(shape, 0.9) if common_ceiling else rng.uniform(0.2, 0.9, shape)
    intercept = -5.0 + rng.standard_normal(shape)
    slope = 0.9 * np.exp(0.2 * rng.standard_normal(shape))
    ones = np.ones(shape)
    return Population(
        names=tuple(f"developer {i + 1}" for i in range(n)),
        quality=intercept if common_ceiling else ceiling,
        curve=GeneralizedLogit(lower=ceiling / 3.0, upper=ceiling, intercept=intercept, slope=slope),
        cost=PowerCost(scale=cost_scale * ones, exponent=ones, free=0.0 * ones, entry_fee=0.0 * ones),
        prior_exposure=np.zeros(shape),
        effort_cap=np.full(shape, np.inf),
        parameters_b=np.ones(n),
        score_stderr=np.zeros(n),
        provenance={"source": "synthetic draws, followers.prior.synthetic"},
    )
