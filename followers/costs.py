"""Effort costs: what a developer pays for benchmark-specific effort (DESIGN section 1).

Costs are in prize units, efforts in optimiser steps. c(0) = 0, c is non-decreasing, and continuous except for a
possible jump at zero (an entry fee).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from followers.arrays import FloatArray

__all__ = ["EffortCost", "PowerCost", "TabulatedCost", "tabulate_cost"]


class EffortCost(Protocol):
    """Cost as a function of effort; parameters have shape (..., n), every method broadcasts over leading axes."""

    def cost(self, effort: Any) -> FloatArray:
        """c(effort)."""
        ...

    def marginal(self, effort: Any) -> FloatArray:
        """c'(effort) from the right, prize units per step; an entry fee is a jump and no slope."""
        ...

    def entry_jump(self) -> FloatArray:
        """Limit of c(e) as e falls to zero: the entry fee."""
        ...

    def free_effort(self) -> FloatArray:
        """sup{e : c(e) = 0}, before any effort cap."""
        ...

    def plateau_end(self) -> FloatArray:
        """Right end of the stretch (0, end] on which c is constant and positive; NaN where there is none."""
        ...

    def affordable(self, amount: Any) -> FloatArray:
        """Largest effort that costs at most `amount` >= 0; shape (..., n)."""
        ...


@dataclass(frozen=True, slots=True)
class PowerCost:
    """c(e) = scale * max(e - free, 0)^exponent, plus entry_fee if e > 0; all >= 0, exponent > 0."""

    scale: FloatArray
    exponent: FloatArray
    free: FloatArray
    entry_fee: FloatArray

    kind: ClassVar[str] = "power"
    table_axes: ClassVar[int] = 0

    def cost(self, effort: Any) -> FloatArray:
        """c(effort)."""
        paid = np.maximum(np.asarray(effort, dtype=np.float64) - self.free, 0.0)
        with np.errstate(invalid="ignore", over="ignore"):
            variable = np.where(self.scale > 0, self.scale * paid**self.exponent, 0.0)
        return variable + np.where(np.asarray(effort) > 0, self.entry_fee, 0.0)

    def marginal(self, effort: Any) -> FloatArray:
        """scale * exponent * (e - free)^(exponent - 1) beyond the free effort, else 0."""
        paid = np.asarray(effort, dtype=np.float64) - self.free
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            slope = self.scale * self.exponent * np.maximum(paid, 0.0) ** (self.exponent - 1.0)
        return np.where((paid >= 0) & (self.scale > 0), slope, 0.0)

    def entry_jump(self) -> FloatArray:
        """The entry fee."""
        return np.asarray(self.entry_fee)

    def free_effort(self) -> FloatArray:
        """`free` where there is no fee, infinite where nothing costs anything, else zero."""
        return np.where(self.entry_fee > 0, 0.0, np.where(self.scale > 0, self.free, np.inf))

    def plateau_end(self) -> FloatArray:
        """`free` behind an entry fee; infinite where only the fee is ever paid."""
        end = np.where(self.scale > 0, self.free, np.inf)
        return np.where((self.entry_fee > 0) & (end > 0), end, np.nan)

    def affordable(self, amount: Any) -> FloatArray:
        """free + ((amount - fee) / scale)^(1 / exponent), or zero where the fee is not covered."""
        left = np.asarray(amount, dtype=np.float64) - self.entry_fee
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            beyond = (np.maximum(left, 0.0) / self.scale) ** (1.0 / self.exponent)
        beyond = np.where(self.scale > 0, self.free + beyond, np.inf)
        return np.where(left >= 0, beyond, 0.0)


@dataclass(frozen=True, slots=True)
class TabulatedCost:
    """Convex piecewise-linear cost through (efforts, costs), shape (..., n, K); the last slope goes on for ever.

    efforts strictly increasing from 0, costs from 0, slopes non-decreasing (see `tabulate_cost`).
    """

    efforts: FloatArray
    costs: FloatArray

    kind: ClassVar[str] = "tabulated"
    table_axes: ClassVar[int] = 1

    def _slopes(self) -> FloatArray:
        return np.diff(self.costs, axis=-1) / np.diff(self.efforts, axis=-1)

    def cost(self, effort: Any) -> FloatArray:
        """The upper envelope of its chords, which is what a convex piecewise-linear function is."""
        effort = np.asarray(effort, dtype=np.float64)[..., None]
        slopes = self._slopes()
        with np.errstate(invalid="ignore"):
            run = np.where(slopes > 0, slopes * (effort - self.efforts[..., :-1]), 0.0)
        chords: FloatArray = np.max(self.costs[..., :-1] + run, axis=-1)
        return np.maximum(chords, 0.0)

    def marginal(self, effort: Any) -> FloatArray:
        """Slope of the piece that begins at or before the effort."""
        effort = np.asarray(effort, dtype=np.float64)[..., None]
        begun: FloatArray = np.max(np.where(self.efforts[..., :-1] <= effort, self._slopes(), 0.0), axis=-1)
        return begun

    def entry_jump(self) -> FloatArray:
        """Zero: a convex cost does not jump."""
        return np.zeros(self.efforts.shape[:-1])

    def free_effort(self) -> FloatArray:
        """Last tabulated effort that costs nothing; infinite where none costs anything."""
        end = np.max(np.where(self.costs == 0, self.efforts, 0.0), axis=-1)
        return np.where(self.costs[..., -1] == 0, np.inf, end)

    def plateau_end(self) -> FloatArray:
        """None: a convex cost that is positive rises."""
        return np.full(self.efforts.shape[:-1], np.nan)

    def affordable(self, amount: Any) -> FloatArray:
        """Smallest over chords of the effort at which each costs `amount`."""
        amount = np.asarray(amount, dtype=np.float64)[..., None]
        slopes = self._slopes()
        with np.errstate(divide="ignore", invalid="ignore"):
            reach = self.efforts[..., :-1] + (amount - self.costs[..., :-1]) / slopes
        result: FloatArray = np.min(np.where(slopes > 0, reach, np.inf), axis=-1)
        return result


def tabulate_cost(tables: Sequence[tuple[Sequence[float], Sequence[float]]]) -> TabulatedCost:
    """Build the cost of n developers from (efforts, costs) lists of any lengths >= 2; pads along the last slope."""
    width = max(len(efforts) for efforts, _ in tables)
    x, y = np.zeros((len(tables), width)), np.zeros((len(tables), width))
    for i, (efforts, costs) in enumerate(tables):
        extra = 1.0 + np.arange(width - len(efforts))
        slope = (costs[-1] - costs[-2]) / (efforts[-1] - efforts[-2])
        x[i] = np.concatenate([efforts, efforts[-1] + extra])
        y[i] = np.concatenate([costs, costs[-1] + slope * extra])
    return TabulatedCost(efforts=x, costs=y)
