"""Noisy games against the closed form of tournaments, simulation, differences and the independent checker."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from builders import exponential, game_of, linear, logit, logit_games
from hypothesis import given, settings
from hypothesis import strategies as st

from designer.protocol import Protocol
from designer.ranking import expected_kendall_tau_b, kendall_tau_b, published_ranks
from followers.game import LeaderboardGame, TieRule, select
from followers.measurement import Audit, Noise
from followers.prior import synthetic
from solvers.certificate import Status
from solvers.checker import check
from solvers.noise_payoffs import observe, payoff_rows, scan_payoffs
from solvers.noisy import _first_order, solve_noisy
from solvers.standings import noisy_above, noisy_first, noisy_standing, sample_noisy


def tournament(sigma: float, *, prize: float = 1.0, scale: float = 0.5) -> LeaderboardGame:
    game = game_of(linear([0.0, 0.0], [1.0, 1.0]), [prize, 0.0], scale=scale, exponent=2.0)
    return replace(game, noise=Noise(sigma=sigma))


def people(n: int, batch: int, seed: int, noise: Noise) -> LeaderboardGame:
    return replace(Protocol().induce(synthetic(n, batch, np.random.default_rng(seed))), noise=noise)


@pytest.mark.parametrize("sigma", [0.3, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_symmetric_tournament_effort(sigma: float, scale: float) -> None:
    """Lazear & Rosen (1981): V g(0) = c'(e*), g(0) = 1 / (2 sigma sqrt(pi))."""
    found = solve_noisy(tournament(sigma, scale=scale))
    effort = 1.0 / (2.0 * sigma * np.sqrt(np.pi)) / (2.0 * scale)
    assert found.status() is Status.EXISTS
    np.testing.assert_allclose(found.efforts[0], effort, atol=1e-6)
    np.testing.assert_allclose(found.utilities[0], 0.5 - scale * effort**2, atol=1e-9)


def test_tournament_on_concave_curves() -> None:
    """The same with v(e) = 1 - exp(-e): V g(0) exp(-e) = c'(e) = e."""
    from scipy.optimize import brentq

    curve = exponential([0.0, 0.0], [1.0, 1.0], [1.0, 1.0])
    game = replace(game_of(curve, [1.0, 0.0], scale=0.5, exponent=2.0), noise=Noise(sigma=0.4))
    effort = brentq(lambda e: np.exp(-e) / (2.0 * 0.4 * np.sqrt(np.pi)) - e, 0.0, 2.0, xtol=1e-14)
    np.testing.assert_allclose(solve_noisy(game).efforts[0], effort, atol=1e-6)


@pytest.mark.parametrize("sigma", [0.02, 0.05, 0.1, 0.2])
def test_with_little_noise_a_stationary_profile_is_no_equilibrium(sigma: float) -> None:
    """At V g(0) = c'(e*) both would earn 1/2 - c(e*) < 0 and do better with no effort at all."""
    game = tournament(sigma)
    candidate = np.full((1, 2), 1.0 / (2.0 * sigma * np.sqrt(np.pi)))
    assert abs(_first_order(game, candidate, np.full((1, 2), 2.0 * candidate.max()))[0]).max() < 1e-9
    assert 0.5 - 0.5 * candidate[0, 0] ** 2 < 0
    found = solve_noisy(game)
    assert found.status() is Status.UNKNOWN and found.gain.max() > 1e-3
    report = check(game, found.certificate())
    assert report.passed
    false = replace(
        found.certificate(),
        status=Status.EXISTS,
        efforts=tuple(candidate[0].tolist()),
        utilities=(0.5 - 0.5 * candidate[0, 0] ** 2,) * 2,
    )
    assert not check(game, false).passed


