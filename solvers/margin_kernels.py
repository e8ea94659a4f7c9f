"""Compiled check of the free-effort profile where ties split prizes or part of the test is hidden.

The formula is that of `solvers.deviations` in general; the plain curve's closed form bounds what a climb must cost.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

from solvers.curve_kernels import climb, higher, place_reaching, plain_place, score_at

__all__ = ["climb_margins"]

_jit = nb.njit(cache=True, nogil=True, error_model="numpy")


@_jit
def _mean_prize(prizes: Any, total: Any, first: int, last: int) -> Any:
    """Mean prize of ranks first..last of one game; equal prizes share exactly."""
    if prizes[first] == prizes[last]:
        return prizes[first]
    return (total[last + 1] - total[first]) / (last - first + 1)


@_jit
def climb_margins(
    law: Any,  # (10, B, n): lower, upper, intercept, slope, scale, exponent, free, entry fee, head start, cap
    split: bool,
    share: float,
    transfer: float,
    prizes: Any,  # (B, n)
    tie_order: Any,  # (B, n)
    ulps: float,
    margins: Any,  # (B, n) out
    ranks: Any,  # (B, n) out
    bounds: Any,  # (2, B) out
    settled: Any,  # (B,) out: whether every curve could be inverted
) -> None:
    """Stability margin of every developer at the free-effort profile z.

    margin_i = min over rivals' scores of cost - prize gain, where the gain is positive. Strict order: the cost of
    reaching a score whose holder i beats, else of exceeding it, and the prize of the rank. Split ties: the cost of
    reaching it and the mean prize of the larger group, and the cost of exceeding it and the prize of its first rank.
    Scores come in order of rising cost, and i stops where the cost alone keeps any further gain above its margin; a
    partly hidden curve is not even inverted where what the plain one would take says so.
    """
    batch, n = prizes.shape
    hidden = share > 0.0 and transfer < 1.0
    hi, lo, place, total = np.empty(n), np.empty(n), np.empty(n), np.zeros(n + 1)
    order = np.empty(n, dtype=np.int64)
    first, last = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    for b in range(batch):
        settled[b] = True
        least, highest = np.inf, np.inf
        for i in range(n):
            scale, free, fee, cap = law[4, b, i], law[6, b, i], law[7, b, i], law[9, b, i]
            z = 0.0 if fee > 0 else (min(free, cap) if scale > 0 else cap)
            start = law[8, b, i]
            place[i] = start + z
            hi[i], lo[i] = score_at(
                law[0, b, i], law[1, b, i], law[2, b, i], law[3, b, i], start, share, transfer, place[i]
            )
            k = i
            while k > 0:
                j = order[k - 1]
                same = hi[i] == hi[j] and lo[i] == lo[j]
                if not (higher(hi[i], lo[i], hi[j], lo[j]) or (same and tie_order[b, i] < tie_order[b, j])):
                    break
                order[k] = j
                k -= 1
            order[k] = i
        for r in range(n):
            total[r + 1] = total[r] + prizes[b, r]
            same = r > 0 and hi[order[r]] == hi[order[r - 1]] and lo[order[r]] == lo[order[r - 1]]
            first[r] = first[r - 1] if same else r
        for r in range(n - 1, -1, -1):
            last[r] = last[r + 1] if r + 1 < n and first[r + 1] == first[r] else r
        floor_gain = 1e-12 * (prizes[b, 0] - prizes[b, n - 1]) if split else 0.0
        for r in range(n):
            i = order[r]
            ranks[b, i] = first[r] if split else r
            margins[b, i] = np.inf
            own = _mean_prize(prizes[b], total, first[r], last[r]) if split else prizes[b, r]
            most = prizes[b, 0] - own
            if most <= floor_gain:
                continue
            lower, upper, intercept, slope = law[0, b, i], law[1, b, i], law[2, b, i], law[3, b, i]
            scale, exponent, free, fee = law[4, b, i], law[5, b, i], law[6, b, i], law[7, b, i]
            start, cap = law[8, b, i], law[9, b, i]
            top, top_tail = score_at(lower, upper, intercept, slope, start, share, transfer, start + cap)
            best, high = np.inf, np.inf
            t = first[r] if split else r - 1
            while t >= 0:
                j = order[t]
                joins, passes = -np.inf, -np.inf
                if split:
                    if t < first[r]:
                        joins = _mean_prize(prizes[b], total, t, min(last[t] + 1, n - 1)) - own
                    passes = prizes[b, t] - own
                elif tie_order[b, i] < tie_order[b, j]:
                    joins = prizes[b, t] - own
                else:
                    passes = prizes[b, t] - own
                further = t - 1 if not split or t == 0 else first[t - 1]
                t = further
                if max(joins, passes) <= floor_gain:
                    continue
                if higher(hi[j], lo[j], top, top_tail):
                    break  # out of reach, and so is everyone further up
                beyond = higher(top, top_tail, hi[j], lo[j])
                if not beyond and joins <= floor_gain:
                    continue
                stop = max(best, high)
                if hidden:
                    plain = plain_place(lower, upper, intercept, slope, hi[j], lo[j])
                    if plain == np.inf:
                        settled[b] = False
                        break
                    price, lost, _ = climb(scale, exponent, free, fee, start, cap, plain, False, ulps)
                    # what rounding does falls as a share of the cost beyond the fee: it is at most this share
                    if price - lost - most >= stop and price - lost > fee:
                        break
                    if price - lost - max(joins, passes) >= stop and price - lost > fee:
                        continue
                at, found = place_reaching(
                    lower, upper, intercept, slope, start, share, transfer, hi[j], lo[j], place[i]
                )
                if not found:
                    settled[b] = False
                    break
                price, lost, _ = climb(scale, exponent, free, fee, start, cap, at, False, ulps)
                if joins > floor_gain:
                    best = min(best, price - joins)
                    high = min(high, price - joins + lost)
                    least = min(least, price - joins - lost)
                if beyond and passes > floor_gain:
                    dearer, blur, _ = climb(scale, exponent, free, fee, start, cap, at, True, ulps)
                    best = min(best, dearer - passes)
                    high = min(high, dearer - passes + blur)
                    least = min(least, dearer - passes - blur)
                if price - lost - most >= max(best, high):
                    break
            margins[b, i] = best
            highest = min(highest, high)
            if not settled[b]:
                break
        bounds[0, b] = least
        bounds[1, b] = highest
