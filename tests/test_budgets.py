"""Smallest tuning budgets against a dense grid, a closed form, planted crossings, and the game solved anew."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from builders import game_of, linear, logit, logit_games
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.optimize import brentq

from designer.budgets import StableBudgets, least_budget, shared_intervals, stable_budgets
from designer.prizes import Bands, Prizes
from designer.protocol import Protocol
from designer.search import Goal, search
from designer.space import Range, Space
from followers.costs import PowerCost
from followers.curves import Exponential, Linear
from followers.game import LeaderboardGame, TieRule, select
from followers.load import load
from followers.population import Population
from followers.prior import synthetic
from followers.tabulated import tabulate
from solvers.certificate import Status
from solvers.checker import check
from solvers.deviations import check_free_effort
from solvers.inner import solve_inner
from solvers.margin_bounds import margin_bounds


def shifted(game: LeaderboardGame, steps: float) -> LeaderboardGame:
    return replace(game, head_start=game.head_start + steps)


def margin_at(game: LeaderboardGame, steps: float) -> float:
    return float(check_free_effort(shifted(game, steps), compiled=False).margins.min())


@given(logit_games(n=(2, 7), free=True, fee=True), st.floats(0, 300), st.floats(0, 50), st.floats(0, 1))
def test_bounds_hold_throughout_a_cell(game: LeaderboardGame, start: float, width: float, place: float) -> None:
    game = replace(game, ties=TieRule.QUALITY)
    least, most = margin_bounds(shifted(game, start), shifted(game, start + width))
    margin = margin_at(game, min(start + place * width, start + width))
    assert least[0] - 1e-9 <= margin <= most[0] + 1e-9


@given(logit_games(n=(2, 5)), st.floats(0, 100))
def test_bounds_close_in(game: LeaderboardGame, start: float) -> None:
    """A cell of one point is the point, but where two entries tie: then only one of the two orders is played."""
    game = replace(game, ties=TieRule.QUALITY)
    scores = np.sort(shifted(game, start).scores(0.0)[0][0])
    assume(np.diff(scores).min() > 1e-9)
    least, most = margin_bounds(shifted(game, start), shifted(game, start))
    margin = margin_at(game, start)
    assert least[0] == pytest.approx(margin, abs=1e-9)
    assert most[0] == pytest.approx(margin, abs=1e-9)


def test_entries_that_tie_for_ever_are_told_apart() -> None:
    """Flat tables with one score: nobody can pass, stable at every budget; with room above it is not."""
    flat = tabulate([([0.0, 10.0], [0.5, 0.5])] * 2)
    (found,) = stable_budgets(game_of(flat, [1.0, 0.0], scale=1e-3), upto=100.0)
    assert found.stable == ((0.0, 100.0),)
    twins = logit([0.1, 0.1], [0.8, 0.8], [-3.0, -3.0], [1.0, 1.0])
    (found,) = stable_budgets(game_of(twins, [1.0, 0.0], scale=1e-3), upto=100.0)
    assert found.stable == found.undecided == ()


@pytest.mark.parametrize("margin", [0.0, 0.02])
def test_intervals_are_what_a_dense_grid_finds(margin: float) -> None:
    grid = np.linspace(0, 40_000, 1_601)
    hits = windows = 0
    for seed in range(12):
        population = synthetic(5 + seed, 1, np.random.default_rng(seed), cost_scale=1e-4)
        protocol = Protocol(
            tiers=Bands(width=2) if seed % 4 == 3 else Bands(), hidden_share=0.5 if seed == 4 else 0.0, transfer=0.3
        )
        game = protocol.induce(population)
        (found,) = stable_budgets(game, margin=margin, upto=float(grid[-1]))
        windows += len(found.stable)
        assert sum(b - a for a, b in found.undecided) < 1.0
        everywhere = select(game, np.zeros(len(grid), dtype=int))
        everywhere = replace(everywhere, head_start=everywhere.head_start + grid[:, None])
        truth = check_free_effort(everywhere).margins.min(axis=1)
        for steps, exact in zip(grid[::100].tolist(), truth[::100], strict=True):  # the knob shifts head starts
            anew = check_free_effort(replace(protocol, tune_steps=steps).induce(population))
            assert anew.margins.min() == exact
        for steps, exact in zip(grid.tolist(), truth, strict=True):
            inside = any(a <= steps <= b for a, b in found.stable)
            if not any(a <= steps <= b for a, b in found.undecided):
                assert inside == (exact >= margin), f"seed {seed}, {steps} steps: {exact}"
                hits += inside
    assert hits > 500
    assert windows > 12  # crossings: more windows than populations


def duel(scale: float, rate: float = 1e-3) -> Population:
    ones = np.ones((1, 2))
    return Population(
        names=("better", "worse"),
        quality=np.array([[0.8, 0.75]]),
        curve=Exponential(lower=0.0 * ones, upper=np.array([[0.8, 0.75]]), rate=rate * ones),
        cost=PowerCost(scale=scale * ones, exponent=ones, free=0.0 * ones, entry_fee=0.0 * ones),
        prior_exposure=np.zeros((1, 2)),
        effort_cap=np.full((1, 2), np.inf),
        parameters_b=np.array([7.0, 70.0]),
        score_stderr=np.zeros(2),
        provenance={},
    )


def test_two_developers_have_a_closed_form() -> None:
    """v = U (1 - exp(-k x)): from Delta the worse one needs e = -log(1 - U1/U2 (1 - exp(-k Delta))) / k - Delta."""
    population, gap = duel(1e-4), 0.05
    design = least_budget(population, Protocol(prizes=Prizes(values=(0.525, 0.475))))

    def catch_up(steps: float) -> float:
        return -np.log1p(-0.8 / 0.75 * -np.expm1(-1e-3 * steps)) / 1e-3 - steps

    wanted = brentq(lambda steps: 1e-4 * catch_up(steps) - gap, 1.0, 2_700.0, xtol=1e-12, rtol=1e-15)
    assert design.steps == pytest.approx(wanted, rel=1e-9)
    assert design.status == "found"
    assert design.compute == pytest.approx(77.0 * wanted)
    (climb,) = design.binding
    assert climb.developer == "worse"
    assert climb.cost == pytest.approx(gap, rel=1e-6)
    # a climb that costs d more lets the budget shrink by price * d
    cheaper = least_budget(duel(1e-4 * (1 + 1e-4)), Protocol(prizes=Prizes(values=(0.525, 0.475))))
    assert design.steps is not None
    assert cheaper.steps is not None
    assert (design.steps - cheaper.steps) / (gap * 1e-4) == pytest.approx(climb.price, rel=2e-3)


def test_a_planted_crossing_cuts_the_interval() -> None:
    """One starts ahead, the other ends ahead: stable before and after the crossing, not around it."""
    game = game_of(linear([0.3, 0.1], [1e-4, 2e-4]), [1.0, 0.0], scale=1.0 / 250.0)
    (found,) = stable_budgets(game, upto=6_000.0)
    assert len(found.stable) == 2
    assert not found.undecided
    (_, first_end), (second_start, last) = found.stable
    assert last == 6_000.0
    # the scores meet at 2,000 steps; the prize pays for 250 steps of catching up, at 2e-4 before and 1e-4 after
    assert first_end == pytest.approx(2_000.0 - 2 * 250.0)
    assert second_start == pytest.approx(2_000.0 + 250.0)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("margin", [0.0, 0.01])
def test_a_smaller_budget_breaks_it(seed: int, margin: float) -> None:
    n = [2, 3, 5, 8, 12, 16, 20, 24, 28, 30][seed]
    population = synthetic(n, 1, np.random.default_rng(100 + seed), cost_scale=2e-4)
    design = least_budget(population, Protocol(), margin=margin)
    if design.steps is None:
        assert design.status == "none"
        pytest.skip("no budget up to 100,000 steps will do")
    assert design.protocol is not None
    game = design.protocol.induce(population)
    answer = solve_inner(game)
    assert answer.status(0) is Status.EXISTS
    assert float(answer.margin[0]) >= margin - 1e-9
    assert check(game, answer.certify(0)).passed
    if design.steps == 0:
        return
    assert design.binding
    fewer = replace(design.protocol, tune_steps=0.99 * design.steps).induce(population)
    assert float(check_free_effort(fewer).margins.min()) < margin


def test_measured_populations_are_stable_in_windows() -> None:
    """GSM8K: stable at 20,000 and 25,000 steps, not at 50,000; each window ends where the margin turns."""
    population = load("gsm8k")
    design = least_budget(population, Protocol())
    assert design.steps == pytest.approx(16_357.9, abs=0.1)
    assert design.undecided == 0
    for steps, stable in ((16_000, False), (20_000, True), (25_000, True), (30_000, True), (50_000, False)):
        assert any(a <= steps <= b for a, b in design.intervals) == stable
    game = Protocol().induce(population)
    for a, b in design.intervals:
        assert margin_at(game, a) >= 0 > margin_at(game, a - 1e-6)
        assert margin_at(game, b) >= 0
        assert b == design.upto or margin_at(game, b + 1e-6) < 0


def test_where_the_margin_jumps_what_pays_just_below_is_told() -> None:
    """B can add 0.01 to its score; A's lead is 0.005 + 1e-3 Delta: B is out of reach from 5 steps on, at no margin."""
    population = replace(
        duel(1e-4),
        curve=Linear(np.array([0.405, 0.4]), np.array([2e-3, 1e-3])),
        effort_cap=np.array([[10.0, 10.0]]),
    )
    design = least_budget(population, Protocol(prizes=Prizes(values=(1.0, 0.0))), upto=100.0)
    assert design.steps == pytest.approx(5.0, rel=1e-9)
    assert design.jumps and design.intervals == ((design.steps, 100.0),)
    (climb,) = design.binding
    assert (climb.developer, climb.rank, climb.target, climb.price) == ("worse", 2, 1, 0.0)
    assert climb.cost == pytest.approx(1e-3, rel=1e-3) and climb.gain == 1.0
    assert climb.effort <= 10.0


