"""A design problem, who plays, what may be turned, what is wanted, and the identity by which a study knows it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np

from designer.documents import (
    goal_document,
    prior_document,
    read_goal,
    read_prior,
    read_space,
    space_document,
)
from designer.goal import Goal
from designer.space import Space
from followers.documents import population_document, read_population_document
from followers.errors import InputError
from followers.population import Population
from followers.prior import RosterPrior

__all__ = ["Problem", "differing", "identity", "read_problem"]

_PARTS = ("population", "space", "goal", "prior", "draws", "seed", "search", "version")


@dataclass(frozen=True, slots=True)
class Problem:
    """What a search is asked.

    Attributes
    ----------
    population : as stated (B = 1). space, goal, prior : see there.
    draws, seed : populations that each protocol is scored on, and the seed of them and of the search.
    search : how it is searched, as far as results depend on it: sampler, trials in flight, first draws of halving.
    """

    population: Population
    space: Space
    goal: Goal
    prior: RosterPrior
    draws: int
    seed: int
    search: Mapping[str, Any]

    def drawn(self) -> Population:
        """The draws that protocols are scored on in the search."""
        return self.prior.draw(self.population, self.draws, np.random.default_rng(self.seed))

    def fresh(self) -> Population:
        """As many draws that the search has not seen: on its own, the winner looks better than it is."""
        return self.prior.draw(self.population, self.draws, np.random.default_rng([self.seed, 1]))

    def document(self) -> dict[str, Any]:
        """Everything that a result depends on, as plain data."""
        return {
            "population": population_document(self.population),
            "space": space_document(self.space),
            "goal": goal_document(self.goal),
            "prior": prior_document(self.prior),
            "draws": self.draws,
            "seed": self.seed,
            "search": dict(self.search),
            "version": version("truerank"),
        }


def identity(document: Mapping[str, Any]) -> str:
    """SHA-256 of a problem's document, in hexadecimal."""
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def differing(document: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[str, ...]:
    """Which parts of two problems differ."""
    plain, theirs = json.loads(json.dumps(document)), json.loads(json.dumps(other))
    return tuple(part for part in _PARTS if plain.get(part) != theirs.get(part))


def read_problem(document: Mapping[str, Any]) -> Problem:
    """The problem that `Problem.document` wrote.

    Raises
    ------
    InputError : it is no such document.
    """
    try:
        return Problem(
            population=read_population_document(document["population"]),
            space=read_space(document["space"]),
            goal=read_goal(document["goal"]),
            prior=read_prior(document["prior"]),
            draws=document["draws"],
            seed=document["seed"],
            search=document["search"],
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"study: its problem is not what this program writes ({error!r})") from None
