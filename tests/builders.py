"""Short ways to write the games that tests are about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from designer.prizes import Prizes
from designer.protocol import Protocol
from followers.costs import PowerCost
from followers.curves import Exponential, GeneralizedLogit, Linear, ScoreCurve
from followers.game import LeaderboardGame, TieRule
from solvers.pure import PureEquilibrium, solve_pure


def row(*values: float) -> np.ndarray:
    return np.array(values, dtype=float)


def game_of(
    curve: ScoreCurve,
    prizes: Sequence[float],
    *,
    start: Any = 0.0,
    cap: Any = np.inf,
    scale: Any = 1.0,
    exponent: Any = 1.0,
    free: Any = 0.0,
    fee: Any = 0.0,
    ties: TieRule = TieRule.QUALITY,
    order: Sequence[int] | None = None,
) -> LeaderboardGame:
    n = len(prizes)

    def spread(x: Any) -> np.ndarray:
        return np.broadcast_to(np.asarray(x, dtype=float), (n,)).copy()

    return LeaderboardGame(
        curve=curve,
        cost=PowerCost(spread(scale), spread(exponent), spread(free), spread(fee)),
        head_start=spread(start)[None],
        effort_cap=spread(cap)[None],
        prizes=np.array([prizes], dtype=float),
        ties=ties,
        tie_order=np.array([range(n) if order is None else order]),
    )


def logit(lower: Any, upper: Any, intercept: Any, slope: Any) -> GeneralizedLogit:
    return GeneralizedLogit(*(np.asarray(x, dtype=float) for x in (lower, upper, intercept, slope)))


def exponential(lower: Any, upper: Any, rate: Any) -> Exponential:
    return Exponential(*(np.asarray(x, dtype=float) for x in (lower, upper, rate)))


def linear(lower: Any, rate: Any) -> Linear:
    return Linear(*(np.asarray(x, dtype=float) for x in (lower, rate)))


def reciprocal(theta: Any) -> GeneralizedLogit:
    """v(e) = 1 - 1 / (2 + e + theta), written in the paper's family: lower = theta / (1 + theta), upper = 1, slope 1.

    (The reciprocal of 2 + theta + e with 1/A + 1 = 2 + theta, A = exp(intercept); the rise is A.)
    """
    theta = np.asarray(theta, dtype=float)
    return logit(theta / (1 + theta), np.ones_like(theta), -np.log1p(theta), np.ones_like(theta))


def efforts_of(result: PureEquilibrium) -> set[tuple[float, ...]]:
    return {tuple(np.round(p.efforts, 9).tolist()) for p in result.all_profiles(0)}


def solve(game: LeaderboardGame, **options: Any) -> PureEquilibrium:
    return solve_pure(game, **options)


def winner_takes(*prizes: float) -> Protocol:
    return Protocol(prizes=Prizes(values=prizes))


@st.composite
def logit_games(draw: st.DrawFn, n: tuple[int, int] = (2, 6), free: bool = False, fee: bool = False) -> LeaderboardGame:
    """Generalized-logit games without C1-C3: floors, ceilings, intercepts and slopes in any order."""
    seed = draw(st.integers(0, 2**32 - 1))
    size = draw(st.integers(*n))
    ties = draw(st.sampled_from(list(TieRule)))
    rng = np.random.default_rng(seed)
    lower = rng.uniform(0.0, 0.5, size)
    curve = logit(lower, lower + rng.uniform(0.05, 0.5, size), rng.normal(-2, 2, size), rng.uniform(0.3, 2.5, size))
    return game_of(
        curve,
        np.sort(rng.uniform(0, 1, size))[::-1],
        start=rng.choice([0.0, 5.0, 100.0]) + rng.choice([0.0, 3.0], size),
        scale=10.0 ** rng.uniform(-3, -0.5, size),
        exponent=rng.choice([1.0, 1.5, 2.0], size),
        free=rng.choice([0.0, 1.0, 4.0], size) if free else 0.0,
        fee=rng.choice([0.0, 0.1], size) if fee else 0.0,
        ties=ties,
        order=rng.permutation(size).tolist(),
    )
