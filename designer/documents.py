"""Protocols, spaces, goals and scorecards as plain data and back: what a stored study is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from designer.domains import Choice, Domain, Parts, Range, Simplex
from designer.goal import Goal
from designer.protocol import Protocol, knobs
from designer.scorecard import Figure, Scorecard
from designer.space import Space
from followers.errors import InputError
from followers.prior import RosterPrior

__all__ = [
    "card_document",
    "goal_document",
    "prior_document",
    "read_card",
    "read_goal",
    "read_prior",
    "read_protocol",
    "read_space",
    "space_document",
]


@cache
def _adapter(knob: str) -> TypeAdapter[Any]:
    """What reads a knob's value; made once, it takes longer to make than to use."""
    return TypeAdapter(knobs()[knob].form)


def read_protocol(document: Mapping[str, Mapping[str, Any]]) -> Protocol:
    """The protocol that `Protocol.document` wrote.

    Raises
    ------
    InputError : it is no such document.
    """
    try:
        values = {
            name: _adapter(name).validate_python(document[k.section][name])
            for name, k in knobs().items()
            if name in document.get(k.section, {})
        }
        return Protocol(**values)
    except (ValidationError, ValueError, TypeError) as error:
        raise InputError(f"protocol: not what was written by this program ({str(error).splitlines()[0]})") from None


def space_document(space: Space) -> dict[str, Any]:
    """Domains by knob, the base protocol and the limits."""
    domains = {name: _domain_document(domain, knobs()[name].write) for name, domain in space.domains.items()}
    return {"domains": domains, "base": space.base.document(), "limits": dict(space.limits)}


def _domain_document(domain: Domain, write: Callable[[Any], Any]) -> dict[str, Any]:
    if isinstance(domain, Choice):
        return {"choice": [write(option) for option in domain.options]}
    if isinstance(domain, Parts):
        return {"parts": {name: _domain_document(own, lambda value: value) for name, own in domain.domains.items()}}
    return {type(domain).__name__.lower(): asdict(domain)}


def read_space(document: Mapping[str, Any]) -> Space:
    """The space that `space_document` wrote."""
    domains = {name: _read_domain(name, own) for name, own in document["domains"].items()}
    return Space(domains, read_protocol(document["base"]), document["limits"])


def _read_domain(knob: str, document: Mapping[str, Any]) -> Domain:
    if "choice" in document:
        form = _adapter(knob)
        return Choice(tuple(form.validate_python(option) for option in document["choice"]))
    if "parts" in document:
        composite = knobs()[knob].composite
        assert composite is not None
        own = {name: _read_part(part) for name, part in document["parts"].items()}
        return Parts(composite, own)
    return Simplex(**document["simplex"]) if "simplex" in document else Range(**document["range"])


def _read_part(document: Mapping[str, Any]) -> Range | Choice:
    return Choice(tuple(document["choice"])) if "choice" in document else Range(**document["range"])


def goal_document(goal: Goal) -> dict[str, Any]:
    """The goal as tables of a study file."""
    return {
        "optimise": goal.optimise,
        "at_least": dict(goal.at_least),
        "at_most": dict(goal.at_most),
        "steady": goal.steady,
        "front": list(goal.front),
    }


def read_goal(document: Mapping[str, Any]) -> Goal:
    """The goal that `goal_document` wrote."""
    return Goal(**{**document, "front": tuple(document["front"])})


def prior_document(prior: RosterPrior) -> dict[str, Any]:
    """The prior's parameters."""
    return asdict(prior)


def read_prior(document: Mapping[str, Any]) -> RosterPrior:
    """The prior that `prior_document` wrote."""
    return RosterPrior(**document)


def card_document(card: Scorecard) -> dict[str, Any]:
    """The figures of a scorecard, its protocol left out; undefined means are null."""
    figures = {name: [f.mean, f.stderr, f.draws, f.reason] for name, f in card.figures.items()}
    return {"draws": card.draws, "unknown": card.unknown, "figures": figures}


def read_card(document: Mapping[str, Any], protocol: Protocol) -> Scorecard:
    """The scorecard that `card_document` wrote."""
    figures = {name: Figure(*values) for name, values in document["figures"].items()}
    return Scorecard(protocol, figures, document["draws"], document["unknown"])
