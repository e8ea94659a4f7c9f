"""Payoffs of the noisy game: rank probabilities by quadrature over a developer's own noise (DESIGN section 3).

Given the score a developer is observed with, each rival is below it with a Gaussian probability, the rivals above are a
Poisson-binomial count, and the developer's own noise is integrated out. The quadrature is the trapezoidal rule, which
for Gaussian integrands converges faster than any power of its step, also where rivals' noise is smaller than one's own
(near a score of 0 or 1), where Gauss-Hermite nodes fall between the rivals' steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from followers.arrays import FloatArray, IntArray
from followers.game import LeaderboardGame
from followers.measurement import Noise
from solvers.rank_kernels import board_rewards, expected_prizes_and_slopes, smoothed_rewards

__all__ = ["NoisyBoard", "PayoffRows", "noise_of", "noise_rule", "observe", "payoff_rows", "scan_payoffs"]

_REACH = 7.5
"""Standard deviations integrated over: beyond them lie 1e-13."""
_MOST_NODES = 401
_CHUNK_CELLS = 4_000_000
_MOST_POINTS = 40_000
_ROOT_TWO_PI = float(np.sqrt(2.0 * np.pi))


def noise_of(game: LeaderboardGame) -> Noise:
    """The game's noise; ValueError where there is none."""
    if game.noise is None:
        raise ValueError("noisy: the game has no noise; use solve_pure, solve_rounded or solve_mixed")
    return game.noise


def noise_rule(ratio: float) -> tuple[FloatArray, FloatArray]:
    """Nodes in standard deviations and weights summing to one; `ratio` is the least noise over the largest.

    The step h = min(0.6, 0.9 ratio) leaves an error of about exp(-2 pi^2 ratio^2 / h^2) < 1e-10.
    """
    count = int(min(_MOST_NODES, 2 * np.ceil(_REACH / min(0.6, 0.9 * max(ratio, 1e-9))) + 1))
    nodes = np.linspace(-_REACH, _REACH, count)
    weights = np.exp(-0.5 * nodes**2)
    return nodes, np.asarray(weights / weights.sum())


@dataclass(frozen=True, slots=True)
class NoisyBoard:
    """What rivals look like at a profile of efforts, all (B, n).

    score, scale : mean and standard deviation of the observed score. nodes, weights : the quadrature rule (Q,).
    """

    efforts: FloatArray
    score: FloatArray
    scale: FloatArray
    nodes: FloatArray
    weights: FloatArray


def observe(game: LeaderboardGame, efforts: FloatArray) -> NoisyBoard:
    """The board at efforts (B, n)."""
    noise = noise_of(game)
    score = np.ascontiguousarray(np.broadcast_to(game.scores(efforts)[0], game.head_start.shape))
    scale = noise.scale(score)
    everywhere = np.stack([scale, *(noise.scale(game.scores(e)[0]) for e in (0.0, game.worthwhile_effort()))])
    positive = everywhere[everywhere > 0]
    ratio = float(positive.min() / positive.max()) if len(positive) else 1.0
    return NoisyBoard(efforts, score, scale, *noise_rule(ratio))


def _below(y: FloatArray, score: FloatArray, scale: FloatArray, wins_tie: Any) -> tuple[FloatArray, FloatArray]:
    """Probability that an observed score N(score, scale) lies below y, and its derivative by y.

    What is certain to 1e-16 is made exactly so. Scores without noise decide ties by `wins_tie`.
    """
    from scipy.special import ndtr

    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        z = (y - score) / scale
        density = np.where(scale > 0, np.exp(-0.5 * z**2) / (_ROOT_TWO_PI * scale), 0.0)
    below = ndtr(z)
    below[below < 1e-16] = 0.0
    return np.where(np.isnan(z), wins_tie, below), density


@dataclass(frozen=True, slots=True)
class PayoffRows:
    """Payoffs of developers i[m] of games b[m] at some effort of theirs, (M,).

    value : expected utility, prize units. slope : its derivative by the own effort, prize units per step, between the
    steps of an audit's power. by_rival : (M, n), derivative of the slope of the expected *reward* in score by the score
    of each rival, and by the own score at its own place; empty unless asked for. rise : score per step at the effort.
    """

    value: FloatArray
    slope: FloatArray
    by_rival: FloatArray
    rise: FloatArray
    per_score: FloatArray


