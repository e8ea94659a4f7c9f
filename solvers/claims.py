"""Certificates of the games that are measured with noise, rounded, or played in mixed strategies: plain data.

Each is re-verified by an independent checker from the game alone; see `solvers.checker.check`.
"""

from __future__ import annotations

from dataclasses import dataclass

from solvers.certificate import Status

__all__ = ["GridAction", "MixedCertificate", "NoisyCertificate", "Piece", "RoundedCertificate"]


@dataclass(frozen=True, slots=True)
class NoisyCertificate:
    """A candidate of a noisy game. EXISTS: no effort gains more than `tolerance` (prize units). UNKNOWN: no claim.

    efforts, utilities, gains, deviations : per developer; the last two are its best deviation found.
    """

    status: Status
    theorem: str
    efforts: tuple[float, ...]
    utilities: tuple[float, ...]
    gains: tuple[float, ...]
    deviations: tuple[float, ...]
    tolerance: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GridAction:
    """One grid level a developer may hold: its published score, the cheapest effort to it, and what that costs."""

    level: int
    score: float
    effort: float
    cost: float


@dataclass(frozen=True, slots=True)
class RoundedCertificate:
    """All pure equilibria of a rounded game. EXISTS: each of `profiles` is one. ABSENT: `steps` strike out everything.

    actions : per developer, from the lowest level. profiles : levels per developer. steps : see `solvers.rounded.Step`
    (levels are positions from the lowest level that anybody holds). complete : whether `profiles` are all there are.
    """

    status: Status
    theorem: str
    actions: tuple[tuple[GridAction, ...], ...]
    profiles: tuple[tuple[int, ...], ...]
    steps: tuple[tuple[int, int, int], ...]
    complete: bool
    tolerance: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Piece:
    """Probability spread evenly over the scores from `low` to `high` (two floats each), or held exactly at both.

    With `just_above` the scores lie above `low` = `high` by as little as can be.
    """

    low: float
    low_tail: float
    high: float
    high_tail: float
    probability: float
    just_above: bool = False


@dataclass(frozen=True, slots=True)
class MixedCertificate:
    """A mixed profile and its exploitability: the largest gain of any developer, as a share of R_1 - R_n.

    pieces : per developer, from the lowest score. utilities : prize units.
    """

    theorem: str
    pieces: tuple[tuple[Piece, ...], ...]
    utilities: tuple[float, ...]
    exploitability: float
    notes: tuple[str, ...] = ()
