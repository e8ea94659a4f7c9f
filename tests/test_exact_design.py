"""Least prize compression and finest tiers against brute force, other solvers, and the game solved anew."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import cvxpy as cp
import numpy as np
import pytest
from scipy.optimize import linprog, minimize

from designer.prize_design import compress_prizes
from designer.prize_program import Norm, nearest_prizes
from designer.prizes import Bands, Prizes
from designer.protocol import Protocol
from designer.scenarios import clopper_pearson, draws_needed, promise
from designer.scorecard import play
from designer.tiering import Keep, finest_tiering, finest_tiers
from followers.load import load
from followers.measurement import Noise
from followers.prior import RosterPrior, synthetic
from solvers.certificate import Status
from solvers.checker import check
from solvers.climbs import climbs
from solvers.deviations import check_free_effort
from solvers.inner import solve_inner


def random_limits(rng: np.random.Generator, n: int, scale: float) -> np.ndarray:
    cost = rng.random((n, n)) ** 2 * scale
    cost[rng.random((n, n)) < 0.1] = np.inf
    cost[rng.random((n, n)) < 0.05] = 0.0
    return np.where(np.tri(n, k=-1, dtype=bool), cost, np.inf)


def test_climbs_are_what_the_free_effort_check_prices() -> None:
    for seed in range(20):
        game = Protocol(tune_steps=[0.0, 3_000.0][seed % 2]).induce(synthetic(7, 5, np.random.default_rng(seed)))
        gain = game.prizes[:, None, :] - game.prizes[:, :, None]
        margin = np.where(gain > 0, climbs(game).cost - gain, np.inf).min(axis=(1, 2))
        np.testing.assert_allclose(margin, check_free_effort(game).margins.min(axis=1), rtol=1e-12)


@pytest.mark.parametrize("norm", ["L1", "L2"])
@pytest.mark.parametrize("keep_first", [False, True])
def test_nearest_prizes_agree_with_another_solver(norm: Norm, keep_first: bool) -> None:
    solved = 0
    for seed in range(25):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(2, 7))
        announced = np.sort(rng.random(n))[::-1].copy()
        limit = random_limits(rng, n, 2.5 if keep_first else 0.4)
        found = nearest_prizes(announced, limit, norm=norm, keep_first=keep_first)
        rows, right = [], []
        for k, r in zip(*np.nonzero(np.isfinite(limit)), strict=True):
            rows.append(np.eye(n)[r] - np.eye(n)[k])
            right.append(limit[k, r])
        for r in range(n - 1):
            rows.append(np.eye(n)[r + 1] - np.eye(n)[r])
            right.append(0.0)
        rows.append(-np.eye(n)[-1])
        right.append(0.0)
        equal = [np.ones(n)] + ([np.eye(n)[0]] if keep_first else [])
        totals = [announced.sum()] + ([announced[0]] if keep_first else [])
        least = _by_scipy(announced, np.array(rows), np.array(right), np.array(equal), np.array(totals), norm)
        if found is None:
            assert least is None, seed
            continue
        assert least is not None, seed
        solved += 1
        prizes = found[0]
        assert np.all(np.array(rows) @ prizes <= np.array(right) + 1e-9)
        np.testing.assert_allclose(np.array(equal) @ prizes, totals, atol=1e-8)
        difference = prizes - announced
        mine = np.abs(difference).sum() if norm == "L1" else (difference**2).sum()
        assert mine <= least + 1e-7
    assert solved > 5


def _by_scipy(start: Any, rows: Any, right: Any, equal: Any, totals: Any, norm: str) -> float | None:
    n = len(start)
    if norm == "L1":
        cost = np.concatenate([np.zeros(n), np.ones(n)])
        upper = np.block([[np.eye(n), -np.eye(n)], [-np.eye(n), -np.eye(n)], [rows, np.zeros_like(rows)]])
        found = linprog(
            cost,
            A_ub=upper,
            b_ub=np.concatenate([start, -start, right]),
            A_eq=np.hstack([equal, np.zeros_like(equal)]),
            b_eq=totals,
            bounds=(None, None),
        )
        return float(found.fun) if found.status == 0 else None
    feasible = linprog(np.zeros(n), A_ub=rows, b_ub=right, A_eq=equal, b_eq=totals, bounds=(None, None))
    if feasible.status != 0:
        return None
    found = minimize(
        lambda x: ((x - start) ** 2).sum(),
        feasible.x,
        jac=lambda x: 2 * (x - start),
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
        constraints=[
            {"type": "ineq", "fun": lambda x: right - rows @ x, "jac": lambda x: -rows},
            {"type": "eq", "fun": lambda x: equal @ x - totals, "jac": lambda x: equal},
        ],
    )
    return float(found.fun)


def test_two_developers_have_a_closed_form() -> None:
    """Total kept, gap at most the cost of the climb: both prizes move by half of what the gap is too wide."""
    found = nearest_prizes(
        np.array([1.0, 0.0]), np.array([[np.inf, np.inf], [0.4, np.inf]]), norm="L2", keep_first=False
    )
    assert found is not None
    np.testing.assert_allclose(found[0], [0.7, 0.3], atol=1e-12)
    assert found[1][1, 0] == pytest.approx(np.sqrt(2) / 2)  # distance = (1 - limit) / sqrt(2)


@pytest.mark.parametrize("norm", ["L1", "L2"])
@pytest.mark.parametrize("unit", [1e-9, 1e6])
def test_the_unit_of_prizes_does_not_matter(norm: Norm, unit: float) -> None:
    """Prizes of a million, or of a billionth, are the same program: solvers' absolute tolerances are not seen."""
    for seed in range(6):
        rng = np.random.default_rng(seed)
        announced = np.sort(rng.random(5))[::-1].copy()
        limit = random_limits(rng, 5, 0.4)
        here = nearest_prizes(announced, limit, norm=norm, keep_first=False)
        there = nearest_prizes(unit * announced, unit * limit, norm=norm, keep_first=False)
        assert here is not None and there is not None
        distances = [np.linalg.norm(x - announced, 1 if norm == "L1" else 2) for x in (here[0], there[0] / unit)]
        assert distances[1] == pytest.approx(distances[0], abs=1e-8)


