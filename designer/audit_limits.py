"""What binds an audit plan, and what it would take where there is none (DESIGN section 5)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from designer.audit_power import critical, rejection
from designer.audit_stakes import AuditClimbs, least_stakes, suspicion
from followers.arrays import FloatArray, IntArray

__all__ = [
    "BindingClimb",
    "Impossible",
    "binding_climbs",
    "can_be_staked",
    "least_items",
    "stakes_by_items",
    "why_impossible",
]

_FULL = 1e-12  # an audit probability may exceed 1 by this much rounding
_BLOCK = 1_000_000  # cells of one (items, draws, rank, rank) array: 8 MB


@dataclass(frozen=True, slots=True)
class BindingClimb:
    """A climb that a plan just deters, or that none can.

    draw : index of the drawn population. developer : its name. rank, target : published rank now and after, from 1.
    effort : steps, the infimum. cost, gain : of the climb, prize units. power, false_positive : probability that an
    audit flags it after the climb, and before. stake : what must be at stake at the rank it takes (probability of an
    audit there times what a flagged entry loses), prize units. price : audits a round that one more unit of temptation
    costs; NaN where there is no plan.
    """

    draw: int
    developer: str
    rank: int
    target: int
    effort: float
    cost: float
    gain: float
    power: float
    false_positive: float
    stake: float
    price: float

    def sentence(self) -> str:
        """The climb in words."""
        return (
            f"{self.developer} (rank {self.rank}) would take rank {self.target} with {self.effort:,.4g} steps: "
            f"cost {self.cost:.6g}, gain {self.gain:.6g}; an audit there flags it with probability {self.power:.4g}"
        )


@dataclass(frozen=True, slots=True)
class Impossible:
    """Why there is no plan.

    climbs : what binds each rank at which more would have to be at stake than an entry there can lose, hardest first.
    least_fine : least fine with which a plan exists, all else equal; inf where none helps, as the test sees nothing.
    least_items : least items per audit with which a plan exists, all else equal; None where none up to `most_items`
        helps. Power is a sawtooth: larger numbers may fail again.
    sentences : all this in words.
    """

    climbs: tuple[BindingClimb, ...]
    least_fine: float
    least_items: int | None
    most_items: int
    sentences: tuple[str, ...]


def can_be_staked(stakes: FloatArray, penalty: FloatArray) -> FloatArray:
    """Audit probabilities that put the stakes (..., n) at stake, inf where even 1 does not; penalty (n,)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        probability = np.where(stakes > 0, stakes / penalty, 0.0)
    return np.where(probability <= 1.0 + _FULL, np.minimum(probability, 1.0), np.inf)


def stakes_by_items(climbs: AuditClimbs, pull: FloatArray, items: IntArray, *, level: float) -> FloatArray:
    """The least stakes (M, n) for numbers of items (M,)."""
    step = max(1, _BLOCK // pull.size)
    pieces = (items[start : start + step] for start in range(0, len(items), step))
    found = [least_stakes(pull, suspicion(climbs.score, items=piece, level=level))[0] for piece in pieces]
    return np.concatenate(found)


def least_items(climbs: AuditClimbs, pull: FloatArray, *, level: float, fine: float, most: int) -> int | None:
    """Least items per audit with which a plan exists; every number up to `most` is tried, None if none does.

    Numbers that fail on a climb that defeated a smaller number are passed over: the stake that a climb asks for is at
    least t / C, so too large a t / C is enough to fail.
    """
    penalty = climbs.penalty(fine)
    left, count = np.arange(1, most + 1), 4
    while len(left):
        tried, left = left[:count], left[count:]
        caught = suspicion(climbs.score, items=tried, level=level)
        stakes, bound = least_stakes(pull, caught)
        fails = np.isinf(can_be_staked(stakes, penalty))
        if not fails.any(axis=1).all():
            return int(tried[np.argmin(fails.any(axis=1))])
        which, rank = np.nonzero(fails)
        for b, k, r in np.unique(np.column_stack([bound[which, rank], rank]), axis=0):
            most_successes = critical(climbs.score[b, r], items=left, level=level)
            power = rejection(most_successes, climbs.score[b, k], items=left)
            left = left[pull[b, k, r] <= power * penalty[r] * (1.0 + _FULL)]
        count = min(2 * count, max(1, _BLOCK // pull.size))
    return None


def binding_climbs(
    names: tuple[str, ...],
    climbs: AuditClimbs,
    caught: FloatArray,
    stakes: FloatArray,
    bound: IntArray,
    prices: FloatArray,
) -> tuple[BindingClimb, ...]:
    """The binding climb of each rank that has one, from the top; `bound` (n, 2) as `least_stakes` gives it."""
    found = []
    for r in np.flatnonzero(bound[:, 0] >= 0):
        b, k = bound[r]
        found.append(
            BindingClimb(
                draw=int(b),
                developer=names[climbs.order[b, k]],
                rank=int(k) + 1,
                target=int(r) + 1,
                effort=float(climbs.effort[b, k, r]),
                cost=float(climbs.cost[b, k, r]),
                gain=float(climbs.prizes[r] - climbs.prizes[k]),
                power=float(caught[b, k, r]),
                false_positive=float(caught[b, k, k]),
                stake=float(stakes[r]),
                price=float(prices[r]),
            )
        )
    return tuple(found)


def why_impossible(
    climbs: AuditClimbs,
    pull: FloatArray,
    binding: tuple[BindingClimb, ...],
    *,
    level: float,
    fine: float,
    most_items: int,
) -> Impossible:
    """Which climbs cannot be deterred, and what fine or how many items would do."""
    penalty = climbs.penalty(fine)
    short = [c for c in binding if c.stake > penalty[c.target - 1] * (1.0 + _FULL)]
    # of climbs that no stake deters the lowest is the cause of the others
    hardest = sorted(short, key=lambda c: (penalty[c.target - 1] - c.stake, -c.target))
    least_fine = max(c.stake - (penalty[c.target - 1] - fine) for c in short)
    enough = least_items(climbs, pull, level=level, fine=fine, most=most_items)
    worst = hardest[0]
    room = penalty[worst.target - 1]
    sentences = [
        f"cannot be deterred: {worst.sentence()}, "
        + (
            f"so {worst.stake:.6g} would have to be at stake at rank {worst.target}, where an entry can lose {room:.6g}"
            if np.isfinite(worst.stake)
            else "so no stake deters it"
        ),
        f"a fine of {_above(least_fine):.6g} or more makes a plan possible"
        if np.isfinite(least_fine)
        else "no fine makes a plan possible: the test does not see that climb",
    ]
    if enough is not None:
        sentences.append(f"{enough:,} items per audit make a plan possible at this fine, fewer do not")
    else:
        sentences.append(f"no number of items up to {most_items:,} makes a plan possible at this fine")
    return Impossible(tuple(hardest), least_fine, enough, most_items, tuple(sentences))


def _above(value: float) -> float:
    """The value rounded up to some six digits, so that what is printed is enough."""
    return float(f"{value * (1.0 + 5e-6):.6g}")
