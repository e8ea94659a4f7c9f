"""A game, the certificate of its answer, and what the independent checker says: the evidence of every claim."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from designer.protocol import Protocol
from followers.costs import PowerCost
from followers.curves import ScoreCurve
from followers.game import LeaderboardGame
from followers.population import Population
from solvers.certificate import Certificate, Status, to_json
from solvers.checker import check
from solvers.pure import PureEquilibrium, solve_pure

__all__ = ["Witness", "developers", "profile_witness", "solved_witness"]


@dataclass(frozen=True, slots=True)
class Witness:
    """One certified statement: `name` says of what, `expected` which status the claim needs."""

    name: str
    expected: Status
    status: Status
    margin: float
    verified: bool
    certificate: Certificate

    @property
    def holds(self) -> bool:
        """The status is the expected one, and the checker agrees."""
        return self.verified and self.status is self.expected

    def document(self) -> dict[str, Any]:
        """As JSON, certificate and all."""
        return {
            "name": self.name,
            "expected": self.expected.value,
            "status": self.status.value,
            "margin": to_json(self.margin),
            "verified": self.verified,
            "certificate": to_json(self.certificate),
        }


def developers(
    curve: ScoreCurve,
    *,
    quality: Sequence[float],
    start: Any = 0.0,
    scale: Any = 1.0,
    exponent: Any = 1.0,
    free: Any = 0.0,
) -> Population:
    """A small population with power costs; `start` is prior exposure."""
    n = len(quality)

    def spread(x: Any) -> Any:
        return np.broadcast_to(np.asarray(x, dtype=np.float64), (n,)).copy()

    return Population(
        names=tuple("ABCDEFGH"[:n]),
        quality=np.asarray(quality, dtype=np.float64)[None],
        curve=curve,
        cost=PowerCost(spread(scale), spread(exponent), spread(free), spread(0.0)),
        prior_exposure=spread(start)[None],
        effort_cap=np.full((1, n), np.inf),
        parameters_b=np.ones(n),
        score_stderr=np.zeros(n),
    )


def solved_witness(
    name: str, population: Population, protocol: Protocol, expected: Status, *, find_all: bool = False
) -> tuple[Witness, PureEquilibrium]:
    """The witness of a population (B = 1) under a protocol, and what its solver says."""
    game = protocol.induce(population)
    result = solve_pure(game, find_all=find_all)
    certificate = result.certificate(0)
    verified = check(game, certificate).passed
    return Witness(name, expected, result.status(0), float(result.margin[0]), verified, certificate), result


def profile_witness(name: str, game: LeaderboardGame, efforts: Sequence[float]) -> Witness:
    """That these efforts are an equilibrium, of which the checker alone is asked (B = 1).

    The margin is infinite: for profiles in which no deviation gains a prize or saves a cost.
    """
    score, tail = (x[0] for x in game.scores(np.asarray(efforts)[None]))
    certificate = Certificate(
        status=Status.EXISTS,
        theorem="given profile",
        efforts=tuple(efforts),
        scores=tuple(score.tolist()),
        tails=tuple(np.broadcast_to(tail, score.shape).tolist()),
        deviations=(),
        margin=float("inf"),
        tolerance=0.0,
    )
    verified = check(game, certificate).passed
    return Witness(name, Status.EXISTS, Status.EXISTS if verified else Status.UNKNOWN, np.inf, verified, certificate)
