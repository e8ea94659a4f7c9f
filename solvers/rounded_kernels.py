"""Compiled rounded games: their ladders, the search for every pure equilibrium, and what leaving a profile gains.

Levels count from the lowest that anybody holds. Arrays of levels are (n, E): developer first.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

from followers.binomial_kernels import binomial_tail
from solvers.curve_kernels import higher, paid, place_reaching, score_at

__all__ = ["cheapest_equilibria", "level_gains", "search_levels"]

_jit = nb.njit(cache=True, nogil=True, error_model="numpy")


@_jit
def _level_bounds(
    i: int,
    low_level: int,
    high_level: int,
    top: Any,  # (n,)
    bottom: Any,  # (n,)
    flagged: Any,  # (n, E)
    prizes: Any,  # (n,)
    penalty: Any,  # (n,)
    audited: bool,
    split: bool,
    order: Any,  # (n,)
    counts: Any,  # (3, E + 2) scratch
    least: Any,  # (E,) out
    most: Any,  # (E,) out
) -> None:
    """Least and most reward before costs of developer i at its levels low..high.

    Over the ranks that a level may lead to when each rival j holds one of its levels bottom_j..top_j. Rival j is surely
    above level k where k < bottom_j, or k = bottom_j and j wins the tie; possibly, where the same holds of top_j.
    """
    n = top.shape[0]
    for k in range(low_level, high_level + 2):
        counts[0, k], counts[1, k], counts[2, k] = 0, 0, 0
    for j in range(n):
        if j == i:
            continue
        wins = 0 if split or order[j] > order[i] else 1
        sure = min(bottom[j] + wins, high_level + 1)
        possible = min(top[j] + (1 if split else wins), high_level + 1)
        if sure > low_level:
            counts[0, sure] += 1
        if possible > low_level:
            counts[1, possible] += 1
        if split and top[j] == bottom[j] and low_level <= top[j] <= high_level:
            counts[2, top[j]] += 1
    sure, possible = 0, 0
    for k in range(high_level, low_level - 1, -1):
        sure += counts[0, k + 1]
        possible += counts[1, k + 1]
        tied = counts[2, k]
        if possible - sure == tied:
            total = 0.0
            for r in range(sure, possible + 1):
                total += prizes[r] - flagged[i, k] * penalty[r]
            least[k] = most[k] = total / (tied + 1)
        elif audited:
            least[k], most[k] = np.inf, -np.inf
            for r in range(sure, possible + 1):
                reward = prizes[r] - flagged[i, k] * penalty[r]
                least[k], most[k] = min(least[k], reward), max(most[k], reward)
        else:
            least[k], most[k] = prizes[possible], prizes[sure]


@_jit
def _matters(was_top: int, top: int, was_bottom: int, bottom: int, low: int, high: int) -> bool:
    """Whether a rival's range of levels has changed in a way that a developer with open levels low..high can notice."""
    return (top != was_top and top <= high and was_top >= low) or (
        bottom != was_bottom and was_bottom <= high and bottom >= low
    )


