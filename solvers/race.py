"""Where the race goes in a finite game: its best-response graph, sinks and sink components (DESIGN section 3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from followers.arrays import FloatArray, IntArray
from solvers.finite import actions, profile_payoffs
from solvers.levels import LevelGame

__all__ = ["Race", "SinkComponent", "run_race"]

Profile = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SinkComponent:
    """Profiles between which the race goes round once it is there (a single one: a pure equilibrium).

    profiles : levels per developer. share : (M,), long-run share of time at each, when again and again a developer
    drawn evenly moves to a best response (drawn evenly among several, staying if it has one). mean_rank : (n,), 1 is
    first; tied entries share the mean of their ranks.
    """

    profiles: tuple[Profile, ...]
    share: FloatArray
    mean_rank: FloatArray


@dataclass(frozen=True, slots=True)
class Race:
    """Sink components, the largest first; `complete` where every profile was looked at, or every one that is reached
    from the cheapest profile (`from_cheapest`). Otherwise the budget ran out and no sinks are claimed."""

    sinks: tuple[SinkComponent, ...]
    profiles: int
    complete: bool
    from_cheapest: bool


def run_race(game: LevelGame, *, budget: int = 5_000) -> Race:
    """The best-response graph of a finite game: of all profiles where they are few, else from the cheapest one on.

    budget : profiles to look at.
    """
    import networkx as nx

    available = actions(game)
    everything = float(np.prod([float(len(a)) for a in available]))
    from_cheapest = everything > budget
    if from_cheapest:
        frontier = [tuple(int(a[0]) for a in available)]
    else:
        frontier = [tuple(p) for p in np.stack(np.meshgrid(*available, indexing="ij"), -1).reshape(-1, game.n).tolist()]
    graph = nx.DiGraph()
    graph.add_nodes_from(frontier)
    while frontier:
        profile = frontier.pop()
        for i, options in enumerate(_best_responses(game, available, profile)):
            for level in options:
                target = (*profile[:i], level, *profile[i + 1 :])
                if target not in graph:
                    if graph.number_of_nodes() >= budget:
                        return Race((), graph.number_of_nodes(), False, True)
                    frontier.append(target)
                weight = graph.edges[profile, target]["weight"] if graph.has_edge(profile, target) else 0.0
                graph.add_edge(profile, target, weight=weight + 1.0 / (game.n * len(options)))
    sinks = [_component(game, graph, sorted(nodes)) for nodes in nx.attracting_components(graph)]
    sinks.sort(key=lambda s: (-len(s.profiles), s.profiles))
    return Race(tuple(sinks), graph.number_of_nodes(), True, from_cheapest)


def _best_responses(game: LevelGame, available: tuple[IntArray, ...], profile: Profile) -> list[list[int]]:
    """Per developer the levels it moves to: where it is if that is a best response, else all best ones."""
    result = []
    for i, options in enumerate(available):
        tried = np.repeat(np.array(profile)[None], len(options), axis=0)
        tried[:, i] = options
        payoffs = profile_payoffs(game, tried)[:, i]
        slack = 1e-12 * max(1.0, float(np.abs(game.prizes).max()))
        best = options[payoffs >= payoffs.max() - slack]
        result.append([profile[i]] if profile[i] in best else best.tolist())
    return result


def _component(game: LevelGame, graph: object, nodes: list[Profile]) -> SinkComponent:
    import networkx as nx
    from scipy.sparse import eye_array, vstack
    from scipy.sparse.linalg import lsqr, spsolve

    assert isinstance(graph, nx.DiGraph)
    moves = nx.to_scipy_sparse_array(graph, nodelist=nodes, weight="weight", format="csr")
    size = len(nodes)
    if size == 1:
        share = np.ones(1)
    else:
        balance = (moves.T - eye_array(size)).tocsr()
        # one of the balance equations follows from the others: the shares' sum takes its place
        system = vstack([balance[:-1], np.ones((1, size))]).tocsc()
        right = np.concatenate([np.zeros(size - 1), [1.0]])
        share = spsolve(system, right)
        if not np.all(np.isfinite(share)):
            share = lsqr(system, right, atol=1e-14, btol=1e-14)[0]
        share = np.maximum(share, 0.0) / np.maximum(share, 0.0).sum()
    return SinkComponent(tuple(nodes), np.asarray(share), share @ _mean_ranks(game, np.array(nodes)))


def _mean_ranks(game: LevelGame, profiles: IntArray) -> FloatArray:
    """Published ranks (P, n), 1 is first."""
    above = (profiles[:, None, :] > profiles[:, :, None]).sum(axis=2)
    tied = profiles[:, None, :] == profiles[:, :, None]
    if game.split:
        return np.asarray(1.0 + above + 0.5 * (tied.sum(axis=2) - 1))
    return np.asarray(1.0 + above + (tied & (game.order[None, :] < game.order[:, None])).sum(axis=2))
