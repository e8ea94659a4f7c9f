"""Which of several protocols is better, and how sure that is: figures of the same draws, compared in pairs.

A figure that exists only where play comes to rest (no tau-b without a pure equilibrium) is compared on the draws in
which both protocols have it, and protocols are ranked on the draws in which all of them have it. How many these are,
and the share of draws with a pure equilibrium, stand beside every figure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from designer.resampling import (
    bca_interval,
    bootstrap_means,
    holm,
    share_difference_interval,
    share_interval,
    sign_flip_test,
)
from designer.scorecard import LARGER_IS_BETTER
from followers.arrays import FloatArray, IntArray

__all__ = ["SHARES", "Difference", "Estimate", "Place", "Standing", "Verdict", "judge"]


SHARES = frozenset({"pure_share"})
"""Figures that are 0 or 1 in every draw: their intervals are exact, and stay open where all draws agree."""

_LEAST_SHARE = 0.5
"""Protocols whose figure exists in a smaller share of draws are not ranked: all would be judged on those few."""

_FEWEST = 2
"""Draws that a ranking takes at least."""

RESAMPLES = 9999
"""Of the draws, and of the signs of differences."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over `draws` draws with its interval; None where undefined, with the reason."""

    mean: float | None
    low: float | None
    high: float | None
    draws: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Rank of a protocol by its mean on the draws common to all that are ranked, 1 is best; equal means share a rank.

    `low`, `high`, `expected` : interval and mean of the rank over resamples. `best` : share of the resamples in which
    the protocol's mean is best; those tied for best share it.
    """

    rank: int
    low: int
    high: int
    expected: float
    best: float


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one protocol stands.

    Attributes
    ----------
    name : the protocol.
    figure : over the draws in which it is defined and finite.
    undefined, unbounded : draws without the figure (no pure equilibrium, or all tied), and with an infinite one.
    pure_share : share of draws with a pure equilibrium.
    place : None where it is not ranked.
    """

    name: str
    figure: Estimate
    undefined: int
    unbounded: int
    pure_share: Estimate
    place: Place | None


@dataclass(frozen=True, slots=True)
class Difference:
    """A protocol less the reference, over the draws in which both have the figure.

    `p` is of the two-sided sign-flip test, `holm` the same after Holm's correction for all differences of the verdict;
    both None without a common draw. `distinct` : whether the corrected one is at most 1 - level. `better` : whether
    the difference is for the better.
    """

    name: str
    figure: Estimate
    p: float | None
    holm: float | None
    distinct: bool
    better: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """Protocols compared in one figure.

    `common` : draws in which every ranked protocol has it. `reference` : the first ranked protocol, None without one.
    """

    figure: str
    larger_is_better: bool
    level: float
    resamples: int
    draws: int
    common: int
    reference: str | None
    standings: tuple[Standing, ...]
    differences: tuple[Difference, ...]

    def sentences(self) -> tuple[str, ...]:
        """Who leads, what can be told apart, and what cannot be said, in plain words."""
        if self.reference is None:
            return (f"nothing is ranked: under none of these is {self.figure} defined in at least half of the draws",)
        rare = [s.name for s in self.standings if s.figure.draws < _enough(self.draws)]
        said = [
            f"not ranked, {self.figure} being defined in fewer than half of the draws: {', '.join(rare)}"
            if rare
            else "",
            self._leaders(),
            self._apart(),
        ]
        return tuple(part for part in said if part)

    def _leaders(self) -> str:
        if self.common < _FEWEST:
            return f"nothing is ranked: all others have {self.figure} together in {self.common} of the draws"
        ranked = [(s.name, s.place) for s in self.standings if s.place is not None]
        if len(ranked) < 2:
            return ""
        lead = [(name, place.best) for name, place in ranked if place.rank == 1]
        chance = _percent(sum(best for _, best in lead))
        names = ", ".join(name for name, _ in lead) + (", tied" if len(lead) > 1 else "")
        return f"best {self.figure}: {names}; in the lead in {chance} of the resamples"

    def _apart(self) -> str:
        if not self.differences:
            return ""
        groups = {
            "better": [d.name for d in self.differences if d.distinct and d.better],
            "worse": [d.name for d in self.differences if d.distinct and not d.better],
            "not distinguishable": [d.name for d in self.differences if d.p is not None and not d.distinct],
            "never in the same draws": [d.name for d in self.differences if d.p is None],
        }
        told = "; ".join(f"{what}: {', '.join(names)}" for what, names in groups.items() if names)
        error = _percent(1 - self.level)
        return f"beside {self.reference}, with an error of at most {error} for all differences together: {told}"


def _enough(draws: int) -> float:
    return max(float(_FEWEST), _LEAST_SHARE * draws)


def _percent(share: float) -> str:
    text = f"{share:.1%}" if 0.0005 <= share < 0.9995 else f"{share:.0%}"
    return text.replace(".0%", "%")


