"""Score curves: observed score as a function of benchmark-specific effort (DESIGN section 1).

Every curve is exact in the sense that counts here: scores are returned as an unevaluated sum of two
floats. Under tune-before-test curves with a common ceiling saturate, and plain doubles would tie at the
ceiling long before the developers do: a tie invented by rounding is a false equilibrium.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from followers.arrays import FloatArray, two_sum

__all__ = ["Exponential", "GeneralizedLogit", "Linear", "ScoreCurve"]


class ScoreCurve(Protocol):
    """Score as a function of effort, for a batch of developers.

    Every method broadcasts over leading axes; parameters have shape (..., n), the last axis is the
    developer. Curves are continuous and non-decreasing. Efforts are optimiser steps, scores dimensionless.
    """

    def score(self, effort: Any) -> FloatArray:
        """v(effort), rounded to double."""
        ...

    def score_pair(self, effort: Any) -> tuple[FloatArray, FloatArray]:
        """v(effort) as (score, tail), normalised so that the order of scores is the lexicographic order."""
        ...

    def derivative(self, effort: Any) -> FloatArray:
        """v'(effort), score per step."""
        ...

    def anchored(self, start: FloatArray) -> ScoreCurve:
        """The curve of developers whose effort begins at `start` (..., n); most curves are the same from anywhere."""
        ...

    def effort_to_reach(self, score: Any, tail: Any = 0.0) -> FloatArray:
        """inf{e >= 0 : v(e) >= score + tail}; inf where the curve never gets there."""
        ...

    def effort_to_exceed(self, score: Any, tail: Any = 0.0) -> FloatArray:
        """inf{e >= 0 : v(e) > score + tail}; differs from `effort_to_reach` exactly where v is flat."""
        ...

    def flat_stretches(self) -> tuple[FloatArray, FloatArray]:
        """Starts and ends of maximal stretches where v is constant, shape (K, ..., n), NaN where fewer."""
        ...

    def resolved_until(self) -> float:
        """Effort up to which no two different scores of any developer are rounded into one at the ceiling."""
        ...

    def is_concave(self) -> FloatArray:
        """1.0 where v is concave on all of e >= 0 (diminishing returns), else 0.0; shape (..., n)."""
        ...


_UNDERFLOW = 690.0  # exp(-690) is some 1e-300: smaller gaps to a ceiling lose their digits


def _as_float(x: Any) -> FloatArray:
    return np.asarray(x, dtype=np.float64)


def _flat_where(flat: Any) -> tuple[FloatArray, FloatArray]:
    """One stretch [0, inf) where a whole curve is flat, else NaN; shape (1, ..., n)."""
    flat = np.asarray(flat)[None]
    return np.where(flat, 0.0, np.nan), np.where(flat, np.inf, np.nan)


