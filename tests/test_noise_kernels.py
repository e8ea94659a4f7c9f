"""Compiled payoffs of noisy games against what they stand for: sums over all boards, quadrature, differences."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from builders import game_of, linear, logit, logit_games
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from designer.noisy_boards import averages_over_boards, drawn_errors
from designer.prizes import Bands, Prizes, band_of_rank
from designer.protocol import Protocol
from designer.ranking import kendall_tau_b, published_ranks, top_one_correct
from followers.costs import PowerCost
from followers.game import LeaderboardGame, TieRule, select
from followers.measurement import Audit, Noise
from followers.prior import synthetic
from solvers.certificate import Status
from solvers.checker import check
from solvers.noise_deviations import best_deviations, effort_grid
from solvers.noise_kernels import profile_payoffs, single_payoffs
from solvers.noise_payoffs import effort_table, observe, profile
from solvers.noise_ranks import first_places, rank_chances
from solvers.noise_scans import scan_rewards
from solvers.noise_search import best_responses
from solvers.noisy import solve_noisy
from solvers.noisy_checker import expected_by_count
from solvers.rank_kernels import count_rewards, pair_effect

SEEDS = st.integers(0, 10_000)


def prizes_of(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.sort(rng.uniform(0, 1, n))[::-1].copy()


def expected(i: int, own: float, sigma: float, score: np.ndarray, scale: np.ndarray, prizes: np.ndarray) -> float:
    """E[prize] of developer i at the score `own`: Gauss-Legendre panels as short as anybody's noise asks for."""
    marks = [own + sigma * np.linspace(-9, 9, 73)] + [
        s + spread * np.linspace(-9, 9, 73) for s, spread in zip(score, scale, strict=True)
    ]
    edges = np.unique(np.clip(np.concatenate(marks), own - 9 * sigma, own + 9 * sigma))
    nodes, weights = np.polynomial.legendre.leggauss(12)
    half = 0.5 * np.diff(edges)[:, None]
    y = (edges[:-1, None] + half * (1 + nodes)).ravel()
    with np.errstate(divide="ignore"):
        below = norm.cdf((y[:, None] - score) / scale)
    density = norm.pdf((y - own) / sigma) / sigma
    return float(expected_by_count(below, i, prizes) @ (density * (half * weights).ravel()))


