"""Audits that deter in the mean of the worst draws: conditional value at risk of the margin (DESIGN section 5).

`designer.audit_plans` deters every climb in every draw, and the worst draw alone may set its price. Here the margin is
promised in the mean of the worst draws only (`designer.tail_program`): fewer audits, and some draws are given up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from designer.audit_limits import can_be_staked
from designer.audit_plans import honest_climbs
from designer.audit_stakes import suspicion
from designer.audits import AuditPlan
from designer.protocol import Protocol
from designer.tail_program import tail_stakes
from followers.arrays import FloatArray
from followers.population import Population

__all__ = ["TailAudits", "plan_for_tail"]


@dataclass(frozen=True, slots=True)
class TailAudits:
    """Audits of least cost for the mean of the worst draws.

    status : "optimal", or "impossible": then `reached` is the most that can be promised with these items and fine.
    plan : None where impossible. tail : share of draws. margin : promised in their mean, prize units; reached : had.
    margins : (B,), margin of each draw as `designer.tail_program` counts it, prize units.
    expected_audits : a round. cost : of them. rows : linear pieces that the program saw.
    """

    status: Literal["optimal", "impossible"]
    plan: AuditPlan | None
    tail: float
    margin: float
    reached: float
    margins: FloatArray
    expected_audits: float
    cost: float
    rows: int

    def sentences(self) -> tuple[str, ...]:
        """The result in words."""
        worst = f"the mean margin of the worst {self.tail:.4g} of draws"
        if self.plan is None:
            return (f"no audits bring {worst} above {self.reached:.6g}; raise the fine or the items",)
        held = float((self.margins >= 0).mean())
        return (
            f"{self.expected_audits:.4g} audits expected a round, cost {self.cost:.6g}, bring {worst} to "
            f"{self.reached:.6g}",
            f"nobody gains by climbing in {held:.1%} of the {len(self.margins):,} draws designed for",
        )


def plan_for_tail(
    population: Population,
    protocol: Protocol,
    *,
    items: int,
    level: float,
    fine: float,
    tail: float,
    cost_per_audit: float = 1.0,
    margin: float = 0.0,
) -> TailAudits:
    """Audit probabilities of least cost that promise a margin in the mean of the worst draws.

    Parameters
    ----------
    population : B draws. tail : share of the worst of them, in (0, 1]. Others as `designer.audit_plans.plan_audits`.

    Raises
    ------
    ValueError : as `designer.audit_plans.plan_audits`; a tail out of its range.
    RuntimeError : the solver failed, with its status and what to do.
    """
    AuditPlan((1.0,), items, level, fine)  # refuses items, levels and fines out of range
    for name, value in (("cost_per_audit", cost_per_audit), ("margin", margin)):
        if not (np.isfinite(value) and value >= 0):
            raise ValueError(f"audit plan: {name} = {value:g}; must be finite and at least 0")
    if not 0 < tail <= 1:
        raise ValueError(f"audit plan: tail = {tail:g}; must lie in (0, 1]")
    climbs = honest_climbs(population, protocol)
    caught, penalty = suspicion(climbs.score, items=items, level=level), climbs.penalty(fine)
    answer = tail_stakes(climbs.prizes, climbs.cost, caught, penalty, tail=tail, margin=margin)
    nothing = float("nan")
    if answer.status == "infeasible":
        return TailAudits(
            "impossible", None, tail, margin, answer.reached, answer.margins, nothing, nothing, answer.rows
        )
    tiny = 1e-12 * max(climbs.span, 1e-300)
    probability = can_be_staked(np.where(answer.values > tiny, answer.values, 0.0), penalty)
    audits = float(probability.sum())
    plan = AuditPlan(tuple(probability.tolist()), items, level, fine) if audits > 0 else AuditPlan()
    return TailAudits(
        "optimal", plan, tail, margin, answer.reached, answer.margins, audits, cost_per_audit * audits, answer.rows
    )
