"""A population of developers: who plays, with what quality, curve and cost (DESIGN section 1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from followers.arrays import FloatArray
from followers.costs import EffortCost
from followers.curves import ScoreCurve

__all__ = ["Population"]


@dataclass(frozen=True, slots=True)
class Population:
    """B draws of n developers.

    Attributes
    ----------
    names : n distinct names.
    quality : (B, n), true quality, any unit; the designer never sees it.
    curve, cost : parameters of shape (n,) or (B, n); efforts in steps, costs in prize units.
    prior_exposure : (B, n), steps-equivalent of having trained on the task already.
    effort_cap : (B, n), steps; inf where there is none.
    parameters_b : (n,), model size in billions of parameters; weighs the designer's tuning compute.
    score_stderr : (n,), standard error of the measured level of each curve; 0 where unknown.
    curve_draws : (K, n, 5) or None, what else the measurements allow: (lower, upper, intercept, slope, quality) of each
        generalized-logit curve in K simulated refits; NaN for developers that have none.
    provenance : where the numbers come from, for reports.
    notes : what was changed in reading them.
    """

    names: tuple[str, ...]
    quality: FloatArray
    curve: ScoreCurve
    cost: EffortCost
    prior_exposure: FloatArray
    effort_cap: FloatArray
    parameters_b: FloatArray
    score_stderr: FloatArray
    provenance: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    curve_draws: FloatArray | None = None

    def __post_init__(self) -> None:
        if len(self.names) < 2:
            raise ValueError(f"population: {len(self.names)} developer; a leaderboard needs at least 2")
        if len(set(self.names)) < len(self.names):
            raise ValueError("population: names must be distinct")
        shape = self.quality.shape
        if len(shape) != 2 or shape[1] != len(self.names):
            raise ValueError(f"population: quality has shape {shape}; must be (batch, {len(self.names)})")
        for name in ("prior_exposure", "effort_cap"):
            if getattr(self, name).shape != shape:
                raise ValueError(f"population: {name} has shape {getattr(self, name).shape}; must be {shape}")
        for name in ("parameters_b", "score_stderr"):
            if getattr(self, name).shape != shape[1:]:
                raise ValueError(f"population: {name} has shape {getattr(self, name).shape}; must be {shape[1:]}")
        if self.curve_draws is not None and self.curve_draws.shape[1:] != (shape[1], 5):
            raise ValueError(f"population: curve_draws has shape {self.curve_draws.shape}; must be (K, {shape[1]}, 5)")
        if not (np.all(np.isfinite(self.quality)) and np.all(np.isfinite(self.prior_exposure))):
            raise ValueError("population: qualities and prior exposures must be finite")

    @property
    def batch(self) -> int:
        """Number of draws B."""
        return int(self.quality.shape[0])

    @property
    def n(self) -> int:
        """Number of developers n."""
        return int(self.quality.shape[1])
