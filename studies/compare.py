"""`truerank compare`: protocols, named or from files, on the same draws; which is better, and how sure that is."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from designer.comparison import Verdict, judge
from designer.practice import Practice, named, read
from designer.protocol import Protocol
from designer.scorecard import (
    LARGER_IS_BETTER,
    METRICS,
    Figure,
    Outcomes,
    Scorecard,
    paired_difference,
    play,
    scorecard,
)
from designer.search import Progress
from followers.errors import InputError
from followers.population import Population
from followers.prior import RosterPrior
from solvers.certificate import to_json
from studies.files import fit, read_protocol

__all__ = [
    "ALL",
    "Comparison",
    "Entrant",
    "card_document",
    "compare_document",
    "compare_protocols",
    "comparison_rows",
    "known_figure",
    "practice_document",
    "read_entrants",
]

ALL = "all"
"""What stands for the whole library of named protocols on the command line."""


@dataclass(frozen=True, slots=True)
class Entrant:
    """A protocol to compare; `practice` is its entry in the library, None where it comes from a file.

    `optional` : it may be left out, by name, where it does not fit the population.
    """

    name: str
    protocol: Protocol
    practice: Practice | None = None
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """Scorecards by name, the differences of each to the first, and the verdict on one figure.

    `left_out` : protocols that were not compared, with the reason.
    """

    entrants: tuple[Entrant, ...]
    cards: tuple[Scorecard, ...]
    differences: tuple[Mapping[str, Figure], ...]
    verdict: Verdict
    draws: int
    seed: int
    developers: int
    left_out: Mapping[str, str]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the protocols compared, in the order given."""
        return tuple(e.name for e in self.entrants)


def read_entrants(
    names: Sequence[str], *, practice: bool = False, skip: bool | None = None
) -> tuple[list[Entrant], dict[str, str]]:
    """Protocols by name or file, and the files left out with the reason.

    `all` among the names, or `practice`, stands for the rest of the library. skip : whether protocols that cannot be
    read or do not fit are left out; None leaves out only those of the library that nobody named.
    """
    asked = [name for name in names if name != ALL]
    for name in asked:
        if asked.count(name) > 1:
            raise InputError(f"compare: {name} is named twice; every protocol once")
    swept = [name for name in named() if name not in asked] if practice or ALL in names else []
    at = names.index(ALL) if ALL in names else len(asked)
    listed = [(name, False) for name in asked]
    listed[at:at] = [(name, True) for name in swept]
    if not listed:
        raise InputError(
            f"compare: no protocol; give protocol files or names ({', '.join(named())}), or --practice for all of these"
        )
    entrants, left_out = [], {}
    for name, unasked in listed:
        try:
            entrants.append(_read(name, optional=unasked if skip is None else skip))
        except InputError as error:
            if not skip:
                raise
            left_out[name] = str(error)
    return entrants, left_out


def _read(name: str, *, optional: bool) -> Entrant:
    path = Path(name)
    if name not in named() and (path.suffix.lower() in {".toml", ".json"} or path.exists()):
        return Entrant(name, read_protocol(path), None, optional)
    practice = read(name)
    return Entrant(name, practice.protocol, practice, optional)


def known_figure(figure: str) -> str:
    """The figure, once it is known to be one."""
    if figure not in METRICS:
        near = difflib.get_close_matches(figure, METRICS, n=1)
        guess = f"; did you mean {near[0]!r}?" if near else ""
        raise InputError(f"--figure {figure}: no such figure; figures are {', '.join(METRICS)}{guess}")
    return figure


