"""What a search starts from: common practice and what exact programs find, so that it can only improve on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil

from designer.domains import Range
from designer.protocol import Protocol
from designer.space import Space
from followers.population import Population

__all__ = ["TUNE_STEPS", "WarmStart", "warm_starts"]

TUNE_STEPS = 25_000.0
"""Tuning budget of the tune-before-test baseline: the length of the longest measured trajectories."""


@dataclass(frozen=True, slots=True)
class WarmStart:
    """A protocol to start from: where it comes from, and why there is none if there is none."""

    name: str
    protocol: Protocol | None
    note: str = ""


def warm_starts(population: Population, space: Space) -> tuple[WarmStart, ...]:
    """Direct evaluation, tune-before-test, and what exact programs make of the population as stated.

    An exact program runs where the space has the knob that it designs, and covers the game; else the note says why not.
    """
    direct = replace(space.base, tune_steps=0.0)
    tuned = replace(space.base, tune_steps=_within(space, TUNE_STEPS))
    found = [WarmStart("direct evaluation", direct), WarmStart("tune-before-test", tuned)]

    def budget() -> Protocol:
        from designer.budgets import UPTO, least_budget

        domain = space.domains["tune_steps"]
        upto = domain.high if isinstance(domain, Range) else UPTO
        steps = least_budget(population, direct, upto=upto).steps
        if steps is None:
            raise ValueError(f"no tuning budget up to {upto:,.0f} steps stabilises the population as stated")
        return replace(direct, tune_steps=_within(space, steps))

    def tiers(start: Protocol) -> Protocol:
        from designer.tiering import finest_tiers

        return finest_tiers(population, start).protocol

    def prizes() -> Protocol:
        from designer.prize_design import compress_prizes

        designed = compress_prizes(population, direct).protocol
        if designed is None:
            raise ValueError("no prizes do")
        return designed

    programs: list[tuple[str, str, Callable[[], Protocol]]] = [
        ("tune_steps", "tune-before-test at the least stabilising budget", budget),
        ("tiers", "finest stable bands under direct evaluation", lambda: tiers(direct)),
        ("tiers", "finest stable bands under tune-before-test", lambda: tiers(tuned)),
        ("prizes", "least prize compression under direct evaluation", prizes),
    ]
    for knob, name, design in programs:
        if knob in space.domains:
            try:
                found.append(WarmStart(name, design()))
            except (ValueError, RuntimeError) as error:
                found.append(WarmStart(name, None, str(error)))
    return tuple(found)


def _within(space: Space, steps: float) -> float:
    """A budget that the space allows, not below `steps` unless none is that large."""
    domain = space.domains.get("tune_steps")
    if not isinstance(domain, Range):
        return steps
    if domain.step:
        steps = domain.low + domain.step * ceil((steps - domain.low) / domain.step - 1e-9)
    return float(domain.settle(min(max(steps, domain.low), domain.high)))
