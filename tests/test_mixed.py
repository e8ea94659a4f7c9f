"""Mixed equilibria against closed forms written down here, Gambit, and the independent checker."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from builders import game_of, linear, logit_games
from hypothesis import given, settings

from designer.protocol import Protocol
from followers.game import LeaderboardGame, TieRule
from followers.measurement import Audit, Noise
from followers.prior import synthetic
from solvers.checker import check
from solvers.claims import MixedCertificate
from solvers.contests import PayoffStatus, identical_prizes_payoffs
from solvers.finite import as_nfg, tensor
from solvers.ladder import discretised
from solvers.levels import level_payoffs
from solvers.mixed import level_regret, solve_levels, solve_mixed
from solvers.pure import solve_pure
from solvers.standings import mixed_standing, sample_mixed


def contest(n: int, prizes: list[float], **options: Any) -> LeaderboardGame:
    return game_of(linear([0.0] * n, [1.0] * n), prizes, **options)


def largest_difference(found: Any, i: int, cdf: Any, low: float, high: float) -> float:
    scores = np.linspace(low, high, 4_001)
    return float(np.abs(found.cumulative(i, scores) - cdf(scores)).max())


@pytest.mark.parametrize("closed_forms", [True, False])
def test_two_players_with_different_costs(closed_forms: bool) -> None:
    """Costs s and 2 s, prize 1 (Hillman & Riley 1989): F_1 = 2 s, F_2 = 1/2 + s on [0, 1/2]; payoffs 1/2 and 0."""
    found = solve_mixed(
        game_of(linear([0.0, 0.0], [1.0, 1.0]), [1.0, 0.0], scale=[1.0, 2.0]), tolerance=1e-5, closed_forms=closed_forms
    )
    np.testing.assert_allclose(found.utilities, [0.5, 0.0], atol=1e-3)
    assert largest_difference(found, 0, lambda s: np.clip(2 * s, 0, 1), 0, 0.6) < 5e-3
    assert largest_difference(found, 1, lambda s: np.clip(0.5 + s, 0, 1), 0, 0.6) < 5e-3
    np.testing.assert_allclose(found.expected_costs, [0.25, 0.25], atol=1e-3)
    np.testing.assert_allclose(mixed_standing(found).ranks[:, 0], [0.75, 0.25], atol=2e-3)


@pytest.mark.parametrize("closed_forms", [True, False])
@pytest.mark.parametrize("head", [0.05, 0.3, 0.8])
def test_two_players_with_a_head_start(head: float, closed_forms: bool) -> None:
    """Equal costs, player 1 starts at `head`: w_1 = head, F_1 = s, F_2 = head + (s - head) above the head start.

    Both spread over [head, 1]; player 1 holds its start with probability head, player 2 stays at 0 with the same.
    """
    found = solve_mixed(game_of(linear([head, 0.0], [1.0, 1.0]), [1.0, 0.0]), tolerance=1e-5, closed_forms=closed_forms)
    np.testing.assert_allclose(found.utilities, [head, 0.0], atol=1e-3)
    assert largest_difference(found, 0, lambda s: np.where(s < head, 0.0, np.clip(s, 0, 1)), 0, 1.2) < 5e-3
    assert largest_difference(found, 1, lambda s: np.clip(np.maximum(s, head), 0, 1), 0, 1.2) < 5e-3


@pytest.mark.parametrize(("n", "exponent"), [(2, 0.5), (2, 1.0), (2, 2.0), (3, 1.0), (3, 2.0), (5, 1.0), (8, 1.0)])
def test_symmetric_contests_dissipate_the_rent(n: int, exponent: float) -> None:
    """Baye, Kovenock & de Vries (1996): payoffs 0, costs sum to the prize in every equilibrium."""
    found = solve_mixed(contest(n, [1.0] + [0.0] * (n - 1), exponent=exponent), tolerance=1e-5, closed_forms=False)
    assert np.abs(found.utilities).max() < 1e-3
    assert found.expected_costs.sum() == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("prizes", [[1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0, 0.0], [1.0, 0.5, 0.25, 0.0]])
@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0])
def test_the_rent_is_dissipated_by_default(prizes: list[float], exponent: float) -> None:
    """With closed forms where they apply: also for costs so concave that densities have poles at both ends."""
    game = contest(len(prizes), prizes, exponent=exponent)
    found = solve_mixed(game)
    assert found.method.startswith("closed form") and found.exploitability <= 1e-3
    assert np.abs(found.utilities).max() < 1e-3 and check(game, found.certificate()).passed
    assert found.expected_costs.sum() == pytest.approx(sum(prizes), abs=1e-3)


@settings(max_examples=30)
@given(logit_games(n=(2, 4)))
def test_closed_forms_and_the_general_method_agree(game: LeaderboardGame) -> None:
    """Where payoffs are unique: generic contests for identical prizes."""
    prizes = np.where(np.arange(game.n) < max(1, game.n // 2), 1.0, 0.0)[None]
    game = replace(game, prizes=prizes)
    closed, general = solve_mixed(game), solve_mixed(game, closed_forms=False)
    assert closed.exploitability <= 2e-3 and check(game, closed.certificate()).passed
    if closed.method.startswith("closed form"):
        theory = identical_prizes_payoffs(game)
        if theory.status is PayoffStatus.GENERIC:
            np.testing.assert_allclose(closed.utilities, theory.payoffs, atol=2e-3)
            np.testing.assert_allclose(general.utilities, theory.payoffs, atol=0.05)


@pytest.mark.parametrize("closed_forms", [True, False])
@pytest.mark.parametrize("n", [2, 3])
def test_symmetric_strategies(n: int, closed_forms: bool) -> None:
    """F = c(s)^(1 / (n - 1)), where everybody is active."""
    found = solve_mixed(contest(n, [1.0] + [0.0] * (n - 1)), tolerance=1e-5, closed_forms=closed_forms)
    for i in range(n):
        assert largest_difference(found, i, lambda s: np.clip(s, 0, 1) ** (1 / (n - 1)), 0, 1) < 5e-3


@pytest.mark.parametrize("closed_forms", [True, False])
def test_identical_prizes_pay_by_reach(closed_forms: bool) -> None:
    """Siegel (2009): m = 2 prizes, the threshold is the third reach; payoffs 1 - c_i(threshold), 0 for the rest."""
    slopes = np.array([1.0, 1.25, 1.6, 2.0, 2.5])
    found = solve_mixed(
        game_of(linear([0.0] * 5, [1.0] * 5), [1.0, 1.0, 0.0, 0.0, 0.0], scale=slopes),
        tolerance=1e-4,
        closed_forms=closed_forms,
    )
    np.testing.assert_allclose(found.utilities, np.maximum(1 - slopes / 1.6, 0), atol=1e-3)


def test_a_cap_makes_both_stand_there() -> None:
    """Che & Gale (1998), split ties: a common cap below half the prize is the pure equilibrium, payoffs 1/2 - cap."""
    game = contest(2, [1.0, 0.0], cap=0.3, ties=TieRule.SPLIT)
    found = solve_mixed(game, tolerance=1e-4)
    np.testing.assert_allclose(found.utilities, [0.2, 0.2], atol=1e-3)
    assert found.cumulative(0, np.array([0.299]))[0] < 1e-2


def test_what_is_pure_is_found_pure() -> None:
    for seed in range(6):
        game = Protocol(tune_steps=40_000.0).induce(synthetic(6, 1, np.random.default_rng(seed)))
        pure = solve_pure(game)
        found = solve_mixed(game)
        assert found.exploitability <= 1e-3 and check(game, found.certificate()).passed
        if pure.exists[0]:
            np.testing.assert_allclose(found.utilities, game.prizes[0][pure.ranks[0]], atol=2e-3)


@settings(max_examples=25)
@given(logit_games(n=(2, 6), free=True, fee=True))
def test_profiles_of_any_game_are_worth_what_they_say(game: LeaderboardGame) -> None:
    if game.prize_span[0] < 1e-3:
        return
    found = solve_mixed(game)
    report = check(game, found.certificate())
    assert report.passed, report.summary()
    np.testing.assert_allclose(found.mass.sum(axis=0), 1.0)
    assert np.all(found.mass[~found.ladder.level.open] == 0)


@pytest.mark.parametrize("n", [10, 20])
def test_realistic_leaderboards_reach_a_thousandth(n: int) -> None:
    for seed in range(3):
        game = Protocol().induce(synthetic(n, 1, np.random.default_rng(seed)))
        found = solve_mixed(game)
        assert found.exploitability <= 1e-3, seed
        assert check(game, found.certificate()).passed


@pytest.mark.parametrize("rule", ["rounded", "audited", "split"])
def test_other_rules_are_certified(rule: str) -> None:
    for seed in range(3):
        game = Protocol().induce(synthetic(5, 1, np.random.default_rng(seed)))
        if rule == "rounded":
            game = replace(game, precision=0.02)
        elif rule == "audited":
            game = replace(game, audit=Audit(np.full((1, 5), 0.2), 60, 0.05, 0.5))
        else:
            game = replace(game, ties=TieRule.SPLIT)
        found = solve_mixed(game)
        report = check(game, found.certificate())
        assert report.passed, report.summary()
        assert rule == "audited" or found.exploitability < 2e-3


def corrupted(true: MixedCertificate) -> list[MixedCertificate]:
    first, *rest = true.pieces
    heavier = (replace(first[0], probability=first[0].probability + 0.01), *first[1:])
    moved = (*first[:-1], replace(first[-1], low=first[-1].low + 0.2, high=first[-1].high + 0.2))
    return [
        replace(true, exploitability=0.5 * true.exploitability - 1e-4),
        replace(true, utilities=(true.utilities[0] + 0.01, *true.utilities[1:])),
        replace(true, pieces=(heavier, *rest)),
        replace(true, pieces=(moved, *rest)),
        replace(true, pieces=(*rest, first)),
    ]


def test_a_false_certificate_is_found_out() -> None:
    game = game_of(linear([0.1, 0.0], [1.0, 1.0]), [1.0, 0.0], scale=[1.0, 2.0])
    true = solve_mixed(game, closed_forms=False).certificate()
    assert check(game, true).passed
    for k, false in enumerate(corrupted(true)):
        assert not check(game, false).passed, k


def test_standing_agrees_with_drawn_boards() -> None:
    game = Protocol().induce(synthetic(5, 1, np.random.default_rng(3)))
    found = solve_mixed(game)
    standing = mixed_standing(found)
    np.testing.assert_allclose(standing.ranks.sum(axis=0), 1.0, atol=1e-9)
    np.testing.assert_allclose(standing.ranks.sum(axis=1), 1.0, atol=1e-9)
    np.testing.assert_allclose(standing.above + standing.above.T, 1.0 - np.eye(5), atol=1e-9)
    draws = 40_000
    rung, lots = sample_mixed(found, draws, np.random.default_rng(0))
    place = rung + lots
    order = game.tie_order[0]
    above = (place[:, :, None] > place[:, None, :]) | (
        (place[:, :, None] == place[:, None, :]) & (order[:, None] < order)
    )
    np.testing.assert_allclose(above.mean(axis=0), standing.above, atol=4 * 0.5 / np.sqrt(draws))
    first = above.sum(axis=2) == 4
    np.testing.assert_allclose(first.mean(axis=0), standing.ranks[:, 0], atol=4 * 0.5 / np.sqrt(draws))


def test_level_payoffs_are_those_of_the_tensor() -> None:
    """The Poisson-binomial against the sum over all profiles, and its slopes against differences."""
    rng = np.random.default_rng(0)
    for ties in TieRule:
        game = replace(Protocol().induce(synthetic(4, 1, rng)), ties=ties)
        level = discretised(game, 6).level
        mass = np.where(level.open, rng.random(level.open.shape), 0.0)
        mass /= mass.sum(axis=0)
        payoffs = tensor(level)
        found = level_payoffs(level, mass)
        for i in range(4):
            summed = np.moveaxis(payoffs[..., i], i, 0)
            for j in reversed([j for j in range(4) if j != i]):
                summed = summed @ mass[level.open[:, j], j]
            np.testing.assert_allclose(found.value[level.open[:, i], i], summed, atol=1e-12)


def test_finite_games_are_solved_as_well_as_by_gambit() -> None:
    """No larger regret than the logit path of Gambit leaves on the same game."""
    gambit = pytest.importorskip("pygambit", reason="pygambit is not installed")
    for seed in range(3):
        game = Protocol().induce(synthetic(3, 1, np.random.default_rng(seed)))
        level = discretised(game, 8).level
        ours = solve_levels(level, tolerance=1e-9)
        theirs = gambit.nash.logit_solve(gambit.read_nfg(io.StringIO(as_nfg(level, "abc", "t")))).equilibria[0]
        assert float(theirs.max_regret()) >= 0.0
        assert ours.converged and ours.regret.max() <= max(float(theirs.max_regret()), 1e-8)
        np.testing.assert_allclose(level_regret(level, ours.mass), ours.regret)


def test_impossible_questions_are_refused() -> None:
    game = contest(2, [1.0, 0.0])
    with pytest.raises(ValueError, match="all prizes are equal"):
        solve_mixed(contest(2, [1.0, 1.0]))
    with pytest.raises(ValueError, match="noisy"):
        solve_mixed(replace(game, noise=Noise(sigma=0.1)))
    with pytest.raises(ValueError, match="2 games"):
        solve_mixed(Protocol().induce(synthetic(3, 2, np.random.default_rng(0))))
