"""Closed forms of contest theory, checked by indifference, by hand, by quadrature and by solving discretised games."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from builders import exponential, game_of, linear, logit
from scipy.integrate import quad
from scipy.stats import binom, norm

from followers.costs import tabulate_cost
from followers.game import LeaderboardGame, TieRule
from followers.measurement import Noise
from followers.tabulated import tabulate
from solvers.contest_deviations import entry_bounds
from solvers.contest_payoffs import PayoffStatus
from solvers.contest_strategies import ContestEquilibrium, ContestStatus
from solvers.contests import (
    deviation_gains,
    identical_prizes_equilibrium,
    identical_prizes_payoffs,
    two_player_equilibrium,
)
from solvers.noisy import solve_noisy
from solvers.pure import Status, solve_pure
from solvers.quadrature import integral
from solvers.symmetric_contest import expected_prize, identical_developers, symmetric_equilibrium
from solvers.tournament import marginal_prize, tournament_effort


def line(prizes: Any, **options: Any) -> LeaderboardGame:
    """Developers whose score is their head start plus their effort."""
    n = len(prizes)
    return game_of(linear(np.zeros(n), np.ones(n)), prizes, **options)


def random_game(seed: int, n: int, winners: int) -> LeaderboardGame:
    """Any of the curve families with power costs, head starts and prior exposures in any order."""
    rng = np.random.default_rng(seed)
    prizes = (1.7,) * winners + (0.2,) * (n - winners)
    lower = rng.uniform(0, 0.3, n)
    family = seed % 4
    if family == 0:
        start = rng.choice([0, 1], n) * rng.uniform(0, 0.6, n)
        return line(prizes, scale=rng.uniform(0.5, 3, n), exponent=rng.choice([0.5, 1, 1.5, 2, 3], n), start=start)
    if family == 1:
        curve: Any = logit(lower, lower + rng.uniform(0.3, 0.6, n), rng.normal(-2, 1, n), rng.uniform(0.5, 2, n))
        scale, start = 10 ** rng.uniform(-3, -1, n), rng.choice([0.0, 10, 1000]) + rng.choice([0.0, 4], n)
        return game_of(curve, prizes, scale=scale, exponent=rng.choice([1, 1.5, 2], n), start=start)
    if family == 2:
        curve = exponential(lower, lower + rng.uniform(0.4, 0.6, n), rng.uniform(0.01, 0.05, n))
        scale, start = 10 ** rng.uniform(-2, -1, n), rng.choice([0.0, 10, 50]) + rng.choice([0.0, 4], n)
        return game_of(curve, prizes, scale=scale, free=rng.choice([0.0, 3, 5], n), start=start)
    steps = np.array([0.0, 20, 60, 200])
    curve = tabulate([(steps, np.cumsum([a, *rng.uniform(0.05, 0.3, 3)])) for a in lower])
    kinks = [(np.array([0.0, 8, 20]), np.cumsum([0, rng.uniform(0.2, 0.4), rng.uniform(2, 3)])) for _ in range(n)]
    return replace(game_of(curve, prizes), cost=tabulate_cost(kinks))


def payoffs_at(equilibrium: ContestEquilibrium, efforts: np.ndarray) -> np.ndarray:
    """Expected prize less cost of every developer at its efforts (K, n) against the others' CDFs, (K, n).

    From efforts forwards (no curve or cost is inverted), with the law of the number of rivals above by convolution. A
    rival level with the score counts as below it: the supremum of just overtaking.
    """
    game = equilibrium.contest.game
    score, tail = (x[:, 0] for x in game.scores(efforts[:, None]))
    worth = np.zeros((len(efforts), game.n))
    for i in range(game.n):
        survival = equilibrium.survival(score[:, i], tail[:, i])
        above = np.zeros((len(efforts), game.n))
        above[:, 0] = 1.0
        for j in range(game.n):
            if j != i:
                p = survival[:, j : j + 1]
                above = above * (1 - p) + np.concatenate([np.zeros_like(p), above[:, :-1]], axis=1) * p
        worth[:, i] = above @ game.prizes[0]
    return np.asarray(worth - game.cost.cost(efforts[:, None])[:, 0])


def assert_equilibrium(equilibrium: ContestEquilibrium, tolerance: float = 1e-9) -> None:
    """Nobody gains anywhere, and payoffs are constant on the support."""
    game = equilibrium.contest.game
    free, top = (
        game.free_effort()[0],
        np.minimum(game.worthwhile_effort(), game.reach(*equilibrium.contest.threshold))[0],
    )
    near = np.geomspace(1e-9, 0.1, 80)
    share = np.unique(np.concatenate([np.linspace(0, 1.2, 601), near, 1 - near]))[:, None]
    efforts = np.minimum(np.maximum(share * top, share * free), game.effort_cap[0])
    worth = payoffs_at(equilibrium, efforts)
    assert np.all(worth <= equilibrium.payoffs + tolerance)
    score, tail = (x[:, 0] for x in game.scores(efforts[:, None]))
    width = equilibrium.contest.threshold[0] - equilibrium.support[:, 0]
    for i in range(game.n):
        cdf = equilibrium.cdf(i, score[:, i], tail[:, i])
        assert np.all(np.diff(cdf) >= -1e-12) and cdf[0] >= 0 and cdf[-1] == 1
        rising = np.diff(cdf) > 1e-9
        inside = np.flatnonzero(rising[1:] & rising[:-1]) + 1
        np.testing.assert_allclose(worth[inside, i], equilibrium.payoffs[i], atol=tolerance)
        if equilibrium.atoms[i] > 0:
            assert payoffs_at(equilibrium, free[None])[0, i] == pytest.approx(equilibrium.payoffs[i], abs=tolerance)
        assert len(inside) > 3 or not equilibrium.competing[i] or width[i] < 1e-7


# --- two developers ----------------------------------------------------------------------------------------------


def test_textbook_contest_of_two() -> None:
    """Costs e and 2e for a prize of 1: Hillman & Riley (1989), Economics & Politics 1(1)."""
    found = two_player_equilibrium(line((1, 0), scale=[1, 2]))
    score = np.linspace(0, 0.5, 11)
    np.testing.assert_allclose(found.cdf(0, score), 2 * score, atol=1e-15)
    np.testing.assert_allclose(found.cdf(1, score), 0.5 + score, atol=1e-15)
    np.testing.assert_allclose(found.payoffs, [0.5, 0])
    np.testing.assert_allclose(found.atoms, [0, 0.5])
    np.testing.assert_allclose(found.support, [[0, 0.5], [0, 0.5]])
    np.testing.assert_allclose(found.expected_efforts, [1 / 4, 1 / 8], atol=1e-12)
    np.testing.assert_allclose(found.expected_costs, [1 / 4, 1 / 4], atol=1e-12)
    np.testing.assert_allclose(found.win_probabilities, [3 / 4, 1 / 4], atol=1e-12)
    assert found.unique and found.status is ContestStatus.EQUILIBRIUM


@pytest.mark.parametrize(
    ("start", "payoffs", "atoms", "costs"),
    [
        # strong and ahead: T = .5, w = 1 - .3; F_weak(.2) = w, F_strong(.2) = 2 * .2;
        # costs: .3 (1 - .3 / 2 ... ) = int_0^.3 2 (.3 - x) dx = .09, int_.2^.5 2 (s - 0) ds = .21
        ([0.2, 0.0], [0.7, 0], [0.4, 0.7], [0.09, 0.21]),
        # strong but behind: T = .7, w = 1 - .7; F_weak(.2) = w + .2, no atom of the strong one
        ([0.0, 0.2], [0.3, 0], [0, 0.5], [0.45, 0.25]),
        # strong and so far behind that it is weak: r = 1 < .6 + .5 = T's holder; w = 1 - 2 * .4, F_0(.6) = w
        ([0.0, 0.6], [0, 0.2], [0.2, 0.6], [0.64, 0.16]),
    ],
)
def test_head_starts_by_hand(start: list[float], payoffs: list[float], atoms: list[float], costs: list[float]) -> None:
    found = two_player_equilibrium(line((1, 0), scale=[1, 2], start=start))
    np.testing.assert_allclose(found.payoffs, payoffs, atol=1e-12)
    np.testing.assert_allclose(found.atoms, atoms, atol=1e-12)
    np.testing.assert_allclose(found.expected_costs, costs, atol=1e-11)
    assert_equilibrium(found)


@pytest.mark.parametrize("start", [0.5, 0.7])
def test_out_of_reach_is_the_pure_equilibrium(start: float) -> None:
    """At 0.5 the weak one could just draw level, at the price of the whole prize."""
    game = line((1, 0), scale=[1, 2], start=[start, 0])
    found = two_player_equilibrium(game)
    assert found.is_pure and found.unique and solve_pure(game).status() is Status.EXISTS
    np.testing.assert_array_equal(found.payoffs, [1, 0])
    np.testing.assert_array_equal(found.atoms, [1, 1])
    np.testing.assert_array_equal(found.win_probabilities, [1, 0])
    np.testing.assert_array_equal(found.support, [[start, start], [0, 0]])
    np.testing.assert_array_equal(found.cdf(0, [start - 1e-9, start]), [0, 1])
    assert "pure" in found.notes[0]
    nearby = line((1, 0), scale=[1, 2], start=[0.49, 0])
    assert solve_pure(nearby).status() is Status.ABSENT and not two_player_equilibrium(nearby).is_pure


@pytest.mark.parametrize("seed", range(12))
def test_nobody_gains_in_random_contests_of_two(seed: int) -> None:
    game = random_game(seed, 2, 1)
    found = two_player_equilibrium(game)
    assert_equilibrium(found)
    assert found.win_probabilities.sum() == pytest.approx(1, abs=1e-9)
    assert (found.unique is True) == (not game.free_effort().any())
    if not found.is_pure:
        assert deviation_gains(found, points=300).max() <= 1e-9


@pytest.mark.parametrize("seed", range(12))
def test_general_algorithm_agrees_on_two(seed: int) -> None:
    game = random_game(seed, 2, 1)
    by_formula, by_algorithm = two_player_equilibrium(game), identical_prizes_equilibrium(game)
    low, high = by_formula.contest.start.min() - 0.01, by_formula.contest.reach.max()
    score = np.linspace(low, high, 777)
    for i in range(2):
        np.testing.assert_allclose(by_algorithm.cdf(i, score), by_formula.cdf(i, score), atol=1e-9)
    np.testing.assert_allclose(by_algorithm.payoffs, by_formula.payoffs, atol=1e-12)


def test_expectations_by_stieltjes_sums() -> None:
    """E C = int C dF and P(win) = int F_rival dF, by sums over 200,000 cells of score, atoms apart."""
    game = game_of(
        logit([0.1, 0.2], [0.9, 0.8], [-2, -3], [1.2, 0.9]), (1, 0), scale=[0.01, 0.02], exponent=[1, 1.5], start=[2, 9]
    )
    found = two_player_equilibrium(game)
    score = np.linspace(found.contest.start.min(), found.contest.threshold[0], 200_001)
    middle = 0.5 * (score[1:] + score[:-1])
    effort = np.maximum(game.curve.effort_to_reach(middle[:, None]) - game.head_start[0], 0.0)
    for i in range(2):
        mass = np.diff(found.cdf(i, score))
        mass[score[1:] <= found.contest.start[i]] = 0.0
        jump = np.searchsorted(score, found.contest.start[i], side="left")
        if jump > 0:
            mass[jump - 1] = found.cdf(i, score[jump]) - found.cdf(i, found.contest.start[i])
        assert mass.sum() + found.atoms[i] == pytest.approx(1, abs=1e-12)
        assert found.expected_efforts[i] == pytest.approx((mass * effort[:, i]).sum(), rel=1e-6)
        assert found.expected_costs[i] == pytest.approx((mass * game.cost.cost(effort)[:, i]).sum(), rel=1e-6)
        at_start = found.cdf(1 - i, found.contest.start[i]) * found.atoms[i]
        wins = (mass * found.cdf(1 - i, middle)).sum() + at_start
        assert found.win_probabilities[i] == pytest.approx(wins, abs=1e-5)


def test_reaches_and_tails_near_a_common_ceiling() -> None:
    """After long tuning scores differ only in their second floats, and the equilibrium still is one."""
    curve = logit([0.1, 0.2], [0.9, 0.9], [1.0, 1.2], [2.0, 2.0])
    game = game_of(curve, (1, 0), scale=[1e-10, 2e-10], start=[1e9, 1e9])
    found = two_player_equilibrium(game)
    assert found.contest.start[0] == found.contest.start[1] == found.contest.threshold[0]  # first floats say nothing
    assert not found.is_pure
    assert_equilibrium(found, 1e-7)
    assert found.win_probabilities.sum() == pytest.approx(1, abs=1e-7)


def test_discretised_game_solved_by_gambit() -> None:
    """On a grid of efforts the unique equilibrium of the bimatrix game is near: within a step's cost in payoffs."""
    gambit = pytest.importorskip("pygambit")
    game = line((1, 0), scale=[1, 2], start=[0, 0.1], exponent=[1, 1.5])
    found = two_player_equilibrium(game)
    count = 31
    threshold = found.contest.threshold[0]
    score = [np.linspace(a, threshold + 0.02, count) for a in (0.0, 0.1)]
    cost = [score[0], 2 * (score[1] - 0.1) ** 1.5]
    wins = score[0][:, None] >= score[1][None, :]
    table = gambit.Game.from_arrays(wins - cost[0][:, None], 1 - wins - cost[1][None, :])
    solved = gambit.nash.lcp_solve(table, rational=False).equilibria[0]
    payoffs = [float(solved.payoff(p)) for p in table.players]
    step = max(np.diff(cost[0]).max(), np.diff(cost[1]).max())
    np.testing.assert_allclose(payoffs, found.payoffs, atol=step)
    for i, player in enumerate(table.players):
        mass = np.array([float(solved[s]) for s in player.strategies])
        # the steps of the grid CDF straddle the exact one
        assert np.abs(np.cumsum(mass) - found.cdf(i, score[i])).max() < 2 * step
        assert (mass * cost[i]).sum() == pytest.approx(found.expected_costs[i], abs=step)


