"""Exhaustive check of small leaderboard games on an effort grid; shares no code with the solvers.

Games are drawn so that everything a pure equilibrium can rest on lies on the grid: curves are tables with knots at
whole steps, where the score stays or rises by one level of a short list (so ties and flat stretches abound, and a
level is only ever met at a knot), and caps, free efforts and head starts are whole steps. Then the continuum is
decided by whole steps and a hair above them; half steps are there for equilibria that the theory does not expect.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator

from followers.costs import PowerCost
from followers.game import LeaderboardGame, TieRule
from followers.tabulated import tabulate

HAIR = 1e-7
STEPS = 4


@dataclass(frozen=True)
class SmallGame:
    seed: int
    tables: tuple[tuple[float, ...], ...]
    head_start: tuple[int, ...]
    scale: tuple[float, ...]
    exponent: tuple[float, ...]
    free: tuple[float, ...]
    fee: tuple[float, ...]
    cap: tuple[float, ...]
    prizes: tuple[float, ...]
    order: tuple[int, ...]
    ties: TieRule

    def game(self) -> LeaderboardGame:
        steps = list(range(len(self.tables[0])))
        cost = PowerCost(*(np.array(x) for x in (self.scale, self.exponent, self.free, self.fee)))
        return LeaderboardGame(
            curve=tabulate([(steps, t) for t in self.tables]),
            cost=cost,
            head_start=np.array([self.head_start], dtype=float),
            effort_cap=np.array([self.cap]),
            prizes=np.array([self.prizes]),
            ties=self.ties,
            tie_order=np.array([self.order]),
        )


def draw(seed: int, ties: TieRule, n: int | None = None) -> SmallGame:
    rng = np.random.default_rng([seed, list(TieRule).index(ties)])
    n = int(rng.integers(2, 5)) if n is None else n
    rises = rng.choice([0.0, 0.25], (n, STEPS), p=[0.4, 0.6])
    start = rng.choice([0.0, 0.25, 0.5], n)
    tables = tuple(
        tuple((s + np.concatenate([[0.0], np.cumsum(r)])).tolist()) for s, r in zip(start, rises, strict=True)
    )
    kind = rng.random()
    special = 0.15 if kind < 0.3 else 0.5
    prizes = np.sort(rng.choice([0.0, 0.3, 0.6, 1.0], n))[::-1]
    if rng.random() < 0.2:
        tables = (tables[0],) * n  # everybody alike: the most ties
    return SmallGame(
        seed=seed,
        tables=tables,
        head_start=tuple(int(x) for x in rng.integers(0, 3, n)),
        scale=tuple(rng.choice([0.055, 0.11, 0.23, 0.47, 1.3], n).tolist()),
        exponent=tuple(rng.choice([1.0, 2.0], n).tolist()),
        free=tuple(np.where(rng.random(n) < special, rng.integers(0, 3, n), 0).astype(float).tolist()),
        fee=tuple(np.where(rng.random(n) < special, rng.choice([0.07, 0.35], n), 0.0).tolist()),
        cap=tuple(np.where(rng.random(n) < special, rng.integers(0, 4, n), np.inf).tolist()),
        prizes=tuple(prizes.tolist()),
        order=tuple(rng.permutation(n).tolist()),
        ties=ties,
    )


class Exhaustive:
    """Every grid profile of a small game, and whether any deviation (grid, or a hair above it) gains."""

    def __init__(self, small: SmallGame, fine: int = 2) -> None:
        self.small, self.n = small, len(small.tables)
        self.curves = [PchipInterpolator(np.arange(len(t)), t) for t in small.tables]
        self.held = [self._efforts(i, 2 if self.n < 4 else 1, hair=False) for i in range(self.n)]
        self.tried = [self._efforts(i, fine, hair=True) for i in range(self.n)]

    def _efforts(self, i: int, fine: int, *, hair: bool) -> np.ndarray:
        top = min(self.small.cap[i], STEPS + 1)
        grid = np.linspace(0, top, round(top * fine) + 1) if top > 0 else np.zeros(1)
        if hair:
            grid = np.unique(np.concatenate([grid, np.minimum(grid + HAIR, self.small.cap[i])]))
        return grid

    def score(self, i: int, efforts: np.ndarray) -> np.ndarray:
        position = np.minimum(np.asarray(efforts) + self.small.head_start[i], STEPS)
        value = self.curves[i](position)
        table, k = np.array(self.small.tables[i]), np.round(position).astype(int)
        return np.where(position == k, table[k], value)

    def cost(self, i: int, efforts: np.ndarray) -> np.ndarray:
        s = self.small
        paid = s.scale[i] * np.maximum(efforts - s.free[i], 0) ** s.exponent[i]
        return paid + np.where(efforts > 0, s.fee[i], 0.0)

    def prize(self, i: int, own: np.ndarray, rivals: np.ndarray) -> np.ndarray:
        """Prize of i at scores (..., 1) against rival scores (..., n); the entry of i itself is ignored."""
        s, others = self.small, [k for k in range(self.n) if k != i]
        over = sum((rivals[..., k] > own).astype(int) for k in others)
        tied = sum((rivals[..., k] == own).astype(int) for k in others)
        if s.ties is TieRule.QUALITY:
            over = over + sum(((rivals[..., k] == own) & (s.order[k] < s.order[i])).astype(int) for k in others)
            return np.array(s.prizes)[over]
        total = np.concatenate([[0.0], np.cumsum(s.prizes)])
        return (total[over + tied + 1] - total[over]) / (tied + 1)

    def gains(self) -> np.ndarray:
        """Largest gain of anybody at every grid profile, shape (len(held[0]), ..., len(held[n-1]))."""
        scores = [self.score(i, self.held[i]) for i in range(self.n)]
        shape = tuple(len(h) for h in self.held)
        mesh = np.stack(np.meshgrid(*scores, indexing="ij"), axis=-1)
        worst = np.full(shape, -np.inf)
        for i in range(self.n):
            along = [1] * self.n
            along[i] = shape[i]
            now = self.prize(i, mesh[..., i], mesh) - self.cost(i, self.held[i]).reshape(along)
            own, paid = self.score(i, self.tried[i]), self.cost(i, self.tried[i])
            rivals = np.take(mesh, [0], axis=i)  # own entry does not matter
            best = np.full(rivals.shape[:-1], -np.inf)
            for s, c in zip(own, paid, strict=True):
                best = np.maximum(best, self.prize(i, np.full(best.shape, s), rivals) - c)
            worst = np.maximum(worst, best - now)
        return worst

    def equilibria(self, tol: float = 1e-6) -> list[tuple[float, ...]]:
        found = np.argwhere(self.gains() <= tol)
        return [tuple(float(self.held[i][k]) for i, k in enumerate(row)) for row in found]

    def largest_gain_at(self, efforts: np.ndarray, scores: np.ndarray) -> float:
        """Largest gain at any profile, over a fine grid; `scores` are what the efforts stand for."""
        worst = -np.inf
        for i in range(self.n):
            now = self.prize(i, scores[i], scores) - self.cost(i, np.asarray(efforts[i]))
            tried = np.unique(np.concatenate([self.tried[i], np.linspace(0, min(self.small.cap[i], STEPS + 1), 401)]))
            prizes = self.prize(i, self.score(i, tried), np.broadcast_to(scores, (len(tried), self.n)))
            worst = max(worst, float(np.max(prizes - self.cost(i, tried) - now)))
        return worst


def all_profiles(exhaustive: Exhaustive) -> itertools.product:
    return itertools.product(*exhaustive.held)