@pytest.mark.parametrize(("norm", "prize"), [("L1", 1e8), ("L2", 1e6), ("L2", 1e12)])
def test_a_climb_far_cheaper_than_the_prizes_is_no_infeasible_program(norm: Norm, prize: float) -> None:
    """A gap that may be 0.1 at most: equal prizes always hold, so nothing but a first prize is infeasible."""
    limit = np.array([[np.inf, np.inf], [0.1, np.inf]])
    found = nearest_prizes(np.array([prize, 0.0]), limit, norm=norm, keep_first=False)
    assert found is not None
    assert found[0][0] - found[0][1] <= 0.1 * (1 + 1e-6)
    assert found[0].sum() == pytest.approx(prize)
    np.testing.assert_allclose(found[0], prize / 2, atol=0.1)


def test_a_kept_first_prize_may_widen_other_gaps_to_what_no_climb_allows() -> None:
    """The last prize would fall to 0.58, far below the least announced, but rank 6 may be 0.3 below rank 1 at most."""
    limit = np.full((6, 6), np.inf)
    limit[4, 0], limit[5, 0] = 0.02, 0.45
    announced = np.array([1.0, 0.9, 0.9, 0.9, 0.9, 0.9])
    found = nearest_prizes(announced, limit, norm="L2", keep_first=True)
    assert found is not None
    np.testing.assert_allclose(found[0], [1.0, 0.98, 0.98, 0.98, 0.98, 0.58], atol=1e-9)
    limit[5, 0] = 0.3
    assert nearest_prizes(announced, limit, norm="L2", keep_first=True) is None


