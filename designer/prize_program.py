"""Nearest prizes under limits on how far ranks are apart: the program of `designer.prize_design` (DESIGN section 5).

It is disciplined in its parameters (DPP), compiled once per shape and solved again with other numbers, by Clarabel (L2)
or HiGHS (L1). An interior-point answer is then made exact on its active set, and what rounding is still short of is
made good by shrinking prizes towards each other, which no climb gains by.

References
----------
Agrawal, Verschueren, Diamond & Boyd (2018), A rewriting system for convex optimization problems, on DPP; Lawson &
Hanson (1974), Solving Least Squares Problems, on least distances.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from threading import Lock
from typing import Any, Literal, TypeAlias

import numpy as np

from followers.arrays import BoolArray, FloatArray, IntArray

__all__ = ["Norm", "gains", "nearest_prizes", "tidied"]

Norm: TypeAlias = Literal["L1", "L2"]

_TURN = Lock()
_OPTIONS: dict[str, Any] = {
    "SCIPY": {
        "scipy_options": {
            "method": "highs",
            "primal_feasibility_tolerance": 1e-10,
            "dual_feasibility_tolerance": 1e-10,
        }
    }
}
_ACTIVE = (1e-6, 1e-7, 1e-8)
"""Slacks, as shares of the announced span, below which a constraint may be active at the optimum; tried in turn."""
_SHRINK = 1e-6
"""Most by which prizes are shrunk towards each other to make good what a solver's rounding is short of."""
_EXACT = 1e-9
"""Violation, as a share of the prize span, beyond which a solution is not called one."""


def gains(prizes: FloatArray) -> FloatArray:
    """R_r - R_k for r < k, (n, n) by (k, r); 0 elsewhere."""
    return np.tril(prizes[None, :] - prizes[:, None], -1)


def nearest_prizes(
    announced: FloatArray, limit: FloatArray, *, norm: Norm, keep_first: bool, bands: tuple[int, ...] = ()
) -> tuple[FloatArray, FloatArray, str] | None:
    """Nearest non-increasing prizes (n,) with the same total and R_r - R_k <= limit[k, r] (n, n); None if infeasible.

    Also the shadow price of each limit (n, n), distance per prize unit, and the solver's name. Ranks with a limit of 0
    between them, or in a common band, share one prize exactly.
    """
    n, least, span = len(announced), min(float(announced[-1]), 0.0), float(announced[0] - announced[-1])
    if span == 0:
        return announced.copy(), np.zeros_like(limit), "none needed"
    block = _blocks(limit, bands or (1,) * n)
    blocks = int(block[-1]) + 1
    upper, lower = np.triu_indices(blocks, 1)
    limits = np.full((blocks, blocks), np.inf)  # (lower block, upper block)
    np.minimum.at(limits, (block[:, None], block[None, :]), np.where(np.tri(n, k=-1, dtype=bool), limit, np.inf))
    bound = limits[lower, upper]
    rows = bound < announced.sum() - n * least  # with this total, and none below the least, no gap is wider
    upper, lower, bound = upper[rows], lower[rows], bound[rows]
    if blocks == 1:
        mean = np.full(n, announced.mean())
        return None if keep_first else (mean, np.zeros_like(limit), "one prize for all")
    # solvers have absolute tolerances: prizes announced run from 1 to 0 for them
    solved = _solve(
        (announced - announced[-1]) / span,
        block,
        upper,
        lower,
        bound / span,
        (least - float(announced[-1])) / span,
        norm,
        keep_first,
    )
    if solved is None:
        return None
    level, price, solver = solved
    prizes = (announced[-1] + span * tidied(level, 1.0))[block]
    worst = float(np.max(gains(prizes) - limit))
    if worst > 0 and not keep_first:  # what rounding is short of: shrink towards equal prizes, which no climb gains by
        blur = 4.0 * float(np.finfo(np.float64).eps * np.abs(prizes).max())
        over = gains(prizes) - limit
        most = float(np.max((over[over > 0] + blur) / limit[over > 0]))  # limits of 0 are met: they share a prize
        prizes = prizes.mean() + (prizes - prizes.mean()) * (1.0 - min(most * (1 + 1e-9) + 1e-15, _SHRINK))
        prizes = tidied(prizes[np.searchsorted(block, np.arange(blocks))], span)[block]
        worst = float(np.max(gains(prizes) - limit))
    off = abs(float(prizes.sum() - announced.sum())) / span
    if worst > _EXACT * float(prizes[0] - prizes[-1]) or off > 1e-7:  # what the solver of the game lets pass
        raise RuntimeError(
            f"design prizes: {solver} is off by {worst:.3g} prize units ({off:.3g} of the span in total); "
            "rescale prizes to the order of 1 and try again, or use the other norm"
        )
    table = np.zeros_like(limit)
    for a, b, value, p in zip(upper, lower, bound, price, strict=True):
        tight = np.argwhere((block[:, None] == b) & (block[None, :] == a) & (limit == value))
        if len(tight):
            table[tuple(tight[0])] = p
    return prizes, table, solver


