"""Fits of many trajectories at once, against scipy one at a time, and intervals against simulated truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import least_squares, lsq_linear

from followers.calibration import fit_curve
from followers.diagnosis import bootstrap, covariances, dispersions, intervals, s_shape
from followers.importers import read_trajectories
from followers.logit_fits import BOUNDS, Points, curve_and_jacobian, fit, levels, points
from followers.pooling import from_coordinates, pool, shrink, to_coordinates

DATA = Path(__file__).parents[2] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.exists(), reason="the measured trajectories are not beside this checkout")
STEPS = np.array([0.0, 10, 30, 100, 250, 500, 1000, 2500, 5000, 10000, 15000, 20000, 25000])


def random_curves(rng: np.random.Generator, n: int) -> np.ndarray:
    upper = rng.uniform(0.25, 0.85, n)
    slope = 0.9 * np.exp(0.3 * rng.standard_normal(n))
    return np.stack([upper * rng.uniform(0.05, 0.6, n), upper, -slope * rng.uniform(4.5, 8.0, n), slope], axis=1)


def simulated(rng: np.random.Generator, truth: np.ndarray, items: int = 1319, spread: float = 1.0) -> Points:
    x = np.broadcast_to(np.log1p(STEPS), (len(truth), len(STEPS)))
    score, _ = curve_and_jacobian(truth, x)
    stderr = np.sqrt(score * (1 - score) / items)
    noisy = np.clip(score + np.sqrt(spread) * stderr * rng.standard_normal(score.shape), 0, 1)
    return Points(x, noisy, stderr**-2.0)


def test_the_jacobian_is_the_derivative() -> None:
    rng = np.random.default_rng(1)
    p, x = random_curves(rng, 20), np.broadcast_to(np.log1p(STEPS), (20, len(STEPS)))
    _, jacobian = curve_and_jacobian(p, x)
    for k in range(4):
        h = np.zeros(4)
        h[k] = 1e-6
        numeric = (curve_and_jacobian(p + h, x)[0] - curve_and_jacobian(p - h, x)[0]) / 2e-6
        np.testing.assert_allclose(jacobian[..., k], numeric, atol=1e-7)


def test_levels_are_the_constrained_least_squares() -> None:
    """scipy's bounded linear least squares in (lower, rise to the ceiling), upper <= 1 by a fine penalty-free scan."""
    rng = np.random.default_rng(2)
    for _ in range(25):
        share = np.sort(rng.uniform(0, 1, 7))
        score, weight = rng.uniform(-0.4, 1.4, 7), rng.uniform(0.5, 2, 7)
        lower, upper, chi2 = (float(v) for v in levels(share, score, weight))
        assert -1e-12 <= lower <= upper + 1e-12 and upper <= 1 + 1e-12
        root = np.sqrt(weight)
        best = np.inf
        for floor in np.linspace(0, 1, 201):  # the optimum for a given floor is a one-dimensional problem
            found = lsq_linear((share * root)[:, None], (score - floor) * root, bounds=([0.0], [1.0 - floor + 1e-15]))
            best = min(best, 2 * found.cost)
        assert chi2 <= best + 1e-9 and chi2 >= best - 2e-2


def test_fits_are_as_good_as_scipy_from_the_truth() -> None:
    rng = np.random.default_rng(3)
    truth = random_curves(rng, 40)
    own = simulated(rng, truth)
    found, chi2 = fit(own)
    assert np.all(found[:, 0] <= found[:, 1]) and np.all(found >= BOUNDS[0]) and np.all(found <= BOUNDS[1])
    for i in range(40):
        root = np.sqrt(own.weight[i])

        def residuals(q: np.ndarray, i: int = i, root: np.ndarray = root) -> np.ndarray:
            p = np.array([q[0] * q[1], q[1], q[2], q[3]])
            return np.asarray((curve_and_jacobian(p, own.log_effort[i])[0] - own.score[i]) * root)

        start = np.array([truth[i, 0] / truth[i, 1], *truth[i, 1:]])
        theirs = least_squares(residuals, start, bounds=([0, 0, -60, 0.001], [1, 1, 20, 12]), x_scale="jac")
        assert chi2[i] <= 2 * theirs.cost * (1 + 1e-6) + 1e-9


