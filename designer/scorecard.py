"""Scoring a protocol on draws of a population, and comparing protocols on the same draws (DESIGN section 4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from designer.prizes import band_of_rank
from designer.protocol import Protocol
from designer.ranking import kendall_tau_b, published_ranks, top_one_correct
from followers.arrays import FloatArray
from followers.game import TieRule
from followers.population import Population
from solvers.pure import PureEquilibrium, solve_pure

__all__ = [
    "METRICS",
    "Figure",
    "Outcomes",
    "Scorecard",
    "paired_difference",
    "play",
    "scorecard",
    "summarise",
]

METRICS: Mapping[str, str] = {
    "kendall_tau": "Kendall tau-b of published vs true ranking, populations with a pure equilibrium",
    "top_one": "share whose published winner is truly best, populations with a pure equilibrium",
    "pure_share": "share of populations with a pure equilibrium",
    "margin": "stability margin at the equilibrium, else minus the largest gain (prize units)",
    "tempted": "developers who gain by leaving the free-effort profile",
    "wasted_effort": "developers' total cost / prize pool, populations with a pure equilibrium",
    "designer_cost": "tuning steps x billions of parameters",
    "face_value_tau": "Kendall tau-b if nobody spent costly effort, all populations",
}
"""The figures of a scorecard and what they mean."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A mean over draws with its standard error; None where it is undefined, with the reason.

    The standard error is None where it cannot be estimated (a single draw).
    """

    mean: float | None
    stderr: float | None
    draws: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Per-draw figures of one protocol, each (B,), NaN where undefined (see `METRICS`); and what was solved."""

    protocol: Protocol
    values: Mapping[str, FloatArray]
    equilibrium: PureEquilibrium


@dataclass(frozen=True, slots=True)
class Scorecard:
    """A protocol and its figures; `unknown` counts populations that could not be decided."""

    protocol: Protocol
    figures: Mapping[str, Figure]
    draws: int
    unknown: int

    def mean(self, metric: str) -> float:
        """Mean of a figure, NaN where undefined."""
        value = self.figures[metric].mean
        return float("nan") if value is None else value


def play(protocol: Protocol, population: Population, *, node_budget: int = 20_000) -> Outcomes:
    """Solve the induced game of every draw and score it. Nothing is scored at a profile that is not an equilibrium,
    but for `face_value_tau`, which says what the board would show if nobody reacted.
    """
    game = protocol.induce(population)
    solved = solve_pure(game, node_budget=node_budget)
    band = band_of_rank(protocol.tiers.partition(game.n))
    order = game.tie_order if game.ties is TieRule.QUALITY else None
    published = published_ranks(*solved.scores(), order, band)
    at_free = published_ranks(*game.scores(game.free_effort()), order, band)
    exists = solved.exists

    def when_pure(values: FloatArray) -> FloatArray:
        return np.where(exists, values, np.nan)

    pool = game.prizes.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        wasted = solved.paid.sum(axis=1) / pool
    values = {
        "kendall_tau": when_pure(kendall_tau_b(published, population.quality)),
        "top_one": when_pure(top_one_correct(published, population.quality)),
        "pure_share": exists.astype(np.float64),
        "margin": solved.margin,
        "tempted": (solved.developer_margin < -solved.tolerance[:, None]).sum(axis=1).astype(np.float64),
        "wasted_effort": when_pure(np.where(pool > 0, wasted, np.nan)),
        "designer_cost": protocol.cost(population),
        "face_value_tau": kendall_tau_b(at_free, population.quality),
    }
    return Outcomes(protocol, values, solved)


def summarise(values: FloatArray, *, reason: str = "") -> Figure:
    """Mean and standard error over draws, leaving out undefined (NaN) ones; infinite means stay infinite."""
    defined = values[~np.isnan(values)]
    if not len(defined):
        return Figure(None, None, 0, reason or "undefined in every draw")
    if not np.all(np.isfinite(defined)):
        finite = defined[np.isfinite(defined)]
        mean = float(defined.mean()) if len(finite) == 0 else float(finite.mean())
        note = f"{len(defined) - len(finite)} of {len(defined)} draws unbounded (no deviation gains a prize), left out"
        return Figure(mean if len(finite) else None, _stderr(finite), len(finite), note)
    return Figure(float(defined.mean()), _stderr(defined), len(defined))


def _stderr(values: FloatArray) -> float | None:
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None


def scorecard(outcomes: Outcomes) -> Scorecard:
    """The figures of one protocol."""
    without = "no population with a pure equilibrium"
    reasons = {"kendall_tau": without, "top_one": without, "wasted_effort": without}
    if outcomes.equilibrium.exists.any():
        reasons = {
            "kendall_tau": "the whole board is tied",
            "wasted_effort": "the prize pool is not positive",
        }
    return Scorecard(
        protocol=outcomes.protocol,
        figures={m: summarise(outcomes.values[m], reason=reasons.get(m, "the whole board is tied")) for m in METRICS},
        draws=len(outcomes.equilibrium.codes),
        unknown=int((~outcomes.equilibrium.exists & ~outcomes.equilibrium.absent).sum()),
    )


def paired_difference(one: Outcomes, other: Outcomes, metric: str) -> Figure:
    """Mean of `one` - `other` over the draws in which both are defined, with the standard error of the pairs."""
    a, b = one.values[metric], other.values[metric]
    both = np.isfinite(a) & np.isfinite(b)
    if not both.any():
        return Figure(None, None, 0, "no draw in which both are defined")
    return summarise(a[both] - b[both])


def compare(
    protocols: Sequence[Protocol], population: Population, *, node_budget: int = 20_000
) -> tuple[Outcomes, ...]:
    """Outcomes of several protocols on the same draws."""
    return tuple(play(p, population, node_budget=node_budget) for p in protocols)