# --- m prizes ----------------------------------------------------------------------------------------------------


def test_two_prizes_for_three_by_hand() -> None:
    """Costs s, 2s, 3s, T = 1/3, x = T - s: H = (1, 3x, 2x) down to x = 1/6, then sqrt(6 x) (1, 1/2, 1/3)."""
    found = identical_prizes_equilibrium(line((1, 1, 0), scale=[1, 2, 3]))
    x = np.linspace(1 / 3, 0, 201)
    low = np.stack([np.ones_like(x), 3 * x, 2 * x])
    root = np.sqrt(6 * x)
    expected = np.where(x >= 1 / 6, low, np.stack([root, root / 2, root / 3]))
    for i in range(3):
        np.testing.assert_allclose(found.cdf(i, 1 / 3 - x), 1 - expected[i], atol=1e-7)
    np.testing.assert_allclose(found.payoffs, [2 / 3, 1 / 3, 0])
    np.testing.assert_allclose(found.atoms, [0, 0, 1 / 3])
    np.testing.assert_allclose(found.support[:, 0], [1 / 6, 0, 0], atol=1e-9)
    # E e_1 = 1/6 + int_0^(1/6) sqrt(6 x) dx
    assert found.expected_efforts[0] == pytest.approx(1 / 6 + 1 / 9, abs=1e-9)
    assert found.win_probabilities.sum() == pytest.approx(2, abs=1e-9)
    assert_equilibrium(found)


