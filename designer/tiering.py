"""Finest stable tiering: the bands of ranks that tell most while nobody gains by crossing a band's edge (DESIGN 5).

A band's members share its prizes, so all that pays is entering a higher band, by passing its last member. Bands U over
L are in conflict iff mean prize of U - mean prize of L > 0 and some member of L enters U at a cost below that gap plus
the promised margin. Stable are the partitions of the ranks into consecutive bands without any conflict, neighbours or
not.

Relaxed to conflicts between neighbours, the best partition is a longest path, found by dynamic programming from the
last rank up. That value bounds what any partition can still gain after its first bands, so a best-first search (A*,
Hart, Nilsson & Raphael 1968) that opens partitions by this bound, and drops those with a conflict between any two
bands, ends with an exact optimum: nothing left unopened can be better. Tau-b is a ratio; its denominator depends on the
number T of pairs of ranks that share a band only, so the path is kept for every T.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from heapq import heappop, heappush
from itertools import pairwise
from typing import Literal, TypeAlias

import numpy as np

from designer.prizes import Bands, band_mean
from designer.protocol import Protocol
from designer.temptations import Temptation, least_costs, priced_climbs
from followers.arrays import BoolArray, FloatArray, IntArray
from followers.population import Population

__all__ = ["Keep", "Tiering", "TieringDesign", "finest_tiering", "finest_tiers"]

Keep: TypeAlias = Literal["tau", "bands"]


@dataclass(frozen=True, slots=True)
class Tiering:
    """A partition of n ranks into bands.

    sizes : from the top. value : what was maximised (tau-b or the number of bands). bound : no stable partition has
    more; equal to `value` where the search ended. opened : partitions begun.
    """

    sizes: tuple[int, ...]
    value: float
    bound: float
    opened: int

    @property
    def proved(self) -> bool:
        """Whether this is known to be an optimum."""
        return self.value >= self.bound


@dataclass(frozen=True, slots=True)
class TieringDesign:
    """A stable tiering of populations.

    tiering : the bands. keep : what they keep most of. tau : expected tau-b of the published bands with true quality
    over the draws, None where all ranks share one band. margin : promised. protocol : with these bands.
    blocking : for each pair of neighbouring bands, the climb that forbids to publish them any finer at that edge.
    """

    tiering: Tiering
    keep: Keep
    tau: float | None
    margin: float
    protocol: Protocol
    blocking: tuple[Temptation, ...]


def finest_tiers(
    population: Population, protocol: Protocol, *, keep: Keep = "tau", margin: float = 0.0, budget: int = 200_000
) -> TieringDesign:
    """The finest bands under which truthful play is an equilibrium in every draw.

    Parameters
    ----------
    population : one, or B draws (then the bands are stable in all of them).
    protocol : its other knobs hold; its own bands are replaced.
    keep : maximise expected tau-b with true quality, or the number of bands (and among these the untied pairs).
    margin : least margin promised, prize units, not negative.
    budget : partitions to open before the search stops with a bound.

    Raises
    ------
    ValueError : noise, rounded scores, split ties, audits, a negative margin.
    """
    if not (np.isfinite(margin) and margin >= 0):
        raise ValueError(f"design tiers: margin = {margin:g}; must be a finite number that is not negative")
    single = replace(protocol, tiers=Bands())
    found = priced_climbs(population, single, "design tiers")
    prizes = np.array(single.induce(population).prizes[0])
    cost, draw = least_costs(found)
    agreement = _agreement(np.take_along_axis(population.quality, found.order, -1))
    tiering = finest_tiering(prizes, cost, agreement, keep=keep, margin=margin, budget=budget)
    tied = sum(s * (s - 1) // 2 for s in tiering.sizes)
    n = len(prizes)
    whole = float(np.triu(agreement, 1).sum() - sum(_inside(agreement, tiering.sizes)))
    blocking = []
    for edge in _edges(tiering.sizes):
        finer = _split_one(tiering.sizes, edge)
        if finer is not None:
            blocking += _what_forbids(
                population, found.order, found.effort, found.cost, draw, cost, prizes, finer, margin
            )
    return TieringDesign(
        tiering=tiering,
        keep=keep,
        tau=whole / float(np.sqrt(n * (n - 1) / 2 - tied)) if len(tiering.sizes) > 1 else None,
        margin=margin,
        protocol=replace(protocol, tiers=Bands(sizes=tiering.sizes)),
        blocking=tuple(dict.fromkeys(blocking)),
    )


def _agreement(quality: FloatArray) -> FloatArray:
    """(n, n), p < q: mean over draws of sign(quality at rank p - at rank q) / sqrt(untied pairs of qualities)."""
    sign = np.sign(quality[:, :, None] - quality[:, None, :])
    pairs = np.triu(np.ones(sign.shape[1:]), 1)
    untied = np.maximum((np.abs(sign) * pairs).sum(axis=(1, 2)), 1.0)
    return np.asarray((sign / np.sqrt(untied)[:, None, None]).mean(axis=0) * pairs)


def _inside(agreement: FloatArray, sizes: tuple[int, ...]) -> list[float]:
    ends = np.cumsum((0, *sizes))
    return [float(np.triu(agreement[a:b, a:b], 1).sum()) for a, b in pairwise(ends)]


def _edges(sizes: tuple[int, ...]) -> list[int]:
    """Positions of the bands that hold more than one rank."""
    return [k for k, s in enumerate(sizes) if s > 1]


def _split_one(sizes: tuple[int, ...], band: int) -> tuple[int, ...] | None:
    """The same bands with the first rank of one published singly."""
    return (*sizes[:band], 1, sizes[band] - 1, *sizes[band + 1 :])


def _what_forbids(
    population: Population,
    order: IntArray,
    effort: FloatArray,
    costs: FloatArray,
    draw: IntArray,
    cost: FloatArray,
    prizes: FloatArray,
    sizes: tuple[int, ...],
    margin: float,
) -> list[Temptation]:
    """The most tempting climb under bands that are too fine; none where they are stable."""
    mean, ends = band_mean(prizes, sizes), np.cumsum(sizes)
    last = np.repeat(ends - 1, sizes)  # of the band of each rank
    gain = mean[None, :] - mean[:, None]
    entry = cost[:, last]  # (own rank, target rank): passing the last member of the target's band
    tempting = np.where(np.tri(len(prizes), k=-1, dtype=bool) & (gain > 0), gain + margin - entry, -np.inf)
    k, r = np.unravel_index(int(np.argmax(tempting)), tempting.shape)
    if not tempting[k, r] > 0:
        return []
    end = int(last[r])
    b = int(draw[k, end])
    name = population.names[int(order[b, k])]
    price = (float(effort[b, k, end]), float(costs[b, k, end]), float(gain[k, r]))
    return [Temptation(name, b, int(k) + 1, end + 1, *price, 0.0)]


def finest_tiering(
    prizes: FloatArray,
    cost: FloatArray,
    agreement: FloatArray,
    *,
    keep: Keep = "tau",
    margin: float = 0.0,
    budget: int = 200_000,
) -> Tiering:
    """The best stable partition of n ranks.

    prizes : (n,), non-increasing. cost : (n, n), [k, r] least cost for the entry at rank k to take rank r < k.
    agreement : (n, n), p < q, what telling p from q is worth: tau-b is their sum over pairs in different bands, over
    the square root of the number of such pairs.
    """
    n = len(prizes)
    means = _means(prizes)
    entry = _entry_costs(cost)  # (end of the upper band, start, end of the lower)
    within = _within(agreement)
    ahead = _relaxed(means, entry, within, keep, margin)
    pairs, total = n * (n - 1) // 2, float(np.triu(agreement, 1).sum())
    fewer = np.arange(pairs + 1)

    def bound(after: FloatArray, value: float, tied: int) -> float:
        """The most that a partition can come to, given what its first bands hold."""
        if keep == "bands":
            return value + float(after[0])
        untied = pairs - tied - fewer
        good = (untied > 0) & np.isfinite(after)
        reached = (total + value + after[good]) / np.sqrt(untied[good])
        return float(reached.max()) if len(reached) else -np.inf

    def worth(a: int, b: int) -> tuple[float, int]:
        """What a band adds: value and pairs tied within it."""
        tied = (b - a) * (b - a + 1) // 2
        return (pairs + 1.0 - tied if keep == "bands" else -float(within[a, b])), tied

    heap: list[tuple[float, int, tuple[int, ...], float, int]] = []
    for b in range(n):
        value, tied = worth(0, b)
        heappush(heap, (-bound(ahead[0, b], value, tied), 0, (b,), value, tied))
    opened = 0
    single = (n,)
    while heap and opened < budget:
        best, _, ends, value, tied = heappop(heap)
        opened += 1
        if ends[-1] == n - 1:
            return _tiering(ends, -best, -best, opened, n, keep)
        starts = (0, *(e + 1 for e in ends[:-1]))
        b = ends[-1]
        for d in range(b + 1, n):
            if any(_conflict(means, entry, s, e, b + 1, d, margin) for s, e in zip(starts, ends, strict=True)):
                continue
            more, also = worth(b + 1, d)
            reach = bound(ahead[b + 1, d], value + more, tied + also)
            if reach > -np.inf:
                heappush(heap, (-reach, -d, (*ends, d), value + more, tied + also))
    if not heap:  # one band for all is stable, but has no tau-b
        return Tiering(single, 1.0 if keep == "bands" else 0.0, 1.0 if keep == "bands" else 0.0, opened)
    most = -heap[0][0]
    return Tiering(
        single, 1.0 if keep == "bands" else 0.0, np.ceil(most / (pairs + 1)) if keep == "bands" else most, opened
    )


def _tiering(ends: tuple[int, ...], value: float, bound: float, opened: int, n: int, keep: Keep) -> Tiering:
    sizes = tuple(np.diff((-1, *ends)).tolist())
    if keep == "bands":
        value = bound = float(len(sizes))
    elif len(sizes) == 1:  # everybody tied: no tau-b
        value = bound = 0.0
    return Tiering(sizes, value, bound, opened)


def _means(prizes: FloatArray) -> FloatArray:
    """Mean prize of each band [a, b], (n, n), as games share them."""
    n = len(prizes)
    result = np.full((n, n), np.nan)
    for a in range(n):
        for b in range(a, n):
            result[a, b] = prizes[a] if a == b else prizes[a : b + 1].mean()
    return result


def _within(agreement: FloatArray) -> FloatArray:
    """What is lost by tying all pairs in [a, b], (n, n)."""
    n = len(agreement)
    upper = np.triu(agreement, 1)
    corner = np.zeros((n + 1, n + 1))
    corner[1:, 1:] = upper.cumsum(axis=0).cumsum(axis=1)
    a, b = np.arange(n)[:, None], np.arange(n)[None, :]
    inside = corner[b + 1, b + 1] - corner[a, b + 1] - corner[b + 1, a] + corner[a, a]
    return np.asarray(np.where(a <= b, inside, np.nan))


def _entry_costs(cost: FloatArray) -> FloatArray:
    """Least cost at which a member of [c, d] takes rank b < c, (b, c, d); inf elsewhere."""
    n = len(cost)
    result = np.full((n, n, n), np.inf)
    for c in range(n):
        result[:, c, c:] = np.minimum.accumulate(cost[c:, :], axis=0).T
    return result


def _conflict(means: FloatArray, entry: FloatArray, a: int, b: int, c: int, d: int, margin: float) -> bool:
    gap = means[a, b] - means[c, d]
    return bool(gap > 0 and entry[b, c, d] - gap < margin)


def _relaxed(means: FloatArray, entry: FloatArray, within: FloatArray, keep: Keep, margin: float) -> FloatArray:
    """The most that ranks after b can add when the last band is [a, b], neighbours free of conflict, (n, n, T + 1).

    Per number of pairs tied among them; without that axis (a single entry) for the number of bands.
    """
    n = len(means)
    pairs = n * (n - 1) // 2
    width = 1 if keep == "bands" else pairs + 1
    result = np.full((n, n, width), -np.inf)
    result[:, n - 1, 0] = 0.0
    for b in range(n - 2, -1, -1):
        c, d = b + 1, np.arange(b + 1, n)
        size = d - b
        tied = size * (size - 1) // 2
        gap = means[: b + 1, b, None] - means[c, d]
        open_to: BoolArray = ~((gap > 0) & (entry[b, c, d] - gap < margin))  # (a, d)
        for k, end in enumerate(d):
            tail = result[c, end]
            if keep == "bands":
                after = tail + (pairs + 1.0 - tied[k])
            else:
                after = np.full(width, -np.inf)
                after[tied[k] :] = tail[: width - tied[k]] - within[c, end]
            chosen = open_to[:, k]
            result[: b + 1, b][chosen] = np.maximum(result[: b + 1, b][chosen], after)
    return result
