"""The leaderboard game: what a solver sees, and nothing of how it came about (DESIGN section 1)."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass, replace
from enum import StrEnum
from typing import Any, TypeVar

import numpy as np

from followers.arrays import BoolArray, FloatArray, IntArray, above
from followers.costs import EffortCost, PowerCost
from followers.curves import GeneralizedLogit, ScoreCurve
from followers.grouping import Part
from followers.hidden import PartlyHidden
from followers.measurement import Audit, Noise, grid_level, grid_score
from followers.roster import RosterCost, RosterCurve

__all__ = ["LeaderboardGame", "TieRule", "select", "select_law"]


class TieRule(StrEnum):
    """What entries with equal scores get."""

    QUALITY = "quality"
    """A strict order decides: the entry earlier in the game's `tie_order` takes the better rank."""
    SPLIT = "split"
    """Tied entries share the prizes of the ranks they occupy equally."""


@dataclass(frozen=True, slots=True)
class LeaderboardGame:
    """A batch of B leaderboard games with n developers each.

    Developer i at effort e scores curve(head_start + e), pays cost(e) and earns the prize of its rank.

    Attributes
    ----------
    curve, cost
        Parameters of shape (B, n) or anything that broadcasts to it.
    head_start : (B, n), steps already on the curve at zero effort: tuning budget plus prior exposure.
    effort_cap : (B, n), steps; inf where there is no cap.
    prizes : (B, n), prize of rank 1..n, non-increasing.
    ties : TieRule
    tie_order : (B, n), a permutation of 0..n-1 per game; the smaller number wins a tie under `quality`.
    noise : error of the observed scores, None where they are exact.
    precision : grid to which published scores are rounded down, score units; 0 where they are not rounded.
    audit : re-tests of published entries, None without.
    """

    curve: ScoreCurve
    cost: EffortCost
    head_start: FloatArray
    effort_cap: FloatArray
    prizes: FloatArray
    ties: TieRule
    tie_order: IntArray
    noise: Noise | None = None
    precision: float = 0.0
    audit: Audit | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "ties", TieRule(self.ties))  # plain text must not slip past `is`
        shape = self.head_start.shape
        if len(shape) != 2 or shape[1] < 2:
            raise ValueError(f"game: shape {shape}; a leaderboard needs (batch, developers) with at least 2 developers")
        for name in ("effort_cap", "prizes", "tie_order"):
            if getattr(self, name).shape != shape:
                raise ValueError(f"game: {name} has shape {getattr(self, name).shape}; must be {shape}")
        fault = self._fault()
        if fault:
            raise ValueError(f"game: {fault}")
        if self._endless():
            raise ValueError("game: effort without end at no further cost; give a positive cost or an effort cap")
        # a curve over several tasks, or one of which a part is hidden, depends on where effort begins
        object.__setattr__(self, "curve", self.curve.anchored(self.head_start))
        self._check_measurement()

    def _fault(self) -> str:
        """What is wrong with the numbers, empty where nothing is."""
        from followers.game_kernels import first_fault

        if self.tie_order.dtype.kind not in "iu":
            return FAULTS[-1]
        start, cap, prizes = (
            np.require(x, np.float64, ["C", "W"]) for x in (self.head_start, self.effort_cap, self.prizes)
        )
        return FAULTS[int(first_fault(start, cap, prizes, np.require(self.tie_order, np.int64, ["C", "W"])))]

    def _endless(self) -> bool:
        """Whether somebody may go on for ever at no further cost."""
        cost = self.cost
        if isinstance(cost, PowerCost) and np.all(cost.scale > 0) and np.all(cost.free < np.inf):
            return False  # every effort beyond `free` costs more
        free = np.fmax(cost.free_effort(), cost.plateau_end())
        return bool(np.any(np.isinf(np.minimum(free, self.effort_cap))))

    def _check_measurement(self) -> None:
        """Refuse measurement rules that contradict each other, by name."""
        if not (np.isfinite(self.precision) and self.precision >= 0):
            raise ValueError(f"precision = {self.precision:g}; must be a finite grid that is not negative (0: exact)")
        if self.noise is not None and self.ties is TieRule.SPLIT:
            raise ValueError('ties = "split" with noise: noisy scores never tie; use ties = "quality" or no noise')
        if self.noise is not None and self.precision > 0:
            raise ValueError(
                f"precision = {self.precision:g} with noise: scores are either rounded or noisy; set one of them to 0"
            )
        if self.audit is not None and self.audit.probability.shape != self.head_start.shape:
            raise ValueError(
                f"audit.probability has shape {self.audit.probability.shape}; must be {self.head_start.shape}: "
                "one per rank"
            )
        counted = "test_items" if self.noise is not None and self.noise.items else "audit.items" if self.audit else ""
        if counted and not _within_unit(self.curve):
            low, high = self.scores(0.0)[0], self.scores(self.worthwhile_effort())[0]
            wrong = (low < 0) | ~(high <= 1)
            if wrong.any():
                b, i = np.argwhere(wrong)[0]
                raise ValueError(
                    f"{counted}: scores of developer {i + 1} run from {low[b, i]:g} to {high[b, i]:g}; shares of "
                    "correct items must stay within [0, 1]"
                )

    @property
    def exact(self) -> bool:
        """Whether scores are published as they are, and nobody is audited: the game of DESIGN section 2."""
        return self.noise is None and self.precision == 0 and self.audit is None

    @property
    def penalty(self) -> FloatArray:
        """What a flagged entry at each rank is expected to lose, (B, n): p_r * (R_r - R_n + fine); 0 without audits."""
        if self.audit is None:
            return np.zeros_like(self.prizes)
        return self.audit.probability * (self.prizes - self.prizes[:, -1:] + self.audit.fine)

    def flagged(self, efforts: Any) -> FloatArray:
        """Probability of being flagged once audited, at efforts (..., B, n); zero without audits."""
        if self.audit is None:
            return np.zeros(np.broadcast_shapes(np.shape(efforts), self.head_start.shape))
        return self.audit.flagged(self.scores(efforts)[0], self.scores(0.0)[0])

    def published(self, efforts: Any) -> tuple[FloatArray, FloatArray]:
        """Published scores at efforts (..., B, n) as two floats, before noise: rounded down where there is a grid."""
        score, tail = self.scores(efforts)
        if self.precision == 0:
            return score, tail
        rounded = grid_score(grid_level(score, tail, self.precision), self.precision)
        return rounded, np.zeros_like(rounded)

    def worthwhile_effort(self) -> FloatArray:
        """Most effort that any prize could pay for, within the cap, (B, n), steps."""
        return np.minimum(self.cost.affordable(self.prize_span[:, None]), self.effort_cap)

    @property
    def batch(self) -> int:
        """Number of games B."""
        return int(self.head_start.shape[0])

    @property
    def n(self) -> int:
        """Number of developers n."""
        return int(self.head_start.shape[1])

    @property
    def prize_span(self) -> FloatArray:
        """R_1 - R_n per game, (B,), prize units."""
        return np.asarray(self.prizes[:, 0] - self.prizes[:, -1])

    def scores(self, efforts: Any) -> tuple[FloatArray, FloatArray]:
        """Observed scores at efforts (..., B, n), as two floats."""
        return self.curve.score_pair(self.head_start + efforts)

    def free_effort(self) -> FloatArray:
        """z: most effort that costs nothing and is within the cap, (B, n), steps."""
        return np.broadcast_to(np.minimum(self.cost.free_effort(), self.effort_cap), self.head_start.shape)

    def plateau_effort(self) -> FloatArray:
        """Right end (within the cap) of a stretch of constant positive cost, (B, n), NaN where none."""
        end = np.minimum(self.cost.plateau_end(), self.effort_cap)
        return np.broadcast_to(np.where(end > 0, end, np.nan), self.head_start.shape)

    def flat_stretches(self) -> tuple[FloatArray, FloatArray]:
        """Starts and ends, in efforts, of the stretches where the score is constant, (K, B, n); NaN where fewer.

        A stretch that begins before zero effort has a negative start.
        """
        starts, ends = self.curve.flat_stretches()
        shape = (len(starts), *self.head_start.shape)
        lifted = (np.broadcast_to(x if x.ndim == 3 else x[:, None, :], shape) for x in (starts, ends))
        start, end = (x - self.head_start for x in lifted)
        return start, end

    def flat_beyond(self, efforts: Any) -> BoolArray:
        """Whether the curve is constant just beyond efforts (B, n)."""
        starts, ends = self.flat_stretches()
        return np.asarray(((starts <= efforts) & (efforts < ends)).any(axis=0))

    def reach(self, score: Any, tail: Any) -> FloatArray:
        """Least total effort with which each developer reaches a score, (..., B, n); inf beyond its cap."""
        effort = self.curve.effort_to_reach(score, tail) - self.head_start
        return self._within_cap(effort, score, tail, strictly=False)

    def exceed(self, score: Any, tail: Any) -> FloatArray:
        """Infimum of the efforts that exceed a score, (..., B, n); inf where the cap leaves no room."""
        effort = self.curve.effort_to_exceed(score, tail) - self.head_start
        return self._within_cap(effort, score, tail, strictly=True)

    def _within_cap(self, effort: FloatArray, score: Any, tail: Any, *, strictly: bool) -> FloatArray:
        """Decide by comparing scores, not efforts: inverting a curve rounds, evaluating it at the cap does not."""
        start, cap = self.scores(0.0), self.scores(self.effort_cap)
        if strictly:
            already, possible = above(*start, score, tail), above(*cap, score, tail)
        else:
            already, possible = ~above(score, tail, *start), ~above(score, tail, *cap)
        # a score above the one at zero effort takes some effort, and any effort pays the entry fee
        bounded = np.minimum(np.maximum(effort, 0.0 if strictly else 1e-300), self.effort_cap)
        return np.where(already, 0.0, np.where(possible, bounded, np.inf))