def test_ninety_percent_intervals_hold_the_truth_at_least_85_times_of_100() -> None:
    """Simulated GSM8K-like trajectories: binomial noise, dispersion estimated as it is from data."""
    rng = np.random.default_rng(20)
    truth = random_curves(rng, 150)
    own = simulated(rng, truth)
    found, chi2 = fit(own)
    spread = dispersions(chi2, np.full(150, float(len(STEPS))))
    ranges = intervals(own, found, chi2, spread)
    covered = (ranges[:, :, 0] - 1e-6 <= truth) & (truth <= ranges[:, :, 1] + 1e-6)
    assert np.all(covered.mean(axis=0) >= 0.85), covered.mean(axis=0)
    assert np.all(ranges[:, :, 0] <= found + 1e-9) and np.all(found <= ranges[:, :, 1] + 1e-9)
    tight = (ranges[:, 1, 1] < 0.99).mean()
    assert tight > 0.8  # not by being as wide as the bounds


def test_profile_ends_are_where_chi_square_has_risen() -> None:
    """Oracle: scipy's best fit with the ceiling held at the end of its interval."""
    rng = np.random.default_rng(5)
    own = simulated(rng, random_curves(rng, 6))
    found, chi2 = fit(own)
    ranges = intervals(own, found, chi2, np.ones(6))
    for i in range(6):
        for end in ranges[i, 1]:
            if end > 0.999:
                continue

            def residuals(q: np.ndarray, i: int = i, end: float = end) -> np.ndarray:
                p = np.array([q[0] * end, end, q[1], q[2]])
                return np.asarray((curve_and_jacobian(p, own.log_effort[i])[0] - own.score[i]) * np.sqrt(own.weight[i]))

            theirs = [
                2 * least_squares(residuals, [0.3, a, b], bounds=([0, -60, 0.001], [1, 20, 12]), x_scale="jac").cost
                for a, b in (found[i, 2:], (-6, 0.9), (-10, 1.5), (-3, 0.5))
            ]
            assert min(theirs) - chi2[i] == pytest.approx(2.7055, rel=0.01)


def test_dispersion_is_found_and_never_below_one() -> None:
    rng = np.random.default_rng(6)
    truth = random_curves(rng, 80)
    counts = np.full(80, float(len(STEPS)))
    plain = dispersions(fit(simulated(rng, truth))[1], counts)
    wide = dispersions(fit(simulated(rng, truth, spread=4.0))[1], counts)
    assert plain.min() == 1.0 and np.median(plain) < 1.3 and np.median(wide) == pytest.approx(4.0, rel=0.25)


def test_covariance_agrees_with_simulated_refits() -> None:
    rng = np.random.default_rng(7)
    truth = np.array([[0.05, 0.6, -6.3, 0.9], [0.1, 0.5, -8.0, 1.2]])
    own = simulated(rng, truth, items=20_000)
    found, _ = fit(own)
    drawn = bootstrap(own, found, np.ones(2), 300, rng)
    errors = np.sqrt(np.einsum("bkk->bk", covariances(own, found, np.ones(2))))
    np.testing.assert_allclose(drawn.std(axis=0), errors, rtol=0.2)
    assert np.all(np.abs(drawn.mean(axis=0) - found) < 0.25 * errors)


def test_s_shape_test_keeps_its_level_and_finds_bends() -> None:
    rng = np.random.default_rng(8)
    edge = np.tile([0.05, 0.6, -1.2, 0.3], (120, 1))  # concave
    own = simulated(rng, edge)
    found, chi2 = fit(own)
    assert (s_shape(own, found, chi2, np.ones(120)) < 0.05).mean() <= 0.1
    bent = np.tile([0.05, 0.6, -14.0, 2.0], (20, 1))
    own = simulated(rng, bent)
    found, chi2 = fit(own)
    assert np.all(s_shape(own, found, chi2, np.ones(20)) < 0.01)