def payoff_rows(
    game: LeaderboardGame, board: NoisyBoard, b: IntArray, i: IntArray, efforts: FloatArray, *, curvature: bool = False
) -> PayoffRows:
    """Expected utility (M,) of developer i[m] of game b[m] at its effort efforts[m], rivals standing as on the board.

    `curvature` also asks for the second derivatives. With the own score s, noise sigma(s), x = (y - s) / sigma, and V
    the expected reward at the observed score y, V_j its derivative by P(j below y): d/ds E[f] =
    E[f (x + sigma' (x^2 - 1))] / sigma moves every derivative onto the own Gaussian: V and V_j are all that is needed.
    """
    noise = noise_of(game)
    tried = board.efforts.copy()
    tried[b, i] = efforts

    def own(values: FloatArray) -> FloatArray:
        return np.broadcast_to(values, tried.shape)[b, i]

    score, flagged = own(game.scores(tried)[0]), own(game.flagged(tried))
    rise = own(game.curve.derivative(game.head_start + tried))
    nodes, weights, n = board.nodes, board.weights, game.n
    penalty = game.penalty
    audited = bool(np.any(penalty != 0) and np.any(flagged != 0))
    value, per_score = np.empty(len(b)), np.empty(len(b))
    by_rival = np.zeros((len(b), n) if curvature else (0, n))
    chunk = max(1, _CHUNK_CELLS // (len(nodes) * n))
    for start in range(0, len(b), chunk):
        at = slice(start, start + chunk)
        bb, ii = b[at], i[at]
        scale, change = noise.scale(score[at])[:, None], noise.scale_slope(score[at])[:, None]
        y = (score[at, None] + scale * nodes)[:, :, None]
        rival, spread = board.score[bb][:, None, :], board.scale[bb][:, None, :]
        order = game.tie_order[bb]
        wins = (order[np.arange(len(bb)), ii][:, None] < order)[:, None, :]
        below, density = _below(y, rival, spread, wins)
        reward, slope = _rewards(game, below, bb, ii, flagged[at] if audited else None, penalty)
        by_y = (slope * density).sum(axis=2)
        value[at] = reward @ weights
        per_score[at] = (by_y * (1.0 + change * nodes)) @ weights
        if curvature:
            with np.errstate(divide="ignore", invalid="ignore"):
                onto = np.where(scale > 0, (nodes + change * (nodes**2 - 1.0)) / scale, 0.0) * weights
                lean = np.where(spread > 0, (y - rival) / spread, 0.0) * noise.scale_slope(rival)
            moved = -slope * density * (1.0 + lean)
            by_rival[at] = np.einsum("mq,mqj->mj", onto, moved)
            by_rival[np.arange(start, start + len(bb)), ii] = (onto * by_y * (1.0 + change * nodes)).sum(axis=1)
    marginal, cost = own(game.cost.marginal(tried)), own(game.cost.cost(tried))
    return PayoffRows(value - cost, per_score * rise - marginal, by_rival, rise, per_score)


def _rewards(
    game: LeaderboardGame,
    below: FloatArray,
    b: IntArray,
    i: IntArray,
    flagged: FloatArray | None,
    penalty: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Expected reward (M, Q) and its slopes (M, Q, n) for `below` (M, Q, n)."""
    rows, count, n = below.shape
    flat, who, which = below.reshape(-1, n), np.repeat(i, count), np.repeat(np.arange(rows), count)
    value, slope = expected_prizes_and_slopes(flat, who, np.ascontiguousarray(game.prizes[b]), which)
    if flagged is not None:
        loss, by_rival = expected_prizes_and_slopes(flat, who, np.ascontiguousarray(penalty[b]), which)
        caught = np.repeat(flagged, count)
        value, slope = value - caught * loss, slope - caught[:, None] * by_rival
    return value.reshape(rows, count), slope.reshape(rows, count, n)


def scan_payoffs(game: LeaderboardGame, board: NoisyBoard, efforts: FloatArray) -> FloatArray:
    """Expected utilities at efforts (G, B, n) against the board, (G, B, n), to some 1e-5 of the prize span.

    Tabulates what each observed score is worth once per game, on a grid finer than any noise, and interpolates.
    """
    noise = noise_of(game)
    score = np.broadcast_to(game.scores(efforts)[0], efforts.shape)
    scale = noise.scale(score)
    result = -np.broadcast_to(game.cost.cost(efforts), efforts.shape)
    flagged, penalty = game.flagged(efforts), game.penalty
    for b in range(game.batch):
        low = min(float((score[:, b] - _REACH * scale[:, b]).min()), float(board.score[b].min()))
        high = max(float((score[:, b] + _REACH * scale[:, b]).max()), float(board.score[b].max()))
        fine = board.scale[b][board.scale[b] > 0]
        spacing = (float(fine.min()) if len(fine) else 1e-3) / 5.0
        points = int(np.clip(np.ceil((high - low) / spacing) + 5, 32, _MOST_POINTS))
        y = np.linspace(low, high, points)
        below, _ = _below(y[:, None], board.score[b], board.scale[b], 0.5)
        step = float(y[1] - y[0])
        shape = (low, step, score[:, b], scale[:, b], board.nodes, board.weights)
        worth = smoothed_rewards(board_rewards(below, game.prizes[b]), *shape)
        if np.any(penalty[b] != 0):
            worth = worth - flagged[:, b] * smoothed_rewards(board_rewards(below, penalty[b]), *shape)
        result[:, b] += worth
    return result
