"""Who is active where: the strategies of m + 1 developers who compete for m identical prizes, from the bottom up.

Notation: q_i(s) = (C_i(T) - C_i(s)) / V, H_i = 1 - F_i. In equilibrium prod_{j != i} H_j >= q_i at every score from a_i
on, with equality where i is active or has an atom. Let eps_i = C_i' / (C_i(T) - C_i), the rate at which q_i falls, and
h_i the rate at which H_i falls. Of those for whom equality holds, i is active iff h_i = S - eps_i > 0, S = sum h; so
S (|A| - 1) = sum_A eps, A being those with the smallest eps: exactly one way to go on. It changes where an active
developer's h_i reaches zero (it leaves) and where equality is reached by an inactive one: it enters or, while the score
is below its start, keeps all others from going on (a gap up to its start, where it has the atom that the first of the
others needs to go on).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from followers.arrays import BoolArray, FloatArray, above
from solvers.contest_deviations import lowest_competitor, score_mesh
from solvers.contest_payoffs import ContestPayoffs, cost_left, score_efforts_costs

__all__ = ["Stretches", "find_stretches"]

_SLACK = 1e-12
"""Relative violation of a condition that counts as one: rounding must not let developers flicker in and out."""
_TRUSTED = 1e-10
"""Share of the cost of the threshold that must be left for q to have digits."""
_ROUNDS = 14
_SECTIONS = np.arange(1, 32) / 32.0
"""A switch is located by dividing its cell into 32 again and again, 70 bits in all."""
_MOST_SWITCHES = 40
"""Per developer."""


@dataclass(slots=True)
class Stretches:
    """Stretches of scores on which the same developers are active; see `ContestEquilibrium`.

    complete : whether they go all the way to the threshold.
    """

    score: list[float] = field(default_factory=list)
    tail: list[float] = field(default_factory=list)
    active: list[BoolArray] = field(default_factory=list)
    survival: list[FloatArray] = field(default_factory=list)
    complete: bool = False


@dataclass(frozen=True, slots=True)
class _Place:
    """Scores (K,) with log q and eps (K, n) there; both are zero for who does not compete."""

    score: FloatArray
    tail: FloatArray
    log_q: FloatArray
    rate: FloatArray


def _place(contest: ContestPayoffs, competing: BoolArray, score: FloatArray, tail: FloatArray) -> _Place:
    game = contest.game
    effort, cost = score_efforts_costs(game, score, tail)
    left = cost_left(contest, cost)
    effort = np.minimum(effort, game.worthwhile_effort()[0])[:, None, :]
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = (game.cost.marginal(effort) / game.curve.derivative(game.head_start + effort))[:, 0, :]
        begun = ~above(contest.start, contest.start_tail, score[:, None], tail[:, None])
        rate = np.where(competing & begun, slope / left, 0.0)
        log_q = np.where(competing, np.log(left), 0.0)
    return _Place(score, tail, log_q, rate)


def find_stretches(contest: ContestPayoffs, competing: BoolArray, points: int) -> Stretches:
    """Follow the equilibrium from the lowest start to the threshold, looking for switches on a mesh of scores.

    References
    ----------
    Siegel (2010), Asymmetric contests with conditional investments, American Economic Review 100(5), for equal starts;
    Siegel (2014), American Economic Journal: Microeconomics 6(3), for head starts.
    """
    game, who = contest.game, np.flatnonzero(competing)
    lead = lowest_competitor(contest, competing)
    score, tail, effort = score_mesh(contest, competing, points)
    mesh = _place(contest, competing, score, tail)
    # too near the threshold the differences that q is made of are rounding
    least = np.log(_TRUSTED * contest.cost_at_threshold[who] / contest.value)
    trusted = int((mesh.log_q[:, who] > least).all(axis=1).sum())
    started = ~above(contest.start, contest.start_tail, score[:, None], tail[:, None])
    result = Stretches()
    log_h = np.zeros(game.n)
    active = np.zeros(game.n, dtype=np.bool_)
    waiting = competing & (contest.power <= _SLACK * contest.value)
    here, at, k = float(effort[0]), (float(score[0]), float(tail[0])), 0

    def record() -> None:
        result.score.append(at[0])
        result.tail.append(at[1])
        result.active.append(active.copy())
        result.survival.append(np.exp(log_h))

    def place_of(efforts: FloatArray) -> _Place:
        return _place(contest, competing, *(x[:, 0, lead] for x in game.scores(efforts[:, None, None])))

    def just_above() -> FloatArray:
        following = effort[np.searchsorted(effort, here, side="right")]
        return np.asarray(place_of(np.array([here + 1e-3 * (following - here)])).rate[0])

    if not waiting[lead]:
        record()
    for _ in range(_MOST_SWITCHES * game.n):
        if waiting.any():  # a gap up to the first start among those waited for
            first = who[waiting[who]][np.lexsort((contest.start_tail[waiting], contest.start[waiting]))[0]]
            k = int(np.argmax(started[:, first]))
            here, at = float(effort[k]), (float(score[k]), float(tail[k]))
            needed = mesh.log_q[k] + log_h - (log_h.sum() - log_h[first])
            needed[~competing | (np.arange(game.n) == first)] = -np.inf
            log_h[first] = min(0.0, float(needed.max()))
            equal = needed >= needed.max() - 1e-9
            waiting = equal & ~started[k]
            equal[first] = True
            active = np.zeros_like(active) if waiting.any() else _active(equal, just_above())
            record()
            k += 1
            continue
        broken = _broken(mesh, active, log_h, competing)[k:trusted]
        if not broken.any():
            # who enters nearer to the threshold than this jumps to it: that gains others no more than _TRUSTED * V
            result.complete = True
            break
        k += int(np.argmax(broken.any(axis=1)))
        low, high = (here if k == 0 else max(here, float(effort[k - 1]))), float(effort[k])
        for _ in range(_ROUNDS):
            inner = low + (high - low) * _SECTIONS
            hit = np.append(_broken(place_of(inner), active, log_h, competing).any(axis=1), True)
            first = int(np.argmax(hit))
            low, high = float(np.append(low, inner)[first]), float(np.append(inner, high)[first])
        place = place_of(np.array([high]))
        switching = _broken(place, active, log_h, competing)[0]
        log_h = _log_survival(place, active, log_h, competing)[0]
        here, at = high, (float(place.score[0]), float(place.tail[0]))
        begun = ~above(contest.start, contest.start_tail, *at)
        waiting = switching & ~begun
        if waiting.any():
            active = np.zeros_like(active)
        else:
            entering, leaving = switching & ~active, switching & active
            active = _active((active & ~leaving) | entering, just_above())
        record()
    return result


def _active(equal: BoolArray, rate: FloatArray) -> BoolArray:
    """Of those for whom equality holds, who is active: as many with the smallest rates as keep falling themselves."""
    order = [int(i) for i in np.argsort(rate, kind="stable") if equal[i]]
    count = 2
    while count < len(order) and rate[order[count]] < sum(rate[i] for i in order[:count]) / (count - 1):
        count += 1
    active = np.zeros_like(equal)
    active[order[:count]] = True
    return active


def _log_product(place: _Place, active: BoolArray, log_h: FloatArray) -> FloatArray:
    """log of the product of all H, (K, 1), while these are active."""
    if not active.any():
        return np.full((len(place.score), 1), log_h.sum())
    total = place.log_q[:, active].sum(axis=1, keepdims=True) - log_h[~active].sum()
    return np.asarray(total / (active.sum() - 1))


def _log_survival(place: _Place, active: BoolArray, log_h: FloatArray, competing: BoolArray) -> FloatArray:
    """log H (K, n) while these are active; it never rises."""
    moved = _log_product(place, active, log_h) - place.log_q
    return np.where(active & competing, np.minimum(moved, log_h), log_h)


def _broken(place: _Place, active: BoolArray, log_h: FloatArray, competing: BoolArray) -> BoolArray:
    """Who can no longer go on as before, (K, n): active and falling no more, or inactive and tempted."""
    product = _log_product(place, active, log_h)
    tempted = competing & ~active & (product - log_h < place.log_q - _SLACK)
    if active.sum() < 3:  # two who are active need each other
        return np.asarray(tempted)
    total = place.rate[:, active].sum(axis=1, keepdims=True) / (active.sum() - 1)
    return np.asarray(tempted | (active & (place.rate >= total) & np.isfinite(place.rate)))
