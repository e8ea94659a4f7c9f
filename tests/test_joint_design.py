"""Joint designs against brute force, closed forms, dense grids of budgets, and the game solved anew."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from designer.audit_limits import can_be_staked
from designer.audit_plans import plan_audits
from designer.audit_stakes import least_stakes
from designer.audits import AuditPlan
from designer.budgets import least_budget
from designer.joint_design import UnitCosts, design_jointly
from designer.joint_program import IncentiveCosts, cheapest_incentives
from designer.joint_rows import ClimbRows, rows_at, rows_between
from designer.prize_design import compress_prizes
from designer.prize_program import nearest_prizes
from designer.prizes import Bands, Prizes
from designer.protocol import Protocol
from followers.costs import PowerCost
from followers.curves import Linear
from followers.load import load
from followers.population import Population
from followers.prior import synthetic
from solvers.certificate import Status
from solvers.checker import check
from solvers.inner import solve_inner

AUDIT: dict[str, Any] = {"items": 300, "level": 0.01}


def population(n: int, seed: int, draws: int = 1, cost_scale: float = 1e-4) -> Population:
    return synthetic(n, draws, np.random.default_rng(seed), cost_scale=cost_scale)


@given(st.integers(0, 2**32 - 1), st.floats(0, 5_000), st.floats(0, 500), st.floats(0, 1))
def test_what_deters_at_a_budget_deters_the_relaxed_climbs(seed: int, start: float, width: float, place: float) -> None:
    people = population(5, seed, draws=2)
    wide = rows_between(people, Protocol(), start, start + width, **AUDIT)
    exact = rows_at(people, Protocol(), min(start + place * width, start + width), **AUDIT)
    counted = np.isfinite(wide.cost)
    assert np.all(exact.cost[counted] <= wide.cost[counted] + 1e-9)
    assert np.all(exact.caught[counted] <= wide.caught[counted] + 1e-9)
    own = np.arange(5)
    assert np.all(exact.caught[:, own, own] >= wide.caught[:, own, own] - 1e-9)


def test_relaxed_climbs_close_in() -> None:
    people = population(6, 1)
    exact = rows_at(people, Protocol(), 700.0, **AUDIT)
    wide = rows_between(people, Protocol(), 700.0, 700.0 + 1e-7, **AUDIT)
    np.testing.assert_allclose(wide.cost, exact.cost, rtol=1e-6)
    np.testing.assert_allclose(wide.caught, exact.caught, rtol=1e-6)


def random_rows(rng: np.random.Generator, n: int, draws: int) -> ClimbRows:
    climb = np.tri(n, k=-1, dtype=bool)
    cost = np.where(climb & (rng.random((draws, n, n)) < 0.9), rng.random((draws, n, n)) ** 3, np.inf)
    caught = np.where(climb, rng.uniform(0.2, 1.0, (draws, n, n)), 0.0)
    caught[:, np.arange(n), np.arange(n)] = rng.uniform(0, 0.02, (draws, n))
    return ClimbRows(cost, caught)


def priced(prizes: np.ndarray, rows: ClimbRows, announced: np.ndarray, costs: IncentiveCosts, margin: float) -> float:
    """Cost of prizes with the least audits for them."""
    limit = np.maximum(np.where(np.isfinite(rows.cost), rows.cost, 0.0) - margin, 0.0)
    pull = np.where(np.isfinite(rows.cost), prizes[None, :] - prizes[:, None] - limit, -np.inf)
    audits = can_be_staked(least_stakes(pull, rows.caught)[0], prizes - prizes[-1] + costs.fine).sum()
    return float(costs.moved * np.abs(prizes - announced).sum() + costs.audit * audits)


@pytest.mark.parametrize("seed", range(12))
def test_incentives_are_as_cheap_as_a_fine_grid_finds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 2 + seed % 2
    rows = random_rows(rng, n, 1 + seed % 3)
    announced = np.sort(rng.random(n))[::-1] + 0.2
    costs = IncentiveCosts(moved=1.0, audit=float(rng.choice([0.1, 0.5, 2.0])), fine=float(rng.choice([0.0, 0.3, 3.0])))
    margin = float(rng.choice([0.0, 0.05]))
    found = cheapest_incentives(rows, announced, costs, margin=margin, gap=1e-6, node_budget=3_000)
    assert found.bound <= found.cost <= found.bound * (1 + 1e-6) + 1e-9
    assert found.cost == pytest.approx(priced(found.prizes, rows, announced, costs, margin), abs=1e-12)
    total, step = announced.sum(), 1 / 240
    shares = np.arange(0, 1 + step / 2, step)
    cheapest = np.inf
    for first, second in product(shares, shares) if n == 3 else ((x, 1 - x) for x in shares):
        prizes = total * np.array([first, second, 1 - first - second][:n])
        if np.all(np.diff(prizes) <= 1e-12) and prizes[-1] >= -1e-12:
            cheapest = min(cheapest, priced(np.maximum(prizes, 0.0), rows, announced, costs, margin))
    assert found.bound <= cheapest + 1e-9
    assert found.cost <= cheapest + 1e-9


def test_without_audits_it_is_the_nearest_prizes_and_with_dear_prizes_the_audit_plan() -> None:
    people, protocol = population(7, 5), Protocol(tune_steps=600.0)
    prizes_only = cheapest_incentives(
        rows_at(people, protocol, 600.0, items=0, level=0.01),
        np.array(protocol.induce(people).prizes[0]),
        IncentiveCosts(1.0, 1.0, 0.0),
    )
    nearest = compress_prizes(people, protocol, norm="L1")
    assert prizes_only.cost == pytest.approx(nearest.distance, abs=1e-7)
    plan = plan_audits(people, protocol, fine=60.0, **AUDIT)
    audits_only = cheapest_incentives(
        rows_at(people, protocol, 600.0, **AUDIT),
        np.array(protocol.induce(people).prizes[0]),
        IncentiveCosts(1e6, 1.0, 60.0),
    )
    assert audits_only.moved == 0
    assert audits_only.audits == pytest.approx(plan.expected_audits, rel=1e-9)


def test_bands_share_their_prizes() -> None:
    people, protocol = population(6, 2), Protocol(tiers=Bands(width=2))
    rows = rows_at(people, protocol, 0.0, items=0, level=0.01)
    announced = np.array(protocol.induce(people).prizes[0])
    found = cheapest_incentives(rows, announced, IncentiveCosts(1.0, 1.0, 0.0), bands=(2, 2, 2))
    assert np.all(found.prizes[::2] == found.prizes[1::2])
    wanted = nearest_prizes(announced, rows.cost[0], norm="L1", keep_first=False, bands=(2, 2, 2))
    assert wanted is not None
    assert found.cost == pytest.approx(np.abs(wanted[0] - announced).sum(), abs=1e-7)


def test_a_budget_of_nodes_leaves_a_bound() -> None:
    rng = np.random.default_rng(3)
    rows, announced = random_rows(rng, 6, 1), np.linspace(1.0, 0.1, 6)
    costs = IncentiveCosts(moved=0.3, audit=0.5, fine=0.05)
    short = cheapest_incentives(rows, announced, costs, gap=0.0, node_budget=1)
    long = cheapest_incentives(rows, announced, costs, gap=1e-3, node_budget=2_000)
    assert short.nodes <= 2
    assert short.bound <= long.bound + 1e-12 <= long.cost + 2e-12 <= short.cost + 4e-12
    assert short.bound < short.cost


@pytest.mark.parametrize("seed", range(4))
def test_no_budget_on_a_grid_is_cheaper(seed: int) -> None:
    people = population(4, 20 + seed, draws=1 + seed % 2)
    costs, fine = UnitCosts(compute=[1e-4, 3e-5][seed % 2], moved=1.0, audit=0.5), 4.0
    design = design_jointly(people, Protocol(), costs, fine=fine, upto=4_000.0, gap=0.01, **AUDIT)
    assert design.best is not None
    assert design.gap <= 0.01
    announced = np.array(Protocol().induce(people).prizes[0])
    unit = IncentiveCosts(costs.moved, costs.audit, fine)
    cheapest = min(
        costs.compute * steps * people.parameters_b.sum()
        + cheapest_incentives(rows_at(people, Protocol(), steps, **AUDIT), announced, unit, gap=1e-3).bound
        for steps in np.linspace(0, 4_000, 201).tolist()
    )
    assert design.bound <= cheapest + 1e-9
    assert design.best.cost <= cheapest * 1.0101 + 1e-9


@pytest.mark.parametrize(
    ("n", "margin", "items"), [(2, 0.0, 300), (6, 0.005, 300), (12, 0.0, 300), (20, 0.002, 300), (30, 0.0, 0)]
)
def test_joint_designs_hold_and_loosening_breaks_them(n: int, margin: float, items: int) -> None:
    """A percent less of everything would cost a percent less, which the bound excludes."""
    people = population(n, n)
    costs = UnitCosts(compute=1e-5, moved=1.0, audit=0.2)
    design = design_jointly(
        people, Protocol(), costs, items=items, fine=3.0, margin=margin, upto=20_000.0, gap=0.008, cell_budget=2_000
    )
    assert design.best is not None
    assert design.protocol is not None
    assert design.best.cost > 0
    assert design.gap <= 0.008
    game = design.protocol.induce(people)
    answer = solve_inner(game)
    assert answer.status(0) is Status.EXISTS
    assert float(answer.margin[0]) >= margin - 1e-9
    if n <= 6:
        assert check(game, answer.certify(0)).passed
    audit, prizes = design.protocol.audit, np.array(game.prizes[0])
    towards = prizes + 0.01 * (Protocol().induce(people).prizes[0] - prizes)
    looser = replace(
        design.protocol,
        tune_steps=0.99 * design.protocol.tune_steps,
        audit=replace(audit, probability=tuple(0.99 * p for p in audit.probability)) if audit.active else AuditPlan(),
        prizes=Prizes(values=tuple(towards.tolist())),
    )
    assert float(solve_inner(looser.induce(people)).margin[0]) < margin


def test_measured_population_is_designed_to_within_a_percent() -> None:
    """GSM8K: a little tuning and flatter prizes cost a fraction of tuning alone, or of flatter prizes alone."""
    people = load("gsm8k")
    costs = UnitCosts(compute=1e-6, moved=1.0, audit=1.0)
    alone = least_budget(people, Protocol())
    assert alone.steps is not None
    assert alone.compute is not None
    design = design_jointly(people, Protocol(), costs, budgets=(alone.steps,))
    assert design.best is not None
    assert design.gap <= 0.01
    assert design.best.cost < 0.3 * min(
        costs.compute * alone.compute, compress_prizes(people, Protocol(), norm="L1").distance
    )
    assert design.protocol is not None
    assert solve_inner(design.protocol.induce(people)).status(0) is Status.EXISTS


def test_without_audits_scores_may_be_anything_and_effort_free() -> None:
    """Linear scores beyond 1 after any tuning, free effort: the climbs are priced all the same, and by hand.

    B is 100 steps behind less 20 that are free, at 1e-3 a step: it gains 1 at a cost of 0.08; so prizes must move by
    0.92 at a cost of 1 a unit, or not where tuning is no use.
    """
    people = Population(
        names=("A", "B"),
        quality=np.array([[1.0, 0.5]]),
        curve=Linear(np.array([0.5, 0.4]), np.array([1e-3, 1e-3])),
        cost=PowerCost(np.full(2, 1e-3), np.ones(2), np.array([0.0, 20.0]), np.zeros(2)),
        prior_exposure=np.zeros((1, 2)),
        effort_cap=np.full((1, 2), np.inf),
        parameters_b=np.ones(2),
        score_stderr=np.zeros(2),
    )
    protocol = Protocol(prizes=Prizes(values=(1.0, 0.0)))
    design = design_jointly(people, protocol, UnitCosts(1e-4, 1.0, 1.0), upto=5_000.0)
    assert design.best is not None and design.best.steps == 0
    assert design.best.cost == pytest.approx(0.92, rel=1e-6)
    assert design.gap <= 0.01
    with pytest.raises(ValueError, match=r"design joint: developer 2 has 20 steps of free effort"):
        design_jointly(people, protocol, UnitCosts(1e-4, 1.0, 1.0), items=10, upto=5_000.0)
    sober = replace(people, cost=replace(people.cost, free=np.zeros(2)))
    with pytest.raises(ValueError, match=r"design joint: scores of developer 1 run from"):
        design_jointly(sober, protocol, UnitCosts(1e-4, 1.0, 1.0), items=10, upto=5_000.0)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"gap": np.nan}, "gap = nan"),
        ({"gap": -1.0}, "gap = -1"),
        ({"gap": 1.0}, "gap = 1"),
        ({"margin": -1.0}, "margin = -1"),
        ({"upto": np.inf}, "upto = inf"),
        ({"items": 10, "level": 2.0}, "level = 2"),
        ({"items": 10, "fine": -1.0}, "fine = -1"),
    ],
)
def test_numbers_out_of_range_are_refused(options: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        design_jointly(population(3, 0), Protocol(), UnitCosts(1.0, 1.0, 1.0), **options)
    with pytest.raises(ValueError, match="cost of audit = -1"):
        UnitCosts(1.0, 1.0, -1.0)


def test_a_solver_that_fails_is_reported_never_guessed_from(monkeypatch: pytest.MonkeyPatch) -> None:
    from types import SimpleNamespace

    def failing(*args: Any, **options: Any) -> SimpleNamespace:
        return SimpleNamespace(status=4, message="numerical trouble", x=None, fun=None)

    monkeypatch.setattr("scipy.optimize.linprog", failing)
    with pytest.raises(RuntimeError, match=r"HiGHS ended with status 4 \(numerical trouble\); rescale prizes"):
        design_jointly(population(3, 0), Protocol(), UnitCosts(1.0, 1.0, 1.0))
