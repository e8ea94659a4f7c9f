"""Compiled inner loops over ranks: what a developer expects to win when each rival is below it with some probability.

Prizes depend on rivals only through how many are above, a Poisson-binomial count: O(n^2) per evaluation, never m^n
(DESIGN section 3).
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

__all__ = ["board_rewards", "expected_prizes", "expected_prizes_and_slopes", "smoothed_rewards"]


@nb.njit(cache=True, nogil=True, error_model="numpy")
def expected_prizes(below: Any, who: Any, prizes: Any, which: Any) -> Any:
    """Expected prize per row, (M,): E[prizes[which, count of rivals above]].

    below : (M, n), probability that each rival is below; the entry of developer `who[row]` is ignored.
    who, which : (M,), the developer, and the row of prizes (P, n) that it plays for.

    suffix_j(c) = b_j suffix_{j+1}(c) + (1 - b_j) suffix_{j+1}(c + 1), over the rivals who are not certain.
    """
    rows, n = below.shape
    result = np.empty(rows)
    value, uncertain = np.empty(n), np.empty(n)
    for row in range(rows):
        me, prize = who[row], prizes[which[row]]
        surely_above, left = 0, 0
        for j in range(n):
            if j != me and below[row, j] < 1.0:
                if below[row, j] <= 0.0:
                    surely_above += 1
                else:
                    uncertain[left] = below[row, j]
                    left += 1
        for c in range(left + 1):
            value[c] = prize[surely_above + c]
        while left > 0:
            left -= 1
            b = uncertain[left]
            for c in range(left + 1):
                value[c] = b * value[c] + (1.0 - b) * value[c + 1]
        result[row] = value[0]
    return result


@nb.njit(cache=True, nogil=True, error_model="numpy")
def expected_prizes_and_slopes(below: Any, who: Any, prizes: Any, which: Any) -> Any:
    """Expected prize per row, (M,), and its derivative by each rival's probability of being below, (M, n).

    With prefix_j the distribution of the count above among rivals before j, and suffix_{j+1} the expected prize once
    those after j are counted: slope_j = sum_c prefix_j(c) (suffix_{j+1}(c) - suffix_{j+1}(c + 1)). A rival who is
    certain to be above or below (exactly 0 or 1) is given slope 0: its position does not move.
    """
    rows, n = below.shape
    result, slopes = np.empty(rows), np.zeros((rows, n))
    suffix, prefix = np.empty((n + 1, n + 1)), np.empty(n + 1)
    uncertain = np.empty(n, dtype=np.int64)
    for row in range(rows):
        me, prize = who[row], prizes[which[row]]
        surely_above, count = 0, 0
        for j in range(n):
            if j != me and below[row, j] < 1.0:
                if below[row, j] <= 0.0:
                    surely_above += 1
                else:
                    uncertain[count] = j
                    count += 1
        for c in range(count + 1):
            suffix[count, c] = prize[surely_above + c]
        for k in range(count - 1, -1, -1):
            b = below[row, uncertain[k]]
            for c in range(k + 1):  # before the k-th of them at most k can be above
                suffix[k, c] = b * suffix[k + 1, c] + (1.0 - b) * suffix[k + 1, c + 1]
        result[row] = suffix[0, 0]
        prefix[0] = 1.0
        for k in range(count):
            b = below[row, uncertain[k]]
            slope = 0.0
            for c in range(k + 1):
                slope += prefix[c] * (suffix[k + 1, c] - suffix[k + 1, c + 1])
            slopes[row, uncertain[k]] = slope
            prefix[k + 1] = (1.0 - b) * prefix[k]
            for c in range(k, 0, -1):
                prefix[c] = b * prefix[c] + (1.0 - b) * prefix[c - 1]
            prefix[0] *= b
    return result, slopes


@nb.njit(cache=True, nogil=True, error_model="numpy")
def board_rewards(below: Any, prizes: Any) -> Any:
    """Expected prize of every developer at every observed score, (Y, n), from below (Y, n) and prizes (n,).

    below[y, j] : probability that j is observed below score y. All n at once in O(n^2): the count above among those
    before i (prefix_i), and the expected prize given that count among those after i (suffix_{i+1}).
    """
    points, n = below.shape
    result = np.empty((points, n))
    suffix, prefix = np.empty((n + 1, n + 1)), np.empty(n + 1)
    for y in range(points):
        for c in range(n):
            suffix[n, c] = prizes[c]
        suffix[n, n] = prizes[n - 1]
        for j in range(n - 1, 0, -1):
            b = below[y, j]
            for c in range(j + 1):
                suffix[j, c] = b * suffix[j + 1, c] + (1.0 - b) * suffix[j + 1, c + 1]
        prefix[0] = 1.0
        for i in range(n):
            total = 0.0
            for c in range(i + 1):
                total += prefix[c] * suffix[i + 1, c]
            result[y, i] = total
            b = below[y, i]
            prefix[i + 1] = (1.0 - b) * prefix[i]
            for c in range(i, 0, -1):
                prefix[c] = b * prefix[c] + (1.0 - b) * prefix[c - 1]
            prefix[0] *= b
    return result


@nb.njit(cache=True, nogil=True, error_model="numpy")
def smoothed_rewards(rewards: Any, first: float, step: float, score: Any, scale: Any, nodes: Any, weights: Any) -> Any:
    """Mean over a developer's own noise of a tabulated reward, (G, n): sum_q weights_q rewards(score + scale nodes_q).

    rewards : (Y, n) at scores first + step * 0..Y-1, interpolated by cubics; constant beyond both ends.
    score, scale : (G, n).
    """
    tries, n = score.shape
    points = rewards.shape[0]
    result = np.zeros((tries, n))
    for g in range(tries):
        for i in range(n):
            total = 0.0
            for q in range(len(nodes)):
                place = (score[g, i] + scale[g, i] * nodes[q] - first) / step
                k = int(np.floor(place))
                if k < 1:
                    total += weights[q] * rewards[max(k, 0), i]
                elif k > points - 3:
                    total += weights[q] * rewards[points - 1, i]
                else:
                    t = place - k
                    a, b, c, d = rewards[k - 1, i], rewards[k, i], rewards[k + 1, i], rewards[k + 2, i]
                    total += weights[q] * (
                        -a * t * (t - 1) * (t - 2) / 6
                        + b * (t + 1) * (t - 1) * (t - 2) / 2
                        - c * (t + 1) * t * (t - 2) / 2
                        + d * (t + 1) * t * (t - 1) / 6
                    )
            result[g, i] = total
    return result
