"""`truerank demo`: planted defects that fool weaker checks, and the check of ours that catches each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from designer.prizes import Prizes
from designer.protocol import Protocol
from followers.population import Population
from followers.spec import DeveloperSpec, build_population
from solvers.certificate import Certificate, Deviation, Status
from solvers.pure import solve_pure
from studies.solve import SolvedGame, solve_game

__all__ = ["Defect", "planted_defects"]


@dataclass(frozen=True, slots=True)
class Defect:
    """A planted defect: what a weaker check says of it, what truerank finds, which check catches it."""

    name: str
    naive: str
    found: str
    check: str
    caught: bool

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {f: getattr(self, f) for f in ("name", "naive", "found", "check", "caught")}


def _developers(*specs: dict[str, Any]) -> Population:
    named = [{"name": "ABCDEFGH"[i], **spec} for i, spec in enumerate(specs)]
    return build_population([DeveloperSpec.model_validate(s) for s in named], "demo")


def _logit(lower: float, upper: float, intercept: float, slope: float) -> dict[str, Any]:
    return {
        "kind": "generalized-logit",
        "lower": lower,
        "upper": upper,
        "intercept": intercept,
        "slope": slope,
    }


def _prizes(*values: float) -> Prizes:
    return Prizes(values=values)


def planted_defects() -> tuple[Defect, ...]:
    """All of them; each naive verdict is computed, not quoted."""
    return (_free_effort_tie(), _crossing(), _stuck_entrant(), _coarse_grid(), _smoothed())


def _efforts(solved: SolvedGame) -> list[tuple[float, ...]]:
    return [tuple(round(float(e), 4) for e in p.efforts) for p in solved.pure.equilibria]


def _worst(solved: SolvedGame) -> Deviation | None:
    """The most profitable deviation that the certificate states."""
    certificate = solved.pure.certificate
    return certificate.deviations[0] if isinstance(certificate, Certificate) and certificate.deviations else None


def _free_effort_tie() -> Defect:
    """DESIGN T1: the paper's Theorem 4.6 needs costs that rise from the first step."""
    curve = {"kind": "exponential", "lower": 0.0, "upper": 1.0, "rate": 1.0}
    cost = {"scale": 1.0, "exponent": 2.0, "free_effort": 1.0}
    people = _developers(
        {"quality": 1.0, "curve": curve, "cost": cost, "prior_exposure": 1.0},
        {"quality": 0.5, "curve": curve, "cost": cost, "prior_exposure": 0.5},
    )
    overtaking = max(1.0 - 0.5 - 1.0, 0.0) ** 2
    solved = solve_game(people, Protocol(prizes=_prizes(0.1, 0.0)), find_all=True)
    profiles = _efforts(solved)
    return Defect(
        name="free-effort tie",
        naive=f"no equilibrium: overtaking costs {overtaking:g}, less than the prize gap 0.1",
        found=f"{solved.status.value}, not unique: {profiles}",
        check="deviations checked at the free-effort profile (T1)",
        caught=solved.status is Status.EXISTS
        and set(profiles) == {(1.0, 1.0), (1.0, 0.0)}
        and solved.pure.unique is False,
    )


def _crossing() -> Defect:
    """A late, steep riser: catching up gets cheaper with the tuning budget before it gets dearer."""
    people = _developers(
        {"quality": 1.0, "curve": _logit(0.2, 0.8, -4.0, 1.0), "cost": {"scale": 0.001}},
        {"quality": 0.9, "curve": _logit(0.1, 0.9, -24.0, 4.0), "cost": {"scale": 0.001}},
    )
    at = {d: solve_game(people, Protocol(prizes=_prizes(0.2, 0.0), tune_steps=d)) for d in (0.0, 400.0)}
    low, high = at[0.0], at[400.0]
    c3 = next(a for a in high.assumptions if a.name == "C3")
    return Defect(
        name="S-shaped crossing",
        naive=f"more tuning keeps what is stable: {low.status.value} at 0 steps, so also at 400",
        found=f"{high.status.value} at 400 steps; C3 {'holds' if c3.holds else 'fails'}",
        check="every budget solved by itself; C1-C3 reported with witnesses",
        caught=low.status is Status.EXISTS and high.status is Status.ABSENT and not c3.holds,
    )


