"""Generalized-logit curves fitted to many trajectories at once (DESIGN section 1): estimates, profiles, shape.

A problem is a row of a `Points` table; weights of zero stand for points that are not there. Parameters are always
(lower, upper, intercept, slope), with 0 <= lower <= upper <= 1, intercept in [-60, 20], slope in [0.001, 12].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from followers.arrays import FloatArray
from followers.least_squares import minimise
from followers.trajectories import Trajectory

__all__ = ["BOUNDS", "Points", "concave_chi2", "curve_and_jacobian", "fit", "fit_from", "levels", "points", "profile"]

BOUNDS = np.array([[0.0, 0.0, -60.0, 0.001], [1.0, 1.0, 20.0, 12.0]])
"""Lower and upper bounds of (lower, upper, intercept, slope)."""

_STARTS = 6
_ROOT_STEPS = 30


@dataclass(frozen=True, slots=True)
class Points:
    """Measurements of B trajectories, padded: log_effort, score, weight (1 / stderr^2, 0 where padded), all (B, m)."""

    log_effort: FloatArray
    score: FloatArray
    weight: FloatArray

    def at(self, index: Any) -> Points:
        """Some of the trajectories, or one several times."""
        return Points(self.log_effort[index], self.score[index], self.weight[index])


def points(trajectories: Sequence[Trajectory]) -> Points:
    """The table of these trajectories; effort is steps times the effort scale."""
    longest = max(len(t.steps) for t in trajectories)
    table = np.zeros((3, len(trajectories), longest))
    for i, t in enumerate(trajectories):
        m = len(t.steps)
        table[0, i, :m], table[1, i, :m], table[2, i, :m] = np.log1p(t.efforts), t.scores, t.stderrs**-2.0
    return Points(*table)


def _share(x: FloatArray) -> FloatArray:
    return 1.0 / (1.0 + np.exp(-np.clip(x, -700, 700)))


def curve_and_jacobian(parameters: FloatArray, log_effort: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Scores (..., m) at log(1 + effort) (..., m), and their derivatives by the four parameters (..., m, 4)."""
    lower, upper, intercept, slope = (parameters[..., k, None] for k in range(4))
    share = _share(intercept + slope * log_effort)
    bend = (upper - lower) * share * (1 - share)
    jacobian = np.stack([1 - share, share, bend, bend * log_effort], axis=-1)
    return lower + (upper - lower) * share, jacobian


