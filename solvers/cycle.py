"""A race that never ends: the best-response cycle that makes an absent equilibrium visible (DESIGN section 2)."""

from __future__ import annotations

import networkx as nx
import numpy as np

from followers.arrays import FloatArray, IntArray
from followers.game import LeaderboardGame, TieRule
from solvers.certificate import Move
from solvers.kernels import prize_of_option

__all__ = ["overtaking_cycle"]

_LEVELS = (
    0,
    4,
    12,
    40,
)  # extra levels between rivals' scores, tried in turn: the coarsest gives the shortest race
_MOST_MOVES = 2_000


Race = tuple[tuple[float, ...], tuple[Move, ...]]


def overtaking_cycle(game: LeaderboardGame, first_mover: int, tol: float) -> Race:
    """Efforts at its start, and a cycle of strictly gainful moves in a single game (B = 1); empty if none was found.

    Players move in turn to their best effort on a finite set of scores; those who do not matter stay at free effort.
    The race starts with `first_mover`; whoever has an answer that pays joins it. Every move is attained (a little
    above the score it passes) and strictly gainful in the continuous game, so the cycle is a witness of its own.
    """
    for extra in _LEVELS:
        start, moves = _race(game, first_mover, tol, extra)
        if moves:
            return start, moves
    return (), ()


def _moves_that_matter(game: LeaderboardGame, extra: int) -> tuple[FloatArray, IntArray]:
    """Efforts (m, n), NaN where impossible, and the rank of their scores among all of them (m, n).

    Row 0 is free effort; the others lie a hair above every score anybody starts from, or above one of `extra`
    scores between the lowest start and the highest score anybody may afford.
    """
    n = game.n
    free = game.free_effort()
    most = np.minimum(game.cost.affordable(game.prize_span[:, None]), game.effort_cap)
    most = np.where(np.isfinite(most), most, free)
    anchors = np.unique(np.stack(game.scores(free), axis=-1)[0], axis=0)
    top = float(np.max(game.scores(most)[0]))
    between = np.linspace(anchors[0, 0], max(top, float(anchors[-1, 0])), extra + 2)[1:-1]
    levels = np.concatenate([anchors, np.stack([between, np.zeros(extra)], axis=-1)])
    exceed = game.exceed(levels[:, :1, None], levels[:, 1:, None])[:, 0, :]
    # a little more than the infimum, so that the move is attained and clears the score it passes beyond rounding
    step = 1e-6 * np.where(exceed <= 0, 1.0 + most, 1.0 + exceed)
    efforts = np.where(np.isfinite(exceed), np.minimum(exceed + step, game.effort_cap), np.nan)
    efforts = np.concatenate([free, efforts])
    score, tail = game.scores(np.nan_to_num(efforts)[:, None, :])
    pairs = np.stack([score[:, 0, :].ravel(), tail[:, 0, :].ravel()], axis=-1)
    _, level = np.unique(pairs, axis=0, return_inverse=True)
    return efforts, level.reshape(len(efforts), n)


def _race(game: LeaderboardGame, first_mover: int, tol: float, extra: int) -> Race:
    n = game.n
    efforts, level = _moves_that_matter(game, extra)
    costs = np.broadcast_to(game.cost.cost(np.nan_to_num(efforts)[:, None, :]), (len(efforts), 1, n))[:, 0, :]
    usable = np.isfinite(efforts)
    costs = np.where(usable & (efforts <= game.free_effort()), 0.0, costs)
    order = game.tie_order[0]
    beats = order[:, None] < order[None, :]
    split = game.ties is TieRule.SPLIT
    prizes = game.prizes[0]

    def payoff(i: int, k: int, state: tuple[int, ...]) -> float:
        levels = np.array([level[s, j] for j, s in enumerate(state)])
        return float(prize_of_option(i, int(level[k, i]), False, levels, beats, prizes, split)) - float(costs[k, i])

    def best(i: int, state: tuple[int, ...]) -> tuple[int, float]:
        now = payoff(i, state[i], state)
        options = [(payoff(i, k, state), -costs[k, i], k) for k in np.flatnonzero(usable[:, i]).tolist()]
        value, _, k = max(options)
        return (
            (int(k), value - now) if value > now + max(tol, 1e-7 * float(prizes[0] - prizes[-1])) else (state[i], 0.0)
        )

    graph = nx.DiGraph()
    state: tuple[int, ...] = (0,) * n
    movers = [first_mover]
    for _ in range(_MOST_MOVES):
        choice = None
        for i in movers:  # those in the race answer first; the one who moved last goes to the end of the queue
            k, gain = best(i, state)
            if gain > 0:
                choice = (i, k, gain)
                break
        if choice is None:
            joining = [(best(i, state)[1], -i, i) for i in range(n) if i not in movers]
            gain, _, i = max(joining, default=(0.0, 0, 0))
            if gain <= 0:
                return (), ()  # an equilibrium of the coarse game only: look closer
            movers.insert(0, i)
            continue
        i, k, gain = choice
        movers.remove(i)
        movers.append(i)
        after = (*state[:i], k, *state[i + 1 :])
        been_here = after in graph
        graph.add_edge(state, after, mover=i, gain=gain)
        if been_here:
            return _describe(game, graph, nx.find_cycle(graph, after), efforts, level)
        state = after
    return (), ()


def _describe(
    game: LeaderboardGame,
    graph: nx.DiGraph,
    edges: list[tuple[tuple[int, ...], tuple[int, ...]]],
    efforts: FloatArray,
    level: IntArray,
) -> Race:
    def rank(i: int, state: tuple[int, ...]) -> int:
        at = np.array([level[s, j] for j, s in enumerate(state)])
        ahead = at > at[i]
        if game.ties is TieRule.QUALITY:
            ahead |= (at == at[i]) & (game.tie_order[0] < game.tie_order[0][i])
        return 1 + int(ahead.sum())

    moves = []
    for before, after in edges:
        mover = graph.edges[before, after]["mover"]
        moves.append(
            Move(
                developer=mover,
                effort_from=float(efforts[before[mover], mover]),
                effort_to=float(efforts[after[mover], mover]),
                rank_from=rank(mover, before),
                rank_to=rank(mover, after),
                gain=float(graph.edges[before, after]["gain"]),
            )
        )
    start = tuple(float(efforts[k, i]) for i, k in enumerate(edges[0][0]))
    return start, tuple(moves)
