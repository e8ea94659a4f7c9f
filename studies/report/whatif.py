"""What the page's "what if" panel starts from: one population's game as plain numbers, and answers to check it by.

The panel solves the exact game in the browser (`solver.js`): ranks, margins and overtakes at the free-effort profile,
and how likely a test of so many items is to show each pair in the right order there. It covers generalized-logit
curves with power costs and ties by quality; other populations are refused with a reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from designer.audits import AuditPlan
from designer.prizes import Prizes
from designer.protocol import Protocol
from designer.ranking import expected_kendall_tau_b
from followers.arrays import FloatArray
from followers.costs import PowerCost
from followers.curves import GeneralizedLogit
from followers.game import LeaderboardGame, TieRule
from followers.population import Population
from solvers.deviations import check_free_effort
from solvers.lattice import may_hold_effort
from solvers.standings import noisy_above

__all__ = ["Settings", "embedded", "game_at", "left_out", "refusal", "solved_at"]


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the sliders stand.

    tune : steps. steepness : exponent on the prizes' shape, 1 as announced. cost : factor on every cost scale.
    items : test items, 0 measures without error.
    """

    tune: float
    steepness: float = 1.0
    cost: float = 1.0
    items: int = 0


def _checked_settings(own: float) -> tuple[Settings, ...]:
    """The settings at which the page compares its own answers with the solver's; `own` is the protocol's budget."""
    return (
        Settings(own),
        Settings(0.0, items=1_000),
        Settings(own / 2.0 + 100.0, steepness=0.5, cost=3.0, items=200),
        Settings(2.0 * own + 10_000.0, steepness=2.5, cost=0.2, items=5_000),
    )


def refusal(population: Population, protocol: Protocol) -> str:
    """Why the panel does not cover a population under a protocol; empty where it does."""
    if not isinstance(population.curve, GeneralizedLogit):
        return f"the panel solves generalized-logit curves; this population has {type(population.curve).__name__}"
    if not isinstance(population.cost, PowerCost):
        return f"the panel solves power costs; this population has {type(population.cost).__name__}"
    if protocol.ties is not TieRule.QUALITY:
        return "the panel solves ties by quality; under this protocol tied entries share their prizes"
    if protocol.hidden_share > 0:
        return "the panel solves tests that are public; under this protocol a part is hidden"
    if np.ptp(protocol.prizes.schedule(population.n)) == 0:
        return "all prizes are equal: there is nothing to compete for"
    return ""


def left_out(protocol: Protocol) -> tuple[str, ...]:
    """What a protocol has that the panel does not, in words."""
    parts = (
        (protocol.precision > 0, "rounded scores"),
        (protocol.noise > 0 or protocol.test_items > 0, "scores measured with noise"),
        (protocol.audit.active, "audits"),
    )
    return tuple(words for there, words in parts if there)


def steeper(prizes: FloatArray, steepness: float) -> FloatArray:
    """R_n + (R_1 - R_n) * ((R_r - R_n) / (R_1 - R_n))^steepness: the same first and last prize, another shape; (n,)."""
    last, span = prizes[-1], prizes[0] - prizes[-1]
    return np.asarray(last + span * ((prizes - last) / span) ** steepness)


def game_at(population: Population, protocol: Protocol, at: Settings) -> LeaderboardGame:
    """The exact game at some settings: no rounding, noise or audits, whatever the protocol has."""
    cost = population.cost
    assert isinstance(cost, PowerCost)
    prizes = Prizes(values=tuple(steeper(protocol.prizes.schedule(population.n), at.steepness).tolist()))
    plain = Protocol(prizes=prizes, tune_steps=at.tune, tiers=protocol.tiers, test_items=at.items)
    return plain.induce(replace(population, cost=replace(cost, scale=cost.scale * at.cost)))


def solved_at(population: Population, protocol: Protocol, at: Settings) -> dict[str, Any]:
    """What the panel must show at some settings, by the Python solvers: ranks, margins, and chances with test items."""
    game = game_at(population, protocol, replace(at, items=0))
    checked = check_free_effort(game)
    document: dict[str, Any] = {
        "settings": {"tune": at.tune, "steepness": at.steepness, "cost": at.cost, "items": at.items},
        "ranks": checked.ranks[0].tolist(),
        "margins": [None if np.isinf(m) else float(m) for m in checked.margins[0]],
        "above": None,
        "tau": None,
    }
    if at.items:
        noisy = game_at(population, protocol, at)
        above = noisy_above(noisy, np.asarray(noisy.free_effort()))
        order = np.argsort(checked.ranks[0])
        document["above"] = [float(above[0, i, j]) for i, j in pairwise(order)]
        tau = float(expected_kendall_tau_b(above, population.quality)[0])
        document["tau"] = None if np.isnan(tau) else tau
    return document


def embedded(population: Population, protocol: Protocol) -> dict[str, Any]:
    """The panel's data: the population and protocol as stated (B = 1), and answers to check the browser by."""
    curve, cost, n = population.curve, population.cost, population.n
    assert isinstance(curve, GeneralizedLogit) and isinstance(cost, PowerCost)

    def listed(values: Any) -> list[float | None]:
        flat = np.broadcast_to(np.asarray(values, dtype=np.float64), (1, n))[0]
        return [None if np.isinf(v) else float(v) for v in flat]

    game = replace(protocol, precision=0.0, noise=0.0, test_items=0, audit=AuditPlan()).induce(population)
    return {
        "names": list(population.names),
        "quality": listed(population.quality),
        **{k: listed(getattr(curve, k)) for k in ("lower", "upper", "intercept", "slope")},
        **{k: listed(getattr(cost, k)) for k in ("scale", "exponent", "free", "entry_fee")},
        "exposure": listed(population.prior_exposure),
        "cap": listed(population.effort_cap),
        "tieOrder": game.tie_order[0].tolist(),
        "prizes": protocol.prizes.schedule(n).tolist(),
        "bands": list(protocol.tiers.partition(n)),
        "tune": protocol.tune_steps,
        "mostTune": max(100_000.0, 2.0 * protocol.tune_steps),
        "measurable": _measurable(curve),
        "settled": not bool(may_hold_effort(game)[0]),
        "checks": [
            _check(population, protocol, at, _measurable(curve)) for at in _checked_settings(protocol.tune_steps)
        ],
    }


def _measurable(curve: GeneralizedLogit) -> bool:
    """Whether scores are shares of correct items."""
    return bool(np.min(curve.lower) >= 0 and np.max(curve.upper) <= 1)


def _check(population: Population, protocol: Protocol, at: Settings, measurable: bool) -> Mapping[str, Any]:
    return solved_at(population, protocol, at if measurable else replace(at, items=0))