def test_gap_below_a_head_start_by_hand() -> None:
    """Costs 1, 2, 3 and starts .3, .1, 0: T = 1/3, x = T - s; the leader's prize must stay worth its payoff.

    Nobody moves between 6 x^2 = 1/30 (where the others would tempt the leader before its start) and the start.
    """
    found = identical_prizes_equilibrium(line((1, 1, 0), scale=[1, 2, 3], start=[0.3, 0.1, 0]))
    gap = 1 / 3 - np.sqrt(1 / 180)
    np.testing.assert_allclose(found.stretch_score, [0, 0.1, gap, 0.3], atol=1e-9)
    np.testing.assert_array_equal(found.active, [[0, 0, 0], [0, 1, 1], [0, 0, 0], [1, 1, 1]])
    h2, h3 = 3 * np.sqrt(1 / 180), 2 * np.sqrt(1 / 180)
    leader = max((2 / 30) / h3, (3 / 30) / h2)  # what keeps the first of the others indifferent at .3
    np.testing.assert_allclose(found.atoms, [1 - leader, 0.3, 1 - 7 / 15], atol=1e-8)
    np.testing.assert_allclose(found.payoffs, [1 - 1 / 30, 1 - 7 / 15, 0])
    np.testing.assert_allclose(found.cdf(1, [gap, 0.29]), [1 - h2, 1 - h2], atol=1e-8)
    assert_equilibrium(found)