@pytest.mark.parametrize("norm", ["L1", "L2"])
def test_a_solver_that_fails_is_reported_never_guessed_from(norm: Norm, monkeypatch: pytest.MonkeyPatch) -> None:
    population = synthetic(5, 1, np.random.default_rng(1), cost_scale=1e-4)
    good = compress_prizes(population, Protocol(), norm=norm)  # an answer that must not be returned again
    assert good.status == "optimal"

    def crashing(self: cp.Problem, **options: Any) -> None:
        raise cp.SolverError("out of memory")

    monkeypatch.setattr(cp.Problem, "solve", crashing)
    with pytest.raises(RuntimeError, match=r"failed \(out of memory\).*; rescale prizes .* or use the other norm"):
        compress_prizes(population, Protocol(), norm=norm)
    monkeypatch.setattr(
        cp.Problem, "solve", lambda self, **options: None
    )  # the status is still that of the solve before
    with pytest.raises(RuntimeError, match="ended with status"):
        compress_prizes(population, Protocol(), norm=norm)
    monkeypatch.setattr(cp.Problem, "status", "infeasible")
    with pytest.raises(RuntimeError, match="ended with status 'infeasible'"):
        compress_prizes(population, Protocol(), norm=norm)


@pytest.mark.parametrize("margin", [0.0, 0.01])
@pytest.mark.parametrize("norm", ["L1", "L2"])
def test_designed_prizes_hold_and_are_tight(norm: Norm, margin: float) -> None:
    """Fed back through the solver they hold with the promised margin; a hundredth of the way back they do not."""
    moved = 0
    for seed, n in enumerate((2, 3, 5, 8, 12, 20, 30, 30)):
        population = synthetic(n, 1, np.random.default_rng(seed))
        for steps in (0.0, 2_000.0, 8_000.0):
            protocol = Protocol(tune_steps=steps)
            design = compress_prizes(population, protocol, margin=margin, norm=norm)
            assert design.protocol is not None
            game = design.protocol.induce(population)
            answer = solve_inner(game)
            span = float(game.prize_span[0])
            assert answer.status(0) is Status.EXISTS and answer.margin[0] >= margin - 1e-9 * max(span, 1e-9)
            assert check(game, answer.certify(0)).passed
            assert design.prizes.sum() == pytest.approx(design.announced.sum())
            if design.status == "unchanged":
                continue
            moved += 1
            looser = design.prizes + 0.01 * (design.announced - design.prizes)
            loose = replace(design.protocol, prizes=Prizes(values=tuple(looser.tolist())))
            assert check_free_effort(loose.induce(population)).margins.min() < margin - 1e-9 * span
            for b in design.binding:
                assert b.gain == pytest.approx(b.cost - margin, abs=1e-7) or b.cost <= margin
    assert moved > 8


def test_prices_say_what_dearer_climbs_would_save() -> None:
    population = synthetic(8, 1, np.random.default_rng(5))
    announced = np.array(Protocol().induce(population).prizes[0])
    limit = climbs(Protocol(tune_steps=3_000.0).induce(population)).cost[0]
    found = nearest_prizes(announced, limit, norm="L2", keep_first=False)
    assert found is not None
    distance = np.sqrt(((found[0] - announced) ** 2).sum())
    k, r = np.unravel_index(np.argmax(found[1]), found[1].shape)
    assert found[1][k, r] > 1e-3
    wider = limit.copy()
    wider[k, r] += 1e-5
    again = nearest_prizes(announced, wider, norm="L2", keep_first=False)
    assert again is not None
    saved = distance - np.sqrt(((again[0] - announced) ** 2).sum())
    assert saved == pytest.approx(1e-5 * found[1][k, r], rel=0.02)


