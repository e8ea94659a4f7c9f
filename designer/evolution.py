"""Steps from the best protocols tried so far: an evolutionary search whose next proposal costs next to nothing.

A model of all trials, such as TPE's, takes longer to look through with every trial, and after some hundred of them
longer than the games; it is also too coarse to end where a constraint just holds. Here the best few trials are parents
(constraints first, then the figure: Deb 2000; on the way to a front those that no other beats), and a child takes each
knob from one of two of them (uniform crossover: Syswerda 1989), then moves some: by steps of every order of size, or to
somewhere else altogether. Some children lie on the way from one that holds to a better one that just misses, where the
best is often found (boundary operators: Schoenauer & Michalewicz 1996).
"""

from __future__ import annotations

from bisect import insort_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from designer.domains import number_at, share_of
from designer.dominance import unbeaten
from designer.told import Standing
from followers.arrays import FloatArray

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

__all__ = ["ALIKE", "MISSES", "PARENTS", "Parent", "Parents", "admit", "child"]

PARENTS = 16
"""Trials from which steps are taken, on the way to a single figure."""

ALIKE = 4
"""Parents that make the same choices, at most, where there are choices."""

MISSES = 8
"""Trials that miss something, but would be better."""

_CROSSED = 0.5
"""Probability that a child has two parents."""

_LEAN = 2.0
"""Power of a uniform number by which ranked parents are drawn: the larger, the more the better ones are preferred."""

_TOWARDS = 0.25
"""Probability that a child lies between a protocol that holds and one that would be better but just misses."""

_MOVED = 0.7
"""Probability with which a number is moved."""

_AFAR, _AFAR_ON_FRONT = 0.25, 0.5
"""Probability that a knob or two are chosen anew, wherever that may lead; a front has more places to find."""

_ORDERS = (0.5, 6.0)
"""Sizes of steps, as minus the power of ten of a share of the range: drawn uniformly between these."""


@dataclass(frozen=True, slots=True, eq=False)
class Parent:
    """A trial that was measured on every draw; equal to itself alone.

    parameters, distributions : as Optuna names them. standing : where it stands.
    costs : its figures, less is better, on the way to a front; empty on the way to a single figure.
    """

    parameters: Mapping[str, Any]
    distributions: Mapping[str, BaseDistribution]
    standing: Standing
    costs: tuple[float, ...] = ()

    def choices(self) -> tuple[Any, ...]:
        """Its values of everything that is no number."""
        return tuple((k, v) for k, v in sorted(self.parameters.items()) if _choice(self.distributions[k]))

    @property
    def holds(self) -> bool:
        """Whether it misses nothing."""
        return self.standing[0] <= 0


@dataclass(frozen=True, slots=True)
class Parents:
    """Trials from which steps are taken.

    best : the best, of equals the newest first; on the way to a front, once anything holds, those that hold and are not
    beaten. misses : what would be among them if it held as much, from the nearest miss on: a search often ends where a
    constraint just holds, between the two.
    """

    best: tuple[Parent, ...] = ()
    misses: tuple[Parent, ...] = ()


def admit(parents: Parents, new: Parent) -> Parents:
    """The parents once another trial is told."""
    if new.costs and (new.holds or any(p.holds for p in parents.best)):
        return _on_a_front((*parents.best, *parents.misses, new))
    ranked = list(parents.best)
    insort_left(ranked, new, key=_standing)
    missed, figure = ranked[0].standing[:2]
    # what was best may be a miss now
    nearest = sorted(dict.fromkeys((*ranked, *parents.misses)), key=_standing)
    misses = [p for p in nearest if p.standing[0] > missed and p.standing[1] < figure]
    return Parents(_varied(ranked), tuple(misses[:MISSES]))


def _varied(ranked: Sequence[Parent]) -> tuple[Parent, ...]:
    """The best, but of those that make the same choices only a few: others may lead further in the end."""
    kept: list[Parent] = []
    alike: dict[tuple[Any, ...], int] = {}
    for parent in ranked:
        choices = parent.choices()
        alike[choices] = alike.get(choices, 0) + 1
        if alike[choices] <= ALIKE or not choices:
            kept.append(parent)
    return tuple(kept[:PARENTS])


