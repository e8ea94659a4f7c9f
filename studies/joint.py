"""`truerank design joint`: tuning budget, prizes and audits together, beside what each alone would cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from designer.audits import AuditPlan
from designer.budgets import least_budget
from designer.joint_design import JointDesign, UnitCosts, design_jointly
from designer.joint_program import IncentiveCosts, cheapest_incentives
from designer.joint_rows import rows_at
from followers.arrays import FloatArray
from solvers.certificate import to_json
from studies.design import Confirmed, Subject

__all__ = ["JointStudy", "joint_document", "joint_rows", "plan_jointly"]


@dataclass(frozen=True, slots=True)
class JointStudy:
    """A joint design and the costs of its parts alone.

    announced : (n,), prizes before. alone : cost of tuning alone, of moving prizes alone (without tuning) and of audits
    alone (without either); None where one alone cannot do it.
    """

    design: JointDesign
    announced: FloatArray
    alone: dict[str, float | None]


def plan_jointly(
    subject: Subject,
    costs: UnitCosts,
    *,
    items: int,
    level: float,
    fine: float,
    margin: float,
    upto: float,
    gap: float,
    cells: int,
    progress: Callable[[int, int], None] | None = None,
) -> JointStudy:
    """Design jointly, from the smallest budget that needs no incentives; errors as `design_jointly`."""
    population, protocol = subject.designed_for, replace(subject.protocol, audit=AuditPlan())
    tuned = least_budget(population, protocol, margin=margin, upto=upto)
    design = design_jointly(
        population,
        protocol,
        costs,
        items=items,
        level=level,
        fine=fine,
        margin=margin,
        upto=upto,
        budgets=(tuned.steps,) if tuned.steps is not None else (),
        gap=gap,
        cell_budget=cells,
        progress=progress,
    )
    announced = np.array(protocol.induce(population).prizes[0])
    bands = protocol.tiers.partition(len(announced))
    prizes = cheapest_incentives(
        rows_at(population, protocol, 0.0, items=0, level=level),
        announced,
        IncentiveCosts(costs.moved, costs.audit, 0.0),
        margin=margin,
        bands=bands,
    )
    alone: dict[str, float | None] = {
        "tuning": None if tuned.compute is None else costs.compute * tuned.compute,
        "prizes": prizes.cost if np.isfinite(prizes.cost) else None,
    }
    if items:
        audits = cheapest_incentives(
            rows_at(population, protocol, 0.0, items=items, level=level),
            announced,
            IncentiveCosts(costs.moved, costs.audit, fine),
            margin=margin,
            bands=bands,
            node_budget=1,
        )
        alone["audits"] = costs.audit * audits.unmoved if np.isfinite(audits.unmoved) else None
    return JointStudy(design, announced, alone)


def joint_rows(joint: JointStudy) -> list[dict[str, Any]]:
    """Prizes and audit probabilities by rank, as rows."""
    best = joint.design.best
    assert best is not None
    columns = np.stack([joint.announced, best.incentives.prizes, best.incentives.probability], axis=1).tolist()
    return [
        {"rank": r, "announced": old, "prize": new, "audit_probability": p}
        for r, (old, new, p) in enumerate(columns, start=1)
    ]


def joint_document(joint: JointStudy, confirmed: Confirmed | None) -> dict[str, Any]:
    """The joint design as JSON."""
    design = joint.design
    best = design.best
    return {
        "tune_steps": best and best.steps,
        "cost": best and best.cost,
        "parts": best
        and {
            "tuning": best.tuning,
            "prizes": design.costs.moved * best.incentives.moved,
            "audits": design.costs.audit * best.incentives.audits,
        },
        "bound": to_json(design.bound),
        "gap": to_json(design.gap),
        "bound_at_this_budget": best and best.bound,
        "alone": joint.alone,
        "margin": design.margin,
        "draws": design.draws,
        "ranks": joint_rows(joint) if best else [],
        "budgets_tried": [{"tune_steps": t.steps, "cost": to_json(t.cost), "bound": t.bound} for t in design.tried],
        "intervals_bounded": design.cells,
        "protocol": design.protocol and design.protocol.document(),
        "confirmed": confirmed and confirmed.document(),
    }
