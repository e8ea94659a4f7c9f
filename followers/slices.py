"""Some of the draws of a population."""

from __future__ import annotations

from dataclasses import replace

from followers.game import select_law
from followers.population import Population

__all__ = ["population_slice"]


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
