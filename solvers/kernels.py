"""Compiled loops of the pure solver: the T1 check of generalized-logit populations, and profile checks on a lattice.

No objects, no allocation inside the loops over pairs; every kernel's docstring is its formula. Kernels release the
interpreter lock, so that `solvers.pure` can run slices of a batch on threads.
"""

from __future__ import annotations

import math
from typing import Any

import numba as nb
import numpy as np

from solvers.curve_kernels import score_pair

__all__ = ["first_refuted", "free_profile_margins", "prize_of_option", "profile_margin"]

_jit = nb.njit(cache=True, nogil=True, error_model="numpy")


@_jit
def free_profile_margins(
    curve: Any,  # (4, B, n): lower, upper, intercept, slope
    cost: Any,  # (4, B, n): scale, exponent, free, entry_fee
    place: Any,  # (2, B, n): head start, effort cap
    prizes: Any,  # (B, n)
    tie_order: Any,  # (B, n)
    margins: Any,  # (B, n) out
    ranks: Any,  # (B, n) out
    bounds: Any,  # (2, B) out
    ulps: float,
) -> None:
    """Stability margin of every developer at the free-effort profile z, under a strict tie order.

    margin_i = min over targets j ranked above i of c_i(e_req(i -> j)) - (R_rank(j) - R_rank(i)), where the prize gain
    is positive; inf where there is none. e_req is exp((logit(y) - intercept) / slope) - 1 - head start, y the target
    score's share of i's rise: one log and one exp per pair (and a power, unless the exponent is 1). Targets come in
    order of rising cost, and i stops at the first whose cost alone keeps any further target above its margin:
    exact, because cost only rises and no gain exceeds R_1 - R_rank(i).

    bounds : least margin of the game less, and plus, what rounding an effort by `ulps` relative to its place on the
    curve may do to its cost (first order).
    """
    batch, n = prizes.shape
    hi, lo = np.empty(n), np.empty(n)
    order = np.empty(n, dtype=np.int64)
    for b in range(batch):
        least, highest = np.inf, np.inf
        for i in range(n):
            scale, free, fee, cap = cost[0, b, i], cost[2, b, i], cost[3, b, i], place[1, b, i]
            z = 0.0 if fee > 0 else (min(free, cap) if scale > 0 else cap)
            hi[i], lo[i] = score_pair(
                curve[0, b, i], curve[1, b, i], curve[2, b, i], curve[3, b, i], place[0, b, i] + z
            )
            k = i
            while k > 0:
                j = order[k - 1]
                higher = hi[i] > hi[j] or (
                    hi[i] == hi[j] and (lo[i] > lo[j] or (lo[i] == lo[j] and tie_order[b, i] < tie_order[b, j]))
                )
                if not higher:
                    break
                order[k] = j
                k -= 1
            order[k] = i
        for r in range(n):
            i = order[r]
            ranks[b, i] = r
            best = np.inf
            most = prizes[b, 0] - prizes[b, r]
            if most > 0:
                lower, upper = curve[0, b, i], curve[1, b, i]
                intercept, slope = curve[2, b, i], curve[3, b, i]
                scale, exponent, free, fee = cost[0, b, i], cost[1, b, i], cost[2, b, i], cost[3, b, i]
                start, cap = place[0, b, i], place[1, b, i]
                finite_cap = cap < np.inf
                cap_hi, cap_lo = np.inf, 0.0
                if finite_cap:
                    cap_hi, cap_lo = score_pair(lower, upper, intercept, slope, start + cap)
                for t in range(r - 1, -1, -1):
                    gain = prizes[b, t] - prizes[b, r]
                    if gain <= 0:
                        continue
                    j = order[t]
                    wins = tie_order[b, i] < tie_order[b, j]
                    if finite_cap and (
                        hi[j] > cap_hi or (hi[j] == cap_hi and (lo[j] > cap_lo or (lo[j] == cap_lo and not wins)))
                    ):
                        break  # out of reach, and so is everyone further up
                    gap = (upper - hi[j]) - lo[j]
                    if gap < 0 or (gap == 0 and not (wins and lower == upper)):
                        break
                    rise = (hi[j] - lower) + lo[j]
                    effort = 0.0
                    if lower == upper:
                        if not wins:
                            break
                    elif rise > 0:
                        effort = math.exp((math.log(rise / gap) - intercept) / slope) - 1.0 - start
                    effort = min(max(effort, 0.0), cap)
                    price = fee  # i stands below j, so it pays for any move: the limit just above zero effort
                    paid = effort - free
                    lost = 0.0
                    if scale > 0 and paid > 0:
                        variable = scale * (paid if exponent == 1.0 else paid**exponent)
                        price += variable
                        lost = ulps * (1.0 + start + effort) * exponent * variable / paid
                    best = min(best, price - gain)
                    least = min(least, price - gain - lost)
                    highest = min(highest, price - gain + lost)
                    if price - lost - most >= best:
                        break
            margins[b, i] = best
        bounds[0, b] = least
        bounds[1, b] = highest


