"""Search of a protocol space with Optuna: single objective with constraints, and Pareto front (DESIGN section 5)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from designer.protocol import Protocol
from designer.scorecard import METRICS, Scorecard, play, scorecard
from designer.space import Space, default_space
from followers.population import Population
from followers.prior import RosterPrior
from solvers.inner import AnyCertificate, solve_inner

if TYPE_CHECKING:
    import optuna

__all__ = ["Evaluated", "Goal", "SearchResult", "pareto_front", "search"]

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Goal:
    """What to optimise and what must hold.

    `optimise` is minimised if it is a cost ("designer_cost", "wasted_effort"), maximised otherwise. Each constraint
    is a scorecard figure with its least allowed mean; an undefined figure violates its constraint outright.
    `steady` also asks that the population as stated (no errors drawn) has a pure equilibrium.
    """

    optimise: Literal["designer_cost", "kendall_tau", "top_one", "pure_share"] = "designer_cost"
    at_least: Mapping[str, float] = field(default_factory=lambda: {"pure_share": 0.9, "kendall_tau": 0.95})
    steady: bool = True

    def __post_init__(self) -> None:
        for metric in (self.optimise, *self.at_least):
            if metric not in METRICS:
                raise ValueError(f"goal: unknown figure {metric!r}; figures are {', '.join(METRICS)}")

    @property
    def minimise(self) -> bool:
        """Whether less is better."""
        return self.optimise == "designer_cost"

    def violations(self, card: Scorecard, stated_gain: float) -> dict[str, float]:
        """How far each constraint is missed; 0 or less where it holds."""
        missed = {}
        for metric, least in self.at_least.items():
            value = card.mean(metric)
            missed[metric] = least - value if np.isfinite(value) else max(1.0, abs(least)) + 1.0
        if self.steady:
            missed["largest gain on the stated population"] = stated_gain
        return missed

    def sentence(self) -> str:
        """The goal in words."""
        verb = "least" if self.minimise else "greatest"
        limits = " and ".join(f"{m} at least {v:g}" for m, v in self.at_least.items())
        stated = ", with a pure equilibrium on the population as stated" if self.steady else ""
        return f"{verb} {self.optimise} with {limits}{stated}"


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A protocol with its scorecard on the draws, and its certificate on the population as stated."""

    protocol: Protocol
    scorecard: Scorecard
    violations: Mapping[str, float]
    certificate: AnyCertificate

    @property
    def feasible(self) -> bool:
        """Whether every constraint holds."""
        return all(v <= 0 for v in self.violations.values())


@dataclass(frozen=True, slots=True)
class SearchResult:
    """`best` is None where no protocol tried meets the constraints; `nearest` then misses them least."""

    goal: Goal
    best: Evaluated | None
    nearest: Evaluated
    trials: tuple[Evaluated, ...]
    front: tuple[Evaluated, ...]
    seed: int
    draws: int


class _Judge:
    """Evaluates protocols on one set of draws; a protocol met again is not solved again."""

    def __init__(self, population: Population, prior: RosterPrior, draws: int, seed: int, goal: Goal) -> None:
        self.stated, self.goal = population, goal
        self.draws = prior.draw(population, draws, np.random.default_rng(seed))
        self.seen: dict[Protocol, Evaluated] = {}

    def __call__(self, protocol: Protocol) -> Evaluated:
        if protocol not in self.seen:
            card = scorecard(play(protocol, self.draws))
            solved = solve_inner(protocol.induce(self.stated))
            gain = (
                float(-solved.margin[0]) if not solved.exists[0] else min(0.0, float(np.nan_to_num(-solved.margin[0])))
            )
            violations = self.goal.violations(card, gain if np.isfinite(gain) else -1.0)
            self.seen[protocol] = Evaluated(protocol, card, violations, solved.certify(0))
        return self.seen[protocol]


