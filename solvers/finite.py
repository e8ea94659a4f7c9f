"""Finite games: every developer chooses one of its levels (DESIGN section 3, precision).

A `LevelGame` without spread levels *is* a finite game; this module looks at it profile by profile.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from followers.arrays import FloatArray, IntArray
from solvers.levels import LevelGame

__all__ = ["actions", "as_nfg", "profile_payoffs", "tensor"]

_MOST_CELLS = 20_000_000


def actions(game: LevelGame) -> tuple[IntArray, ...]:
    """Levels open to each developer, from the bottom."""
    if np.any(game.spread & game.open.any(axis=1)):
        raise ValueError("finite: the game has levels over which mass is spread; only atoms make a finite game")
    return tuple(np.flatnonzero(game.open[:, i]) for i in range(game.n))


def profile_payoffs(game: LevelGame, profiles: IntArray) -> FloatArray:
    """Payoffs (..., n) of profiles of levels (..., n): reward of the rank (shared among `split` ties) less cost."""
    held = np.asarray(profiles, dtype=np.int64)
    who = np.arange(game.n)
    above = held[..., None, :] > held[..., :, None]
    tied = (held[..., None, :] == held[..., :, None]) & (who[:, None] != who)
    flagged, cost = game.flagged[held, who], game.cost[held, who]
    rewards = game.prizes - flagged[..., None] * game.penalty
    if not game.split:
        rank = (above | (tied & (game.order[None, :] < game.order[:, None]))).sum(axis=-1)
        return np.asarray(np.take_along_axis(rewards, rank[..., None], -1)[..., 0] - cost)
    first, extra = above.sum(axis=-1)[..., None], tied.sum(axis=-1)[..., None]
    ranks = np.arange(game.n)
    shares = (ranks >= first) & (ranks <= first + extra)
    return np.asarray((rewards * shares).sum(axis=-1) / (1 + extra[..., 0]) - cost)


def tensor(game: LevelGame) -> FloatArray:
    """All payoffs, shape (m_1, .., m_n, n), indexed by actions; ValueError where there are too many profiles."""
    available = actions(game)
    shape = tuple(len(a) for a in available)
    cells = int(np.prod(shape, dtype=np.float64)) * game.n
    if cells > _MOST_CELLS:
        raise ValueError(f"finite: {cells:,} payoffs; at most {_MOST_CELLS:,} are listed")
    profiles = np.stack(np.meshgrid(*available, indexing="ij"), axis=-1)
    flat = profiles.reshape(-1, game.n)
    step = max(1, 2_000_000 // game.n**2)
    parts = [profile_payoffs(game, flat[a : a + step]) for a in range(0, len(flat), step)]
    return np.concatenate(parts).reshape(*shape, game.n)


def as_nfg(game: LevelGame, names: Sequence[str], title: str) -> str:
    """The game in Gambit's strategic form (.nfg, payoff version): the first developer's action runs fastest.

    Payoffs are written with all their digits. Source: the Gambit manual, "The strategic game (.nfg) file format".
    """
    payoffs = tensor(game)
    n = game.n

    def quoted(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    head = f"NFG 1 R {quoted(title)} {{ {' '.join(quoted(x) for x in names)} }}"
    counts = "{ " + " ".join(str(m) for m in payoffs.shape[:n]) + " }"
    fastest_first = payoffs.transpose(*range(n - 1, -1, -1), n).reshape(-1, n)
    body = "\n".join(" ".join(repr(float(x)) for x in row) for row in fastest_first)
    return f"{head} {counts}\n\n{body}\n"
