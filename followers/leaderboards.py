"""A prior of whole leaderboards: any number of developers that look like those of a calibrated population.

Where `RosterPrior` draws the same developers again, this draws new ones: their curves and qualities jointly, with
neighbours as dense as in the data.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from followers.arrays import BoolArray, FloatArray
from followers.costs import PowerCost
from followers.curves import GeneralizedLogit
from followers.pooling import from_coordinates, to_coordinates
from followers.population import Population

__all__ = ["LeaderboardPrior", "given_scores", "typical"]


@dataclass(frozen=True, slots=True)
class LeaderboardPrior:
    """A smoothed bootstrap of calibrated developers.

    A new developer is one of the calibrated ones, moved by a normal step with `smoothing` times the covariance of all
    in six coordinates (the curve's four of `pooling`, quality over the score at `steps`, log size) and drawn back
    towards their mean, so that means and covariances are those of the data (Silverman & Young 1987, Biometrika 74).
    Gaps between neighbours then shrink as 1/n, as they do in a sample of n from the data's own density.

    Attributes
    ----------
    coordinates : (m, 6), one row per calibrated developer.
    cost_scales : (m,), prize units per step.
    steps : effort at which quality was compared with the score.
    cost_spread : standard deviation of the log of a further cost factor.
    smoothing : bandwidth h in standard deviations.
    """

    coordinates: FloatArray
    cost_scales: FloatArray
    steps: float
    cost_spread: float = 0.25
    smoothing: float = 0.2

    @classmethod
    def of(cls, population: Population, *, steps: float, cost_spread: float = 0.25) -> LeaderboardPrior:
        """The prior of a calibrated population (B = 1) of generalized-logit curves and linear costs.

        `steps`: effort at which the score is close to quality (the last measured step).
        """
        curve, cost = population.curve, population.cost
        if population.batch != 1 or not isinstance(curve, GeneralizedLogit) or not isinstance(cost, PowerCost):
            raise ValueError(
                "leaderboard prior: one population of generalized-logit curves with power costs is needed; "
                "calibrate with --choose fit and leave out models that are kept as tables"
            )
        if population.n < 8:
            raise ValueError(
                f"leaderboard prior: {population.n} developers; at least 8 are needed to tell how they vary"
            )
        n = population.n
        fitted = np.stack([np.broadcast_to(getattr(curve, k), (1, n))[0] for k in _NAMES], axis=-1)
        surplus = population.quality[0] - curve.score(np.full((1, n), steps))[0]
        rows = np.column_stack([to_coordinates(fitted), surplus, np.log(population.parameters_b)])
        return cls(rows, np.broadcast_to(cost.scale, (1, n))[0].copy(), steps, cost_spread)

    def draw(self, n: int, draws: int, rng: np.random.Generator) -> Population:
        """`draws` leaderboards of n new developers."""
        if n < 2 or draws < 1:
            raise ValueError(f"leaderboard prior: {draws} draws of {n} developers; at least 1 draw of 2 is needed")
        picked = rng.integers(len(self.coordinates), size=(draws, n))
        mean = self.coordinates.mean(axis=0)
        covariance = np.cov(self.coordinates.T) + 1e-12 * np.eye(len(mean))
        step = rng.standard_normal((draws, n, len(mean))) @ np.linalg.cholesky(covariance).T
        shrunk = (self.coordinates[picked] - mean + self.smoothing * step) / np.sqrt(1 + self.smoothing**2)
        drawn = mean + shrunk
        shape = from_coordinates(drawn[..., :4])
        curve = GeneralizedLogit(**{k: shape[..., i] for i, k in enumerate(_NAMES)})
        factor = np.exp(self.cost_spread * rng.standard_normal((draws, n)))
        ones, zeros = np.ones((draws, n)), np.zeros((draws, n))
        return Population(
            names=tuple(f"developer {i + 1}" for i in range(n)),
            quality=curve.score(np.full((draws, n), self.steps)) + drawn[..., 4],
            curve=curve,
            cost=PowerCost(scale=self.cost_scales[picked] * factor, exponent=ones, free=zeros, entry_fee=zeros),
            prior_exposure=zeros,
            effort_cap=np.full((draws, n), np.inf),
            parameters_b=np.exp(drawn[..., 5]).mean(axis=0),
            score_stderr=np.zeros(n),
            provenance={"source": f"draws like {len(self.coordinates)} calibrated developers"},
        )


_NAMES = ("lower", "upper", "intercept", "slope")


def given_scores(
    prior: LeaderboardPrior, scores: FloatArray, stderr: FloatArray, rng: np.random.Generator, *, draws: int = 32
) -> tuple[FloatArray, BoolArray]:
    """Curves that developers known only by their score at zero effort may have: (draws, n, 5), quality last.

    scores, stderr: (n,). Importance sampling: 20,000 developers of the prior, weighted by how well their score at zero
    effort agrees, lifted to it exactly. For a score that few of them have the nearest are taken: extrapolation, and
    `far_off` (n,) says for whom.
    """
    many = prior.draw(20_000, 1, rng)
    start = many.curve.score(np.zeros((1, many.n)))[0]
    fitted = np.stack([np.asarray(getattr(many.curve, k))[0] for k in _NAMES], axis=-1)
    result, far_off = np.empty((draws, len(scores), 5)), np.zeros(len(scores), dtype=bool)
    for i, score in enumerate(scores):
        width = max(float(stderr[i]), 0.01)
        weight = np.exp(-0.5 * ((start - score) / width) ** 2)
        while (weight > 0.1).sum() < 20:
            far_off[i], width = True, 1.5 * width
            weight = np.exp(-0.5 * ((start - score) / width) ** 2)
        picked = rng.choice(many.n, size=draws, p=weight / weight.sum())
        lift = score - start[picked]
        own = fitted[picked]
        own[:, :2] = np.clip(own[:, :2] + lift[:, None], 0.0, 1.0)
        result[:, i, :4], result[:, i, 4] = own, many.quality[0, picked] + lift
    return result, far_off


def typical(draws: FloatArray) -> FloatArray:
    """Of drawn curves (K, n, 5) the one of each developer in the middle, (n, 5): the medoid in standard deviations."""
    spread = draws.std(axis=0) + 1e-12
    apart = np.abs(draws[:, None] - draws[None]) / spread
    middle = apart.sum(axis=(1, 3)).argmin(axis=0)
    return np.asarray(draws[middle, np.arange(draws.shape[1])])