def _logistic(x: FloatArray) -> FloatArray:
    """1 / (1 + exp(-x)) with full relative precision for very negative x, and no overflow."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, small) / (1.0 + small)


@dataclass(frozen=True, slots=True)
class GeneralizedLogit:
    """v(e) = lower + (upper - lower) * logistic(intercept + slope * log(1 + e)); the paper's family.

    lower <= upper, slope > 0. Safe for |intercept| <= 60 and slope <= 10 at any effort. Near the ceiling the
    score is kept as upper minus a small gap, near the floor as lower plus a small rise, so that two curves
    with the same ceiling stay distinguishable until the gap underflows.
    """

    lower: FloatArray
    upper: FloatArray
    intercept: FloatArray
    slope: FloatArray

    kind: ClassVar[str] = "generalized-logit"
    table_axes: ClassVar[int] = 0

    def score(self, effort: Any) -> FloatArray:
        """v(effort)."""
        return self.score_pair(effort)[0]

    def score_pair(self, effort: Any) -> tuple[FloatArray, FloatArray]:
        """v(effort) as two floats."""
        x = self.intercept + self.slope * np.log1p(_as_float(effort))
        part = (self.upper - self.lower) * _logistic(-np.abs(x))
        return two_sum(np.where(x >= 0, self.upper, self.lower), np.where(x >= 0, -part, part))

    def derivative(self, effort: Any) -> FloatArray:
        """(upper - lower) * slope * y (1 - y) / (1 + effort), y the share of the rise."""
        place = _as_float(effort)
        x = self.intercept + self.slope * np.log1p(place)
        return (self.upper - self.lower) * self.slope * _logistic(x) * _logistic(-x) / (1.0 + place)

    def anchored(self, start: FloatArray) -> GeneralizedLogit:
        """The same from anywhere."""
        return self

    def effort_to_reach(self, score: Any, tail: Any = 0.0) -> FloatArray:
        """exp((logit(y) - intercept) / slope) - 1 with y the share of the rise, clipped at zero."""
        rise = (_as_float(score) - self.lower) + tail
        gap = (self.upper - _as_float(score)) - tail
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            logit = np.log(rise / gap)
            effort = np.expm1((logit - self.intercept) / self.slope)
        effort = np.where(gap > 0, np.maximum(effort, 0.0), np.inf)
        at_once = (rise <= 0) | ((gap == 0) & (self.upper == self.lower))
        return np.where(at_once, 0.0, effort)

    def effort_to_exceed(self, score: Any, tail: Any = 0.0) -> FloatArray:
        """As `effort_to_reach`, but a flat curve (lower = upper) never exceeds its level."""
        stuck = (self.lower == self.upper) & ((_as_float(score) - self.lower) + tail >= 0)
        return np.where(stuck, np.inf, self.effort_to_reach(score, tail))

    def flat_stretches(self) -> tuple[FloatArray, FloatArray]:
        """All of [0, inf) where lower = upper."""
        return _flat_where(self.lower == self.upper)

    def resolved_until(self) -> float:
        """Until the gap to the ceiling underflows."""
        return float(np.expm1(min(_UNDERFLOW, (_UNDERFLOW - np.max(self.intercept)) / np.max(self.slope))))

    def is_concave(self) -> FloatArray:
        """Concave on e >= 0 iff slope <= 1, or the logistic is already past its bend at e = 0.

        With w = 1 + e and A = exp(intercept), v' is proportional to A slope w^(slope-1) / (1 + A w^slope)^2, which
        falls for all w >= 1 iff slope - 1 <= A (slope + 1).
        """
        bend = (self.slope - 1.0) <= np.exp(self.intercept) * (self.slope + 1.0)
        return np.where(bend | (self.lower == self.upper), 1.0, 0.0)


@dataclass(frozen=True, slots=True)
class Exponential:
    """v(e) = upper - (upper - lower) * exp(-rate * e); lower <= upper, rate > 0."""

    lower: FloatArray
    upper: FloatArray
    rate: FloatArray

    kind: ClassVar[str] = "exponential"
    table_axes: ClassVar[int] = 0

    def score(self, effort: Any) -> FloatArray:
        """v(effort)."""
        return self.score_pair(effort)[0]

    def score_pair(self, effort: Any) -> tuple[FloatArray, FloatArray]:
        """v(effort) as upper minus the gap left or lower plus the rise, whichever is smaller, in two floats."""
        grown = self.rate * _as_float(effort)
        rise = self.upper - self.lower
        low = grown < np.log(2.0)
        return two_sum(np.where(low, self.lower, self.upper), rise * np.where(low, -np.expm1(-grown), -np.exp(-grown)))

    def derivative(self, effort: Any) -> FloatArray:
        """(upper - lower) * rate * exp(-rate * effort)."""
        return np.asarray((self.upper - self.lower) * self.rate * np.exp(-self.rate * _as_float(effort)))

    def anchored(self, start: FloatArray) -> Exponential:
        """The same from anywhere."""
        return self

    def effort_to_reach(self, score: Any, tail: Any = 0.0) -> FloatArray:
        """log(1 + (score - lower) / (upper - score)) / rate, clipped at zero."""
        gap = (self.upper - _as_float(score)) - tail
        rise = (_as_float(score) - self.lower) + tail
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            effort = np.where(gap > 0, np.log1p(rise / gap) / self.rate, np.inf)
        return np.where(rise <= 0, 0.0, effort)

    def effort_to_exceed(self, score: Any, tail: Any = 0.0) -> FloatArray:
        """As `effort_to_reach`, but a flat curve (lower = upper) never exceeds its level."""
        stuck = (self.lower == self.upper) & ((_as_float(score) - self.lower) + tail >= 0)
        return np.where(stuck, np.inf, self.effort_to_reach(score, tail))

    def flat_stretches(self) -> tuple[FloatArray, FloatArray]:
        """All of [0, inf) where lower = upper."""
        return _flat_where(self.lower == self.upper)

    def resolved_until(self) -> float:
        """Until the gap to the ceiling underflows."""
        return float(_UNDERFLOW / np.max(self.rate))

    def is_concave(self) -> FloatArray:
        """Always."""
        return np.ones_like(self.rate)


@dataclass(frozen=True, slots=True)
class Linear:
    """v(e) = lower + rate * e; rate >= 0. Unbounded: the score of contest theory, not a share of correct items."""

    lower: FloatArray
    rate: FloatArray

    kind: ClassVar[str] = "linear"
    table_axes: ClassVar[int] = 0

    def score(self, effort: Any) -> FloatArray:
        """v(effort)."""
        return self.score_pair(effort)[0]

    def score_pair(self, effort: Any) -> tuple[FloatArray, FloatArray]:
        """v(effort) as two floats."""
        with np.errstate(invalid="ignore"):  # rate 0 times infinite effort is no effort's worth of score
            gain = np.where(self.rate > 0, self.rate * _as_float(effort), 0.0)
        return two_sum(self.lower, gain)

    def derivative(self, effort: Any) -> FloatArray:
        """The rate."""
        return np.broadcast_to(self.rate, np.broadcast_shapes(np.shape(effort), np.shape(self.rate))).astype(np.float64)

    def anchored(self, start: FloatArray) -> Linear:
        """The same from anywhere."""
        return self

    def effort_to_reach(self, score: Any, tail: Any = 0.0) -> FloatArray:
        """(score - lower) / rate, clipped at zero."""
        rise = (_as_float(score) - self.lower) + tail
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(rise <= 0, 0.0, rise / self.rate)

    def effort_to_exceed(self, score: Any, tail: Any = 0.0) -> FloatArray:
        """As `effort_to_reach`, but a flat curve (rate = 0) never exceeds its level."""
        stuck = (self.rate == 0) & ((_as_float(score) - self.lower) + tail >= 0)
        return np.where(stuck, np.inf, self.effort_to_reach(score, tail))

    def flat_stretches(self) -> tuple[FloatArray, FloatArray]:
        """All of [0, inf) where rate = 0."""
        return _flat_where(self.rate == 0)

    def resolved_until(self) -> float:
        """Always: there is no ceiling."""
        return float("inf")

    def is_concave(self) -> FloatArray:
        """Always."""
        return np.ones_like(self.rate)
