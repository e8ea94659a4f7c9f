"""Results and certificates: plain data that the solvers fill and the checker re-verifies."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

__all__ = ["Candidate", "Certificate", "Deviation", "Move", "Refutations", "Status", "to_json"]


class Status(StrEnum):
    """What is known about a pure equilibrium."""

    EXISTS = "exists"
    """A profile is given from which no developer gains by deviating."""
    ABSENT = "absent"
    """There is none, by the theorem that the certificate names."""
    UNKNOWN = "unknown"
    """Not decided: the node budget ran out, or the answer hangs on digits beyond double precision."""


@dataclass(frozen=True, slots=True)
class Deviation:
    """The best deviation of one developer from a profile.

    `effort` (steps) is what it takes in all; with `attained` False it is an infimum, and `gain` is the limit of what
    efforts just above it gain. gain = prize_gain - extra_cost, prize units. `target` is the developer whose score is
    reached or exceeded, `rank` (1 is first) where it leads.
    """

    developer: int
    target: int
    rank: int
    effort: float
    attained: bool
    prize_gain: float
    extra_cost: float

    @property
    def gain(self) -> float:
        """Prize gain less extra cost, prize units."""
        return self.prize_gain - self.extra_cost


@dataclass(frozen=True, slots=True)
class Move:
    """One step of a race: a developer changes its effort and gains by it, the others standing still."""

    developer: int
    effort_from: float
    effort_to: float
    rank_from: int
    rank_to: int
    gain: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """One effort that a developer may hold in equilibrium, and the exact score (two floats) it stands for."""

    effort: float
    score: float
    tail: float
    cost: float


@dataclass(frozen=True, slots=True)
class Refutations:
    """Proof by exhaustion (T2): a search tree in preorder over the lattice of candidate efforts.

    `order` is the order in which developers are assigned, `candidates[i]` what developer i may hold. Each entry of
    `tree` is -1 (go on with the next developer's candidates) or the developer who, in every completion of the
    profile assigned so far, gains by deviating.
    """

    order: tuple[int, ...]
    candidates: tuple[tuple[Candidate, ...], ...]
    tree: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Certificate:
    """Everything a sceptic needs besides the game.

    EXISTS: `efforts`, the scores they stand for (two floats each; a tie held on purpose is exact) and every
    developer's best deviation. ABSENT: `efforts` is the free-effort profile z, `deviations` holds the most profitable
    one at z, `theorem` says why that settles it, `refutations` is the proof where the theorem is T2, `cycle` a race
    that never ends, from the efforts `cycle_start` back to them. UNKNOWN: the free-effort profile and every best
    deviation from it. `margin`, `tolerance`: prize units.
    """

    status: Status
    theorem: str
    efforts: tuple[float, ...]
    scores: tuple[float, ...]
    tails: tuple[float, ...]
    deviations: tuple[Deviation, ...]
    margin: float
    tolerance: float
    refutations: Refutations | None = None
    cycle: tuple[Move, ...] = ()
    cycle_start: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()


def to_json(value: Any) -> Any:
    """Plain JSON values; infinities and NaN, which JSON lacks, become null."""
    if hasattr(value, "__dataclass_fields__"):
        value = asdict(value)
    if isinstance(value, dict):
        return {str(k): to_json(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(v) for v in value]
    if hasattr(value, "tolist"):  # numpy arrays and scalars
        return to_json(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