def test_a_coarse_tolerance_does_not_claim_the_least() -> None:
    """What is undecided below the budget found is told apart from what is undecided elsewhere."""
    population, protocol = duel(1e-4), Protocol(prizes=Prizes(values=(0.525, 0.475)))
    fine = least_budget(population, protocol)
    coarse = least_budget(population, protocol, tolerance=5_000.0)
    assert fine.steps is not None and coarse.steps is not None
    assert fine.below == fine.undecided == 0
    assert fine.steps < coarse.steps
    assert coarse.below >= coarse.steps - fine.steps  # the least one hides there
    assert coarse.below <= coarse.undecided


def test_draws_share_a_budget() -> None:
    population = synthetic(6, 40, np.random.default_rng(5), cost_scale=1e-4)
    design = least_budget(population, Protocol(), share=0.75, upto=300_000.0)
    assert design.steps is not None
    assert design.draws == 40
    margins = check_free_effort(Protocol(tune_steps=design.steps).induce(population)).margins.min(axis=1)
    assert (margins >= -1e-9).mean() == pytest.approx(design.reached)
    assert design.reached >= 0.75
    for smaller in np.linspace(0, design.steps * (1 - 1e-6), 200):
        margins = check_free_effort(Protocol(tune_steps=float(smaller)).induce(population)).margins.min(axis=1)
        assert (margins >= 0).mean() < 0.75
    nothing = least_budget(population, Protocol(), share=1.0, upto=10.0)
    assert nothing.steps is None
    assert nothing.protocol is None
    assert nothing.status == "none"
    assert nothing.never > 0