def test_coordinates_come_back() -> None:
    p = random_curves(np.random.default_rng(9), 50)
    np.testing.assert_allclose(from_coordinates(to_coordinates(p)), p, rtol=1e-9)


def test_pooling_recovers_the_family_and_predicts_unseen_steps_better() -> None:
    """Two families that differ in where they bend; a model measured at 3 early steps."""
    rng = np.random.default_rng(10)
    families = ["slow"] * 12 + ["fast"] * 12
    bend = np.repeat([8.0, 5.0], 12)
    tau = np.stack([rng.normal(0.3, 0.4, 24), rng.normal(-1.5, 0.3, 24), rng.normal(bend, 0.3), np.zeros(24)], axis=1)
    own = simulated(rng, from_coordinates(tau))
    found, _ = fit(own)
    related = pool(own, found, families, np.ones(24))
    assert related.families["slow"][0][2] == pytest.approx(8.0, abs=0.5)
    assert related.families["fast"][0][2] == pytest.approx(5.0, abs=0.5)
    new = from_coordinates(np.array([[0.3, -1.5, 8.0, 0.0]] * 30))
    full = simulated(rng, new)
    seen = full.weight * (STEPS <= 500) * (STEPS >= 100)
    few = Points(full.log_effort, full.score, seen)
    truth, _ = curve_and_jacobian(new, full.log_effort)

    def error(p: np.ndarray) -> float:
        return float(np.median(np.abs(curve_and_jacobian(p, full.log_effort)[0] - truth)[:, -4:]))

    by_family = {}
    for family in ("slow", "fast"):
        mean, covariance = related.expectation(family)
        mode, _ = shrink(few, np.tile(mean, (30, 1)), np.tile(covariance, (30, 1, 1)), np.ones(30))
        by_family[family] = error(from_coordinates(mode))
    assert by_family["slow"] < 0.5 * error(fit(few)[0]) and by_family["slow"] < by_family["fast"]


@needs_data
@pytest.mark.parametrize(("benchmark", "kept"), [("gsm8k", (0, 100, 1000)), ("mmlu", (0, 100, 1000))])
def test_pooling_predicts_measured_steps_better_than_a_fit_alone(benchmark: str, kept: tuple[int, ...]) -> None:
    """Three steps of each clean model, the pool made of four fifths of the others (families split as they fall)."""
    measured = read_trajectories(DATA / "trajectories.csv", benchmark=benchmark)
    every = [t for t in measured if len(t.steps) > 9 and fit_curve(t).clean]
    own, place = points(every), np.arange(len(every))
    found, chi2 = fit(own)
    spread = dispersions(chi2, np.array([float(len(t.steps)) for t in every]))
    pooled, alone = [], []
    for fold in range(5):
        rest, mine = place[place % 5 != fold], place[place % 5 == fold]
        related = pool(own.at(rest), found[rest], [every[k].family for k in rest], spread[rest])
        part = own.at(mine)
        seen = part.weight * np.isin(np.round(np.expm1(part.log_effort)), kept)
        few = Points(part.log_effort, part.score, seen)
        unseen = (seen == 0) & (part.weight > 0)
        means, covariances_ = (
            np.stack(x) for x in zip(*(related.expectation(every[k].family) for k in mine), strict=True)
        )
        mode, _ = shrink(few, means, covariances_, np.full(len(mine), np.median(spread)))
        for p, errors in ((from_coordinates(mode), pooled), (fit(few)[0], alone)):
            errors += np.abs(curve_and_jacobian(p, few.log_effort)[0] - few.score)[unseen].tolist()
    print(benchmark, [(len(e), np.median(e), np.mean(e)) for e in (pooled, alone)])
    assert np.median(pooled) < 0.85 * np.median(alone) and np.mean(pooled) < 0.85 * np.mean(alone)
