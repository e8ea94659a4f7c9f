"""Everything a report shows, computed before any of it is drawn."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from followers.arrays import IntArray
from followers.population import Population
from followers.prior import RosterPrior
from solvers.certificate import to_json
from solvers.checker import CheckReport, check
from solvers.inner import AnyCertificate, solve_inner
from studies.propose import Proposal, Row
from studies.report.audit_bars import AuditBars, audit_bars
from studies.report.boards import Board, Trajectories, published_board, trajectories, true_order
from studies.report.budget_margin import BudgetMargin, budget_margin
from studies.report.overtaking import Overtaking, overtaking
from studies.report.sensitivity import Importance, Turn, importances, turns

__all__ = ["Compared", "Findings", "canonical", "find"]

_DRAWS = (64, 8)
"""Draws on which sensitivities are scored, as many as the study up to this: fast games, and those solved one by one."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One protocol of the scorecards, solved anew on the population as stated, and what the checker says of it."""

    row: Row
    overtaking: Overtaking
    board: Board
    certificate: AnyCertificate
    checked: CheckReport


@dataclass(frozen=True, slots=True)
class Findings:
    """What the report shows."""

    proposal: Proposal
    truth: IntArray
    compared: tuple[Compared, ...]
    curves: Trajectories
    margins: BudgetMargin
    audits: AuditBars | None
    turns: tuple[Turn, ...]
    importances: tuple[Importance, ...]


def canonical(certificate: AnyCertificate) -> str:
    """The JSON text of a certificate whose SHA-256 is its `designer.evaluation.digest`: keys in order, ASCII."""
    return json.dumps(to_json(certificate), sort_keys=True)


def find(proposal: Proposal, *, prior: RosterPrior, progress: Callable[[int, int], None] | None = None) -> Findings:
    """Solve the compared protocols anew, and compute what the figures need. Deterministic given the proposal."""
    population = proposal.population
    chosen = proposal.result.nearest.protocol
    compared = tuple(_compared(row, population) for row in proposal.rows)
    marks = tuple((row.name, row.protocol.tune_steps) for row in proposal.rows if row.protocol.tune_steps > 0)
    many, few = (
        prior.draw(population, min(proposal.draws, most), np.random.default_rng([proposal.seed, 1])) for most in _DRAWS
    )
    return Findings(
        proposal=proposal,
        truth=true_order(population),
        compared=compared,
        curves=trajectories(population, marks),
        margins=budget_margin(population, chosen, prove=False),
        audits=audit_bars(population, chosen),
        turns=turns(many, few, chosen, proposal.result.trials, progress=progress),
        importances=importances(proposal.result.trials),
    )


def _compared(row: Row, population: Population) -> Compared:
    game = row.protocol.induce(population)
    answer = solve_inner(game)
    found = overtaking(game, answer)
    return Compared(
        row=row,
        overtaking=found,
        board=published_board(row.name, row.protocol, answer),
        certificate=found.certificate,
        checked=check(game, found.certificate),
    )
