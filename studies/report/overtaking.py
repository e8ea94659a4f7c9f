"""Who would pass whom, at what cost and for what gain: the overtaking graph of one game."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from followers.arrays import FloatArray
from followers.game import LeaderboardGame, TieRule
from solvers.audited import solve_audited
from solvers.certificate import Certificate, Status
from solvers.claims import NoisyCertificate
from solvers.finite import profile_payoffs
from solvers.inner import AnyCertificate, InnerAnswer, solve_inner
from solvers.ladder import prize_unit
from solvers.lattice import profile_deviations
from solvers.rounded import RoundedEquilibria, solve_rounded

if TYPE_CHECKING:
    import networkx as nx

__all__ = ["Overtake", "Overtaking", "Step", "as_graph", "overtaking"]


@dataclass(frozen=True, slots=True)
class Overtake:
    """The best deviation of one developer from the profile looked at.

    developer, target : positions in the population; the target is the best placed rival passed, None where nobody is.
    rank, takes : published rank now and after, from 1. effort : steps, an infimum where it is not attained.
    gain : prize gained. cost : what it costs further. Both in prize units; `net` is their difference.
    """

    developer: int
    target: int | None
    rank: int
    takes: int
    effort: float
    gain: float
    cost: float

    @property
    def net(self) -> float:
        """What the developer gains in all, prize units."""
        return self.gain - self.cost


@dataclass(frozen=True, slots=True)
class Step:
    """One move of a race that never ends; `passed` is who held the rank it takes, None where the mover falls back."""

    developer: int
    passed: int | None
    rank: int
    takes: int
    effort_from: float
    effort: float
    gain: float


@dataclass(frozen=True, slots=True)
class Overtaking:
    """Everybody's best deviation.

    order : positions by published rank at the profile looked at (free effort; with noise the candidate).
    status, margin : of a pure equilibrium, see `solvers.inner.InnerAnswer`. tolerance : gains up to here are none.
    overtakes : the best deviation of each developer that has one, the most tempted first.
    race : moves of a race that never ends, where there is no equilibrium and one was found.
    """

    order: tuple[int, ...]
    status: Status
    margin: float
    tolerance: float
    certificate: AnyCertificate
    overtakes: tuple[Overtake, ...]
    race: tuple[Step, ...]

    @property
    def paying(self) -> tuple[Overtake, ...]:
        """The deviations that pay."""
        return tuple(o for o in self.overtakes if o.net > self.tolerance)


def overtaking(game: LeaderboardGame, answer: InnerAnswer | None = None) -> Overtaking:
    """The overtaking graph of a single game (B = 1), however it is measured; `answer` if it is solved already."""
    answer = solve_inner(game) if answer is None else answer
    certificate = answer.certify(0)
    if isinstance(certificate, NoisyCertificate):
        order, found = _noisy(game, certificate)
    elif game.precision > 0:
        order, found = _rounded(game, solve_rounded(game))
    elif game.audit is not None:
        order, found = _audited(game)
    else:
        order, found = _exact(game)
    race = _race(game, certificate) if isinstance(certificate, Certificate) else ()
    return Overtaking(
        order=tuple(order),
        status=answer.status(0),
        margin=float(answer.margin[0]),
        tolerance=float(answer.tolerance[0]),
        certificate=certificate,
        overtakes=tuple(sorted(found, key=lambda o: -o.net)),
        race=race,
    )


def as_graph(found: Overtaking, names: Sequence[str]) -> nx.DiGraph:
    """The graph: an edge from each developer whose best deviation pays to the rival it passes, and the race's passes.

    Edges carry effort (steps), cost, gain and net (prize units; the first two None for a move of the race, which starts
    elsewhere) and `race`. The race is marked on the edges of its strongly connected part, those that come round again.
    """
    import networkx as nx

    graph = nx.DiGraph()
    graph.add_nodes_from(names[i] for i in found.order)
    for o in found.paying:
        if o.target is not None:
            graph.add_edge(
                names[o.developer], names[o.target], effort=o.effort, cost=o.cost, gain=o.gain, net=o.net, race=False
            )
    passes = nx.DiGraph()
    for s in found.race:
        if s.passed is not None:
            passes.add_edge(names[s.developer], names[s.passed], effort=s.effort, net=s.gain)
    for part in nx.strongly_connected_components(passes):
        for u, v, step in passes.subgraph(part).edges(data=True):
            if graph.has_edge(u, v):
                graph.edges[u, v]["race"] = True
            else:
                graph.add_edge(u, v, effort=step["effort"], cost=None, gain=None, net=step["net"], race=True)
    return graph


def _by_score(game: LeaderboardGame, efforts: FloatArray) -> list[int]:
    score, tail = (np.broadcast_to(x, game.head_start.shape)[0] for x in game.published(efforts[None]))
    return [int(i) for i in np.lexsort((game.tie_order[0], -tail, -score))]


def _exact(game: LeaderboardGame) -> tuple[list[int], list[Overtake]]:
    efforts = game.free_effort()
    score, tail = (np.ascontiguousarray(np.broadcast_to(x, efforts.shape)[0]) for x in game.scores(efforts))
    order = _by_score(game, efforts[0])
    place = {i: r for r, i in enumerate(order, start=1)}
    _, deviations = profile_deviations(game, efforts[0].copy(), score, tail, np.zeros(game.n))
    return order, [
        Overtake(
            developer=d.developer,
            target=None if d.target == d.developer else d.target,
            rank=place[d.developer],
            takes=d.rank,
            effort=d.effort,
            gain=d.prize_gain,
            cost=d.extra_cost,
        )
        for d in deviations
        if d is not None
    ]


def _audited(game: LeaderboardGame) -> tuple[list[int], list[Overtake]]:
    found = solve_audited(game)
    order = _by_score(game, found.efforts[0])
    place = {i: r for r, i in enumerate(order, start=1)}
    return order, [
        Overtake(
            developer=i,
            target=None if int(found.target[0, i]) == i else int(found.target[0, i]),
            rank=place[i],
            takes=int(found.rank[0, i]) + 1,
            effort=float(found.effort[0, i]),
            gain=float(found.prize_gain[0, i]),
            cost=float(found.extra_cost[0, i]),
        )
        for i in range(game.n)
        if np.isfinite(found.developer_margin[0, i])
    ]


def _noisy(game: LeaderboardGame, certificate: NoisyCertificate) -> tuple[list[int], list[Overtake]]:
    """A deviation of a noisy game shifts chances; `target` is the best placed rival whose expected score it passes."""
    held = np.array(certificate.efforts)
    order = _by_score(game, held)
    now, then = (
        np.broadcast_to(game.scores(e[None])[0], game.head_start.shape)[0]
        for e in (held, np.array(certificate.deviations))
    )
    paid, costs = (
        np.broadcast_to(game.cost.cost(e[None]), game.head_start.shape)[0]
        for e in (held, np.array(certificate.deviations))
    )
    found = []
    for r, i in enumerate(order):
        passed = [j for j in order[:r] if now[j] < then[i]]
        target = passed[0] if passed else None
        more = float(costs[i] - paid[i])
        found.append(
            Overtake(
                developer=i,
                target=target,
                rank=r + 1,
                takes=r + 1 if target is None else 1 + order.index(target),
                effort=certificate.deviations[i],
                gain=certificate.gains[i] + more,
                cost=more,
            )
        )
    return order, found


def _rounded(game: LeaderboardGame, solved: RoundedEquilibria) -> tuple[list[int], list[Overtake]]:
    """Against everybody at the lowest level it can hold; a level is entered at its cheapest effort."""
    level, columns = solved.ladder.level, np.arange(game.n)
    held = np.array(solved.cheapest_levels())
    order = _by_score(game, solved.ladder.effort[held, columns])
    place = {i: r for r, i in enumerate(order, start=1)}
    beats = game.tie_order[0][:, None] < game.tie_order[0][None, :]
    payoffs, unit = profile_payoffs(level, held), prize_unit(game)
    found = []
    for i in range(game.n):
        others = np.flatnonzero(level.open[:, i] & (np.arange(len(level.open)) != held[i]))
        if not len(others):
            continue
        tried = np.repeat(held[None], len(others), axis=0)
        tried[:, i] = others
        net = profile_payoffs(level, tried)[:, i] - payoffs[i]
        best = int(others[np.argmax(net)])
        cost = unit * float(level.cost[best, i] - level.cost[held[i], i])
        rivals = [j for j in order if j != i]
        passed = [j for j in rivals if held[j] < best or (held[j] == best and (level.split or beats[i, j]))]
        ahead = [j for j in passed if place[j] < place[i]]
        found.append(
            Overtake(
                developer=i,
                target=ahead[0] if ahead else None,
                rank=place[i],
                takes=1 + len(rivals) - len(passed),
                effort=float(solved.ladder.effort[best, i]),
                gain=unit * float(net.max()) + cost,
                cost=cost,
            )
        )
    return order, found


def _race(game: LeaderboardGame, certificate: Certificate) -> tuple[Step, ...]:
    """The moves of the certificate's race, with whom each of them passes."""
    if not certificate.cycle:
        return ()
    efforts = np.array(certificate.cycle_start)
    steps = []
    for move in certificate.cycle:
        score, tail = (np.broadcast_to(x, game.head_start.shape)[0] for x in game.scores(efforts[None]))
        ties = game.tie_order[0] if game.ties is TieRule.QUALITY else np.arange(game.n)
        order = np.lexsort((ties, -tail, -score))
        rises = move.rank_to < move.rank_from
        steps.append(
            Step(
                developer=move.developer,
                passed=int(order[move.rank_to - 1]) if rises else None,
                rank=move.rank_from,
                takes=move.rank_to,
                effort_from=move.effort_from,
                effort=move.effort_to,
                gain=move.gain,
            )
        )
        efforts[move.developer] = move.effort_to
    return tuple(steps)
