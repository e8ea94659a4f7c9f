"""The rankings that protocols publish, beside the true one; and the score curves behind them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from designer.prizes import band_of_rank
from designer.protocol import Protocol
from designer.ranking import published_ranks
from followers.arrays import FloatArray, IntArray
from followers.game import TieRule
from followers.population import Population
from solvers.inner import InnerAnswer

__all__ = ["Board", "Trajectories", "published_board", "trajectories", "true_order"]


@dataclass(frozen=True, slots=True)
class Board:
    """A published board.

    place : (n,), position of each developer from the top, from 1 (tied entries in the order of the tie rule).
    shown : (n,), rank as published, from 1: the first rank of its band or tied group. score : (n,), expected score.
    settled : whether it is the board of an equilibrium; else the one that is shown if nobody spends costly effort.
    """

    name: str
    place: IntArray
    shown: IntArray
    score: FloatArray
    settled: bool


def true_order(population: Population) -> IntArray:
    """Rank of each developer by true quality, from 1, (n,); equal qualities by position."""
    order = np.argsort(-population.quality[0], kind="stable")
    rank = np.empty(population.n, dtype=np.int64)
    rank[order] = np.arange(1, population.n + 1)
    return rank


def published_board(name: str, protocol: Protocol, answer: InnerAnswer) -> Board:
    """The board of a solved game (B = 1): at its equilibrium, or where none is known if nobody reacts."""
    game = answer.game
    band = band_of_rank(protocol.tiers.partition(game.n))
    ties = game.tie_order if game.ties is TieRule.QUALITY else None
    shown = published_ranks(answer.score, answer.tail, ties, band)[0]
    first = np.searchsorted(band, shown)  # bands are numbered from the top
    order = np.lexsort((game.tie_order[0], -answer.tail[0], -answer.score[0]))
    place = np.empty(game.n, dtype=np.int64)
    place[order] = np.arange(1, game.n + 1)
    return Board(name, place, np.asarray(first + 1), answer.score[0], bool(answer.exists[0]))


@dataclass(frozen=True, slots=True)
class Trajectories:
    """Score curves: steps (K,), score (K, n), and the budgets to mark, by name."""

    steps: FloatArray
    score: FloatArray
    marks: tuple[tuple[str, float], ...]


def trajectories(population: Population, marks: tuple[tuple[str, float], ...], points: int = 80) -> Trajectories:
    """Scores after 0 to twice the largest marked budget (at least 50,000) steps, on top of prior exposure."""
    end = max(50_000.0, 2.0 * max((steps for _, steps in marks), default=0.0))
    steps = np.concatenate([[0.0], np.geomspace(1.0, end, points - 1)])
    curve = population.curve.anchored(population.prior_exposure)
    score = np.stack([np.broadcast_to(curve.score(population.prior_exposure + s), (1, population.n))[0] for s in steps])
    return Trajectories(steps, score, marks)
