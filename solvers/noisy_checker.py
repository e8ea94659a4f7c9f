"""The independent check of a noisy game's certificate: Gaussian sums over a fine grid of scores; no solver code."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from followers.arrays import FloatArray
from followers.game import LeaderboardGame
from solvers.absence import Check
from solvers.board import Board
from solvers.certificate import Status
from solvers.claims import NoisyCertificate

__all__ = ["check_noisy", "expected_by_count"]

_BLUR = 1e-6
"""Share of R_1 - R_n that the checker allows: its sums over scores are exact to about this."""
_MOST_POINTS = 20_000


def expected_by_count(below: FloatArray, i: int, prizes: FloatArray) -> FloatArray:
    """Expected prize (P,) of developer i when each rival j is below with probability below[:, j] (P, n), by counting.

    The distribution of the number of rivals above is built up rival by rival.
    """
    points, n = below.shape
    chance = np.zeros((points, n))
    chance[:, 0] = 1.0
    for j in (j for j in range(n) if j != i):
        over = (1.0 - below[:, j])[:, None]
        shifted = np.concatenate([np.zeros((points, 1)), chance[:, :-1]], axis=1)
        chance = chance * (1.0 - over) + shifted * over
    return np.asarray(chance @ prizes)


def check_noisy(game: LeaderboardGame, certificate: NoisyCertificate, *, grid: int = 801) -> tuple[Check, ...]:
    """Efforts allowed, utilities as stated, and no effort on a grid, nor near its best points, that gains."""
    board = Board(game)
    efforts = np.array(certificate.efforts)
    good = len(efforts) == board.n and bool(np.all((efforts >= 0) & (efforts <= board.cap) & np.isfinite(efforts)))
    allowed = Check("efforts within caps", good, f"{len(efforts)} efforts for {board.n} developers")
    if not good:
        return (allowed,)
    if certificate.status is Status.UNKNOWN:
        return (allowed, Check("no claim is made", True, f"largest gain found {max(certificate.gains):.3g}"))
    stop = board.affordable(beyond=float(board.penalty.max()))
    shares = np.unique(np.concatenate([np.linspace(0, 1, grid // 2), np.geomspace(1e-7, 1, grid - grid // 2)]))
    tried = shares[:, None] * stop
    utilities, gain = np.empty(board.n), 0.0
    for i in range(board.n):
        payoff = _payoffs_of(board, efforts, i)
        utilities[i] = payoff(efforts[i : i + 1])[0]
        found = payoff(tried[:, i])
        best = np.argsort(-found)[:3]
        near = np.linspace(tried[np.maximum(best - 1, 0), i], tried[np.minimum(best + 1, len(tried) - 1), i], 41)
        found = np.append(found, payoff(near.ravel()))
        gain = max(gain, float(found.max() - utilities[i]))
    off = float(np.abs(utilities - np.array(certificate.utilities)).max())
    # sums of n doubles lose some last digits of the prizes themselves: all there is where every prize is the same
    slack = _BLUR * board.span + 4 * board.n * float(np.finfo(np.float64).eps * np.abs(board.prizes).max())
    return (
        allowed,
        Check("utilities as stated", off <= slack, f"largest difference {off:.3g}"),
        Check(
            f"no effort on a grid of {len(shares)} gains",
            gain <= slack,  # whatever tolerance the certificate states
            f"largest gain {gain:.3g}, tolerance {slack:.3g}",
        ),
    )


def _payoffs_of(board: Board, efforts: FloatArray, i: int) -> Callable[[FloatArray], FloatArray]:
    """Expected utility of developer i as a function of its efforts (m,), rivals holding theirs."""
    from scipy.special import ndtr

    noise = board.game.noise
    assert noise is not None
    score = board.scores(efforts)[0]
    scale = noise.scale(score)
    own = board.scores(np.stack([np.zeros(board.n), board.affordable(beyond=float(board.penalty.max()))]))[0][:, i]
    spreads = noise.scale(np.linspace(own.min(), own.max(), 101))
    positive = np.concatenate([scale[scale > 0], spreads[spreads > 0]])
    least = float(positive.min()) if len(positive) else 1e-3
    low = min(own.min(), score.min()) - 8.0 * float(spreads.max())
    high = max(own.max(), score.max()) + 8.0 * float(spreads.max())
    y = np.linspace(low, high, int(min(_MOST_POINTS, np.ceil((high - low) / (least / 3.0)) + 1)))
    with np.errstate(divide="ignore", invalid="ignore"):
        z = (y[:, None] - score) / scale
    below = np.where(np.isnan(z), board.order[i] < board.order, ndtr(z))
    worth, lost = expected_by_count(below, i, board.prizes), expected_by_count(below, i, board.penalty)

    def payoff(tried: FloatArray) -> FloatArray:
        full = np.repeat(efforts[None], len(tried), axis=0)
        full[:, i] = tried
        at = board.scores(full)[0][:, i]
        spread = noise.scale(at)[:, None]
        cost = board.costs(full)[:, i]
        with np.errstate(divide="ignore", invalid="ignore"):
            weight = np.exp(-0.5 * ((y - at[:, None]) / spread) ** 2)
        weight = weight / weight.sum(axis=1, keepdims=True)
        result = weight @ worth - board.flagged(i, at) * (weight @ lost) - cost
        sure = spread[:, 0] == 0
        if sure.any():
            result[sure] = np.interp(at[sure], y, worth) - cost[sure]
        return np.asarray(result)

    return payoff
