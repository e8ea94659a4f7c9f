"""Designs for the mean of the worst draws, against one large program, direct search, and the games solved anew."""

from __future__ import annotations

from typing import Any

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from designer.audit_plans import honest_climbs, plan_for_draws
from designer.audit_stakes import suspicion
from designer.audit_tail import plan_for_tail
from designer.prize_design import compress_prizes
from designer.prizes import Bands, Prizes
from designer.protocol import Protocol
from designer.tail_program import cvar, draw_margins, nearest_tail_prizes, tail_stakes
from designer.temptations import priced_climbs
from followers.prior import synthetic
from solvers.deviations import check_free_effort


def random_costs(rng: np.random.Generator, draws: int, n: int) -> np.ndarray:
    cost = rng.random((draws, n, n)) ** 2
    cost[rng.random((draws, n, n)) < 0.1] = np.inf
    return np.where(np.tri(n, k=-1, dtype=bool), cost, np.inf)


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=20), st.floats(0.01, 1))
def test_cvar_is_its_definition(margins: list[float], tail: float) -> None:
    """max over eta of eta - mean(max(eta - m, 0)) / tail; the maximum lies at one of the margins."""
    m = np.array(margins)
    value = max(eta - np.maximum(eta - m, 0).mean() / tail for eta in margins)
    assert cvar(m, tail) == pytest.approx(value, abs=1e-9)


def test_the_ends_of_cvar_are_the_worst_and_the_mean() -> None:
    m = np.array([0.3, -0.2, 0.5, 0.1])
    assert cvar(m, 0.25) == cvar(m, 1e-3) == -0.2
    assert cvar(m, 1.0) == pytest.approx(m.mean())
    assert cvar(m, 0.375) == pytest.approx((-0.2 + 0.5 * 0.1) / 1.5)


def whole_program(announced: np.ndarray, cost: np.ndarray, tail: float, margin: float, norm: str) -> float | None:
    """The same question with every row at once, another solver."""
    draws, n = len(cost), len(announced)
    prizes, level, short = cp.Variable(n), cp.Variable(), cp.Variable(draws, nonneg=True)
    rows = [
        short[b] + cost[b, k, r] - (prizes[r] - prizes[k]) >= level
        for b in range(draws)
        for k in range(n)
        for r in range(k)
        if np.isfinite(cost[b, k, r])
    ]
    sets = [
        short + announced[0] - announced[-1] >= level,
        cp.diff(prizes) <= 0,
        cp.sum(prizes) == announced.sum(),
        prizes[n - 1] >= 0,
    ]
    distance = cp.norm1(prizes - announced) if norm == "L1" else cp.norm2(prizes - announced)
    problem = cp.Problem(cp.Minimize(distance), [*rows, *sets, level - cp.sum(short) / (tail * draws) >= margin])
    problem.solve(solver="CLARABEL")
    return None if problem.status.startswith("infeasible") else float(problem.value)


@pytest.mark.parametrize("norm", ["L1", "L2"])
def test_prizes_agree_with_every_row_at_once(norm: Any) -> None:
    solved = refused = 0
    for seed in range(24):
        rng = np.random.default_rng(seed)
        n, draws = int(rng.integers(2, 7)), int(rng.integers(1, 9))
        announced = np.sort(rng.random(n))[::-1].copy()
        cost, tail, margin = random_costs(rng, draws, n), float(rng.uniform(0.1, 1)), float(rng.choice([0.0, 0.15]))
        answer = nearest_tail_prizes(announced, cost, tail=tail, margin=margin, norm=norm)
        least = whole_program(announced, cost, tail, margin, norm)
        if least is None:
            assert answer.status == "infeasible"
            assert answer.reached < margin
            refused += 1
            continue
        solved += 1
        assert answer.status == "optimal"
        assert answer.value == pytest.approx(least, abs=2e-6)
        assert (
            cvar(draw_margins(cost, answer.values, np.zeros(n), None, announced[0] - announced[-1])[0], tail) >= margin
        )
        assert np.all(np.diff(answer.values) <= 1e-9)
        assert answer.values.sum() == pytest.approx(announced.sum())
    assert solved > 10
    assert refused > 1


