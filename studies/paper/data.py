"""What the measurements add: agreement of rankings, crossings of neighbours, C1 to C3, budgets that never suffice."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np

from designer.prizes import Bands
from designer.protocol import Protocol
from designer.ranking import published_ranks
from followers.arrays import FloatArray
from followers.curves import GeneralizedLogit
from followers.errors import InputError
from followers.game import select
from followers.importers.csv_rows import read_rows
from followers.leaderboards import LeaderboardPrior
from followers.population import Population
from followers.prior import RosterPrior
from solvers.checker import check
from solvers.pure import solve_pure
from studies.paper.witness import Witness

__all__ = ["Agreement", "Neighbours", "TopK", "agreement", "bundled", "draws_of", "neighbours", "top_k"]


def bundled() -> Path:
    """The scores of 61 models on 24 tasks before and after tuning that come with truerank (MIT, lm-harmony)."""
    return Path(str(files("studies") / "data" / "direct_vs_tbt.csv"))


@dataclass(frozen=True, slots=True)
class Agreement:
    """Mean Kendall tau-b over pairs of tasks, of the rankings by direct and by tuned scores, and each pair's."""

    tasks: tuple[str, ...]
    models: int
    direct: float
    tuned: float
    pairs: tuple[tuple[str, str, float, float], ...]


def agreement(path: Path) -> Agreement:
    """From a table with columns task, model, direct, tbt, higher_is_better; tasks where less is better are left out."""
    from scipy.stats import kendalltau

    columns, rows = read_rows(path)
    missing = [c for c in ("task", "model", "direct", "tbt", "higher_is_better") if c not in columns]
    if missing:
        raise InputError(f"{path}: column {missing[0]!r} is missing; found {', '.join(sorted(columns))}")
    scores: dict[str, dict[str, tuple[float, float]]] = {}
    for row in rows:
        if row.text("higher_is_better") in {"1", "True", "true"}:
            own = scores.setdefault(row.text("task"), {})
            if row.model() in own:
                raise InputError(f"{row.where}: model {row.model()!r} is there twice for task {row.text('task')!r}")
            own[row.model()] = (row.number("direct"), row.number("tbt"))
    tasks = tuple(sorted(scores))
    pairs: list[tuple[str, str, float, float]] = []
    for a, b in itertools.combinations(tasks, 2):
        shared = sorted(scores[a].keys() & scores[b].keys())
        direct, tuned = (
            float(kendalltau([scores[a][m][k] for m in shared], [scores[b][m][k] for m in shared]).statistic)
            for k in (0, 1)
        )
        pairs.append((a, b, direct, tuned))
    models = len({m for own in scores.values() for m in own})
    means = np.array([p[2:] for p in pairs]).mean(axis=0)
    return Agreement(tasks, models, float(means[0]), float(means[1]), tuple(pairs))


@dataclass(frozen=True, slots=True)
class Neighbours:
    """How often the paper's conditions hold among developers next to each other in quality.

    crossing: share of neighbours whose curves meet on the measured steps (C1 fails). shrinking: share whose catch-up
    effort falls somewhere as the budget grows (C3 fails). bent: share of curves that are S-shaped (C2 fails). spread:
    standard deviations of these over draws of the population; zero for the population as measured.
    """

    population: str
    crossing: float
    shrinking: float
    bent: float
    spread: tuple[float, float, float] = (0.0, 0.0, 0.0)


def _shares(curve: GeneralizedLogit, quality: FloatArray, last: float) -> tuple[float, float, float]:
    """Of one population, parameters (n,)."""
    order = np.argsort(-quality, kind="stable")
    own = GeneralizedLogit(curve.lower[order], curve.upper[order], curve.intercept[order], curve.slope[order])
    budgets = np.concatenate([[0.0], np.geomspace(1.0, last, 200)])
    score, tail = own.score_pair(budgets[:, None])
    crossing = np.any(score[:, :-1] <= score[:, 1:], axis=0)
    behind = GeneralizedLogit(*(getattr(own, k)[1:] for k in ("lower", "upper", "intercept", "slope")))
    need = np.maximum(behind.effort_to_reach(score[:, :-1], tail[:, :-1]) - budgets[:, None], 0.0)
    highest = np.maximum.accumulate(need, axis=0)
    with np.errstate(invalid="ignore"):
        falls = np.any(np.isfinite(need) & (need < highest - 1e-9 * (1 + budgets[:, None])), axis=0)
    return float(crossing.mean()), float(falls.mean()), float(1 - own.is_concave().mean())


