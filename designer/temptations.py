"""What binds a design: the climbs that a developer is about to find worth their cost (DESIGN section 5)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from designer.protocol import Protocol
from followers.arrays import FloatArray, IntArray
from followers.population import Population
from solvers.climbs import Climbs, climbs

__all__ = ["Temptation", "least_costs", "priced_climbs"]


@dataclass(frozen=True, slots=True)
class Temptation:
    """A climb that binds.

    developer : its name. draw : which population. rank, target : published rank now and after, from 1.
    effort : steps, the infimum. cost, gain : of the climb, prize units. price : how much the objective would fall per
    unit that this climb cost more, and with it every climb of the same effort (to ranks that are tied, or that share a
    prize); 0 where it binds without pressing.
    """

    developer: str
    draw: int
    rank: int
    target: int
    effort: float
    cost: float
    gain: float
    price: float

    def sentence(self) -> str:
        """The climb in words."""
        return (
            f"{self.developer} (rank {self.rank}) would take rank {self.target} with {self.effort:,.4g} steps: "
            f"cost {self.cost:.6g}, gain {self.gain:.6g}"
        )


def priced_climbs(population: Population, protocol: Protocol, what: str) -> Climbs:
    """Climbs of the populations' games under a protocol; `what` names the design in errors.

    Raises
    ------
    ValueError : noise, rounded scores, split ties or audits, by name.
    """
    if protocol.audit.active:
        raise ValueError(f"{what}: the protocol has audits; plan them apart, or leave them out")
    try:
        return climbs(protocol.induce(population))
    except ValueError as error:
        raise ValueError(f"{what}: {str(error).removeprefix('climbs: ')}") from None


def least_costs(found: Climbs) -> tuple[FloatArray, IntArray]:
    """Least cost of each climb over the draws (n, n), inf where nobody can, and the draw that has it (n, n)."""
    return found.cost.min(axis=0), np.argmin(found.cost, axis=0)