def test_intervals_of_several_games_are_swept() -> None:
    def budgets(*stable: tuple[float, float]) -> StableBudgets:
        return StableBudgets(stable, (), 1)

    found = (budgets((1, 4), (6, 9)), budgets((2, 6)), budgets((4, 7)), budgets())
    assert shared_intervals(found, 2) == (((2, 7),), 3)
    assert shared_intervals(found, 3) == (((4, 4), (6, 6)), 3)
    assert shared_intervals(found, 4) == ((), 3)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"noise": 0.01}, "noisy or rounded"),
        ({"precision": 0.01}, "noisy or rounded"),
        ({"ties": TieRule.SPLIT}, 'ties = "split"'),
    ],
)
def test_what_the_bounds_do_not_cover_is_refused_by_name(change: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=f"design budget: .*{word}"):
        least_budget(load("gsm8k"), Protocol(**change))


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"margin": -0.1}, "margin = -0.1"),
        ({"upto": float("nan")}, "upto = nan"),
        ({"share": 0.0}, "share = 0"),
        ({"tolerance": 0.0}, "tolerance = 0"),
    ],
)
def test_numbers_out_of_range_are_refused(options: dict[str, float], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        least_budget(load("gsm8k"), Protocol(), **options)


@pytest.mark.parametrize("name", ["gsm8k", "mmlu"])
def test_the_exact_optimum_bounds_the_search(name: str) -> None:
    """No search finds a cheaper budget, and 300 trials come within 2% (median of three seeds)."""
    population = load(name)
    exact = least_budget(population, Protocol())
    assert exact.compute is not None
    space, goal = Space({"tune_steps": Range(0.0, 50_000.0)}), Goal("designer_cost", {}, steady=True)
    costs = []
    for seed in range(3):
        found = search(population, space=space, goal=goal, trials=300, draws=2, seed=seed).best
        assert found is not None
        costs.append(found.scorecard.mean("designer_cost"))
    assert min(costs) >= exact.compute * (1 - 1e-12)
    assert np.median(costs) <= 1.02 * exact.compute