@_jit
def prize_of_option(i: int, level: int, exceed: bool, levels: Any, beats: Any, prizes: Any, split: bool) -> Any:
    """Prize of developer i at `level` (or just above it) against rivals at `levels` (indices; -1 is below all)."""
    over = 0
    tied = 0
    for k in range(levels.shape[0]):
        if k == i:
            continue
        if levels[k] > level:
            over += 1
        elif levels[k] == level and not exceed:
            if split:
                tied += 1
            elif beats[k, i]:
                over += 1
    if tied == 0:
        return prizes[over]
    total = 0.0
    for r in range(over, over + tied + 1):
        total += prizes[r]
    return total / (tied + 1)


@_jit
def first_refuted(
    levels: Any,
    highest: Any,
    paid: Any,
    reach: Any,
    exceed: Any,
    beats: Any,
    prizes: Any,
    split: bool,
    tol: float,
) -> int:
    """First assigned developer who gains more than `tol` however the others complete the profile; -1 if none.

    levels : (n,) level index of assigned developers, -1 for the others (at best below everyone).
    highest : (n,) level index of assigned developers, the highest candidate of the others (at worst).
    reach, exceed : (m, n) cost of reaching, and of exceeding, each level.
    i is refuted iff max over options of prize(option | highest) - cost(option) > prize(own | levels) - paid + tol.
    """
    n = levels.shape[0]
    for i in range(n):
        if levels[i] < 0:
            continue
        own = prize_of_option(i, levels[i], False, levels, beats, prizes, split) - paid[i] + tol
        for m in range(reach.shape[0]):
            # whatever the rivals do, no option pays more than the first prize less its cost
            for above in (False, True):
                price = exceed[m, i] if above else reach[m, i]
                if price == np.inf or prizes[0] - price <= own:
                    continue
                if prize_of_option(i, m, above, highest, beats, prizes, split) - price > own:
                    return i
    return -1


@_jit
def profile_margin(
    levels: Any,
    paid: Any,
    reach: Any,
    exceed: Any,
    beats: Any,
    prizes: Any,
    split: bool,
    floor: float,
    out: Any,
) -> None:
    """Per developer: margin, index and mode (0 reach, 1 exceed) of its best deviation, prize gain, extra cost.

    margin = min over options of (extra cost) - (prize gain), over the options that gain a prize or save a cost by
    more than `floor`; inf where there is none. out : (5, n).
    """
    for i in range(levels.shape[0]):
        now = prize_of_option(i, levels[i], False, levels, beats, prizes, split)
        out[0, i] = np.inf
        out[1:, i] = -1.0
        for m in range(reach.shape[0]):
            for mode in range(2):
                price = exceed[m, i] if mode == 1 else reach[m, i]
                if price == np.inf:
                    continue
                gain = prize_of_option(i, m, mode == 1, levels, beats, prizes, split) - now
                extra = price - paid[i]
                if (gain > floor or extra < -floor) and extra - gain < out[0, i]:
                    out[0, i], out[1, i], out[2, i], out[3, i], out[4, i] = extra - gain, m, mode, gain, extra
