"""Smallest tune-before-test budget: the tuning steps under which nobody gains by climbing (DESIGN section 5).

Where curves cross, the margin is not monotone in the budget, and its zeros may be many. So no bisection of the whole
range: cells of budgets are proved stable, or proved not to be, by bounds that hold throughout a cell
(`solvers.margin_bounds`), and halved while neither holds. What is left are slivers narrower than a stated tolerance,
each around an end of a stable interval (then that end is bracketed by the exact margin) or undecided, and listed so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from designer.protocol import Protocol
from designer.temptations import Temptation, priced_climbs
from followers.arrays import BoolArray, FloatArray, IntArray
from followers.game import LeaderboardGame, select
from followers.population import Population
from solvers.deviations import check_free_effort
from solvers.margin_bounds import margin_bounds

__all__ = ["UPTO", "BudgetDesign", "Interval", "StableBudgets", "least_budget", "shared_intervals", "stable_budgets"]

UPTO = 100_000.0
"""Most tuning steps that are examined unless told."""

Interval = tuple[float, float]

_FIRST_CELLS = 32
_WAVE = 400_000  # cells times pairs of developers that are bounded at once
_BISECTIONS = 60


@dataclass(frozen=True, slots=True)
class StableBudgets:
    """Budgets in [0, upto] that stabilise one game.

    stable : closed intervals of tuning steps on which the margin is at least the one promised, proved cell by cell.
    undecided : intervals narrower than the tolerance of which neither is proved. cells : examined.
    """

    stable: tuple[Interval, ...]
    undecided: tuple[Interval, ...]
    cells: int

    @property
    def least(self) -> float | None:
        """The smallest stabilising budget; None where there is none."""
        return self.stable[0][0] if self.stable else None


@dataclass(frozen=True, slots=True)
class BudgetDesign:
    """The smallest budget.

    Attributes
    ----------
    steps : Delta*, tuning steps for everybody; None where no budget up to `upto` will do.
    intervals : all budgets that will do. upto : most steps examined.
    undecided : steps, total length of what is neither proved stable nor unstable, over all draws.
    below : the part of it below `steps`, where a smaller budget might hide; 0 where `steps` is proved to be the least.
    margin : promised, prize units. share : of draws that must be stable. draws : their number.
    reached : share of draws stable at `steps`, or, with None, the largest share that any budget stabilises.
    never : share of draws that no budget up to `upto` stabilises.
    compute : what the protocol costs the designer, tuning steps times billions of parameters; None without steps.
    binding : what a smaller budget would let pay; its price is the steps saved per prize unit of further cost.
    jumps : whether the margin jumps at `steps`, as entries change places or a rival gets out of reach; then `binding`
        is what pays just below it.
    protocol : with this budget. cells : examined.
    """

    steps: float | None
    intervals: tuple[Interval, ...]
    upto: float
    undecided: float
    below: float
    margin: float
    share: float
    draws: int
    reached: float
    never: float
    compute: float | None
    binding: tuple[Temptation, ...]
    jumps: bool
    protocol: Protocol | None
    cells: int

    @property
    def status(self) -> Literal["found", "none", "undecided"]:
        """Whether there is one; undecided where a budget might hide in what is neither proved stable nor unstable."""
        return "found" if self.steps is not None else "none" if self.undecided == 0 else "undecided"


def least_budget(
    population: Population,
    protocol: Protocol,
    *,
    margin: float = 0.0,
    upto: float = UPTO,
    share: float = 1.0,
    tolerance: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> BudgetDesign:
    """The smallest tuning budget under which truthful play is an equilibrium in a share of the draws.

    Parameters
    ----------
    population : one, or B draws. protocol : its other knobs hold; its own tuning steps are replaced.
    margin : least margin promised, prize units, not negative. upto : most steps to examine.
    share : of the draws that must be stable, in (0, 1].
    tolerance : width in steps below which a cell is not halved; a millionth of `upto` unless told.
    progress : called with (steps decided, steps to decide), summed over draws.

    Raises
    ------
    ValueError : noise, rounded scores, split ties, audits, or a number out of its range.
    """
    if not 0 < share <= 1:
        raise ValueError(f"design budget: share = {share:g}; must lie in (0, 1]")
    direct = replace(protocol, tune_steps=0.0)
    priced_climbs(population, direct, "design budget")  # refuses what the bounds do not cover, by name
    game = direct.induce(population)
    found = stable_budgets(game, margin=margin, upto=upto, tolerance=tolerance, progress=progress)
    needed = int(np.ceil(share * game.batch - 1e-9))
    intervals, most = shared_intervals(found, needed)
    steps = intervals[0][0] if intervals else None
    best = replace(protocol, tune_steps=steps) if steps is not None else None
    binding, jumps = _binding(population, best, found, margin) if best else ((), False)
    return BudgetDesign(
        steps=steps,
        intervals=intervals,
        upto=upto,
        undecided=float(sum(b - a for s in found for a, b in s.undecided)),
        below=_undecided_below(found, steps) if steps is not None else 0.0,
        margin=margin,
        share=share,
        draws=game.batch,
        reached=_accepting(found, steps) / game.batch if steps is not None else most / game.batch,
        never=sum(not s.stable for s in found) / game.batch,
        compute=float(best.cost(population).mean()) if best else None,
        binding=binding,
        jumps=jumps,
        protocol=best,
        cells=sum(s.cells for s in found),
    )


def stable_budgets(
    game: LeaderboardGame,
    *,
    margin: float = 0.0,
    upto: float = UPTO,
    tolerance: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[StableBudgets, ...]:
    """All stabilising budgets of each game of a batch, as intervals of steps added to every head start.

    Raises
    ------
    ValueError : a number out of its range, or a game whose scores are not exact.
    """
    for name, value in (("margin", margin), ("upto", upto)):
        if not (np.isfinite(value) and value >= 0):
            raise ValueError(f"design budget: {name} = {value:g}; must be a finite number that is not negative")
    width = 1e-6 * upto if tolerance is None else tolerance
    if not (width > 0 or upto == 0):
        raise ValueError(f"design budget: tolerance = {width:g} steps; must be positive")
    width = max(width, 1e-12 * upto)  # a double can halve no further
    edges = np.linspace(0.0, upto, _FIRST_CELLS + 1)
    which = np.repeat(np.arange(game.batch), _FIRST_CELLS)
    left, right = np.tile(edges[:-1], game.batch), np.tile(edges[1:], game.batch)
    cells: list[list[tuple[float, float, int]]] = [[] for _ in range(game.batch)]
    wave, done = max(1, _WAVE // (game.n * game.n)), 0.0
    while len(which):
        now = slice(0, wave)
        w, a, b = which[now], left[now], right[now]
        least, most = margin_bounds(_shifted(game, w, a), _shifted(game, w, b))
        verdict = np.where(least >= margin, 1, np.where(most < margin, -1, 0))
        halve = (verdict == 0) & (b - a > width)
        for k in np.flatnonzero(~halve).tolist():
            cells[w[k]].append((float(a[k]), float(b[k]), int(verdict[k])))
        done += float((b - a)[~halve].sum())
        if progress is not None:
            progress(int(done), int(upto * game.batch))
        w, a, b = w[halve], a[halve], b[halve]
        middle = 0.5 * (a + b)
        which = np.concatenate([w, w, which[wave:]])
        left, right = np.concatenate([a, middle, left[wave:]]), np.concatenate([middle, b, right[wave:]])
    return _intervals(game, [sorted(found) for found in cells], margin)


def shared_intervals(found: tuple[StableBudgets, ...], needed: int) -> tuple[tuple[Interval, ...], int]:
    """Budgets that at least `needed` of the games accept, and the most games that any budget has."""
    # at a common end both intervals still hold: starts count before ends
    ends = sorted((x, kind) for s in found for a, b in s.stable for x, kind in ((a, 0), (b, 1)))
    intervals: list[Interval] = []
    count = most = 0
    start: float | None = None
    for x, kind in ends:
        count += 1 if kind == 0 else -1
        most = max(most, count)
        if start is None and count >= needed:
            start = x
        elif start is not None and count < needed:
            intervals.append((start, x))
            start = None
    return tuple(intervals), most


def _undecided_below(found: tuple[StableBudgets, ...], steps: float) -> float:
    return float(sum(min(b, steps) - a for s in found for a, b in s.undecided if a < steps))


def _accepting(found: tuple[StableBudgets, ...], steps: float) -> int:
    return sum(any(a <= steps <= b for a, b in s.stable) for s in found)


def _shifted(game: LeaderboardGame, which: object, steps: FloatArray) -> LeaderboardGame:
    """Games of a batch, each with some steps on top of every head start."""
    picked = select(game, which)
    return replace(picked, head_start=picked.head_start + steps[:, None])


def _holds(game: LeaderboardGame, which: object, steps: FloatArray, margin: float) -> BoolArray:
    """Whether the exact margin of the free-effort profile is as promised, however rounding errs."""
    return np.asarray(check_free_effort(_shifted(game, which, steps)).lowest >= margin)


def _intervals(
    game: LeaderboardGame, cells: list[list[tuple[float, float, int]]], margin: float
) -> tuple[StableBudgets, ...]:
    """Cells in order made into intervals; an end between a stable and an unstable cell is bracketed."""
    runs = [_runs(found) for found in cells]
    ends = [  # (game, run, stable side, other side)
        (b, k, *((to, start) if after == 1 else (start, to)))
        for b, found in enumerate(runs)
        for k, (start, to, verdict) in enumerate(found)
        if verdict == 0 and {_verdict(found, k - 1), after := _verdict(found, k + 1)} == {1, -1}
    ]
    which, good, bad = (np.array([e[j] for e in ends], dtype=t) for j, t in ((0, np.int64), (2, float), (3, float)))
    if ends:
        good = _bracketed(game, which, good, bad, margin)
    edge = {(e[0], e[1]): float(x) for e, x in zip(ends, good, strict=True)}
    return tuple(
        StableBudgets(
            tuple(
                (edge.get((b, k - 1), start), edge.get((b, k + 1), to))
                for k, (start, to, verdict) in enumerate(found)
                if verdict == 1
            ),
            tuple((a, z) for k, (a, z, verdict) in enumerate(found) if verdict == 0 and (b, k) not in edge),
            len(cells[b]),
        )
        for b, found in enumerate(runs)
    )


def _runs(cells: list[tuple[float, float, int]]) -> list[tuple[float, float, int]]:
    """Neighbouring cells of one verdict joined."""
    runs: list[tuple[float, float, int]] = []
    for a, b, verdict in cells:
        start = runs.pop()[0] if runs and runs[-1][2] == verdict else a
        runs.append((start, b, verdict))
    return runs


def _verdict(runs: list[tuple[float, float, int]], k: int) -> int:
    return runs[k][2] if 0 <= k < len(runs) else 0


def _bracketed(game: LeaderboardGame, which: IntArray, good: FloatArray, bad: FloatArray, margin: float) -> FloatArray:
    """The stable sides of changes of the exact margin, to the last digits of a double."""
    for _ in range(_BISECTIONS):
        middle = 0.5 * (good + bad)
        holds = _holds(game, which, middle, margin)
        good, bad = np.where(holds, middle, good), np.where(holds, bad, middle)
    return good


def _binding(
    population: Population, best: Protocol, found: tuple[StableBudgets, ...], margin: float
) -> tuple[tuple[Temptation, ...], bool]:
    """The climbs that leave no more than the margin at the smallest budget, in the draw that decides it.

    Where none does, the margin jumps there; then those that pay just below it, and True.
    """
    steps = best.tune_steps
    deciding = [b for b, s in enumerate(found) if any(a == steps for a, _ in s.stable)]
    if steps == 0 or not deciding:
        return (), False
    b = deciding[0]
    nudge = max(1e-6 * steps, 1e-6)
    less, now, more = (
        priced_climbs(population, replace(best, tune_steps=max(x, 0.0)), "design budget")
        for x in (steps - nudge, steps, steps + nudge)
    )
    prizes = np.array(best.induce(population).prizes[b])
    near = 1e-6 * max(float(prizes[0] - prizes[-1]), 1e-300)
    result = []
    for k, r, gain in _tempting(now.cost[b], prizes, margin + near):
        slope = (float(more.cost[b, k, r]) - float(now.cost[b, k, r])) / nudge
        same = np.array_equal(now.order[b], more.order[b]) and slope > 0
        climb = (float(now.effort[b, k, r]), float(now.cost[b, k, r]), gain)
        name = population.names[int(now.order[b, k])]
        result.append(Temptation(name, b, k + 1, r + 1, *climb, 1.0 / slope if same else 0.0))
    if result:
        return tuple(sorted(result, key=lambda t: -t.price)), False
    for k, r, gain in _tempting(less.cost[b], prizes, margin):
        climb = (float(less.effort[b, k, r]), float(less.cost[b, k, r]), gain)
        result.append(Temptation(population.names[int(less.order[b, k])], b, k + 1, r + 1, *climb, 0.0))
    return tuple(sorted(result, key=lambda t: t.cost - t.gain)), True


def _tempting(cost: FloatArray, prizes: FloatArray, most: float) -> list[tuple[int, int, float]]:
    """Own rank, target and gain of the climbs (n, n) that gain a prize and cost no more than `most` beyond it."""
    gain = prizes[None, :] - prizes[:, None]
    slack = np.where(np.tri(len(prizes), k=-1, dtype=bool) & (gain > 0), cost - gain, np.inf)
    return [(k, r, float(gain[k, r])) for k, r in np.argwhere(slack <= most).tolist()]
