"""`truerank compare`: protocols on the same draws, with paired differences to the first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from designer.protocol import Protocol
from designer.scorecard import METRICS, Figure, Outcomes, Scorecard, compare, paired_difference, scorecard
from designer.search import Progress
from followers.population import Population
from followers.prior import RosterPrior
from solvers.certificate import to_json

__all__ = ["Comparison", "card_document", "compare_document", "compare_protocols"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Scorecards by name, and the differences of each to the first."""

    names: tuple[str, ...]
    cards: tuple[Scorecard, ...]
    differences: tuple[Mapping[str, Figure], ...]
    draws: int
    seed: int
    developers: int


def compare_protocols(
    named: Sequence[tuple[str, Protocol]],
    population: Population,
    *,
    draws: int,
    seed: int,
    progress: Progress | None = None,
) -> Comparison:
    """Score every protocol on the same draws around a population."""
    drawn = RosterPrior().draw(population, draws, np.random.default_rng(seed))
    outcomes: list[Outcomes] = []
    for k, (_, protocol) in enumerate(named):
        if progress is not None:
            progress(k, len(named))
        outcomes += compare([protocol], drawn)
    return Comparison(
        names=tuple(name for name, _ in named),
        cards=tuple(scorecard(o) for o in outcomes),
        differences=tuple({m: paired_difference(o, outcomes[0], m) for m in METRICS} for o in outcomes[1:]),
        draws=draws,
        seed=seed,
        developers=population.n,
    )


def card_document(card: Scorecard) -> dict[str, Any]:
    """A scorecard as JSON; undefined figures are null with a reason."""
    return {"draws": card.draws, "unknown": card.unknown, **{m: to_json(f) for m, f in card.figures.items()}}


def compare_document(comparison: Comparison) -> dict[str, Any]:
    """A comparison as JSON."""
    return {
        "scorecards": {n: card_document(c) for n, c in zip(comparison.names, comparison.cards, strict=True)},
        "differences_to": comparison.names[0],
        "differences": {
            n: {m: to_json(f) for m, f in d.items()}
            for n, d in zip(comparison.names[1:], comparison.differences, strict=True)
        },
        "draws": comparison.draws,
        "developers": comparison.developers,
        "seed": comparison.seed,
        "metrics": dict(METRICS),
    }
