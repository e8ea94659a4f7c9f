"""Search outside, exact programs inside: prizes and audits are solved for, the other knobs are searched (DESIGN 5).

For every protocol that the search proposes, the cheapest prizes and audits that make truthful play an equilibrium come
from `designer.joint_program`. Then, at the other knobs of the best protocols, the tuning budget is designed exactly as
well (`designer.joint_design`), which may improve on the search and bounds from below what any search could have found.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from designer.audits import AuditPlan
from designer.domains import Choice, Range
from designer.joint_design import UnitCosts, design_jointly
from designer.joint_program import IncentiveCosts, cheapest_incentives
from designer.joint_rows import rows_at
from designer.limits import overruns
from designer.prizes import Prizes
from designer.problem import Problem
from designer.protocol import Protocol
from designer.quiet import quiet_optuna
from designer.samplers import quasi_random, sampler_of
from designer.scorecard import play, scorecard
from designer.trials import Progress
from followers.population import Population

__all__ = ["INNER", "BilevelResult", "BilevelTrial", "InnerCosts", "search_bilevel"]

INNER = ("prizes", "audit")
"""Knobs that are solved for."""

_STATED = ("kendall_tau", "top_one")
"""Figures of the goal that a single population, at an equilibrium, can meet or miss."""

_MOST_COMBINATIONS = 16
"""Combinations of the other knobs' options over which the bound is taken."""


@dataclass(frozen=True, slots=True)
class InnerCosts:
    """What the designer pays, and what audits are.

    unit : cost of a unit of tuning compute, of prizes moved, of audits. items : fresh items per audit, 0: no audits.
    level : of the test. fine : prize units. margin : promised, prize units.
    """

    unit: UnitCosts
    items: int = 0
    level: float = 0.01
    fine: float = 0.0
    margin: float = 0.0


@dataclass(frozen=True, slots=True)
class BilevelTrial:
    """A protocol with its cheapest prizes and audits.

    protocol : None where none deter. tuning, incentives : the parts of its cost. violations : of the goal's figures on
    the population as stated, and of limits.
    """

    protocol: Protocol | None
    tuning: float
    incentives: float
    violations: Mapping[str, float]

    @property
    def cost(self) -> float:
        """Of tuning, prizes and audits together; inf where nothing deters."""
        return self.tuning + self.incentives

    @property
    def feasible(self) -> bool:
        """Whether everything holds."""
        return self.protocol is not None and all(v <= 0 for v in self.violations.values())


@dataclass(frozen=True, slots=True)
class BilevelResult:
    """What was found, and how much cheaper anything else could be.

    Attributes
    ----------
    best : the cheapest that meets the goal, None where none was found. searched : the cheapest of the search alone.
    bound : no protocol of the space that meets the goal costs less, over the combinations bounded. whole : whether
        these are all that the space has (then the bound holds for the whole space). combinations : bounded, those
        included that no board with their bands can reach the goal's tau-b with. trials : in order.
    """

    best: BilevelTrial | None
    searched: BilevelTrial | None
    bound: float
    whole: bool
    combinations: int
    trials: tuple[BilevelTrial, ...]

    @property
    def gap(self) -> float:
        """Share of the cost by which something else might be cheaper; NaN without a protocol."""
        if self.best is None:
            return float("nan")
        return 0.0 if self.best.cost == 0 else max(0.0, 1.0 - self.bound / self.best.cost)


def search_bilevel(
    problem: Problem, costs: InnerCosts, trials: int, *, progress: Progress | None = None
) -> BilevelResult:
    """Search the problem's space but for prizes and audits, which are solved for; least cost on the stated population.

    Raises
    ------
    ValueError : nothing is left to search; or what the exact programs do not cover (noise, rounded scores, split ties,
        free effort with audits, scores that are no shares with audits).
    """
    import optuna

    outer = {name: domain for name, domain in problem.space.domains.items() if name not in INNER}
    if not outer:
        raise ValueError("bilevel: the space has no knob but prizes and audit, which are solved for; use design joint")
    space = replace(problem.space, domains=outer)
    solve = _Inner(problem, costs)
    first = quasi_random(space, problem.seed)
    found: list[BilevelTrial] = []
    with quiet_optuna():
        study = optuna.create_study(direction="minimize")
        for k in range(trials):
            if k < len(first):
                study.enqueue_trial(space.place(first[k]))
            study.sampler = sampler_of("random" if k < len(first) else "tpe", space, problem.seed, k)
            trial = study.ask()
            tried = solve(space.suggest(trial))
            for name, violation in tried.violations.items():
                trial.set_constraint(name, violation)
            study.tell(trial, tried.cost if np.isfinite(tried.cost) else tried.tuning)
            found.append(tried)
            if progress is not None:
                progress(k + 1, trials)
    feasible = [t for t in found if t.feasible]
    searched = min(feasible, key=lambda t: t.cost) if feasible else None
    best, bound, whole, combinations = _bounded(solve, space.domains, searched)
    return BilevelResult(best, searched, bound, whole, combinations, tuple(found))


