"""Some of the draws of a population, and draws of one put before those of another."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np

from followers.game import select_law
from followers.grouping import Part
from followers.population import Population
from followers.roster import RosterCost, RosterCurve

__all__ = ["joined", "population_slice"]


def population_slice(population: Population, start: int, stop: int) -> Population:
    """Draws `start` to `stop` of a population of B draws."""
    if start == 0 and stop >= population.batch:
        return population
    part = slice(start, stop)
    return replace(
        population,
        quality=population.quality[part],
        curve=select_law(population.curve, part, population.batch),
        cost=select_law(population.cost, part, population.batch),
        prior_exposure=population.prior_exposure[part],
        effort_cap=population.effort_cap[part],
    )


def joined(first: Population, second: Population) -> Population:
    """The draws of `first`, then those of `second`; everything else as in `second`.

    Raises
    ------
    ValueError : their developers, or the kinds of their curves or costs, are not the same.
    """
    if first.names != second.names:
        raise ValueError("populations of different developers cannot be joined")
    batches = (first.batch, second.batch)
    return replace(
        second,
        quality=np.concatenate([first.quality, second.quality]),
        curve=_joined_law(first.curve, second.curve, batches),
        cost=_joined_law(first.cost, second.cost, batches),
        prior_exposure=np.concatenate([first.prior_exposure, second.prior_exposure]),
        effort_cap=np.concatenate([first.effort_cap, second.effort_cap]),
    )


def _joined_law(one: Any, other: Any, batches: tuple[int, int]) -> Any:
    if type(one) is not type(other):
        raise ValueError(f"a {type(one).__name__} and a {type(other).__name__} cannot be joined")
    if isinstance(one, RosterCurve | RosterCost):
        if [p.developers.tolist() for p in one.parts] != [p.developers.tolist() for p in other.parts]:
            raise ValueError("rosters with other developers of each kind cannot be joined")
        pairs: Any = zip(one.parts, other.parts, strict=True)
        parts = tuple(Part(p.developers, _joined_law(p.law, q.law, batches)) for p, q in pairs)
        return type(one)(parts=parts, n=one.n)
    axes = 2 + one.table_axes
    changed = {f.name: _joined_field(getattr(one, f.name), getattr(other, f.name), axes, batches) for f in fields(one)}
    return type(one)(**changed)


def _joined_field(one: Any, other: Any, axes: int, batches: tuple[int, int]) -> Any:
    if isinstance(one, tuple):
        if len(one) != len(other):
            raise ValueError("curves of different numbers of parts cannot be joined")
        return tuple(_joined_field(a, b, axes, batches) for a, b in zip(one, other, strict=True))
    if is_dataclass(one):
        return _joined_law(one, other, batches)
    if np.ndim(one) < axes and np.ndim(other) < axes and np.array_equal(one, other):
        return other  # shared by all games
    tail = np.broadcast_shapes(np.shape(one)[-(axes - 1) :], np.shape(other)[-(axes - 1) :])
    return np.concatenate([np.broadcast_to(x, (b, *tail)) for x, b in zip((one, other), batches, strict=True)])
