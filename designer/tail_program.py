"""Prizes or audits that hold in the mean of the worst draws: conditional value at risk of margins (DESIGN section 5).

With prizes R and stakes q (`designer.audit_stakes`; 0 without audits) the climb from rank k to rank r < k leaves its
developer, in draw b, short of gaining by c_bkr - (R_r - R_k) + C_bkr q_r - d_bk q_k, and m_b(R, q), the least of these,
is concave in (R, q). The mean of the worst share `tail` of the margins of B draws (CVaR) is

    max_eta  eta - sum_b max(eta - m_b, 0) / (tail B),

so that asking for CVaR >= mu is a convex constraint. m_b is the least of n (n - 1) / 2 linear functions; the program
starts from few of them and adds the one that is least at its answer, draw by draw, until none is missing.

Here a climb that brings no better prize counts too, by its cost, and a margin beyond R_1 - R_n as announced counts as
that: one draw in which nobody can climb must not outweigh all others. So m_b is at most the stability margin of the
draw, and of the same sign. With tail -> 0 this is the worst draw, with tail = 1 the mean over all.

References
----------
Rockafellar & Uryasev (2000), Optimization of conditional value-at-risk, Journal of Risk 2(3); Kelley (1960), The
cutting-plane method, for adding what is missing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np

from followers.arrays import FloatArray, IntArray

__all__ = ["TailAnswer", "TailNorm", "cvar", "draw_margins", "nearest_tail_prizes", "tail_stakes"]

TailNorm: TypeAlias = Literal["L1", "L2"]

_ROUNDS = 200
_SLACK = 4e-9
"""What a solver's rounding may be short of the promise, as a share of the prize span; asked for on top."""


@dataclass(frozen=True, slots=True)
class TailAnswer:
    """What the program says.

    values : (n,), prizes or stakes, prize units; NaN where infeasible. status : "optimal" or "infeasible".
    reached : CVaR of the margin at them, prize units; where infeasible the most that could be promised.
    margins : (B,), margin of each draw. value : the distance, or the audits, that the values come to; as the program
    saw no more rows than there are, no values that keep the promise come to less. rows : linear pieces it saw.
    """

    values: FloatArray
    status: Literal["optimal", "infeasible"]
    reached: float
    margins: FloatArray
    value: float
    rows: int


def cvar(margins: FloatArray, tail: float) -> float:
    """Mean of the worst share `tail` of equally likely margins (B,); a draw that the share cuts counts in part.

    Raises
    ------
    ValueError : tail outside (0, 1].
    """
    if not 0 < tail <= 1:
        raise ValueError(f"tail = {tail:g}; must lie in (0, 1]")
    worst = np.sort(margins)
    left = tail * len(worst) - np.arange(len(worst))
    weight = np.clip(left, 0.0, 1.0)
    return float(weight[weight > 0] @ worst[weight > 0]) / (tail * len(worst))


