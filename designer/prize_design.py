"""Least prize compression: the prizes nearest to those announced under which nobody climbs (DESIGN section 5).

With scores at the free-effort profile given, the entry at rank k takes rank r < k at cost c_kr. It is not tempted iff
R_r = R_k, or R_r - R_k <= c_kr - mu for a promised margin mu; as prizes never rise with rank that is the linear
R_r - R_k <= max(c_kr - mu, 0). So the nearest prizes with the same total are a quadratic (or, in the L1 norm, linear)
program. Where the right side is 0 ranks r..k share one prize exactly: they are one variable.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from designer.prize_program import Norm, gains, nearest_prizes, tidied
from designer.prizes import Prizes
from designer.protocol import Protocol
from designer.tail_program import cvar, draw_margins, nearest_tail_prizes
from designer.temptations import Temptation, least_costs, priced_climbs
from followers.arrays import FloatArray, IntArray
from followers.population import Population
from solvers.climbs import Climbs

__all__ = ["PrizeDesign", "compress_prizes"]


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
    if np.all(gains(announced) <= limit):
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
    prizes = tidied(answer.values, span)
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


def _binding(
    population: Population, found: Climbs, draw: IntArray, prizes: FloatArray, limit: FloatArray, price: FloatArray
) -> tuple[Temptation, ...]:
    span = max(float(prizes[0] - prizes[-1]), float(np.finfo(np.float64).tiny))
    tight = (gains(prizes) >= limit - 1e-7 * span) & np.isfinite(limit) & np.tri(len(prizes), k=-1, dtype=bool)
    result = []
    for k, r in sorted(np.argwhere(tight & (price > 0)).tolist(), key=lambda kr: -price[kr[0], kr[1]]):
        b = int(draw[k, r])
        name = population.names[int(found.order[b, k])]
        climb = (float(found.effort[b, k, r]), float(found.cost[b, k, r]), float(prizes[r] - prizes[k]))
        result.append(Temptation(name, b, k + 1, r + 1, *climb, float(price[k, r])))
    return tuple(result)