def _stuck_entrant() -> Defect:
    """DESIGN T2: a legacy model that cannot move makes a rival hold effort."""
    line = {"kind": "linear", "lower": 0.0, "rate": 1.0}
    people = _developers(
        {"quality": 2.0, "curve": line, "cost": {"scale": 1.0}},
        {"quality": 1.0, "curve": {**line, "lower": 0.5}, "cost": {"scale": 1.0}, "effort_cap": 0.0},
    )
    solved = solve_game(people, Protocol(prizes=_prizes(1.0, 0.0)))
    at_zero = float(solve_pure(solved.game).developer_margin.min())
    profiles = _efforts(solved)
    return Defect(
        name="stuck entrant",
        naive=f"no equilibrium: at zero effort A gains {-at_zero:g}",
        found=f"{solved.status.value}: efforts {profiles[0] if profiles else '-'}",
        check="lattice of efforts that tie a stuck rival (T2)",
        caught=at_zero < 0 and solved.status is Status.EXISTS and profiles == [(0.5, 0.0)],
    )


def _two_close_rivals() -> Population:
    return _developers(
        {"quality": 1.0, "curve": _logit(0.0, 1.0, -0.3, 1.0), "cost": {"scale": 1.0}, "effort_cap": 2.0},
        {"quality": 0.5, "curve": _logit(0.0, 1.0, -0.6, 1.0), "cost": {"scale": 1.0}, "effort_cap": 2.0},
    )


def _score(intercept: float, effort: Any) -> Any:
    return 1.0 / (1.0 + np.exp(-(intercept + np.log1p(effort))))


def _coarse_grid() -> Defect:
    """The threshold effort lies between two grid points: the grid game has an equilibrium, the game has none."""
    delta = 1.5
    grid = np.linspace(0.0, 2.0, 11)
    overtakes = _score(-0.6, delta + grid) > _score(-0.3, delta)
    gain_on_grid = float(np.max(np.where(overtakes, 1.0, 0.0) - grid))
    solved = solve_game(_two_close_rivals(), Protocol(prizes=_prizes(1.0, 0.0), tune_steps=delta))
    worst = _worst(solved)
    return Defect(
        name="threshold between grid points",
        naive=f"zero effort is an equilibrium of the 11-point grid game (largest gain {gain_on_grid:g})",
        found=f"{solved.status.value}: B overtakes at {worst.effort:.4f}, gains {worst.gain:.4f}"
        if worst
        else "nothing",
        check="deviations over continuous effort, by inverting curves",
        caught=gain_on_grid <= 0 and solved.status is Status.ABSENT and worst is not None,
    )


def _smoothed() -> Defect:
    """Prizes smoothed at temperature 0.01: every marginal gain is negative at zero effort, a jump pays all the same."""

    def payoff(i: int, own: float) -> float:
        mine, other = ((-0.3, -0.6), (-0.6, -0.3))[i]
        lead = (_score(mine, own) - _score(other, 0.0)) / 0.01
        return float(1.0 / (1.0 + np.exp(-lead))) - own

    slopes = [(payoff(i, 1e-6) - payoff(i, 0.0)) / 1e-6 for i in (0, 1)]
    solved = solve_game(_two_close_rivals(), Protocol(prizes=_prizes(1.0, 0.0)))
    worst = _worst(solved)
    return Defect(
        name="smoothed prizes, false equilibrium",
        naive=f"zero effort is stationary: marginal gains {slopes[0]:.2f} and {slopes[1]:.2f} are negative",
        found=f"{solved.status.value}: B gains {worst.gain:.4f} by a jump" if worst else "nothing",
        check="global deviation check of every developer",
        caught=max(slopes) < 0 and solved.status is Status.ABSENT and worst is not None and worst.gain > 0.5,
    )
