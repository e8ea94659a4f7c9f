"""Scoring a protocol on draws of a population, and comparing protocols on the same draws (DESIGN section 4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from designer.noisy_boards import averages_over_boards, drawn_errors
from designer.prizes import band_of_rank
from designer.protocol import Protocol
from designer.ranking import (
    expected_kendall_tau_b,
    expected_top_one,
    kendall_tau_b,
    published_ranks,
    top_one_correct,
)
from followers.arrays import FloatArray, IntArray
from followers.game import LeaderboardGame, TieRule
from followers.population import Population
from solvers.inner import InnerAnswer, solve_inner
from solvers.standings import noisy_above, noisy_first

__all__ = [
    "LARGER_IS_BETTER",
    "METRICS",
    "Figure",
    "Outcomes",
    "Scorecard",
    "paired_difference",
    "play",
    "scorecard",
    "summarise",
    "summary",
]

METRICS: Mapping[str, str] = {
    "kendall_tau": "Kendall tau-b of published vs true ranking, populations with a pure equilibrium",
    "top_one": "share whose published winner is truly best, populations with a pure equilibrium",
    "pure_share": "share of populations with a pure equilibrium",
    "margin": "stability margin at the equilibrium (none with noise), else minus the largest gain (prize units)",
    "tempted": "developers who gain by leaving the free-effort profile (with noise: the best candidate)",
    "wasted_effort": "developers' total cost / prize pool, populations with a pure equilibrium",
    "designer_cost": "tuning steps x billions of parameters",
    "audits": "audits expected per round",
    "face_value_tau": "Kendall tau-b if nobody spent costly effort, all populations",
}
"""The figures of a scorecard and what they mean."""

LARGER_IS_BETTER: Mapping[str, bool] = {
    "kendall_tau": True,
    "top_one": True,
    "pure_share": True,
    "margin": True,
    "tempted": False,
    "wasted_effort": False,
    "designer_cost": False,
    "audits": False,
    "face_value_tau": True,
}
"""What "better" means for each figure of a scorecard (`designer.scorecard.METRICS`)."""

_UNDEFINED = "undefined in every draw"

_BOARDS = 400
"""Noisy boards drawn per population where expectations have no closed form."""


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
    equilibrium: InnerAnswer


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


def play(protocol: Protocol, population: Population, *, node_budget: int = 20_000, seed: int = 0) -> Outcomes:
    """Solve the induced game of every draw and score it. Nothing is scored at a profile that is not an equilibrium,
    but for `face_value_tau`, which says what the board would show if nobody reacted.

    With noise the ranking is random: its figures are expectations, exact where ranks are published singly, else means
    over boards drawn with `seed`.
    """
    game = protocol.induce(population)
    solved = solve_inner(game, node_budget=node_budget)
    exists = solved.exists
    free = np.asarray(game.free_effort())
    band = band_of_rank(protocol.tiers.partition(game.n))
    quality = population.quality
    tau, top_one = _shown(
        game, band, quality, solved.score, solved.tail, np.where(exists[:, None], solved.efforts, free), seed
    )
    if game.noise is None and not np.any(exists[:, None] & (solved.efforts != free)):
        face_value = tau  # nobody reacts, so the board shown is the one at face value
    else:
        face_value, _ = _shown(game, band, quality, *game.published(free), free, seed)

    def when_pure(values: FloatArray) -> FloatArray:
        return np.where(exists, values, np.nan)

    pool = game.prizes.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        wasted = solved.paid.sum(axis=1) / pool
    values = {
        "kendall_tau": when_pure(tau),
        "top_one": when_pure(top_one),
        "pure_share": exists.astype(np.float64),
        "margin": solved.margin,
        "tempted": solved.tempted.sum(axis=1).astype(np.float64),
        "wasted_effort": when_pure(np.where(pool > 0, wasted, np.nan)),
        "designer_cost": protocol.cost(population),
        "audits": np.full(game.batch, float(sum(protocol.audit.probability))),
        "face_value_tau": face_value,
    }
    return Outcomes(protocol, values, solved)


def _shown(
    game: LeaderboardGame,
    band: IntArray,
    quality: FloatArray,
    score: FloatArray,
    tail: FloatArray,
    efforts: FloatArray,
    seed: int,
) -> tuple[FloatArray, FloatArray]:
    """(Expected) tau-b and share of correct winners of the boards published at scores or noisy efforts (B, n)."""
    if game.noise is None:
        order = game.tie_order if game.ties is TieRule.QUALITY else None
        published = published_ranks(score, tail, order, band)
        return kendall_tau_b(published, quality), top_one_correct(published, quality)
    if band[-1] == game.n - 1:  # every rank is published singly
        first = noisy_first(game, efforts)
        return expected_kendall_tau_b(noisy_above(game, efforts), quality), expected_top_one(first, quality)
    mean = np.broadcast_to(game.scores(efforts)[0], efforts.shape)
    errors = drawn_errors(seed, (_BOARDS, *efforts.shape))
    return averages_over_boards(errors, mean, game.noise.scale(mean), game.tie_order, band, quality)


def summarise(values: FloatArray, *, reason: str = "") -> Figure:
    """Mean and standard error over draws, leaving out undefined (NaN) ones; infinite means stay infinite."""
    return _figures(values[None], [reason or _UNDEFINED])[0]


def _figures(values: FloatArray, reasons: Sequence[str]) -> list[Figure]:
    """`summarise` for figures (M, B), with the reason why each is undefined if it is."""
    from designer.summary_kernels import moments

    counts = np.empty((len(values), 2), dtype=np.int64)
    means, errors = np.empty(len(values)), np.empty(len(values))
    moments(np.require(values, np.float64, ["C", "W"]), counts, means, errors)
    figures = []
    rows = zip(counts.tolist(), means.tolist(), errors.tolist(), reasons, strict=True)
    for (defined, finite), mean, error, reason in rows:
        if not defined:
            figures.append(Figure(None, None, 0, reason))
            continue
        note, stderr = "", error if finite > 1 else None
        if finite < defined:
            note = f"{defined - finite} of {defined} draws unbounded (no deviation gains a prize), left out"
        figures.append(Figure(mean if finite else None, stderr, finite, note))
    return figures


def scorecard(outcomes: Outcomes) -> Scorecard:
    """The figures of one protocol."""
    return summary(outcomes.protocol, outcomes.values, outcomes.equilibrium.codes)


def summary(protocol: Protocol, values: Mapping[str, FloatArray], codes: IntArray) -> Scorecard:
    """The scorecard of per-draw figures, each (B,), and of the statuses (B,): 0 EXISTS, 1 ABSENT, 2 UNKNOWN."""
    without = "no population with a pure equilibrium"
    no_margin = "with noise payoffs are smooth and an equilibrium has no margin"
    reasons = {"kendall_tau": without, "top_one": without, "wasted_effort": without, "margin": no_margin}
    if (codes == 0).any():
        reasons = {
            "kendall_tau": "the whole board is tied",
            "wasted_effort": "the prize pool is not positive",
            "margin": no_margin,
        }
    stacked = np.stack([values[m] for m in METRICS])
    figures = _figures(stacked, [reasons.get(m, "the whole board is tied") for m in METRICS])
    return Scorecard(protocol, dict(zip(METRICS, figures, strict=True)), len(codes), int((codes == 2).sum()))


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
