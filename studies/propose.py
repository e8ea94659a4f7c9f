"""`truerank propose`: the recommended protocol beside direct evaluation and tune-before-test, and why."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from designer.domains import Domain, Range
from designer.goal import Goal
from designer.ledger import keep
from designer.problem import Problem
from designer.protocol import Protocol
from designer.scorecard import Outcomes, Scorecard, play, scorecard
from designer.search import (
    Evaluated,
    Progress,
    SearchResult,
    front_of,
    optimum_of,
    problem_of,
    result_of,
    workers_for,
)
from designer.space import default_space
from designer.warm_starts import TUNE_STEPS, WarmStart, warm_starts
from followers.population import Population
from followers.prior import RosterPrior
from solvers.certificate import to_json
from solvers.checker import CheckReport, check
from studies.compare import card_document

if TYPE_CHECKING:
    from studies.files import Study

__all__ = [
    "Kept",
    "Proposal",
    "Row",
    "conclude",
    "default_study",
    "make_proposal",
    "problem_of_study",
    "proposal_document",
]


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
    report: CheckReport | None
    sentence: str
    trials: int
    draws: int
    seed: int


@dataclass(frozen=True, slots=True)
class Kept:
    """Where a proposal is kept, and who works on it.

    study : file or URL of the stored study, None: nowhere. resume : whether to go on with one that has trials.
    workers : processes on this machine. cluster : "local", or the address of a Dask scheduler; None: none.
    """

    study: str | None = None
    resume: bool = False
    workers: int = 1
    cluster: str | None = None


def default_study() -> Study:
    """The embedded GSM8K population, with everything else at its default."""
    from studies.files import Study, read_population

    return Study(read_population("gsm8k"), None, Goal(), RosterPrior(), None, None, None)


def problem_of_study(study: Study) -> tuple[Problem, tuple[WarmStart, ...]]:
    """The design problem of a study file, and what its search starts from."""
    assert study.draws is not None and study.seed is not None
    space = study.space or default_space()
    starts = warm_starts(study.population, space)
    problem = problem_of(
        study.population,
        space=space,
        goal=study.goal,
        prior=study.prior,
        draws=study.draws,
        seed=study.seed,
        sampler=study.sampler or "auto",
        start_from=[s.protocol for s in starts if s.protocol is not None],
    )
    return problem, starts


def make_proposal(study: Study, *, kept: Kept | None = None, progress: Progress | None = None) -> Proposal:
    """Search, recommend, certify. Two thirds of the trials go to the goal, one third to the Pareto front."""
    assert study.trials is not None
    kept, trials = kept or Kept(), study.trials
    problem, starts = problem_of_study(study)
    first = [s.protocol for s in starts if s.protocol is not None]
    for_front = trials // 3

    def part(before: int) -> Progress | None:
        return None if progress is None else lambda k, _: progress(before + k, trials)

    with ExitStack() as stack:
        ledger = stack.enter_context(keep(kept.study, problem, resume=kept.resume)) if kept.study else None
        if ledger is not None:
            ledger.ask(trials)
        workforce = stack.enter_context(workers_for(problem, kept.workers, kept.cluster))
        tried = optimum_of(
            problem,
            trials - for_front,
            workforce,
            start_from=first,
            log=ledger.goal if ledger else None,
            progress=part(0),
        )
        front = front_of(
            problem,
            for_front,
            workforce,
            start_from=first,
            log=ledger.front if ledger else None,
            progress=part(trials - for_front),
        )
    return conclude(problem, tried, front, trials)


def conclude(problem: Problem, tried: Sequence[Evaluated], front: Sequence[Evaluated], trials: int) -> Proposal:
    """The proposal that trials lead to: protocols side by side on draws that no search has seen."""
    result = result_of(problem, tried, front)
    base = problem.space.base
    tuned = replace(base, tune_steps=_baseline_budget(problem.space.domains.get("tune_steps")))
    baselines = (("direct evaluation", replace(base, tune_steps=0.0)), ("tune-before-test", tuned))
    chosen = result.nearest
    fresh = problem.fresh()
    named = [*baselines, ("recommended" if result.best else "nearest miss", chosen.protocol)]
    rows = tuple(_row(name, protocol, problem.population, fresh) for name, protocol in named)
    report = None
    if chosen.certificate is not None:
        report = check(chosen.protocol.induce(problem.population), chosen.certificate)
    return Proposal(
        population=problem.population,
        rows=rows,
        result=result,
        front=_anew(result.front, problem, fresh),
        report=report,
        sentence=_why(rows, result),
        trials=trials,
        draws=problem.draws,
        seed=problem.seed,
    )


_SHOWN = 12
"""Protocols of a front that are scored anew."""


def _anew(front: Sequence[Evaluated], problem: Problem, fresh: Population) -> tuple[Evaluated, ...]:
    """Some protocols of a front, spread along it, with their figures on fresh draws."""
    picked = np.unique(np.linspace(0, len(front) - 1, min(_SHOWN, len(front))).round().astype(int)).tolist()
    found = []
    for e in (front[k] for k in picked):
        card = scorecard(play(e.protocol, fresh))
        gain = e.stated.gain if e.stated is not None else 0.0
        found.append(replace(e, scorecard=card, violations=problem.goal.violations(card, gain)))
    return tuple(found)


def _baseline_budget(domain: Domain | None) -> float:
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
        "checker": proposal.report and {"passed": proposal.report.passed, "summary": proposal.report.summary()},
        "population": {"developers": proposal.population.n, **proposal.population.provenance},
        "trials": proposal.trials,
        "draws": proposal.draws,
        "seed": proposal.seed,
        "versions": versions(),
    }
