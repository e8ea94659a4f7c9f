"""Where an equilibrium of a noisy game may lie: damped best responses in the space of scores, compiled.

A profile is sought, not proved: costs are interpolated between the efforts of a table, rivals some standard deviations
away count as certain, and responses are read off a grid as fine as the noise. What comes out is the start of Newton's
method.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from solvers.rank_kernels import count_rewards, kernel

__all__ = ["best_responses"]

_REACH = 3.5
_SURE = 2.75
_STEP = 0.7
_MOST_POINTS = 1_500
_THERE = 0.1
"""Distance from a special place, in standard deviations, within which a developer is put there."""
_QUIET = 3e-5
"""Regret, as a share of the prize span, at which best responses have settled."""
_ROOT_HALF = math.sqrt(0.5)


@kernel
def _scale(score: float, sigma: float, items: int) -> Any:
    """Standard deviation of an observed score."""
    return sigma if items == 0 else math.sqrt(max(score * (1.0 - score), 0.0) / items)


@kernel
def _between(x: float, xs: Any, ys: Any, first: float) -> Any:
    """ys at x, linear between the knots xs (non-decreasing); `first` stands for ys[0] between the first two."""
    low, high = 0, len(xs) - 1  # the least knot that is not below x
    if not x <= xs[high]:
        return ys[high]
    while low < high:
        middle = (low + high) // 2
        if xs[middle] < x:
            low = middle + 1
        else:
            high = middle
    if low == 0:
        return ys[0]
    left = first if low == 1 else ys[low - 1]
    return left + (x - xs[low - 1]) / (xs[low] - xs[low - 1]) * (ys[low] - left)


@kernel
def _cubic(values: Any, place: float) -> Any:
    """Values at 0..Y-1, interpolated by cubics; linear at the ends."""
    k = min(max(int(place), 0), len(values) - 2)
    t = place - k
    b, c = values[k], values[k + 1]
    if k < 1 or k > len(values) - 3:
        return b + t * (c - b)
    a, d = values[k - 1], values[k + 2]
    return (
        -a * t * (t - 1.0) * (t - 2.0) / 6.0
        + b * (t + 1.0) * (t - 1.0) * (t - 2.0) / 2.0
        - c * (t + 1.0) * t * (t - 2.0) / 2.0
        + d * (t + 1.0) * t * (t - 1.0) / 6.0
    )


@kernel
def _parabola(left: float, top: float, right: float) -> Any:
    """Where (in steps) and how much above its middle the parabola through three equidistant values peaks."""
    bent = 2.0 * top - left - right
    return (0.5 * (right - left) / bent, (right - left) ** 2 / (8.0 * bent)) if bent > 0 else (0.0, 0.0)


@kernel
def _rewards(table: Any, first: float, step: float, score: Any, scale: Any, prizes: Any, work: Any) -> Any:
    """Fill table (Y, n) with what each developer expects at the observed scores first + step * 0..Y-1."""
    many, n = table.shape
    suffix, prefix, b, won, who, side = work
    for q in range(many):
        y = first + q * step
        count, sure = 0, 0
        for j in range(n):
            away, reach = y - score[j], _SURE * scale[j]
            side[j] = away < -reach
            if side[j]:
                sure += 1
            elif away <= reach:
                who[count] = j
                b[count] = 0.5 * math.erfc(-away / scale[j] * _ROOT_HALF) if scale[j] > 0 else 0.5
                count += 1
        over, under = count_rewards(b, count, sure, prizes, suffix, prefix, won)
        row = table[q]
        for j in range(n):
            row[j] = over if side[j] else under
        for a in range(count):
            row[who[a]] = won[a]


@kernel
def best_responses(
    effort: Any,
    score: Any,
    cost: Any,
    flagged: Any,
    entry: Any,
    special: Any,
    start: Any,
    prizes: Any,
    penalty: Any,
    sigma: float,
    items: int,
    damping: Any,
) -> Any:
    """Efforts (B, n) after damped simultaneous best responses, and the largest regret there (B,), prize units.

    effort, score, cost, flagged : (B, n, G), a table from zero effort to the most worthwhile, non-decreasing.
    entry : (B, n), what the first step costs at once. special : (B, n, K), places in the table that are tried as they
    are (zero effort, the end of what is free). start : (B, n), scores. damping : what share of the way to their best
    responses all go, sweep by sweep.

    The profile with the least regret of the sweeps is given, each developer exactly at a special place where that is
    its best response and close.
    """
    batch, n, knots = score.shape
    result, regret = np.empty((batch, n)), np.empty(batch)
    suffix, prefix = np.empty((n + 1, n + 2)), np.empty((2, n + 1))
    work = (suffix, prefix, np.empty(n), np.empty(n), np.empty(n, np.int64), np.empty(n, np.bool_))
    spread, response, now, worth = np.empty(n), np.empty(n), np.empty(n), np.empty(knots)
    held, kept = np.empty(n, np.int64), np.empty(n)
    for g in range(batch):
        span = prizes[g, 0] - prizes[g, n - 1]
        least, low, high = np.inf, np.inf, -np.inf
        for i in range(n):
            for k in (0, knots - 1):
                s = _scale(score[g, i, k], sigma, items)
                if s > 0:
                    least = min(least, s)
                low, high = min(low, score[g, i, k]), max(high, score[g, i, k])
        if not least < np.inf:
            least = 1e-3
        pad = _REACH * _scale(0.5 * (low + high), sigma, items) + 2.0 * least
        low, high = low - pad, high + pad
        many = int(min((high - low) / (_STEP * least) + 8.0, _MOST_POINTS))
        step = (high - low) / (many - 1)
        table, smooth = np.empty((many, n)), np.zeros((many, n))
        audited = np.any(penalty[g] != 0)
        lost, charge = np.empty((many if audited else 0, n)), np.zeros((many if audited else 0, n))
        # the cost of every score on the grid, out of reach: infinite; and the noise there
        price, caught = np.empty((many, n)), np.zeros((many if audited else 0, n))
        width, taps = np.empty(many, np.int64), np.zeros((many, 2 * int(_REACH * pad / step) + 3))
        from_, to = many, 0
        for q in range(many):
            y = low + q * step
            s = _scale(y, sigma, items)
            width[q] = min(int(_REACH * s / step), (taps.shape[1] - 1) // 2, q, many - 1 - q)
            total = 0.0
            for d in range(-width[q], width[q] + 1):
                x = d * step / s if s > 0 else 0.0
                taps[q, d + width[q]] = math.exp(-0.5 * x * x)
                total += taps[q, d + width[q]]
            taps[q] /= total
        for i in range(n):
            knot = 1
            for q in range(many):
                y = low + q * step
                if not score[g, i, 0] <= y <= score[g, i, knots - 1]:
                    price[q, i] = np.inf
                    continue
                from_, to = min(from_, q), max(to, q + 1)
                while knot < knots - 1 and score[g, i, knot] < y:
                    knot += 1
                left = score[g, i, knot - 1]
                share = (y - left) / (score[g, i, knot] - left) if score[g, i, knot] > left else 1.0
                first = entry[g, i] if knot == 1 else cost[g, i, knot - 1]
                price[q, i] = first + share * (cost[g, i, knot] - first)
                if audited:
                    before = flagged[g, i, knot - 1]
                    caught[q, i] = before + share * (flagged[g, i, knot] - before)
        now[:] = start[g]
        regret[g] = np.inf
        for share in damping:
            for i in range(n):
                spread[i] = _scale(now[i], sigma, items)
            _rewards(table, low, step, now, spread, prizes[g], work)
            if audited:
                _rewards(lost, low, step, now, spread, penalty[g], work)
            for q in range(max(from_ - 2, 0), min(to + 2, many)):  # cubics reach two further
                smooth[q] = 0.0
                for d in range(2 * width[q] + 1):
                    tap, row = taps[q, d], table[q - width[q] + d]
                    for i in range(n):
                        smooth[q, i] += tap * row[i]
                if audited:
                    charge[q] = 0.0
                    for d in range(2 * width[q] + 1):
                        for i in range(n):
                            charge[q, i] += taps[q, d] * lost[q - width[q] + d, i]
                    for i in range(n):
                        smooth[q, i] -= caught[q, i] * charge[q, i]
            worst = 0.0
            for i in range(n):
                top, place = -np.inf, 0
                for k in range(knots):
                    worth[k] = _cubic(smooth[:, i], (score[g, i, k] - low) / step) - cost[g, i, k]
                    if worth[k] > top:
                        top, place = worth[k], k
                response[i], held[i] = score[g, i, place], -1
                for k in range(special.shape[2]):
                    if special[g, i, k] == place:
                        held[i] = place
                if held[i] < 0 and 0 < place < knots - 1:
                    shift, rise = _parabola(worth[place - 1], top, worth[place + 1])
                    aside = score[g, i, place + (1 if shift > 0 else -1)]
                    top, response[i] = top + rise, response[i] + abs(shift) * (aside - response[i])
                for q in range(from_, to):  # between efforts that are further apart than the noise
                    if smooth[q, i] - price[q, i] > top:
                        top, response[i], held[i] = smooth[q, i] - price[q, i], low + q * step, -1
                if held[i] >= 0 and abs(response[i] - now[i]) <= _THERE * spread[i]:
                    continue
                held[i] = -1
                mine = _cubic(smooth[:, i], (now[i] - low) / step)
                if now[i] > score[g, i, 0]:
                    mine -= _between(now[i], score[g, i], cost[g, i], entry[g, i])
                worst = max(worst, top - mine)
            if worst < regret[g]:
                regret[g] = worst
                for i in range(n):
                    if held[i] >= 0:
                        kept[i] = effort[g, i, held[i]]
                    else:
                        kept[i] = _between(now[i], score[g, i], effort[g, i], effort[g, i, 0])
            if worst < _QUIET * span:
                break
            for i in range(n):
                now[i] += share * (response[i] - now[i])
        result[g] = kept
    return result, regret
