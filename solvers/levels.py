"""The level game: developers spread their effort over a common ladder of scores (DESIGN section 3).

A mixed strategy puts mass on levels, from the bottom. On a *spread* level the mass lies evenly over the scores since
the level before, on any other it lies exactly at the score. The game with rounded scores has no spread levels and is
represented without error; the deterministic game is approximated, to second order in the width of the cells.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from followers.arrays import BoolArray, FloatArray, IntArray
from solvers.rank_kernels import expected_prizes, expected_prizes_and_slopes

__all__ = ["LevelGame", "Payoffs", "cell_rewards", "level_payoffs", "tie_nodes"]


@dataclass(frozen=True, slots=True)
class LevelGame:
    """One game of n developers on E levels.

    Attributes
    ----------
    spread : (E,), whether mass on the level lies over the cell below it (else exactly at it).
    share : (E,), where in the cell of a spread level payoffs are taken: 0.5 the middle, which is the mean to second
        order, 1 the top; not used elsewhere.
    open : (E, n), where a developer may hold mass.
    cost : (E, n), cost of the level in prize units (of the top of its cell), anything where not open.
    flagged : (E, n), probability of being flagged once audited.
    prizes, penalty : (n,), per rank; a developer at rank r gets prizes_r - flagged * penalty_r - cost.
    split : whether mass exactly at the same level shares its prizes, else `order` (n,) decides: the smaller wins.
    """

    spread: BoolArray
    share: FloatArray
    open: BoolArray
    cost: FloatArray
    flagged: FloatArray
    prizes: FloatArray
    penalty: FloatArray
    split: bool
    order: IntArray

    @property
    def n(self) -> int:
        """Number of developers."""
        return int(self.open.shape[1])


@dataclass(frozen=True, slots=True)
class Payoffs:
    """Payoff of every developer at every level, (E, n), and its derivatives by rivals' masses, (E, n, n).

    `by_before[k, i, j]`: by the mass of j below level k; `by_mass[k, i, j]`: by the mass of j on level k.
    """

    value: FloatArray
    by_before: FloatArray
    by_mass: FloatArray


def tie_nodes(n: int) -> tuple[FloatArray, FloatArray]:
    """Weights and shares for split ties, exact for n developers.

    Sharing prizes among equals is drawing a lot: with my lot at x each tied rival is below with probability x, and the
    mean over x in [0, 1] of a polynomial of degree n - 1 is exact with ceil(n / 2) Gauss nodes.
    """
    x, weight = np.polynomial.legendre.leggauss((n + 1) // 2)
    return weight / 2.0, (x + 1.0) / 2.0


def _wins_tie(game: LevelGame) -> FloatArray:
    """(n, n), 1 where i wins a tie with j."""
    return np.asarray(game.order[:, None] < game.order[None, :], dtype=np.float64)


def level_payoffs(game: LevelGame, mass: FloatArray, *, slopes: bool = True) -> Payoffs:
    """Payoffs at every open level when rivals play `mass` (E, n); zero elsewhere.

    On a spread level it is the payoff at `share` of the way up its cell.
    """
    n, levels = game.n, len(game.spread)
    before = np.cumsum(mass, axis=0) - mass
    value = np.zeros((levels, n))
    by_before, by_mass = (np.zeros((levels, n, n) if slopes else (0, n, n)) for _ in range(2))
    ones = np.ones((1, n, n))
    kinds = [(game.spread, np.ones(1), ones, game.share)]
    exact = np.ones(levels)
    if game.split:
        weights, shares = tie_nodes(n)
        kinds.append((~game.spread, weights, shares[:, None, None] * ones, exact))
    else:
        kinds.append((~game.spread, np.ones(1), _wins_tie(game)[None], exact))
    for rows, weights, beaten, scale in kinds:
        k, i = np.nonzero(game.open & rows[:, None])
        for weight, wins in zip(weights, beaten, strict=True):
            share = wins[i] * scale[k][:, None]
            below = before[k] + share * mass[k]
            part, slope = _rewards(game, np.clip(below, 0.0, 1.0), k, i, slopes)
            value[k, i] += weight * part
            if slopes:
                by_before[k, i] += weight * slope
                by_mass[k, i] += weight * slope * share
    value[game.open] -= game.cost[game.open]
    return Payoffs(value, by_before, by_mass)


def _rewards(
    game: LevelGame, below: FloatArray, k: IntArray, i: IntArray, slopes: bool
) -> tuple[FloatArray, FloatArray]:
    """Expected prize less expected penalty per row (level k, developer i), and its slopes."""
    which = np.zeros(len(i), dtype=np.int64)
    audited = bool(np.any(game.penalty != 0) and np.any(game.flagged[game.open] != 0))
    if not slopes:
        value = expected_prizes(below, i, game.prizes[None], which)
        if audited:
            value = value - game.flagged[k, i] * expected_prizes(below, i, game.penalty[None], which)
        return value, np.empty(0)
    value, slope = expected_prizes_and_slopes(below, i, game.prizes[None], which)
    if audited:
        penalty, by_rival = expected_prizes_and_slopes(below, i, game.penalty[None], which)
        value = value - game.flagged[k, i] * penalty
        slope = slope - game.flagged[k, i][:, None] * by_rival
    return value, slope


def cell_rewards(game: LevelGame, mass: FloatArray, share: float, flagged: FloatArray) -> FloatArray:
    """Expected reward before costs at `share` of the way up each open spread level, (E, n); zero elsewhere.

    flagged : (E, n), probability of being flagged there.
    """
    k, i = np.nonzero(game.open & game.spread[:, None])
    before = np.cumsum(mass, axis=0) - mass
    below = np.clip(before[k] + share * mass[k], 0.0, 1.0)
    result = np.zeros(mass.shape)
    result[k, i] = _rewards(replace(game, flagged=flagged), below, k, i, False)[0]
    return result
