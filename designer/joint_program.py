"""Prizes and audits of least cost for given climbs, with a proof of how much cheaper they could be (DESIGN section 5).

With prizes R and stakes q (`designer.audit_stakes`) the climbs ask for rows that are linear in (R, q),

    R_r - R_k - C_kr q_r + d_k q_k <= max(c_kr - mu, 0),      0 <= q_r <= D_r := R_r - R_n + fine,

but audits are p_r = q_r / D_r, a ratio. On a box D_r in [l_r, u_r] the planes p_r >= q_r / u_r and
p_r >= (q_r - D_r + l_r) / l_r lie below it (McCormick 1976), so a linear program bounds the cost from below; its prizes
with the least stakes for them (back substitution, exact) bound it from above; and the box of the rank where the two
differ most is cut in two, best bound first, until bound and cost are as near as asked. Rows of many draws are added as
they are missed.

References
----------
McCormick (1976), Computability of global solutions to factorable nonconvex programs, Mathematical Programming 10;
Horst & Tuy (1996), Global Optimization, for branch and bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count

import numpy as np

from designer.audit_limits import can_be_staked
from designer.audit_stakes import least_stakes
from designer.joint_rows import ClimbRows
from followers.arrays import FloatArray

__all__ = ["IncentiveCosts", "Incentives", "cheapest_incentives"]

_MISSED = 1e-9
"""Share of the prize span by which a row may be missed before it is added."""
_ROUNDS = 60
_SHRINK = 1e-9
_TOLERANCES = {"primal_feasibility_tolerance": 1e-9, "dual_feasibility_tolerance": 1e-9}
_NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class IncentiveCosts:
    """What prizes and audits cost the designer, in one unit of any kind.

    moved : per prize unit by which prizes differ from those announced (L1). audit : per expected audit. fine : of a
    flagged entry, prize units (no cost).
    """

    moved: float
    audit: float
    fine: float


@dataclass(frozen=True, slots=True)
class Incentives:
    """The cheapest incentives found.

    prizes, probability : (n,), prize units, and of an audit at each rank; NaN where none were found.
    cost : of them, inf where none. bound : no prizes and audits cost less; inf where there are none at all.
    moved, audits : the two parts, prize units and expected audits. nodes : boxes bounded.
    unmoved : expected audits that the announced prizes would need; inf where no audits deter.
    """

    prizes: FloatArray
    probability: FloatArray
    cost: float
    bound: float
    moved: float
    audits: float
    nodes: int
    unmoved: float = _NEVER


def cheapest_incentives(
    rows: ClimbRows,
    announced: FloatArray,
    costs: IncentiveCosts,
    *,
    margin: float = 0.0,
    bands: tuple[int, ...] = (),
    gap: float = 1e-4,
    cutoff: float = _NEVER,
    node_budget: int = 400,
) -> Incentives:
    """Prizes (same total, non-increasing, none below zero and the least announced) and audits that deter all rows.

    Parameters
    ----------
    announced : (n,). margin : promised, prize units. bands : sizes of bands of ranks that share a prize.
    gap : stop where cost - bound <= gap * cost. cutoff : stop where the bound reaches this; then nothing may be found.
    node_budget : boxes to bound; beyond it the answer is the best found, with the bound that was proved.

    Raises
    ------
    RuntimeError : the linear programming solver failed, with its status and what to do.
    """
    program = _Program(rows, announced, costs, margin, bands)
    n = len(announced)
    best = Incentives(np.full(n, np.nan), np.full(n, np.nan), _NEVER, _NEVER, np.nan, np.nan, 0)
    serial, nodes = count(), 0
    heap: list[tuple[float, int, FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]] = []

    def visit(low: FloatArray, high: FloatArray) -> None:
        nonlocal best, nodes
        nodes += 1
        found = program.bound(low, high)
        if found is None:
            return
        value, prizes, stakes, planes = found
        for shrink in (0.0, _SHRINK):  # what rounding leaves of a row must not ask for audits
            tried = program.price(prizes - shrink * (prizes - prizes.mean()))
            if tried is not None and tried.cost < best.cost:
                best = tried
        if value < best.cost:
            heappush(heap, (value, next(serial), low, high, prizes, stakes, planes))

    unmoved = program.price(announced)
    best = unmoved or best
    for _ in range(2):  # a good answer narrows the box from which it has to be beaten
        heap.clear()
        visit(*_widths(announced, costs, min(best.cost, cutoff)))
    bound = heap[0][0] if heap else best.cost
    while heap:
        bound = heap[0][0]
        if bound >= cutoff or best.cost - bound <= gap * best.cost or nodes >= node_budget:
            break
        _, _, low, high, prizes, stakes, planes = heappop(heap)
        width = prizes - prizes[-1] + costs.fine
        with np.errstate(divide="ignore", invalid="ignore"):
            short = np.where(stakes > 0, stakes / width, 0.0) - planes
        r = int(np.argmax(np.where(high - low > 1e-9 * np.maximum(high, 1e-300), short, -np.inf)))
        cut = float(np.clip(width[r], 0.9 * low[r] + 0.1 * high[r], 0.1 * low[r] + 0.9 * high[r]))
        left, right = high.copy(), low.copy()
        left[r], right[r] = cut, cut
        visit(low, left)
        visit(right, high)
    else:
        bound = best.cost  # every box is done with
    bound = min(bound, best.cost, cutoff)  # what costs as much as the cutoff may lie outside the box
    needed = unmoved.audits if unmoved is not None else _NEVER
    return Incentives(best.prizes, best.probability, best.cost, bound, best.moved, best.audits, nodes, needed)


def _widths(announced: FloatArray, costs: IncentiveCosts, most: float) -> tuple[FloatArray, FloatArray]:
    """Least and most D_r of prizes whose cost is below `most`.

    Moving R_r up and R_n down by x each changes D_r by 2x, and the total stays only if others move by as much: D_r
    changes by no more than prizes move in all. And r prizes are at least R_r, the others at least R_n.
    """
    n, total, least = len(announced), float(announced.sum()), min(float(announced[-1]), 0.0)
    here = announced - announced[-1]
    change = (1.0 + 1e-6) * most / costs.moved if costs.moved > 0 else np.inf
    high = np.minimum((total - n * least) / np.arange(1, n + 1), here + change)
    low = np.maximum(0.0, here - change)
    low[-1] = high[-1] = 0.0
    return low + costs.fine, np.maximum(high, low) + costs.fine


class _Program:
    """The linear program over (R, q, p, t) with t >= |R - announced|, and the rows that were missed so far."""

    def __init__(
        self, rows: ClimbRows, announced: FloatArray, costs: IncentiveCosts, margin: float, bands: tuple[int, ...]
    ) -> None:
        n = len(announced)
        self.announced, self.costs, self.rows = announced, costs, rows
        self.innocent = np.diagonal(rows.caught, axis1=1, axis2=2)
        self.limit = np.where(np.isfinite(rows.cost), np.maximum(rows.cost - margin, 0.0), np.inf)
        self.objective = np.concatenate([np.zeros(2 * n), np.full(n, costs.audit), np.full(n, costs.moved)])
        eye, zero = np.eye(n), np.zeros((n, n))
        gain = eye - eye[-1]  # R_r - R_n
        falls = np.diff(eye, axis=0)
        self.fixed = np.block(
            [
                [falls, np.zeros((n - 1, 3 * n))],
                [eye, zero, zero, -eye],
                [-eye, zero, zero, -eye],
                [-gain, eye, zero, zero],
            ]
        )
        self.right = np.concatenate([np.zeros(n - 1), announced, -announced, np.full(n, costs.fine)])
        ends = np.cumsum(bands or (1,) * n)
        shared = falls[[k for k in range(n - 1) if k + 1 not in ends]]
        self.equal = np.block([[np.ones((1, n)), np.zeros((1, 3 * n))], [shared, np.zeros((len(shared), 3 * n))]])
        self.total = np.concatenate([[announced.sum()], np.zeros(len(shared))])
        self.ranges = (
            [(min(float(announced[-1]), 0.0), None)] * n + [(0.0, None)] * n + [(0.0, 1.0)] * n + [(0.0, None)] * n
        )
        self.gain = gain
        self.band = np.repeat(np.arange(len(ends)), np.diff(np.concatenate([[0], ends])))
        self.pool = np.empty((0, 3), dtype=np.int64)
        self.add(announced, np.zeros(n), every=True)

    def add(self, prizes: FloatArray, stakes: FloatArray, *, every: bool = False) -> bool:
        """Add, for each pair of ranks, the row missed most over the draws; whether there was one."""
        n = len(prizes)
        excess = (
            prizes[None, :] - prizes[:, None] - self.rows.caught * stakes + (self.innocent * stakes)[:, :, None]
        ) - self.limit
        excess = np.where(np.tri(n, k=-1, dtype=np.bool_), excess, -np.inf)
        worst = excess.argmax(axis=0)
        most = np.take_along_axis(excess, worst[None], 0)[0]
        span = max(float(self.announced[0] - self.announced[-1]), 1e-300)
        own, target = np.nonzero(most > (-np.inf if every else _MISSED * span))
        new = np.column_stack([worst[own, target], own, target])
        before = len(self.pool)
        self.pool = np.unique(np.concatenate([self.pool, new]), axis=0)
        return len(self.pool) > before

    def bound(self, low: FloatArray, high: FloatArray) -> tuple[float, FloatArray, FloatArray, FloatArray] | None:
        """Least cost on a box of D, and the prizes, stakes and planes that have it; None where nothing deters."""
        from scipy.optimize import linprog
        from scipy.sparse import csr_array

        n, fine = len(low), self.costs.fine
        eye, zero = np.eye(n), np.zeros((n, n))
        box = np.block(
            [
                [zero, eye, -np.diag(high), zero],
                [-self.gain, eye, -np.diag(low), zero],
                [self.gain, zero, zero, zero],
                [-self.gain, zero, zero, zero],
            ]
        )
        box_right = np.concatenate([np.zeros(n), fine - low, high - fine, fine - low])
        for _ in range(_ROUNDS):
            b, k, r = self.pool.T
            climbs = np.zeros((len(b), 4 * n))
            at = np.arange(len(b))
            climbs[at, r] += 1.0
            climbs[at, k] -= 1.0
            climbs[at, n + r] = -self.rows.caught[b, k, r]
            climbs[at, n + k] += self.innocent[b, k]
            matrix = csr_array(np.concatenate([self.fixed, box, climbs]))
            right = np.concatenate([self.right, box_right, self.limit[b, k, r]])
            said = set()
            for presolve in (True, False):  # infeasible is what has no answer either way and once is said to be so
                found = linprog(
                    self.objective,
                    A_ub=matrix,
                    b_ub=right,
                    A_eq=csr_array(self.equal),
                    b_eq=self.total,
                    bounds=self.ranges,
                    method="highs",
                    options={"presolve": presolve, **_TOLERANCES},
                )
                said.add(found.status)
                if found.status == 0:
                    break
            if found.status != 0 and 2 in said:
                return None
            if found.status != 0:
                raise RuntimeError(
                    f"design joint: HiGHS ended with status {found.status} ({found.message.strip()}); rescale prizes "
                    "and fine to the order of 1 and try again"
                )
            prizes, stakes, planes, _ = found.x.reshape(4, n)
            if not self.add(prizes, stakes):
                break
        return float(found.fun), prizes, stakes, planes

    def price(self, prizes: FloatArray) -> Incentives | None:
        """Exact cost of prizes with the least audits for them; None where no audits deter."""
        level = np.array([prizes[self.band == j].mean() for j in range(int(self.band[-1]) + 1)])
        prizes = np.minimum.accumulate(level)[self.band]
        prizes = np.where(
            np.abs(prizes - self.announced) < 1e-12 * np.abs(self.announced).max(), self.announced, prizes
        )
        prizes = np.minimum.accumulate(prizes)
        gain = prizes[None, :] - prizes[:, None]
        pull = np.where(np.isfinite(self.limit), gain - self.limit, -np.inf)
        stakes, _ = least_stakes(pull, self.rows.caught)
        probability = can_be_staked(stakes, prizes - prizes[-1] + self.costs.fine)
        if not np.isfinite(probability).all():
            return None
        moved, audits = float(np.abs(prizes - self.announced).sum()), float(probability.sum())
        cost = self.costs.moved * moved + self.costs.audit * audits
        return Incentives(prizes, probability, cost, cost, moved, audits, 0)