FAULTS = (
    "",
    "head_start is not finite everywhere",
    "prizes is not finite everywhere",
    "prizes increase with rank; they must not",
    "head starts and effort caps must not be negative",
    "tie_order must be a permutation of the developers in every game",
)
"""What `followers.game_kernels.first_fault` finds, by its number."""


def _within_unit(curve: ScoreCurve) -> bool:
    """Whether scores lie in [0, 1] at any effort, as floors and ceilings alone say; False where they do not."""
    plain = curve.curve if isinstance(curve, PartlyHidden) else curve
    return isinstance(plain, GeneralizedLogit) and bool(np.all(plain.lower >= 0) and np.all(plain.upper <= 1))


T = TypeVar("T")


def select(game: LeaderboardGame, index: Any) -> LeaderboardGame:
    """The games at `index` (an array of positions, a mask or a slice along the batch axis)."""
    arrays = {
        name: np.ascontiguousarray(getattr(game, name)[index])
        for name in ("head_start", "effort_cap", "prizes", "tie_order")
    }
    curve, cost = select_law(game.curve, index, game.batch), select_law(game.cost, index, game.batch)
    audit = game.audit and replace(game.audit, probability=game.audit.probability[index])
    return replace(game, curve=curve, cost=cost, audit=audit, **arrays)  # type: ignore[arg-type]


def select_law(law: T, index: Any, batch: int) -> T:
    """A score curve or cost for the games at `index` of `batch`; parameters that all games share are kept."""
    if isinstance(law, RosterCurve | RosterCost):
        parts = tuple(Part(p.developers, select_law(p.law, index, batch)) for p in law.parts)
        return type(law)(parts=parts, n=law.n)  # type: ignore[arg-type]
    changed = {f.name: _select_field(getattr(law, f.name), law, index, batch) for f in fields(law)}  # type: ignore[arg-type]
    return type(law)(**changed)


def _select_field(values: Any, law: Any, index: Any, batch: int) -> Any:
    if isinstance(values, tuple):  # the tasks of a suite, and their weights
        return tuple(_select_field(v, law, index, batch) for v in values)
    if is_dataclass(values):  # a curve made of curves
        return select_law(values, index, batch)
    # a table has its knots on a further axis; parameters without a batch axis are shared by all games
    has_batch = np.ndim(values) == 2 + law.table_axes and values.shape[0] == batch
    return values[index] if has_batch else values