def _single(population: Population, b: int) -> tuple[GeneralizedLogit, FloatArray]:
    curve = population.curve
    assert isinstance(curve, GeneralizedLogit)
    names = ("lower", "upper", "intercept", "slope")
    shape = population.quality.shape
    return GeneralizedLogit(*(np.broadcast_to(getattr(curve, k), shape)[b] for k in names)), population.quality[b]


def neighbours(name: str, population: Population, last: float) -> Neighbours:
    """The mean over the draws of a population (B >= 1) of generalized-logit curves; `last`: last measured step."""
    found = np.array([_shares(*_single(population, b), last) for b in range(population.batch)])
    crossing, shrinking, bent = map(float, found.mean(axis=0))
    spread = found.std(axis=0).tolist()
    return Neighbours(name, crossing, shrinking, bent, (spread[0], spread[1], spread[2]))


@dataclass(frozen=True, slots=True)
class TopK:
    """Share of populations for which no tuning budget stabilises the top k (published singly, the rest as one band).

    within: no budget up to the last measured step; ever: none up to 1e9 steps; truthful: none up to 1e9 steps at which
    a pure equilibrium also publishes the true top k in their true order. undecided: share with an UNKNOWN in between.
    witness: certifies the answer for the first draw at the last measured step, a sample of what was solved.
    """

    population: str
    k: int
    draws: int
    within: float
    ever: float
    truthful: float
    undecided: float
    witness: Witness


def top_k(
    name: str, population: Population, last: float, ks: Sequence[int] = (1, 3, 5, 10), steps: int = 40
) -> tuple[TopK, ...]:
    """By solving every draw at budgets 0 and 1 .. 1e9, `steps` of them log-spaced, the last measured step among them.

    Prizes are harmonic with first prize 1. A budget between two of the grid may do where neither does: shares of
    failures are upper bounds, as fine as the grid.
    """
    budgets = np.unique(np.concatenate([[0.0, last], np.geomspace(1.0, 1e9, steps)]))
    results = []
    for k in (k for k in ks if k < population.n):
        bands = Bands(top=k)
        exists = np.zeros((len(budgets), population.batch), dtype=bool)
        true, unknown = exists.copy(), exists.copy()
        ranking = np.argsort(np.argsort(-population.quality, axis=1, kind="stable"), axis=1)
        for d, budget in enumerate(budgets.tolist()):
            game = Protocol(tune_steps=budget, tiers=bands).induce(population)
            solved = solve_pure(game)
            exists[d] = solved.exists
            unknown[d] = ~solved.exists & ~solved.absent
            published = published_ranks(*solved.scores(), game.tie_order, np.minimum(np.arange(game.n), k))
            true[d] = exists[d] & np.all((published == np.minimum(ranking, k)), axis=1)
            if budget == last:
                sample, certificate, status = select(game, [0]), solved.certificate(0), solved.status(0)
                said = f"{name}, top {k}, first draw after {last:,.0f} steps"
                margin, passed = float(solved.margin[0]), check(sample, certificate).passed
                witness = Witness(said, status, status, margin, passed, certificate)
        results.append(
            TopK(
                population=name,
                k=k,
                draws=population.batch,
                within=float(np.mean(~exists[budgets <= last].any(axis=0))),
                ever=float(np.mean(~exists.any(axis=0))),
                truthful=float(np.mean(~true.any(axis=0))),
                undecided=float(np.mean((unknown.any(axis=0)) & ~exists.any(axis=0))),
                witness=witness,
            )
        )
    return tuple(results)


def draws_of(population: Population, last: float, draws: int, seed: int) -> dict[str, Population]:
    """The same developers drawn anew, and new leaderboards of 20 like them."""
    rng = np.random.default_rng(seed)
    return {
        "same developers": RosterPrior().draw(population, draws, rng),
        "20 like them": LeaderboardPrior.of(population, steps=last).draw(20, draws, rng),
    }
