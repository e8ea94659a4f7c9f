"""Audits as the leader announces them: who is re-tested, on how many items, for what fine (DESIGN section 3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator

from designer.domains import Composite, Part
from followers.measurement import Audit
from followers.spec import Spec, must

__all__ = ["AUDIT_PARTS", "AuditForm", "AuditPlan"]


@dataclass(frozen=True, slots=True)
class AuditPlan:
    """A plan for any number of developers; no probabilities, or none above zero, is no audit.

    Attributes
    ----------
    probability : of an audit per published rank from the top; ranks beyond the list are not audited.
    items : fresh items per audit. level : of the one-sided exact binomial test. fine : prize units.
    """

    probability: tuple[float, ...] = ()
    items: int = 0
    level: float = 0.01
    fine: float = 0.0

    def __post_init__(self) -> None:
        for rank, p in enumerate(self.probability, start=1):
            if not 0 <= p <= 1:
                raise ValueError(f"audit.probability[{rank - 1}] = {p:g}; must lie in [0, 1]")
        if self.active and self.items < 1:
            raise ValueError(f"audit.items = {self.items}; an audit needs at least 1 item")
        if not 0 < self.level < 1:
            raise ValueError(f"audit.level = {self.level:g}; must lie strictly between 0 and 1")
        if not (np.isfinite(self.fine) and self.fine >= 0):
            raise ValueError(f"audit.fine = {self.fine:g}; must be a finite number that is not negative")

    @property
    def active(self) -> bool:
        """Whether anybody is ever audited."""
        return any(p > 0 for p in self.probability)

    def announced(self, batch: int, n: int) -> Audit | None:
        """The audit of a batch of games of n developers; ValueError where more ranks are named than there are."""
        if not self.active:
            return None
        if len(self.probability) > n:
            raise ValueError(
                f"audit.probability: {len(self.probability)} ranks for {n} developers; at most one per rank"
            )
        chance = np.zeros(n)
        chance[: len(self.probability)] = self.probability
        return Audit(np.broadcast_to(chance, (batch, n)), self.items, self.level, self.fine)

    def document(self) -> Any:
        """As a file says it."""
        return {
            "probability": list(self.probability),
            "items": self.items,
            "level": self.level,
            "fine": self.fine,
        }


class AuditRule(Spec):
    """`audit = { probability = [..per rank..], items = .., level = .., fine = .. }`."""

    probability: list[float] = []
    items: Annotated[int, must(lambda x: x >= 0, "must not be negative")] = 0
    level: float = 0.01
    fine: float = 0.0


def _read(rule: AuditRule) -> AuditPlan:
    return AuditPlan(tuple(rule.probability), rule.items, rule.level, rule.fine)


AuditForm = Annotated[AuditRule, AfterValidator(_read)]
"""How a file gives audits; read as `AuditPlan`."""


def _assemble(parts: Mapping[str, Any]) -> AuditPlan:
    if not parts["on"]:
        return AuditPlan()
    return AuditPlan((parts["chance"],) * parts["top"], parts["items"], parts["level"], parts["fine"])


def _dissect(plan: AuditPlan) -> Mapping[str, Any] | None:
    if not plan.active:
        return {"on": False, **{name: part.default for name, part in AUDIT_PARTS.parts.items() if name != "on"}}
    if len(set(plan.probability)) > 1:
        return None
    alike = {"top": len(plan.probability), "chance": plan.probability[0]}
    return {"on": True, **alike, "items": plan.items, "level": plan.level, "fine": plan.fine}


def _when_on(chosen: Mapping[str, Any]) -> bool:
    return bool(chosen["on"])


AUDIT_PARTS = Composite(
    {
        "on": Part(True, numeric=False),
        "top": Part(1, whole=True, matters=_when_on),
        "chance": Part(1.0, matters=_when_on),
        "items": Part(500, whole=True, matters=_when_on),
        "level": Part(0.01, matters=_when_on),
        "fine": Part(0.0, matters=_when_on),
    },
    _assemble,
    _dissect,
)
"""How a search puts audits together: the first `top` ranks are audited with probability `chance` each."""
