"""Rank-order tournaments of identical developers under noise: Lazear and Rosen's condition, and its limits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from followers.arrays import BoolArray, FloatArray
from followers.game import LeaderboardGame
from solvers.symmetric_contest import expected_prize, identical_developers

__all__ = ["TournamentEffort", "marginal_prize", "tournament_effort"]

TOLERANCE = 1e-9
"""A deviation that gains less than this share of R_1 - R_n is none."""

_SCAN = 2_001
_CHECK = 800
# the trapezoidal rule gains digits exponentially on functions as smooth as these: 161 nodes give all of a double
_NODES = np.linspace(-10.0, 10.0, 161)
_STEP = float(_NODES[1] - _NODES[0])


@dataclass(frozen=True, slots=True)
class TournamentEffort:
    """Candidates for a symmetric pure equilibrium, and which of them are equilibria.

    Attributes
    ----------
    game : the game, B = 1.
    marginal_prize : dE[R] / d(score) where all are level, prize units per score unit.
    candidates : (k,), efforts that meet the first-order condition, rising; ends of the range included where the
        marginal payoff points outwards. Steps.
    interior : (k,), whether the marginal payoff is zero there (a stationary point).
    gain : (k,), what a developer gains by its best deviation while the others stay, prize units.
    deviation : (k,), the effort of that deviation, steps.
    """

    game: LeaderboardGame
    marginal_prize: float
    candidates: FloatArray
    interior: BoolArray
    gain: FloatArray
    deviation: FloatArray

    @property
    def claimed(self) -> BoolArray:
        """(k,), candidates from which no deviation gains: symmetric equilibria. With little noise there may be none."""
        return np.asarray(self.gain <= TOLERANCE * self.game.prize_span[0])

    @property
    def effort(self) -> float:
        """The symmetric equilibrium effort, steps; NaN where no candidate is one, the least where several are."""
        found = self.candidates[self.claimed]
        return float(found[0]) if len(found) else float("nan")


def marginal_prize(prizes: FloatArray, sigma: float) -> float:
    """What a little more score is worth where all n are level and noise is Gaussian, prize units per score unit.

    beta = sum_r (R_r - R_{r+1}) / sigma * (n-1)! / ((n-r-1)! (r-1)!) * int phi^2 Phi^(n-r-1) (1 - Phi)^(r-1); for two
    developers V / (2 sigma sqrt(pi)), the density at zero of the difference of two errors times the prize spread.
    """
    from scipy.special import gammaln, ndtr

    n = len(prizes)
    rank = np.arange(1, n)[:, None]
    factor = np.exp(gammaln(n) - gammaln(n - rank) - gammaln(rank))
    density = np.exp(-(_NODES**2)) / (2.0 * np.pi)
    order = ndtr(_NODES) ** (n - rank - 1) * ndtr(-_NODES) ** (rank - 1)
    slopes = (factor * density * order).sum(axis=1) * _STEP
    return float(((prizes[:-1] - prizes[1:]) * slopes).sum() / sigma)


def prize_ahead(prizes: FloatArray, lead: FloatArray) -> FloatArray:
    """E[R] - R_n of a developer whose score leads all others by `lead` (any shape), in standard deviations of noise."""
    from scipy.special import ndtr

    weight = np.exp(-0.5 * _NODES**2) / np.sqrt(2.0 * np.pi) * _STEP
    return np.asarray(expected_prize(prizes, ndtr(lead[..., None] + _NODES)) @ weight)


def tournament_effort(game: LeaderboardGame) -> TournamentEffort:
    """Symmetric equilibrium effort of n identical developers whose scores have Gaussian noise of fixed size.

    A candidate e solves beta v'(h + e) = c'(e), beta = `marginal_prize`: all sign changes on a scan of 2,001 efforts
    between none and the most that any prize could pay for, located to rounding; with an S-shaped curve there may be
    several. The condition is necessary, not sufficient: payoffs need not be concave, and with little noise it pays to
    drop out. So every candidate is checked against deviations over the whole range.

    Raises
    ------
    ValueError : more than one game; no noise, noise by test items, or audits; developers that differ; an entry fee;
        equal prizes.

    References
    ----------
    Lazear & Rosen (1981), Rank-order tournaments as optimum labor contracts, Journal of Political Economy 89(5); for
    more than two, Nalebuff & Stiglitz (1983), Bell Journal of Economics 14(1).
    """
    _check(game)
    assert game.noise is not None
    sigma, prizes = game.noise.sigma, game.prizes[0]
    beta, top = marginal_prize(prizes, sigma), float(game.worthwhile_effort()[0, 0])
    scan = np.unique(np.concatenate([np.linspace(0.0, top, _SCAN // 2 + 1), np.geomspace(1e-9 * top, top, _SCAN // 2)]))
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = _slope(game, beta, scan)
    candidates, interior = _stationary(game, beta, scan, slope)
    deviations = np.concatenate([scan[:: max(1, len(scan) // _CHECK)], [top]])
    gain, best = np.zeros(len(candidates)), candidates.copy()
    for k, effort in enumerate(candidates):
        gain[k], best[k] = _best_deviation(game, sigma, float(effort), deviations)
    return TournamentEffort(game, beta, candidates, interior, gain, best)


def _check(game: LeaderboardGame) -> None:
    if game.batch != 1:
        raise ValueError(f"tournament: {game.batch} games; one at a time")
    if game.noise is None or game.noise.items or game.audit is not None:
        raise ValueError("tournament: needs noise of a fixed standard deviation, and no audits")
    if not game.prize_span[0] > 0:
        raise ValueError("tournament: all prizes are equal; nobody competes")
    differing = identical_developers(game)
    if differing:
        raise ValueError(f"tournament: {differing}; needs identical developers")
    if np.any(game.cost.entry_jump() > 0):
        raise ValueError("tournament: an entry fee; needs continuous costs")


def _first(values: FloatArray, game: LeaderboardGame) -> FloatArray:
    """Developer 1 of values that broadcast to (k, 1, n), (k,)."""
    return np.broadcast_to(values, (len(values), 1, game.n))[:, 0, 0]


def _slope(game: LeaderboardGame, beta: float, efforts: FloatArray) -> FloatArray:
    """beta v'(h + e) - c'(e), (k,), prize units per step."""
    lifted = efforts[:, None, None]
    rise = game.curve.derivative(game.head_start + lifted)
    return np.asarray(beta * _first(rise, game) - _first(game.cost.marginal(lifted), game))


def _stationary(
    game: LeaderboardGame, beta: float, scan: FloatArray, slope: FloatArray
) -> tuple[FloatArray, BoolArray]:
    """Roots of the slope by Brent's method, and the ends of the scan from which payoffs only fall inwards."""
    from scipy.optimize import brentq

    found = [(float(scan[0]), bool(slope[0] == 0))] if slope[0] <= 0 else []
    turns = np.isfinite(slope[:-1]) & (slope[:-1] != 0) & (np.sign(slope[1:]) != np.sign(slope[:-1]))
    for k in np.flatnonzero(turns):
        low, high = float(scan[k]), float(scan[k + 1])
        if slope[k + 1] == 0:
            found.append((high, True))
        else:
            root = brentq(lambda e: float(_slope(game, beta, np.array([e]))[0]), low, high, xtol=1e-300, rtol=1e-14)
            found.append((float(root), True))
    if slope[-1] > 0:
        found.append((float(scan[-1]), False))
    return np.array([e for e, _ in found]), np.array([i for _, i in found], dtype=np.bool_)


