"""Compiled payoffs of the noisy game: of all developers of a profile at once, and of single deviations.

With rivals observed below y with probability b_j(y), V_i(y) is what developer i expects at the observed score y, and
W_i(s) = integral of V_i(y) N(y; s, sigma(s)) dy what it expects at the score s. Every derivative is moved onto the own
Gaussian: with x = (y - s) / sigma, W' = E[V g], g = (x + sigma' (x^2 - 1)) / sigma, and W'' = E[V (g^2 + g')]. The
integrals are trapezoidal sums, which for Gaussian integrands converge faster than any power of the step; where a score
is certain, or far less noisy than its neighbours, ten-point Gauss-Legendre panels that end at the rivals' steps.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from solvers.rank_kernels import count_rewards, expected_prize, kernel, pair_effect

__all__ = ["common_points", "own_points", "profile_payoffs", "rivals_below", "single_payoffs"]

_REACH = 7.5
"""Standard deviations integrated over: beyond them lie 1e-13."""
_SURE = 8.3
"""Standard deviations beyond which a rival is certain to be above or below, to 1e-16."""
_STEP = 0.36
"""Step of the trapezoidal sums in the least standard deviation nearby.

Their error is below 1e-9 of the prizes, also where many developers are alike.
"""
_MOST_POINTS = 4_000
_LEAST_RATIO = 0.1
"""Noise of a rival over the own one below which the sums give way to panels."""
_ALIKE = 1e-6
"""Probabilities closer than this are not divided by their difference."""

_ROOT_HALF = math.sqrt(0.5)
_PER_ROOT_TWO_PI = 1.0 / math.sqrt(2.0 * math.pi)
_PANEL_NODES, _PANEL_WEIGHTS = np.polynomial.legendre.leggauss(10)
_MARKS = np.array([-8.0, -4.0, -2.0, 0.0, 2.0, 4.0, 8.0])


@kernel
def common_points(score: Any, scale: Any, points: Any, widths: Any) -> Any:
    """Trapezoidal points over the union of all score +- reach * scale, each piece with a step for its own least noise.

    Returns how many there are, or -1 where a score is certain or too many are needed.
    """
    n = len(score)
    low = score - _REACH * scale
    order = np.argsort(low)
    filled, at = 0, 0
    while at < n:
        first = order[at]
        if not scale[first] > 0:
            return -1
        left, right, least = low[first], score[first] + _REACH * scale[first], scale[first]
        at += 1
        while at < n and low[order[at]] <= right:
            j = order[at]
            if not scale[j] > 0:
                return -1
            right, least = max(right, score[j] + _REACH * scale[j]), min(least, scale[j])
            at += 1
        step = _STEP * least
        more = int(min((right - left) / step, 1e9)) + 2
        if filled + more > len(points):
            return -1
        for k in range(more):
            points[filled + k] = left + k * step
            widths[filled + k] = step
        filled += more
    return filled


@kernel
def profile_payoffs(
    score: Any, scale: Any, change: Any, bend: Any, prizes: Any, penalty: Any, flagged: Any, order: Any, curvature: Any
) -> Any:
    """Expected reward of every developer at a profile, and derivatives by scores: (B, n), (B, n), (B, n, n).

    score, scale, change, bend : (B, n), mean and standard deviation of the observed scores, first and second
    derivative of the latter by the former. prizes, penalty : (B, n) by rank; the reward is the prize less
    flagged (B, n) times the penalty. order : (B, n), who wins ties of certain scores.

    The last result is the derivative of the second by every score, zeros unless `curvature`. One set of points serves
    all developers; what rival j's position does to i is (V_i - V_j) / (b_j - b_i).
    """
    batch, n = score.shape
    value, slope = np.zeros((batch, n)), np.zeros((batch, n))
    by_rival = np.zeros((batch, n, n) if curvature else (batch, 0, 0))
    points, widths = np.empty(_MOST_POINTS), np.empty(_MOST_POINTS)
    suffix, prefix = np.empty((n + 1, n + 2)), np.empty((2, n + 1))
    who, b, x, density = np.empty(n, np.int64), np.empty(n), np.empty(n), np.empty(n)
    won, lost, onto, moved, room = np.empty(n), np.zeros(n), np.empty(n), np.empty(n), np.empty(n + 1)
    for g in range(batch):
        audited = np.any(penalty[g] != 0)
        many = common_points(score[g], scale[g], points, widths)
        if many < 0:
            for i in range(n):
                value[g, i], slope[g, i] = single_payoff(
                    i, score[g, i], scale[g, i], change[g, i], flagged[g, i], score[g], scale[g], prizes[g], penalty[g],
                    order[g],
                )  # fmt: skip
                if curvature:
                    _single_curvature(
                        i, change[g, i], bend[g, i], flagged[g, i], score[g], scale[g], change[g], prizes[g],
                        penalty[g], order[g], by_rival[g, i],
                    )  # fmt: skip
            continue
        for q in range(many):
            y, width = points[q], widths[q]
            count, sure = 0, 0
            for j in range(n):
                z = (y - score[g, j]) / scale[g, j]
                if z < -_SURE:
                    sure += 1
                elif z <= _SURE:
                    who[count], x[count] = j, z
                    b[count] = 0.5 * math.erfc(-z * _ROOT_HALF)
                    density[count] = math.exp(-0.5 * z * z) * _PER_ROOT_TWO_PI / scale[g, j]
                    count += 1
            count_rewards(b, count, sure, prizes[g], suffix, prefix, won)
            if audited:
                count_rewards(b, count, sure, penalty[g], suffix, prefix, lost)
            for a in range(count):
                i = who[a]
                sigma, one, two, t = scale[g, i], change[g, i], bend[g, i], x[a]
                worth = (won[a] - flagged[g, i] * lost[a]) * density[a] * width
                lean = (t + one * (t * t - 1.0)) / sigma
                value[g, i] += worth
                slope[g, i] += worth * lean
                if curvature:
                    turn = (two * (t * t - 1.0) - (1.0 + one * t) * (1.0 + 2.0 * one * t) / sigma - one * lean) / sigma
                    by_rival[g, i, i] += worth * (lean * lean + turn)
                    onto[a] = lean * density[a] * width
                    moved[a] = -density[a] * (1.0 + t * one)
            if curvature:
                for a in range(count):
                    for c in range(a):
                        apart = b[c] - b[a]
                        if abs(apart) > _ALIKE:
                            passing = (won[a] - won[c]) / apart
                            fined = (lost[a] - lost[c]) / apart
                        elif max(abs(x[a]), abs(x[c])) > 6.0:
                            continue  # both certain, to 1e-9
                        else:
                            passing = pair_effect(b, count, a, c, sure, prizes[g], room)
                            fined = pair_effect(b, count, a, c, sure, penalty[g], room) if audited else 0.0
                        i, j = who[a], who[c]
                        by_rival[g, i, j] += onto[a] * moved[c] * (passing - flagged[g, i] * fined)
                        by_rival[g, j, i] += onto[c] * moved[a] * (passing - flagged[g, j] * fined)
    return value, slope, by_rival


@kernel
def own_points(i: int, score: float, scale: float, rivals: Any, spread: Any) -> Any:
    """Points and weights (of the own Gaussian, summing to one) for a single developer i at a score, as y and weight."""
    n = len(rivals)
    if not scale > 0:
        return np.full(1, score), np.ones(1)
    ratio = 1.0
    for j in range(n):
        if j != i and abs(rivals[j] - score) < _REACH * scale + _SURE * spread[j]:
            ratio = min(ratio, spread[j] / scale)
    if ratio >= _LEAST_RATIO:
        half = math.ceil(_REACH / (_STEP * ratio))
        step = _REACH / half
        y, weight = np.empty(2 * half + 1), np.empty(2 * half + 1)
        for k in range(2 * half + 1):
            x = (k - half) * step
            y[k], weight[k] = score + scale * x, math.exp(-0.5 * x * x)
    else:
        marks = np.empty(21 + len(_MARKS) * n)
        for k in range(21):
            marks[k] = score + scale * _REACH * (k - 10) / 10.0
        filled = 21
        low, high = marks[0], marks[20]
        for j in range(n):
            for m in _MARKS:
                at = rivals[j] + m * spread[j]
                if j != i and low < at < high:
                    marks[filled] = at
                    filled += 1
        marks = np.sort(marks[:filled])
        y, weight = np.empty((filled - 1) * 10), np.empty((filled - 1) * 10)
        for p in range(filled - 1):
            half_width = 0.5 * (marks[p + 1] - marks[p])
            for k in range(10):
                at = marks[p] + half_width * (1.0 + _PANEL_NODES[k])
                x = (at - score) / scale
                y[10 * p + k], weight[10 * p + k] = at, math.exp(-0.5 * x * x) * half_width * _PANEL_WEIGHTS[k]
    return y, weight / weight.sum()


@kernel
def rivals_below(i: int, y: float, score: Any, scale: Any, order: Any, who: Any, b: Any) -> Any:
    """The rivals of i who are not certain at y, in `who` and `b`: how many, and how many are surely above."""
    count, sure = 0, 0
    for j in range(len(score)):
        if j == i:
            continue
        if scale[j] > 0:
            z = (y - score[j]) / scale[j]
            if z < -_SURE:
                sure += 1
            elif z <= _SURE:
                who[count], b[count] = j, 0.5 * math.erfc(-z * _ROOT_HALF)
                count += 1
        elif y < score[j] or (y == score[j] and order[j] < order[i]):
            sure += 1
    return count, sure


@kernel
def single_payoff(
    i: int, own: float, sigma: float, one: float, caught: float, score: Any, scale: Any, prizes: Any, penalty: Any,
    order: Any,
) -> Any:  # fmt: skip
    """Expected reward of developer i at the score `own` against rivals at (score, scale), and its slope."""
    n = len(score)
    who, b, room = np.empty(n, np.int64), np.empty(n), np.empty(n + 1)
    audited = caught != 0 and np.any(penalty != 0)
    points, weights = own_points(i, own, sigma, score, scale)
    value, slope = 0.0, 0.0
    for q in range(len(points)):
        y = points[q]
        count, sure = rivals_below(i, y, score, scale, order, who, b)
        worth = expected_prize(b, count, sure, prizes, room)
        if audited:
            worth -= caught * expected_prize(b, count, sure, penalty, room)
        value += weights[q] * worth
        if sigma > 0:
            x = (y - own) / sigma
            slope += weights[q] * worth * (x + one * (x * x - 1.0)) / sigma
            continue
        for k in range(count):  # a certain score: only the rivals' noise is smooth
            j = who[k]
            z = (y - score[j]) / scale[j]
            density = math.exp(-0.5 * z * z) * _PER_ROOT_TWO_PI / scale[j]
            passing = pair_effect(b, count + 1, k, count, sure, prizes, room)
            if audited:
                passing -= caught * pair_effect(b, count + 1, k, count, sure, penalty, room)
            slope += passing * density
    return value, slope


@kernel
def _single_curvature(
    i: int, one: float, two: float, caught: float, score: Any, scale: Any, change: Any, prizes: Any, penalty: Any,
    order: Any, result: Any,
) -> Any:  # fmt: skip
    """Derivatives of developer i's slope by all scores, added to result (n,); none where its own score is certain."""
    n, sigma = len(score), scale[i]
    if not sigma > 0:
        return
    who, b, room = np.empty(n, np.int64), np.empty(n), np.empty(n + 1)
    points, weights = own_points(i, score[i], sigma, score, scale)
    for q in range(len(points)):
        y = points[q]
        count, sure = rivals_below(i, y, score, scale, order, who, b)
        x = (y - score[i]) / sigma
        lean = (x + one * (x * x - 1.0)) / sigma
        turn = (two * (x * x - 1.0) - (1.0 + one * x) * (1.0 + 2.0 * one * x) / sigma - one * lean) / sigma
        worth = expected_prize(b, count, sure, prizes, room) - caught * expected_prize(b, count, sure, penalty, room)
        result[i] += weights[q] * worth * (lean * lean + turn)
        for k in range(count):
            j = who[k]
            z = (y - score[j]) / scale[j]
            density = math.exp(-0.5 * z * z) * _PER_ROOT_TWO_PI / scale[j]
            passing = pair_effect(b, count + 1, k, count, sure, prizes, room)
            passing -= caught * pair_effect(b, count + 1, k, count, sure, penalty, room)
            result[j] -= weights[q] * lean * passing * density * (1.0 + z * change[j])


@kernel
def single_payoffs(
    b: Any, i: Any, own: Any, sigma: Any, one: Any, caught: Any, score: Any, scale: Any, prizes: Any, penalty: Any,
    order: Any,
) -> Any:  # fmt: skip
    """Rewards and their slopes by the own score, (M,), of developers i[m] of games b[m] who deviate to scores own[m].

    sigma, one, caught : (M,), noise there, its derivative by the score, and the probability of being flagged.
    """
    value, slope = np.empty(len(b)), np.empty(len(b))
    for m in range(len(b)):
        g = b[m]
        value[m], slope[m] = single_payoff(
            i[m], own[m], sigma[m], one[m], caught[m], score[g], scale[g], prizes[g], penalty[g], order[g]
        )
    return value, slope
