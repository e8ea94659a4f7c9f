"""What a protocol uses up, known before anybody plays: limits that a search never has to try (DESIGN section 5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from designer.protocol import Protocol
from followers.population import Population

__all__ = ["LIMITS", "overruns"]

LIMITS: Mapping[str, Callable[[Protocol, Population], float]] = {
    "designer_cost": lambda protocol, people: float(protocol.cost(people)[0]),
    "tune_steps": lambda protocol, people: protocol.tune_steps,
    "test_items": lambda protocol, people: float(protocol.test_items),
    "audits": lambda protocol, people: float(sum(protocol.audit.probability)),
    "audited_items": lambda protocol, people: float(sum(protocol.audit.probability) * protocol.audit.items),
}
"""What can be limited: tuning compute (steps x billions of parameters), tuning steps, test items, audits expected a
round, fresh items expected a round."""


def overruns(limits: Mapping[str, float], protocol: Protocol, population: Population) -> dict[str, float]:
    """By how much each limit is overrun, as a share of it (of 1 where it is 0); 0 or less where it is kept."""
    return {name: (LIMITS[name](protocol, population) - most) / (abs(most) or 1.0) for name, most in limits.items()}
