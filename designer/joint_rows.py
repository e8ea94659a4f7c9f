"""What a joint design must deter: the climbs at one tuning budget, or at every budget between two (DESIGN section 5).

At a budget the climbs are those of `designer.audit_stakes`. For all budgets between a and b at once they are relaxed,
so that what deters the true ones at any budget in between deters the relaxed ones: more tuning never lowers a score, so
an entry meets rank r at no more than what exceeding the r-th best score at b costs from the start at a, and an audit
flags it with no more than the probability of claiming that score with the mastery it has at a; honest, it is flagged
at least when the claim's threshold is that of a and the mastery that of b. Where curves cross in between, a rank counts
with whoever, of those that may hold it, a climb costs most. Climbs to ranks that may be tied with the one above are
left out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from designer.audit_power import critical, rejection
from designer.audit_stakes import audit_climbs, suspicion
from designer.audits import AuditPlan
from designer.protocol import Protocol
from followers.arrays import FloatArray, above
from followers.population import Population
from solvers.climbs import climbs
from solvers.deviations import deviation_costs

__all__ = ["ClimbRows", "rows_at", "rows_between"]


@dataclass(frozen=True, slots=True)
class ClimbRows:
    """Climbs [b, k, r] from published rank k to rank r < k in B draws, whoever holds the ranks.

    cost : (B, n, n), prize units, inf where there is none. caught : (B, n, n), probability that an audit flags it, on
    the diagonal the honest entry; 0 without audits.
    """

    cost: FloatArray
    caught: FloatArray


def rows_at(population: Population, protocol: Protocol, steps: float, *, items: int, level: float) -> ClimbRows:
    """The climbs at a tuning budget; `items` 0: no audits.

    Raises
    ------
    ValueError : split ties, noise or rounded scores; with items also free effort and scores that are no shares.
    """
    game = replace(protocol, audit=AuditPlan(), tune_steps=steps).induce(population)
    try:
        if not items:
            cost = climbs(game).cost
            return ClimbRows(cost, np.zeros_like(cost))
        found = audit_climbs(game)
    except ValueError as error:
        words = str(error).removeprefix("climbs: ").removeprefix("audit plan: ").removeprefix("audit.items: ")
        raise ValueError(f"design joint: {words}") from None
    return ClimbRows(found.cost, suspicion(found.score, items=items, level=level))


def rows_between(
    population: Population, protocol: Protocol, a: float, b: float, *, items: int, level: float
) -> ClimbRows:
    """Relaxed climbs that every budget in [a, b] must deter; see the module."""
    low, high = (replace(protocol, audit=AuditPlan(), tune_steps=x).induce(population) for x in (a, b))
    n = low.n
    lower, upper = (
        tuple(np.broadcast_to(x, low.head_start.shape) for x in g.scores(g.free_effort())) for g in (low, high)
    )
    leads = above(*(x[:, None, :] for x in lower), *(x[:, :, None] for x in upper))  # [b, j, m]: m above j throughout
    place = np.arange(n)[None, :, None]
    may_hold = (leads.sum(axis=2)[:, None, :] <= place) & (place <= n - 1 - leads.sum(axis=1)[:, None, :])  # [b, k, i]
    best = [np.lexsort((-tail, -score), axis=-1) for score, tail in (lower, upper)]
    floor = tuple(np.take_along_axis(x, best[0], 1) for x in lower)  # the r-th best score is at least this, throughout
    level_most = tuple(np.take_along_axis(x, best[1], 1) for x in upper)
    apart = np.ones(low.head_start.shape, dtype=np.bool_)
    apart[:, 1:] = above(floor[0][:, :-1], floor[1][:, :-1], level_most[0][:, 1:], level_most[1][:, 1:])
    exceed = deviation_costs(low, *(x.T[:, :, None] for x in level_most))[1]  # (target, B, developer)
    dearest = np.where(may_hold[None], exceed[:, :, None, :], -np.inf).max(axis=3)  # (target, B, own rank)
    allowed = apart[:, None, :] & np.tri(n, k=-1, dtype=np.bool_)
    cost = np.where(allowed, dearest.transpose(1, 2, 0), np.inf)
    if not items:
        return ClimbRows(cost, np.zeros_like(cost))
    mastery = np.where(may_hold, lower[0][:, None, :], np.inf).min(axis=2)
    claim = critical(np.minimum(level_most[0], 1.0), items=items, level=level)
    caught = np.where(allowed, rejection(claim[:, None, :], mastery[:, :, None], items=items), 0.0)
    innocent = rejection(critical(lower[0], items=items, level=level), upper[0], items=items)
    caught[:, np.arange(n), np.arange(n)] = np.where(may_hold, innocent[:, None, :], np.inf).min(axis=2)
    return ClimbRows(cost, caught)