def _blocks(limit: FloatArray, bands: tuple[int, ...]) -> IntArray:
    """Block of each rank (n,): ranks that must share a prize."""
    n = len(limit)
    joined = np.zeros(n, dtype=bool)  # with the rank above
    joined[1:] = np.diff(np.repeat(np.arange(len(bands)), bands)) == 0
    for k, r in np.argwhere((limit <= 0) & np.tri(n, k=-1, dtype=bool)):
        joined[r + 1 : k + 1] = True
    return np.cumsum(~joined) - 1


def tidied(level: FloatArray, span: float) -> FloatArray:
    """Levels that differ by rounding made equal, and none above the one before."""
    result = level.copy()
    start = 0
    for j in range(1, len(level) + 1):
        if j == len(level) or level[j - 1] - level[j] > 1e-10 * span:
            result[start:j] = level[start] if j == start + 1 else level[start:j].mean()
            start = j
    return np.asarray(np.minimum.accumulate(result))


@lru_cache(maxsize=32)
def _program(blocks: int, n: int, rows: int, norm: Norm, keep_first: bool) -> Any:
    """The parametrised program; the shapes, the norm and what is fixed decide its structure."""
    import cvxpy as cp
    from scipy import sparse

    level = cp.Variable(blocks)
    values = {
        "wanted": cp.Parameter(blocks),
        "spread": cp.Parameter((n, blocks)),
        "announced": cp.Parameter(n),
        "size": cp.Parameter(blocks, nonneg=True),
        "root": cp.Parameter(blocks, nonneg=True),
        "rooted": cp.Parameter(blocks),
        "climb": cp.Parameter((rows, blocks)),
        "bound": cp.Parameter(rows),
        "total": cp.Parameter(),
        "first": cp.Parameter(),
        "least": cp.Parameter(),
    }
    falls = sparse.diags_array([np.ones(blocks - 1), -np.ones(blocks - 1)], offsets=[1, 0], shape=(blocks - 1, blocks))
    constraints = [falls @ level <= 0, values["size"] @ level == values["total"]]
    constraints += [values["climb"] @ level <= values["bound"]] if rows else []
    constraints += [level[blocks - 1] >= values["least"]]
    constraints += [level[0] == values["first"]] if keep_first else []
    if norm == "L2":
        objective = cp.sum_squares(cp.multiply(values["root"], level) - values["rooted"])
    else:
        objective = cp.norm1(values["spread"] @ level - values["announced"])
    problem = cp.Problem(cp.Minimize(objective), constraints)
    assert problem.is_dpp()
    return problem, level, values, constraints


def _solve(
    announced: FloatArray,
    block: IntArray,
    upper: IntArray,
    lower: IntArray,
    bound: FloatArray,
    least: float,
    norm: Norm,
    keep_first: bool,
) -> tuple[FloatArray, FloatArray, str] | None:
    """Optimal levels, the price of each climb, the solver; None where a first prize that is kept leaves none."""
    size = np.bincount(block).astype(np.float64)
    wanted = np.bincount(block, weights=announced) / size
    blocks, rows = len(size), len(bound)
    climb = np.zeros((rows, blocks))
    climb[np.arange(rows), upper], climb[np.arange(rows), lower] = 1.0, -1.0
    facts = {
        "wanted": wanted,
        "spread": np.eye(blocks)[block],
        "announced": announced,
        "size": size,
        "root": np.sqrt(size),
        "rooted": np.sqrt(size) * wanted,
        "climb": climb,
        "bound": bound,
        "total": announced.sum(),
        "first": announced[0],
        "least": least,
    }
    solver = "CLARABEL" if norm == "L2" else "SCIPY"  # HiGHS as SciPy has it: cvxpy's own prints a banner
    status, found, price = _run(facts, rows, norm, keep_first, solver)
    if status == "infeasible" and keep_first:
        return None
    if found is None:  # without a first prize to keep, equal prizes are always feasible
        raise RuntimeError(
            f"design prizes: {solver} ended with status {status!r}; rescale prizes to the order of 1 and try again, or "
            "use the other norm"
        )
    if norm == "L1":
        return found, np.maximum(price, 0.0), "HiGHS"
    sums = [(size, float(announced.sum()))] + ([(np.eye(blocks)[0], float(announced[0]))] if keep_first else [])
    inequalities = np.concatenate([climb, np.diff(np.eye(blocks), axis=0), -np.eye(blocks)[-1:]])
    right = np.concatenate([bound, np.zeros(blocks - 1), [-least]])
    attempts = (
        _polished(active, wanted, size, sums, inequalities, right)
        for active in _active_sets(found, wanted, size, sums, inequalities, right)
    )
    polished = next((p for p in attempts if p is not None), None)
    distance = max(float(np.sqrt((((np.eye(blocks)[block] @ found) - announced) ** 2).sum())), 1e-300)
    if polished is None:
        if status != "optimal":
            raise RuntimeError(f"design prizes: {solver} ended with status {status!r}; try the L1 norm")
        return found, np.maximum(price, 0.0) / (2.0 * distance), "Clarabel"
    return polished[0], polished[1][:rows] / distance, "Clarabel, active set solved exactly"


