"""The cheapest audit plan under which honest play is an equilibrium, and what binds it (DESIGN section 5).

The plan is the least one of `designer.audit_stakes` (T, least plan), found by back substitution and confirmed by the
linear program of `designer.audit_program`. The price of a change comes from solving again with the quantity changed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from designer.audit_limits import BindingClimb, Impossible, binding_climbs, can_be_staked, why_impossible
from designer.audit_program import ProgramAnswer, ProgramStatus, solve_program
from designer.audit_stakes import AuditClimbs, audit_climbs, least_stakes, suspicion, unit_prices
from designer.audits import AuditPlan
from designer.protocol import Protocol
from followers.arrays import FloatArray
from followers.population import Population

__all__ = ["PlanStatus", "PlannedAudits", "Price", "honest_climbs", "plan_audits", "plan_for_draws"]

_AGREEMENT = 1e-6
"""Back substitution and linear program may differ by this share of the audits."""
_DEAREST = 3  # temptations whose price is put into words


class PlanStatus(StrEnum):
    """What came of planning."""

    OPTIMAL = "optimal"
    """The plan deters every deviation, and none is cheaper."""
    NOT_NEEDED = "not needed"
    """Nobody gains by leaving honest play even without audits."""
    IMPOSSIBLE = "impossible"
    """No probabilities deter with these items, level and fine; `impossible` says which climb, and what would do."""
    UNCONFIRMED = "unconfirmed"
    """The plan, or that there is none, follows from back substitution, but the linear program did not confirm it."""


@dataclass(frozen=True, slots=True)
class Price:
    """What a change of one quantity does to the audits expected a round.

    quantity : "fine", "items" or "temptation". change : by how much it rises; prize units, or items per audit.
    saved : audits a round, negative where the change costs some; -inf where it leaves no plan. sentence : in words.
    """

    quantity: str
    change: float
    saved: float
    sentence: str


@dataclass(frozen=True, slots=True)
class PlannedAudits:
    """The cheapest audit plan, or why there is none.

    Attributes
    ----------
    plan : AuditPlan; inactive where no audits are needed, None where none deters.
    status : PlanStatus.
    margin : what every deviation that gains a reward is promised to lose, prize units.
    expected_audits : a round, the sum of the probabilities. cost : of them, in the unit of `cost_per_audit`.
    false_flags : honest entries expected to be flagged a round, the mean over draws. NaN without a plan, all three.
    stakes : (n,), the least that must be at stake at each rank, prize units; inf where no stake deters.
    binding : the climb that binds each audited rank, from the top; empty without a plan.
    prices : what another fine, other items and larger temptations would change; empty without audits.
    impossible : why there is no plan, else None.
    program : what the linear program says.
    gap : largest difference of a probability between plan and program; NaN where one of them has none.
    advice : what to do where the status is UNCONFIRMED, else empty.
    """

    plan: AuditPlan | None
    status: PlanStatus
    margin: float
    expected_audits: float
    cost: float
    false_flags: float
    stakes: FloatArray
    binding: tuple[BindingClimb, ...]
    prices: tuple[Price, ...]
    impossible: Impossible | None
    program: ProgramAnswer
    gap: float
    advice: str

    def sentences(self) -> tuple[str, ...]:
        """The result in words, the most important first."""
        doubt = (self.advice,) if self.advice else ()
        if self.impossible is not None:
            return (*self.impossible.sentences, *doubt)
        if not self.binding:
            return ("no audits are needed: nobody gains by leaving honest play", *doubt)
        promise = f" with margin {self.margin:g}" if self.margin > 0 else ""
        audits = (
            f"{self.expected_audits:.4g} audits expected a round, cost {self.cost:.6g}, deter every deviation{promise} "
            f"and flag {self.false_flags:.3g} honest entries a round"
        )
        return (audits, *(price.sentence for price in self.prices), *doubt)


def honest_climbs(population: Population, protocol: Protocol) -> AuditClimbs:
    """The climbs that audits must deter under a protocol, whatever audits it has; errors as `plan_audits`."""
    return audit_climbs(replace(protocol, audit=AuditPlan()).induce(population))


def plan_audits(
    population: Population,
    protocol: Protocol,
    *,
    items: int,
    level: float,
    fine: float,
    cost_per_audit: float = 1.0,
    margin: float = 0.0,
    most_items: int = 10_000,
) -> PlannedAudits:
    """Audit probabilities per published rank of least cost that deter every profitable deviation.

    Parameters
    ----------
    population : one draw (B = 1). protocol : all of it but its audits, which the plan replaces.
    items : fresh items per audit. level : of the exact test. fine : prize units.
    cost_per_audit : any unit.
    margin : what every deviation that gains a reward must lose, prize units.
    most_items : how far to look for enough items where there is no plan.

    Raises
    ------
    ValueError : several draws; precision, noise, split ties, free effort or scores outside [0, 1]; items, level, fine,
        cost, margin or most_items impossible; each by name.

    Notes
    -----
    `replace(protocol, audit=planned.plan).induce(population)` is the game in which honest play is an equilibrium.
    O(n^2) binomial tails and operations; the linear program that confirms the plan takes longest, some milliseconds.
    """
    if population.batch != 1:
        raise ValueError(f"audit plan: {population.batch} draws; plan_audits takes 1, plan_for_draws any number")
    return plan_for_draws(
        population,
        protocol,
        items=items,
        level=level,
        fine=fine,
        cost_per_audit=cost_per_audit,
        margin=margin,
        most_items=most_items,
    )


def plan_for_draws(
    population: Population,
    protocol: Protocol,
    *,
    items: int,
    level: float,
    fine: float,
    cost_per_audit: float = 1.0,
    margin: float = 0.0,
    most_items: int = 10_000,
) -> PlannedAudits:
    """As `plan_audits`, but one plan that deters every deviation in each of B drawn populations."""
    plan = AuditPlan((), items, level, fine)  # refuses level and fine
    for name, value, least in (
        ("cost_per_audit", cost_per_audit, 0.0),
        ("margin", margin, 0.0),
        ("most_items", most_items, 1),
    ):
        if not (np.isfinite(value) and value >= least):
            raise ValueError(f"audit plan: {name} = {value:g}; must be finite and at least {least:g}")
    climbs = honest_climbs(population, protocol)
    pull, penalty = climbs.pull(margin), climbs.penalty(fine)
    caught = suspicion(climbs.score, items=items, level=level)
    stakes, bound = least_stakes(pull, caught)
    probability = can_be_staked(stakes, penalty)
    possible = bool(np.isfinite(probability).all())
    program = solve_program(pull, caught, penalty)
    gap, advice = _confirmed(program, probability)
    if not possible:
        binding = binding_climbs(population.names, climbs, caught, stakes, bound, np.full(climbs.n, np.nan))
        why = why_impossible(climbs, pull, binding, level=level, fine=fine, most_items=most_items)
        nan = float("nan")
        status = PlanStatus.UNCONFIRMED if advice else PlanStatus.IMPOSSIBLE
        return PlannedAudits(None, status, margin, nan, nan, nan, stakes, (), (), why, program, gap, advice)
    weight = np.where(stakes > 0, 1.0 / np.where(stakes > 0, penalty, 1.0), 0.0)
    unit = unit_prices(caught, bound, weight)
    binding = binding_climbs(population.names, climbs, caught, stakes, bound, unit)
    if binding:
        plan = AuditPlan(tuple(probability.tolist()), items, level, fine)
    status = PlanStatus.OPTIMAL if binding else PlanStatus.NOT_NEEDED
    audits = float(probability.sum())
    return PlannedAudits(
        plan=plan,
        status=PlanStatus.UNCONFIRMED if advice else status,
        margin=margin,
        expected_audits=audits,
        cost=cost_per_audit * audits,
        false_flags=float((np.diagonal(caught, axis1=1, axis2=2) @ probability).mean()),
        stakes=stakes,
        binding=binding,
        prices=_prices(climbs, pull, stakes, binding, plan) if binding else (),
        impossible=None,
        program=program,
        gap=gap,
        advice=advice,
    )


def _confirmed(program: ProgramAnswer, probability: FloatArray) -> tuple[float, str]:
    """How far plan and program are apart, and advice where the program does not confirm the plan."""
    possible = bool(np.isfinite(probability).all())
    if program.status is ProgramStatus.FAILED:
        return float("nan"), program.advice
    if (program.status is ProgramStatus.OPTIMAL) != possible:
        said = "a plan" if possible else "none"
        return float("nan"), (
            f"back substitution finds {said}, the linear program ends {program.status.value}: a constraint is met to "
            "within rounding only; change the fine or the items slightly and plan again"
        )
    if not possible:
        return float("nan"), ""
    gap = float(np.max(np.abs(program.probability - probability)))
    audits = float(probability.sum())
    if gap <= _AGREEMENT * max(audits, 1e-3) and abs(program.audits - audits) <= _AGREEMENT * max(audits, 1e-3):
        return gap, ""
    return gap, (
        f"back substitution finds {audits:.9g} audits a round, the linear program {program.audits:.9g}; the plan "
        "deters all the same; check the population for costs and scores of extreme size"
    )


def _prices(
    climbs: AuditClimbs, pull: FloatArray, stakes: FloatArray, binding: tuple[BindingClimb, ...], plan: AuditPlan
) -> tuple[Price, ...]:
    """Prices of the fine and of the items by solving again, and of the dearest temptations by their multipliers."""
    audits = sum(plan.probability)
    step = _tenth(climbs.span)
    saved = audits - float(can_be_staked(stakes, climbs.penalty(plan.fine + step)).sum())
    prices = [Price("fine", step, saved, f"raising the fine by {step:g} {_changes(saved)}")]
    more = plan.items + max(1, round(plan.items / 10))
    other, _ = least_stakes(pull, suspicion(climbs.score, items=more, level=plan.level))
    saved = audits - float(can_be_staked(other, climbs.penalty(plan.fine)).sum())
    words = f"raising the items per audit from {plan.items:,} to {more:,} {_changes(saved)}"
    prices.append(Price("items", float(more - plan.items), saved, words))
    step = step / 10.0
    for climb in sorted(binding, key=lambda c: -c.price)[:_DEAREST]:
        saved = -climb.price * step
        words = (
            f"each further {step:g} that {climb.developer} (rank {climb.rank}) gains by taking rank {climb.target} "
            f"{_changes(saved, 'at least ')}"
        )
        prices.append(Price("temptation", step, saved, words))
    return tuple(prices)


def _changes(saved: float, bound: str = "") -> str:
    if saved == -np.inf:
        return "leaves no plan: the power of the test is a sawtooth"
    return f"{'saves' if saved >= 0 else 'costs'} {bound}{abs(saved):.3g} audits a round"


def _tenth(span: float) -> float:
    """The power of ten nearest to a tenth of R_1 - R_n: a step that reads well."""
    return float(10.0 ** (np.round(np.log10(span)) - 1.0)) if span > 0 else 0.1
