"""What a search wants: a figure to optimise, figures that must be reached, and how far a protocol misses them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from designer.scorecard import LARGER_IS_BETTER, METRICS, Scorecard

__all__ = ["Goal"]

_WORST = {"kendall_tau": -1.0, "face_value_tau": -1.0, "top_one": 0.0, "pure_share": 0.0, "margin": -1.0}
"""What an undefined figure counts as: its least value (margins: losing the first prize)."""

_STATED = "largest gain on the stated population"
_REMAINING = "mean largest gain, where no draw has an equilibrium"


@dataclass(frozen=True, slots=True)
class Goal:
    """What to optimise and what must hold.

    `optimise` is minimised if less of it is better (`LARGER_IS_BETTER`), maximised otherwise. Each constraint is a
    scorecard figure with its least (`at_least`) or greatest (`at_most`) allowed mean. `steady` also asks that the
    population as stated (no errors drawn) has a pure equilibrium. `front` names the figures of a Pareto front.
    """

    optimise: str = "designer_cost"
    at_least: Mapping[str, float] = field(default_factory=lambda: {"pure_share": 0.9, "kendall_tau": 0.95})
    steady: bool = True
    at_most: Mapping[str, float] = field(default_factory=dict)
    front: tuple[str, ...] = ("kendall_tau", "designer_cost")

    def __post_init__(self) -> None:
        for metric in (self.optimise, *self.at_least, *self.at_most, *self.front):
            if metric not in METRICS:
                raise ValueError(f"goal: unknown figure {metric!r}; figures are {', '.join(METRICS)}")
        for metric, bound in (*self.at_least.items(), *self.at_most.items()):
            if not np.isfinite(bound):
                raise ValueError(f"goal: {metric} of {bound:g}; a bound must be a finite number")
        if len(set(self.front)) < len(self.front) or len(self.front) < 2:
            raise ValueError(f"goal: front = {list(self.front)}; at least 2 different figures are needed")

    @property
    def minimise(self) -> bool:
        """Whether less is better."""
        return not LARGER_IS_BETTER[self.optimise]

    @property
    def constrained(self) -> bool:
        """Whether anything must hold."""
        return bool(self.at_least or self.at_most or self.steady)

    def violations(self, card: Scorecard, stated_gain: float, *, slack: float = 0.0) -> dict[str, float]:
        """How far each constraint is missed; 0 or less where it holds.

        An undefined figure counts as its worst value. Where that is missed because no draw has a pure equilibrium, so
        is the largest gain that somebody still makes by deviating, mean over draws: it tells such protocols apart.
        `slack` : standard errors of a figure that are forgiven.
        """
        missed = {}
        bounds = (*((m, v, 1.0) for m, v in self.at_least.items()), *((m, v, -1.0) for m, v in self.at_most.items()))
        for metric, bound, sign in bounds:
            figure, value = card.figures[metric], card.mean(metric)
            value = value if np.isfinite(value) else sign * abs(_WORST.get(metric, 1.0)) * -1.0
            forgiven = slack * (figure.stderr or 0.0)
            name = f"{metric} at {'least' if sign > 0 else 'most'} {bound:g}"
            missed[name] = sign * (bound - value) - forgiven
        if missed:
            none, margin = card.mean("pure_share") == 0, card.mean("margin")
            # it grades what is missed already; a goal that is met does not ask for it
            graded = none and np.isfinite(margin) and max(missed.values()) > 0
            missed[_REMAINING] = max(0.0, -margin) if graded else 0.0
        if self.steady:
            missed[_STATED] = stated_gain
        return missed

    def value(self, card: Scorecard, metric: str | None = None) -> float:
        """The figure to optimise (or another), always a number: undefined, it counts as its worst.

        A tau-b undefined for want of an equilibrium gives way to the one at face value: such a trial is infeasible
        whatever its value, and this keeps the sampler's picture smooth.
        """
        metric = metric or self.optimise
        value = card.mean(metric)
        if not np.isfinite(value) and metric == "kendall_tau":
            value = card.mean("face_value_tau")
        if np.isfinite(value):
            return float(value)
        return _WORST.get(metric, 0.0) if LARGER_IS_BETTER[metric] else 1.0

    def sentence(self) -> str:
        """The goal in words."""
        verb = "least" if self.minimise else "greatest"
        limits = [f"{m} at least {v:g}" for m, v in self.at_least.items()]
        limits += [f"{m} at most {v:g}" for m, v in self.at_most.items()]
        held = f" with {' and '.join(limits)}" if limits else ""
        stated = ", with a pure equilibrium on the population as stated" if self.steady else ""
        return f"{verb} {self.optimise}{held}{stated}"