def test_a_developer_leaves_where_its_cost_gets_steep_and_returns() -> None:
    """It enters where H_2 H_3 = q_1, (1 - .03 - .5 s)(1 - .55 s) = .95 - .5 s, and leaves exactly at its kink."""
    tables = [([0, 0.2, 0.5], [0, 0.1, 0.95]), ([0, 0.4, 0.5], [0, 0.2, 0.97]), ([0, 0.4, 0.5], [0, 0.22, 1.0])]
    found = identical_prizes_equilibrium(replace(line((1, 1, 0)), cost=tabulate_cost(tables)))
    np.testing.assert_array_equal(found.active.astype(int)[1:], [[0, 1, 1], [1, 1, 1], [0, 1, 1], [1, 1, 1]])
    enters = float(np.roots([0.275, 0.5 - 0.5 - 0.55 * 0.97, 0.97 - 0.95])[1])
    np.testing.assert_allclose(found.stretch_score[1:4], [0, enters, 0.2], atol=1e-9)
    np.testing.assert_allclose(found.payoffs, [0.05, 0.03, 0], atol=1e-12)
    assert_equilibrium(found)


def test_several_take_turns_and_support_has_a_hole() -> None:
    """Siegel (2010): with costs that bend differently supports have holes, and CDFs flat stretches."""
    found = identical_prizes_equilibrium(line((1, 1, 1, 0), scale=[1, 2, 3, 4], exponent=[1, 2, 3, 1.5]))
    first = found.active[:, 0].astype(int)
    assert (np.diff(first) < 0).any() and first[-1] == 1  # leaves, and comes back
    pause = int(np.flatnonzero(np.diff(first) < 0)[0]) + 1
    low, high = found.stretch_score[pause : pause + 2]
    assert high - low > 0.01
    np.testing.assert_allclose(np.diff(found.cdf(0, np.linspace(low, high, 50, endpoint=False))), 0, atol=1e-12)
    assert_equilibrium(found)


@pytest.mark.parametrize("seed", range(12))
def test_nobody_gains_in_random_contests_for_all_prizes_but_one(seed: int) -> None:
    n = 3 + seed % 3
    found = identical_prizes_equilibrium(random_game(seed, n, n - 1))
    assert found.status is ContestStatus.EQUILIBRIUM
    assert_equilibrium(found)
    assert found.win_probabilities.sum() == pytest.approx(n - 1, abs=1e-9)
    generic = found.contest.status is PayoffStatus.GENERIC
    np.testing.assert_allclose(found.contest.payoffs, found.payoffs if generic else np.nan)


def test_developers_whose_ceiling_is_below_the_threshold_stay_out() -> None:
    rng = np.random.default_rng(1)
    lower = rng.uniform(0, 0.2, 6)
    curve = logit(lower, [0.9, 0.8, 0.9, 0.3, 0.25, 0.9], [-2, -1, -3, -2, -2, -2], [1, 1.5, 2, 1, 1, 1])
    found = identical_prizes_equilibrium(game_of(curve, (1, 1, 0, 0, 0, 0), scale=[0.003, 0.01, 0.02, 0.5, 1, 0.5]))
    assert found.status is ContestStatus.EQUILIBRIUM and found.competing.tolist() == [True] * 3 + [False] * 3
    assert np.isneginf(found.contest.power[3:5]).all()
    np.testing.assert_array_equal(found.atoms[3:], 1)
    np.testing.assert_array_equal(found.expected_costs[3:], 0)
    assert_equilibrium(found)


