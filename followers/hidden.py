"""A partly hidden test: only part of the effort carries over to the items nobody has seen (DESIGN section 3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from followers.arrays import BoolArray, FloatArray, above, two_sum
from followers.curves import ScoreCurve

__all__ = ["PartlyHidden"]


@dataclass(frozen=True, slots=True)
class PartlyHidden:
    """(1 - share) v(p) + share v(start + transfer (p - start)) at position p = start + effort.

    Attributes
    ----------
    curve : v, the score curve of the items that everybody sees.
    start : (..., n), where effort begins: the head start. The game sets it (`anchored`).
    share : share of hidden items, in [0, 1].
    transfer : steps on the hidden items that a step is worth, in [0, 1].
    """

    curve: ScoreCurve
    start: FloatArray
    share: float
    transfer: float

    kind: ClassVar[str] = "partly-hidden"
    table_axes: ClassVar[int] = 0

    def __post_init__(self) -> None:
        for name, value in (("hidden_share", self.share), ("transfer", self.transfer)):
            if not 0 <= value <= 1:
                raise ValueError(f"{name} = {value:g}; must lie in [0, 1]")

    def _carried(self, position: Any) -> FloatArray:
        """Position on the hidden items."""
        place = np.asarray(position, dtype=np.float64)
        if self.transfer == 1:
            return place
        moved = self.transfer * (place - self.start) if self.transfer > 0 else 0.0
        return np.asarray(np.broadcast_to(np.maximum(self.start + moved, 0.0), np.broadcast(place, self.start).shape))

    def score(self, effort: Any) -> FloatArray:
        """Score at a position."""
        return self.score_pair(effort)[0]

    def score_pair(self, effort: Any) -> tuple[FloatArray, FloatArray]:
        """v(p) less share times what v(p) is ahead: two scores near the same ceiling keep the digits of their gap."""
        score, tail = self.curve.score_pair(effort)
        hidden, hidden_tail = self.curve.score_pair(self._carried(effort))
        ahead = (score - hidden) + (tail - hidden_tail)
        return two_sum(score, tail - self.share * ahead)

    def derivative(self, effort: Any) -> FloatArray:
        """(1 - share) v'(p) + share transfer v'(carried)."""
        seen, hidden = self.curve.derivative(effort), self.curve.derivative(self._carried(effort))
        return np.asarray((1.0 - self.share) * seen + self.share * self.transfer * hidden)

    def anchored(self, start: FloatArray) -> PartlyHidden:
        """The curve of developers whose effort begins at `start`."""
        return replace(self, curve=self.curve.anchored(start), start=start)

    def effort_to_reach(self, score: Any, tail: Any = 0.0) -> FloatArray:
        """By bisection down to adjacent doubles; the plain curve, which is never lower, gives the lower bracket."""
        low = self.curve.effort_to_reach(score, tail)
        return self._least(low, lambda place: ~above(score, tail, *self.score_pair(place)), open_end=False)

    def effort_to_exceed(self, score: Any, tail: Any = 0.0) -> FloatArray:
        """By bisection; differs from `effort_to_reach` only where both parts are flat."""
        low = self.curve.effort_to_exceed(score, tail)
        return self._least(low, lambda place: above(*self.score_pair(place), score, tail), open_end=True)

    def _least(self, low: FloatArray, holds: Callable[[FloatArray], BoolArray], *, open_end: bool) -> FloatArray:
        """inf{p >= 0 : holds(p)} for a monotone condition, inf where it never holds; bisection over doubles."""
        shape = np.broadcast_shapes(low.shape, self.start.shape)
        at_zero, at_end = holds(np.zeros(shape)), holds(np.full(shape, np.inf))
        low = np.broadcast_to(np.where(np.isfinite(low), low, 0.0), shape)
        low = np.where(holds(low), 0.0, low)  # where rounding put the bracket too high
        # non-negative doubles are ordered like their bits
        below, reached = low.view(np.int64), np.full(shape, np.inf).view(np.int64)
        while np.any((reached - below > 1) & ~at_zero & at_end):
            middle = below + (reached - below) // 2
            true = holds(middle.view(np.float64))
            below, reached = np.where(true, below, middle), np.where(true, middle, reached)
        found = (below if open_end else reached).view(np.float64)
        return np.asarray(np.where(at_zero, 0.0, np.where(at_end, found, np.inf)))

    def flat_stretches(self) -> tuple[FloatArray, FloatArray]:
        """Stretches on which both parts are constant: those of the one cut with those of the other."""
        starts, ends = self.curve.flat_stretches()
        if self.share == 0 or self.transfer == 1:
            return starts, ends
        shape = np.broadcast_shapes(starts.shape[1:], self.start.shape)
        starts, ends = (np.broadcast_to(x, (len(x), *shape)) for x in (starts, ends))
        if self.transfer == 0:
            everywhere = np.zeros((1, *shape)), np.full((1, *shape), np.inf)
            return everywhere if self.share == 1 else (starts, ends)
        hidden = tuple(self.start + (x - self.start) / self.transfer for x in (starts, ends))
        if self.share == 1:
            return np.maximum(hidden[0], 0.0), hidden[1]
        low = np.maximum(starts[:, None], hidden[0][None]).reshape(-1, *shape)
        high = np.minimum(ends[:, None], hidden[1][None]).reshape(-1, *shape)
        return np.where(low < high, low, np.nan), np.where(low < high, high, np.nan)

    def resolved_until(self) -> float:
        """As far as the plain curve: the hidden part lags behind it."""
        return self.curve.resolved_until()

    def is_concave(self) -> FloatArray:
        """Where the plain curve is: a mixture of concave functions."""
        return self.curve.is_concave()
