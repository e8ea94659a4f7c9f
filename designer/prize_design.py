"""Least prize compression: the prizes nearest to those announced under which nobody climbs (DESIGN section 5).

With scores at the free-effort profile given, the entry at rank k takes rank r < k at cost c_kr. It is not tempted iff
R_r = R_k, or R_r - R_k <= c_kr - mu for a promised margin mu; as prizes never rise with rank that is the linear
R_r - R_k <= max(c_kr - mu, 0). So the nearest prizes with the same total are a quadratic (or, in the L1 norm, linear)
program. Where the right side is 0 ranks r..k share one prize exactly: they are one variable.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal, TypeAlias

import numpy as np

from designer.prizes import Prizes
from designer.protocol import Protocol
from designer.tail_program import cvar, draw_margins, nearest_tail_prizes
from designer.temptations import Temptation, least_costs, priced_climbs
from followers.arrays import FloatArray, IntArray
from followers.population import Population
from solvers.climbs import Climbs

__all__ = ["Norm", "PrizeDesign", "compress_prizes", "nearest_prizes"]

Norm: TypeAlias = Literal["L1", "L2"]

_ACTIVE = (1e-6, 1e-7, 1e-8)
"""Slacks, as shares of the prize span, below which a constraint may be active at the optimum; tried in turn."""
_SHRINK = 1e-6
"""Most by which prizes are shrunk towards each other to make good what a solver's rounding is short of."""
_EXACT = 1e-9
"""Violation, as a share of the prize span, beyond which a solution is not called one."""


@dataclass(frozen=True, slots=True)
class PrizeDesign:
    """The least compression.

    Attributes
    ----------
    status : "optimal", "unchanged" (the announced prizes already hold) or "infeasible" (only with a fixed first prize).
    prizes, announced : (n,), prize units; `prizes` is NaN where infeasible.
    norm, distance : how far apart they are, prize units.
    margin : promised: nobody is closer than this to gaining by a climb.
    binding : the climbs that would pay if prizes were any steeper, those that press most first.
    protocol : with these prizes; None where infeasible.
    solver : what solved it. notes : what a user must know.
    reached : mean margin of the worst draws, prize units, where the margin is promised there; else None.
    """

    status: Literal["optimal", "unchanged", "infeasible"]
    prizes: FloatArray
    announced: FloatArray
    norm: Norm
    distance: float
    margin: float
    binding: tuple[Temptation, ...]
    protocol: Protocol | None
    solver: str
    notes: tuple[str, ...] = ()
    reached: float | None = None


def compress_prizes(
    population: Population,
    protocol: Protocol,
    *,
    margin: float = 0.0,
    norm: Norm = "L2",
    keep_first: bool = False,
    tail: float | None = None,
) -> PrizeDesign:
    """The prizes nearest to the protocol's under which truthful play is an equilibrium in every draw.

    Parameters
    ----------
    population : one, or B draws (then the design holds in all of them).
    protocol : its other knobs hold; within its bands prizes stay shared.
    margin : least margin promised, prize units, not negative.
    norm : "L2", or "L1" for few changed prizes. The total stays what it is, and no prize falls below both zero and
        the least announced.
    keep_first : the first prize stays what it is; then there may be no solution.
    tail : the margin is promised in the mean of this share of the worst draws (`designer.tail_program`), not in every
        draw.

    Raises
    ------
    ValueError : noise, rounded scores, split ties, audits, a negative margin, a tail outside (0, 1].
    RuntimeError : the solver failed, with its status and what to do.
    """
    if not (np.isfinite(margin) and margin >= 0):
        raise ValueError(f"design prizes: margin = {margin:g}; must be a finite number that is not negative")
    found = priced_climbs(population, protocol, "design prizes")
    announced = np.array(protocol.induce(population).prizes[0])
    if tail is not None:
        return _compress_in_the_tail(population, protocol, found, announced, margin, norm, keep_first, tail)
    cost, draw = least_costs(found)
    limit = np.maximum(cost - margin, 0.0)
    if np.all(_gains(announced) <= limit):
        return PrizeDesign("unchanged", announced, announced, norm, 0.0, margin, (), protocol, "none needed")
    solved = nearest_prizes(
        announced, limit, norm=norm, keep_first=keep_first, bands=protocol.tiers.partition(len(limit))
    )
    if solved is None:
        why = f"a first prize of {announced[0]:g} leaves no stable prizes with the same total; do not keep it"
        nothing = np.full_like(announced, np.nan)
        return PrizeDesign("infeasible", nothing, announced, norm, float("nan"), margin, (), None, "", (why,))
    prizes, price, solver = solved
    changed = prizes - announced
    return PrizeDesign(
        status="optimal",
        prizes=prizes,
        announced=announced,
        norm=norm,
        distance=float(np.abs(changed).sum() if norm == "L1" else np.sqrt((changed**2).sum())),
        margin=margin,
        binding=_binding(population, found, draw, prizes, limit, price),
        protocol=replace(protocol, prizes=Prizes(values=tuple(prizes.tolist()))),
        solver=solver,
    )


