"""What a search learns of a protocol: figures on some of the draws, and the answer on the population as stated."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from designer.goal import Goal
from designer.protocol import Protocol
from designer.scorecard import Scorecard, play, summary
from followers.arrays import FloatArray, IntArray
from followers.population import Population
from followers.slices import joined, population_slice
from solvers.certificate import to_json
from solvers.inner import AnyCertificate, InnerAnswer, solve_inner

__all__ = ["Board", "Evaluated", "Measured", "Stated", "card_of", "digest", "rungs"]


NODES = 250
"""Branches per drawn game while searching: few games take more, and those that do take as long as a thousand others."""


@dataclass(frozen=True, slots=True)
class Stated:
    """A protocol's answer on the population as stated.

    status : "exists", "absent" or "unknown". margin : prize units, NaN where there is none. gain : largest gain by
    deviating, 0 or less where nobody gains; a constraint of the search.
    """

    status: str
    margin: float
    gain: float


@dataclass(frozen=True, slots=True)
class Measured:
    """Per-draw figures of draws `start` to `stop`, each (stop - start,), and the statuses of their games.

    error : why the protocol cannot be played; then there are no figures.
    """

    start: int
    stop: int
    values: Mapping[str, FloatArray]
    codes: IntArray
    error: str = ""


@dataclass(frozen=True, slots=True)
class Board:
    """What protocols are tried on: the population as stated, and its draws, the same for every protocol.

    node_budget : branches to visit per game that needs a search. Beyond it a drawn game is UNKNOWN, which counts as no
        equilibrium and is said; the stated one is given the solver's own, larger budget if nothing is found within
        this one, and so is, on fresh draws, what is recommended.
    together : the stated population, then the draws.
    """

    stated: Population
    drawn: Population
    node_budget: int = NODES
    together: Population = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "together", joined(self.stated, self.drawn))

    def measure(self, protocol: Protocol, start: int, stop: int) -> Measured:
        """Play draws `start` to `stop`; a protocol that contradicts itself or the population is an answer, too."""
        try:
            outcomes = play(protocol, population_slice(self.drawn, start, stop), node_budget=self.node_budget)
        except ValueError as error:
            return Measured(start, stop, {}, np.empty(0, dtype=np.int64), str(error))
        return Measured(start, stop, outcomes.values, outcomes.equilibrium.codes)

    def state(self, protocol: Protocol) -> Stated:
        """Solve the population as stated."""
        try:
            return _stated(self._solved(protocol))
        except ValueError:
            return Stated("unknown", float("nan"), 1.0)

    def _solved(self, protocol: Protocol) -> InnerAnswer:
        """The answer on the population as stated, with as many branches as it takes to have one.

        A game of many equilibria may have a million branches; that there is one is found in some hundred.
        """
        game = protocol.induce(self.stated)
        answer = solve_inner(game, node_budget=self.node_budget)
        return solve_inner(game) if answer.codes[0] == 2 and game.noise is None else answer

    def begin(self, protocol: Protocol, stop: int) -> tuple[Measured, Stated]:
        """`measure` draws 0 to `stop`, and `state`: in one batch of games, the stated population being one of them."""
        try:
            outcomes = play(protocol, population_slice(self.together, 0, stop + 1), node_budget=self.node_budget)
        except ValueError as error:
            return Measured(0, stop, {}, np.empty(0, dtype=np.int64), str(error)), self.state(protocol)
        answer, codes = outcomes.equilibrium, outcomes.equilibrium.codes
        if codes[0] == 2:
            answer = solve_inner(protocol.induce(self.stated))
        return Measured(0, stop, {m: x[1:] for m, x in outcomes.values.items()}, codes[1:]), _stated(answer)

    def certify(self, protocol: Protocol) -> AnyCertificate:
        """The certificate of the answer on the population as stated."""
        return self._solved(protocol).certify(0)


def _stated(solved: InnerAnswer) -> Stated:
    """The answer on the first game of a batch."""
    margin = float(solved.margin[0])
    known = margin if np.isfinite(margin) else 0.0  # unbounded: no deviation gains a prize; none: noise
    # undecided is not settled: what is not known to exist misses by more than rounding, however it looks
    gain = min(0.0, -known) if solved.exists[0] else max(-known, float(solved.tolerance[0]), 1e-12)
    return Stated(solved.status(0).value, margin, gain)


def digest(certificate: AnyCertificate) -> str:
    """SHA-256 of a certificate as JSON, in hexadecimal: what a report and a stored study name it by."""
    return hashlib.sha256(json.dumps(to_json(certificate), sort_keys=True).encode()).hexdigest()


def card_of(protocol: Protocol, pieces: Sequence[Measured]) -> Scorecard:
    """The scorecard of all draws measured so far."""
    values = {name: np.concatenate([p.values[name] for p in pieces]) for name in pieces[0].values}
    return summary(protocol, values, np.concatenate([p.codes for p in pieces]))


def rungs(draws: int, first: int | None) -> tuple[int, ...]:
    """Numbers of draws after which a search asks whether a protocol is worth more of them: each four times the one
    before, up to `draws`, the first at least `first`; None: all draws at once."""
    if first is None or draws < 2 * first:
        return (draws,)
    steps = [draws]
    while len(steps) < 2 or steps[0] >= 4 * first:
        steps.insert(0, max(first, -(-steps[0] // 4)))
    return tuple(steps)


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A protocol with its scorecard, and its certificate on the population as stated.

    Attributes
    ----------
    scorecard : on the draws it has seen. violations : by constraint, 0 or less where it holds.
    certificate : None but for the best and the nearest one. full : whether it has seen every draw of the search.
    stated : the answer on the population as stated, None where it was not asked.
    note : why it was not played, or not to the end.
    """

    protocol: Protocol
    scorecard: Scorecard
    violations: Mapping[str, float]
    certificate: AnyCertificate | None = None
    full: bool = True
    stated: Stated | None = None
    note: str = ""
    digest: str = field(default="", compare=False)

    @property
    def feasible(self) -> bool:
        """Whether every constraint is known to hold, on every draw."""
        return self.full and all(v <= 0 for v in self.violations.values())

    @property
    def missed(self) -> float:
        """Sum of what constraints are missed by."""
        return float(sum(max(v, 0.0) for v in self.violations.values()))

    def ranking_quality(self, goal: Goal) -> float:
        """Kendall's tau-b, or what stands for it where it is undefined."""
        return goal.value(self.scorecard, "kendall_tau")
