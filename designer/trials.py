"""The trials of a search, one after another as far as results go, several at once as far as time goes.

Trial k is proposed when trials 0 to k - W have been told, whatever the number of workers: W, the trials in flight, is
part of the problem, so that results depend on the seed alone. A trial is measured on ever more draws, and after each
doubling goes on only if it is among the better half of those told before it (successive halving: Jamieson & Talwalkar
2016; asynchronous: Li et al. 2020); the same draws for all, so that what is compared is the protocols.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal
from typing import Protocol as Interface

import numpy as np

from designer.evaluation import Board, Evaluated, Measured, Stated, card_of, digest, rungs
from designer.goal import Goal
from designer.limits import overruns
from designer.protocol import Protocol
from designer.samplers import sampler_of
from designer.scorecard import LARGER_IS_BETTER, METRICS, Figure, Scorecard
from designer.space import Space
from designer.told import attributes_of, standings_of, told_of
from designer.workforce import Workforce
from followers.population import Population

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

__all__ = ["FIRST_DRAWS", "IN_FLIGHT", "Log", "Plan", "Progress", "no_log", "run_trials"]

IN_FLIGHT = 8
"""Trials proposed before the first of them is told."""

FIRST_DRAWS = 32
"""Draws after which a trial is first compared with others."""

Progress = Callable[[int, int], None]

Direction = Literal["minimize", "maximize"]


def direction(metric: str) -> Direction:
    """Which way a figure is to go, as Optuna names it."""
    return "maximize" if LARGER_IS_BETTER[metric] else "minimize"


_FORGIVEN = 1.0
"""Standard errors by which a constraint may be missed before all draws are seen."""

_ALONE = frozenset({"random", "gp", "cma-es"})
"""Samplers that are not helped out by steps from the best: by name a baseline, or with a finer model of their own."""

_MOVED = 0.7
"""Probability with which a step from the best trial moves each number."""

_REMEMBERED = 200
"""Trials of which the sampler is told whatever became of them."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a search goes about it: sampler by name, trials in flight, first draws (None: all at once), seed.

    objectives : figures to optimise: one, or those of a front.
    """

    sampler: str
    seed: int
    objectives: tuple[str, ...]
    in_flight: int = IN_FLIGHT
    first_draws: int | None = FIRST_DRAWS


class Log(Interface):
    """Where finished trials are kept: `known` from before, by number; `add` keeps one more for good."""

    @property
    def known(self) -> Mapping[int, FrozenTrial]:
        """Trials finished in an earlier session."""
        ...

    def add(self, trial: FrozenTrial) -> None:
        """Keep a finished trial; once this returns, no interruption loses it."""
        ...


class _NoLog:
    known: Mapping[int, Any] = {}

    def add(self, trial: FrozenTrial) -> None:
        """Nothing is kept."""


def no_log() -> Log:
    """Nothing is kept: the search lives and dies with this process."""
    return _NoLog()


@dataclass(slots=True)
class _Live:
    """A trial in flight."""

    number: int
    trial: optuna.Trial
    protocol: Protocol
    pieces: list[Measured] = field(default_factory=list)
    stated: Stated | None = None
    standings: list[tuple[float, float]] = field(default_factory=list)
    waiting: Future[Any] | None = None


@dataclass(frozen=True, slots=True)
class _Done:
    """A finished trial: what Optuna is told, what we know, where it stood after each rung."""

    frozen: FrozenTrial
    evaluated: Evaluated
    standings: tuple[tuple[float, float], ...]


def _first(protocol: Protocol, stop: int, board: Board) -> tuple[Measured, Stated]:
    return board.measure(protocol, 0, stop), board.state(protocol)


def _further(protocol: Protocol, start: int, stop: int, board: Board) -> Measured:
    return board.measure(protocol, start, stop)


def _digest(protocol: Protocol, board: Board) -> str:
    return digest(board.certify(protocol))


def run_trials(
    plan: Plan,
    goal: Goal,
    space: Space,
    population: Population,
    draws: int,
    start_from: Sequence[Mapping[str, Any]],
    total: int,
    workforce: Workforce,
    log: Log,
    progress: Progress | None = None,
) -> tuple[Evaluated, ...]:
    """Run a search up to `total` trials and return them all, in order.

    Parameters
    ----------
    plan, goal, space : see there. population : as stated, for limits. draws : of the board.
    start_from : Optuna parameters of the trials to begin with.
    workforce : who plays. log : trials known from before, and where new ones are kept.
    """
    import optuna

    directions = [direction(name) for name in plan.objectives]
    study = optuna.create_study(directions=directions)
    race = _Race(plan, goal, space, population, rungs(draws, plan.first_draws), workforce, log, study)
    number = race.recall(total)
    for k in range(number, total):
        if k >= plan.in_flight:
            race.tell(k - plan.in_flight)
        race.propose(k, start_from[k] if k < len(start_from) else None)
        if progress is not None:
            progress(len(race.done), total)
    for k in range(max(0, total - plan.in_flight), total):
        race.finish(k)
        if progress is not None:
            progress(len(race.done), total)
    return tuple(race.done[k].evaluated for k in range(total))


class _Race:
    """The state of a search between two events: trials in flight, finished and told."""

    def __init__(
        self,
        plan: Plan,
        goal: Goal,
        space: Space,
        population: Population,
        steps: tuple[int, ...],
        workforce: Workforce,
        log: Log,
        study: optuna.Study,
    ) -> None:
        self.plan, self.goal, self.space, self.population = plan, goal, space, population
        self.steps, self.workforce, self.log, self.study = steps, workforce, log, study
        self.live: dict[int, _Live] = {}
        self.done: dict[int, _Done] = {}
        self.asked: dict[int, optuna.Trial] = {}
        self.told = 0

    # -- trials of an earlier session ---------------------------------------------------------------------------------

    def recall(self, total: int) -> int:
        """Take up known trials without a gap; returns the number of the next one to propose.

        The last ones in flight are proposed but not told, as they were: what comes next sees what it would have seen.
        """
        from optuna.trial import TrialState, create_trial

        known = self.log.known
        first = 0
        while first in known and first < total:
            first += 1
        for k in range(first):
            frozen = known[k]
            self.done[k] = _Done(frozen, told_of(frozen), standings_of(frozen))
            told = k < first - self.plan.in_flight
            state = TrialState.FAIL if self._forgettable(k, frozen) else frozen.state
            again = create_trial(
                state=state if told else TrialState.RUNNING,
                values=frozen.values if told and state is TrialState.COMPLETE else None,
                params=frozen.params,
                distributions=frozen.distributions,
                system_attrs={a: v for a, v in frozen.system_attrs.items() if not a.startswith("constraints")},
                intermediate_values=frozen.intermediate_values,
                constraints=self._constraints(frozen),
            )
            self.study.add_trial(again)
            self.told = k + 1 if told else self.told
        return first

    # -- one trial ----------------------------------------------------------------------------------------------------

    def propose(self, k: int, parameters: Mapping[str, Any] | None) -> None:
        """Propose trial k and give out its first draws."""
        if parameters is None and self.plan.sampler not in _ALONE and k % 3 == 2:
            parameters = self._near_best(k)
        if parameters is not None:
            self.study.enqueue_trial(dict(parameters))
        name = "random" if parameters is not None or self.told == 0 else self.plan.sampler
        self.study.sampler = sampler_of(name, self.space, self.plan.seed, k)
        trial = self.study.ask()
        assert trial.number == k
        self.asked[k] = trial
        try:
            protocol = self.space.suggest(trial)
        except ValueError as error:  # knobs that exclude each other
            self._close(_Live(k, trial, self.space.base), str(error))
            return
        live = _Live(k, trial, protocol)
        known = self.log.known.get(k)
        if known is not None and known.params == trial.params:  # it was finished before an earlier one was
            self.done[k] = _Done(known, told_of(known), standings_of(known))
            return
        over = {f"limit on {n}": v for n, v in overruns(self.space.limits, protocol, self.population).items()}
        if any(v > 0 for v in over.values()):
            self._close(live, "overruns a limit", over)
            return
        self.live[k] = live
        live.waiting = self.workforce.submit(partial(_first, protocol, self.steps[0]))

    def _near_best(self, k: int) -> dict[str, Any] | None:
        """A step from the best trial told, of a size between a tenth and a millionth of each range, by orders of size.

        TPE's model of a range is no finer than some hundredths of it, too coarse to end where a constraint just holds.
        """
        from optuna.distributions import FloatDistribution

        told = [d for d in (self.done[j] for j in range(self.told)) if d.standings and d.evaluated.full]
        if not told:
            return None
        rng = np.random.default_rng([self.plan.seed, 3, k])
        best = self._one_of_the_best(told, rng).frozen
        moved = dict(best.params)
        for name, domain in best.distributions.items():
            if isinstance(domain, FloatDistribution) and domain.low < domain.high and rng.random() < _MOVED:
                low, high, at = domain.low, domain.high, best.params[name]
                if domain.log:
                    low, high, at = np.log(low), np.log(high), np.log(at)
                at += (high - low) * 10.0 ** -rng.uniform(1.0, 6.0) * rng.standard_normal()
                at = float(np.exp(at) if domain.log else at)
                moved[name] = min(max(at, domain.low), domain.high)
        return moved

    def _one_of_the_best(self, told: Sequence[_Done], rng: np.random.Generator) -> _Done:
        """The best trial told; on the way to a front one of those that no other beats, each as likely."""
        holding = [d for d in told if d.evaluated.feasible and d.frozen.values is not None]
        if len(self.plan.objectives) == 1 or not holding:
            return min(told, key=lambda d: d.standings[-1])
        signs = np.array([-1.0 if LARGER_IS_BETTER[m] else 1.0 for m in self.plan.objectives])
        cost = np.array([d.frozen.values for d in holding]) * signs
        no_worse = (cost[:, None] <= cost[None]).all(axis=2)
        beaten = (no_worse & (cost[:, None] < cost[None]).any(axis=2)).any(axis=0)
        return holding[int(rng.choice(np.flatnonzero(~beaten)))]

    def finish(self, k: int) -> None:
        """Wait until trial k is finished, moving on whatever is."""
        while k not in self.done:
            waiting = {n: live.waiting for n, live in self.live.items() if live.waiting is not None}
            if not any(f.done() for f in waiting.values()):
                self.workforce.any_done(waiting.values())
            for n, future in waiting.items():
                if future.done():
                    self._advance(self.live[n], future.result())

    def tell(self, k: int) -> None:
        """Tell Optuna how trial k went."""
        from optuna.trial import TrialState

        self.finish(k)
        done, trial = self.done[k], self.asked.pop(k, None)
        state = done.frozen.state
        if trial is not None:
            for step, value in done.frozen.intermediate_values.items():
                trial.report(value, step)
            for name, violation in self._constraints(done.frozen).items():
                trial.set_constraint(name, violation)
        if self._forgettable(k, done.frozen):
            state = TrialState.FAIL
        values = done.frozen.values if state is TrialState.COMPLETE else None
        self.study.tell(trial if trial is not None else k, values, state=state)
        self.told = k + 1

    def _forgettable(self, k: int, frozen: FrozenTrial) -> bool:
        """Whether the sampler can do without trial k: of those dropped early it sees the first, then every fourth.

        TPE models where the bad ones are, for which a fair part of them is enough; going through all of them for every
        proposal takes longer than the games.
        """
        many = self.plan.sampler == "tpe" and k >= _REMEMBERED and k % 4 != 0
        return many and frozen.state.name == "PRUNED"

    def _constraints(self, frozen: FrozenTrial) -> dict[str, float]:
        """What the sampler is told of what is missed: each constraint where it models them one by one, else their sum,
        which is all that TPE and NSGA look at and which they would add up anew for every trial and proposal."""
        if self.plan.sampler == "gp":
            return dict(frozen.constraints)
        if not frozen.constraints or self.plan.sampler == "cma-es":  # it is chosen only where there are none
            return {}
        return {"missed": sum(max(v, 0.0) for v in frozen.constraints.values())}

    def _advance(self, live: _Live, found: Any) -> None:
        if isinstance(found, str):
            self._complete(live, full=True, proof=found)
            return
        measured: Measured
        if isinstance(found, tuple):
            measured, live.stated = found
        else:
            measured = found
        if measured.error:
            self._close(live, measured.error)
            return
        live.pieces.append(measured)
        assert live.stated is not None
        card = card_of(live.protocol, live.pieces)
        seen, full = measured.stop, measured.stop == self.steps[-1]
        live.standings.append(self._standing(card, live.stated, full=full))
        if full:
            if self._improves(live):
                live.waiting = self.workforce.submit(partial(_digest, live.protocol))
            else:
                self._complete(live, full=True, proof="")
        elif self._worth_more(live):
            stop = self.steps[len(live.standings)]
            live.waiting = self.workforce.submit(partial(_further, live.protocol, seen, stop))
        else:
            self._complete(live, full=False, proof="")

    def _standing(self, card: Scorecard, stated: Stated, *, full: bool) -> tuple[float, float]:
        """What is missed, with some forgiveness while draws are few, then the objective: less is better."""
        missed = self.goal.violations(card, stated.gain, slack=0.0 if full else _FORGIVEN)
        name = self.plan.objectives[0]
        value = self.goal.value(card, name)
        return sum(max(v, 0.0) for v in missed.values()), -value if LARGER_IS_BETTER[name] else value

    def _worth_more(self, live: _Live) -> bool:
        """Whether it is among the better half of the trials told before it, at the same number of draws.

        On the way to a front only what is missed counts: of two that hold, either may be on it.
        """
        at = len(live.standings) - 1
        own = live.standings[at]
        others = [
            self.done[j].standings[at]
            for j in range(live.number - self.plan.in_flight + 1)
            if len(self.done[j].standings) > at
        ]
        if len(self.plan.objectives) > 1:
            own, others = (own[0], 0.0), [(missed, 0.0) for missed, _ in others]
        return 2 * sum(other < own for other in others) < len(others) or len(others) < 4

    def _improves(self, live: _Live) -> bool:
        """Whether it meets the goal better than every trial told before it: then its certificate is worth a digest."""
        missed, value = live.standings[-1]
        if missed > 0:
            return False
        told = (self.done[j] for j in range(live.number - self.plan.in_flight + 1))
        return all(d.standings[-1] > (missed, value) for d in told if d.evaluated.feasible)

    # -- what is kept -------------------------------------------------------------------------------------------------

    def _close(self, live: _Live, why: str, missed: Mapping[str, float] | None = None) -> None:
        """A trial that was not played."""
        card = Scorecard(live.protocol, {m: Figure(None, None, 0, why) for m in METRICS}, 0, 0)
        self._keep(live, Evaluated(live.protocol, card, missed or {"can be played": 1.0}, full=False, note=why))

    def _complete(self, live: _Live, *, full: bool, proof: str) -> None:
        card = card_of(live.protocol, live.pieces)
        assert live.stated is not None
        missed = self.goal.violations(card, live.stated.gain)
        missed |= {f"limit on {n}": v for n, v in overruns(self.space.limits, live.protocol, self.population).items()}
        note = "" if full else f"dropped after {card.draws} draws: not among the better half"
        self._keep(live, Evaluated(live.protocol, card, missed, full=full, stated=live.stated, note=note, digest=proof))

    def _keep(self, live: _Live, evaluated: Evaluated) -> None:
        frozen = self._frozen(live, evaluated)
        self.log.add(frozen)
        self.done[live.number] = _Done(frozen, evaluated, tuple(live.standings))
        self.live.pop(live.number, None)

    def _frozen(self, live: _Live, evaluated: Evaluated) -> FrozenTrial:
        """As Optuna keeps it. A trial dropped on the way to a single figure is "pruned"; its estimate counts less."""
        from optuna.trial import TrialState, create_trial

        played = evaluated.stated is not None
        several = len(self.plan.objectives) > 1
        values = [self.goal.value(evaluated.scorecard, name) for name in self.plan.objectives]
        pruned = not played or (not evaluated.full and not several)
        reached = {} if several or not played else {evaluated.scorecard.draws: values[0]}
        drafted = self.study.get_trials(deepcopy=False)[live.number]
        return create_trial(
            state=TrialState.PRUNED if pruned else TrialState.COMPLETE,
            values=None if pruned else values,
            params=drafted.params,
            distributions=drafted.distributions,
            system_attrs={k: v for k, v in drafted.system_attrs.items() if not k.startswith("fixed_params")},
            user_attrs=attributes_of(live.number, live.standings, evaluated),
            intermediate_values=reached,
            constraints=dict(evaluated.violations),
        )