def levels(share: FloatArray, score: FloatArray, weight: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Best lower and upper for given shares of the rise (..., m), and chi-square; exact under 0 <= lower <= upper <= 1.

    A convex program in two unknowns: the unconstrained optimum where it is allowed, else the best of the three edges.
    """
    rest = 1 - share

    def total(x: FloatArray) -> FloatArray:
        return np.asarray((weight * x).sum(axis=-1))

    aa, ab, bb = total(rest * rest), total(rest * share), total(share * share)
    ay, by = total(rest * score), total(share * score)
    determinant = aa * bb - ab * ab
    with np.errstate(divide="ignore", invalid="ignore"):
        free = np.stack([(bb * ay - ab * by) / determinant, (aa * by - ab * ay) / determinant])
        mean = np.clip(np.nan_to_num(total(score + 0 * share) / total(np.ones_like(share))), 0, 1)
        at_zero = np.clip(np.nan_to_num(by / bb), 0, 1)
        at_one = np.clip(np.nan_to_num((ay - ab) / aa), 0, 1)
    allowed = np.isfinite(free).all(axis=0) & (determinant > 1e-14 * aa * bb)
    allowed &= (free[0] >= 0) & (free[0] <= free[1]) & (free[1] <= 1)
    zeros, ones = np.zeros_like(mean), np.ones_like(mean)
    lower = np.stack([np.where(allowed, free[0], mean), mean, zeros, at_one])
    upper = np.stack([np.where(allowed, free[1], mean), mean, at_zero, ones])
    chi2 = total((lower[..., None] * rest + upper[..., None] * share - score) ** 2)
    chosen = np.where(allowed, 0, np.argmin(chi2, axis=0))[None]
    best = [np.take_along_axis(x, chosen, axis=0)[0] for x in (lower, upper, chi2)]
    return best[0], best[1], best[2]


def _grid(own: Points) -> FloatArray:
    """Starts (B, S, 4): the best of a grid of bends and slopes, in distinct places, levels by least squares."""
    bends, slopes = np.linspace(-2.0, 1.0, 40), np.geomspace(0.05, 11.0, 24)
    starts = np.empty((len(own.score), _STARTS, 4))
    for i in range(len(own.score)):
        last = own.log_effort[i].max()
        bend, slope = (x.ravel() for x in np.meshgrid(-2.0 + (bends + 2.0) / 3.0 * (last + 5.0), slopes))
        intercept = np.clip(-bend * slope, BOUNDS[0, 2], BOUNDS[1, 2])
        share = _share(intercept[:, None] + slope[:, None] * own.log_effort[i])
        lower, upper, chi2 = levels(share, own.score[i], own.weight[i])
        best: list[int] = []
        for k in np.argsort(chi2, kind="stable"):  # distinct places, not one place several times
            if all(abs(bend[k] - bend[b]) > 0.6 or abs(np.log(slope[k] / slope[b])) > 0.4 for b in best):
                best.append(int(k))
            if len(best) == _STARTS:
                break
        starts[i] = np.stack([lower, upper, intercept, slope], axis=1)[best]
    return starts


def fit(own: Points) -> tuple[FloatArray, FloatArray]:
    """Weighted least squares from several starts each: parameters (B, 4), chi-square (B,). Deterministic."""
    return fit_from(own, _grid(own))


def fit_from(
    own: Points, starts: FloatArray, *, low: FloatArray | None = None, high: FloatArray | None = None
) -> tuple[FloatArray, FloatArray]:
    """As `fit`, from given starts (B, S, 4); `low` and `high` (B, 4) narrow the bounds, equal ones fix a parameter.

    Where lower is narrowed, upper must not be.
    """
    batch, count, _ = starts.shape
    low = np.broadcast_to(BOUNDS[0], (batch, 4)) if low is None else low
    high = np.broadcast_to(BOUNDS[1], (batch, 4)) if high is None else high
    by_floor = bool(np.any(low[:, 0] > 0) or np.any(high[:, 0] < 1))
    inner_low, inner_high = low.copy(), high.copy()
    # one of the two levels becomes a share, so that 0 <= lower <= upper <= 1 is a box
    shared = 1 if by_floor else 0
    inner_low[:, shared], inner_high[:, shared] = 0.0, 1.0
    rows = np.repeat(np.arange(batch), count)
    x, y, root = own.log_effort, own.score, np.sqrt(own.weight)

    def outer(p: FloatArray) -> FloatArray:
        q = p.copy()
        if by_floor:
            q[:, 1] = p[:, 0] + p[:, 1] * (1 - p[:, 0])
        else:
            q[:, 0] = p[:, 0] * p[:, 1]
        return q

    def inner(q: FloatArray) -> FloatArray:
        p = q.copy()
        if by_floor:
            p[:, 1] = np.where(q[:, 0] < 1, (q[:, 1] - q[:, 0]) / np.maximum(1 - q[:, 0], 1e-300), 0.5)
        else:
            p[:, 0] = np.where(q[:, 1] > 0, q[:, 0] / np.maximum(q[:, 1], 1e-300), 0.5)
        return p

    def residuals(p: FloatArray, index: Any) -> tuple[FloatArray, FloatArray]:
        at = rows[index]
        score, jacobian = curve_and_jacobian(outer(p), x[at])
        d_lower, d_upper = jacobian[:, :, 0].copy(), jacobian[:, :, 1].copy()
        if by_floor:
            jacobian[:, :, 0] = d_lower + d_upper * (1 - p[:, 1, None])
            jacobian[:, :, 1] = d_upper * (1 - p[:, 0, None])
        else:
            jacobian[:, :, 0] = d_lower * p[:, 1, None]
            jacobian[:, :, 1] = d_upper + d_lower * p[:, 0, None]
        return (score - y[at]) * root[at], jacobian * root[at][:, :, None]

    p0 = inner(np.clip(starts.reshape(batch * count, 4), BOUNDS[0], BOUNDS[1]))
    p, chi2 = minimise(residuals, p0, inner_low[rows], inner_high[rows])
    chi2 = chi2.reshape(batch, count)
    chosen = chi2.argmin(axis=1)
    q = outer(p).reshape(batch, count, 4)
    return q[np.arange(batch), chosen], chi2[np.arange(batch), chosen]


def profile(
    own: Points, parameters: FloatArray, chi2: FloatArray, rise: FloatArray, which: int
) -> tuple[FloatArray, FloatArray]:
    """Profile interval of one parameter: where the best fit of the others worsens chi-square by `rise` (B,).

    Ends at a bound where even the bound is not that much worse. Returns lower and upper ends (B,). Venzon & Moolgavkar
    (1988), Applied Statistics 37(1).
    """
    batch = len(chi2)
    ends = np.empty((2, batch))
    scale = np.log if which == 3 else (lambda v: v)
    unscale = np.exp if which == 3 else (lambda v: v)

    def cost(at: Any, value: FloatArray, starts: FloatArray) -> tuple[FloatArray, FloatArray]:
        low, high = (np.repeat(b[None], len(value), axis=0) for b in BOUNDS)
        low[:, which] = high[:, which] = value
        starts = starts.copy()
        starts[:, :, which] = value[:, None]
        if which == 0:
            starts[:, :, 1] = np.maximum(starts[:, :, 1], value[:, None])
        if which == 1:
            starts[:, :, 0] = np.minimum(starts[:, :, 0], value[:, None])
        return fit_from(own.at(at), starts, low=low, high=high)

    def moved(p: FloatArray, value: FloatArray) -> FloatArray:
        """The curve with the same place of its bend, where the slope or the intercept is set."""
        q = p.copy()
        if which == 3:
            q[:, 2] = np.clip(p[:, 2] * value / p[:, 3], BOUNDS[0, 2], BOUNDS[1, 2])
        if which == 2:
            q[:, 3] = np.clip(np.where(p[:, 2] != 0, p[:, 3] * value / p[:, 2], p[:, 3]), *BOUNDS[:, 3])
        return q

    for side in (0, 1):
        edge = np.full(batch, BOUNDS[side, which])
        everything = slice(None)
        near = np.stack([parameters, moved(parameters, edge)], axis=1)
        far_q, far_cost = cost(everything, edge, np.concatenate([near, _grid(own)[:, :3]], axis=1))
        ends[side] = np.where(far_cost <= chi2 + rise, edge, np.nan)
        open_ = np.isnan(ends[side])
        a, b = scale(parameters[:, which].copy()), scale(edge.copy())
        fa, fb = -rise.copy(), far_cost - chi2 - rise
        qa, qb = parameters.copy(), far_q.copy()
        last = np.zeros(batch, dtype=np.int64)
        for k in range(_ROOT_STEPS):
            at = np.flatnonzero(open_)
            if not len(at):
                break
            # the root of the rise is nearly linear in the parameter: Illinois steps, a bisection now and then
            ga, gb = -np.sqrt(rise[at]) + np.sqrt(np.maximum(fa[at] + rise[at], 0)), None
            gb = np.sqrt(np.maximum(fb[at] + rise[at], 0)) - np.sqrt(rise[at])
            ga = np.where(last[at] == 2, ga / 2, ga)
            gb = np.where(last[at] == -2, gb / 2, gb)
            mid = a[at] + (b[at] - a[at]) * np.clip(-ga / np.maximum(gb - ga, 1e-300), 0.02, 0.98)
            mid = np.where(k % 4 == 3, (a[at] + b[at]) / 2, mid)
            value = unscale(mid)
            starts = np.stack([qa[at], qb[at], moved(qa[at], value), moved(parameters[at], value)], axis=1)
            q, c = cost(at, value, starts)
            f = c - chi2[at] - rise[at]
            inside = f <= 0
            a[at], fa[at] = np.where(inside, mid, a[at]), np.where(inside, f, fa[at])
            b[at], fb[at] = np.where(inside, b[at], mid), np.where(inside, fb[at], f)
            qa[at], qb[at] = np.where(inside[:, None], q, qa[at]), np.where(inside[:, None], qb[at], q)
            last[at] = np.where(inside, np.minimum(last[at], 0) - 1, np.maximum(last[at], 0) + 1).clip(-2, 2)
            done = (np.abs(f) < 1e-3 * rise[at]) | (np.abs(b[at] - a[at]) < 1e-5 * (1 + np.abs(a[at])))
            ends[side, at[done]] = unscale(np.where(inside, mid, b[at]))[done]
            open_[at[done]] = False
        ends[side] = np.where(np.isnan(ends[side]), unscale(b), ends[side])
    return ends[0], ends[1]


def concave_chi2(own: Points) -> FloatArray:
    """Least chi-square (B,) of curves on the edge between concave and S-shaped.

    A curve is concave on all efforts iff slope - 1 <= exp(intercept) (slope + 1) (see `curves.GeneralizedLogit`); the
    best concave fit of a trajectory whose best fit is S-shaped lies where equality holds, a curve in one unknown.
    """
    best = np.full(len(own.score), np.inf)
    centre, width = np.full(len(own.score), -10.0), np.full(len(own.score), 10.0)
    for _ in range(6):
        intercept = np.minimum(centre[:, None] + width[:, None] * np.linspace(-1, 1, 81), -1e-9)
        strength = np.exp(intercept)
        slope = np.minimum((1 + strength) / (1 - strength), BOUNDS[1, 3])
        share = _share(intercept[:, :, None] + slope[:, :, None] * own.log_effort[:, None, :])
        _, _, chi2 = levels(share, own.score[:, None, :], own.weight[:, None, :])
        k = chi2.argmin(axis=1)
        best = np.minimum(best, chi2.min(axis=1))
        centre, width = np.take_along_axis(intercept, k[:, None], 1)[:, 0], width / 20
    return best