def _compress_in_the_tail(
    population: Population,
    protocol: Protocol,
    found: Climbs,
    announced: FloatArray,
    margin: float,
    norm: Norm,
    keep_first: bool,
    tail: float,
) -> PrizeDesign:
    """As `compress_prizes`, for the mean of the worst draws; binding are the climbs of these draws, worst first."""
    n = len(announced)
    none, span = np.zeros(n), float(announced[0] - announced[-1])
    sizes = protocol.tiers.partition(n)
    band = np.repeat(np.arange(len(sizes)), sizes)
    cost = np.where(band[:, None] == band[None, :], np.inf, found.cost)  # whoever shares a prize gains nothing there
    as_is = cvar(draw_margins(cost, announced, none, None, span)[0], tail)
    if as_is >= margin:
        return PrizeDesign(
            "unchanged", announced, announced, norm, 0.0, margin, (), protocol, "none needed", reached=as_is
        )
    answer = nearest_tail_prizes(
        announced,
        cost,
        tail=tail,
        margin=margin,
        norm=norm,
        keep_first=keep_first,
        bands=sizes,
    )
    if answer.status == "infeasible":
        most = f"no prizes with the same total promise more than {answer.reached:.6g} there"
        why = f"{most}; ask for a smaller margin, or join ranks in bands"
        nothing = np.full(n, np.nan)
        return PrizeDesign("infeasible", nothing, announced, norm, float("nan"), margin, (), None, "", (why,))
    prizes = _tidy(answer.values, span)
    margins, where = draw_margins(cost, prizes, none, None, span)
    worst = np.argsort(margins, kind="stable")[: int(np.ceil(tail * len(margins) - 1e-9))]
    reached = cvar(margins, tail)
    if reached < margin:
        raise RuntimeError(
            f"design prizes: rounding leaves {reached:.6g} of the margin; rescale prizes to the order of 1"
        )
    binding = []
    for b in worst.tolist():
        k, r = where[b].tolist()
        climb = (float(found.effort[b, k, r]), float(cost[b, k, r]), float(prizes[r] - prizes[k]))
        binding.append(Temptation(population.names[int(found.order[b, k])], b, k + 1, r + 1, *climb, 0.0))
    return PrizeDesign(
        status="optimal",
        prizes=prizes,
        announced=announced,
        norm=norm,
        distance=answer.value,
        margin=margin,
        binding=tuple(binding),
        protocol=replace(protocol, prizes=Prizes(values=tuple(prizes.tolist()))),
        solver=f"{'HiGHS' if norm == 'L1' else 'Clarabel'}, {answer.rows:,} rows",
        reached=reached,
    )