def test_a_first_prize_that_cannot_stay_is_said() -> None:
    population = synthetic(2, 1, np.random.default_rng(0))
    population = replace(
        population, quality=population.quality, curve=replace(population.curve, upper=np.full((1, 2), 0.9))
    )
    design = compress_prizes(population, Protocol(prizes=Prizes(values=(1.0, 0.0))), keep_first=True)
    assert design.status == "infeasible" and design.protocol is None and "do not keep it" in design.notes[0]


def brute_force(prizes: Any, cost: Any, agreement: Any, keep: Keep, margin: float) -> float:
    n, best = len(prizes), 0.0
    for cut in product([False, True], repeat=n - 1):
        starts = [0, *(k + 1 for k in range(n - 1) if cut[k])]
        bands = list(zip(starts, [*(s - 1 for s in starts[1:]), n - 1], strict=True))
        stable = True
        for u, (a, b) in enumerate(bands):
            for c, d in bands[u + 1 :]:
                gap = prizes[a : b + 1].mean() - prizes[c : d + 1].mean()
                stable = stable and not (gap > 0 and cost[c : d + 1, b].min() - gap < margin)
        apart = [(p, q) for p in range(n) for q in range(p + 1, n) if not any(a <= p and q <= b for a, b in bands)]
        if stable and keep == "bands":
            best = max(best, len(bands))
        elif stable and apart:
            value = sum(agreement[p, q] for p, q in apart) / np.sqrt(len(apart))
            best = value if best == 0.0 else max(best, value)
    return float(best)


@pytest.mark.parametrize("keep", ["tau", "bands"])
def test_tiers_are_as_fine_as_brute_force_finds(keep: Keep) -> None:
    """Costs without any structure, so that bands that are not neighbours conflict too."""
    beyond = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(2, 9))
        prizes = np.sort(rng.random(n))[::-1].copy()
        cost = random_limits(rng, n, float(rng.choice([0.2, 1.0, 2.0])))
        agreement = np.triu(rng.choice([-1.0, 1.0], (n, n), p=[0.2, 0.8]), 1) / np.sqrt(n * (n - 1) / 2)
        margin = float(rng.choice([0.0, 0.05]))
        found = finest_tiering(prizes, cost, agreement, keep=keep, margin=margin)
        assert found.proved and sum(found.sizes) == n
        assert found.value == pytest.approx(brute_force(prizes, cost, agreement, keep, margin), abs=1e-12), seed
        beyond += found.opened > n
    assert beyond > 3  # the relaxation was not enough there


@pytest.mark.parametrize("keep", ["tau", "bands"])
def test_designed_tiers_hold_and_no_edge_can_be_added(keep: Keep) -> None:
    for seed, n in enumerate((2, 5, 12, 30, 30)):
        population = synthetic(n, 1, np.random.default_rng(seed))
        for steps in (500.0, 4_000.0, 12_000.0):
            design = finest_tiers(population, Protocol(tune_steps=steps), keep=keep, margin=1e-3)
            game = design.protocol.induce(population)
            answer = solve_inner(game)
            assert answer.status(0) is Status.EXISTS and answer.margin[0] >= 1e-3 - 1e-9
            assert check(game, answer.certify(0)).passed
            tau = play(design.protocol, population).values["kendall_tau"][0]
            assert (design.tau is None and np.isnan(tau)) or design.tau == pytest.approx(tau)
            sizes = design.tiering.sizes
            for k, size in enumerate(sizes) if keep == "bands" else ():
                for first in range(1, size):
                    finer = (*sizes[:k], first, size - first, *sizes[k + 1 :])
                    loose = replace(design.protocol, tiers=Bands(sizes=finer)).induce(population)
                    assert check_free_effort(loose).margins.min() < 1e-3