def compare_protocols(
    entrants: Sequence[Entrant],
    population: Population,
    *,
    draws: int,
    seed: int,
    figure: str = "kendall_tau",
    level: float = 0.95,
    node_budget: int = 20_000,
    left_out: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Score every protocol on the same draws around a population, and compare them in one figure.

    node_budget : nodes that the search for equilibria may visit in each draw; beyond it the draw is undecided.
    left_out : protocols that could not be read, with the reason, for the record.

    Whether all protocols fit is known before the first is solved. Raises InputError, which names it, for one that
    does not and is not optional, or where none is left.
    """
    rng = np.random.default_rng(seed)
    drawn = RosterPrior().draw(population, draws, rng)
    missing = dict(left_out or {})
    fitting = []
    for entrant in entrants:
        try:
            fit(entrant.protocol, population, entrant.name)
            fit(entrant.protocol, drawn, f"{entrant.name}: on {draws} draws of the population")
        except InputError as error:
            if not entrant.optional:
                raise
            missing[entrant.name] = str(error)
        else:
            fitting.append(entrant)
    if not fitting:
        raise InputError(f"compare: no protocol is left to compare; {'; '.join(missing.values())}")
    outcomes: list[Outcomes] = []
    for k, entrant in enumerate(fitting):
        if progress is not None:
            progress(k, len(fitting))
        outcomes.append(play(entrant.protocol, drawn, node_budget=node_budget))
    values = {e.name: o.values for e, o in zip(fitting, outcomes, strict=True)}
    return Comparison(
        entrants=tuple(fitting),
        cards=tuple(scorecard(o) for o in outcomes),
        differences=tuple({m: paired_difference(o, outcomes[0], m) for m in METRICS} for o in outcomes[1:]),
        verdict=judge(values, figure=figure, level=level, rng=rng),
        draws=draws,
        seed=seed,
        developers=population.n,
        left_out=missing,
    )


def card_document(card: Scorecard) -> dict[str, Any]:
    """A scorecard as JSON; undefined figures are null with a reason."""
    return {"draws": card.draws, "unknown": card.unknown, **{m: to_json(f) for m, f in card.figures.items()}}


def practice_document(practice: Practice) -> dict[str, Any]:
    """A named protocol as JSON: where it comes from, what is modelled, and the file's tables."""
    return {
        "name": practice.name,
        "title": practice.title,
        "source": practice.source,
        "url": practice.url,
        "modelled": practice.modelled,
        "not_modelled": practice.not_modelled,
        "sentence": practice.protocol.sentence(),
        **practice.protocol.document(),
    }


def compare_document(comparison: Comparison) -> dict[str, Any]:
    """A comparison as JSON."""
    verdict = comparison.verdict
    return {
        "scorecards": {n: card_document(c) for n, c in zip(comparison.names, comparison.cards, strict=True)},
        "differences_to": comparison.names[0],
        "differences": {
            n: {m: to_json(f) for m, f in d.items()}
            for n, d in zip(comparison.names[1:], comparison.differences, strict=True)
        },
        "comparison": {**to_json(verdict), "sentences": list(verdict.sentences())},
        "protocols": {
            e.name: practice_document(e.practice)
            if e.practice is not None
            else {"name": e.name, "sentence": e.protocol.sentence(), **e.protocol.document()}
            for e in comparison.entrants
        },
        "left_out": dict(comparison.left_out),
        "draws": comparison.draws,
        "developers": comparison.developers,
        "seed": comparison.seed,
        "metrics": dict(METRICS),
        "larger_is_better": dict(LARGER_IS_BETTER),
    }


def comparison_rows(comparison: Comparison) -> list[dict[str, Any]]:
    """One row per protocol and figure; intervals, places and tests stand in the rows of the figure compared."""
    verdict = comparison.verdict
    tests = {d.name: d for d in verdict.differences}
    paired = dict(zip(comparison.names[1:], comparison.differences, strict=True))
    rows = []
    for entrant, card, standing in zip(comparison.entrants, comparison.cards, verdict.standings, strict=True):
        for metric, found in card.figures.items():
            compared = metric == verdict.figure
            place, test = (standing.place, tests.get(entrant.name)) if compared else (None, None)
            beside = paired[entrant.name][metric] if entrant.name in paired else None
            row = {
                "protocol": entrant.name,
                "figure": metric,
                "larger_is_better": LARGER_IS_BETTER[metric],
                "mean": found.mean,
                "stderr": found.stderr,
                "draws": found.draws,
                "reason": found.reason,
                "difference_to_first": beside.mean if beside else None,
                "difference_stderr": beside.stderr if beside else None,
                "difference_draws": beside.draws if beside else None,
                "low": standing.figure.low if compared else None,
                "high": standing.figure.high if compared else None,
                "rank": place.rank if place else None,
                "rank_low": place.low if place else None,
                "rank_high": place.high if place else None,
                "expected_rank": place.expected if place else None,
                "best": place.best if place else None,
                "reference": verdict.reference if test else None,
                "difference": test.figure.mean if test else None,
                "difference_low": test.figure.low if test else None,
                "difference_high": test.figure.high if test else None,
                "pairs": test.figure.draws if test else None,
                "p": test.p if test else None,
                "holm": test.holm if test else None,
            }
            rows.append({k: "" if v is None else v for k, v in row.items()})
    return rows
