"""Payoffs of the noisy game: what developers expect at a profile of efforts, and by leaving it (DESIGN section 3).

Given the score a developer is observed with, each rival is below it with a Gaussian probability, the rivals above are a
Poisson-binomial count, and the developer's own noise is integrated out (`solvers.noise_kernels`). Here efforts become
scores, noise and costs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from followers.arrays import FloatArray, IntArray
from followers.game import LeaderboardGame
from followers.measurement import Noise
from solvers.noise_kernels import profile_payoffs, single_payoffs
from solvers.noise_scans import scan_rewards

__all__ = [
    "EffortTable",
    "NoisyBoard",
    "PayoffRows",
    "effort_table",
    "noise_of",
    "observe",
    "payoff_rows",
    "profile",
    "scan_payoffs",
    "scan_table",
]


def noise_of(game: LeaderboardGame) -> Noise:
    """The game's noise; ValueError where there is none."""
    if game.noise is None:
        raise ValueError("noisy: the game has no noise; use solve_pure, solve_rounded or solve_mixed")
    return game.noise


@dataclass(frozen=True, slots=True)
class NoisyBoard:
    """What rivals look like at a profile of efforts, all (B, n).

    score, scale : mean and standard deviation of the observed score. change, bend : first and second derivative of the
    latter by the former.
    """

    efforts: FloatArray
    score: FloatArray
    scale: FloatArray
    change: FloatArray
    bend: FloatArray


def _whole(game: LeaderboardGame, values: FloatArray) -> FloatArray:
    return np.ascontiguousarray(np.broadcast_to(values, game.head_start.shape))


def observe(game: LeaderboardGame, efforts: FloatArray) -> NoisyBoard:
    """The board at efforts (B, n)."""
    noise = noise_of(game)
    score = _whole(game, game.scores(efforts)[0])
    scale, change = noise.scale(score), noise.scale_slope(score)
    bend = np.zeros_like(score)
    if noise.items:  # (sigma^2)'' = -2 / items
        with np.errstate(divide="ignore", invalid="ignore"):
            bend = np.where(scale > 0, -(1.0 / noise.items + change**2) / scale, 0.0)
    return NoisyBoard(efforts, score, scale, change, bend)


@dataclass(frozen=True, slots=True)
class PayoffRows:
    """Payoffs of all developers at a profile, (B, n), or of developers i[m] of games b[m] at an effort of theirs, (M,).

    value : expected utility, prize units. slope : its derivative by the own effort, prize units per step, between the
    steps of an audit's power. rise : score per step at the effort. per_score : slope of the expected reward by the own
    score. by_rival : derivatives of per_score by every score, (B, n, n), empty unless asked for.
    """

    value: FloatArray
    slope: FloatArray
    rise: FloatArray
    per_score: FloatArray
    by_rival: FloatArray


def _stakes(game: LeaderboardGame) -> tuple[FloatArray, FloatArray]:
    """Prizes and penalties beyond those of the last rank, (B, n): what everybody gets needs no quadrature."""
    return tuple(np.ascontiguousarray(x - x[:, -1:]) for x in (game.prizes, game.penalty))  # type: ignore[return-value]


def _for_sure(game: LeaderboardGame, flagged: FloatArray) -> FloatArray:
    """What `_stakes` leaves out, (..., B, n)."""
    return np.asarray(game.prizes[:, -1:] - flagged * game.penalty[:, -1:])


def profile(game: LeaderboardGame, board: NoisyBoard, *, curvature: bool = False) -> PayoffRows:
    """Everybody's payoff at the profile of the board; `curvature` also asks for the second derivatives."""
    flagged = _whole(game, game.flagged(board.efforts))
    value, per_score, by_rival = profile_payoffs(
        board.score, board.scale, board.change, board.bend, *_stakes(game), flagged, game.tie_order, curvature
    )
    rise = _whole(game, game.curve.derivative(game.head_start + board.efforts))
    slope = per_score * rise - game.cost.marginal(board.efforts)
    value = value + _for_sure(game, flagged) - game.cost.cost(board.efforts)
    return PayoffRows(value, slope, rise, per_score, by_rival)


def payoff_rows(game: LeaderboardGame, board: NoisyBoard, b: IntArray, i: IntArray, efforts: FloatArray) -> PayoffRows:
    """Payoff (M,) of developer i[m] of game b[m] at its effort efforts[m], rivals standing as on the board."""
    noise = noise_of(game)
    tried = board.efforts.copy()
    tried[b, i] = efforts

    def own(values: FloatArray) -> FloatArray:
        return np.broadcast_to(values, tried.shape)[b, i]

    score, caught = own(game.scores(tried)[0]), game.flagged(tried)
    flagged, sure = own(caught), own(_for_sure(game, caught))
    rise = own(game.curve.derivative(game.head_start + tried))
    value, per_score = single_payoffs(
        b, i, score, noise.scale(score), noise.scale_slope(score), flagged, board.score, board.scale, *_stakes(game),
        game.tie_order,
    )  # fmt: skip
    marginal, cost = own(game.cost.marginal(tried)), own(game.cost.cost(tried))
    return PayoffRows(value + sure - cost, per_score * rise - marginal, rise, per_score, np.zeros((0, 0, 0)))


@dataclass(frozen=True, slots=True)
class EffortTable:
    """Efforts worth a look and what they lead to whatever rivals do, all (G, B, n), non-decreasing along G."""

    effort: FloatArray
    score: FloatArray
    scale: FloatArray
    cost: FloatArray
    flagged: FloatArray


def effort_table(game: LeaderboardGame, efforts: FloatArray) -> EffortTable:
    """The table of efforts (G, B, n)."""
    score = np.ascontiguousarray(np.broadcast_to(game.scores(efforts)[0], efforts.shape))
    cost = np.ascontiguousarray(np.broadcast_to(game.cost.cost(efforts), efforts.shape))
    flagged = np.ascontiguousarray(np.broadcast_to(game.flagged(efforts), efforts.shape))
    return EffortTable(efforts, score, noise_of(game).scale(score), cost, flagged)


def scan_table(game: LeaderboardGame, board: NoisyBoard, table: EffortTable) -> tuple[FloatArray, FloatArray]:
    """Expected utilities at the efforts of a table against the board, (G, B, n), and how exact they are, (B,).

    The second is a share of the prize span: 1e-5, or more than all of it where a score is certain or noises differ too
    much.
    """
    rewards, fine = scan_rewards(table.score, table.scale, table.flagged, board.score, board.scale, *_stakes(game))
    return rewards + _for_sure(game, table.flagged) - table.cost, np.where(fine, 1e-5, 4.0)


def scan_payoffs(game: LeaderboardGame, board: NoisyBoard, efforts: FloatArray) -> FloatArray:
    """Expected utilities at efforts (G, B, n) against the board, (G, B, n), to some 1e-5 of the prize span."""
    return scan_table(game, board, effort_table(game, efforts))[0]
