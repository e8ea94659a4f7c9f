"""Who is published where, once everybody plays: distributions of the published ranking (DESIGN section 4)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from followers.arrays import FloatArray, IntArray
from followers.game import LeaderboardGame
from solvers.levels import tie_nodes
from solvers.mixed import MixedEquilibrium
from solvers.noise_payoffs import noise_of, observe
from solvers.noise_ranks import first_places, rank_chances
from solvers.rank_kernels import expected_prizes

__all__ = ["Standing", "mixed_standing", "noisy_above", "noisy_first", "noisy_standing", "sample_mixed", "sample_noisy"]


@dataclass(frozen=True, slots=True)
class Standing:
    """The published ranking of one game as a random variable.

    above : (n, n), probability that i is published above j, by score and, where that decides, by the tie order.
    tied : (n, n), probability that i and j are published as equals.
    ranks : (n, n), probability that developer i is published at rank r (tied entries are spread over their ranks).
    """

    above: FloatArray
    tied: FloatArray
    ranks: FloatArray

    @property
    def strict(self) -> bool:
        """Whether ties are never published."""
        return not bool(np.any(self.tied > 0))


def noisy_above(game: LeaderboardGame, efforts: FloatArray) -> FloatArray:
    """Probability that i is observed above j at efforts (B, n), (B, n, n): Phi of the gap over the joint noise."""
    from scipy.special import ndtr

    score = np.broadcast_to(game.scores(efforts)[0], efforts.shape)
    scale = noise_of(game).scale(score)
    gap = score[:, :, None] - score[:, None, :]
    joint = np.hypot(scale[:, :, None], scale[:, None, :])
    with np.errstate(divide="ignore", invalid="ignore"):
        chance = ndtr(gap / joint)
    first = game.tie_order[:, :, None] < game.tie_order[:, None, :]
    chance = np.where(np.isnan(chance), first, chance)
    return np.where(np.eye(game.n, dtype=bool), 0.0, chance)


def noisy_first(game: LeaderboardGame, efforts: FloatArray) -> FloatArray:
    """Probability that each developer is observed first at efforts (B, n), (B, n)."""
    board = observe(game, efforts)
    return np.asarray(first_places(board.score, board.scale, game.tie_order))


def noisy_standing(game: LeaderboardGame, efforts: FloatArray) -> Standing:
    """Standing of a single noisy game (B = 1) at efforts (n,); exact pairs, ranks by quadrature."""
    board, n = observe(game, efforts[None]), game.n
    ranks = rank_chances(board.score[0], board.scale[0], game.tie_order[0])
    return Standing(noisy_above(game, efforts[None])[0], np.zeros((n, n)), ranks)


def _ranks(below: FloatArray, who: IntArray, weight: FloatArray, n: int) -> FloatArray:
    """Rank distribution (n, n) from rows of one developer each, with the weights of the rows."""
    result = np.zeros((n, n))
    for r in range(n):
        unit = np.zeros((1, n))
        unit[0, r] = 1.0
        chance = expected_prizes(below, who, unit, np.zeros(len(who), dtype=np.int64))
        np.add.at(result[:, r], who, weight * chance)
    return result


def mixed_standing(equilibrium: MixedEquilibrium) -> Standing:
    """Standing under a mixed profile: exact pairs; ranks by lots within cells and ties, exact for n developers."""
    level, mass = equilibrium.ladder.level, equilibrium.mass
    n = level.n
    before = np.cumsum(mass, axis=0) - mass
    share = np.full((n, n), 0.5)  # within a cell, and just above a score, all are alike
    wins = (level.order[:, None] < level.order[None, :]).astype(np.float64)
    at = ~level.spread
    tied = np.einsum("ei,ej->ij", mass[at], mass[at]) if level.split else np.zeros((n, n))
    above = np.einsum("ei,ej->ij", mass, before)
    above += share * np.einsum("ei,ej->ij", mass[level.spread], mass[level.spread])
    if not level.split:
        above += wins * np.einsum("ei,ej->ij", mass[at], mass[at])
    alike = np.eye(n, dtype=bool)
    above, tied = np.where(alike, 0.0, above), np.where(alike, 0.0, tied)
    e, i = np.nonzero(mass > 0)
    ranks = np.zeros((n, n))
    weights, lots = tie_nodes(n)
    for w, lot in zip(weights, lots, strict=True):
        beaten = np.where(level.spread[e, None] | level.split, lot, wins[i])
        below = np.clip(before[e] + beaten * mass[e], 0.0, 1.0)
        ranks += _ranks(below, i, w * mass[e, i], n)
    return Standing(above, tied, ranks)


def sample_noisy(game: LeaderboardGame, efforts: FloatArray, draws: int, rng: np.random.Generator) -> FloatArray:
    """Observed scores (draws, B, n) of noisy games at efforts (B, n)."""
    score = np.broadcast_to(game.scores(efforts)[0], efforts.shape)
    return np.asarray(score + noise_of(game).scale(score) * rng.standard_normal((draws, *score.shape)))


def sample_mixed(equilibrium: MixedEquilibrium, draws: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Positions on the ladder (draws, n), and lots in (0, 1) that order equals within a cell."""
    mass = equilibrium.mass
    cumulative = np.cumsum(mass, axis=0) / mass.sum(axis=0)
    u = rng.random((draws, mass.shape[1]))
    rung = (u[:, None, :] > cumulative[None]).sum(axis=1)
    spread = equilibrium.ladder.level.spread[np.minimum(rung, len(mass) - 1)]
    lots = np.where(spread, rng.random(rung.shape), 0.0)
    return rung.astype(np.float64), lots
