"""`truerank audit plan`: the cheapest audits for one population, for draws around it, or for the worst of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from designer.audit_items import ItemsChoice, cheapest_items, default_items
from designer.audit_limits import BindingClimb
from designer.audit_plans import PlannedAudits, plan_for_draws
from designer.audit_tail import TailAudits, plan_for_tail
from designer.protocol import Protocol
from designer.scenarios import ScenarioPromise, promise
from solvers.certificate import to_json
from studies.design import Confirmed, Subject

__all__ = ["AuditDesign", "plan_document", "planned"]

_BEST = "best"


@dataclass(frozen=True, slots=True)
class AuditDesign:
    """What was planned.

    found : in every draw, or in the mean of the worst. choice : what other items would cost, where several were tried.
    promised : of a fresh draw, where the plan holds in every draw of several.
    """

    subject: Subject
    found: PlannedAudits | TailAudits
    choice: ItemsChoice | None
    promised: ScenarioPromise | None

    @property
    def protocol(self) -> Protocol | None:
        """The protocol to start from with these audits; None where there is no plan."""
        return None if self.found.plan is None else replace(self.subject.protocol, audit=self.found.plan)

    @property
    def sentences(self) -> tuple[str, ...]:
        """The plan in words."""
        words = self.choice.sentences() if self.choice else self.found.sentences()
        return (*words, self.promised.sentence()) if self.promised else words

    @property
    def binding(self) -> tuple[BindingClimb, ...]:
        """The climb that binds each audited rank, from the top; none for the mean of the worst draws."""
        return self.found.binding if isinstance(self.found, PlannedAudits) else ()

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Audit probabilities by published rank."""
        plan = self.found.plan
        listed = plan.probability if plan is not None else ()
        chances = (*listed, *(0.0,) * (self.subject.stated.n - len(listed)))
        return [{"rank": r, "probability": p} for r, p in enumerate(chances, start=1)]


def planned(
    subject: Subject,
    *,
    items: str,
    level: float,
    fine: float,
    cost: float,
    item_cost: float,
    margin: float,
    tail: float | None,
) -> AuditDesign:
    """Plan audits of least cost.

    Parameters
    ----------
    items : a number, several separated by commas (the cheapest is chosen), or "best". cost, item_cost : an audit costs
    cost + items * item_cost. tail : promise the margin in the mean of this share of the worst draws.

    Raises
    ------
    ValueError : as `designer.audit_plans.plan_audits`; items that are no numbers; several items with a tail.
    """
    tried = _items(items, item_cost)
    protocol, population = subject.protocol, subject.designed_for
    if len(tried) > 1:
        if tail is not None:
            raise ValueError(f'audit plan: items = "{items}" with a tail; give one number of items')
        choice = cheapest_items(
            population,
            protocol,
            level=level,
            fine=fine,
            fixed=cost,
            per_item=item_cost,
            margin=margin,
            candidates=tried,
        )
        return AuditDesign(subject, choice.best, choice, _promise(subject, choice.best, len(choice.items)))
    options: dict[str, Any] = {
        "items": tried[0],
        "level": level,
        "fine": fine,
        "cost_per_audit": cost + item_cost * tried[0],
        "margin": margin,
    }
    if tail is not None:
        return AuditDesign(subject, plan_for_tail(population, protocol, tail=tail, **options), None, None)
    found = plan_for_draws(population, protocol, **options)
    return AuditDesign(subject, found, None, _promise(subject, found))


def _items(items: str, item_cost: float) -> tuple[int, ...]:
    if items == _BEST:
        if item_cost == 0:
            raise ValueError("audit plan: items = best, but items cost nothing; give --item-cost")
        return default_items()
    try:
        return tuple(int(part) for part in items.split(","))
    except ValueError:
        raise ValueError(
            f'audit plan: items = "{items}"; must be a whole number, several separated by commas, or "{_BEST}"'
        ) from None


def _promise(subject: Subject, found: PlannedAudits, programs: int = 1) -> ScenarioPromise | None:
    """The stakes of all ranks but the last are the variables of a linear program, one per number of items."""
    if not subject.draws or found.plan is None:
        return None
    return promise(subject.draws, subject.stated.n - 1, programs=programs)


def plan_document(design: AuditDesign, confirmed: Confirmed | None) -> dict[str, Any]:
    """The plan as JSON."""
    found = design.found
    document = {
        "status": str(found.status),
        "plan": found.plan and found.plan.document(),
        "margin": found.margin,
        "expected_audits": to_json(found.expected_audits),
        "cost": to_json(found.cost),
        "sentences": list(design.sentences),
        "promise": to_json(design.promised),
        "confirmed": confirmed and confirmed.document(),
    }
    if isinstance(found, PlannedAudits):
        document |= {"false_flags": to_json(found.false_flags), "binding": to_json(list(found.binding))}
    else:
        document |= {"tail": found.tail, "reached_in_tail": found.reached}
    if design.choice is not None:
        tried = zip(
            design.choice.items.tolist(), design.choice.audits.tolist(), design.choice.cost.tolist(), strict=True
        )
        document["tried"] = [
            {"items": m, "expected_audits": to_json(audits), "cost": to_json(price)} for m, audits, price in tried
        ]
    return document
