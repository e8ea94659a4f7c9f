"""How a leaderboard measures: noise, rounding to a grid, audits (DESIGN section 3)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from followers.arrays import BoolArray, FloatArray, IntArray, above

__all__ = ["Audit", "Noise", "divisions", "grid_level", "grid_score"]


@dataclass(frozen=True, slots=True)
class Noise:
    """Gaussian error of an observed score: a fixed standard deviation `sigma`, or that of a test of `items` items.

    With items, sigma(s)^2 = s (1 - s) / items. Exactly one of the two is positive; scores must then lie in [0, 1].
    """

    sigma: float = 0.0
    items: int = 0

    def __post_init__(self) -> None:
        if not (np.isfinite(self.sigma) and self.sigma >= 0):
            raise ValueError(f"noise = {self.sigma:g}; must be a finite standard deviation that is not negative")
        if self.items < 0:
            raise ValueError(f"test_items = {self.items}; must not be negative (0: no noise)")
        if self.sigma > 0 and self.items > 0:
            raise ValueError(f"noise = {self.sigma:g} and test_items = {self.items}: give one of them, the other 0")
        if self.sigma == 0 and self.items == 0:
            raise ValueError("noise: neither sigma nor items is positive")

    def scale(self, score: Any) -> FloatArray:
        """Standard deviation of the observed score where the true one is `score`; same shape."""
        score = np.asarray(score, dtype=np.float64)
        if self.sigma > 0:
            return np.full_like(score, self.sigma)
        return np.asarray(np.sqrt(np.maximum(score * (1.0 - score), 0.0) / self.items))

    def scale_slope(self, score: Any) -> FloatArray:
        """Derivative of `scale` by the score; zero where the score is certain (0 or 1)."""
        score = np.asarray(score, dtype=np.float64)
        if self.sigma > 0:
            return np.zeros_like(score)
        scale = self.scale(score)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(scale > 0, (1.0 - 2.0 * score) / (2.0 * self.items * scale), 0.0)


@dataclass(frozen=True, slots=True)
class Audit:
    """Random re-tests of published entries on fresh items, on which benchmark-specific effort does not carry over.

    The entry published at rank r is audited with probability `probability[:, r]`. It claims its score s(e); on `items`
    fresh items it scores like s(0). It is flagged if its successes are so few that the one-sided exact binomial test of
    the claim rejects at `level`. A flagged entry falls to the last prize and pays `fine`.

    Attributes
    ----------
    probability : (B, n), per rank, in [0, 1].
    items : fresh items per audit, at least 1.
    level : level of the test, in (0, 1).
    fine : prize units, not negative.
    """

    probability: FloatArray
    items: int
    level: float
    fine: float

    def __post_init__(self) -> None:
        if not np.all((self.probability >= 0) & (self.probability <= 1)):
            raise ValueError("audit.probability: must lie in [0, 1] for every rank")
        if self.items < 1:
            raise ValueError(f"audit.items = {self.items}; an audit needs at least 1 item")
        if not 0 < self.level < 1:
            raise ValueError(f"audit.level = {self.level:g}; must lie strictly between 0 and 1")
        if not (np.isfinite(self.fine) and self.fine >= 0):
            raise ValueError(f"audit.fine = {self.fine:g}; must be a finite number that is not negative")

    def critical(self, claimed: Any) -> IntArray:
        """Most successes at which a claim is rejected, -1 where none is few enough.

        max{k : P(Bin(items, claimed) <= k) <= level}; same shape as `claimed`.
        """
        claimed = np.asarray(claimed, dtype=np.float64)
        if claimed.size <= self.items // 4:  # a table of all steps would take longer
            return self._critical_anew(claimed)
        steps = _claim_steps(self.items, self.level)
        place = np.searchsorted(steps, claimed, side="right")
        # where a step is so near that rounding it might decide, the test decides itself
        around = np.concatenate([[-np.inf], steps, [np.inf]])
        near = ~((claimed - around[place] > _STEP_BLUR) & (around[place + 1] - claimed > _STEP_BLUR))
        result = place - 1
        if near.any():
            result = np.where(near, 0, result)
            result[near] = self._critical_anew(claimed[near])
        return np.asarray(result, dtype=np.int64)

    def _critical_anew(self, claimed: FloatArray) -> IntArray:
        from scipy.special import ndtri

        from followers.binomial_kernels import UNSURE, critical_values

        found = np.empty(claimed.size, dtype=np.int64)
        plain = np.require(claimed.ravel(), np.float64, ["C", "W"])
        critical_values(self.items, float(self.level), float(ndtri(self.level)), plain, found)
        unsure = found == UNSURE
        if unsure.any():
            found[unsure] = self._critical_near(plain[unsure])
        return found.reshape(claimed.shape)

    def _critical_near(self, claimed: FloatArray) -> IntArray:
        """By the best tails there are: where one is as good as the level, its last digits decide."""
        from scipy.stats import binom

        k = binom.ppf(self.level, self.items, claimed)  # least k with cdf(k) >= level
        exact = binom.cdf(k, self.items, claimed) <= self.level
        return np.asarray(np.where(exact, k, k - 1), dtype=np.int64)

    def flagged(self, claimed: Any, fresh: Any) -> FloatArray:
        """Probability that an audited entry is flagged: P(Bin(items, fresh) <= critical(claimed)); broadcasts.

        At claimed = fresh it is the false-positive rate, at most `level`; it never falls as the claim grows. It is a
        step function of the claim, continuous from the right.
        """
        from scipy.stats import binom

        return np.asarray(binom.cdf(self.critical(claimed), self.items, np.asarray(fresh, dtype=np.float64)))

    def claim_steps(self) -> FloatArray:
        """Claims at which one more success becomes too few, increasing, (items,): the jumps of `flagged`.

        The least claim that k successes reject is the exact upper confidence bound of Clopper & Pearson (1934),
        Biometrika 26: the (1 - level) quantile of Beta(k + 1, items - k), k = 0..items-1.
        """
        return _claim_steps(self.items, self.level)


_STEP_BLUR = 1e-9


@lru_cache(maxsize=32)
def _claim_steps(items: int, level: float) -> FloatArray:
    """See `Audit.claim_steps`; read-only, and made once for all audits of so many items at this level."""
    from scipy.special import betaincinv

    k = np.arange(items, dtype=np.float64)
    # the quantile of a beta distribution; importing scipy.stats for it would take half a second
    steps = np.asarray(betaincinv(k + 1.0, items - k, 1.0 - level))
    steps.flags.writeable = False
    return steps


def divisions(eta: float) -> int:
    """How many grid steps make 1, where that is a whole number (0.1 means tenths), else 0."""
    inverse = round(1.0 / eta)
    return int(inverse) if inverse >= 1 and abs(inverse * eta - 1.0) <= 4e-16 * inverse else 0


def grid_score(level: Any, eta: float) -> FloatArray:
    """Published score of a grid level: level * eta, exactly level / N where eta is one N-th."""
    level = np.asarray(level, dtype=np.float64)
    whole = divisions(eta)
    return np.asarray(level / whole if whole else level * eta)


def grid_level(score: Any, tail: Any, eta: float) -> IntArray:
    """Grid level of two-float scores rounded down: the largest k whose `grid_score` is not above the score."""
    level = np.floor(np.asarray(score, dtype=np.float64) / eta)
    for _ in range(2):  # the quotient is off by one level at most
        level = level - _too_high(level, score, tail, eta)
    level = level + 1 - _too_high(level + 1, score, tail, eta)
    return np.asarray(level, dtype=np.int64)


def _too_high(level: Any, score: Any, tail: Any, eta: float) -> BoolArray:
    return above(grid_score(level, eta), 0.0, score, tail)