def _gains(prizes: FloatArray) -> FloatArray:
    """R_r - R_k for r < k, (n, n) by (k, r); 0 elsewhere."""
    return np.tril(prizes[None, :] - prizes[:, None], -1)


def _binding(
    population: Population, found: Climbs, draw: IntArray, prizes: FloatArray, limit: FloatArray, price: FloatArray
) -> tuple[Temptation, ...]:
    span = max(float(prizes[0] - prizes[-1]), float(np.finfo(np.float64).tiny))
    tight = (_gains(prizes) >= limit - 1e-7 * span) & np.isfinite(limit) & np.tri(len(prizes), k=-1, dtype=bool)
    result = []
    for k, r in sorted(np.argwhere(tight & (price > 0)).tolist(), key=lambda kr: -price[kr[0], kr[1]]):
        b = int(draw[k, r])
        name = population.names[int(found.order[b, k])]
        climb = (float(found.effort[b, k, r]), float(found.cost[b, k, r]), float(prizes[r] - prizes[k]))
        result.append(Temptation(name, b, k + 1, r + 1, *climb, float(price[k, r])))
    return tuple(result)


def nearest_prizes(
    announced: FloatArray, limit: FloatArray, *, norm: Norm, keep_first: bool, bands: tuple[int, ...] = ()
) -> tuple[FloatArray, FloatArray, str] | None:
    """Nearest non-increasing prizes (n,) with the same total and R_r - R_k <= limit[k, r] (n, n); None if infeasible.

    Also the shadow price of each limit (n, n), distance per prize unit, and the solver's name. Ranks with a limit of 0
    between them, or in a common band, share one prize exactly.
    """
    n = len(announced)
    block = _blocks(limit, bands or (1,) * n)
    blocks = int(block[-1]) + 1
    size = np.bincount(block)
    wanted = np.bincount(block, weights=announced) / size
    upper, lower = np.triu_indices(blocks, 1)
    limits = np.full((blocks, blocks), np.inf)  # (lower block, upper block)
    np.minimum.at(limits, (block[:, None], block[None, :]), np.where(np.tri(n, k=-1, dtype=bool), limit, np.inf))
    bound = limits[lower, upper]
    span = float(announced[0] - announced[-1])
    rows = np.isfinite(bound) & (bound < 2.0 * span)  # compression never makes a gap wider than all are now
    upper, lower, bound = upper[rows], lower[rows], bound[rows]
    if blocks == 1:
        mean = np.full(n, announced.mean())
        fits = not keep_first or announced[0] == announced[-1]
        return (mean, np.zeros_like(limit), "one prize for all") if fits else None
    solved = _solve(wanted, announced, block, upper, lower, bound, norm, keep_first)
    if solved is None:
        return None
    level, price, solver = solved
    prizes = _tidy(level, span)[block]
    worst = float(np.max(_gains(prizes) - limit))
    if worst > 0 and not keep_first:  # what rounding is short of: shrink towards equal prizes, which no climb gains by
        room = np.where(limit > 0, np.maximum(_gains(prizes) - limit, 0.0) / np.maximum(limit, 1e-300), 0.0)
        prizes = prizes.mean() + (prizes - prizes.mean()) * (1.0 - min(float(room.max()) * (1 + 1e-9) + 1e-15, _SHRINK))
        prizes = _tidy(prizes[np.searchsorted(block, np.arange(blocks))], span)[block]
        worst = float(np.max(_gains(prizes) - limit))
    off = abs(float(prizes.sum() - announced.sum())) / max(span, 1e-300)
    if worst > _EXACT * span or off > 1e-7:
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


