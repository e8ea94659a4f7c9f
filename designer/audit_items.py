"""Items per audit and audit probabilities chosen together (DESIGN section 5).

More items see climbs more surely, so fewer audits deter; but each costs more. As power is a sawtooth in the number of
items, so is the cost, and every candidate number is tried.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from designer.audit_limits import can_be_staked, stakes_by_items
from designer.audit_plans import PlannedAudits, honest_climbs, plan_for_draws
from designer.protocol import Protocol
from followers.arrays import FloatArray, IntArray
from followers.population import Population

__all__ = ["ItemsChoice", "cheapest_items", "default_items"]


@dataclass(frozen=True, slots=True)
class ItemsChoice:
    """The cheapest items and probabilities, and what the other numbers of items would cost.

    Attributes
    ----------
    best : the plan with the items that cost least, the fewest of several; where no number allows a plan, why the
        largest one does not.
    items : (M,), numbers tried. audits, cost : (M,), expected a round, and what they cost; inf where there is no plan.
    """

    best: PlannedAudits
    items: IntArray
    audits: FloatArray
    cost: FloatArray

    def sentences(self) -> tuple[str, ...]:
        """The choice in words, then the plan's."""
        if self.best.plan is None:
            return (f"none of {len(self.items):,} numbers of items allows a plan", *self.best.sentences())
        if not self.best.binding:
            return self.best.sentences()
        return (f"{self.best.plan.items:,} items per audit cost least", *self.best.sentences())


def default_items() -> tuple[int, ...]:
    """Every number up to 200, then steps of 4% up to 20,000."""
    beyond = np.unique(np.round(200.0 * 1.04 ** np.arange(1, 118)).astype(int))
    return (*range(1, 201), *beyond[beyond <= 20_000].tolist(), 20_000)


def cheapest_items(
    population: Population,
    protocol: Protocol,
    *,
    level: float,
    fine: float,
    fixed: float = 0.0,
    per_item: float = 1.0,
    margin: float = 0.0,
    candidates: Sequence[int] | None = None,
) -> ItemsChoice:
    """The number of items and the audit probabilities that together deter at least cost.

    Parameters
    ----------
    population : any number of draws; the plan deters in all of them. protocol, level, fine, margin : as `plan_audits`.
    fixed, per_item : an audit costs fixed + per_item * items, any unit.
    candidates : numbers of items to try; `default_items` if none are given.

    Raises
    ------
    ValueError : as `plan_audits`; negative or no costs; no candidates.
    """
    for name, value in (("fixed", fixed), ("per_item", per_item)):
        if not (np.isfinite(value) and value >= 0):
            raise ValueError(f"audit plan: {name} = {value:g}; must be finite and not negative")
    if fixed + per_item == 0:
        raise ValueError("audit plan: fixed = 0 and per_item = 0; an audit must cost something")
    items = np.unique(np.asarray(default_items() if candidates is None else candidates))
    if items.size == 0:
        raise ValueError("audit plan: no candidates; at least one number of items is needed")
    climbs = honest_climbs(population, protocol)
    stakes = stakes_by_items(climbs, climbs.pull(margin), items, level=level)
    audits = can_be_staked(stakes, climbs.penalty(fine)).sum(axis=1)
    price = fixed + per_item * items
    cost = price * audits
    chosen = int(np.argmin(cost)) if np.isfinite(cost).any() else len(items) - 1
    best = plan_for_draws(
        population,
        protocol,
        items=int(items[chosen]),
        level=level,
        fine=fine,
        cost_per_audit=float(price[chosen]),
        margin=margin,
        most_items=int(items[-1]),
    )
    return ItemsChoice(best, items, audits, cost)
