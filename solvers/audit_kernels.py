"""Compiled check of a profile of audited games against every continuous deviation (see `solvers.audited`)."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

from followers.binomial_kernels import binomial_tail
from solvers.curve_kernels import higher, paid, place_reaching, plain_place, score_at

__all__ = ["audited_deviations"]

_jit = nb.njit(cache=True, nogil=True, error_model="numpy")


@_jit
def _reward(prizes: Any, penalty: Any, flagged: float, first: int, last: int) -> float:
    """Mean over ranks first..last of the prize less what an audit is expected to take."""
    total = 0.0
    for r in range(first, last + 1):
        total += prizes[r] - flagged * penalty[r]
    return total / (last - first + 1)


@_jit
def audited_deviations(
    law: Any,  # (10, B, n): see `solvers.deviations.kernel_law`
    split: bool,
    share: float,
    transfer: float,
    prizes: Any,  # (B, n)
    penalty: Any,  # (B, n)
    tie_order: Any,  # (B, n)
    items: int,
    efforts: Any,  # (B, n), the profile
    scores: Any,  # (2, B, n), there
    fresh: Any,  # (2, B, n), scores at zero effort
    critical: Any,  # (2, B, n), critical values of the claims at the profile, and at zero effort
    least_move: float,  # share of R_1 - R_n that a deviation must win or save
    utilities: Any,  # (B, n) out
    gains: Any,  # (B, n) out, -inf where nothing tempts
    targets: Any,  # (B, n) out
    chosen: Any,  # (4, B, n) out: effort, rank, reward, cost of the best deviation
    attained: Any,  # (B, n) out
    settled: Any,  # (B,) out
) -> None:
    """The best deviation of every developer: back to zero effort, or to the least effort that reaches, or exceeds, a
    rival's score.

    gain = reward - own reward - (cost - own cost), reward = mean over ranks of prize - P(flagged) penalty. A climb is
    priced only where the plain curve's cost, and the suspicion at zero effort, leave room for a gain above the best.
    """
    batch, n = prizes.shape
    order, position = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    first, last = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    for b in range(batch):
        settled[b] = True
        hi, lo = scores[0, b], scores[1, b]
        floor = least_move * (prizes[b, 0] - prizes[b, n - 1])
        for i in range(n):
            k = i
            while k > 0 and higher(hi[i], lo[i], hi[order[k - 1]], lo[order[k - 1]]):
                order[k] = order[k - 1]
                k -= 1
            order[k] = i
        for r in range(n):
            j = order[r]
            position[j] = r
            same = r > 0 and hi[j] == hi[order[r - 1]] and lo[j] == lo[order[r - 1]]
            first[r] = first[r - 1] if same else r
        for r in range(n - 1, -1, -1):
            last[r] = last[r + 1] if r + 1 < n and first[r + 1] == first[r] else r
        for i in range(n):
            lower, upper, intercept, slope = law[0, b, i], law[1, b, i], law[2, b, i], law[3, b, i]
            scale, exponent, free, fee = law[4, b, i], law[5, b, i], law[6, b, i], law[7, b, i]
            start, cap = law[8, b, i], law[9, b, i]
            begin, begin_tail = fresh[0, b, i], fresh[1, b, i]
            top, top_tail = score_at(lower, upper, intercept, slope, start, share, transfer, start + cap)
            innocent = binomial_tail(critical[1, b, i], items, begin)
            own_cost = paid(scale, exponent, free, fee, efforts[b, i])
            own_reward = 0.0
            best = -np.inf
            # -2 is the profile itself, -1 zero effort
            for target in range(-2, n):
                if target >= 0:
                    level, level_tail = hi[target], lo[target]
                    if higher(begin, begin_tail, level, level_tail):
                        continue  # nobody can score less than at zero effort
                    if higher(level, level_tail, top, top_tail):
                        continue
                    above, ties = first[position[target]], last[position[target]] - first[position[target]] + 1
                    if higher(hi[i], lo[i], level, level_tail):
                        above -= 1
                    elif hi[i] == level and lo[i] == level_tail:
                        ties -= 1
                elif target == -1:
                    level, level_tail = begin, begin_tail
                    above, ties = 0, 0
                    for j in range(n):
                        if j == i:
                            continue
                        if higher(hi[j], lo[j], level, level_tail):
                            above += 1
                        elif hi[j] == level and lo[j] == level_tail:
                            ties += 1
                else:
                    level, level_tail = hi[i], lo[i]
                    above, ties = first[position[i]], last[position[i]] - first[position[i]]
                reached = above
                if not split and ties:
                    for j in range(n):
                        if j != i and hi[j] == level and lo[j] == level_tail and tie_order[b, j] < tie_order[b, i]:
                            reached += 1
                shared = reached + (ties if split else 0)
                if target == -2:
                    flagged = innocent
                    if efforts[b, i] > 0:
                        flagged = binomial_tail(critical[0, b, i], items, begin)
                    reward = _reward(prizes[b], penalty[b], flagged, reached, shared)
                    utilities[b, i] = reward - own_cost
                    own_reward = utilities[b, i] + own_cost
                    continue
                if target == -1:
                    reward = _reward(prizes[b], penalty[b], innocent, reached, shared)
                    gain = reward - own_reward + own_cost
                    if (reward - own_reward > floor or -own_cost < -floor) and gain > best:
                        best = gain
                        targets[b, i], attained[b, i] = i, True
                        chosen[0, b, i], chosen[1, b, i] = 0.0, reached
                        chosen[2, b, i], chosen[3, b, i] = reward, 0.0
                    continue
                climbs = higher(level, level_tail, begin, begin_tail)
                place = start
                cheapest = 0.0
                if climbs:
                    place = plain_place(lower, upper, intercept, slope, level, level_tail)
                    cheapest = paid(scale, exponent, free, fee, min(max(place - start, 1e-300), cap))
                    if place == np.inf and cap == np.inf:
                        if share > 0.0 and transfer < 1.0:
                            settled[b] = False
                            break
                        continue
                # at most what it would get if it raised no more suspicion than at zero effort, at the plain cost
                hopes = -np.inf
                for r in range(above, max(shared, above) + 1):
                    hopes = max(hopes, prizes[b, r] - innocent * penalty[b, r])
                if not (hopes - own_reward > floor or cheapest - own_cost < -floor):
                    continue
                if hopes - own_reward - (cheapest - own_cost) <= best:
                    continue
                if climbs:
                    place, found = place_reaching(
                        lower, upper, intercept, slope, start, share, transfer, level, level_tail, start
                    )
                    if not found:
                        settled[b] = False
                        break
                flagged = binomial_tail(critical[0, b, target], items, begin) if climbs else innocent
                for strictly in (False, True):
                    effort = 0.0
                    if climbs:
                        effort = min(max(place - start, 0.0 if strictly else 1e-300), cap)
                    if strictly and not higher(top, top_tail, level, level_tail):
                        continue
                    cost = fee if strictly and effort <= 0 else paid(scale, exponent, free, fee, effort)
                    one = above if strictly else reached
                    reward = _reward(prizes[b], penalty[b], flagged, one, one if strictly else shared)
                    gain = reward - own_reward - (cost - own_cost)
                    if (reward - own_reward > floor or cost - own_cost < -floor) and gain > best:
                        best = gain
                        targets[b, i], attained[b, i] = target, not strictly
                        chosen[0, b, i], chosen[1, b, i] = effort, one
                        chosen[2, b, i], chosen[3, b, i] = reward, cost
            gains[b, i] = best
            if not settled[b]:
                break