def _best_deviation(game: LeaderboardGame, sigma: float, effort: float, efforts: FloatArray) -> tuple[float, float]:
    """Gain (not below zero) and effort of the best deviation from everybody's `effort`: a grid, then the best peak."""
    from scipy.optimize import minimize_scalar

    def worth(tried: FloatArray) -> FloatArray:
        (score, tail), (level, level_tail) = (game.scores(e[:, None, None]) for e in (tried, np.array([effort])))
        lead = ((score - level) + (tail - level_tail))[:, 0, 0] / sigma
        return prize_ahead(game.prizes[0], lead) - _first(game.cost.cost(tried[:, None, None]), game)

    own, values = float(worth(np.array([effort]))[0]), worth(efforts)
    k = int(np.argmax(values))
    fine = {"xatol": 1e-9 * float(efforts[-1])}
    bounds = (float(efforts[max(k - 1, 0)]), float(efforts[min(k + 1, len(efforts) - 1)]))
    peak = minimize_scalar(lambda e: -float(worth(np.array([e]))[0]), bounds=bounds, method="bounded", options=fine)
    best, where = (-float(peak.fun), float(peak.x)) if -peak.fun > values[k] else (float(values[k]), float(efforts[k]))
    return (best - own, where) if best > own else (0.0, effort)
