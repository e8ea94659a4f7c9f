"""Compiled chances of ranks under noise."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from solvers.noise_kernels import common_points, own_points, rivals_below
from solvers.rank_kernels import kernel

__all__ = ["first_places", "rank_chances"]

_MOST_POINTS = 4_000
_SURE = 8.3
_ROOT_HALF = math.sqrt(0.5)
_PER_ROOT_TWO_PI = 1.0 / math.sqrt(2.0 * math.pi)


@kernel
def first_places(score: Any, scale: Any, order: Any) -> Any:
    """Probability that each developer is observed first, (B, n): E[product over rivals of P(below y)]."""
    batch, n = score.shape
    result = np.zeros((batch, n))
    points, widths = np.empty(_MOST_POINTS), np.empty(_MOST_POINTS)
    who, b = np.empty(n, np.int64), np.empty(n)
    density, after = np.empty(n), np.empty(n + 1)
    for g in range(batch):
        many = common_points(score[g], scale[g], points, widths)
        if many < 0:
            for i in range(n):
                ys, weights = own_points(i, score[g, i], scale[g, i], score[g], scale[g])
                for q in range(len(ys)):
                    count, sure = rivals_below(i, ys[q], score[g], scale[g], order[g], who, b)
                    if sure == 0:
                        result[g, i] += weights[q] * np.prod(b[:count])
            continue
        for q in range(many):
            y, count = points[q], 0
            for j in range(n):
                z = (y - score[g, j]) / scale[g, j]
                if z < -_SURE:
                    count = 0
                    break
                if z <= _SURE:
                    who[count], b[count] = j, 0.5 * math.erfc(-z * _ROOT_HALF)
                    density[count] = math.exp(-0.5 * z * z) * _PER_ROOT_TWO_PI / scale[g, j]
                    count += 1
            after[count] = 1.0
            for a in range(count - 1, -1, -1):
                after[a] = after[a + 1] * b[a]
            before = 1.0
            for a in range(count):
                result[g, who[a]] += widths[q] * density[a] * before * after[a + 1]
                before *= b[a]
    return result


@kernel
def rank_chances(score: Any, scale: Any, order: Any) -> Any:
    """Probability that developer i of one game is observed at rank r, (n, n), from score, scale and tie order (n,)."""
    n = len(score)
    result = np.zeros((n, n))
    who, b, chance = np.empty(n, np.int64), np.empty(n), np.empty(n + 1)
    for i in range(n):
        points, weights = own_points(i, score[i], scale[i], score, scale)
        for q in range(len(points)):
            count, sure = rivals_below(i, points[q], score, scale, order, who, b)
            chance[0] = 1.0
            for k in range(count):
                chance[k + 1] = (1.0 - b[k]) * chance[k]
                for c in range(k, 0, -1):
                    chance[c] = b[k] * chance[c] + (1.0 - b[k]) * chance[c - 1]
                chance[0] *= b[k]
            for c in range(count + 1):
                result[i, sure + c] += weights[q] * chance[c]
    return result
