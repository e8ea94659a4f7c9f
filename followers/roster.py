"""Curves and costs of a roster in which developers follow different laws, as one curve and one cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from followers.arrays import FloatArray
from followers.costs import EffortCost
from followers.curves import ScoreCurve
from followers.grouping import Part, gather

__all__ = ["RosterCost", "RosterCurve"]


@dataclass(frozen=True, slots=True)
class RosterCurve:
    """A `ScoreCurve` put together from parts; n developers in all."""

    parts: tuple[Part[ScoreCurve], ...]
    n: int

    def score(self, effort: Any) -> FloatArray:
        """v(effort)."""
        return gather(self.parts, self.n, lambda c, x: c.score(x[0]), effort)

    def score_pair(self, effort: Any) -> tuple[FloatArray, FloatArray]:
        """v(effort) as two floats."""
        hi = gather(self.parts, self.n, lambda c, x: c.score_pair(x[0])[0], effort)
        return hi, gather(self.parts, self.n, lambda c, x: c.score_pair(x[0])[1], effort)

    def derivative(self, effort: Any) -> FloatArray:
        """v'(effort)."""
        return gather(self.parts, self.n, lambda c, x: c.derivative(x[0]), effort)

    def anchored(self, start: FloatArray) -> RosterCurve:
        """Each part anchored at its developers' starts."""
        parts = tuple(Part(p.developers, p.law.anchored(start[..., p.developers])) for p in self.parts)
        return RosterCurve(parts, self.n)

    def effort_to_reach(self, score: Any, tail: Any = 0.0) -> FloatArray:
        """inf{e >= 0 : v(e) >= score + tail}."""
        return gather(self.parts, self.n, lambda c, x: c.effort_to_reach(x[0], x[1]), score, tail)

    def effort_to_exceed(self, score: Any, tail: Any = 0.0) -> FloatArray:
        """inf{e >= 0 : v(e) > score + tail}."""
        return gather(self.parts, self.n, lambda c, x: c.effort_to_exceed(x[0], x[1]), score, tail)

    def flat_stretches(self) -> tuple[FloatArray, FloatArray]:
        """Starts and ends over all parts, padded with NaN to the longest list."""
        pairs = [p.law.flat_stretches() for p in self.parts]
        longest = max(starts.shape[0] for starts, _ in pairs)
        leading = np.broadcast_shapes(*(starts.shape[1:-1] for starts, _ in pairs))
        both = np.full((2, longest, *leading, self.n), np.nan)
        for part, stretches in zip(self.parts, pairs, strict=True):
            for side, values in enumerate(stretches):
                both[side, : values.shape[0], ..., part.developers] = np.moveaxis(values, -1, 0)
        return both[0], both[1]

    def resolved_until(self) -> float:
        """The least over the parts."""
        return min(p.law.resolved_until() for p in self.parts)

    def is_concave(self) -> FloatArray:
        """1.0 where concave."""
        return gather(self.parts, self.n, lambda c, _: c.is_concave())


@dataclass(frozen=True, slots=True)
class RosterCost:
    """An `EffortCost` put together from parts; n developers in all."""

    parts: tuple[Part[EffortCost], ...]
    n: int

    def cost(self, effort: Any) -> FloatArray:
        """c(effort)."""
        return gather(self.parts, self.n, lambda c, x: c.cost(x[0]), effort)

    def marginal(self, effort: Any) -> FloatArray:
        """c'(effort)."""
        return gather(self.parts, self.n, lambda c, x: c.marginal(x[0]), effort)

    def entry_jump(self) -> FloatArray:
        """Limit of c at zero from above."""
        return gather(self.parts, self.n, lambda c, _: c.entry_jump())

    def free_effort(self) -> FloatArray:
        """sup{e : c(e) = 0}."""
        return gather(self.parts, self.n, lambda c, _: c.free_effort())

    def plateau_end(self) -> FloatArray:
        """Right end of the positive plateau, NaN where none."""
        return gather(self.parts, self.n, lambda c, _: c.plateau_end())

    def affordable(self, amount: Any) -> FloatArray:
        """Largest effort that costs at most `amount`."""
        return gather(self.parts, self.n, lambda c, x: c.affordable(x[0]), amount)
