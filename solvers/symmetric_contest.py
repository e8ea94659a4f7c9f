"""Contests of identical developers for any prizes: the symmetric mixed equilibrium in closed form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from followers.arrays import FloatArray, above
from followers.game import LeaderboardGame
from solvers.contest_payoffs import check_exact_single, obstacle, score_costs
from solvers.quadrature import integral

__all__ = ["SymmetricEquilibrium", "expected_prize", "identical_developers", "symmetric_equilibrium"]

_GRID = 257
_SAME = 1e-12
_BISECTIONS = 60  # from [0, 1] to below the spacing of doubles near one


def expected_prize(prizes: FloatArray, share: Any) -> FloatArray:
    """E[R(rank)] - R_n where each of the n - 1 rivals is below with probability `share` (any shape); prize units.

    sum_r (R_r - R_{r+1}) P(at least n - r rivals below): a polynomial in the share, rising from 0 to R_1 - R_n.
    """
    from scipy.special import betainc

    n = len(prizes)
    rank = np.arange(1, n)
    steps = prizes[:-1] - prizes[1:]
    # P(Bin(n-1, x) >= n-r) is the incomplete beta function I_x(n-r, r)
    return np.asarray((steps * betainc(n - rank, rank, np.asarray(share, dtype=np.float64)[..., None])).sum(axis=-1))


def identical_developers(game: LeaderboardGame) -> str:
    """Which developer of a single game differs from the first, and in what; empty where none does.

    Scores and costs are compared to a relative 1e-12 at 257 efforts up to the most that any prize could pay for.
    """
    top = game.worthwhile_effort()
    who = np.arange(2, game.n + 1)
    cap = np.minimum(game.effort_cap, game.cost.affordable(game.prize_span[:, None]))
    efforts = np.concatenate([[0.0], float(top.max()) * np.geomspace(1e-6, 1.0, _GRID - 1)])[:, None, None]
    facts = {
        "effort cap": cap,
        "score": game.scores(efforts)[0][:, 0],
        "cost": np.broadcast_to(game.cost.cost(efforts), (_GRID, 1, game.n))[:, 0],
    }
    for name, values in facts.items():
        scale = np.abs(values).max(axis=1, keepdims=True)
        wrong = (np.abs(values[:, 1:] - values[:, :1]) > _SAME * scale).any(axis=0)
        if wrong.any():
            return f"the {name} of developer {who[wrong][0]} differs from that of developer 1"
    return ""


@dataclass(frozen=True, slots=True)
class SymmetricEquilibrium:
    """Everybody mixes alike: F(s) solves E[R(rank) | F] - R_n = C(s), so that every score pays R_n.

    Attributes
    ----------
    game : the game, B = 1.
    support : (lowest, highest) score.
    payoff : R_n, prize units: all of the prizes above the last is spent on effort.
    expected_cost : of each developer, by quadrature, prize units.
    expected_effort : of each developer, by quadrature, the free effort included; steps.
    """

    game: LeaderboardGame
    support: tuple[float, float]
    payoff: float
    expected_cost: float
    expected_effort: float

    def cdf(self, score: Any, tail: Any = 0.0) -> FloatArray:
        """Probability that a developer's score is at most `score` + `tail`; the shape of `score`."""
        game = self.game
        span = float(game.prize_span[0])
        cost = np.minimum(score_costs(game, score, tail)[..., 0], span)
        low, high = np.zeros(cost.shape), np.ones(cost.shape)
        for _ in range(_BISECTIONS):
            middle = 0.5 * (low + high)
            less = expected_prize(game.prizes[0], middle) < cost
            low, high = np.where(less, middle, low), np.where(less, high, middle)
        # by comparing scores: the CDF may be so steep at the ends that the last digit of a cost matters
        score = np.asarray(score, dtype=np.float64)
        start, start_tail = (x[0, 0] for x in game.scores(game.free_effort()))
        reach, reach_tail = (x[0, 0] for x in game.scores(game.worthwhile_effort()))
        mixed = np.where(above(reach, reach_tail, score, tail), high, 1.0)
        return np.where(above(score, tail, start, start_tail), mixed, 0.0)

    def quantile(self, probability: Any) -> tuple[FloatArray, FloatArray]:
        """Scores (two floats) below which a developer stays with probabilities (...,); the inverse of `cdf`."""
        efforts = _efforts(self.game, np.asarray(probability, dtype=np.float64))
        score, tail = self.game.scores(efforts[..., None, None])
        return score[..., 0, 0], tail[..., 0, 0]


def _efforts(game: LeaderboardGame, probability: FloatArray) -> FloatArray:
    """Effort that costs what the expected prize is worth at a quantile, same shape."""
    amount = expected_prize(game.prizes[0], probability)[..., None, None]
    return np.asarray(np.broadcast_to(game.cost.affordable(amount), (*probability.shape, 1, game.n))[..., 0, 0])


def symmetric_equilibrium(game: LeaderboardGame) -> SymmetricEquilibrium:
    """The symmetric equilibrium of n identical developers with any non-increasing prizes.

    With one prize V it is F(s) = (C(s) / V)^(1 / (n - 1)). It is the only symmetric one; with three developers or more
    others exist, in which some stay out (Baye, Kovenock & de Vries 1996, for one prize).

    Raises
    ------
    ValueError : more than one game; noise, a score grid or audits; equal prizes; developers that differ; costs that
        are not continuous and strictly rising in the score, each with what was found.

    References
    ----------
    Baye, Kovenock & de Vries (1996), The all-pay auction with complete information, Economic Theory 8(2), for one
    prize; Glazer & Hassin (1988), Optimal contests, Economic Inquiry 26(1), for several; Barut & Kovenock (1998),
    European Journal of Political Economy 14(4).
    """
    check_exact_single(game)
    differing = identical_developers(game)
    if differing:
        raise ValueError(f"contest: {differing}; the symmetric equilibrium is one of identical developers")
    top, span = game.worthwhile_effort(), float(game.prize_span[0])
    highest = tuple(float(x[0, 0]) for x in game.scores(top))
    reason = obstacle(game, *highest)
    if reason:
        raise ValueError(f"contest: {reason}")
    most = float(top[0, 0])
    effort = integral(lambda p: _efforts(game, p) / most, [0.0, 1.0]) * most

    def share_spent(p: FloatArray) -> FloatArray:
        paid = game.cost.cost(_efforts(game, p)[:, None, None])
        return np.asarray(np.broadcast_to(paid, (len(p), 1, game.n))[:, 0, 0]) / span

    return SymmetricEquilibrium(
        game=game,
        support=(float(game.scores(game.free_effort())[0][0, 0]), highest[0]),
        payoff=float(game.prizes[0, -1]),
        expected_cost=integral(share_spent, [0.0, 1.0]) * span,
        expected_effort=effort,
    )
