"""Partial pooling: what related models teach about one that was measured at few steps.

Curves are described by four unbounded coordinates: logit of the ceiling, logit of floor over ceiling, log-effort at
which half of the rise is done, log slope. A model's coordinates scatter around its family's mean (covariance
`within`), family means around the mean of all (covariance `between`). Both covariances and the mean are estimated from
the trajectories themselves by expectation-maximisation around the curves' best fits (Lindstrom & Bates 1990,
Biometrics 46; empirical Bayes).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from followers.arrays import FloatArray
from followers.least_squares import minimise
from followers.logit_fits import BOUNDS, Points, curve_and_jacobian

__all__ = ["Pool", "from_coordinates", "pool", "shrink", "to_coordinates"]

_LOW = np.array([-9.0, -9.0, -10.0, np.log(BOUNDS[0, 3])])
_HIGH = np.array([9.0, 9.0, 60.0, np.log(BOUNDS[1, 3])])
_ROUNDS = 40
_VAGUE = np.diag([1.0, 1.0, 2.0, 0.3]) ** 2
"""Weak prior guess of both covariances: it counts as much as `_VAGUE_WEIGHT` models, and keeps small sets sane."""
_VAGUE_WEIGHT = 3.0


def _logit(p: FloatArray) -> FloatArray:
    clipped = np.clip(p, 1e-4, 1 - 1e-4)
    return np.asarray(np.log(clipped / (1 - clipped)))


def to_coordinates(parameters: FloatArray) -> FloatArray:
    """Coordinates (..., 4) of (lower, upper, intercept, slope) (..., 4); levels at a bound are moved off."""
    lower, upper, intercept, slope = np.moveaxis(parameters, -1, 0)
    share = lower / np.maximum(upper, 1e-12)
    found = np.stack([_logit(upper), _logit(share), -intercept / slope, np.log(slope)], axis=-1)
    return np.asarray(np.clip(found, _LOW, _HIGH))


def from_coordinates(coordinates: FloatArray) -> FloatArray:
    """(lower, upper, intercept, slope) (..., 4); always 0 < lower < upper < 1 and slope > 0, intercept in bounds."""
    ceiling, floor, bend, log_slope = np.moveaxis(coordinates, -1, 0)
    upper, slope = 1 / (1 + np.exp(-ceiling)), np.clip(np.exp(log_slope), BOUNDS[0, 3], BOUNDS[1, 3])
    intercept = np.clip(-bend * slope, BOUNDS[0, 2], BOUNDS[1, 2])
    return np.stack([upper / (1 + np.exp(-floor)), upper, intercept, slope], axis=-1)


def _scores(tau: FloatArray, log_effort: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Scores (b, m) and their derivatives by the coordinates (b, m, 4)."""
    p = from_coordinates(tau)
    lower, upper, _, slope = (p[:, k, None] for k in range(4))
    score, j = curve_and_jacobian(p, log_effort)
    share = lower / upper
    by_lower, by_upper, by_intercept, by_slope = np.moveaxis(j, -1, 0)
    columns = [
        (by_upper + share * by_lower) * upper * (1 - upper),
        by_lower * upper * share * (1 - share),
        -slope * by_intercept,
        slope * (by_slope - tau[:, 2, None] * by_intercept),
    ]
    return score, np.stack(columns, axis=-1)


@dataclass(frozen=True, slots=True)
class Pool:
    """What a set of trajectories says about models in general: mean (4,), `between` and `within` (4, 4), the mean and
    its covariance of every family."""

    mean: FloatArray
    between: FloatArray
    within: FloatArray
    families: dict[str, tuple[FloatArray, FloatArray]]

    @classmethod
    def of_parameters(cls, parameters: FloatArray) -> Pool:
        """The pool of curves (m, 4) that are taken to be known exactly, without families."""
        tau = to_coordinates(parameters)
        scatter = np.cov(tau.T) + 1e-6 * np.eye(4)
        return cls(tau.mean(axis=0), scatter / len(tau), scatter, {})

    def expectation(self, family: str) -> tuple[FloatArray, FloatArray]:
        """Mean (4,) and covariance (4, 4) of the coordinates of a new model of this family (known or not)."""
        mean, uncertainty = (
            self.families.get(family, (self.mean, self.between)) if family else (self.mean, self.between)
        )
        return mean, self.within + uncertainty