@contextmanager
def _quiet_optuna() -> Iterator[None]:
    """Optuna's own log off while we report progress ourselves, and back on afterwards."""
    import optuna

    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(level)


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
    progress: Progress | None = None,
) -> SearchResult:
    """Search a protocol space: single objective with constraints, by Optuna's TPE.

    Parameters
    ----------
    developers : Population
        The population as stated (B = 1); draws around it come from `prior`.
    space, goal : what may be turned, what is wanted; see `default_space` and `Goal`.
    trials, draws, seed : protocols to try, populations to score each on (the same for all), seed of everything.
    start_from : protocols to try first, where they lie in the space.
    progress : called with (trials done, trials in all).

    Returns the best protocol found and the Pareto front of (ranking quality, designer's cost) among the feasible ones
    tried. Deterministic given the seed. Akiba et al. (2019), KDD; Watanabe & Hutter (2023) for constrained TPE.
    """
    import optuna

    judge, space, goal = _set_up(developers, space, goal, prior, draws, seed)
    with _quiet_optuna():
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=min(24, max(4, trials // 5)))
        study = optuna.create_study(direction="minimize" if goal.minimise else "maximize", sampler=sampler)
        tried = _run(study, judge, space, lambda e: (_objective(e, goal),), trials, start_from, progress)
    return _result(goal, tried, seed, draws)


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
    progress: Progress | None = None,
) -> tuple[Evaluated, ...]:
    """The Pareto front of (Kendall tau-b, designer's cost) by NSGA-II, from the cheapest on; see `search`.

    Only the goal's constraint on `pure_share` applies (a ranking nobody settles on has no quality), not the one on
    ranking quality. Deb et al. (2002), IEEE Trans. Evol. Comput. 6(2).
    """
    import optuna

    goal = goal or Goal()
    loose = Goal(goal.optimise, {"pure_share": goal.at_least.get("pure_share", 0.9)}, goal.steady)
    judge, space, loose = _set_up(developers, space, loose, prior, draws, seed)
    with _quiet_optuna():
        sampler = optuna.samplers.NSGAIISampler(seed=seed, population_size=min(24, max(4, trials // 4)))
        study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)

        def values(e: Evaluated) -> tuple[float, ...]:
            return (_ranking_quality(e), e.scorecard.mean("designer_cost"))

        tried = _run(study, judge, space, values, trials, start_from, progress)
    return _front(tried)


def _set_up(
    developers: Population,
    space: Space | None,
    goal: Goal | None,
    prior: RosterPrior | None,
    draws: int,
    seed: int,
) -> tuple[_Judge, Space, Goal]:
    goal = goal or Goal()
    return _Judge(developers, prior or RosterPrior(), draws, seed, goal), space or default_space(), goal


def _ranking_quality(e: Evaluated) -> float:
    """tau-b where defined. Where no draw has an equilibrium the trial is infeasible whatever its value, and what the
    board would show if nobody reacted keeps the sampler's picture smooth."""
    tau = e.scorecard.mean("kendall_tau")
    if np.isfinite(tau):
        return tau
    face = e.scorecard.mean("face_value_tau")
    return face if np.isfinite(face) else -1.0


def _objective(e: Evaluated, goal: Goal) -> float:
    return _ranking_quality(e) if goal.optimise == "kendall_tau" else e.scorecard.mean(goal.optimise)


def _run(
    study: optuna.Study,
    judge: _Judge,
    space: Space,
    values: Callable[[Evaluated], tuple[float, ...]],
    trials: int,
    start_from: Sequence[Protocol],
    progress: Progress | None,
) -> list[Evaluated]:
    for protocol in start_from:
        parameters = space.parameters(protocol)
        if parameters is not None:
            study.enqueue_trial(parameters)
    tried = []
    for k in range(trials):
        trial = study.ask()
        evaluated = judge(space.suggest(trial))
        for name, violation in evaluated.violations.items():
            trial.set_constraint(name, violation)
        study.tell(trial, values(evaluated))
        tried.append(evaluated)
        if progress is not None:
            progress(k + 1, trials)
    return tried


def _result(goal: Goal, tried: list[Evaluated], seed: int, draws: int) -> SearchResult:
    sign = 1.0 if goal.minimise else -1.0
    feasible = [e for e in tried if e.feasible]

    def key(e: Evaluated) -> tuple[float, float]:
        return sign * _objective(e, goal), -_ranking_quality(e)  # of two equally cheap ones the truer

    best = min(feasible, key=key) if feasible else None
    nearest = best or min(tried, key=lambda e: sum(max(v, 0.0) for v in e.violations.values()))
    return SearchResult(goal, best, nearest, tuple(tried), _front(tried), seed, draws)


def _front(tried: Sequence[Evaluated]) -> tuple[Evaluated, ...]:
    """Feasible protocols that no other one beats in both ranking quality and cost, from the cheapest on."""
    front: list[Evaluated] = []
    feasible = {e.protocol: e for e in tried if e.feasible}.values()
    for e in sorted(feasible, key=lambda e: (e.scorecard.mean("designer_cost"), -_ranking_quality(e))):
        if not front or _ranking_quality(e) > _ranking_quality(front[-1]):
            front.append(e)
    return tuple(front)
