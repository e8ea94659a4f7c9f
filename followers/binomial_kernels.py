"""Binomial tails in compiled code: the power of an audit, and when it rejects.

Probabilities by the saddle-point form of Loader (2000), "Fast and accurate computation of binomial probabilities": the
error of a probability does not grow with the number of trials. Tails are sums from the largest term outwards.
"""

from __future__ import annotations

import math
from typing import Any

import numba as nb

__all__ = ["UNSURE", "binomial_tail", "critical_values"]

UNSURE = -2
"""In place of a critical value: rounding might decide."""

_NEAR = 1e-9

_jit = nb.njit(cache=True, nogil=True, error_model="numpy")


@_jit
def _stirling_error(n: float) -> float:
    """log(n!) - log(sqrt(2 pi n) (n / e)^n)."""
    if n < 16:
        return math.lgamma(n + 1.0) - (n + 0.5) * math.log(n) + n - 0.5 * math.log(2.0 * math.pi)
    s = n * n
    return (1.0 / 12 - (1.0 / 360 - (1.0 / 1260 - (1.0 / 1680 - 1.0 / 1188 / s) / s) / s) / s) / n


@_jit
def _deviance(x: float, mean: float) -> float:
    """x log(x / mean) + mean - x without cancellation where x is near its mean."""
    if abs(x - mean) < 0.1 * (x + mean):
        v = (x - mean) / (x + mean)
        result = (x - mean) * v
        term = 2.0 * x * v
        v *= v
        j = 1
        while j < 1000:
            term *= v
            following = result + term / (2 * j + 1)
            if following == result:
                return following
            result = following
            j += 1
        return result
    return x * math.log(x / mean) + mean - x


@_jit
def _probability(k: float, items: float, chance: float) -> float:
    """P(Bin(items, chance) = k), 0 < chance < 1."""
    if k == 0:
        return math.exp(items * math.log1p(-chance))
    if k == items:
        return math.exp(items * math.log(chance))
    exponent = (
        _stirling_error(items)
        - _stirling_error(k)
        - _stirling_error(items - k)
        - _deviance(k, items * chance)
        - _deviance(items - k, items * (1.0 - chance))
    )
    return math.exp(exponent) * math.sqrt(items / (2.0 * math.pi * k * (items - k)))


@_jit
def binomial_tail(k: int, items: int, chance: float) -> Any:
    """P(Bin(items, chance) <= k)."""
    if k < 0:
        return 0.0
    if k >= items or chance <= 0.0:
        return 1.0
    if chance >= 1.0:
        return 0.0
    odds = chance / (1.0 - chance)
    if k < items * chance:  # the smaller tail is summed
        term = _probability(float(k), float(items), chance)
        total = term
        j = k
        while j > 0 and term > 1e-18 * total:
            term *= j / ((items - j + 1) * odds)
            total += term
            j -= 1
        return min(total, 1.0)
    term = _probability(float(k + 1), float(items), chance)
    total = term
    j = k + 1
    while j < items and term > 1e-18 * total:
        term *= (items - j) * odds / (j + 1)
        total += term
        j += 1
    return max(1.0 - total, 0.0)


@_jit
def critical_values(items: int, level: float, deviate: float, claims: Any, critical: Any) -> None:
    """critical (N,) out: max{k : P(Bin(items, claim) <= k) <= level}, -1 where there is none, for claims (N,); `UNSURE`
    where a tail is within a billionth of the level.

    deviate : the standard normal quantile of the level, from which the search begins.
    """
    for j in range(len(claims)):
        chance = claims[j]
        if not 0.0 < chance < 1.0:
            critical[j] = items - 1 if chance >= 1.0 else -1 if chance <= 0.0 else UNSURE
            continue
        middle = items * chance
        k = int(min(max(math.floor(middle + deviate * math.sqrt(middle * (1.0 - chance))), 0.0), items - 1.0))
        odds = chance / (1.0 - chance)
        tail, term = binomial_tail(k, items, chance), _probability(float(k), float(items), chance)
        # below: most successes known to be rejected, and their tail; above: the tail of one more
        while tail > level and k >= 0:
            tail -= term
            term *= k / ((items - k + 1) * odds)
            k -= 1
        if k < 0:
            tail, term = 0.0, 0.0
        following = math.exp(items * math.log1p(-chance)) if k < 0 else term * (items - k) * odds / (k + 1)
        while k < items - 1 and tail + following <= level:
            tail += following
            k += 1
            following *= (items - k) * odds / (k + 1)
        near = abs(tail - level) <= _NEAR * level or abs(tail + following - level) <= _NEAR * level
        critical[j] = UNSURE if near else k