def judge(
    outcomes: Mapping[str, Mapping[str, FloatArray]],
    *,
    figure: str = "kendall_tau",
    level: float = 0.95,
    resamples: int = RESAMPLES,
    rng: np.random.Generator,
) -> Verdict:
    """Compare protocols in one figure, on the same draws.

    Parameters
    ----------
    outcomes : per protocol its figures per draw, each (B,), NaN where undefined (`designer.scorecard.Outcomes.values`);
        at least the one asked for and `pure_share`.
    figure : one of `LARGER_IS_BETTER`.
    level : of all intervals; differences are told apart at 1 - level.
    resamples : of the draws, jointly for all protocols, and of the signs of the differences.
    rng : seed of the resampling.

    Intervals are BCa bootstrap intervals, expanded for few draws; those of shares are exact, and those of differences
    of shares conservative. The probability of being best speaks of the mean over the population of draws: it nears 0
    or 1 as draws are added.

    Raises
    ------
    ValueError : unknown figure, level outside (0, 1), or protocols with different draws.
    """
    names = list(outcomes)
    if figure not in LARGER_IS_BETTER:
        raise ValueError(f"figure {figure!r}: no such figure; figures are {', '.join(LARGER_IS_BETTER)}")
    if not 0 < level < 1:
        raise ValueError(f"level = {level:g}; must lie strictly between 0 and 1")
    if len({outcomes[n][figure].shape for n in names}) != 1:
        raise ValueError("compare: the protocols were not scored on the same draws")
    raw = np.array([outcomes[n][figure] for n in names], dtype=np.float64)
    values = np.where(np.isfinite(raw), raw, np.nan)
    draws = values.shape[1]
    ranked = np.flatnonzero(np.isfinite(values).sum(axis=1) >= _enough(draws))
    common = np.isfinite(values[ranked]).all(axis=0) if len(ranked) else np.zeros(draws, dtype=bool)
    reference = int(ranked[0]) if len(ranked) else None
    others = [j for j in range(len(names)) if j != reference] if reference is not None else []
    apart = values[others] - values[reference] if others else np.empty((0, draws))
    on_common = np.where(common, values[ranked], np.nan)
    means = bootstrap_means(np.concatenate([values, apart, on_common]), resamples, rng)
    own, paired, joint = np.split(means, np.cumsum([len(values), len(apart)]), axis=1)

    better = 1.0 if LARGER_IS_BETTER[figure] else -1.0
    enough = common.sum() >= _FEWEST
    places = _places(better * on_common[:, common], better * joint, level) if enough else []
    place_of = dict(zip(ranked.tolist(), places, strict=False))
    standings = tuple(
        Standing(
            name=name,
            figure=_estimate(values[j], own[:, j], level, share=figure in SHARES),
            undefined=int(np.isnan(raw[j]).sum()),
            unbounded=int(np.isinf(raw[j]).sum()),
            pure_share=_share(outcomes[name]["pure_share"], level),
            place=place_of.get(j),
        )
        for j, name in enumerate(names)
    )
    p = sign_flip_test(apart, resamples, rng)
    differences = tuple(
        _difference(names[j], apart[k], paired[:, k], p[k], corrected, level, better, share=figure in SHARES)
        for k, (j, corrected) in enumerate(zip(others, holm(p), strict=True))
    )
    return Verdict(
        figure=figure,
        larger_is_better=LARGER_IS_BETTER[figure],
        level=level,
        resamples=resamples,
        draws=draws,
        common=int(common.sum()),
        reference=None if reference is None else names[reference],
        standings=standings,
        differences=differences,
    )


def _estimate(values: FloatArray, resampled: FloatArray, level: float, *, share: bool = False) -> Estimate:
    x = values[np.isfinite(values)]
    if not len(x):
        return Estimate(None, None, None, 0, "undefined in every draw")
    if share:
        return _share(x, level)
    low, high = bca_interval(values, resampled, level)
    if np.isnan(low):
        return Estimate(float(x.mean()), None, None, len(x), "a single draw has no interval")
    return Estimate(float(x.mean()), low, high, len(x))


def _share(values: FloatArray, level: float) -> Estimate:
    low, high = share_interval(int(values.sum()), len(values), level)
    return Estimate(float(values.mean()), low, high, len(values))


def _difference(
    name: str,
    values: FloatArray,
    resampled: FloatArray,
    p: float,
    corrected: float,
    level: float,
    better: float,
    *,
    share: bool,
) -> Difference:
    x = values[np.isfinite(values)]
    if not len(x):
        nothing = Estimate(None, None, None, 0, "no draw in which both are defined")
        return Difference(name, nothing, None, None, distinct=False, better=False)
    found = _estimate(values, resampled, level)
    if share:
        found = Estimate(found.mean, *share_difference_interval(x, level), len(x))
    return Difference(
        name, found, float(p), float(corrected), bool(corrected <= 1 - level), bool(better * x.mean() > 0)
    )


def _places(values: FloatArray, resampled: FloatArray, level: float) -> list[Place]:
    """Places of protocols by their means, larger first: values (r, m) of the common draws, resampled (R, r)."""
    close = 1e-12 * float(np.abs(values).max(initial=0.0))  # what rounding does to equal means
    (stated,) = _ranks(values.mean(axis=1)[None], close)
    ranks = _ranks(resampled[np.isfinite(resampled).all(axis=1)], close)
    first = ranks == 1
    best = (first / first.sum(axis=1, keepdims=True)).mean(axis=0)
    tails = [(1 - level) / 2, (1 + level) / 2]
    low, high = np.quantile(ranks, tails, axis=0, method="inverted_cdf")
    columns = (stated, low, high, ranks.mean(axis=0), best)
    return [Place(int(r), int(a), int(b), float(mean), float(p)) for r, a, b, mean, p in zip(*columns, strict=True)]


def _ranks(means: FloatArray, close: float) -> IntArray:
    """1 + how many are larger, (R, r); equal means share a rank."""
    return np.stack([1 + (means > means[:, j, None] + close).sum(axis=1) for j in range(means.shape[1])], axis=1)
