"""The exact power of an audit, and how many fresh items it takes to see an inflated score (DESIGN section 3).

An entry claims the share `claimed` of correct items and truly masters `fresh`. On m fresh items it is flagged if it
solves at most k of them, k being the most successes at which the one-sided exact binomial test of the claim rejects at
the level. Power is a sawtooth in m: k is a whole number, so one item more may lower it. So "enough items" has two
answers, the first number with the power wanted and the number from which on it is never lost again.

The second is settled by a finite search. With a the level, g = claimed - fresh > 0 and b the tolerated share of misses,
Hoeffding's inequality gives P(Bin(m, claimed) <= k') <= exp(-2 (m claimed - k')^2 / m) <= a for every whole number
k' <= m claimed - sqrt(m log(1/a) / 2), so k + 1 exceeds that bound, and the entry is missed with probability
P(Bin(m, fresh) >= k + 1) <= exp(-2 (k + 1 - m fresh)^2 / m) <= b as soon as

    m >= (sqrt(log(1/a)) + sqrt(log(1/b)))^2 / (2 g^2),

beyond which no m falls short. Below it every m is tried.

References
----------
Hoeffding (1963), JASA 58(301), Theorem 1. Chernick & Liu (2002), The American Statistician 56(2), on the sawtooth.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from followers.arrays import FloatArray, IntArray

__all__ = ["ItemsNeeded", "critical", "false_positives", "items_needed", "power", "rejection"]

_CHUNK = 50_000  # numbers of items tried at once
_MOST_ITEMS = 2.0**53  # beyond, doubles skip whole numbers


@dataclass(frozen=True, slots=True)
class ItemsNeeded:
    """How many fresh items an audit needs to see an inflation.

    Attributes
    ----------
    claimed, fresh, level, power : what was asked for.
    least : first number of items with the power; None where none up to `searched` has it.
    power_at_least : the power there, NaN where there is none.
    always : number of items from which on the power is never lost again; None where that lies beyond `searched`.
    searched : every number of items up to here was tried.
    proved_from : by Hoeffding's inequality every number of items from here on has the power.
    normal : what the normal approximation says, for orientation only.
    """

    claimed: float
    fresh: float
    level: float
    power: float
    least: int | None
    power_at_least: float
    always: int | None
    searched: int
    proved_from: int
    normal: float

    def sentence(self) -> str:
        """The answer in words."""
        asked = (
            f"to see a score of {self.claimed:g} that is really {self.fresh:g} with probability {self.power:g} "
            f"at level {self.level:g}"
        )
        if self.least is None:
            return f"{asked} takes more than {self.searched:,} items; every number from {self.proved_from:,} on will do"
        later = "" if self.always == self.least else self._later()
        count = f"{self.least:,} item{'' if self.least == 1 else 's'}"
        return f"{asked} takes {count} (power {self.power_at_least:.4f}){later}"

    def _later(self) -> str:
        if self.always is None:
            return f"; some larger numbers fall short, none from {self.proved_from:,} on"
        return f"; some larger numbers fall short, none from {self.always:,} on"


def _share(name: str, value: Any) -> FloatArray:
    share: FloatArray = np.asarray(value, dtype=np.float64)
    inside = (share >= 0) & (share <= 1)
    if not np.all(inside):
        raise ValueError(f"{name} = {share[~inside].flat[0]:g}; a share of correct items must lie in [0, 1]")
    return share


def _items(items: Any) -> IntArray:
    given = np.asarray(items, dtype=np.float64)
    whole = (given == np.floor(given)) & (given >= 1) & (given <= _MOST_ITEMS)
    if not np.all(whole):
        wrong = given[~whole].flat[0]
        raise ValueError(f"items = {wrong:g}; an audit needs a whole number of items, at least 1, at most 2^53")
    return np.asarray(given, dtype=np.int64)


def _inside(name: str, value: float) -> float:
    if not 0 < value < 1:
        raise ValueError(f"{name} = {value:g}; must lie strictly between 0 and 1")
    return float(value)


def _inflated(claimed: Any, fresh: Any) -> tuple[FloatArray, FloatArray]:
    claimed, fresh = _share("claimed", claimed), _share("fresh", fresh)
    honest = fresh >= claimed
    if np.any(honest):
        least = np.broadcast_to(fresh, honest.shape)[honest].flat[0]
        raise ValueError(
            f"fresh = {least:g}; must be below the claimed score, as without inflation there is nothing to see"
        )
    return claimed, fresh


def critical(claimed: Any, *, items: Any, level: float) -> IntArray:
    """Most successes at which a claim is rejected, -1 where none is few enough; broadcasts.

    max{k : P(Bin(items, claimed) <= k) <= level}, as `followers.measurement.Audit.critical`, for any numbers of items.

    Raises
    ------
    ValueError : a claim outside [0, 1], items that are not whole and positive, a level outside (0, 1).
    """
    return _critical(_share("claimed", claimed), _items(items), _inside("level", level))


def _critical(claimed: FloatArray, items: IntArray, level: float) -> IntArray:
    from scipy.stats import binom

    k = binom.ppf(level, items, claimed)  # least k with cdf(k) >= level
    exact = binom.cdf(k, items, claimed) <= level
    return np.asarray(np.where(exact, k, k - 1), dtype=np.int64)


def rejection(most: Any, fresh: Any, *, items: Any) -> FloatArray:
    """Probability of at most `most` successes on `items` items that are each solved with probability `fresh`."""
    from scipy.stats import binom

    return np.asarray(binom.cdf(most, items, fresh))


def power(claimed: Any, fresh: Any, *, items: Any, level: float) -> FloatArray:
    """Probability that an audit flags an entry that claims more than it masters; broadcasts.

    Parameters
    ----------
    claimed, fresh : shares of correct items in [0, 1], fresh < claimed.
    items : fresh items per audit. level : of the one-sided exact binomial test.

    Raises
    ------
    ValueError : shares outside [0, 1], fresh not below claimed, items or level impossible.
    """
    claimed, fresh = _inflated(claimed, fresh)
    return rejection(critical(claimed, items=items, level=level), fresh, items=_items(items))


def false_positives(claimed: Any, *, items: Any, level: float) -> FloatArray:
    """Probability that an audit flags an honest entry, at most `level`; broadcasts. Raises as `critical`."""
    return rejection(critical(claimed, items=items, level=level), claimed, items=_items(items))


def items_needed(claimed: float, fresh: float, *, level: float, power: float, most: int = 1_000_000) -> ItemsNeeded:
    """Fresh items that an audit needs to flag a score inflated from `fresh` to `claimed` with the power wanted.

    Parameters
    ----------
    claimed, fresh : shares of correct items, fresh < claimed.
    level : of the test, the most that an honest entry risks. power : probability wanted, in (0, 1).
    most : largest number of items to try.

    Raises
    ------
    ValueError : shares outside [0, 1], fresh not below claimed, level, power or most impossible.
    """
    from scipy.stats import norm

    _inflated(claimed, fresh)
    level, power = _inside("level", level), _inside("power", power)
    if most < 1:
        raise ValueError(f"most = {most}; at least 1 item must be tried")
    gap = claimed - fresh
    spread = np.sqrt(claimed * (1.0 - claimed)), np.sqrt(fresh * (1.0 - fresh))
    if gap**2 < 1e-300:
        raise ValueError(f"fresh = {fresh:g}; too close to the claimed score for any test to see")
    normal = ((norm.isf(level) * spread[0] + norm.ppf(power) * spread[1]) / gap) ** 2
    settled = (np.sqrt(-np.log(level)) + np.sqrt(-np.log1p(-power))) ** 2 / (2.0 * gap**2)
    proved_from = int(np.ceil(settled * (1.0 + 1e-12)))  # the bound itself is rounded
    searched = min(proved_from, most)
    least, at_least, short = None, float("nan"), 0
    for start in range(1, searched + 1, _CHUNK):
        items = np.arange(start, min(start + _CHUNK, searched + 1))
        found = rejection(_critical(np.asarray(claimed), items, level), fresh, items=items)
        enough = found >= power
        if least is None and enough.any():
            first = int(np.argmax(enough))
            least, at_least = int(items[first]), float(found[first])
        if not enough.all():
            short = int(items[np.flatnonzero(~enough)[-1]])
    return ItemsNeeded(
        claimed=float(claimed),
        fresh=float(fresh),
        level=level,
        power=power,
        least=least,
        power_at_least=at_least,
        always=short + 1 if searched == proved_from else None,
        searched=searched,
        proved_from=proved_from,
        normal=float(normal),
    )