def test_a_mesh_too_coarse_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the search for switches misses, the check of deviations finds; a finer mesh mends it."""
    game = random_game(1, 4, 3)
    monkeypatch.setattr("solvers.contests._MESHES", (16,))
    assert identical_prizes_equilibrium(game).status is ContestStatus.UNRESOLVED
    monkeypatch.setattr("solvers.contests._MESHES", (16, 250))
    assert_equilibrium(identical_prizes_equilibrium(game))


def test_sure_winners_leave_a_smaller_contest() -> None:
    """Who starts beyond the threshold wins for nothing; the others are in the contest without it and its prize."""
    options: dict[str, Any] = {"scale": [1, 2, 3, 4], "start": [0.5, 0.1, 0, 0]}
    found = identical_prizes_equilibrium(line((1, 1, 1, 0), **options))
    smaller = identical_prizes_equilibrium(line((1, 1, 0), scale=[2, 3, 4], start=[0.1, 0, 0]))
    score = np.linspace(0, 0.6, 301)
    for i in range(3):
        np.testing.assert_allclose(found.cdf(i + 1, score), smaller.cdf(i, score), atol=1e-12)
    np.testing.assert_allclose(found.payoffs, [1, *smaller.payoffs])
    assert_equilibrium(found)
    all_sure = identical_prizes_equilibrium(line((1, 1, 0), scale=4, start=[1, 2, 0.5]))
    assert all_sure.is_pure
    np.testing.assert_array_equal(all_sure.payoffs, [1, 1, 0])


def test_payoffs_of_a_generic_contest() -> None:
    """Siegel (2009): V less the cost of the third highest reach; here 1/3 of score, plus the last prize."""
    found = identical_prizes_payoffs(line((3, 3, 1, 1, 1), scale=[2, 4, 6, 12, 8]))
    assert found.status is PayoffStatus.GENERIC and found.winners == 2 and found.value == 2
    assert found.marginal == 2 and found.threshold[0] == pytest.approx(1 / 3)
    np.testing.assert_allclose(found.reach, [1, 1 / 2, 1 / 3, 1 / 6, 1 / 4])
    np.testing.assert_allclose(found.power, [4 / 3, 2 / 3, 0, -2, -2 / 3])
    np.testing.assert_allclose(found.payoffs, [1 + 4 / 3, 1 + 2 / 3, 1, 1, 1])


def test_head_start_above_the_threshold_wins_the_whole_prize() -> None:
    found = identical_prizes_payoffs(line((1, 0, 0), scale=[2, 2, 4], start=[0.9, 0, 0]))
    np.testing.assert_allclose(found.payoffs, [1, 0, 0])
    assert found.threshold[0] == 0.5


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        ({"scale": [1, 2, 2]}, PayoffStatus.NOT_GENERIC, "developers 2 and 3 have the same reach"),
        ({"scale": [1, 2, 3], "fee": [0, 0, 0.1]}, PayoffStatus.OUTSIDE, "developer 3 pays an entry fee"),
        ({"scale": [1, 2, 3], "cap": [9, 0.4, 9]}, PayoffStatus.OUTSIDE, "developer 2 is held back by its effort cap"),
        ({"scale": [1, 2, 3], "cap": [0.6, 9, 9]}, PayoffStatus.GENERIC, ""),
    ],
)
def test_which_condition_fails_is_said(options: dict[str, Any], status: PayoffStatus, words: str) -> None:
    game = line((1, 0, 0), **options)
    found = identical_prizes_payoffs(game)
    assert found.status is status and words in found.reason and bool(found.reason) == bool(words)
    assert np.isnan(found.payoffs).all() == (status is not PayoffStatus.GENERIC)
    if status is PayoffStatus.OUTSIDE:
        with pytest.raises(ValueError, match=words):
            identical_prizes_equilibrium(game)
    else:
        assert_equilibrium(identical_prizes_equilibrium(game))


def test_flat_scores_and_lost_digits_are_outside() -> None:
    steps = np.array([0.0, 10, 20, 30])
    flat = tabulate([(steps, [0.1, 0.3, 0.3, 0.5]), (steps, [0.1, 0.2, 0.3, 0.4])])
    held = identical_prizes_payoffs(game_of(flat, (1, 0), scale=0.04))
    assert held.status is PayoffStatus.OUTSIDE and "developer 1 is flat" in held.reason
    ceiling = tabulate([(steps, [0.1, 0.2, 0.3, 0.4]), (steps, [0.1, 0.25, 0.35, 0.6])])
    assert "developer 1 is flat" in identical_prizes_payoffs(game_of(ceiling, (1, 0), scale=0.01)).reason
    # a ceiling above the threshold keeps nobody from anything
    assert identical_prizes_payoffs(game_of(ceiling, (1, 0), scale=[0.05, 0.01])).status is PayoffStatus.GENERIC
    saturated = game_of(exponential([0.1, 0.1], [0.9, 0.9], [1.0, 1.0]), (1, 0), scale=[1, 2], start=700)
    assert "ceiling" in identical_prizes_payoffs(saturated).reason
    lost = line((1, 0), scale=[1, 2], start=1e9)
    assert "double precision" in identical_prizes_payoffs(lost).reason


def test_a_third_developer_may_enter() -> None:
    """Siegel (2009), section 3: beyond the m + 1 strongest someone may take part if its costs are low further down."""
    game = line((1, 0, 0), scale=[1, 2, 0.49**-10], exponent=[1, 1, 10])
    found = identical_prizes_equilibrium(game)
    assert found.status is ContestStatus.ENTRY and "developer 3 may gain" in found.notes[0]
    score = np.linspace(0, 0.5, 100_001)
    gain = 2 * score * (0.5 + score) - (score / 0.49) ** 10
    assert entry_bounds(found)[2] >= gain.max() > 0.1
    steep = identical_prizes_equilibrium(line((1, 0, 0), scale=[1, 2, 3], exponent=[1, 1, 0.3]))
    assert steep.status is ContestStatus.EQUILIBRIUM
    assert_equilibrium(steep)


@pytest.mark.parametrize("scale", [2.0001, 2.1, 5.0])
def test_entry_bound_is_tight_where_entry_nearly_pays(scale: float) -> None:
    found = identical_prizes_equilibrium(line((1, 1, 0, 0), scale=[1, 1.5, 2, scale]))
    assert found.status is ContestStatus.EQUILIBRIUM and 0 <= entry_bounds(found)[3] <= 1e-9
    assert_equilibrium(found)


def test_a_start_in_the_way_is_noticed() -> None:
    """Developer 3 can afford little, but starts above scores with which the strongest expect to win."""
    found = identical_prizes_equilibrium(line((1, 0, 0), scale=[1, 2, 50], start=[0, 0, 0.3]))
    assert found.status is ContestStatus.ENTRY and "wins by staying at its start" in found.notes[0]
    low = np.array([[0.2, 0.2, 0.0]])
    assert payoffs_at(found, low)[0, 0] < found.payoffs[0] - 0.1  # the payoffs would indeed be false
    # level with a leader who expects to win by staying: who wins the tie would matter
    level = identical_prizes_equilibrium(line((1, 0, 0), scale=[1, 2, 50], start=[0.2, 0, 0.2]))
    assert level.status is ContestStatus.ENTRY
    below = identical_prizes_equilibrium(line((1, 0, 0), scale=[1, 2, 50], start=[0.2, 0, 0.1]))
    assert below.status is ContestStatus.EQUILIBRIUM
    assert_equilibrium(below)


@pytest.mark.parametrize(("scale", "seen"), [([1e-6, 1e-5], True), ([1e-14, 1e-13], False)])
def test_who_enters_at_the_very_threshold(scale: list[float], seen: bool) -> None:
    """Who has next to no costs enters just below the threshold, or within rounding of it: then at it."""
    found = identical_prizes_equilibrium(line((1, 1, 1, 0), scale=[*scale, 1, 2]))
    assert found.status is ContestStatus.EQUILIBRIUM
    assert_equilibrium(found)
    assert found.active[:, :2].any() == seen
    np.testing.assert_allclose(found.support, [[0.5, 0.5], [0.5, 0.5], [0, 0.5], [0, 0.5]], atol=1e-5)
    # in the limit the other two are in the contest for one prize: 3/4 and 1/4
    np.testing.assert_allclose(found.win_probabilities, [1, 1, 0.75, 0.25], atol=1e-5)


# --- identical developers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 3, 8])
def test_one_prize_among_identical_developers(n: int) -> None:
    """Baye, Kovenock & de Vries (1996): F = (C / V)^(1 / (n - 1)); all of the prize is spent."""
    game = line((2.5, *[0.5] * (n - 1)), scale=0.7, exponent=1.5, start=0.3)
    found = symmetric_equilibrium(game)
    effort = np.linspace(0, (2 / 0.7) ** (1 / 1.5), 100)
    cost = np.minimum(0.7 * effort**1.5, 2.0)
    np.testing.assert_allclose(found.cdf(0.3 + effort), (cost / 2) ** (1 / (n - 1)), atol=1e-9)
    assert found.cdf(0.2999) == 0 and found.cdf(0.3) == 0 and found.cdf(5) == 1
    assert found.payoff == 0.5 and n * found.expected_cost == pytest.approx(2, abs=1e-9)
    assert found.support == pytest.approx((0.3, 0.3 + effort[-1]))


@pytest.mark.parametrize("prizes", [(1, 1, 0), (4, 1, 1, 0.5), (5, 3, 2, 1, 0), (1, 1, 1, 1, 1, 0), (3, 3, 1, 0, 0)])
def test_any_prizes_among_identical_developers(prizes: tuple[float, ...]) -> None:
    """Indifference with the binomial law of the number of rivals above; all that is above the last prize is spent."""
    n = len(prizes)
    curve = logit([0.1] * n, [0.8] * n, [-2] * n, [1.1] * n)
    game = game_of(curve, prizes, scale=0.02, exponent=0.8, start=3.0, free=1.0)
    found = symmetric_equilibrium(game)
    effort = np.linspace(1.0, float(game.worthwhile_effort()[0, 0]), 20_001)
    score, tail = (x[:, 0, 0] for x in game.scores(effort[:, None, None]))
    share = found.cdf(score, tail)
    rivals_above = binom.pmf(np.arange(n), n - 1, 1 - share[:, None])
    worth = rivals_above @ np.array(prizes) - game.cost.cost(effort[:, None])[:, 0]
    np.testing.assert_allclose(worth, prizes[-1], atol=1e-9)
    assert np.all(np.diff(share) > 0)
    assert n * found.expected_cost == pytest.approx(sum(prizes) - n * prizes[-1], abs=1e-9)
    mass = np.diff(share)
    assert found.expected_effort == pytest.approx((mass * 0.5 * (effort[1:] + effort[:-1])).sum(), rel=1e-4)
    # the slope of a CDF may be infinite at an end, so the inverse is compared in probabilities
    p = np.linspace(0, 1, 41)
    np.testing.assert_allclose(found.cdf(*found.quantile(p)), p, atol=1e-9)


@pytest.mark.parametrize("n", [3, 5])
def test_symmetric_and_asymmetric_algorithms_agree(n: int) -> None:
    game = line((*[1.0] * (n - 1), 0.0), scale=1.3, exponent=1.7, start=0.2)
    alike, general = symmetric_equilibrium(game), identical_prizes_equilibrium(game)
    score = np.linspace(0.1, general.contest.threshold[0], 300)
    for i in range(n):
        np.testing.assert_allclose(general.cdf(i, score), alike.cdf(score), atol=1e-7)
    np.testing.assert_allclose(general.expected_costs, alike.expected_cost, atol=1e-9)
    np.testing.assert_allclose(general.expected_efforts, alike.expected_effort, atol=1e-9)
    assert general.contest.status is PayoffStatus.NOT_GENERIC and "same reach" in general.notes[0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"scale": [1, 1, 2]}, "the effort cap of developer 3 differs|the cost of developer 3 differs"),
        ({"start": [0, 0.1, 0]}, "the score of developer 2 differs"),
        ({"cap": [9, 9, 0.5]}, "the effort cap of developer 3 differs"),
        ({"fee": 0.1}, "developer 1 pays an entry fee"),
        ({"cap": 0.5}, "developer 1 is held back by its effort cap"),
    ],
)
def test_symmetric_contests_outside_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        symmetric_equilibrium(line((1, 0, 0), **options))
    assert identical_developers(line((1, 0, 0))) == ""


# --- tournaments -------------------------------------------------------------------------------------------------


def noisy(prizes: Any, sigma: float, **options: Any) -> LeaderboardGame:
    return replace(line(prizes, **options), noise=Noise(sigma=sigma))


@pytest.mark.parametrize("sigma", [0.3, 0.5, 2.0])
def test_lazear_and_rosen_for_two(sigma: float) -> None:
    """V g(0) = c'(e), g(0) = 1 / (2 sigma sqrt(pi)): with c = k e^2, e = V / (4 k sigma sqrt(pi))."""
    found = tournament_effort(noisy((1.5, 0.5), sigma, scale=0.8, exponent=2))
    assert found.marginal_prize == pytest.approx(1 / (2 * sigma * np.sqrt(np.pi)), rel=1e-12)
    assert found.effort == pytest.approx(1 / (4 * 0.8 * sigma * np.sqrt(np.pi)), rel=1e-12)
    assert found.interior.tolist() == [True] and found.claimed.tolist() == [True]