@_jit
def search_levels(
    is_open: Any,  # (n, E)
    cost: Any,  # (n, E)
    flagged: Any,  # (n, E)
    prizes: Any,  # (n,), non-increasing
    penalty: Any,  # (n,)
    split: bool,
    order: Any,  # (n,)
    tolerance: float,
    node_budget: int,
    record: bool,
) -> Any:
    """Every pure equilibrium of a finite game of levels, by elimination and branching.

    A level a of developer i is struck out where some open level b has least(b) - cost_b > most(a) - cost_a + tolerance
    (`_level_bounds`, of all open levels). When nothing more can be struck out, of the developers with several levels
    left the one whose highest is highest (then with the fewest left, then the first) holds it or does not: two
    branches, in this order. Who holds the highest level is what the others' prizes depend on. Of what is left of the
    node budget once an equilibrium is found only as many nodes again, at least a quarter of the budget, are used.

    Returns how many equilibria were found, the one that costs least (of those that cost the same but for rounding the
    one whose levels come first in lexicographic order), nodes visited, whether the search came to its end; and, where
    `record`, all equilibria (F, n) and the steps (M, 3) of `solvers.rounded.Step`.
    """
    n, levels = is_open.shape
    audited = False
    for r in range(n):
        audited = audited or penalty[r] != 0.0
    counts = np.zeros((3, levels + 2), dtype=np.int64)
    least, most = np.empty(levels), np.empty(levels)
    lowest, highest = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64) - 1
    dirty = np.empty(n, dtype=np.bool_)
    profile = np.zeros(n, dtype=np.int64)
    best_profile, best_cost = np.zeros(n, dtype=np.int64), np.inf
    room = 16
    domains = np.empty((room, n, levels), dtype=np.bool_)
    tops, bottoms = np.empty((room, n), dtype=np.int64), np.empty((room, n), dtype=np.int64)
    branched = np.empty((room, 3), dtype=np.int64)  # the developer, and the ends of its range before
    steps = np.empty((64 if record else 1, 3), dtype=np.int64)
    profiles = np.empty((8 if record else 1, n), dtype=np.int64)
    taken, found, nodes, limit = 0, 0, 0, node_budget
    for i in range(n):
        tops[0, i], bottoms[0, i] = -1, levels
        lowest[i] = levels
        for k in range(levels):
            domains[0, i, k] = is_open[i, k]
            if is_open[i, k]:
                lowest[i], highest[i] = min(lowest[i], k), k
        tops[0, i], bottoms[0, i] = highest[i], lowest[i]
    branched[0, 0] = -1
    depth = 1
    while depth > 0:
        if nodes >= limit:
            return found, best_profile, nodes, False, profiles[: found if record else 0], steps[:taken]
        nodes += 1
        here = depth - 1
        domain, top, bottom = domains[here], tops[here], bottoms[here]
        # a child differs from its settled parent in one developer's levels only
        one, was_top, was_bottom = branched[here, 0], branched[here, 1], branched[here, 2]
        for i in range(n):
            dirty[i] = one < 0 or (
                i != one and _matters(was_top, top[one], was_bottom, bottom[one], lowest[i], highest[i])
            )
        dead, changed = False, True
        while changed and not dead:
            changed = False
            for i in range(n):
                if not dirty[i]:
                    continue
                dirty[i] = False
                if highest[i] < 0:
                    dead = True
                    break
                _level_bounds(
                    i,
                    lowest[i],
                    highest[i],
                    top,
                    bottom,
                    flagged,
                    prizes,
                    penalty,
                    audited,
                    split,
                    order,
                    counts,
                    least,
                    most,
                )
                value, better = -np.inf, -1
                for k in range(lowest[i], highest[i] + 1):
                    if is_open[i, k] and least[k] - cost[i, k] > value:
                        value, better = least[k] - cost[i, k], k
                struck = False
                for k in range(bottom[i], top[i] + 1):
                    if domain[i, k] and value > most[k] - cost[i, k] + tolerance:
                        domain[i, k] = False
                        struck = True
                        if record:
                            if taken == steps.shape[0]:
                                steps = np.concatenate((steps, np.empty_like(steps)))
                            steps[taken, 0], steps[taken, 1], steps[taken, 2] = i, k, better
                            taken += 1
                if not struck:
                    continue
                was_top, was_bottom = top[i], bottom[i]
                while top[i] >= was_bottom and not domain[i, top[i]]:
                    top[i] -= 1
                if (
                    top[i] < was_bottom
                ):  # nothing is left to it: whatever else were struck out would follow from nothing
                    dead = True
                    break
                while not domain[i, bottom[i]]:
                    bottom[i] += 1
                if top[i] != was_top or bottom[i] != was_bottom:
                    changed = True
                    for j in range(n):
                        dirty[j] = dirty[j] or (
                            j != i and _matters(was_top, top[i], was_bottom, bottom[i], lowest[j], highest[j])
                        )
        pick, left = -1, 0
        if not dead:
            for i in range(n):
                if top[i] > bottom[i] and (pick < 0 or top[i] >= top[pick]):
                    count = 0
                    for k in range(bottom[i], top[i] + 1):
                        count += domain[i, k]
                    if pick < 0 or top[i] > top[pick] or count < left:
                        pick, left = i, count
        if record:
            if taken + 1 > steps.shape[0]:
                steps = np.concatenate((steps, np.empty_like(steps)))
            steps[taken, 0], steps[taken, 1], steps[taken, 2] = -1, -1, -1
            if pick >= 0:
                steps[taken, 0], steps[taken, 2] = pick, top[pick]
            elif not dead:
                steps[taken, 0] = -2
            taken += 1
        if dead:
            depth -= 1
            continue
        if pick < 0:
            total = 0.0
            for i in range(n):
                profile[i] = top[i]
                total += cost[i, top[i]]
            cheaper = total < best_cost - tolerance
            if not cheaper and total <= best_cost + tolerance:  # the same cost: lower levels of the first developers
                i = 0
                while i < n and profile[i] == best_profile[i]:
                    i += 1
                cheaper = i < n and profile[i] < best_profile[i]
            if cheaper:
                best_cost = total
                best_profile[:] = profile
            if record:
                if found == profiles.shape[0]:
                    profiles = np.concatenate((profiles, np.empty_like(profiles)))
                profiles[found] = profile
            if found == 0:  # of others, which may be a million, only so many are looked for
                limit = min(node_budget, nodes + max(nodes, node_budget // 4))
            found += 1
            depth -= 1
            continue
        if depth == room:
            domains = np.concatenate((domains, np.empty_like(domains)))
            tops, bottoms = (
                np.concatenate((tops, np.empty_like(tops))),
                np.concatenate((bottoms, np.empty_like(bottoms))),
            )
            branched = np.concatenate((branched, np.empty_like(branched)))
            room *= 2
        domains[depth], tops[depth], bottoms[depth] = domains[here], tops[here], bottoms[here]
        k = tops[here, pick]
        for child in (here, depth):
            branched[child, 0], branched[child, 1], branched[child, 2] = pick, k, bottoms[here, pick]
        domains[depth, pick, bottoms[here, pick] : k] = False  # above: it holds its highest level
        bottoms[depth, pick] = k
        domains[here, pick, k] = False  # below: it does not
        while not domains[here, pick, tops[here, pick]]:
            tops[here, pick] -= 1
        depth += 1
    return found, best_profile, nodes, True, profiles[: found if record else 0], steps[:taken]


@_jit
def level_gains(
    is_open: Any,  # (n, E)
    cost: Any,  # (n, E)
    flagged: Any,  # (n, E)
    prizes: Any,
    penalty: Any,
    split: bool,
    order: Any,
    held: Any,  # (n,)
    gains: Any,  # (n,) out
) -> None:
    """What each developer gains by its best other open level, rivals held; -inf where it has no other."""
    n, levels = is_open.shape
    counts = np.zeros((3, levels + 2), dtype=np.int64)
    least, most = np.empty(levels), np.empty(levels)
    for i in range(n):
        low, high = held[i], held[i]
        for k in range(levels):
            if is_open[i, k]:
                low, high = min(low, k), max(high, k)
        _level_bounds(i, low, high, held, held, flagged, prizes, penalty, True, split, order, counts, least, most)
        own = most[held[i]] - cost[i, held[i]]
        gains[i] = -np.inf
        for k in range(low, high + 1):
            if is_open[i, k] and k != held[i]:
                gains[i] = max(gains[i], most[k] - cost[i, k] - own)


@_jit
def cheapest_equilibria(
    law: Any,  # (10, B, n): see `solvers.deviations.kernel_law`
    share: float,
    transfer: float,
    prizes: Any,  # (B, n)
    penalty: Any,  # (B, n)
    tie_order: Any,  # (B, n)
    split: bool,
    own: Any,  # (B, n), grid level at zero effort
    farthest: Any,  # (B, n), grid level of the most effort worth while
    eta: float,
    divisions: int,  # how many grid steps make 1, 0 where not a whole number
    items: int,  # of an audit; 0 without audits
    own_critical: Any,  # (B, n), critical value of the claim at zero effort
    first_level: int,
    critical: Any,  # (L,), of the claim of grid level first_level + k
    node_budget: int,
    rounding: float,
    codes: Any,  # (B,) out
    levels: Any,  # (B, n) out: grid levels of the cheapest equilibrium, the lowest levels where there is none
    efforts: Any,  # (B, n) out: the cheapest to these levels
    gains: Any,  # (B, n) out: by leaving the profile of lowest levels
    margin: Any,  # (B,) out
    tolerance: Any,  # (B,) out
    settled: Any,  # (B,) out
) -> None:
    """`solvers.rounded.solve_rounded` for a batch of games that compiled code knows, game by game."""
    batch, n = prizes.shape
    scaled, penalised = np.empty(n), np.empty(n)
    lowest = np.empty(n, dtype=np.int64)
    gained = np.empty(n)
    for b in range(batch):
        settled[b] = True
        unit = prizes[b, 0] - prizes[b, n - 1]
        if unit == 0.0:
            unit = 1.0
        heaviest = 0.0
        for r in range(n):
            scaled[r] = (prizes[b, r] - prizes[b, n - 1]) / unit
            penalised[r] = penalty[b, r] / unit
            heaviest = max(heaviest, penalty[b, r])
        limit = (1.0 + heaviest / unit) * (1.0 + 1e-9)
        base, highest = own[b, 0], own[b, 0]
        first, second = -(2**62), -(2**62)
        for i in range(n):
            base, highest = min(base, own[b, i]), max(highest, own[b, i])
            if farthest[b, i] > first:
                first, second = farthest[b, i], first
            else:
                second = max(second, farthest[b, i])
        count = max(second + 1, highest) - base + 1
        is_open = np.zeros((n, count), dtype=np.bool_)
        cost, flagged, effort = np.zeros((n, count)), np.zeros((n, count)), np.zeros((n, count))
        for i in range(n):
            lower, upper, intercept, slope = law[0, b, i], law[1, b, i], law[2, b, i], law[3, b, i]
            scale, exponent, free, fee = law[4, b, i], law[5, b, i], law[6, b, i], law[7, b, i]
            start, cap = law[8, b, i], law[9, b, i]
            fresh, _ = score_at(lower, upper, intercept, slope, start, share, transfer, start)
            top, top_tail = score_at(lower, upper, intercept, slope, start, share, transfer, start + cap)
            place = start
            lowest[i] = own[b, i] - base
            for k in range(lowest[i], count):
                level = base + k
                if k > lowest[i]:
                    grid = level / divisions if divisions else level * eta
                    if higher(grid, 0.0, top, top_tail):
                        break
                    place, found = place_reaching(
                        lower, upper, intercept, slope, start, share, transfer, grid, 0.0, place
                    )
                    if not found and level <= farthest[b, i]:
                        settled[b] = False
                        break
                    if not found or place == np.inf:  # beyond the most that is worth while
                        break
                    needed = min(max(place - start, 1e-300), cap)
                    nudge = 2.220446049250313e-16 * (1.0 + start + needed)
                    for _ in range(40):
                        at, tail = score_at(lower, upper, intercept, slope, start, share, transfer, start + needed)
                        if not higher(grid, 0.0, at, tail):
                            break
                        needed += nudge
                        nudge *= 2.0
                    if needed > cap:
                        break
                    effort[i, k] = needed
                    cost[i, k] = paid(scale, exponent, free, fee, needed) / unit
                    if cost[i, k] > limit:
                        break
                if items:
                    rejected = own_critical[b, i] if k == lowest[i] else critical[level - first_level]
                    flagged[i, k] = binomial_tail(rejected, items, fresh)
                is_open[i, k] = True
            if not settled[b]:
                break
        if not settled[b]:
            continue
        slack = rounding * max(1.0, abs(scaled[0]), abs(scaled[n - 1]))
        tolerance[b] = slack * unit
        record = batch < 0  # never; a literal would be compiled apart
        number, chosen, _, complete, _, _ = search_levels(
            is_open, cost, flagged, scaled, penalised, split, tie_order[b], slack, node_budget, record
        )
        codes[b] = 0 if number else 1 if complete else 2
        level_gains(is_open, cost, flagged, scaled, penalised, split, tie_order[b], lowest, gained)
        margin[b] = -np.inf
        for i in range(n):
            gains[b, i] = gained[i] * unit
            margin[b] = max(margin[b], gains[b, i])
            levels[b, i], efforts[b, i] = base + lowest[i], 0.0
        if number:
            level_gains(is_open, cost, flagged, scaled, penalised, split, tie_order[b], chosen, gained)
            margin[b] = -np.inf
            for i in range(n):
                margin[b] = max(margin[b], gained[i] * unit)
                levels[b, i], efforts[b, i] = base + chosen[i], effort[i, chosen[i]]
        margin[b] = -margin[b]
