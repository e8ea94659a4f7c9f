"""The cheapest audit plan as a linear program: the independent proof of optimality, and its prices (DESIGN section 5).

In audit probabilities p the constraints (1) and (2) of `designer.audit_stakes`, each divided by what a certain audit of
a certain offender takes, read

    minimise  sum_r p_r   subject to   p_r - a_kr p_k >= b_kr  for every climb from rank k to rank r < k,   0 <= p <= 1,
    a_kr = d_k pen_k / (C_kr pen_r) in [0, 1],   b_kr = t_kr / (C_kr pen_r).

The program is disciplined in its parameters a and b (DPP): it is compiled once per number of developers, and solved
again with other numbers by HiGHS. The plan itself comes from back substitution; nothing but the data is shared with it.

Several draws of the developers give several rows per climb. As p_k lies in [0, 1], a row is idle if another one of the
same climb has neither a smaller a nor a smaller b; the rest are kept.

References
----------
Agrawal, Verschueren, Diamond & Boyd (2018), A rewriting system for convex optimization problems, on DPP.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from threading import Lock
from typing import Any

import numpy as np

from followers.arrays import FloatArray

__all__ = ["ProgramAnswer", "ProgramStatus", "solve_program"]

_IMPOSSIBLE, _IDLE = 2.0, -1.0  # right sides that no probabilities meet, and that all do
_TURN = Lock()
_OPTIONS = {
    "method": "highs-ds",
    "presolve": False,  # it would unravel the rows one by one: the back substitution that is to be checked
    "primal_feasibility_tolerance": 1e-10,
    "dual_feasibility_tolerance": 1e-10,
}


class ProgramStatus(StrEnum):
    """How the solver ended."""

    OPTIMAL = "optimal"
    INFEASIBLE = "infeasible"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ProgramAnswer:
    """What the linear program says.

    Attributes
    ----------
    status : OPTIMAL, INFEASIBLE (no probabilities deter), or FAILED: the solver gave no answer.
    probability : (n,), of an audit per rank; NaN unless optimal.
    audits : their sum; NaN unless optimal.
    prices : (n, n), [k, r]: audits a round per unit (prize units) of further temptation of the climb from rank k to
        rank r, the largest of all draws together; NaN unless optimal.
    advice : what the solver said and what to do about it, one sentence; empty unless it failed.
    """

    status: ProgramStatus
    probability: FloatArray
    audits: float
    prices: FloatArray
    advice: str


@dataclass(frozen=True, slots=True)
class _Compiled:
    """A program of n developers with `copies` rows per climb, and the handles on it."""

    problem: Any
    probability: Any
    slope: Any
    lift: Any
    rows: Any


@lru_cache(maxsize=16)
def _compiled(n: int, copies: int) -> _Compiled:
    import cvxpy as cp
    from scipy.sparse import csr_array

    own, target = (np.tile(x, copies) for x in np.tril_indices(n, -1))
    count = len(own)
    pick_target, pick_own = (csr_array((np.ones(count), (np.arange(count), x)), (count, n)) for x in (target, own))
    probability = cp.Variable(n, nonneg=True)
    slope, lift = cp.Parameter(count, nonneg=True), cp.Parameter(count)
    rows = pick_target @ probability - cp.multiply(slope, pick_own @ probability) >= lift
    problem = cp.Problem(cp.Minimize(cp.sum(probability)), [rows, probability <= 1])
    assert problem.is_dpp()
    return _Compiled(problem, probability, slope, lift, rows)


def solve_program(pull: FloatArray, caught: FloatArray, penalty: FloatArray) -> ProgramAnswer:
    """Solve the program for B draws of n developers.

    Parameters
    ----------
    pull : (B, n, n), t per climb [k, r], -inf where there is none. caught : (B, n, n), C, honest entries on the
        diagonal. penalty : (n,), what a flagged entry at each rank loses.

    Notes
    -----
    Every number returned belongs to this call: a solver that fails yields NaN and advice, never an earlier answer.
    The compiled program holds the parameters, so threads take turns.
    """
    n = len(penalty)
    slope, lift, taken = _rows(pull, caught, penalty)
    copies = 1 << int(len(slope) - 1).bit_length()  # few sizes, so few programs to compile
    missing = ((0, copies - len(slope)), (0, 0))
    program = _compiled(n, copies)
    padded = np.pad(slope, missing), np.pad(lift, missing, constant_values=_IDLE)
    with _TURN:
        said = _run(program, *padded)
        values = (program.probability.value, program.rows.dual_value) if said == "optimal" else None
    if values is not None:
        probability, duals = (np.array(x, dtype=np.float64) for x in values)
        duals = duals.reshape(copies, -1)[: len(slope)]
        prices = np.zeros((n, n))
        prices[np.tril_indices(n, -1)] = (duals / taken).sum(axis=0)
        return ProgramAnswer(ProgramStatus.OPTIMAL, probability, float(probability.sum()), prices, "")
    blank = np.full(n, np.nan)
    # the cost is at least zero, so what is "infeasible or unbounded" is infeasible
    infeasible = said in ("infeasible", "infeasible_or_unbounded")
    advice = "" if infeasible else _advice(said)
    status = ProgramStatus.INFEASIBLE if infeasible else ProgramStatus.FAILED
    return ProgramAnswer(status, blank, float("nan"), np.full((n, n), np.nan), advice)


def _run(program: _Compiled, slope: FloatArray, lift: FloatArray) -> str:
    """Set the parameters, solve, and return the solver's own word for how that ended."""
    import cvxpy as cp

    program.slope.value, program.lift.value = slope.ravel(), lift.ravel()
    program.probability.save_value(None)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an inaccurate answer is refused below by its status
            # SciPy's HiGHS: that of highspy greets on standard output, where results are printed
            program.problem.solve(solver=cp.SCIPY, scipy_options=dict(_OPTIONS))
    except cp.error.SolverError:
        return "solver_error"  # the problem's own status is then still that of the solve before
    if program.problem.status == "optimal" and program.probability.value is None:
        return "no solution"
    return str(program.problem.status)