@pytest.mark.parametrize("prizes", [(1, 0), (1, 0, 0), (5, 3, 2, 1, 0), (1, 1, 0, 0), (2, 1, 1, 1, 0.5, 0)])
def test_marginal_prize_by_differencing_an_adaptive_quadrature(prizes: tuple[float, ...]) -> None:
    sigma, n = 0.4, len(prizes)

    def worth(lead: float) -> float:
        def at(error: float) -> float:
            below = norm.cdf((lead + error) / sigma)
            return float(binom.pmf(np.arange(n), n - 1, 1 - below) @ np.array(prizes) * norm.pdf(error, scale=sigma))

        return float(quad(at, -8 * sigma, 8 * sigma, epsabs=1e-13, epsrel=1e-12, limit=200)[0])

    step = 1e-3
    difference = (8 * (worth(step) - worth(-step)) - (worth(2 * step) - worth(-2 * step))) / (12 * step)
    assert marginal_prize(np.array(prizes, dtype=float), sigma) == pytest.approx(difference, rel=1e-8)


def test_with_little_noise_the_candidate_is_not_an_equilibrium() -> None:
    """Its cost exceeds half the prize spread, so dropping out pays: gain = c(e) - V / 2 up to the chance of winning."""
    found = tournament_effort(noisy((1, 0), 0.15, scale=1, exponent=2))
    effort = 1 / (4 * 0.15 * np.sqrt(np.pi))
    assert found.candidates == pytest.approx([effort]) and found.claimed.tolist() == [False]
    assert np.isnan(found.effort)

    def worth(e: float) -> float:
        return float(norm.cdf((e - effort) / (0.15 * np.sqrt(2))) - e**2)

    grid = np.linspace(0, 1, 20_001)
    best = max(worth(e) for e in grid) - worth(effort)
    assert found.gain[0] == pytest.approx(best, abs=1e-8)
    assert found.gain[0] == pytest.approx(effort**2 - 0.5, abs=1e-3)


