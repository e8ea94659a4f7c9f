"""Mixed strategies of an all-pay contest in closed form, and what deviating from them brings."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from followers.arrays import BoolArray, FloatArray, above
from solvers.contest_payoffs import ContestPayoffs, cost_left, score_costs
from solvers.quadrature import integral

__all__ = ["ContestEquilibrium", "ContestStatus", "mixed_survival"]

_ROUNDING = 1e-12
"""An atom below this is none."""


class ContestStatus(StrEnum):
    """Whether a profile in closed form is an equilibrium."""

    EQUILIBRIUM = "equilibrium"
    """No developer gains by deviating."""
    ENTRY = "entry"
    """No equilibrium: a developer beyond the m + 1 strongest may gain by entering, or its start is in their way."""
    UNRESOLVED = "unresolved"
    """Not known: the strategies switch more often than the search for switches resolves."""


@dataclass(frozen=True, slots=True)
class ContestEquilibrium:
    """Mixed strategies on scores, in closed form on each of K stretches of scores.

    Let q_i = (C_i(T) - C_i(s)) / V and H_i = 1 - F_i. On a stretch the active developers A have H_i = P / q_i with
    P^(|A|-1) = prod_A q / prod_{not A} H, so that each wins with probability (w_i + C_i(s)) / V; the other competitors
    keep the H_i they had when the stretch began. Who does not compete stays at its start.

    Attributes
    ----------
    contest : reach, threshold, power, prize.
    status : whether this is an equilibrium.
    unique : True where no other equilibrium exists; None where that is not known.
    competing : (n,), who leaves its start with positive probability or is marginal to those who do.
    stretch_score, stretch_tail : (K,), where the stretches begin, rising; the last ends at the threshold.
    active : (K, n), who mixes over the stretch.
    survival_at : (K, n), H at the beginning of the stretch (atoms there included).
    payoffs : (n,), expected prize less cost, prize units; `contest_deviations.deviation_gains` checks them.
    notes : what a user must know.
    """

    contest: ContestPayoffs
    status: ContestStatus
    unique: bool | None
    competing: BoolArray
    stretch_score: FloatArray
    stretch_tail: FloatArray
    active: BoolArray
    survival_at: FloatArray
    payoffs: FloatArray
    notes: tuple[str, ...]

    @property
    def is_pure(self) -> bool:
        """Whether everybody stays at its start."""
        return not self.competing.any()

    def survival(self, score: Any, tail: Any = 0.0) -> FloatArray:
        """Probabilities that developers' scores lie above `score` + `tail` (...), (..., n)."""
        contest = self.contest
        score, tail = np.broadcast_arrays(*(np.asarray(x, dtype=np.float64) for x in (score, tail)))
        level, level_tail = score[..., None], tail[..., None]
        begun = ~above(contest.start, contest.start_tail, level, level_tail)
        result = np.where(begun, 0.0, 1.0)
        if self.is_pure:
            return result
        k = (~above(self.stretch_score, self.stretch_tail, level, level_tail)).sum(axis=-1) - 1
        active, kept = self.active[np.maximum(k, 0)], self.survival_at[np.maximum(k, 0)]
        left = cost_left(contest, score_costs(contest.game, score, tail))
        mixed = mixed_survival(left, active, kept, self.competing)
        mixed = np.where((k >= 0)[..., None], mixed, 1.0)
        below = above(*contest.threshold, level, level_tail)
        return np.where(self.competing, np.where(below, mixed, 0.0), result)

    def cdf(self, developer: int, score: Any, tail: Any = 0.0) -> FloatArray:
        """Probability that a developer's (from 0) score is at most `score` + `tail`; the shape of `score`."""
        return np.asarray(1.0 - self.survival(score, tail)[..., developer])

    @property
    def atoms(self) -> FloatArray:
        """(n,), probability with which each developer stays at its start.

        There are no other atoms, except that who enters within a relative 1e-10 of the threshold is put on it.
        """
        atoms = 1.0 - np.diagonal(self.survival(self.contest.start, self.contest.start_tail))
        return np.where(atoms > _ROUNDING, atoms, 0.0)

    @property
    def support(self) -> FloatArray:
        """(n, 2), lowest and highest score of each developer's support (gaps are possible in between)."""
        contest = self.contest
        bounds = np.stack([contest.start, contest.start], axis=1)
        if self.is_pure:
            return bounds
        bounds[:, 1] = np.where(self.competing, contest.threshold[0], contest.start)
        joins = np.where(self.active.any(axis=0), self.stretch_score[np.argmax(self.active, axis=0)], bounds[:, 1])
        bounds[:, 0] = np.where(self.competing & (self.atoms == 0), joins, contest.start)
        return bounds

    @property
    def expected_costs(self) -> FloatArray:
        """(n,), prize units: the integral of P(cost > c) over c."""
        game = self.contest.game
        costs = np.zeros(game.n)
        for i in np.flatnonzero(self.competing).tolist():
            top = self.contest.cost_at_threshold[i]
            edges = np.clip(score_costs(game, self.stretch_score, self.stretch_tail)[:, i] / top, 0.0, 1.0)
            costs[i] = top * self._mean(i, edges, lambda share, t=top: game.cost.affordable(share * t))
        return costs

    @property
    def expected_efforts(self) -> FloatArray:
        """(n,), steps, the free effort included."""
        game = self.contest.game
        free: FloatArray = game.free_effort()[0]
        efforts = free.copy()
        for i in np.flatnonzero(self.competing).tolist():
            top = float(game.reach(*self.contest.threshold)[0, i]) - free[i]
            begun = game.reach(self.stretch_score[:, None, None], self.stretch_tail[:, None, None])[:, 0, i]
            edges = np.clip((begun - free[i]) / top, 0.0, 1.0)
            efforts[i] += top * self._mean(i, edges, lambda share, z=free[i], t=top: z + share * t)
        return efforts

    def _mean(self, i: int, edges: FloatArray, effort_of: Any) -> float:
        """Mean share in [0, 1] of developer i, whose effort at each share `effort_of` gives."""

        def survival(share: FloatArray) -> FloatArray:
            pair = self.contest.game.scores(effort_of(share[:, None, None]))
            return self.survival(*(x[:, 0, i] for x in pair))[:, i]

        return integral(survival, np.concatenate([[0.0], edges, [1.0]]))

    @property
    def win_probabilities(self) -> FloatArray:
        """(n,), by indifference: payoff = R_n + V * P(win) - expected cost."""
        last = self.contest.game.prizes[0, -1]
        return np.asarray((self.payoffs - last + self.expected_costs) / self.contest.value)


def mixed_survival(q: FloatArray, active: BoolArray, kept: FloatArray, competing: BoolArray) -> FloatArray:
    """H (..., n) from q (..., n): P / q for the active, what they kept for the others."""
    with np.errstate(divide="ignore", invalid="ignore"):
        log_q = np.log(np.where(active, q, 1.0))
        log_kept = np.log(np.where(active | ~competing, 1.0, kept))
        count = np.maximum(active.sum(axis=-1, keepdims=True) - 1, 1)
        log_p = (log_q.sum(axis=-1, keepdims=True) - log_kept.sum(axis=-1, keepdims=True)) / count
        moved = np.where(q > 0, np.exp(log_p - log_q), 0.0)
    return np.where(active, np.minimum(moved, kept), kept)