def _run(
    facts: dict[str, Any], rows: int, norm: Norm, keep_first: bool, solver: str
) -> tuple[str, FloatArray | None, FloatArray]:
    """The solver's own word for how it ended, and the levels and prices of this call, None and none without."""
    import cvxpy as cp

    with _TURN:  # the compiled program holds the parameters and the answer, so threads take turns
        problem, level, values, constraints = _program(
            len(facts["size"]), len(facts["announced"]), rows, norm, keep_first
        )
        for name, value in facts.items():
            values[name].value = value
        level.save_value(None)
        try:
            problem.solve(solver=solver, **_OPTIONS.get(solver, {}))
        except cp.SolverError as error:
            return f"failed ({error})", None, np.zeros(rows)
        if problem.status not in (cp.OPTIMAL, cp.OPTIMAL_INACCURATE) or level.value is None:
            return str(problem.status), None, np.zeros(rows)
        price = np.array(constraints[2].dual_value) if rows else np.zeros(0)
        return str(problem.status), np.array(level.value, dtype=np.float64), price


def _active_sets(
    found: FloatArray,
    wanted: FloatArray,
    size: FloatArray,
    sums: list[tuple[FloatArray, float]],
    inequalities: FloatArray,
    right: FloatArray,
) -> Iterator[BoolArray]:
    """Guesses of what is active at the optimum: near the solver's answer, then by an exact method.

    The nearest point to `wanted` in a polyhedron is a problem of least distance, and that is one of non-negative least
    squares (Lawson & Hanson 1974, chapter 23), whose answer is zero off the active set.
    """
    from scipy.optimize import nnls

    for slack in _ACTIVE:
        yield right - inequalities @ found < slack
    root = np.sqrt(size)
    equal, total = np.array([a for a, _ in sums]), np.array([b for _, b in sums])
    rows = np.concatenate([inequalities, equal, -equal]) / root  # rows @ y <= target, of y = root (x - wanted)
    target = np.concatenate([right, total, -total]) - np.concatenate([inequalities, equal, -equal]) @ wanted
    multiplier, _ = nnls(np.vstack([-rows.T, -target]), np.eye(len(size) + 1)[-1])
    yield multiplier[: len(right)] > 0


def _polished(
    active: BoolArray,
    wanted: FloatArray,
    size: FloatArray,
    sums: list[tuple[FloatArray, float]],
    inequalities: FloatArray,
    right: FloatArray,
) -> tuple[FloatArray, FloatArray] | None:
    """The optimum to rounding, and the multipliers, from the constraints that are active at it.

    minimise 1/2 sum size (x - wanted)^2 on the active set; None where the result is not feasible and dual feasible.
    """
    from scipy.optimize import nnls

    rows = np.concatenate([inequalities[active], np.array([a for a, _ in sums])])
    target = np.concatenate([right[active], [b for _, b in sums]])
    count = int(active.sum())
    root = np.sqrt(size)
    # the part of the wanted prizes that the active set allows, by least squares in the weighted norm
    step, *_ = np.linalg.lstsq(rows / root, target - rows @ wanted, rcond=1e-12)
    x = wanted + step / root
    if np.max(inequalities @ x - right, initial=0.0) > 1e-11 or np.max(np.abs(rows @ x - target)) > 1e-10:
        return None
    # multipliers: size (wanted - x) = sum of multiplier * row, those of the inequalities not negative
    free = rows[count:]
    signed = np.concatenate([rows[:count], free, -free])
    multiplier, left = nnls((signed / root).T, root * (wanted - x))
    if left > 1e-8 * np.sqrt(len(x)):
        return None
    full = np.zeros(len(right))
    full[active] = multiplier[:count]
    return x, full