def test_all_candidates_on_an_s_shaped_curve() -> None:
    """A steep logit: nobody moves, a payoff minimum, and the high effort; only those that survive are claimed."""
    base = game_of(logit([0.1] * 2, [0.9] * 2, [-9] * 2, [4] * 2), (1, 0), scale=0.02, exponent=1.0)
    found = tournament_effort(replace(base, noise=Noise(sigma=0.4)))
    assert len(found.candidates) == 3 and found.candidates[0] == 0
    assert found.interior.tolist() == [False, True, True]
    effort = np.array(found.candidates[1:])
    slope = found.marginal_prize * base.curve.derivative(effort[:, None])[:, 0]
    np.testing.assert_allclose(slope, 0.02, rtol=1e-10)
    assert not found.claimed[1] and found.claimed[2]
    for k in (0, 1, 2):  # the check itself, by the closed form for two
        own = base.curve.score(np.array([found.candidates[k]]))[0]
        tried = np.linspace(0, 50, 20_001)
        lead = base.curve.score(tried[:, None])[:, 0] - own
        worth = norm.cdf(lead / (0.4 * np.sqrt(2))) - 0.02 * tried
        assert found.gain[k] == pytest.approx(max(worth.max() - (0.5 - 0.02 * found.candidates[k]), 0), abs=1e-7)


