"""Compiled inner loops over ranks: what a developer expects to win when each rival is below it with some probability.

Prizes depend on rivals only through how many are above, a Poisson-binomial count: O(n^2) per evaluation, never m^n
(DESIGN section 3).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba as nb
import numpy as np

__all__ = ["count_rewards", "expected_prize", "expected_prizes", "expected_prizes_and_slopes", "kernel", "pair_effect"]

F = TypeVar("F", bound=Callable[..., Any])


def kernel(function: F) -> F:
    """Compile a function; its sums may be reordered and fused, infinities and NaN mean what they mean."""
    compiled = nb.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "reassoc", "nsz"})
    return cast(F, compiled(function))


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


@kernel
def count_rewards(b: Any, count: int, sure: int, prizes: Any, suffix: Any, prefix: Any, members: Any) -> Any:
    """Expected prizes at one observed score: of those surely above it, of those surely below, and of the others.

    b : (count,), probability of being below, of the `count` developers who are not certain; `sure` are above.
    members : (count,), filled with E[prizes[rivals above]] of each of them. Work space: suffix (n + 1, n + 2), prefix
    (2, n + 1). All at once in O(count^2): the count above among those before i (prefix_i), and the expected prize
    given that count among those after i (suffix_{i+1}).
    """
    n = len(prizes)
    for c in range(count + 2):
        suffix[count, c] = prizes[min(max(sure - 1 + c, 0), n - 1)]
    for j in range(count - 1, -1, -1):
        p = b[j]
        after, here = suffix[j + 1], suffix[j]
        for c in range(j + 2):
            here[c] = p * after[c] + (1.0 - p) * after[c + 1]
    old, new = prefix[0], prefix[1]
    old[0] = 1.0
    for i in range(count):
        after, p = suffix[i + 1], b[i]
        total = 0.0
        for c in range(i + 1):
            total += old[c] * after[c + 1]
        members[i] = total
        new[0] = p * old[0]
        for c in range(1, i + 1):
            new[c] = p * old[c] + (1.0 - p) * old[c - 1]
        new[i + 1] = (1.0 - p) * old[i]
        old, new = new, old
    return suffix[0, 0], suffix[0, 1]


@kernel
def pair_effect(b: Any, count: int, i: int, j: int, sure: int, prizes: Any, value: Any) -> Any:
    """E[prizes[N] - prizes[N + 1]] for the count N above among all but i and j: what passing a rival is worth."""
    left = 0
    for c in range(count - 1):
        value[c] = prizes[sure + c] - prizes[min(sure + c + 1, len(prizes) - 1)]
    left = count - 2
    for k in range(count):
        if k != i and k != j:
            p = b[k]
            for c in range(left):
                value[c] = p * value[c] + (1.0 - p) * value[c + 1]
            left -= 1
    return value[0]


@kernel
def expected_prize(b: Any, count: int, sure: int, prizes: Any, value: Any) -> Any:
    """E[prizes[sure + N]] for the count N above among rivals who are below with probability b (count,)."""
    for c in range(count + 1):
        value[c] = prizes[sure + c]
    for k in range(count):
        p = b[k]
        for c in range(count - k):
            value[c] = p * value[c] + (1.0 - p) * value[c + 1]
    return value[0]