@pytest.mark.parametrize("noise", [Noise(sigma=0.05), Noise(items=60)])
def test_payoffs_agree_with_drawn_boards(noise: Noise) -> None:
    game = people(4, 1, 5, noise)
    efforts = 0.02 * game.worthwhile_effort()
    draws = 200_000
    observed = sample_noisy(game, efforts, draws, np.random.default_rng(0))[:, 0]
    rank = (observed[:, None, :] > observed[:, :, None]).sum(axis=2)
    expected = game.prizes[0][rank].mean(axis=0) - game.cost.cost(efforts)[0]
    found = payoff_rows(game, observe(game, efforts), np.zeros(4, dtype=int), np.arange(4), efforts[0]).value
    np.testing.assert_allclose(found, expected, atol=4 * 0.5 / np.sqrt(draws))
    standing = noisy_standing(game, efforts[0])
    np.testing.assert_allclose(standing.ranks[:, 0], (rank == 0).mean(axis=0), atol=4 * 0.5 / np.sqrt(draws))
    np.testing.assert_allclose(standing.ranks.sum(axis=0), 1.0, atol=1e-9)
    np.testing.assert_allclose(noisy_first(game, efforts)[0], standing.ranks[:, 0], atol=1e-12)
    quality = np.array([[3.0, 2.0, 1.0, 0.0]])
    published = published_ranks(observed, np.zeros_like(observed), np.repeat(game.tie_order, draws, 0), np.arange(4))
    drawn = kendall_tau_b(published, np.repeat(quality, draws, axis=0)).mean()
    exact = expected_kendall_tau_b(noisy_above(game, efforts), quality)[0]
    assert exact == pytest.approx(drawn, abs=4 / np.sqrt(draws))


@given(st.integers(0, 1_000), st.booleans())
@settings(max_examples=15)
def test_derivatives_are_those_of_differences(seed: int, items: bool) -> None:
    game = people(4, 2, seed, Noise(items=200) if items else Noise(sigma=0.03))
    top = game.worthwhile_effort()
    efforts = top * np.random.default_rng(seed).uniform(0.01, 0.5, top.shape)
    b, i = (x.ravel() for x in np.indices(top.shape))

    def at(tried: np.ndarray, own: np.ndarray | None = None, *, slope: bool = False) -> np.ndarray:
        rows = payoff_rows(game, observe(game, tried), b, i, (tried if own is None else own).ravel())
        return (rows.slope if slope else rows.value).reshape(top.shape)

    slope, jacobian = _first_order(game, efforts, top)
    step = 1e-4 * efforts
    differences = (at(efforts, efforts + step) - at(efforts, efforts - step)) / (2 * step)
    unit = game.prize_span[:, None] / top
    np.testing.assert_allclose(slope / unit, differences / unit, atol=1e-5)
    for j in range(4):
        up, down = efforts.copy(), efforts.copy()
        up[:, j] += step[:, j]
        down[:, j] -= step[:, j]
        column = (at(up, slope=True) - at(down, slope=True)) / (2 * step[:, j, None])
        others = np.arange(4) != j
        scale = np.abs(column).max() + 1e-12
        np.testing.assert_allclose(jacobian[:, others, j] / scale, column[:, others] / scale, atol=1e-3)


def test_scans_agree_with_single_payoffs() -> None:
    game = people(5, 2, 0, Noise(items=100))
    efforts = 0.1 * game.worthwhile_effort()
    board = observe(game, efforts)
    tried = np.stack([share * game.worthwhile_effort() for share in (0.0, 0.03, 0.2, 0.9)])
    found = scan_payoffs(game, board, tried)
    b, i = (x.ravel() for x in np.indices(efforts.shape))
    for k, one in enumerate(tried):
        exact = payoff_rows(game, board, b, i, one.ravel()).value.reshape(efforts.shape)
        np.testing.assert_allclose(found[k], exact, atol=1e-4)


