"""Leaderboards drawn from the prior look like the measured ones; curves borrowed for known scores pass through them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ks_2samp

from followers.curves import GeneralizedLogit
from followers.exposure import estimate_exposures
from followers.leaderboards import LeaderboardPrior, given_scores, typical
from followers.load import load
from followers.pooling import to_coordinates

LAST = {"gsm8k": 25_000.0, "mmlu": 4_000.0}


def crossing_share(curve: GeneralizedLogit, quality: np.ndarray, last: float) -> float:
    """Share of neighbours in quality whose curves meet somewhere up to the last step."""
    steps = np.concatenate([[0.0], np.geomspace(1, last, 60)])[:, None]
    score = curve.score(steps)[:, np.argsort(-quality)]
    return float(np.mean(np.any(score[:, :-1] <= score[:, 1:], axis=0)))


def one(curve: GeneralizedLogit, k: int) -> GeneralizedLogit:
    return GeneralizedLogit(curve.lower[k], curve.upper[k], curve.intercept[k], curve.slope[k])


@pytest.mark.parametrize("name", ["gsm8k", "mmlu"])
def test_draws_look_like_the_data(name: str) -> None:
    """Qualities and gaps by Kolmogorov-Smirnov, crossings of neighbours, means and covariances of the coordinates."""
    people, last = load(name), LAST[name]
    prior = LeaderboardPrior.of(people, steps=last)
    drawn = prior.draw(people.n, 200, np.random.default_rng(0))
    quality = people.quality[0]
    assert ks_2samp(quality, drawn.quality.ravel()).pvalue > 0.2
    gaps, drawn_gaps = np.diff(np.sort(quality)), np.diff(np.sort(drawn.quality, axis=1), axis=1)
    assert ks_2samp(gaps, drawn_gaps.ravel()).pvalue > 0.05
    assert isinstance(drawn.curve, GeneralizedLogit) and isinstance(people.curve, GeneralizedLogit)
    shares = [crossing_share(one(drawn.curve, k), drawn.quality[k], last) for k in range(60)]
    assert crossing_share(people.curve, quality, last) == pytest.approx(np.mean(shares), abs=0.1)
    names = ("lower", "upper", "intercept", "slope")
    drawn_rows = to_coordinates(np.stack([getattr(drawn.curve, k).ravel() for k in names], axis=-1))
    rows = prior.coordinates[:, :4]
    np.testing.assert_allclose(drawn_rows.mean(axis=0), rows.mean(axis=0), atol=0.1 * rows.std(axis=0).max())
    np.testing.assert_allclose(drawn_rows.std(axis=0), rows.std(axis=0), rtol=0.1)


def test_any_number_of_developers_denser_where_there_are_more() -> None:
    prior = LeaderboardPrior.of(load("gsm8k"), steps=25_000.0)
    few, many = (prior.draw(n, 50, np.random.default_rng(1)) for n in (10, 100))
    gap = [np.diff(np.sort(p.quality, axis=1), axis=1).mean() for p in (few, many)]
    assert gap[0] / gap[1] == pytest.approx(99 / 9, rel=0.4)
    again = prior.draw(10, 50, np.random.default_rng(1))
    np.testing.assert_array_equal(few.quality, again.quality)
    with pytest.raises(ValueError, match="1 draws of 1 developers"):
        prior.draw(1, 1, np.random.default_rng(1))


def test_borrowed_curves_start_at_the_known_scores() -> None:
    prior = LeaderboardPrior.of(load("gsm8k"), steps=25_000.0)
    scores = np.array([0.05, 0.2, 0.4, 0.9])
    drawn, far_off = given_scores(prior, scores, np.full(4, 0.01), np.random.default_rng(2), draws=40)
    assert far_off.tolist() == [False, False, False, True]
    for i in range(3):
        curve = GeneralizedLogit(*drawn[:, i, :4].T)
        np.testing.assert_allclose(curve.score(np.zeros(40)), scores[i], atol=0.02)
    assert np.all(np.diff(drawn[..., 4].mean(axis=0)) > 0)  # who starts higher ends higher, on average
    middle = typical(drawn)
    assert all((drawn[:, i] == middle[i]).all(axis=1).any() for i in range(4))


def test_exposure_is_recovered() -> None:
    """Curves of one shape, known exposures, no noise: back exactly; with noise inside the intervals."""
    rng = np.random.default_rng(3)
    exposure = np.array([0.0] * 6 + [5.0, 20.0, 100.0, 300.0] * 4)
    upper, floor, steps, slope, intercept = rng.uniform(0.4, 0.9, len(exposure)), 0.1, 1000.0, 0.8, -4.0
    share = [1 / (1 + np.exp(-(intercept + slope * np.log1p(exposure + t)))) for t in (0.0, steps)]
    direct, tuned = (floor + (upper - floor) * s for s in share)
    none = np.zeros_like(direct)
    found = estimate_exposures(direct, tuned, none, none, tuned_steps=steps, slope=slope, floor=floor)
    np.testing.assert_allclose(found.steps, exposure, rtol=1e-6, atol=1e-6)
    assert found.intercept == pytest.approx(intercept)
    errors = np.full_like(direct, 0.004)
    hits, bias = [], []
    for _ in range(60):
        noisy = [x + 0.004 * rng.standard_normal(len(x)) for x in (direct, tuned)]
        seen = estimate_exposures(*noisy, errors, errors, tuned_steps=steps, slope=slope, floor=floor)
        hits.append(((seen.low <= exposure) & (exposure <= seen.high))[exposure >= 20])
        bias.append(np.log(seen.steps[exposure >= 20] / exposure[exposure >= 20]))
    assert np.mean(hits) > 0.8, np.mean(hits)
    assert abs(np.mean(bias)) < 0.3, np.mean(bias)
    with pytest.raises(ValueError, match="tuned_steps and slope must be positive"):
        estimate_exposures(direct, tuned, none, none, tuned_steps=0.0, slope=1.0)