def _advice(said: str) -> str:
    return (
        f"HiGHS ended with status {said!r}, so the optimum is not confirmed; check the population for costs and scores "
        "of extreme size, and plan again with fewer draws or another number of items"
    )


def _rows(pull: FloatArray, caught: FloatArray, penalty: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """a and b of the rows that are not idle, and C pen by which they were divided, each (copies, climbs).

    Climbs as in `np.tril_indices(n, -1)`.
    """
    own, target = np.tril_indices(len(penalty), -1)
    innocent = np.diagonal(caught, axis1=1, axis2=2)[:, own]
    tempted, taken = pull[:, own, target], caught[:, own, target] * penalty[target]
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = np.where(taken > 0, innocent * penalty[own] / taken, 0.0)
        lift = np.where(taken > 0, tempted / taken, np.where(tempted > 0, _IMPOSSIBLE, _IDLE))
    slope, lift = np.minimum(slope, 1.0), np.clip(lift, _IDLE, _IMPOSSIBLE)
    taken = np.where(taken > 0, taken, np.inf)  # what nothing is taken from has no price
    order = np.lexsort((-slope, -lift), axis=0)
    slope, lift, taken = (np.take_along_axis(x, order, 0) for x in (slope, lift, taken))
    steepest = np.maximum.accumulate(slope, axis=0)
    kept = np.ones(slope.shape, dtype=np.bool_)
    kept[1:] = slope[1:] > steepest[:-1]
    first = np.argsort(~kept, axis=0, kind="stable")[: int(kept.sum(axis=0).max(initial=1))]
    kept, slope, lift, taken = (np.take_along_axis(x, first, 0) for x in (kept, slope, lift, taken))
    return np.where(kept, slope, 0.0), np.where(kept, lift, _IDLE), taken