def _standing(parent: Parent) -> Standing:
    return parent.standing


def _on_a_front(known: Sequence[Parent]) -> Parents:
    """Of equal costs the newest, which comes last, is kept."""
    known = list({(p.costs, p.standing): p for p in known}.values())
    holding = list({p.costs: p for p in known if p.holds}.values())
    keep = unbeaten(np.array([p.costs for p in holding])).tolist()
    best = tuple(p for p, stays in zip(holding, keep, strict=True) if stays)
    costs = np.array([p.costs for p in best])
    missing = sorted((p for p in known if not p.holds), key=_standing)
    missing = [p for p in missing if not (costs <= np.array(p.costs)).all(axis=1).any()]
    return Parents(best, tuple(missing[:MISSES]))


def _crowding(parents: Sequence[Parent]) -> FloatArray:
    """How far each is from its neighbours on the front, over all figures; infinite at the ends (Deb et al. 2002)."""
    costs = np.array([p.costs for p in parents])
    alone = np.zeros(len(costs))
    for column in costs.T:
        order = np.argsort(column, kind="stable")
        sides = column[order]
        gaps = np.full(len(order), np.inf)
        gaps[1:-1] = (sides[2:] - sides[:-2]) / max(sides[-1] - sides[0], 1e-300)
        alone[order] += gaps
    return alone


def child(parents: Parents, rng: np.random.Generator) -> dict[str, Any]:
    """Optuna parameters of the next proposal; where a choice brings in a knob that no parent has, that one is missing.

    Of ranked parents the better ones are the likelier, on a front of two those with more room around them.
    """
    best = parents.best
    front = bool(best[0].costs) and best[0].holds
    room = _crowding(best) if front else None

    def drawn() -> Parent:
        if room is None:
            return best[int(len(best) * rng.random() ** _LEAN)]
        one, other = (int(k) for k in rng.integers(len(best), size=2))
        return best[one] if room[one] >= room[other] else best[other]

    first, second = drawn(), drawn()
    if parents.misses and rng.random() < _TOWARDS:
        miss = parents.misses[int(len(parents.misses) * rng.random() ** _LEAN)]
        return _between(first, miss, rng)
    found, domains = dict(first.parameters), dict(first.distributions)
    if rng.random() < _CROSSED:
        for name in sorted(second.parameters):
            if rng.random() < 0.5:
                found[name], domains[name] = second.parameters[name], second.distributions[name]
    common = rng.uniform(*_ORDERS) if rng.random() < 0.5 else None
    for name in sorted(domains):  # storages give them in any order
        domain = domains[name]
        if not _choice(domain) and rng.random() < _MOVED:
            order = rng.uniform(*_ORDERS) if common is None else common
            found[name] = _at(domain, _place(domain, found[name]) + 10.0**-order * rng.standard_normal())
    if rng.random() < (_AFAR_ON_FRONT if front else _AFAR):
        several = 2 if len(domains) > 1 and rng.random() < 0.3 else 1
        for name in rng.choice(sorted(domains), size=several, replace=False).tolist():
            found[name] = _anew(domains[name], rng.random())
    return found


def _between(one: Parent, other: Parent, rng: np.random.Generator) -> dict[str, Any]:
    """On the way from one to another: numbers the same share of it, choices from either."""
    share = rng.random()
    found = dict(one.parameters)
    for name in sorted(other.parameters):
        value, domain = other.parameters[name], other.distributions[name]
        if name in found and not _choice(domain):
            found[name] = _at(domain, (1.0 - share) * _place(domain, found[name]) + share * _place(domain, value))
        elif rng.random() < share:
            found[name] = value
    return found


def _choice(domain: BaseDistribution) -> bool:
    from optuna.distributions import CategoricalDistribution

    return isinstance(domain, CategoricalDistribution)


def _place(domain: Any, value: float) -> float:
    return share_of(value, domain.low, domain.high, log_scale=domain.log)


def _at(domain: Any, share: float) -> float:
    return number_at(share, domain.low, domain.high, log_scale=domain.log)


def _anew(domain: Any, u: float) -> Any:
    """Any value, at coordinate u in [0, 1)."""
    return domain.choices[int(u * len(domain.choices))] if _choice(domain) else _at(domain, u)
