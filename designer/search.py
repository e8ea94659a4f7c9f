"""Search of a protocol space with Optuna: single objective with constraints, and Pareto front (DESIGN section 5)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import numpy as np

from designer.dominance import unbeaten
from designer.evaluation import NODES, Board, Evaluated
from designer.goal import Goal
from designer.problem import Problem
from designer.protocol import Protocol
from designer.quiet import quiet_optuna
from designer.samplers import choose_sampler, quasi_random
from designer.scorecard import LARGER_IS_BETTER
from designer.space import Space, default_space
from designer.trials import (
    FIRST_DRAWS,
    IN_FLIGHT,
    Direction,
    Log,
    Plan,
    Progress,
    direction,
    no_log,
    run_trials,
)
from designer.workforce import Workforce, alone, processes
from followers.population import Population
from followers.prior import RosterPrior

__all__ = [
    "Evaluated",
    "Goal",
    "Progress",
    "SearchResult",
    "directions_of",
    "front_of",
    "optimum_of",
    "pareto_front",
    "plan_of",
    "problem_of",
    "result_of",
    "search",
    "workers_for",
]


@dataclass(frozen=True, slots=True)
class SearchResult:
    """`best` is None where no protocol tried meets the constraints; `nearest` then misses them least.

    Both carry their certificate. front : the feasible ones tried that no other beats in the goal's front figures.
    """

    goal: Goal
    best: Evaluated | None
    nearest: Evaluated
    trials: tuple[Evaluated, ...]
    front: tuple[Evaluated, ...]
    seed: int
    draws: int


def problem_of(
    developers: Population,
    *,
    space: Space | None = None,
    goal: Goal | None = None,
    prior: RosterPrior | None = None,
    draws: int = 128,
    seed: int = 0,
    sampler: str = "auto",
    in_flight: int = IN_FLIGHT,
    first_draws: int | None = FIRST_DRAWS,
    start_from: Sequence[Protocol] = (),
) -> Problem:
    """The problem that a search is asked; its space is widened by the protocols to start from.

    Raises
    ------
    ValueError : a knob or a limit of the space cannot be played or kept by anybody; numbers out of range.
    InputError : the sampler cannot be had, or not for this.
    """
    space, goal = space or default_space(), goal or Goal()
    if in_flight < 1:
        raise ValueError(f"in_flight = {in_flight}; at least 1 trial must be in flight")
    if first_draws is not None and first_draws < 1:
        raise ValueError(f"first_draws = {first_draws}; at least 1 draw is needed")
    for protocol in start_from:
        space = space.widened(protocol)
    space.check(developers)
    name, modelled = choose_sampler(sampler, space, goal, front=False)
    front_name, front_modelled = choose_sampler(sampler, space, goal, front=True)
    chosen = {
        "sampler": name,
        "modelled": modelled,
        "front_sampler": front_name,
        "front_modelled": front_modelled,
        "in_flight": in_flight,
        "first_draws": first_draws,
        "node_budget": NODES,
        "start_from": [protocol.document() for protocol in start_from],
    }
    return Problem(developers, space, goal, prior or RosterPrior(), draws, seed, chosen)


def plan_of(problem: Problem, *, front: bool) -> Plan:
    """How the problem is searched: for its goal, or for its front."""
    how = problem.search
    return Plan(
        sampler=how["front_sampler" if front else "sampler"],
        seed=problem.seed,
        objectives=problem.goal.front if front else (problem.goal.optimise,),
        modelled=how["front_modelled" if front else "modelled"],
        in_flight=how["in_flight"],
        first_draws=how["first_draws"],
    )


def directions_of(problem: Problem, *, front: bool) -> list[Direction]:
    """Of the objectives, as Optuna names them."""
    return [direction(name) for name in plan_of(problem, front=front).objectives]


def workers_for(problem: Problem, workers: int = 1, cluster: str | None = None) -> AbstractContextManager[Workforce]:
    """This process alone, so many processes on this machine, or a Dask cluster, on the problem's draws."""
    board = Board(problem.population, problem.drawn(), problem.search["node_budget"])
    if cluster is not None:
        from designer.cluster import on_cluster

        return on_cluster(board, cluster, workers)
    return processes(board, workers) if workers > 1 else alone(board)


def optimum_of(
    problem: Problem,
    trials: int,
    workforce: Workforce,
    *,
    start_from: Sequence[Protocol] = (),
    log: Log | None = None,
    progress: Progress | None = None,
) -> tuple[Evaluated, ...]:
    """The trials of a search for the goal, beginning with `start_from` where they lie in the space."""
    return _run(problem, problem.goal, trials, workforce, start_from, log, progress, front=False)


def front_of(
    problem: Problem,
    trials: int,
    workforce: Workforce,
    *,
    start_from: Sequence[Protocol] = (),
    log: Log | None = None,
    progress: Progress | None = None,
) -> tuple[Evaluated, ...]:
    """The trials of a search for the front.

    Only the goal's constraint on `pure_share` applies (a ranking nobody settles on has no quality), and those on
    figures that are not part of the front.
    """
    goal = problem.goal
    kept = {m: v for m, v in goal.at_least.items() if m not in goal.front}
    kept.setdefault("pure_share", 0.9)
    loose = replace(goal, at_least=kept, at_most={m: v for m, v in goal.at_most.items() if m not in goal.front})
    return _run(problem, loose, trials, workforce, start_from, log, progress, front=True)


