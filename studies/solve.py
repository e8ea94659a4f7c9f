"""`truerank solve`: one game, its equilibria, certificate and the independent checker's verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from designer.prizes import band_of_rank
from designer.protocol import Protocol
from designer.ranking import kendall_tau_b, published_ranks
from followers.game import LeaderboardGame, TieRule
from followers.population import Population
from solvers.assumptions import Assumption, check_assumptions
from solvers.certificate import Certificate, Status, to_json
from solvers.checker import CheckReport, check
from solvers.pure import Profile, PureEquilibrium, solve_pure

__all__ = ["SolvedGame", "document", "solve_game"]


@dataclass(frozen=True, slots=True)
class SolvedGame:
    """A game and all that is known about its pure equilibria."""

    population: Population
    protocol: Protocol
    game: LeaderboardGame
    result: PureEquilibrium
    certificate: Certificate
    report: CheckReport
    assumptions: tuple[Assumption, ...]
    tau: float

    @property
    def status(self) -> Status:
        """EXISTS, ABSENT or UNKNOWN. A certificate that the checker rejects decides nothing."""
        return self.result.status(0) if self.report.passed else Status.UNKNOWN


def solve_game(
    population: Population, protocol: Protocol, *, find_all: bool = False, node_budget: int = 100_000
) -> SolvedGame:
    """Solve a single game, certify the answer, and have the independent checker verify the certificate."""
    game = protocol.induce(population)
    result = solve_pure(game, node_budget=node_budget, find_all=find_all)
    certificate = result.certificate(0)
    order = game.tie_order if game.ties is TieRule.QUALITY else None
    published = published_ranks(*result.scores(), order, band_of_rank(protocol.tiers.partition(game.n)))
    return SolvedGame(
        population=population,
        protocol=protocol,
        game=game,
        result=result,
        certificate=certificate,
        report=check(game, certificate),
        assumptions=check_assumptions(game, population.quality[0], population.names),
        tau=float(kendall_tau_b(published, population.quality)[0]),
    )


def equilibrium_document(game: LeaderboardGame, profile: Profile) -> dict[str, Any]:
    """Efforts, scores, ranks (1 is first; tied entries under `split` share the best), prizes and utilities."""
    order = game.tie_order if game.ties is TieRule.QUALITY else None
    ranks = published_ranks(profile.score[None], profile.tail[None], order, np.arange(game.n))[0]
    prizes = np.array([game.prizes[0][r : r + int((ranks == r).sum())].mean() for r in ranks])
    return {
        "efforts": to_json(profile.efforts),
        "scores": to_json(profile.score),
        "ranks": to_json(ranks + 1),
        "prizes": to_json(prizes),
        "utilities": to_json(prizes - profile.paid),
    }


def document(solved: SolvedGame) -> dict[str, Any]:
    """The JSON object of DESIGN section 7; numbers that are undefined or infinite are null, with a note."""
    status, result = solved.status, solved.result
    exists = status is Status.EXISTS
    notes = [*solved.population.notes, *solved.certificate.notes]
    margin = solved.certificate.margin
    if not np.isfinite(margin):
        notes.append("stability_margin is unbounded: no deviation gains a prize or saves a cost")
    if exists and not np.isfinite(solved.tau):
        notes.append("kendall_tau is undefined: the whole board, or every quality, is tied")
    if not exists:
        notes.append("kendall_tau is null: no equilibrium ranking is known")
    if not solved.report.passed:
        notes.append(f"the independent checker rejects the certificate: {solved.report.summary()}")
    return {
        "status": status.value,
        "solution": "pure" if exists else "none",
        "unique": {1: True, 0: False, -1: None}[int(result.unique[0])] if exists else None,
        "developers": list(solved.population.names),
        "equilibria": [equilibrium_document(solved.game, p) for p in result.all_profiles(0)] if exists else [],
        "mixed": None,
        "stability_margin": to_json(margin),
        "kendall_tau": to_json(solved.tau) if exists else None,
        "method": result.method(0),
        "certificate": to_json(solved.certificate),
        "checker": {"passed": solved.report.passed, "checks": to_json(list(solved.report.checks))},
        "assumptions": {a.name: {"holds": a.holds, "witness": a.witness} for a in solved.assumptions},
        "notes": notes,
    }