def test_a_tail_of_one_draw_is_the_robust_design() -> None:
    population = synthetic(8, 12, np.random.default_rng(3), cost_scale=1e-3)
    everywhere = compress_prizes(population, Protocol())
    worst = compress_prizes(population, Protocol(), tail=1 / 12)
    assert worst.distance == pytest.approx(everywhere.distance, rel=1e-4)
    loose = compress_prizes(population, Protocol(), tail=0.5)
    assert loose.distance < worst.distance
    assert loose.reached is not None
    assert 0 <= loose.reached < 1e-6


@pytest.mark.parametrize("tail", [0.1, 0.4, 1.0])
def test_tail_prizes_keep_their_promise_in_the_games(tail: float) -> None:
    """Exact margins are never below the program's, and 1% steeper prizes break the promise."""
    population = synthetic(10, 40, np.random.default_rng(8), cost_scale=1e-3)
    protocol = Protocol(tiers=Bands(width=2), tune_steps=500.0)
    design = compress_prizes(population, protocol, tail=tail, margin=0.002)
    assert design.status == "optimal"
    assert design.protocol is not None
    assert np.all(design.prizes[::2] == design.prizes[1::2])
    game = design.protocol.induce(population)
    exact = check_free_effort(game).margins.min(axis=1)
    band = np.arange(10) // 2
    cost, span = priced_climbs(population, protocol, "test").cost, design.announced[0] - design.announced[-1]
    cost = np.where(band[:, None] == band, np.inf, cost)
    seen = draw_margins(cost, design.prizes, np.zeros(10), None, span)[0]
    assert np.all(exact >= seen - 1e-9)
    assert cvar(np.minimum(exact, span), tail) >= 0.002 - 1e-9
    mean = design.prizes.mean()
    steeper = draw_margins(cost, mean + 1.01 * (design.prizes - mean), np.zeros(10), None, span)[0]
    assert cvar(steeper, tail) < 0.002
    assert len(design.binding) == int(np.ceil(tail * 40))


@pytest.mark.parametrize("norm", ["L1", "L2"])
def test_the_unit_of_prizes_does_not_matter(norm: Any) -> None:
    rng = np.random.default_rng(2)
    announced, cost = np.sort(rng.random(5))[::-1].copy(), 0.05 + random_costs(rng, 6, 5)
    here, there = (
        nearest_tail_prizes(unit * announced, unit * cost, tail=0.4, margin=0.01 * unit, norm=norm)
        for unit in (1.0, 1e6)
    )
    assert here.status == there.status == "optimal"
    assert there.value / 1e6 == pytest.approx(here.value, abs=1e-6)
    assert there.reached / 1e6 == pytest.approx(here.reached, abs=1e-6) and there.reached >= 1e4


def test_less_than_one_draw_is_the_worst_draw() -> None:
    population = synthetic(5, 6, np.random.default_rng(1), cost_scale=1e-3)
    worst, less = (compress_prizes(population, Protocol(), tail=tail) for tail in (1 / 6, 1e-9))
    assert less.distance == pytest.approx(worst.distance, rel=1e-6)


def test_numbers_out_of_range_are_refused_by_name() -> None:
    population = synthetic(3, 4, np.random.default_rng(1))
    question: dict[str, Any] = {"items": 100, "level": 0.05, "fine": 1.0, "tail": 0.5}
    for change, words in (
        ({"margin": -1.0}, "margin = -1"),
        ({"margin": np.nan}, "margin = nan"),
        ({"cost_per_audit": np.nan}, "cost_per_audit = nan"),
        ({"cost_per_audit": -1.0}, "cost_per_audit = -1"),
        ({"tail": np.nan}, "tail = nan"),
        ({"items": 0}, "items = 0"),
    ):
        with pytest.raises(ValueError, match=words):
            plan_for_tail(population, Protocol(), **{**question, **change})


def test_equal_prizes_need_no_audits_and_leave_no_margin() -> None:
    population = synthetic(3, 4, np.random.default_rng(1))
    flat = plan_for_tail(
        population, Protocol(prizes=Prizes(values=(0.5,) * 3)), items=100, level=0.05, fine=1.0, tail=0.5
    )
    assert flat.status == "optimal" and flat.expected_audits == 0 and flat.reached == 0


