"""The trials of a search, one after another as far as results go, several at once as far as time goes.

Trial k is proposed when trials 0 to k - W have been told, whatever the number of workers: W, the trials in flight, is
part of the problem, so that results depend on the seed alone. A trial is measured on ever more draws, and each time
goes on only if it is among the best quarter of those told last before it (successive halving: Jamieson & Talwalkar
2016; asynchronous, by quarters: Li et al. 2020); the same draws for all, so that what is compared is the protocols.
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
from designer.evolution import Parent, Parents, admit, child
from designer.goal import Goal
from designer.limits import overruns
from designer.protocol import Protocol
from designer.samplers import sampler_of
from designer.scorecard import LARGER_IS_BETTER, METRICS, Figure, Scorecard
from designer.space import Space
from designer.told import Standing, attributes_of, standings_of, told_of
from designer.workforce import Workforce
from followers.population import Population

if TYPE_CHECKING:
    import optuna
    from optuna.trial import BaseTrial, FrozenTrial

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

_GOING_ON = 4
"""One in so many goes on to more draws."""

_COMPARED = 64
"""Latest trials with which one is compared: a search gets better, so that all of its trials would be among the best."""

_ALONE = frozenset({"random", "gp", "cma-es"})
"""Samplers that are not helped out by steps from the best: by name a baseline, or with a finer model of their own."""

_RETRIES = 8
"""Attempts at a protocol that was not proposed before; the later half may lead anywhere."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a search goes about it.

    sampler : by name. seed : of all. objectives : figures to optimise: one, or those of a front.
    modelled : trials that the sampler proposes (None: all), before steps from the best ones take over.
    in_flight : trials proposed before the first is told. first_draws : least to compare trials on (None: all at once).
    """

    sampler: str
    seed: int
    objectives: tuple[str, ...]
    modelled: int | None = None
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


def _cost(metric: str, value: float) -> float:
    """A figure turned so that less of it is better."""
    return -value if LARGER_IS_BETTER[metric] else value


@dataclass(slots=True)
class _Live:
    """A trial in flight.

    to_beat : the best standing known when it was proposed. stood : how many of the trials told by then had been
    compared after each number of draws.
    """

    number: int
    trial: BaseTrial
    protocol: Protocol
    to_beat: Standing | None
    stood: tuple[int, ...]
    pieces: list[Measured] = field(default_factory=list)
    card: Scorecard | None = None
    stated: Stated | None = None
    standings: list[Standing] = field(default_factory=list)
    waiting: Future[Any] | None = None


@dataclass(frozen=True, slots=True)
class _Done:
    """A finished trial: what Optuna is told, what we know, where it stood after each rung."""

    frozen: FrozenTrial
    evaluated: Evaluated
    standings: tuple[Standing, ...]


def _first(protocol: Protocol, stop: int, board: Board) -> tuple[Measured, Stated]:
    return board.begin(protocol, stop)


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
        self.front = len(plan.objectives) > 1
        self.live: dict[int, _Live] = {}
        self.done: dict[int, _Done] = {}
        self.asked: dict[int, optuna.Trial] = {}
        self.proposed: set[Protocol] = set()
        # of the trials told, in their order
        self.told = 0
        self.parents = Parents()
        self.to_beat: Standing | None = None
        self.stood: tuple[list[Standing], ...] = tuple([] for _ in steps)

    def _modelled(self, k: int) -> bool:
        """Whether trial k is the sampler's to propose, and to be told of."""
        return self.plan.modelled is None or k < self.plan.modelled

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
            self.proposed.add(self.done[k].evaluated.protocol)
            told = k < first - self.plan.in_flight
            if self._modelled(k):
                again = create_trial(
                    state=frozen.state if told else TrialState.RUNNING,
                    values=frozen.values if told and frozen.state is TrialState.COMPLETE else None,
                    params=frozen.params,
                    distributions=frozen.distributions,
                    system_attrs={a: v for a, v in frozen.system_attrs.items() if not a.startswith("constraints")},
                    intermediate_values=frozen.intermediate_values,
                    constraints=self._constraints(frozen),
                )
                self.study.add_trial(again)
            if told:
                self._learn(k)
        return first

    # -- one trial ----------------------------------------------------------------------------------------------------

    def propose(self, k: int, parameters: Mapping[str, Any] | None) -> None:
        """Propose trial k and give out its first draws."""
        trial, protocol, fault = self._drafted(k, parameters)
        self.proposed.add(protocol)
        live = _Live(k, trial, protocol, self.to_beat, tuple(map(len, self.stood)))
        if fault:
            self._close(live, fault)
            return
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

    def _drafted(self, k: int, parameters: Mapping[str, Any] | None) -> tuple[BaseTrial, Protocol, str]:
        """What trial k tries: given parameters, a step from the best, or what the sampler thinks of; and what is wrong
        with it, if its knobs exclude each other."""
        if not self._modelled(k):
            return self._stepped(k) if parameters is None else self._fixed(k, parameters, self._lots(k))
        if parameters is None and self.plan.sampler not in _ALONE and k % 3 == 2 and self.parents.best:
            parameters = self._stepped(k)[0].params
        if parameters is not None:
            self.study.enqueue_trial(dict(parameters))
        name = "random" if parameters is not None or self.told == 0 else self.plan.sampler
        self.study.sampler = sampler_of(name, self.space, self.plan.seed, k)
        self.asked[k] = trial = self.study.ask()
        assert trial.number == k
        return self._suggested(trial)

    def _stepped(self, k: int) -> tuple[BaseTrial, Protocol, str]:
        """A step from the best trials told, or anywhere, to a protocol not yet proposed if some attempt finds one."""
        rng = self._lots(k)
        for attempt in range(_RETRIES):
            found = child(self.parents, rng) if self.parents.best and 2 * attempt < _RETRIES else {}
            draft = self._fixed(k, found, rng)
            if draft[1] not in self.proposed:
                break
        return draft

    def _lots(self, k: int) -> np.random.Generator:
        """What trial k draws from, whatever was drawn for others."""
        return np.random.default_rng([self.plan.seed, 3, k])

    def _fixed(
        self, k: int, parameters: Mapping[str, Any], rng: np.random.Generator
    ) -> tuple[BaseTrial, Protocol, str]:
        """Given parameters, and any values of those that are missing."""
        from optuna.trial import FixedTrial

        anywhere = self.space.place(tuple(rng.random(self.space.dimensions()).tolist()))
        return self._suggested(FixedTrial(anywhere | dict(parameters), k))

    def _suggested(self, trial: BaseTrial) -> tuple[BaseTrial, Protocol, str]:
        try:
            return trial, self.space.suggest(trial), ""
        except ValueError as error:
            return trial, self.space.base, str(error)

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
        """Tell Optuna, where trial k was its own, and those that come after it how trial k went."""
        from optuna.trial import TrialState

        self.finish(k)
        if self._modelled(k):
            frozen, trial = self.done[k].frozen, self.asked.pop(k, None)
            if trial is not None:
                for step, value in frozen.intermediate_values.items():
                    trial.report(value, step)
                for name, violation in self._constraints(frozen).items():
                    trial.set_constraint(name, violation)
            values = frozen.values if frozen.state is TrialState.COMPLETE else None
            self.study.tell(trial if trial is not None else k, values, state=frozen.state)
        self._learn(k)

    def _learn(self, k: int) -> None:
        """Trial k is told: from now on others are measured by it, and steps taken from it."""
        self.told = k + 1
        done = self.done[k]
        for at, standing in enumerate(done.standings):
            self.stood[at].append(standing)
        if not done.standings or not done.evaluated.full:
            return
        standing, feasible = done.standings[-1], done.evaluated.feasible
        if feasible and (self.to_beat is None or standing < self.to_beat):
            self.to_beat = standing
        costs: tuple[float, ...] = ()
        if self.front and done.frozen.values is not None:
            costs = tuple(map(_cost, self.plan.objectives, done.frozen.values))
        new = Parent(done.frozen.params, done.frozen.distributions, standing, costs)
        self.parents = admit(self.parents, new)

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
        live.card = card = card_of(live.protocol, live.pieces)
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

    def _standing(self, card: Scorecard, stated: Stated, *, full: bool) -> Standing:
        """Where it stands; what it misses is forgiven a little while draws are few."""
        missed = self.goal.violations(card, stated.gain, slack=0.0 if full else _FORGIVEN)
        name = self.plan.objectives[0]
        figure, quality = _cost(name, self.goal.value(card, name)), self.goal.value(card, "kendall_tau")
        return sum(max(v, 0.0) for v in missed.values()), figure, -quality

    def _worth_more(self, live: _Live) -> bool:
        """Whether it is among the best quarter of the latest trials told before it, at the same number of draws.

        Where many stand alike, those that came first have shown what there is to see. On the way to a front only what
        is missed counts: of two that hold, either may be on it.
        """
        at = len(live.standings) - 1
        own, others = live.standings[at], self.stood[at][max(0, live.stood[at] - _COMPARED) : live.stood[at]]
        ahead = sum(other[0] < own[0] for other in others) if self.front else sum(other <= own for other in others)
        return len(others) < _GOING_ON or _GOING_ON * ahead < len(others)

    def _improves(self, live: _Live) -> bool:
        """Whether it meets the goal better than every trial told before it: then its certificate is worth a digest."""
        return live.standings[-1][0] <= 0 and (live.to_beat is None or live.standings[-1] < live.to_beat)

    # -- what is kept -------------------------------------------------------------------------------------------------

    def _close(self, live: _Live, why: str, missed: Mapping[str, float] | None = None) -> None:
        """A trial that was not played."""
        card = Scorecard(live.protocol, {m: Figure(None, None, 0, why) for m in METRICS}, 0, 0)
        self._keep(live, Evaluated(live.protocol, card, missed or {"can be played": 1.0}, full=False, note=why))

    def _complete(self, live: _Live, *, full: bool, proof: str) -> None:
        card = live.card
        assert card is not None and live.stated is not None
        missed = self.goal.violations(card, live.stated.gain)
        missed |= {f"limit on {n}": v for n, v in overruns(self.space.limits, live.protocol, self.population).items()}
        note = "" if full else f"dropped after {card.draws} draws: not among the best quarter"
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
        values = [self.goal.value(evaluated.scorecard, name) for name in self.plan.objectives]
        pruned = not played or (not evaluated.full and not self.front)
        reached = {} if self.front or not played else {evaluated.scorecard.draws: values[0]}
        own = self._modelled(live.number)
        noted = self.study.get_trials(deepcopy=False)[live.number].system_attrs if own else {}
        return create_trial(
            state=TrialState.PRUNED if pruned else TrialState.COMPLETE,
            values=None if pruned else values,
            params=live.trial.params,
            distributions=live.trial.distributions,
            system_attrs={k: v for k, v in noted.items() if not k.startswith("fixed_params")},
            user_attrs=attributes_of(live.number, live.standings, evaluated),
            intermediate_values=reached,
            constraints=dict(evaluated.violations),
        )