def shrink(
    own: Points, means: FloatArray, covariances: FloatArray, dispersion: FloatArray, start: FloatArray | None = None
) -> tuple[FloatArray, FloatArray]:
    """Most probable coordinates (B, 4) given measurements and a normal prior each, and their covariance (B, 4, 4).

    means (B, 4), covariances (B, 4, 4), dispersion (B,): factor on the measurements' variances. The covariance is that
    of the normal approximation at the maximum (Laplace).
    """
    inverse = np.linalg.inv(covariances)
    root = np.swapaxes(np.linalg.cholesky(inverse), 1, 2)  # root^T root = inverse
    weight = np.sqrt(own.weight / dispersion[:, None])

    def residuals(tau: FloatArray, index: Any) -> tuple[FloatArray, FloatArray]:
        score, jacobian = _scores(tau, own.log_effort[index])
        w = weight[index]
        r = np.concatenate(
            [(score - own.score[index]) * w, np.einsum("bkl,bl->bk", root[index], tau - means[index])],
            axis=1,
        )
        return r, np.concatenate([jacobian * w[:, :, None], root[index]], axis=1)

    batch = len(means)
    low, high = np.broadcast_to(_LOW, (batch, 4)), np.broadcast_to(_HIGH, (batch, 4))
    best, cost = minimise(residuals, np.clip(means, _LOW, _HIGH), low, high, iterations=100, tolerance=1e-9)
    if start is not None:
        other, other_cost = minimise(residuals, np.clip(start, _LOW, _HIGH), low, high, iterations=100, tolerance=1e-9)
        best = np.where((other_cost < cost)[:, None], other, best)
    _, jacobian = residuals(best, np.arange(batch))
    return best, np.linalg.inv(np.einsum("bmk,bml->bkl", jacobian, jacobian))


def pool(own: Points, parameters: FloatArray, families: Sequence[str], dispersion: FloatArray) -> Pool:
    """Estimate a pool from trajectories (B of them, `parameters` their separate fits); an empty family is its own."""
    batch = len(families)
    labels = [f or f"\0{i}" for i, f in enumerate(families)]
    names = sorted(set(labels))
    group = np.array([names.index(f) for f in labels])
    tau = to_coordinates(parameters)
    mean = np.median(tau, axis=0)
    within, between = _VAGUE.copy(), _VAGUE.copy()
    centres = np.repeat(mean[None], len(names), axis=0)
    spread = np.repeat(between[None], len(names), axis=0)
    for _ in range(_ROUNDS):
        tau, covariance = shrink(own, centres[group], np.repeat(within[None], batch, axis=0), dispersion, tau)
        # what the measurements alone say: the posterior less the prior it was made with, as precision `gain` about a
        # centre (written without inverting the information, which is singular where a ceiling was never seen)
        information = np.linalg.inv(covariance) - np.linalg.inv(within)
        damped = np.linalg.inv(np.eye(4) + (information + np.swapaxes(information, 1, 2)) / 2 @ within)
        gain = damped @ information
        pull = np.einsum("bkl,bl->bk", gain, tau)
        pull += np.einsum("bkl,bl->bk", damped, (tau - centres[group]) @ np.linalg.inv(within))
        total = np.repeat(np.linalg.inv(between)[None], len(names), axis=0)
        pulled = np.repeat(np.linalg.solve(between, mean)[None], len(names), axis=0)
        np.add.at(total, group, gain)
        np.add.at(pulled, group, pull)
        spread = np.linalg.inv(total)
        centres = np.einsum("gkl,gl->gk", spread, pulled)
        away = tau - centres[group]
        scatter = np.einsum("bk,bl->kl", away, away) + covariance.sum(axis=0)
        within = (scatter + _VAGUE_WEIGHT * _VAGUE) / (batch + _VAGUE_WEIGHT)
        mean = centres.mean(axis=0)
        off = centres - mean
        scatter = np.einsum("gk,gl->kl", off, off) + spread.sum(axis=0)
        between = (scatter + _VAGUE_WEIGHT * _VAGUE) / (len(names) + _VAGUE_WEIGHT)
    known = {f: (centres[g], spread[g]) for g, f in enumerate(names) if not f.startswith("\0")}
    return Pool(mean, between, within, known)