@pytest.mark.parametrize(("prizes", "sigma"), [((1, 0), 0.4), ((3, 2, 1, 0.5), 0.9)])
def test_the_noisy_solver_finds_the_tournament_effort(prizes: tuple[float, ...], sigma: float) -> None:
    game = noisy(prizes, sigma, scale=1.0, exponent=2, start=0.3)
    solved = solve_noisy(game)
    assert solved.exists[0]
    np.testing.assert_allclose(solved.efforts[0], tournament_effort(game).effort, rtol=1e-6)


# --- errors and quadrature ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: two_player_equilibrium(line((1, 0, 0))), "3 developers; this closed form is for 2"),
        (lambda: identical_prizes_payoffs(line((3, 2, 1))), "prizes 3, 2, 1; those above the last must be identical"),
        (lambda: identical_prizes_payoffs(line((1, 1))), "all prizes are equal"),
        (lambda: identical_prizes_payoffs(noisy((1, 0), 0.1)), "exact scores"),
        (lambda: symmetric_equilibrium(noisy((1, 0), 0.1)), "exact scores"),
        (lambda: tournament_effort(line((1, 0))), "needs noise of a fixed standard deviation"),
        (lambda: tournament_effort(noisy((1, 0), 0.1, scale=[1, 2])), "needs identical developers"),
        (lambda: tournament_effort(noisy((1, 0), 0.1, fee=0.1)), "entry fee"),
        (lambda: tournament_effort(noisy((1, 1), 0.1)), "all prizes are equal"),
    ],
)
def test_what_a_closed_form_is_not_about_is_refused(call: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()


def test_batches_are_refused() -> None:
    one = line((1, 0), ties=TieRule.SPLIT)
    two = replace(one, **{k: np.repeat(getattr(one, k), 2, axis=0) for k in _ROWS})
    for call in (identical_prizes_payoffs, symmetric_equilibrium, tournament_effort):
        with pytest.raises(ValueError, match="2 games"):
            call(two)


_ROWS = ("head_start", "effort_cap", "prizes", "tie_order")


def test_quadrature_closes_in_on_kinks_and_roots() -> None:
    assert integral(np.sqrt, [0, 1]) == pytest.approx(2 / 3, abs=1e-12)
    assert integral(lambda x: np.abs(x - 1 / 3), [0, 1]) == pytest.approx(5 / 18, abs=1e-12)
    assert integral(lambda x: (x > 0.3).astype(float), [0, 1]) == pytest.approx(0.7, abs=1e-12)
    assert integral(lambda x: (1 - x) ** 0.1, [0, 0.5, 0.5, 1]) == pytest.approx(1 / 1.1, abs=1e-12)


def test_expected_prize_is_the_binomial_mean() -> None:
    prizes = np.array([5.0, 3, 2, 1, 0.25])
    share = np.linspace(0, 1, 33)
    by_rank = binom.pmf(np.arange(5), 4, 1 - share[:, None]) @ prizes - prizes[-1]
    np.testing.assert_allclose(expected_prize(prizes, share), by_rank, atol=1e-13)
