"""The audit plan of a protocol rank by rank, and what binds it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from designer.audit_limits import BindingClimb
from designer.audit_plans import plan_audits
from designer.audits import AuditPlan
from designer.protocol import Protocol
from followers.arrays import FloatArray
from followers.population import Population

__all__ = ["AuditBars", "audit_bars"]


@dataclass(frozen=True, slots=True)
class AuditBars:
    """Audits by published rank.

    plan : what the protocol announces. announced : (n,), probabilities.
    least : (n,), the least that deter every deviation with these items, level and fine; NaN where there is no such plan
    or the program does not cover the protocol. binding : the climb behind each of them. words : in sentences.
    """

    plan: AuditPlan
    announced: FloatArray
    least: FloatArray
    binding: tuple[BindingClimb, ...]
    words: tuple[str, ...]


def audit_bars(population: Population, protocol: Protocol) -> AuditBars | None:
    """The announced audits beside the least that deter, on the population as stated; None where nobody is audited."""
    plan = protocol.audit
    if not plan.active:
        return None
    announced = np.zeros(population.n)
    announced[: len(plan.probability)] = plan.probability
    least = np.full(population.n, np.nan)
    try:
        found = plan_audits(
            population, replace(protocol, audit=AuditPlan()), items=plan.items, level=plan.level, fine=plan.fine
        )
    except ValueError as error:
        return AuditBars(plan, announced, least, (), (f"what binds is not known: {error}",))
    if found.plan is not None:
        least = np.zeros(population.n)
        least[: len(found.plan.probability)] = found.plan.probability
    return AuditBars(plan, announced, least, found.binding, found.sentences())