def _tidy(level: FloatArray, span: float) -> FloatArray:
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
    wanted: FloatArray,
    announced: FloatArray,
    block: IntArray,
    upper: IntArray,
    lower: IntArray,
    bound: FloatArray,
    norm: Norm,
    keep_first: bool,
) -> tuple[FloatArray, FloatArray, str] | None:
    """Optimal levels, the price of each climb, the solver; None where there is no feasible point."""
    import cvxpy as cp

    blocks, n, rows = len(wanted), len(announced), len(bound)
    problem, level, values, constraints = _program(blocks, n, rows, norm, keep_first)
    size, least = np.bincount(block).astype(np.float64), min(float(announced[-1]), 0.0)
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
    for name, value in facts.items():
        values[name].value = value
    solver = "CLARABEL" if norm == "L2" else "SCIPY"  # HiGHS as SciPy has it: cvxpy's own prints a banner
    try:
        problem.solve(solver=solver)
    except cp.SolverError as error:
        raise RuntimeError(f"design prizes: {solver} failed ({error}); try the other norm") from None
    if problem.status in (cp.INFEASIBLE, cp.INFEASIBLE_INACCURATE):
        return None
    if problem.status not in (cp.OPTIMAL, cp.OPTIMAL_INACCURATE):
        raise RuntimeError(f"design prizes: {solver} stopped with status {problem.status}; try the other norm")
    found, price = np.array(level.value), np.array(constraints[2].dual_value) if rows else np.zeros(0)
    if norm == "L1":
        return found, np.maximum(price, 0.0), "HiGHS"
    sums = [(size, float(announced.sum()))] + ([(np.eye(blocks)[0], float(announced[0]))] if keep_first else [])
    inequalities = np.concatenate([climb, np.diff(np.eye(blocks), axis=0), -np.eye(blocks)[-1:]])
    right = np.concatenate([bound, np.zeros(blocks - 1), [-least]])
    attempts = (_polished(found, wanted, size, sums, inequalities, right, slack) for slack in _ACTIVE)
    polished = next((p for p in attempts if p is not None), None)
    distance = max(float(np.sqrt((((np.eye(blocks)[block] @ found) - announced) ** 2).sum())), 1e-300)
    if polished is None:
        if problem.status != cp.OPTIMAL:
            raise RuntimeError(f"design prizes: {solver} stopped with status {problem.status}; try the L1 norm")
        return found, np.maximum(price, 0.0) / (2.0 * distance), "Clarabel"
    return polished[0], polished[1][:rows] / distance, "Clarabel, active set solved exactly"


def _polished(
    found: FloatArray,
    wanted: FloatArray,
    size: FloatArray,
    sums: list[tuple[FloatArray, float]],
    inequalities: FloatArray,
    right: FloatArray,
    slack: float,
) -> tuple[FloatArray, FloatArray] | None:
    """The optimum to rounding, and the multipliers, from the constraints that are active near it.

    minimise 1/2 sum size (x - wanted)^2 on the active set; None where the result is not feasible and dual feasible.
    """
    from scipy.optimize import nnls

    scale = max(float(np.ptp(wanted)), 1e-300)
    active = right - inequalities @ found < slack * scale
    rows = np.concatenate([inequalities[active], np.array([a for a, _ in sums])])
    target = np.concatenate([right[active], [b for _, b in sums]])
    count = int(active.sum())
    root = np.sqrt(size)
    # the part of the wanted prizes that the active set allows, by least squares in the weighted norm
    step, *_ = np.linalg.lstsq(rows / root, target - rows @ wanted, rcond=1e-12)
    x = wanted + step / root
    if (
        np.max(inequalities @ x - right, initial=0.0) > 1e-11 * scale
        or np.max(np.abs(rows @ x - target)) > 1e-10 * scale
    ):
        return None
    # multipliers: size (wanted - x) = sum of multiplier * row, those of the inequalities not negative
    free = rows[count:]
    signed = np.concatenate([rows[:count], free, -free])
    multiplier, left = nnls((signed / root).T, root * (wanted - x))
    if left > 1e-8 * scale * np.sqrt(len(x)):
        return None
    full = np.zeros(len(right))
    full[active] = multiplier[:count]
    return x, full
