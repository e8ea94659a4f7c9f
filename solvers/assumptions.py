"""Whether the paper's conditions hold in a game, with a witness where they fail. Reported, never presumed.

As read here: C1, curves keep the order of quality (a better developer scores strictly higher at every effort); C2,
each score rises strictly with effort and with diminishing returns; C3, the effort to catch up with a better developer
does not fall as everybody's tuning budget grows; strict cost, every effort costs more than any smaller one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from followers.arrays import FloatArray, above
from followers.game import LeaderboardGame

__all__ = ["Assumption", "check_assumptions"]

_GRID = 257


@dataclass(frozen=True, slots=True)
class Assumption:
    """One condition: whether it holds, and a witness in words where it fails (or how far it was looked at)."""

    name: str
    holds: bool
    witness: str


def check_assumptions(game: LeaderboardGame, quality: FloatArray, names: tuple[str, ...]) -> tuple[Assumption, ...]:
    """C1, C2, C3 and strict cost for a single game (B = 1); quality (n,).

    C2 and strict cost are exact. C1 and C3 are looked at on 257 efforts from zero to the largest affordable one, for
    every pair of different quality: a failure is a proof, "holds" means that none was found there.
    """
    horizon = _horizon(game)
    efforts = np.concatenate([[0.0], np.geomspace(1e-6 * horizon, horizon, _GRID - 1)])
    score, tail = (x[:, 0, :] for x in game.scores(np.broadcast_to(efforts[:, None, None], (_GRID, 1, game.n))))
    better = [(int(i), int(j)) for i in range(game.n) for j in range(game.n) if quality[i] > quality[j]]
    looked = f"no failure on {_GRID} efforts from 0 to {horizon:.6g} steps"
    return (
        _no_crossing(efforts, score, tail, better, names, looked),
        _rising_and_concave(game, names),
        _catch_up_grows(game, efforts, score, tail, better, names, looked),
        _strict_cost(game, names),
    )


def _horizon(game: LeaderboardGame) -> float:
    most = np.minimum(game.cost.affordable(game.prize_span[:, None]), game.effort_cap)
    finite = most[np.isfinite(most) & (most > 0)]
    return float(finite.max()) if finite.size else 1.0


def _no_crossing(
    efforts: FloatArray,
    score: FloatArray,
    tail: FloatArray,
    better: list[tuple[int, int]],
    names: tuple[str, ...],
    looked: str,
) -> Assumption:
    for i, j in better:
        wrong = np.flatnonzero(~above(score[:, i], tail[:, i], score[:, j], tail[:, j]))
        if len(wrong):
            k = int(wrong[0])
            return Assumption(
                "C1",
                False,
                f"{names[i]} is better than {names[j]}, but at effort {efforts[k]:.6g} scores "
                f"{score[k, i]:.6g} against {score[k, j]:.6g}",
            )
    return Assumption("C1", True, looked)


def _rising_and_concave(game: LeaderboardGame, names: tuple[str, ...]) -> Assumption:
    starts, ends = game.flat_stretches()
    start, end = starts[:, 0, :], ends[:, 0, :]
    inside = (end > 0) & (start < game.effort_cap[0])
    for k, i in zip(*np.nonzero(inside), strict=True):
        return Assumption("C2", False, f"{names[i]}'s score is flat from effort {max(start[k, i], 0.0):.6g} on")
    concave = np.broadcast_to(game.curve.is_concave(), game.head_start.shape)[0]
    for i in np.flatnonzero(concave == 0):
        return Assumption("C2", False, f"{names[i]}'s curve is S-shaped: its returns first grow")
    return Assumption("C2", True, "every curve rises strictly and is concave")


def _catch_up_grows(
    game: LeaderboardGame,
    efforts: FloatArray,
    score: FloatArray,
    tail: FloatArray,
    better: list[tuple[int, int]],
    names: tuple[str, ...],
    looked: str,
) -> Assumption:
    for i in sorted({i for i, _ in better}):
        reach = game.curve.effort_to_reach(score[:, i, None, None], tail[:, i, None, None]) - game.head_start
        need = np.maximum(reach[:, 0, :] - efforts[:, None], 0.0)  # inf: cannot catch up at all
        finite = np.isfinite(need)
        slack = 1e-9 * (1.0 + game.head_start + efforts[:, None] + np.where(finite, need, 0.0))
        highest = np.maximum.accumulate(need, axis=0)
        falls = np.where(finite, need, np.inf) < np.where(np.isfinite(highest), highest - slack, np.inf)
        falls &= finite
        for j in (j for a, j in better if a == i):
            if falls[:, j].any():
                k = int(np.flatnonzero(falls[:, j])[0])
                before = int(np.argmax(need[: k + 1, j]))
                return Assumption(
                    "C3",
                    False,
                    f"{names[j]} needs {need[before, j]:.6g} steps to catch up with {names[i]} after "
                    f"{efforts[before]:.6g} more tuning steps, but only {need[k, j]:.6g} after {efforts[k]:.6g}",
                )
    return Assumption("C3", True, looked)


def _strict_cost(game: LeaderboardGame, names: tuple[str, ...]) -> Assumption:
    free, plateau = game.free_effort()[0], game.plateau_effort()[0]
    for i in np.flatnonzero(free > 0):
        return Assumption("strict cost", False, f"{names[i]}'s effort is free up to {free[i]:.6g} steps")
    for i in np.flatnonzero(np.isfinite(plateau)):
        return Assumption("strict cost", False, f"{names[i]} pays the same for any effort up to {plateau[i]:.6g} steps")
    return Assumption("strict cost", True, "every cost rises strictly from zero effort on")