def _run(
    problem: Problem,
    goal: Goal,
    trials: int,
    workforce: Workforce,
    start_from: Sequence[Protocol],
    log: Log | None,
    progress: Progress | None,
    *,
    front: bool,
) -> tuple[Evaluated, ...]:
    space = problem.space
    first = [p for p in map(space.parameters, dict.fromkeys(start_from)) if p is not None]
    first += [space.place(at) for at in quasi_random(space, problem.seed)]
    with quiet_optuna():
        return run_trials(
            plan_of(problem, front=front),
            goal,
            space,
            problem.population,
            problem.draws,
            first,
            trials,
            workforce,
            log or no_log(),
            progress,
        )


def search(
    developers: Population,
    *,
    space: Space | None = None,
    goal: Goal | None = None,
    prior: RosterPrior | None = None,
    trials: int = 200,
    draws: int = 128,
    seed: int = 0,
    start_from: Sequence[Protocol] = (),
    sampler: str = "auto",
    workers: int = 1,
    in_flight: int = IN_FLIGHT,
    first_draws: int | None = FIRST_DRAWS,
    progress: Progress | None = None,
) -> SearchResult:
    """Search a protocol space: single objective with constraints.

    Parameters
    ----------
    developers : Population
        The population as stated (B = 1); draws around it come from `prior`.
    space, goal : what may be turned, what is wanted; see `default_space` and `Goal`.
    trials, draws, seed : protocols to try, populations to score each on (the same for all), seed of everything.
    start_from : protocols to try first, where they lie in the space.
    sampler : "auto" or a name of `designer.samplers.SAMPLERS`.
    workers : processes on this machine; results do not depend on it.
    in_flight : trials proposed before the first of them is told; results do depend on it.
    first_draws : least draws after which only the best quarter goes on to four times as many; None: all see all.
    progress : called with (trials done, trials in all).

    Returns the best protocol found and the Pareto front of (ranking quality, designer's cost) among the feasible ones
    tried. Deterministic given the seed. Akiba et al. (2019), KDD; Watanabe & Hutter (2023) for constrained TPE.
    """
    problem = problem_of(
        developers,
        space=space,
        goal=goal,
        prior=prior,
        draws=draws,
        seed=seed,
        sampler=sampler,
        in_flight=in_flight,
        first_draws=first_draws,
        start_from=start_from,
    )
    with workers_for(problem, workers) as workforce:
        tried = optimum_of(problem, trials, workforce, start_from=start_from, progress=progress)
    return result_of(problem, tried)


def pareto_front(
    developers: Population,
    *,
    space: Space | None = None,
    goal: Goal | None = None,
    prior: RosterPrior | None = None,
    trials: int = 200,
    draws: int = 128,
    seed: int = 0,
    start_from: Sequence[Protocol] = (),
    sampler: str = "auto",
    workers: int = 1,
    progress: Progress | None = None,
) -> tuple[Evaluated, ...]:
    """The Pareto front of the goal's front figures, by default (Kendall tau-b, designer's cost), from the cheapest on.

    By multi-objective TPE for two figures, NSGA-III for more; see `search` and `front_of`. Ozaki et al. (2022), JAIR
    73; Deb & Jain (2014), IEEE Trans. Evol. Comput. 18(4).
    """
    problem = problem_of(
        developers,
        space=space,
        goal=goal,
        prior=prior,
        draws=draws,
        seed=seed,
        sampler=sampler,
        start_from=start_from,
    )
    with workers_for(problem, workers) as workforce:
        tried = front_of(problem, trials, workforce, start_from=start_from, progress=progress)
    return _front(tried, problem.goal)


def result_of(problem: Problem, tried: Sequence[Evaluated], front: Sequence[Evaluated] = ()) -> SearchResult:
    """The best of the trials, certified; `front` : trials of a search for the front, which count for the front only."""
    goal, board = problem.goal, Board(problem.population, problem.population)
    sign = 1.0 if goal.minimise else -1.0
    feasible = [e for e in tried if e.feasible]

    def key(e: Evaluated) -> tuple[float, float]:
        return sign * goal.value(e.scorecard), -e.ranking_quality(goal)  # of two equally cheap ones the truer

    best = min(feasible, key=key) if feasible else None
    played = [e for e in tried if e.stated is not None] or list(tried)
    # what was dropped after few draws is known less well than what has seen them all
    nearest = best or min(played, key=lambda e: (not e.full, e.missed))
    if nearest.stated is not None:
        nearest = replace(nearest, certificate=board.certify(nearest.protocol))
    best = nearest if best is not None else None
    return SearchResult(goal, best, nearest, tuple(tried), _front([*tried, *front], goal), problem.seed, problem.draws)


def _front(tried: Sequence[Evaluated], goal: Goal) -> tuple[Evaluated, ...]:
    """Feasible protocols that no other one beats in every figure of the front, in order of the last figure.

    One of which a figure is undefined (a board that is all tied ranks nobody) has no place on it. A protocol that holds
    in the search for the goal holds in the search for the front.
    """
    defined = (e for e in tried if e.feasible and all(np.isfinite(e.scorecard.mean(m)) for m in goal.front))
    feasible = list({e.protocol: e for e in defined}.values())
    if not feasible:
        return ()
    signs = np.array([-1.0 if LARGER_IS_BETTER[m] else 1.0 for m in goal.front])
    cost = np.array([[goal.value(e.scorecard, m) for m in goal.front] for e in feasible]) * signs
    # of equals the first
    first = np.unique(cost, axis=0, return_index=True)[1]
    stays = unbeaten(cost)
    kept = [k for k in first.tolist() if stays[k]]
    return tuple(feasible[k] for k in sorted(kept, key=lambda k: (cost[k, -1], *cost[k])))