@settings(max_examples=15)
@given(logit_games(n=(2, 5), free=True, fee=True), st.sampled_from([0.02, 0.1, 0.5]))
def test_what_is_called_an_equilibrium_is_one(game: LeaderboardGame, sigma: float) -> None:
    if game.prize_span[0] < 1e-3:
        return
    noisy = replace(game, ties=TieRule.QUALITY, noise=Noise(sigma=sigma))
    found = solve_noisy(noisy)
    report = check(noisy, found.certificate())
    assert report.passed, report.summary()
    assert found.status() is not Status.ABSENT


def test_much_noise_stops_the_race_and_an_equilibrium_is_found() -> None:
    game = people(10, 8, 0, Noise(sigma=0.3))
    found = solve_noisy(game)
    assert found.exists.all()
    for b in range(3):
        assert check(select(game, [b]), found.certificate(b)).passed


def test_games_do_not_depend_on_their_batch() -> None:
    game = people(5, 7, 1, Noise(items=80))
    together = solve_noisy(game)
    for b in (0, 3, 6):
        alone = solve_noisy(select(game, [b]))
        assert alone.codes[0] == together.codes[b]
        if together.exists[b]:
            np.testing.assert_allclose(alone.efforts[0], together.efforts[b], rtol=1e-5, atol=1e-3)


def test_audits_under_noise_are_priced() -> None:
    game = people(4, 1, 2, Noise(sigma=0.2))
    audited = replace(game, audit=Audit(np.full((1, 4), 0.5), 200, 0.05, 1.0))
    found, free = solve_noisy(audited), solve_noisy(game)
    assert check(audited, found.certificate()).passed
    if found.exists[0] and free.exists[0]:
        assert found.efforts.sum() < free.efforts.sum()


def test_noise_that_contradicts_other_rules_is_refused() -> None:
    game = tournament(0.1)
    with pytest.raises(ValueError, match='ties = "split" with noise'):
        replace(game, ties=TieRule.SPLIT)
    with pytest.raises(ValueError, match="either rounded or noisy"):
        replace(game, precision=0.1)
    with pytest.raises(ValueError, match=r"test_items: scores of developer 1 run from 0 to 1\.41421"):
        replace(game, noise=Noise(items=10))
    with pytest.raises(ValueError, match="give one of them"):
        Noise(sigma=0.1, items=10)
    with pytest.raises(ValueError, match="no noise"):
        solve_noisy(replace(game, noise=None))


def test_an_entry_fee_is_not_paid_for_nothing() -> None:
    """A hair above zero effort the slope is settled, but the fee is paid: going back to zero gains it."""
    game = game_of(
        logit([0.32976411, 0.22625208], [0.71318455, 0.4174049], [-3.88683806, -5.16589139], [1.09303568, 2.29363945]),
        [0.78086351, 0.62067345],
        scale=[0.00235318, 0.12808985],
        exponent=[1.5, 1.5],
        fee=[0.1, 0.0],
        order=[1, 0],
    )
    found = solve_noisy(replace(game, noise=Noise(sigma=0.02)))
    assert check(found.game, found.certificate(0)).passed
    assert found.exists[0] and found.efforts[0, 0] == 0.0
    assert found.utilities[0, 0] == pytest.approx(0.78086351, abs=1e-3)


def test_where_every_prize_is_the_same_zero_effort_is_certified() -> None:
    """R_1 - R_n = 0: nothing but the last digits of the prizes may differ, and a stated profit is still refused."""
    game = people(6, 1, 3, Noise(items=200))
    level = replace(game, prizes=np.full(game.prizes.shape, 1.0 / 3.0))
    found = solve_noisy(level)
    assert found.status() is Status.EXISTS and (found.efforts == 0).all()
    certificate = found.certificate(0)
    assert check(level, certificate).passed
    wrong = replace(certificate, utilities=tuple(u + 1e-12 for u in certificate.utilities))
    assert not check(level, wrong).passed
    busy = replace(certificate, efforts=tuple(e + 1e-3 for e in certificate.efforts))
    assert not check(level, busy).passed
