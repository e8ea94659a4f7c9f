"""The stability margin against the tuning budget, and the budgets that are proved to stabilise."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from designer.budgets import Interval, least_budget
from designer.protocol import Protocol
from followers.arrays import FloatArray
from followers.game import LeaderboardGame, select
from followers.hidden import PartlyHidden
from followers.population import Population
from solvers.deviations import check_free_effort, has_kernel
from solvers.inner import solve_inner

__all__ = ["BudgetMargin", "budget_margin"]

_POINTS, _POINTS_GENERAL, _POINTS_APART = 241, 61, 13
"""Budgets at which margins are computed: by the compiled check, by the general one, and of games solved one by one."""


@dataclass(frozen=True, slots=True)
class BudgetMargin:
    """Margins over budgets, the protocol's other knobs held.

    steps, margin : (K,), tuning steps, prize units; +-inf and NaN possible. chosen : the protocol's own budget.
    intervals : budgets proved stable, None where the proof does not cover the protocol; then `note` says why.
    span : R_1 - R_n, prize units.
    """

    steps: FloatArray
    margin: FloatArray
    chosen: float
    intervals: tuple[Interval, ...] | None
    undecided: float
    span: float
    note: str

    @property
    def least(self) -> float | None:
        """Delta*, the smallest budget proved to stabilise; None where there is none, or no proof."""
        return self.intervals[0][0] if self.intervals else None


def budget_margin(
    population: Population, protocol: Protocol, *, upto: float | None = None, prove: bool = True
) -> BudgetMargin:
    """Margins of the population as stated (B = 1) at budgets from 0 to `upto`, twice the protocol's unless told.

    With `prove` False intervals are proved only where that takes no more than a second or two.
    """
    end = upto if upto is not None else max(2.0 * protocol.tune_steps, 50_000.0)
    game = replace(protocol, tune_steps=0.0).induce(population)
    # what is proved of cells of budgets inverts the curves many times, and those of a partly hidden test by bisection
    quick = game.exact and has_kernel(game) and not isinstance(game.curve, PartlyHidden)
    intervals, undecided, note = None, 0.0, ""
    if game.exact and not (quick or prove):
        note = "it takes longer for such curves, see `truerank design budget` and `truerank plot margin`"
    else:
        try:
            design = least_budget(population, protocol, upto=end)
            intervals, undecided = design.intervals, design.undecided
        except ValueError as error:
            note = str(error).removeprefix("design budget: ")
    points = _POINTS if quick else _POINTS_GENERAL if game.exact else _POINTS_APART
    ends = [x for interval in intervals or () for x in interval]  # narrow dips lie between the points of a grid
    grid = np.linspace(0.0, end, points)
    steps = np.unique(np.concatenate([grid, ends if game.exact else [], [protocol.tune_steps]]))
    if game.exact:
        margin = check_free_effort(_at_budgets(game, steps)).margins.min(axis=1)
    else:
        played = [solve_inner(replace(protocol, tune_steps=float(s)).induce(population)) for s in steps]
        margin = np.array([float(p.margin[0]) for p in played])
    return BudgetMargin(
        steps=steps,
        margin=np.asarray(margin),
        chosen=protocol.tune_steps,
        intervals=intervals,
        undecided=undecided,
        span=float(game.prize_span[0]),
        note=note,
    )


def _at_budgets(game: LeaderboardGame, steps: FloatArray) -> LeaderboardGame:
    """One game per budget: its steps on top of every head start."""
    several = select(game, np.zeros(len(steps), dtype=np.int64))
    return replace(several, head_start=several.head_start + steps[:, None])
