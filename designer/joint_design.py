"""Prizes, audits and the tuning budget designed together, at least cost to the designer (DESIGN section 5).

At a given budget the cheapest prizes and audits come with a bound (`designer.joint_program`). Over budgets, intervals
are bounded in the same way: the tuning compute of their lower end, plus the cheapest incentives against climbs relaxed
to hold throughout (`designer.joint_rows`). The interval with the least bound is halved, and the budget in its middle
designed for, until the best design costs no more than the stated gap above every bound.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from heapq import heappop, heappush

import numpy as np

from designer.audits import AuditPlan
from designer.joint_program import IncentiveCosts, Incentives, cheapest_incentives
from designer.joint_rows import rows_at, rows_between
from designer.prizes import Prizes
from designer.protocol import Protocol
from followers.arrays import FloatArray
from followers.population import Population

__all__ = ["JointDesign", "Tried", "UnitCosts", "design_jointly"]

_NODES = 24
"""Boxes bounded per budget and per interval: halving intervals closes the gap sooner than more boxes do."""


@dataclass(frozen=True, slots=True)
class UnitCosts:
    """What the designer pays, in one unit of any kind.

    compute : per tuning step and billion parameters. moved : per prize unit by which prizes differ from those
    announced (L1). audit : per expected audit a round.
    """

    compute: float
    moved: float
    audit: float

    def __post_init__(self) -> None:
        for name in ("compute", "moved", "audit"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= 0):
                raise ValueError(f"design joint: cost of {name} = {value:g}; must be finite and not negative")


@dataclass(frozen=True, slots=True)
class Tried:
    """The best design at one tuning budget.

    steps : the budget. tuning : its cost. incentives : prizes and audits. Costs in the designer's unit.
    """

    steps: float
    tuning: float
    incentives: Incentives

    @property
    def cost(self) -> float:
        """Of tuning, prizes and audits together; inf where nothing deters."""
        return self.tuning + self.incentives.cost

    @property
    def bound(self) -> float:
        """No design at this budget costs less."""
        return self.tuning + self.incentives.bound


@dataclass(frozen=True, slots=True)
class JointDesign:
    """The cheapest joint design.

    Attributes
    ----------
    best : at its budget; None where nothing deters at any budget tried. protocol : with it.
    bound : no design at any budget in [0, upto] costs less. costs : of a unit of each part.
    margin : promised, prize units. upto : most steps. draws : populations in which it holds.
    tried : the best design at every budget tried, by budget; parts of them are what one block alone leaves.
    cells : intervals bounded.
    """

    best: Tried | None
    protocol: Protocol | None
    bound: float
    costs: UnitCosts
    margin: float
    upto: float
    draws: int
    tried: tuple[Tried, ...]
    cells: int

    @property
    def gap(self) -> float:
        """Share of the cost by which a better design might be cheaper; NaN without one."""
        if self.best is None:
            return float("nan")
        return 0.0 if self.best.cost == 0 else max(0.0, 1.0 - self.bound / self.best.cost)


def design_jointly(
    population: Population,
    protocol: Protocol,
    costs: UnitCosts,
    *,
    items: int = 0,
    level: float = 0.01,
    fine: float = 0.0,
    margin: float = 0.0,
    upto: float = 100_000.0,
    budgets: tuple[float, ...] = (),
    gap: float = 0.01,
    cell_budget: int = 300,
    progress: Callable[[int, int], None] | None = None,
) -> JointDesign:
    """Tuning budget, prizes and audits under which truthful play is an equilibrium, at least cost to the designer.

    Parameters
    ----------
    population : one, or B draws (then the design holds in all). protocol : its other knobs hold.
    costs : of a unit of each part. items, level, fine : of an audit; no items, no audits.
    margin : least margin promised, prize units. upto : most tuning steps.
    budgets : to try first, such as the smallest that needs no incentives (`designer.budgets.least_budget`).
    gap : stop where cost - bound <= gap * cost. cell_budget : intervals to bound at most.
    progress : called with (intervals bounded, at most).

    Raises
    ------
    ValueError : noise, rounded scores, split ties, numbers out of range; with items also free effort and scores that
        are no shares of correct items.
    RuntimeError : the solver failed, with its status and what to do.
    """
    if not (np.isfinite(margin) and margin >= 0):
        raise ValueError(f"design joint: margin = {margin:g}; must be a finite number that is not negative")
    if not (np.isfinite(upto) and upto >= 0):
        raise ValueError(f"design joint: upto = {upto:g}; must be a finite number that is not negative")
    if not 0 <= gap < 1:
        raise ValueError(f"design joint: gap = {gap:g}; must be at least 0 and below 1")
    AuditPlan((1.0,), items or 1, level, fine)  # refuses what is out of range
    direct = replace(protocol, audit=AuditPlan(), tune_steps=0.0)
    announced = np.array(direct.induce(population).prizes[0])
    unit = IncentiveCosts(moved=costs.moved, audit=costs.audit, fine=fine if items else 0.0)
    bands = protocol.tiers.partition(len(announced))
    parameters = float(population.parameters_b.sum())

    def tuning(steps: float) -> float:
        return costs.compute * steps * parameters

    tried: dict[float, Tried] = {}

    def attempt(steps: float) -> None:
        if steps in tried or not 0 <= steps <= upto:
            return
        rows = rows_at(population, protocol, steps, items=items, level=level)
        room = _best(tried).cost - tuning(steps) if tried else np.inf
        found = cheapest_incentives(
            rows,
            announced,
            unit,
            margin=margin,
            bands=bands,
            gap=0.3 * gap,
            cutoff=max(room, 0.0),
            node_budget=_NODES,
        )
        tried[steps] = Tried(steps, tuning(steps), found)

    def bounded(a: float, b: float) -> float:
        """Least cost of any design with a budget in [a, b]."""
        room = _best(tried).cost * (1.0 - 0.5 * gap) - tuning(a)
        if room <= 0:
            return tuning(a)
        rows = rows_between(population, protocol, a, b, items=items, level=level)
        return (
            tuning(a)
            + cheapest_incentives(
                rows, announced, unit, margin=margin, bands=bands, gap=0.3 * gap, cutoff=room, node_budget=_NODES
            ).bound
        )

    for steps in (*budgets, 0.0, upto):
        attempt(steps)
    heap = [(0.0, 0.0, upto)] if upto > 0 else []
    done, cells = np.inf, 0  # the least bound of intervals that need no halving
    while heap:
        bound, a, b = heappop(heap)
        best = _best(tried).cost
        if min(bound, done) >= best * (1.0 - gap) or cells >= cell_budget:
            heappush(heap, (bound, a, b))
            break
        if b - a <= 1e-9 * upto:
            done = min(done, bound)
            continue
        middle = 0.5 * (a + b)
        attempt(middle)
        for left, right in ((a, middle), (middle, b)):
            cells += 1
            heappush(heap, (max(bound, bounded(left, right)), left, right))
        if progress is not None:
            progress(cells, cell_budget)
    best_tried = _best(tried)
    found = np.isfinite(best_tried.cost)
    # at the ends of intervals, too, nothing is cheaper than the interval's bound
    least = min(done, heap[0][0] if heap else np.inf, best_tried.bound if upto == 0 else np.inf, best_tried.cost)
    return JointDesign(
        best=best_tried if found else None,
        protocol=_protocol(protocol, best_tried, announced, items, level, fine) if found else None,
        bound=float(least),
        costs=costs,
        margin=margin,
        upto=upto,
        draws=population.batch,
        tried=tuple(tried[steps] for steps in sorted(tried)),
        cells=cells,
    )


def _best(tried: dict[float, Tried]) -> Tried:
    return min(tried.values(), key=lambda t: (t.cost, t.steps))


def _protocol(
    protocol: Protocol, best: Tried, announced: FloatArray, items: int, level: float, fine: float
) -> Protocol:
    found = best.incentives
    kept = np.array_equal(found.prizes, announced)
    return replace(
        protocol,
        tune_steps=best.steps,
        prizes=protocol.prizes if kept else Prizes(values=tuple(found.prizes.tolist())),
        audit=AuditPlan(tuple(found.probability.tolist()), items, level, fine) if found.audits > 0 else AuditPlan(),
    )
