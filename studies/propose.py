"""`truerank propose`: the recommended protocol beside direct evaluation and tune-before-test, and why."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from designer.protocol import Protocol
from designer.scorecard import Outcomes, Scorecard, play, scorecard
from designer.search import Evaluated, Progress, SearchResult, pareto_front, search
from designer.space import Choice, Range, default_space
from followers.population import Population
from solvers.certificate import to_json
from solvers.checker import CheckReport, check
from studies.compare import card_document

if TYPE_CHECKING:
    from studies.files import Study

__all__ = ["Proposal", "Row", "make_proposal", "proposal_document"]

TUNE_STEPS = 25_000.0
"""Tuning budget of the tune-before-test baseline: the length of the longest measured trajectories."""


@dataclass(frozen=True, slots=True)
class Row:
    """One protocol: on the population as stated, and on draws that the search has not seen."""

    name: str
    protocol: Protocol
    stated: Outcomes
    card: Scorecard
    tempted: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Proposal:
    """The outcome of a design: protocols side by side, the search behind it, the certificate and its check."""

    population: Population
    rows: tuple[Row, ...]
    result: SearchResult
    front: tuple[Evaluated, ...]
    report: CheckReport
    sentence: str
    trials: int
    draws: int
    seed: int


def make_proposal(study: Study, *, progress: Progress | None = None) -> Proposal:
    """Search, recommend, certify. Two thirds of the trials go to the goal, one third to the Pareto front."""
    assert study.trials is not None and study.draws is not None and study.seed is not None
    space = study.space or default_space()
    direct = replace(space.base, tune_steps=0.0)
    tuned = replace(space.base, tune_steps=_baseline_budget(space.domains.get("tune_steps")))
    baselines = (("direct evaluation", direct), ("tune-before-test", tuned))
    for_front = study.trials // 3
    done = 0

    def report_progress(k: int, _: int) -> None:
        if progress is not None:
            progress(done + k, study.trials or 0)

    result = search(
        study.population,
        space=space,
        goal=study.goal,
        prior=study.prior,
        trials=study.trials - for_front,
        draws=study.draws,
        seed=study.seed,
        start_from=[p for _, p in baselines],
        progress=report_progress,
    )
    done = study.trials - for_front
    front = result.front
    if for_front:
        front = pareto_front(
            study.population,
            space=space,
            goal=study.goal,
            prior=study.prior,
            trials=for_front,
            draws=study.draws,
            seed=study.seed,
            start_from=[e.protocol for e in result.front] + [p for _, p in baselines],
            progress=report_progress,
        )
    chosen = result.nearest
    # fresh draws: on those of the search the winner looks better than it is
    drawn = study.prior.draw(study.population, study.draws, np.random.default_rng([study.seed, 1]))
    named = [*baselines, ("recommended" if result.best else "nearest miss", chosen.protocol)]
    rows = tuple(_row(name, protocol, study.population, drawn) for name, protocol in named)
    game = chosen.protocol.induce(study.population)
    return Proposal(
        population=study.population,
        rows=rows,
        result=result,
        front=front,
        report=check(game, chosen.certificate),
        sentence=_why(rows, result),
        trials=study.trials,
        draws=study.draws,
        seed=study.seed,
    )


def _baseline_budget(domain: Range | Choice | None) -> float:
    return min(TUNE_STEPS, domain.high) if isinstance(domain, Range) else TUNE_STEPS


def _row(name: str, protocol: Protocol, stated: Population, drawn: Population) -> Row:
    outcomes = play(protocol, stated)
    solved = outcomes.equilibrium
    tempted = np.flatnonzero(solved.tempted[0])
    return Row(name, protocol, outcomes, scorecard(play(protocol, drawn)), tuple(stated.names[i] for i in tempted))


def _why(rows: tuple[Row, ...], result: SearchResult) -> str:
    direct, chosen = rows[0], rows[-1]
    n = direct.stated.equilibrium.game.n
    card = chosen.card
    if result.best is None:
        missed = ", ".join(k for k, v in result.nearest.violations.items() if v > 0)
        return f"No protocol tried meets the goal ({result.goal.sentence()}); the nearest misses {missed}."
    verb = "the cheapest" if result.goal.minimise else "the best"
    return (
        f"Under {direct.protocol.sentence()} {len(direct.tempted)} of {n} developers would spend effort to climb; "
        f"under {chosen.protocol.sentence()} {len(chosen.tempted) or 'none'} would, the equilibrium ranking agrees "
        f"with the true one at tau-b {card.mean('kendall_tau'):.3f}, {card.mean('pure_share'):.0%} of drawn "
        f"populations have a pure equilibrium, and it is {verb} protocol tried that met the goal in the search."
    )


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    packages = ("truerank", "numpy", "scipy", "numba", "optuna", "networkx")
    return {"python": platform.python_version(), **{p: version(p) for p in packages}}


def _row_document(row: Row) -> dict[str, Any]:
    solved = row.stated.equilibrium
    stated = {m: to_json(float(v[0])) for m, v in row.stated.values.items()}
    return {
        **row.protocol.document(),
        "sentence": row.protocol.sentence(),
        "stated_population": {
            "status": solved.status(0).value,
            **stated,
            "tempted_developers": list(row.tempted),
        },
    }


def proposal_document(proposal: Proposal) -> dict[str, Any]:
    """The proposal as JSON: recommended, baselines, scorecards, certificate, seed, versions."""
    best = proposal.result.best
    shown: Mapping[str, Any] = {row.name: _row_document(row) for row in proposal.rows}
    chosen = proposal.rows[-1].name
    return {
        "recommended": shown[chosen] if best else None,
        "nearest_miss": None if best else shown[chosen],
        "baselines": {name: doc for name, doc in shown.items() if name != chosen},
        "scorecards": {row.name: card_document(row.card) for row in proposal.rows},
        "pareto_front": [
            {"sentence": e.protocol.sentence(), "scorecard": card_document(e.scorecard)} for e in proposal.front
        ],
        "goal": proposal.result.goal.sentence(),
        "why": proposal.sentence,
        "certificate": to_json(proposal.result.nearest.certificate),
        "checker": {"passed": proposal.report.passed, "summary": proposal.report.summary()},
        "population": {"developers": proposal.population.n, **proposal.population.provenance},
        "trials": proposal.trials,
        "draws": proposal.draws,
        "seed": proposal.seed,
        "versions": versions(),
    }
