"""What tempts honest developers, and the least that audits must put at stake (DESIGN sections 3 and 5).

Everybody plays without effort. By published rank k = 1..n, score s_k and prize R_k at that profile, an audit flags the
entry at rank k with probability d_k = C_kk though it is honest, and with probability C_kr once it has climbed to rank
r < k, where it claims s_r; C_kr = P(Bin(items, s_k) <= critical(s_r)). Being audited with probability p_r, an entry
flagged there loses pen_r = R_r - R_n + fine. Write q_r = p_r pen_r, the *stake* at rank r. The climb from k to r costs
c_kr (`solvers.climbs`), so it brings R_r - C_kr q_r - c_kr instead of R_k - d_k q_k. A move counts as a deviation only
if it gains reward (without effort there is no cost to save), so honest play is an equilibrium with margin mu iff

    C_kr q_r - d_k q_k >= t_kr := R_r - R_k - max(c_kr - mu, 0)    for every climb that costs a finite amount,   (1)
    0 <= q_r <= pen_r                                                                          for every rank.   (2)

More effort than a climb needs never helps: neither cost nor C falls. (1) does not contain the fine.

[T] Least plan. Among the stakes that satisfy (1) and q >= 0 there is a componentwise least one, q*; it costs least
whatever positive weights the ranks have, and (2) can be met iff q* meets it. From the last rank up,

    q*_n = 0,   q*_r = max(0, max_{k > r} (t_kr + d_k q*_k) / C_kr),   infinite where C_kr = 0 < t_kr + d_k q*_k.   (3)

Proof. By induction from the last rank any q that satisfies (1) has q_k >= q*_k for k > r, hence
C_kr q_r >= t_kr + d_k q_k >= t_kr + d_k q*_k, that is q_r >= q*_r; and q* itself satisfies (1). (So the feasible set is
closed under the componentwise minimum: each row has one positive coefficient, and the rows are triangular.) As q* does
not depend on the fine, a plan exists iff the fine is at least max_r (q*_r - (R_r - R_n)).

The same proof reads off optimal multipliers. Let w_r be the cost of one unit of stake at rank r, and call the row that
attains the maximum in (3) the binding one of rank r, if q*_r > 0. From the first rank down,

    y_r = (w_r + sum of d_r y_r' over the ranks r' < r whose binding row climbs from rank r) / C_kr    (binding k),  (4)

is dual feasible and complementary to q*, so it proves that q* is optimal, and y_r is what one more unit of the
temptation t_kr costs. With several draws of the developers (1) holds for all of them; only the maximum in (3) widens.

The tie order is strict, so an effort takes the best rank whose entry it beats; ranks within a tied group that no effort
leads to exactly (a tie won against two rivals at once) are no climbs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from designer.audit_power import critical, rejection
from followers.arrays import BoolArray, FloatArray, IntArray
from followers.game import LeaderboardGame, TieRule
from followers.measurement import Audit
from solvers.climbs import climbs

__all__ = ["AuditClimbs", "audit_climbs", "least_stakes", "suspicion", "unit_prices"]

_NUDGE = 1.0 + 4.0 * float(np.finfo(np.float64).eps)
"""Stakes are rounded up by so much, that the division that makes them probabilities does not undo the last digit."""


@dataclass(frozen=True, slots=True)
class AuditClimbs:
    """The climbs of B draws of one board, by published rank at honest play (0 is first).

    Attributes
    ----------
    order : (B, n), the developer published at each rank.
    prizes : (n,), prize units, after bands.
    score : (B, n), score published at each rank.
    effort, cost : (B, n, n), [b, k, r]: of the climb from rank k to rank r < k; steps and prize units, inf where no
        effort leads there.
    """

    order: IntArray
    prizes: FloatArray
    score: FloatArray
    effort: FloatArray
    cost: FloatArray

    @property
    def n(self) -> int:
        """Number of developers n."""
        return len(self.prizes)

    @property
    def span(self) -> float:
        """R_1 - R_n, prize units."""
        return float(self.prizes[0] - self.prizes[-1])

    def penalty(self, fine: float) -> FloatArray:
        """What an entry flagged at each rank loses, (n,): R_r - R_n + fine."""
        return np.asarray(self.prizes - self.prizes[-1] + fine)

    def pull(self, margin: float = 0.0) -> FloatArray:
        """t of (1), (B, n, n): what an audit must take from each climb; -inf where there is none."""
        gain = self.prizes[None, :] - self.prizes[:, None]  # [k, r]
        finite = np.isfinite(self.cost)
        left = np.maximum(np.where(finite, self.cost, 0.0) - margin, 0.0)
        return np.where(finite, gain - left, -np.inf)


def audit_climbs(game: LeaderboardGame) -> AuditClimbs:
    """Read the climbs off a batch of games that are played without audits and share their prizes.

    Raises
    ------
    ValueError : noise, rounded scores, split ties or free effort, under which honest play is no single profile whose
        ranks follow from efforts one by one; scores that are no shares of correct items.
    """
    if game.noise is not None:
        raise ValueError("audit plan: noise or test_items is set; scores must be exact (both 0)")
    if game.precision > 0:
        raise ValueError(f"audit plan: precision = {game.precision:g}; scores must be exact (0)")
    if game.ties is not TieRule.QUALITY:
        raise ValueError('audit plan: ties = "split"; a strict tie order is needed ("quality")')
    free = game.free_effort()
    if np.any(free > 0):
        b, i = np.argwhere(free > 0)[0]
        raise ValueError(
            f"audit plan: developer {i + 1} has {free[b, i]:g} steps of free effort; must be 0, as honest play is no "
            "effort at all"
        )
    replace(game, audit=Audit(np.zeros_like(game.prizes), 1, 0.5, 0.0))  # refuses scores outside [0, 1]
    priced = climbs(game)
    score, tail = (np.broadcast_to(x, game.prizes.shape) for x in game.scores(0.0))
    score, tail = (np.take_along_axis(x, priced.order, 1) for x in (score, tail))
    reached = _leads_there(np.take_along_axis(game.tie_order, priced.order, 1), score, tail)
    return AuditClimbs(
        order=priced.order,
        prizes=game.prizes[0],
        score=score,
        effort=np.where(reached, priced.effort, np.inf),
        cost=np.where(reached, priced.cost, np.inf),
    )


def _leads_there(tie_order: IntArray, score: FloatArray, tail: FloatArray) -> BoolArray:
    """Whether the least effort by which rank k beats the entry at rank r takes just rank r, (B, n, n)."""
    wins_tie = tie_order[:, :, None] < tie_order[:, None, :]  # [k, r]
    same = np.zeros(score.shape, dtype=np.bool_)  # as high as the rank above
    same[:, 1:] = (score[:, 1:] == score[:, :-1]) & (tail[:, 1:] == tail[:, :-1])
    wins_above = np.zeros_like(wins_tie)
    wins_above[:, :, 1:] = wins_tie[:, :, :-1]
    # who ties and wins against the rank above too takes that rank; who must exceed passes the whole group
    return np.asarray(~same[:, None, :] | (wins_tie & ~wins_above))


def suspicion(score: FloatArray, *, items: Any, level: float) -> FloatArray:
    """Probability C that an audit flags rank k's developer claiming rank r's score, (..., B, n, n); zero for k < r.

    On the diagonal an honest entry is flagged: the false-positive rate.

    Parameters
    ----------
    score : (B, n), by published rank. items : fresh items, any shape (...). level : of the test.
    """
    items = np.asarray(items)[..., None, None]
    most = critical(score, items=items, level=level)  # (..., B, n), by claim
    own, claim = np.tril_indices(score.shape[1])
    result = np.zeros((*most.shape, score.shape[1]))
    result[..., own, claim] = rejection(most[..., claim], score[:, own], items=items)
    return result


def least_stakes(pull: FloatArray, caught: FloatArray) -> tuple[FloatArray, IntArray]:
    """The least stakes q* of (3), (..., n), and the draw and rank that bind each of them, (..., n, 2), -1 for none.

    Parameters
    ----------
    pull : (B, n, n), t. caught : (..., B, n, n), C.
    """
    n = pull.shape[-1]
    outer = caught.shape[:-3]
    stakes = np.zeros((*outer, n))
    binding = np.full((*outer, n, 2), -1, dtype=np.int64)
    innocent = np.diagonal(caught, axis1=-2, axis2=-1)  # (..., B, n)
    for r in range(n - 2, -1, -1):
        below = stakes[..., None, r + 1 :]
        doubted = innocent[..., r + 1 :]
        with np.errstate(invalid="ignore"):  # an infinite stake that no honest entry risks, or that nobody can flee
            own_loss = np.where(doubted > 0, doubted * below, 0.0)
            need = np.where(np.isneginf(pull[:, r + 1 :, r]), -np.inf, pull[:, r + 1 :, r] + own_loss)
        with np.errstate(divide="ignore", invalid="ignore"):
            asked = np.where(need > 0, need / caught[..., r + 1 :, r], 0.0)
        flat = asked.reshape(*outer, -1)
        where = flat.argmax(axis=-1)
        stakes[..., r] = flat.max(axis=-1) * _NUDGE
        bound = np.stack([where // (n - 1 - r), where % (n - 1 - r) + r + 1], axis=-1)
        binding[..., r, :] = np.where(stakes[..., r, None] > 0, bound, -1)
    return stakes, binding


def unit_prices(caught: FloatArray, binding: IntArray, weight: FloatArray) -> FloatArray:
    """The multipliers y of (4), (n,): what one more unit of the binding temptation of each rank costs.

    Parameters
    ----------
    caught : (B, n, n), C. binding : (n, 2), as `least_stakes` gives it. weight : (n,), cost of one unit of stake.
    """
    n = len(weight)
    due, prices = weight.astype(np.float64), np.zeros(n)
    for r in range(n):
        b, k = binding[r]
        if b < 0:
            continue
        prices[r] = due[r] / caught[b, k, r]
        due[k] += caught[b, k, k] * prices[r]
    return prices