def draw_margins(
    cost: FloatArray, prizes: FloatArray, stakes: FloatArray, caught: FloatArray | None, most: float
) -> tuple[FloatArray, IntArray]:
    """m_b (B,), at most `most`, and the climb that attains it (B, 2), own rank and target from 0.

    cost : (B, n, n), of climbs [b, k, r], inf where there is none. caught : (B, n, n), C, or None without audits.
    """
    left = cost - (prizes[None, :] - prizes[:, None])
    if caught is not None:
        innocent = np.diagonal(caught, axis1=1, axis2=2)
        left = left + caught * stakes[None, None, :] - (innocent * stakes)[:, :, None]
    n = len(prizes)
    left = np.where(np.tri(n, k=-1, dtype=np.bool_), left, np.inf).reshape(len(cost), -1)
    where = left.argmin(axis=1)
    return np.minimum(left.min(axis=1), most), np.stack([where // n, where % n], axis=1)


def nearest_tail_prizes(
    announced: FloatArray,
    cost: FloatArray,
    *,
    tail: float,
    margin: float,
    norm: TailNorm,
    keep_first: bool = False,
    bands: tuple[int, ...] = (),
) -> TailAnswer:
    """Nearest non-increasing prizes with the same total under which CVaR of the margin is at least `margin`.

    Parameters
    ----------
    announced : (n,). cost : (B, n, n), inf within bands. tail : share of the worst draws, in (0, 1].
    bands : sizes of bands of ranks that share a prize. keep_first : the first prize stays what it is. No prize falls
    below both 0 and the least announced.

    Raises
    ------
    ValueError : tail out of its range. RuntimeError : the solver failed, with its status and what to do.
    """
    import cvxpy as cp

    n, unit = len(announced), _unit(announced)
    prizes, wanted, price = cp.Variable(n), announced / unit, cost / unit
    sets = [cp.diff(prizes) <= 0, cp.sum(prizes) == wanted.sum(), prizes[n - 1] >= min(wanted[-1], 0.0)]
    sets += [prizes[0] == wanted[0]] if keep_first else []
    ends = np.cumsum(bands or (1,) * n)
    sets += [prizes[k] == prizes[k + 1] for k in range(n - 1) if k + 1 not in ends]
    distance = cp.norm1(prizes - wanted) if norm == "L1" else cp.sum_squares(prizes - wanted)

    def rows(draw: IntArray, own: IntArray, target: IntArray) -> Any:
        return price[draw, own, target] - (prizes[target] - prizes[own])

    solver = "SCIPY" if norm == "L1" else "CLARABEL"
    answer = _cut(prizes, distance, sets, rows, wanted, price, None, tail, margin / unit, solver)
    value = unit * (float(np.sqrt(max(answer.value, 0.0))) if norm == "L2" else answer.value)
    return replace(_in_units(answer, unit), value=value)


def tail_stakes(
    prizes: FloatArray, cost: FloatArray, caught: FloatArray, penalty: FloatArray, *, tail: float, margin: float
) -> TailAnswer:
    """Stakes of the fewest expected audits, sum q_r / penalty_r, under which CVaR of the margin is at least `margin`.

    prizes, penalty : (n,); cost, caught : (B, n, n). Errors as `nearest_tail_prizes`.
    """
    import cvxpy as cp

    unit = _unit(prizes)
    stakes, paid, price, most = cp.Variable(len(prizes), nonneg=True), prizes / unit, cost / unit, penalty / unit
    innocent = np.diagonal(caught, axis1=1, axis2=2)

    def rows(draw: IntArray, own: IntArray, target: IntArray) -> Any:
        gained = cp.multiply(caught[draw, own, target], stakes[target])
        return (
            price[draw, own, target]
            - (paid[target] - paid[own])
            + gained
            - cp.multiply(innocent[draw, own], stakes[own])
        )

    staked = np.where(most > 0, most, np.inf)
    sets, audits = [stakes <= np.maximum(most, 0.0)], cp.sum(stakes @ (1.0 / staked))
    return _in_units(_cut(stakes, audits, sets, rows, paid, price, caught, tail, margin / unit, "SCIPY"), unit)


def _unit(prizes: FloatArray) -> float:
    """R_1 - R_n, the unit in which programs are solved: solvers have absolute tolerances."""
    span = float(prizes[0] - prizes[-1])
    return span if span > 0 else 1.0


def _in_units(answer: TailAnswer, unit: float) -> TailAnswer:
    """The answer in prize units; `value` as it is."""
    return replace(answer, values=unit * answer.values, reached=unit * answer.reached, margins=unit * answer.margins)


def _cut(
    values: Any,
    objective: Any,
    sets: list[Any],
    rows: Any,
    prizes: FloatArray,
    cost: FloatArray,
    caught: FloatArray | None,
    tail: float,
    margin: float,
    solver: str,
) -> TailAnswer:
    """Add the least row of each draw until the margins that the program sees are the exact ones."""
    import cvxpy as cp

    draws, n = len(cost), len(prizes)
    span, tail = float(prizes[0] - prizes[-1]), max(tail, 1.0 / draws)  # less than one draw is the worst draw
    level, short = cp.Variable(), cp.Variable(draws, nonneg=True)

    def exact(at: FloatArray) -> tuple[FloatArray, IntArray]:
        return draw_margins(cost, at if caught is None else prizes, np.zeros(n) if caught is None else at, caught, span)

    risk = level - cp.sum(short) / (tail * draws)
    start = np.zeros(n) if caught is not None else np.full(n, prizes.mean())
    found = np.empty((0, 3), dtype=np.int64)
    news = [exact(x)[1] for x in ((start, prizes) if caught is None else (start,))]
    for _ in range(_ROUNDS):
        fresh = np.concatenate([np.column_stack([np.arange(draws), w]) for w in news])
        fresh = fresh[np.isfinite(cost[fresh[:, 0], fresh[:, 1], fresh[:, 2]])]
        found = np.unique(np.concatenate([found, fresh]), axis=0)
        seen = [short + span >= level, *([short[found[:, 0]] + rows(*found.T) >= level] if len(found) else [])]
        asked = margin + _SLACK * span
        problem = cp.Problem(cp.Minimize(objective), [*sets, *seen, risk >= asked])
        if not _solved(problem, solver):
            most = cp.Problem(cp.Maximize(risk), [*sets, *seen])
            if not _solved(most, "SCIPY"):
                raise RuntimeError(f"design: {solver} ended with status {most.status!r}; rescale prizes and try again")
            at = np.array(values.value)
            margins, where = exact(at)
            if float(most.value) < margin:  # no rows to come can make it feasible
                nothing = np.full(n, np.nan)
                return TailAnswer(nothing, "infeasible", float(most.value), margins, float("nan"), len(found))
            raise RuntimeError(
                f"design: {solver} found no answer to a program that has one: up to {float(most.value):.6g} can be "
                "promised, to within rounding what was asked; try the other norm, or rescale prizes to the order of 1"
            )
        at = np.array(values.value, dtype=np.float64)
        if caught is not None:
            at = np.maximum(at, 0.0)
        margins, where = exact(at)
        reached = cvar(margins, tail)
        if reached >= margin:
            return TailAnswer(at, "optimal", reached, margins, float(problem.value), len(found))
        news = [where]
        new = np.column_stack([np.arange(draws), where])
        if len(np.unique(np.concatenate([found, new]), axis=0)) == len(found):
            break
    raise RuntimeError(
        f"design: the promise is missed by {margin - reached:.3g} prize units after {len(found):,} rows; "
        "rescale prizes to the order of 1 and try again, or ask for another tail"
    )


def _solved(problem: Any, solver: str) -> bool:
    """Solve; whether there is an optimum. Inaccurate answers are refused."""
    import cvxpy as cp

    try:
        problem.solve(solver=solver)
    except cp.SolverError as error:
        raise RuntimeError(f"design: {solver} failed ({error}); try the other norm or fewer draws") from None
    if problem.status in (cp.INFEASIBLE, cp.INFEASIBLE_INACCURATE):
        return False
    if problem.status != cp.OPTIMAL:
        raise RuntimeError(f"design: {solver} ended with status {problem.status!r}; try the other norm or fewer draws")
    return True
