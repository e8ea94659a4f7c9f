"""Compiled scans of the noisy game: what developers expect at many efforts, read off one table per game."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from solvers.rank_kernels import count_rewards, kernel

__all__ = ["reward_table", "scan_rewards"]

_REACH = 5.5
"""Standard deviations of the own noise averaged over: beyond lie 4e-8 of the prizes."""
_STEP = 0.55
"""Distance of the table's scores in the least standard deviation of anybody."""
_MOST_POINTS = 20_000
_SURE = 8.3
_ROOT_HALF = math.sqrt(0.5)


@kernel
def reward_table(first: float, step: float, many: int, score: Any, scale: Any, prizes: Any, sure_at: float) -> Any:
    """What every developer expects at the observed scores first + step * 0..many-1, (n, many).

    Rivals more than `sure_at` standard deviations away count as certain; a certain score is half below itself.
    """
    n = len(score)
    table = np.empty((n, many))
    suffix, prefix = np.empty((n + 1, n + 2)), np.empty((2, n + 1))
    who, b, won = np.empty(n, np.int64), np.empty(n), np.empty(n)
    side = np.empty(n, np.bool_)
    for q in range(many):
        y = first + q * step
        count, sure = 0, 0
        for j in range(n):
            away, reach = y - score[j], sure_at * scale[j]
            side[j] = away < -reach
            if side[j]:
                sure += 1
            elif away <= reach:
                who[count] = j
                b[count] = 0.5 * math.erfc(-away / scale[j] * _ROOT_HALF) if scale[j] > 0 else 0.5
                count += 1
        over, under = count_rewards(b, count, sure, prizes, suffix, prefix, won)
        for j in range(n):
            table[j, q] = over if side[j] else under
        for a in range(count):
            table[who[a], q] = won[a]
    return table


@kernel
def _smoothed(table: Any, first: float, step: float, own: float, sigma: float) -> Any:
    """Mean of a tabulated reward (Y,) over a Gaussian at `own`; linear between points where that is certain."""
    many = len(table)
    if not sigma > 0.2 * step:
        place = min(max((own - first) / step, 0.0), many - 1.0)
        k = min(int(place), many - 2)
        return table[k] + (place - k) * (table[k + 1] - table[k])
    delta = step / sigma
    k = max(math.ceil((own - _REACH * sigma - first) / step), 0)
    last = min(int((own + _REACH * sigma - first) / step), many - 1)
    x = (first + k * step - own) / sigma
    # exp(-x^2 / 2) from point to point, by two products
    weight, ratio, factor = math.exp(-0.5 * x * x), math.exp(-delta * (x + 0.5 * delta)), math.exp(-delta * delta)
    total, mass = 0.0, 0.0
    while k <= last:
        total += weight * table[k]
        mass += weight
        weight *= ratio
        ratio *= factor
        k += 1
    return total / mass


@kernel
def scan_rewards(own: Any, sigma: Any, flagged: Any, score: Any, scale: Any, prizes: Any, penalty: Any) -> Any:
    """Expected rewards (G, B, n) at scores `own` (G, B, n), noise `sigma`, against rivals at score, scale (B, n).

    Tabulates once per game what each observed score is worth, at the points of a trapezoidal sum, to 1e-5 of the prize
    span. Also (B,): whether it is that exact; not where a score is certain, nor where noises differ too much.
    """
    tries, batch, n = own.shape
    result, fine = np.empty((tries, batch, n)), np.ones(batch, np.bool_)
    for g in range(batch):
        least, low, high = np.inf, np.inf, -np.inf
        for j in range(n):
            fine[g] &= scale[g, j] > 0
            if scale[g, j] > 0:
                least = min(least, scale[g, j])
            low, high = min(low, score[g, j]), max(high, score[g, j])
            for t in range(tries):
                fine[g] &= sigma[t, g, j] > 0
                if sigma[t, g, j] > 0:
                    least = min(least, sigma[t, g, j])
                low = min(low, own[t, g, j] - _REACH * sigma[t, g, j])
                high = max(high, own[t, g, j] + _REACH * sigma[t, g, j])
        if not least < np.inf:
            least = 1e-3
        many = int(min((high - low) / (_STEP * least) + 3.0, _MOST_POINTS))
        step = (high - low) / (many - 1) if high > low else least
        fine[g] &= many < _MOST_POINTS
        table = reward_table(low, step, many, score[g], scale[g], prizes[g], _SURE)
        audited = np.any(penalty[g] != 0)
        for i in range(n):
            for t in range(tries):
                result[t, g, i] = _smoothed(table[i], low, step, own[t, g, i], sigma[t, g, i])
        if audited:
            table = reward_table(low, step, many, score[g], scale[g], penalty[g], _SURE)
            for i in range(n):
                for t in range(tries):
                    loss = _smoothed(table[i], low, step, own[t, g, i], sigma[t, g, i])
                    result[t, g, i] -= flagged[t, g, i] * loss
    return result, fine