def board(
    rng: np.random.Generator, n: int, *, items: int = 0, spread: float = 0.4
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Scores, noise, and its first two derivatives by the score, each (1, n)."""
    score = 0.5 + spread * rng.uniform(-1, 1, (1, n))
    if not items:
        return score, np.full((1, n), 0.1), np.zeros((1, n)), np.zeros((1, n))
    scale = np.sqrt(score * (1 - score) / items)
    change = (1 - 2 * score) / (2 * items * scale)
    return score, scale, change, -(1 / items + change**2) / scale


@given(SEEDS, st.integers(1, 6))
@settings(max_examples=30)
def test_count_rewards_sum_over_all_boards(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    n, sure = count + 3, 1
    b, prizes = rng.uniform(0, 1, count), prizes_of(rng, n)
    members = np.empty(n)
    over, under = count_rewards(b, count, sure, prizes, np.empty((n + 1, n + 2)), np.empty((2, n + 1)), members)

    def mean(others: list[int], already: int) -> float:
        total = 0.0
        for above in product((0, 1), repeat=len(others)):
            weight = np.prod([1 - b[j] if a else b[j] for j, a in zip(others, above, strict=True)])
            total += weight * prizes[already + sum(above)]
        return float(total)

    everyone = list(range(count))
    assert under == pytest.approx(mean(everyone, sure), abs=1e-14)
    assert over == pytest.approx(mean(everyone, sure - 1), abs=1e-14)  # one of those surely above: itself left out
    for i in everyone:
        assert members[i] == pytest.approx(mean([j for j in everyone if j != i], sure), abs=1e-14)
    if count > 1:
        others = [j for j in everyone if j not in (0, 1)]
        passing = pair_effect(b, count, 0, 1, sure, prizes, np.empty(n + 1))
        assert passing == pytest.approx(mean(others, sure) - mean(others, sure + 1), abs=1e-14)
        assert passing == pytest.approx((members[0] - members[1]) / (b[1] - b[0]), rel=1e-6, abs=1e-9)


@given(SEEDS, st.sampled_from([0, 30, 3_000]), st.sampled_from([0.4, 0.02]))
@settings(max_examples=8)
def test_payoffs_are_integrals_over_the_own_noise(seed: int, items: int, spread: float) -> None:
    rng = np.random.default_rng(seed)
    n = 4
    score, scale, change, bend = board(rng, n, items=items, spread=spread)
    prizes, penalty = prizes_of(rng, n)[None], rng.uniform(0, 1, (1, n))
    flagged, order = rng.uniform(0, 1, (1, n)), np.arange(n)[None]
    value, slope, _ = profile_payoffs(score, scale, change, bend, prizes, penalty, flagged, order, False)
    b, i = np.zeros(n, dtype=np.int64), np.arange(n)
    alone, leaning = single_payoffs(
        b, i, score[0], scale[0], change[0], flagged[0], score, scale, prizes, penalty, order
    )
    exact = [
        expected(k, score[0, k], scale[0, k], score[0], scale[0], prizes[0] - flagged[0, k] * penalty[0])
        for k in range(n)
    ]
    np.testing.assert_allclose(value[0], exact, atol=1e-9)
    np.testing.assert_allclose(alone, exact, atol=1e-9)
    np.testing.assert_allclose(slope[0] * scale[0], leaning * scale[0], atol=1e-8)


@pytest.mark.parametrize("others", [0.0, 1e-4, 0.004])
def test_rivals_much_less_noisy_are_met_by_panels(others: float) -> None:
    """A step, or nearly one, in the rewards: developer 0 is noisy, its rivals are not."""
    score, scale = np.array([[0.5, 0.52, 0.44, 0.5]]), np.array([[0.1, others, others, 0.02]])
    zeros, order = np.zeros((1, 4)), np.arange(4)[None]
    prizes = np.array([[1.0, 0.6, 0.1, 0.0]])
    value = profile_payoffs(score, scale, zeros, zeros, prizes, zeros, zeros, order, False)[0]
    assert value[0, 0] == pytest.approx(expected(0, 0.5, 0.1, score[0], scale[0], prizes[0]), abs=1e-9)
    assert value[0, 3] == pytest.approx(expected(3, 0.5, 0.02, score[0], scale[0], prizes[0]), abs=1e-9)


def test_certain_scores_tie_by_the_order() -> None:
    score, scale, zeros = np.full((1, 2), 0.5), np.zeros((1, 2)), np.zeros((1, 2))
    prizes = np.array([[1.0, 0.0]])
    value, slope, _ = profile_payoffs(score, scale, zeros, zeros, prizes, zeros, zeros, np.array([[1, 0]]), False)
    assert value[0].tolist() == [0.0, 1.0] and slope[0].tolist() == [0.0, 0.0]


@given(SEEDS, st.sampled_from([0, 100]), st.booleans())
@settings(max_examples=15)
def test_second_derivatives_are_those_of_differences(seed: int, items: int, alike: bool) -> None:
    rng = np.random.default_rng(seed)
    n = 4
    score = board(rng, n, items=items, spread=0.1)[0]
    if alike:
        score[0, 1:3] = score[0, 0]
    prizes, zeros, order = prizes_of(rng, n)[None], np.zeros((1, n)), np.arange(n)[None]

    def slopes(at: np.ndarray, *, curvature: bool = False) -> np.ndarray:
        noise = Noise(items=items) if items else Noise(sigma=0.1)
        scale, change = noise.scale(at), noise.scale_slope(at)
        bend = -(1 / items + change**2) / scale if items else zeros
        found = profile_payoffs(at, scale, change, bend, prizes, zeros, zeros, order, curvature)
        return found[2][0] if curvature else found[1][0]

    exact, step = slopes(score, curvature=True), 1e-5
    for j in range(n):
        up, down = score.copy(), score.copy()
        up[0, j] += step
        down[0, j] -= step
        column = (slopes(up) - slopes(down)) / (2 * step)
        np.testing.assert_allclose(exact[:, j], column, atol=1e-5 * max(1.0, np.abs(exact).max()))


@given(SEEDS, st.sampled_from([0, 50, 2_000]))
@settings(max_examples=10)
def test_scans_agree_with_single_deviations(seed: int, items: int) -> None:
    rng = np.random.default_rng(seed)
    n, tries = 5, 7
    score, scale, _, _ = board(rng, n, items=items)
    prizes, penalty, order = prizes_of(rng, n)[None], rng.uniform(0, 1, (1, n)), np.arange(n)[None]
    own, flagged = rng.uniform(0.1, 0.9, (tries, 1, n)), rng.uniform(0, 1, (tries, 1, n))
    noise = Noise(items=items) if items else Noise(sigma=0.1)
    found, fine = scan_rewards(own, noise.scale(own), flagged, score, scale, prizes, penalty)
    b, i = np.zeros(n, dtype=np.int64), np.arange(n)
    assert fine.all()
    for t in range(tries):
        at, caught = own[t, 0], flagged[t, 0]
        exact = single_payoffs(
            b, i, at, noise.scale(at), noise.scale_slope(at), caught, score, scale, prizes, penalty, order
        )[0]
        np.testing.assert_allclose(found[t, 0], exact, atol=1e-5)


@given(SEEDS)
@settings(max_examples=20)
def test_rewards_change_little_with_the_noise(seed: int) -> None:
    """|dE[V] / d log sigma| <= max x phi(x) (R_1 - R_n): the slack of the bound on deviations."""
    rng = np.random.default_rng(seed)
    n = 4
    score, scale, _, _ = board(rng, n)
    prizes, zeros, order = prizes_of(rng, n)[None], np.zeros((1, n)), np.arange(n)[None]
    own = rng.uniform(0.2, 0.8, n)
    b, i = np.zeros(n, dtype=np.int64), np.arange(n)

    def at(sigma: float) -> np.ndarray:
        spread = np.full(n, sigma)
        return np.asarray(
            single_payoffs(b, i, own, spread, np.zeros(n), np.zeros(n), score, scale, prizes, zeros, order)[0]
        )

    change = np.abs(at(0.1 * np.exp(1e-4)) - at(0.1 * np.exp(-1e-4))) / 2e-4
    assert np.all(change <= 0.242 * (prizes[0, 0] - prizes[0, -1]) + 1e-6)


@given(SEEDS, st.sampled_from([0, 40]))
@settings(max_examples=8)
def test_chances_of_ranks(seed: int, items: int) -> None:
    rng = np.random.default_rng(seed)
    n = 4
    score, scale, _, _ = board(rng, n, items=items, spread=0.2)
    ranks = rank_chances(score[0], scale[0], np.arange(n))
    for r in range(n):
        unit = np.eye(n)[r]
        exact = [expected(i, score[0, i], scale[0, i], score[0], scale[0], unit) for i in range(n)]
        np.testing.assert_allclose(ranks[:, r], exact, atol=1e-9)
    np.testing.assert_allclose(first_places(score, scale, np.arange(n)[None])[0], ranks[:, 0], atol=1e-9)


@given(SEEDS, st.integers(1, 4), st.booleans())
@settings(max_examples=20)
def test_boards_drawn_in_bands_are_scored_one_by_one(seed: int, width: int, ties: bool) -> None:
    rng = np.random.default_rng(seed)
    draws, batch, n = 12, 3, 6
    score, scale = rng.uniform(0, 1, (batch, n)), rng.uniform(0, 0.3, (batch, n))
    quality = rng.integers(0, 4, (batch, n)).astype(float) if ties else rng.uniform(0, 1, (batch, n))
    if ties:  # equal certain scores
        score, scale = np.round(score, 1), np.zeros((batch, n))
    order = np.argsort(rng.random((batch, n)), axis=1)
    band = band_of_rank(Bands(width=width).partition(n))
    errors = drawn_errors(seed, (draws, batch, n))
    tau, top = averages_over_boards(errors, score, scale, order, band, quality)
    boards = [published_ranks(score + scale * e, np.zeros((batch, n)), order, band) for e in errors]
    np.testing.assert_allclose(tau, np.mean([kendall_tau_b(b, quality) for b in boards], axis=0), atol=1e-12)
    np.testing.assert_allclose(top, np.mean([top_one_correct(b, quality) for b in boards], axis=0), atol=1e-12)


def test_best_responses_settle_where_nobody_gains_much() -> None:
    game = replace(Protocol().induce(synthetic(5, 6, np.random.default_rng(3))), noise=Noise(sigma=0.1))
    top = game.worthwhile_effort()
    table = effort_table(game, effort_grid(game, top, 97))
    last = [np.ascontiguousarray(np.moveaxis(x, 0, -1)) for x in (table.effort, table.score, table.cost, table.flagged)]
    zeros = np.zeros_like(top)
    special = np.zeros((*top.shape, 1), dtype=np.int64)
    efforts, regret = best_responses(
        *last, zeros, special, game.scores(0.0)[0], game.prizes, zeros, 0.1, 0, np.linspace(0.7, 0.05, 24)
    )
    gain = best_deviations(game, table, efforts)[1].max(axis=1)
    assert (regret < 1e-3).all()
    np.testing.assert_allclose(gain, regret, atol=5e-3)


def test_a_deviation_between_two_scanned_efforts_is_found() -> None:
    """Beside the equilibrium of a tournament the scan falls short of the effort held: the bound on a cell does not."""
    base = game_of(linear([0.0, 0.0], [1.0, 1.0]), [1.0, 0.0], scale=0.5, exponent=2.0)
    game = replace(base, noise=Noise(sigma=0.3))
    best = 1.0 / (2.0 * 0.3 * np.sqrt(np.pi))
    efforts = np.full((1, 2), best - 0.0074)
    table = effort_table(game, effort_grid(game, game.worthwhile_effort(), 97))
    utilities, gain, deviation = best_deviations(game, table, efforts)
    np.testing.assert_allclose(utilities, profile(game, observe(game, efforts)).value)
    assert (gain > 2e-5).all()
    np.testing.assert_allclose(deviation, best, atol=1e-3)


@settings(max_examples=10)
@given(logit_games(n=(2, 5), free=True, fee=True), st.floats(0.1, 1.0), st.integers(20, 200))
def test_audited_equilibria_are_safe_from_stopping_just_below_a_jump(
    game: LeaderboardGame, probability: float, items: int
) -> None:
    if game.prize_span[0] < 1e-3:
        return
    audit = Audit(np.full(game.prizes.shape, probability), items, 0.05, 0.5)
    noisy = replace(game, ties=TieRule.QUALITY, noise=Noise(sigma=0.05), audit=audit)
    found = solve_noisy(noisy)
    report = check(noisy, found.certificate())
    assert report.passed, report.summary()


def test_free_effort_is_spent_to_the_last_step() -> None:
    """Where cost sets in steeply, all stop exactly at the kink, which is no stationary point."""
    base = game_of(
        logit([0.2] * 3, [0.7, 0.8, 0.9], [-3] * 3, [0.8] * 3), [1.0, 0.5, 0.0], scale=0.5, free=[5.0, 8.0, 3.0]
    )
    game = replace(base, noise=Noise(items=200))
    found = solve_noisy(game)
    assert found.status() is Status.EXISTS and found.efforts[0].tolist() == [5.0, 8.0, 3.0]
    assert check(game, found.certificate()).passed


@pytest.mark.parametrize("exponent", [0.7, 1.0, 1.5])
def test_answers_are_finite_also_where_the_first_step_costs_infinitely_much(exponent: float) -> None:
    population = synthetic(6, 8, np.random.default_rng(1))
    ones = np.ones((8, 6))
    cost = PowerCost(scale=1e-2**exponent * ones, exponent=exponent * ones, free=0.0 * ones, entry_fee=0.0 * ones)
    found = solve_noisy(Protocol(test_items=200).induce(replace(population, cost=cost)))
    assert np.isfinite(found.efforts).all() and np.isfinite(found.gain).all()
    for b in np.flatnonzero(found.exists)[:2]:
        assert check(select(found.game, [b]), found.certificate(b)).passed


def test_nothing_to_win_is_an_equilibrium_of_zero_effort() -> None:
    population = synthetic(5, 3, np.random.default_rng(0))
    protocol = Protocol(test_items=100, prizes=Prizes(values=(1.0, 0.9, 0.5, 0.3, 0.1)), tiers=Bands(width=5))
    found = solve_noisy(protocol.induce(population))
    assert found.exists.all() and (found.efforts == 0).all()