def test_a_search_cut_short_says_how_much_may_be_missing() -> None:
    population = synthetic(12, 1, np.random.default_rng(3))
    full = finest_tiers(population, Protocol(tune_steps=8_000.0))
    short = finest_tiers(population, Protocol(tune_steps=8_000.0), budget=2)
    assert not short.tiering.proved and short.tiering.bound >= full.tiering.value and short.tiering.sizes == (12,)


def test_designs_for_draws_hold_in_every_one() -> None:
    stated = load("gsm8k")
    draws = RosterPrior().draw(stated, 24, np.random.default_rng(1))
    protocol = Protocol(tune_steps=20_000.0)
    prizes, tiers = compress_prizes(draws, protocol), finest_tiers(draws, protocol)
    for designed in (prizes.protocol, tiers.protocol):
        assert designed is not None and solve_inner(designed.induce(draws)).exists.all()
    tau = play(tiers.protocol, draws).values["kendall_tau"]
    assert tiers.tau == pytest.approx(float(tau.mean()))


def test_what_exact_design_cannot_price_is_refused_by_name() -> None:
    population = synthetic(3, 1, np.random.default_rng(0))
    for change, words in (
        ({"noise": 0.1}, "noisy or rounded"),
        ({"precision": 0.1}, "noisy or rounded"),
        ({"ties": "split"}, 'ties = "split"'),
    ):
        for design in (compress_prizes, finest_tiers):
            with pytest.raises(ValueError, match=words):
                design(population, Protocol(**change))
    with pytest.raises(ValueError, match="margin = -1"):
        compress_prizes(population, Protocol(), margin=-1.0)
    with pytest.raises(ValueError, match="noisy"):
        climbs(replace(Protocol().induce(population), noise=Noise(sigma=0.1)))


def test_fresh_draws_break_a_design_as_often_as_the_theorem_says() -> None:
    """One variable, always supported by one draw: the violation is distributed as Beta(1, N), with mean 1 / (N + 1)."""
    rng, drawn, protocol = np.random.default_rng(4), 9, Protocol(prizes=Prizes(values=(100.0, 0.0)))
    fresh = climbs(protocol.induce(synthetic(2, 4_000, rng, common_ceiling=True))).cost[:, 1, 0]
    violations = []
    for _ in range(150):
        design = compress_prizes(synthetic(2, drawn, rng, common_ceiling=True), protocol)
        violations.append(float((fresh < design.prizes[0] - design.prizes[1]).mean()))
    deviation = np.sqrt(drawn / ((drawn + 1) ** 2 * (drawn + 2)) / len(violations))
    assert np.mean(violations) == pytest.approx(1 / (drawn + 1), abs=4 * deviation)
    promised = promise(drawn, 1, 0.9).violation
    beyond = np.mean(np.array(violations) > promised)  # with probability 0.1
    assert beyond == pytest.approx(0.1, abs=4 * np.sqrt(0.09 / len(violations)))


def test_scenario_promises() -> None:
    """With one variable the violation is 1 - beta^(1 / N); draws needed invert the promise."""
    assert promise(100, 1, 0.99).violation == pytest.approx(1 - 0.01 ** (1 / 100))
    assert promise(3, 5).violation == 1.0
    for violation, variables in ((0.05, 1), (0.05, 9), (0.3, 4)):
        needed = draws_needed(violation, variables, 0.99)
        assert promise(needed, variables, 0.99).violation <= violation
        assert promise(needed - 1, variables, 0.99).violation > violation
    # the best of M programs: each may fail with a share 1 / M of what one may
    assert promise(100, 1, 0.99, programs=10).violation == pytest.approx(1 - 0.001 ** (1 / 100))
    assert "the best of 10 programs" in promise(100, 1, 0.99, programs=10).sentence()
    assert "best of" not in promise(100, 1, 0.99).sentence()
    assert clopper_pearson(0, 10) == (0.0, pytest.approx(1 - 0.025 ** (1 / 10)))
    with pytest.raises(ValueError, match="confidence = 1"):
        promise(10, 1, 1.0)