def test_prizes_that_hold_are_left_alone_and_impossible_ones_refused() -> None:
    population = synthetic(5, 6, np.random.default_rng(1), cost_scale=1e-3)
    flat = Protocol(prizes=Prizes(values=(0.2,) * 5))
    assert compress_prizes(population, flat, tail=0.5).status == "unchanged"
    asked = compress_prizes(population, Protocol(), tail=0.5, margin=1e6)
    assert asked.status == "infeasible"
    assert "smaller margin" in asked.notes[0]
    with pytest.raises(ValueError, match="tail = 0;"):
        compress_prizes(population, Protocol(), tail=0.0)


def test_audits_agree_with_the_plan_for_every_draw_and_cost_less_in_the_tail() -> None:
    population = synthetic(6, 10, np.random.default_rng(4), cost_scale=2e-5)
    protocol = Protocol(tune_steps=3_000.0)
    options: dict[str, Any] = {"items": 400, "level": 0.01, "fine": 30.0}
    every = plan_for_draws(population, protocol, **options)
    assert every.plan is not None
    worst = plan_for_tail(population, protocol, tail=0.1, **options)
    assert worst.expected_audits == pytest.approx(every.expected_audits, rel=1e-4)
    half = plan_for_tail(population, protocol, tail=0.5, **options)
    assert 0 < half.expected_audits < worst.expected_audits
    climbs = honest_climbs(population, protocol)
    caught, penalty = suspicion(climbs.score, items=400, level=0.01), climbs.penalty(30.0)
    assert half.plan is not None
    stakes = np.array(half.plan.probability) * penalty
    assert cvar(draw_margins(climbs.cost, climbs.prizes, stakes, caught, climbs.span)[0], 0.5) >= -1e-9
    assert cvar(draw_margins(climbs.cost, climbs.prizes, 0.99 * stakes, caught, climbs.span)[0], 0.5) < 0
    without = plan_for_tail(population, protocol, tail=0.5, items=400, level=0.01, fine=0.0, margin=10.0)
    assert without.status == "impossible"
    assert without.plan is None
    assert "raise the fine" in without.sentences()[0]


def test_stakes_agree_with_every_row_at_once() -> None:
    for seed in range(12):
        rng = np.random.default_rng(seed)
        n, draws = int(rng.integers(2, 6)), int(rng.integers(1, 7))
        prizes = np.sort(rng.random(n))[::-1].copy()
        cost, tail = random_costs(rng, draws, n), float(rng.uniform(0.2, 1))
        caught = np.tri(n)[None] * rng.uniform(0.3, 1.0, (draws, n, n))
        caught[:, np.arange(n), np.arange(n)] = 0.01
        penalty = prizes - prizes[-1] + 5.0
        answer = tail_stakes(prizes, cost, caught, penalty, tail=tail, margin=0.0)
        stakes, level, short = cp.Variable(n, nonneg=True), cp.Variable(), cp.Variable(draws, nonneg=True)
        rows = [
            short[b] + cost[b, k, r] - prizes[r] + prizes[k] + caught[b, k, r] * stakes[r] - 0.01 * stakes[k] >= level
            for b in range(draws)
            for k in range(n)
            for r in range(k)
            if np.isfinite(cost[b, k, r])
        ]
        promise = level - cp.sum(short) / (tail * draws) >= 0
        problem = cp.Problem(
            cp.Minimize(stakes @ (1 / penalty)),
            [*rows, promise, stakes <= penalty, short + prizes[0] - prizes[-1] >= level],
        )
        problem.solve(solver="CLARABEL")
        assert answer.status == "optimal"
        assert answer.value == pytest.approx(float(problem.value), abs=1e-5)


@pytest.mark.parametrize("norm", ["L1", "L2"])
def test_a_solver_that_fails_is_reported_never_guessed_from(norm: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    population = synthetic(5, 6, np.random.default_rng(1), cost_scale=1e-4)
    compress_prizes(population, Protocol(), tail=0.5, norm=norm)  # a good answer that must not be returned again

    def crashing(self: cp.Problem, **options: Any) -> None:
        raise cp.SolverError("out of memory")

    monkeypatch.setattr(cp.Problem, "solve", crashing)
    with pytest.raises(RuntimeError, match=r"failed \(out of memory\); try"):
        compress_prizes(population, Protocol(), tail=0.5, norm=norm)
    monkeypatch.setattr(cp.Problem, "solve", lambda self, **options: None)  # leaves no status
    with pytest.raises(RuntimeError, match="ended with status None"):
        compress_prizes(population, Protocol(), tail=0.5, norm=norm)