class _Inner:
    """Solves for prizes and audits; protocols that differ in nothing else are solved once."""

    def __init__(self, problem: Problem, costs: InnerCosts) -> None:
        if not (np.isfinite(costs.margin) and costs.margin >= 0):
            raise ValueError(f"margin = {costs.margin:g}; must be a finite number that is not negative")
        AuditPlan((1.0,), costs.items or 1, costs.level, costs.fine)  # refuses what is out of range
        self.problem, self.costs = problem, costs
        self.population: Population = problem.population
        self.seen: dict[Protocol, BilevelTrial] = {}

    def __call__(self, protocol: Protocol) -> BilevelTrial:
        protocol = replace(protocol, audit=AuditPlan())
        if protocol not in self.seen:
            self.seen[protocol] = self._solve(protocol)
        return self.seen[protocol]

    def tuning(self, steps: float) -> float:
        """Cost of tuning everybody."""
        return self.costs.unit.compute * steps * float(self.population.parameters_b.sum())

    def _solve(self, protocol: Protocol) -> BilevelTrial:
        costs = self.costs
        game = protocol.induce(self.population)
        announced = np.array(game.prizes[0])
        rows = rows_at(self.population, protocol, protocol.tune_steps, items=costs.items, level=costs.level)
        unit = IncentiveCosts(costs.unit.moved, costs.unit.audit, costs.fine if costs.items else 0.0)
        inner = cheapest_incentives(
            rows, announced, unit, margin=costs.margin, bands=protocol.tiers.partition(game.n), gap=1e-3
        )
        tuning = self.tuning(protocol.tune_steps)
        if not np.isfinite(inner.cost):
            return BilevelTrial(None, tuning, float("inf"), {"some prizes and audits deter every climb": 1.0})
        if not np.array_equal(inner.prizes, announced):
            protocol = replace(protocol, prizes=Prizes(values=tuple(inner.prizes.tolist())))
        if inner.audits > 0:
            plan = AuditPlan(tuple(inner.probability.tolist()), costs.items, costs.level, costs.fine)
            protocol = replace(protocol, audit=plan)
        return self.judged(protocol, tuning, inner.cost)

    def judged(self, protocol: Protocol, tuning: float, incentives: float) -> BilevelTrial:
        """What a designed protocol misses of the goal on the population as stated, and of the limits."""
        card = scorecard(play(protocol, self.population))
        missed = {}
        for metric, least in self.problem.goal.at_least.items():
            if metric in _STATED:
                value = card.mean(metric)
                missed[f"{metric} at least {least:g}"] = least - value if np.isfinite(value) else least + 1.0
        used = overruns(self.problem.space.limits, protocol, self.population)
        return BilevelTrial(protocol, tuning, incentives, {**missed, **{f"limit on {n}": v for n, v in used.items()}})


def _bounded(
    solve: _Inner, domains: Mapping[str, Any], searched: BilevelTrial | None
) -> tuple[BilevelTrial | None, float, bool, int]:
    """The best once budgets are designed exactly, the bound, whether it covers the space, combinations it is over."""
    problem, costs = solve.problem, solve.costs
    budget = domains.get("tune_steps")
    bound, best, count = float("inf"), searched, 0
    combinations, whole = _combinations(problem, domains, searched)
    for other in combinations:
        count += 1
        if _most_tau(problem, other) < problem.goal.at_least.get("kendall_tau", -1.0):
            continue
        if not isinstance(budget, Range):
            budgets = budget.options if isinstance(budget, Choice) else (problem.space.base.tune_steps,)
            tried = [solve(replace(other, tune_steps=steps)) for steps in budgets]
            bound = min(bound, *(t.cost * (1.0 - 1e-3) for t in tried))  # as near as the inner programs come
            candidates = tried
        else:
            start = searched.protocol.tune_steps if searched is not None and searched.protocol is not None else 0.0
            design = design_jointly(
                solve.population,
                other,
                costs.unit,
                items=costs.items,
                level=costs.level,
                fine=costs.fine,
                margin=costs.margin,
                upto=budget.high,
                budgets=(start,),
            )
            bound = min(bound, design.bound)
            candidates = []
            if design.best is not None and design.protocol is not None and design.best.steps >= budget.low:
                candidates = [solve.judged(design.protocol, design.best.tuning, design.best.incentives.cost)]
        for candidate in candidates:
            if candidate.feasible and (best is None or candidate.cost < best.cost):
                best = candidate
    if best is not None:
        bound = min(bound, best.cost)
    return best, bound, whole, count


def _combinations(
    problem: Problem, domains: Mapping[str, Any], searched: BilevelTrial | None
) -> tuple[Iterator[Protocol], bool]:
    """Protocols with every combination of the other knobs' options, or those of the best; and whether they are all."""
    base = replace(problem.space.base, audit=AuditPlan())
    others = {name: domain for name, domain in domains.items() if name != "tune_steps"}
    listed = {name: domain.options for name, domain in others.items() if isinstance(domain, Choice)}
    number = int(np.prod([len(options) for options in listed.values()])) if listed else 1
    if len(listed) == len(others) and number <= _MOST_COMBINATIONS:
        return (replace(base, **dict(zip(listed, values, strict=True))) for values in product(*listed.values())), True
    if searched is None or searched.protocol is None:
        return iter(()), False
    kept = {name: getattr(searched.protocol, name) for name in others}
    return iter((replace(base, **kept),)), False


def _most_tau(problem: Problem, protocol: Protocol) -> float:
    """Most tau-b that any board with the protocol's bands can have: every pair it tells apart told right.

    tau-b = (concordant - discordant) / sqrt(U_r U_q) <= U_r / sqrt(U_r U_q), with U_r, U_q pairs untied on the board
    and in truth.
    """
    quality = problem.population.quality[0]
    n = len(quality)
    sizes = np.array(protocol.tiers.partition(n))
    untied = n * (n - 1) / 2 - (sizes * (sizes - 1) / 2).sum()
    apart = (quality[:, None] != quality[None, :]).sum() / 2
    return float(min(1.0, np.sqrt(untied / apart))) if apart else 1.0
