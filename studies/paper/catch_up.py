"""What it takes to catch up: Figure 1's construction, and the budget that a prize gap needs (Proposition 5.6)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from designer.prizes import Prizes
from designer.protocol import Protocol
from followers.arrays import BoolArray, FloatArray
from followers.curves import GeneralizedLogit
from followers.population import Population
from solvers.certificate import Status
from studies.paper.witness import Witness, developers, solved_witness

__all__ = ["PUBLISHED_END", "CatchUp", "Thresholds", "catch_up", "chain", "take", "thresholds", "winogrande_like"]

PUBLISHED_END = 384_668.0
"""The paper's figure for Qwen2.5 models on Winogrande after 3,000 steps (Figure 1). Its measurements are not public."""

_STEP_COST = 1e-3
_NEAR = 1e-3


@dataclass(frozen=True, slots=True)
class CatchUp:
    """Effort that each developer needs to overtake the next better one, against the tuning budget.

    budgets (K,), effort (K, n - 1), steps; inf where the better one is out of reach, 0 where it already lags. least
    (K,): the smallest of all neighbours. names: the n developers, best first. witnesses: certify the last `least`.
    """

    title: str
    budgets: FloatArray
    effort: FloatArray
    names: tuple[str, ...]
    witnesses: tuple[Witness, ...]

    @property
    def least(self) -> FloatArray:
        """Smallest catch-up effort at each budget."""
        return np.asarray(self.effort.min(axis=1))

    @property
    def median(self) -> FloatArray:
        """Median catch-up effort at each budget; inf where most are out of reach."""
        return np.asarray(np.sort(self.effort, axis=1)[:, (self.effort.shape[1] - 1) // 2])


def take(population: Population, index: list[int]) -> tuple[GeneralizedLogit, FloatArray, tuple[str, ...]]:
    """Curve, quality (m,) and names of some developers of a population (B = 1) of generalized-logit curves."""
    curve = population.curve
    assert isinstance(curve, GeneralizedLogit)
    names = ("lower", "upper", "intercept", "slope")
    own = {k: np.broadcast_to(getattr(curve, k), population.quality.shape)[0][index] for k in names}
    return GeneralizedLogit(**own), population.quality[0][index], tuple(population.names[i] for i in index)


def catch_up(
    title: str, curve: GeneralizedLogit, quality: FloatArray, names: tuple[str, ...], budgets: FloatArray
) -> CatchUp:
    """Catch-up efforts of neighbours in quality; equal scores go to the better, so overtaking means exceeding.

    The smallest one at the last budget is certified: with prizes (gap, 0) and a linear cost, the pair that attains it
    has no pure equilibrium where the gap is 0.1% above its cost, and one where it is 0.1% below.
    """
    order = np.argsort(-quality, kind="stable")
    ordered = GeneralizedLogit(curve.lower[order], curve.upper[order], curve.intercept[order], curve.slope[order])
    score, tail = ordered.score_pair(budgets[:, None])
    behind = GeneralizedLogit(*(getattr(ordered, k)[1:] for k in ("lower", "upper", "intercept", "slope")))
    place = behind.effort_to_exceed(score[:, :-1], tail[:, :-1])
    effort = np.maximum(place - budgets[:, None], 0.0)
    ranked = tuple(names[i] for i in order)
    found = CatchUp(title, budgets, effort, ranked, ())
    last = effort[-1]
    r = int(last.argmin())
    if not (np.isfinite(last[r]) and last[r] > 0):
        return found
    pair = developers(
        GeneralizedLogit(*(getattr(ordered, k)[r : r + 2] for k in ("lower", "upper", "intercept", "slope"))),
        quality=(1.0, 0.0),
        scale=_STEP_COST,
    )
    witnesses = []
    for factor, expected in ((1 + _NEAR, Status.ABSENT), (1 - _NEAR, Status.EXISTS)):
        gap = factor * _STEP_COST * float(last[r])
        protocol = Protocol(prizes=Prizes(values=(gap, 0.0)), tune_steps=float(budgets[-1]))
        rivals = f"{ranked[r + 1]} against {ranked[r]}"
        name = f"{title}: {rivals} after {budgets[-1]:,.0f} steps, gap {factor:g} times the cost"
        witnesses.append(solved_witness(name, pair, protocol, expected)[0])
    return CatchUp(title, budgets, effort, ranked, tuple(witnesses))


def chain(curve: GeneralizedLogit, quality: FloatArray, last: float) -> list[int]:
    """Longest chain of developers, best first, whose curves keep their order on [0, last] (looked at on 200 steps)."""
    steps = np.concatenate([[0.0], np.geomspace(1.0, last, 200)])
    score = curve.score(steps[:, None])
    above: BoolArray = np.all(score[:, :, None] > score[:, None, :], axis=0)
    order = np.argsort(-quality, kind="stable")
    length = dict.fromkeys(order.tolist(), 1)
    after: dict[int, int] = {}
    for i in order[::-1].tolist():
        for j in order.tolist():
            if above[i, j] and quality[i] > quality[j] and length[j] + 1 > length[i]:
                length[i], after[i] = length[j] + 1, j
    at = max(length, key=lambda i: length[i])
    found = [at]
    while at in after:
        at = after[at]
        found.append(at)
    return found


def winogrande_like() -> tuple[GeneralizedLogit, FloatArray, tuple[str, ...]]:
    """Five made-up curves in the manner of Qwen2.5 0.5B to 14B on Winogrande: chance 0.5, common ceiling 0.92.

    Assumed, not measured: scores before tuning rise from 0.55 to 0.81, slopes are 0.15, over 3,000 steps.
    """
    names = tuple(f"{size}B-like" for size in ("14", "7", "3", "1.5", "0.5"))
    intercept = np.array([1.0, 0.33, -0.33, -1.05, -2.0])
    ones = np.ones(5)
    return GeneralizedLogit(0.5 * ones, 0.92 * ones, intercept, 0.15 * ones), np.arange(5.0, 0.0, -1.0), names


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Least stabilising tuning budget of a pair against the prize gap.

    gaps (K,), prize units; budgets (K,), steps. predicted: the exponent slope_worse / slope_better that Proposition 5.6
    leads to; fitted: the exponent of a least-squares line through the logs of the upper half.
    """

    title: str
    gaps: FloatArray
    budgets: FloatArray
    predicted: float
    fitted: float
    witnesses: tuple[Witness, ...]


_PAIRS: Mapping[str, tuple[float, float]] = {
    "equal slopes": (0.6, 0.6),
    "the better learns faster, 0.9 to 0.6": (0.9, 0.6),
    "the better learns twice as fast, 0.8 to 0.4": (0.8, 0.4),
}


def thresholds() -> tuple[Thresholds, ...]:
    """Thresholds of three pairs with common floor and ceiling and linear cost kappa e.

    With M = 1 + budget the catch-up effort is exp((a_i - a_j) / b_j) M^(b_i / b_j) - M, which grows with the budget
    where b_i >= b_j; the threshold then is of the order (gap / kappa)^(b_j / b_i).
    """
    made = []
    for title, (better, worse) in _PAIRS.items():
        intercept = np.array([-2.0, -2.4])
        curve = GeneralizedLogit(np.full(2, 0.2), np.full(2, 0.9), intercept, np.array([better, worse]))
        pair = developers(curve, quality=(1.0, 0.0), scale=_STEP_COST)
        lead = math.exp((intercept[0] - intercept[1]) / worse)
        gaps = np.geomspace(1e1, 1e6, 21)
        budgets = np.empty_like(gaps)
        witnesses = []
        for k, gap in enumerate(gaps.tolist()):
            low, high = 0.0, 1.0

            def need(x: float, lead: float = lead, power: float = better / worse) -> float:
                return float(_STEP_COST * (lead * (1 + x) ** power - (1 + x)))

            while need(high) < gap:
                high *= 2
            for _ in range(200):
                middle = (low + high) / 2
                low, high = (middle, high) if need(middle) < gap else (low, middle)
            budgets[k] = high
            for factor, expected in ((1 - _NEAR, Status.ABSENT), (1 + _NEAR, Status.EXISTS)):
                protocol = Protocol(prizes=Prizes(values=(gap, 0.0)), tune_steps=factor * high)
                name = f"threshold, {title}: gap {gap:.4g}, {factor:g} times {high:.6g} steps"
                witnesses.append(solved_witness(name, pair, protocol, expected)[0])
        upper = slice(len(gaps) // 2, None)
        fitted = float(np.polyfit(np.log(gaps[upper]), np.log(budgets[upper]), 1)[0])
        made.append(Thresholds(title, gaps, budgets, worse / better, fitted, tuple(witnesses)))
    return tuple(made)
