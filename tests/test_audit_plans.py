"""Audit plans: exact power, least stakes, what binds, what would do, against other libraries, closed forms and play."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from math import comb
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from scipy.stats import binom

from designer import audit_plans, audit_program
from designer.audit_items import cheapest_items, default_items
from designer.audit_limits import stakes_by_items
from designer.audit_plans import PlannedAudits, PlanStatus, honest_climbs, plan_audits, plan_for_draws
from designer.audit_power import critical, false_positives, items_needed, power
from designer.audit_program import ProgramAnswer, ProgramStatus, solve_program
from designer.audit_stakes import audit_climbs, least_stakes, suspicion, unit_prices
from designer.audits import AuditPlan
from designer.prizes import Bands, Prizes
from designer.protocol import Protocol
from followers.costs import PowerCost
from followers.curves import GeneralizedLogit, Linear, ScoreCurve
from followers.game import LeaderboardGame, TieRule, select
from followers.load import load
from followers.measurement import Audit
from followers.population import Population
from followers.prior import RosterPrior, synthetic
from solvers.audited import solve_audited
from solvers.certificate import Status
from solvers.checker import check
from solvers.climbs import climbs
from solvers.inner import solve_inner


def population(
    curve: ScoreCurve, quality: Any, *, scale: Any = 1.0, fee: Any = 0.0, free: Any = 0.0, cap: Any = np.inf
) -> Population:
    quality = np.atleast_2d(np.asarray(quality, dtype=float))
    n = quality.shape[1]

    def spread(x: Any) -> np.ndarray:
        return np.broadcast_to(np.asarray(x, dtype=float), (n,)).copy()

    return Population(
        names=tuple(f"D{i + 1}" for i in range(n)),
        quality=quality,
        curve=curve,
        cost=PowerCost(spread(scale), np.ones(n), spread(free), spread(fee)),
        prior_exposure=np.zeros(quality.shape),
        effort_cap=np.broadcast_to(spread(cap), quality.shape).copy(),
        parameters_b=np.ones(n),
        score_stderr=np.zeros(n),
    )


def line(starts: list[float], scale: Any = 1.0, **options: Any) -> Population:
    """Scores start + effort, up to a cap that keeps them shares."""
    starts_array = np.array(starts)
    return population(
        Linear(starts_array, np.ones(len(starts))), starts, scale=scale, cap=1.0 - starts_array, **options
    )


def pays(*prizes: float, **options: Any) -> Protocol:
    return Protocol(prizes=Prizes(values=prizes), **options)


def with_fine_to_spare(people: Population, protocol: Protocol, **question: Any) -> tuple[PlannedAudits, float]:
    """A plan, at a fine somewhat above the least that allows one."""
    without = plan_for_draws(people, protocol, fine=0.0, most_items=1, **question)
    fine = 0.0 if without.impossible is None else 1.3 * without.impossible.least_fine
    return plan_for_draws(people, protocol, fine=fine, **question), fine


def played(people: Population, protocol: Protocol, plan: AuditPlan) -> LeaderboardGame:
    return replace(protocol, audit=plan).induce(people)


# --- the power of the test


def exact_tail(items: int, share: Fraction, k: int) -> Fraction:
    return sum((comb(items, x) * share**x * (1 - share) ** (items - x) for x in range(k + 1)), Fraction(0))


@settings(max_examples=60)
@given(st.integers(1, 60), st.integers(2, 40), st.data(), st.sampled_from([1, 5, 20]))
def test_power_is_the_binomial_tail_in_whole_numbers(items: int, claim: int, data: st.DataObject, percent: int) -> None:
    claimed, fresh = Fraction(claim, 40), Fraction(data.draw(st.integers(0, claim - 1)), 40)
    level = Fraction(percent, 100)
    k = max((x for x in range(-1, items) if exact_tail(items, claimed, x) <= level), default=-1)
    edge = min(abs(exact_tail(items, claimed, x) - level) for x in (k, k + 1))
    if edge < Fraction(1, 10**12):
        return  # the level is met to within rounding: either answer is right
    assert int(critical(float(claimed), items=items, level=percent / 100)) == k
    found = float(power(float(claimed), float(fresh), items=items, level=percent / 100))
    assert found == pytest.approx(float(exact_tail(items, fresh, k)), abs=1e-13)
    innocent = float(false_positives(float(claimed), items=items, level=percent / 100))
    assert innocent == pytest.approx(float(exact_tail(items, claimed, k)), abs=1e-13)
    assert innocent <= percent / 100


@given(st.integers(1, 3_000), st.floats(0.0, 1.0), st.floats(0.0, 1.0), st.sampled_from([0.001, 0.05, 0.3]))
def test_power_is_that_of_the_game(items: int, a: float, b: float, level: float) -> None:
    audit, (fresh, claimed) = Audit(np.ones((1, 2)), items, level, 0.0), sorted((a, b))
    assert int(critical(claimed, items=items, level=level)) == int(audit.critical(claimed))
    if fresh < claimed:
        assert float(power(claimed, fresh, items=items, level=level)) == float(audit.flagged(claimed, fresh))
    assert float(false_positives(claimed, items=items, level=level)) == float(audit.flagged(claimed, claimed))


@pytest.mark.parametrize(
    ("claimed", "fresh", "level", "wanted"),
    [
        (0.6, 0.5, 0.01, 0.9),
        (0.9, 0.8, 0.05, 0.8),
        (1.0, 0.9, 0.05, 0.95),
        (0.3, 0.0, 0.01, 0.5),
        (0.55, 0.2, 0.2, 0.99),
    ],
)
def test_items_needed_by_trying_all(claimed: float, fresh: float, level: float, wanted: float) -> None:
    """Oracle: every number of items up to 2,000, tails summed from the probability mass function."""
    enough = []
    for items in range(1, 2_001):
        k = np.arange(items + 1)
        rejected = np.cumsum(binom.pmf(k, items, claimed)) <= level * (1 + 1e-12)
        enough.append(float(binom.pmf(k[rejected], items, fresh).sum()) >= wanted)
    found = items_needed(claimed, fresh, level=level, power=wanted)
    assert found.least == 1 + enough.index(True)
    assert found.always == 2_001 - enough[::-1].index(False)
    assert found.always is not None and found.least <= found.always <= found.proved_from <= 2_000
    assert found.power_at_least == pytest.approx(float(power(claimed, fresh, items=found.least, level=level)))
    assert 0.6 * found.normal < found.least < 1.7 * found.normal + 5
    assert f"{found.least:,} items" in found.sentence()


def test_power_is_a_sawtooth() -> None:
    found = items_needed(0.6, 0.5, level=0.01, power=0.9)
    assert found.least is not None and found.always is not None and found.least < found.always
    between = power(0.6, 0.5, items=np.arange(found.least, found.always), level=0.01)
    assert between.min() < 0.9 <= between[0]


def test_items_needed_admits_what_it_did_not_settle() -> None:
    none = items_needed(0.6, 0.5, level=0.01, power=0.9, most=300)
    assert none.least is None and none.always is None and none.searched == 300 and np.isnan(none.power_at_least)
    assert "more than 300 items" in none.sentence()
    some = items_needed(0.6, 0.5, level=0.01, power=0.9, most=330)
    assert some.least == 322 and some.always is None
    assert float(power(0.6, 0.5, items=none.proved_from, level=0.01)) >= 0.9


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: power(1.2, 0.5, items=10, level=0.05), "claimed = 1.2; a share"),
        (lambda: power(0.5, -0.1, items=10, level=0.05), "fresh = -0.1; a share"),
        (lambda: power([0.5, 0.5], [0.4, 0.5], items=10, level=0.05), "fresh = 0.5; must be below"),
        (lambda: power(0.5, 0.4, items=0, level=0.05), "items = 0; an audit needs"),
        (lambda: power(0.5, 0.4, items=2.5, level=0.05), "items = 2.5; an audit needs"),
        (lambda: power(0.5, 0.4, items=1e26, level=0.05), r"items = 1e\+26; an audit needs"),
        (lambda: power(0.5, 0.4, items=10, level=1.0), "level = 1; must lie"),
        (lambda: items_needed(1e-200, 0.0, level=0.05, power=0.9), "fresh = 0; too close"),
        (lambda: items_needed(0.5, 0.6, level=0.05, power=0.9), "fresh = 0.6; must be below"),
        (lambda: items_needed(0.5, 0.4, level=0.05, power=1.0), "power = 1; must lie"),
        (lambda: items_needed(0.5, 0.4, level=0.05, power=0.9, most=0), "most = 0; at least"),
    ],
)
def test_impossible_tests_are_refused_by_name(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


# --- the least plan


@pytest.mark.parametrize("margin", [0.0, 0.05, 0.3])
@pytest.mark.parametrize(("items", "fine"), [(60, 2.0), (200, 0.5), (2_000, 0.0)])
def test_two_developers_by_hand(items: int, fine: float, margin: float) -> None:
    """p* = (gap - max(c - margin, 0)) / (D (gap + F)): the last rank is not audited, so nobody doubts it."""
    people, protocol = line([0.6, 0.5], scale=2.0), pays(1.2, 0.2)
    found = plan_audits(people, protocol, items=items, level=0.05, fine=fine, margin=margin, cost_per_audit=3.0)
    k = np.flatnonzero(binom.cdf(np.arange(items), items, 0.6) <= 0.05)[-1]
    detected = float(binom.cdf(k, items, 0.5))
    expected = (1.0 - max(0.2 - margin, 0.0)) / (detected * (1.0 + fine))
    assert found.status is PlanStatus.OPTIMAL and found.plan is not None
    assert found.plan.probability == (pytest.approx(expected, rel=1e-12), 0.0)
    assert found.cost == pytest.approx(3.0 * expected) and found.expected_audits == pytest.approx(expected)
    innocent = float(false_positives(0.6, items=items, level=0.05))
    assert found.false_flags == pytest.approx(expected * innocent)
    assert found.binding[0].power == pytest.approx(detected) and found.binding[0].developer == "D2"


def test_three_developers_by_hand_with_false_positives() -> None:
    """q_2 = (R_2 - R_3 - c_32) / D_32; q_1 = max((R_1 - R_2 - c_21 + d_2 q_2) / D_21, (R_1 - R_3 - c_31) / D_31)."""
    items, level, fine = 400, 0.2, 9.0
    score, prize, scale = (0.62, 0.56, 0.5), (1.0, 0.55, 0.0), np.array([1.0, 1.5, 0.4])
    found = plan_audits(line(list(score), scale=scale), pays(*prize), items=items, level=level, fine=fine)

    def flagged(claimed: float, fresh: float) -> float:
        k = np.flatnonzero(binom.cdf(np.arange(items), items, claimed) <= level)[-1]
        return float(binom.cdf(k, items, fresh))

    second = (0.55 - 0.4 * 0.06) / flagged(0.56, 0.5)
    honest = flagged(0.56, 0.56)
    rows = ((0.45 - 1.5 * 0.06 + honest * second) / flagged(0.62, 0.56), (1.0 - 0.4 * 0.12) / flagged(0.62, 0.5))
    first = max(rows)
    assert rows[0] - honest * second / flagged(0.62, 0.56) < rows[1]  # the rates matter for nothing else here
    np.testing.assert_allclose(found.stakes, [first, second, 0.0], rtol=1e-12)
    assert found.plan is not None
    np.testing.assert_allclose(found.plan.probability, [first / 10.0, second / 9.55, 0.0], rtol=1e-12)


def independent_program(
    people: Population, protocol: Protocol, *, items: int, level: float, fine: float, margin: float
) -> Any:
    """The same linear program written from the game, in probabilities, for SciPy: rows (b, k, r) of all draws."""
    game = replace(protocol, audit=AuditPlan()).induce(people)
    n, prizes = game.n, game.prizes[0]
    audit = Audit(np.zeros(game.prizes.shape), items, level, fine)
    loss = prizes - prizes[-1] + fine
    priced, start = climbs(game), np.broadcast_to(game.scores(0.0)[0], game.prizes.shape)
    rows, bounds, names = [], [], []
    for b in range(game.batch):
        for k in range(n):
            who = priced.order[b, k]
            honest = float(audit.flagged(start[b, who], start[b, who]))
            for r in range(k):
                if not np.isfinite(priced.cost[b, k, r]):
                    continue
                efforts = np.zeros(game.prizes.shape)
                efforts[b, who] = priced.effort[b, k, r]
                claimed = np.broadcast_to(game.scores(efforts)[0], efforts.shape)[b, who]
                row = np.zeros(n)
                row[r] = -float(audit.flagged(claimed, start[b, who])) * loss[r]
                row[k] = honest * loss[k]
                rows.append(row)
                bounds.append(-(prizes[r] - prizes[k] - max(priced.cost[b, k, r] - margin, 0.0)))
                names.append((b, k, r))
    return linprog(np.ones(n), A_ub=np.array(rows), b_ub=np.array(bounds), bounds=(0.0, 1.0), method="highs"), names


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("margin", [0.0, 0.02])
def test_plans_agree_with_another_linear_program(seed: int, margin: float) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 7))
    if seed % 2:
        people, protocol = synthetic(6, 1, rng, common_ceiling=True), Protocol(tune_steps=3_000.0)
    else:
        people = line(rng.uniform(0.3, 0.7, n).tolist(), scale=rng.uniform(0.1, 3.0, n))
        protocol = Protocol(prizes=Prizes(kind="linear"), tiers=Bands(width=1 + seed // 2 % 2))
    question = {"items": int(rng.integers(50, 2_000)), "level": float(rng.choice([0.01, 0.1])), "margin": margin}
    found, fine = with_fine_to_spare(people, protocol, **question)
    other, names = independent_program(people, protocol, fine=fine, **question)
    assert found.plan is not None and other.status == 0 and found.gap < 1e-9
    probability = np.zeros(people.n)
    probability[: len(found.plan.probability)] = found.plan.probability
    np.testing.assert_allclose(probability, other.x, rtol=1e-6, atol=1e-9)
    # what temptations cost: the other program's marginals, and ours read off the back substitution
    prices = {(c.draw, c.rank - 1, c.target - 1): c.price for c in found.binding}
    for name, marginal in zip(names, other.ineqlin.marginals, strict=True):
        assert prices.get(name, 0.0) == pytest.approx(-marginal, rel=1e-6, abs=1e-9)
        assert found.program.prices[name[1], name[2]] == pytest.approx(-marginal, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("starts", [[0.6, 0.5], [0.6, 0.55, 0.5], [0.6, 0.5, 0.5], [0.6, 0.6, 0.5], [0.55, 0.55, 0.55]])
@pytest.mark.parametrize("fine", [1.0, 4.0])
def test_no_plan_on_a_grid_deters_with_less(starts: list[float], fine: float) -> None:
    """Oracle: every plan on a grid is played. Which of them are deterrent is found by the solver of audited games."""
    n = len(starts)
    people, protocol = line(starts, scale=np.linspace(1.0, 3.0, n)), pays(*np.linspace(1.0, 0.0, n))
    found = plan_audits(people, protocol, items=150, level=0.2, fine=fine)
    steps = 101 if n == 2 else 21
    grid = np.stack(np.meshgrid(*[np.linspace(0, 1, steps)] * n, indexing="ij"), -1).reshape(-1, n)
    game = select(replace(protocol, audit=AuditPlan()).induce(people), np.zeros(len(grid), dtype=int))
    honest = solve_audited(replace(game, audit=Audit(grid, 150, 0.2, fine))).exists
    if found.plan is None:
        assert not honest.any() and found.impossible is not None
        return
    assert honest.any() and not honest.all()
    least = np.array(found.plan.probability)
    assert np.all(grid[honest] >= least - 1e-9)
    assert grid[honest].sum(axis=1).min() <= least.sum() + 2 * n / (steps - 1)  # and the grid comes close
    assert solve_inner(played(people, protocol, found.plan)).exists[0]


def entrants(name: str, size: int, rng: np.random.Generator) -> Population:
    """Some developers of an embedded population."""
    people = load(name)
    assert isinstance(people.curve, GeneralizedLogit) and isinstance(people.cost, PowerCost)
    chosen = np.sort(rng.choice(people.n, size, replace=False))

    def some(law: Any) -> Any:
        return replace(law, **{f: np.asarray(getattr(law, f))[..., chosen] for f in law.__slots__})

    return replace(
        people,
        names=tuple(people.names[i] for i in chosen),
        quality=people.quality[:, chosen],
        curve=some(people.curve),
        cost=some(people.cost),
        prior_exposure=people.prior_exposure[:, chosen],
        effort_cap=people.effort_cap[:, chosen],
        parameters_b=people.parameters_b[chosen],
        score_stderr=people.score_stderr[chosen],
        curve_draws=None,
    )


def drawn(seed: int) -> tuple[Population, Protocol]:
    """Populations and protocols of all sorts: embedded or synthetic; exposed, capped, with fees, with twins."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 31))
    kind = seed % 4
    people = (
        synthetic(n, 1, rng, common_ceiling=kind == 3)
        if kind in (0, 3)
        else entrants(("gsm8k", "mmlu")[kind - 1], n, rng)
    )
    if seed % 3 == 0:
        people = replace(
            people, prior_exposure=rng.choice([0.0, 200.0], (1, n)), effort_cap=rng.choice([50.0, np.inf], (1, n))
        )
    if seed % 5 == 0 and isinstance(people.cost, PowerCost):
        people = replace(
            people, cost=replace(people.cost, entry_fee=rng.choice([0.0, 0.03], people.cost.entry_fee.shape))
        )
    if seed % 7 == 0 and n > 3 and isinstance(people.curve, GeneralizedLogit):  # twins tie
        twin = np.arange(n)
        twin[1], twin[3] = 0, 2
        shared = {f: np.asarray(getattr(people.curve, f))[..., twin] for f in people.curve.__slots__}
        people = replace(people, curve=replace(people.curve, **shared), prior_exposure=np.zeros((1, n)))
    kind_of_prizes: Any = rng.choice(["harmonic", "linear"])
    tiers = [Bands(), Bands(top=3), Bands(width=2)][int(rng.integers(3))]
    return people, Protocol(
        prizes=Prizes(kind=kind_of_prizes), tune_steps=float(rng.choice([0.0, 1_000.0])), tiers=tiers
    )


@pytest.mark.parametrize("seed", range(36))
def test_every_plan_is_an_equilibrium_and_nothing_less_is(seed: int) -> None:
    people, protocol = drawn(seed)
    margin = [0.0, 0.01, 0.1][seed // 4 % 3]
    question = {"items": [300, 2_000][seed % 2], "level": [0.01, 0.05][seed // 2 % 2], "margin": margin}
    found, fine = with_fine_to_spare(people, protocol, **question)
    assert found.plan is not None and found.status in (PlanStatus.OPTIMAL, PlanStatus.NOT_NEEDED)
    game = played(people, protocol, found.plan)
    answer, span = solve_inner(game), float(game.prize_span[0])
    assert answer.status() is Status.EXISTS
    assert answer.margin[0] >= margin - 1e-9 * span
    if game.n * found.plan.items <= 4_500:  # the checker bisects and sums: many seconds on large boards
        report = check(game, answer.certify(0), grid=501)
        assert report.passed, report.summary()
    if not found.binding:
        assert not found.plan.active
        return
    # 1% less at any rank that is audited breaks it, where 1% is more than the solver's tolerance
    telling = [c for c in found.binding if 0.01 * c.stake * c.power > 1e-8 * span]
    assert len(telling) >= 0.8 * len(found.binding)
    loosened = np.tile(found.plan.probability, (len(telling), 1))
    for row, climb in enumerate(telling):
        loosened[row, climb.target - 1] *= 0.99
    games = select(game, np.zeros(len(telling), dtype=int))
    broken = solve_audited(replace(games, audit=Audit(loosened, found.plan.items, found.plan.level, fine)))
    assert np.all(broken.margin < margin - 1e-9 * span)
    if margin == 0:
        assert not broken.exists.any()


@pytest.mark.parametrize("seed", range(1, 36, 2))
def test_the_fine_that_is_named_does_and_less_does_not(seed: int) -> None:
    people, protocol = drawn(seed)
    question = {"items": 300, "level": 0.01, "most_items": 1}
    without = plan_audits(people, protocol, fine=0.0, **question)
    if without.impossible is None:
        assert without.plan is not None
        return
    assert without.plan is None and without.status is PlanStatus.IMPOSSIBLE and not without.binding
    assert without.program.status is ProgramStatus.INFEASIBLE  # the linear program agrees
    least = without.impossible.least_fine
    assert np.isfinite(least)
    exactly = plan_audits(people, protocol, fine=least, **question)
    assert exactly.plan is not None and max(exactly.plan.probability) == pytest.approx(1.0, rel=1e-12)
    assert solve_inner(played(people, protocol, exactly.plan)).exists[0]
    assert plan_audits(people, protocol, fine=0.99 * least, **question).status is PlanStatus.IMPOSSIBLE
    worst = without.impossible.climbs[0]
    assert worst.developer in people.names and worst.sentence() in without.sentences()[0]
    told = float(without.sentences()[1].split()[3])
    assert least <= told <= least * (1 + 1e-4)


@pytest.mark.parametrize("fine", [0.2, 1.0, 3.0])
def test_the_items_that_are_named_do_and_no_fewer(fine: float) -> None:
    """Two developers: a plan exists iff D (gap + F) >= gap - c, tried here for every number of items."""
    people, protocol = line([0.6, 0.5], scale=2.0), pays(1.0, 0.0)

    def possible(items: int) -> bool:
        rejected = np.flatnonzero(binom.cdf(np.arange(items), items, 0.6) <= 0.05)
        return len(rejected) > 0 and float(binom.cdf(rejected[-1], items, 0.5)) * (1.0 + fine) >= 0.8

    least = next(m for m in range(1, 5_000) if possible(m))
    few = plan_audits(people, protocol, items=2, level=0.05, fine=fine)
    assert few.impossible is not None and few.impossible.least_items == least
    assert few.impossible.least_fine == np.inf and few.plan is None and np.isnan(few.cost)
    words = few.sentences()
    assert "no stake deters it" in words[0] and "no fine" in words[1] and f"{least:,} items per audit" in words[2]
    assert plan_audits(people, protocol, items=least, level=0.05, fine=fine).plan is not None
    assert plan_audits(people, protocol, items=least - 1, level=0.05, fine=fine).plan is None


@pytest.mark.parametrize("seed", [1, 7, 8, 11, 19])
def test_least_items_by_trying_all(seed: int) -> None:
    people, protocol = drawn(seed)
    pull = honest_climbs(people, protocol).pull(0.0)
    few = plan_audits(people, protocol, items=1, level=0.05, fine=3.0, most_items=600)
    assert few.impossible is not None
    stakes = stakes_by_items(honest_climbs(people, protocol), pull, np.arange(1, 601), level=0.05)
    possible = np.all(stakes <= honest_climbs(people, protocol).penalty(3.0), axis=1)
    if few.impossible.least_items is None:
        assert not possible.any() and "no number of items up to 600" in few.sentences()[2]
    else:
        assert few.impossible.least_items == 1 + int(np.argmax(possible)) and possible.any()


def test_some_but_not_all_of_these_boards_can_be_mended_by_items() -> None:
    answers = [
        plan_audits(*drawn(s), items=1, level=0.05, fine=3.0, most_items=600).impossible for s in (1, 7, 8, 11, 19)
    ]
    assert {a.least_items is None for a in answers if a is not None} == {True, False}


def test_what_nobody_wants_is_not_audited() -> None:
    dear = plan_audits(line([0.6, 0.5], scale=20.0), pays(1.0, 0.0), items=100, level=0.05, fine=1.0)
    assert dear.status is PlanStatus.NOT_NEEDED and dear.plan is not None and not dear.plan.active
    assert dear.cost == 0.0 and dear.prices == () and "no audits are needed" in dear.sentences()[0]
    promised = plan_audits(line([0.6, 0.5], scale=20.0), pays(1.0, 0.0), items=100, level=0.05, fine=1.0, margin=1.5)
    assert promised.status is PlanStatus.OPTIMAL  # a margin that the cost alone does not give
    capped = plan_audits(
        replace(line([0.6, 0.5]), effort_cap=np.full((1, 2), 0.05)), pays(1.0, 0.0), items=9, level=0.05, fine=0.0
    )
    assert capped.status is PlanStatus.NOT_NEEDED


# --- the linear program


def test_the_program_is_disciplined_and_compiled_once() -> None:
    audit_program._compiled.cache_clear()
    rng = np.random.default_rng(0)
    for people in (synthetic(7, 1, rng) for _ in range(5)):
        plan_audits(people, Protocol(), items=500, level=0.05, fine=50.0, most_items=1)
    assert audit_program._compiled.cache_info().misses == 1
    assert audit_program._compiled(7, 1).problem.is_dpp()


def program_of(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    found = honest_climbs(synthetic(5, 1, np.random.default_rng(seed)), Protocol(tune_steps=3_000.0))
    return found.pull(), suspicion(found.score, items=2_000, level=0.05), found.penalty(30.0)


def test_a_solver_that_stops_early_leaves_no_stale_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    good = solve_program(*program_of(0))
    assert good.status is ProgramStatus.OPTIMAL and good.audits > 0
    monkeypatch.setattr(audit_program, "_OPTIONS", {**audit_program._OPTIONS, "maxiter": 0})
    stopped = solve_program(*program_of(1))
    assert stopped.status is ProgramStatus.FAILED and "HiGHS ended with status" in stopped.advice
    assert np.isnan(stopped.audits) and np.isnan(stopped.probability).all() and np.isnan(stopped.prices).all()
    people, protocol = line([0.6, 0.55, 0.5], scale=2.0), pays(1.0, 0.5, 0.0)
    doubtful = plan_audits(people, protocol, items=500, level=0.05, fine=3.0)
    assert (
        doubtful.status is PlanStatus.UNCONFIRMED and doubtful.advice in doubtful.sentences() and np.isnan(doubtful.gap)
    )
    assert doubtful.plan is not None and solve_inner(played(people, protocol, doubtful.plan)).exists[0]
    monkeypatch.undo()
    assert plan_audits(people, protocol, items=500, level=0.05, fine=3.0).status is PlanStatus.OPTIMAL


@pytest.mark.parametrize("said", ["user_limit", "optimal_inaccurate", "unbounded", "solver_error"])
def test_only_optimal_and_infeasible_are_answers(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    monkeypatch.setattr(audit_program, "_run", lambda *_: said)
    found = solve_program(*program_of(0))
    assert found.status is ProgramStatus.FAILED and said in found.advice and np.isnan(found.audits)


@pytest.mark.parametrize("change", ["larger", "infeasible"])
def test_a_program_that_disagrees_is_told(monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    def other(*data: np.ndarray) -> ProgramAnswer:
        said = solve_program(*data)
        if change == "infeasible":
            return replace(said, status=ProgramStatus.INFEASIBLE)
        return replace(said, probability=said.probability * (1 + 1e-5), audits=said.audits * (1 + 1e-5))

    monkeypatch.setattr(audit_plans, "solve_program", other)
    found = plan_audits(line([0.6, 0.5], scale=2.0), pays(1.0, 0.0), items=200, level=0.05, fine=1.0)
    assert found.status is PlanStatus.UNCONFIRMED and "linear program" in found.advice


def test_the_solver_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    plan_audits(line([0.6, 0.5], scale=2.0), pays(1.0, 0.0), items=200, level=0.05, fine=1.0)
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("seed", range(5))
def test_multipliers_prove_the_plan(seed: int) -> None:
    """Weak duality: the binding temptations at their prices cost exactly the plan, for any weights of the ranks."""
    found = honest_climbs(synthetic(12, 3, np.random.default_rng(seed)), Protocol(tune_steps=3_000.0))
    pull, caught = found.pull(0.01), suspicion(found.score, items=1_000, level=0.1)
    stakes, bound = least_stakes(pull, caught)
    weight = np.random.default_rng(seed + 100).uniform(0.1, 1.0, 12)
    price = unit_prices(caught, bound, weight)
    ranks = np.flatnonzero(bound[:, 0] >= 0)
    value = sum(price[r] * pull[bound[r, 0], bound[r, 1], r] for r in ranks)
    assert np.all(price >= 0) and value == pytest.approx(float(weight @ stakes), rel=1e-10)
    # dual feasible: no stake is worth more than it costs
    reduced = weight.copy()
    for r in ranks:
        b, k = bound[r]
        reduced[r] -= caught[b, k, r] * price[r]
        reduced[k] += caught[b, k, k] * price[r]
    assert np.all(reduced >= -1e-12 * weight.max())


# --- prices, draws, items


@pytest.mark.parametrize("seed", range(4))
def test_prices_are_what_planning_again_says(seed: int) -> None:
    people, protocol = synthetic(8, 1, np.random.default_rng(seed)), Protocol(tune_steps=3_000.0)
    question: dict[str, Any] = {"level": 0.05, "margin": 0.01}
    found, fine = with_fine_to_spare(people, protocol, items=1_000, **question)
    by_name = {p.quantity: p for p in found.prices}
    step = by_name["fine"].change
    assert step == 0.1 and f"raising the fine by {step:g} saves" in by_name["fine"].sentence
    dearer = plan_audits(people, protocol, items=1_000, fine=fine + step, **question)
    assert by_name["fine"].saved == pytest.approx(found.expected_audits - dearer.expected_audits, rel=1e-9)
    more = plan_audits(people, protocol, items=1_100, fine=fine, **question)
    saved = by_name["items"].saved
    assert saved == pytest.approx(found.expected_audits - more.expected_audits, rel=1e-9) or more.plan is None
    assert "from 1,000 to 1,100" in by_name["items"].sentence
    temptations = [p for p in found.prices if p.quantity == "temptation"]
    assert len(temptations) == min(3, len(found.binding)) and all(p.saved < 0 for p in temptations)
    assert all(a.saved <= b.saved for a, b in pairwise(temptations))


def test_a_price_that_leaves_no_plan_says_so() -> None:
    """The fine is just enough for a number of items after which the power falls."""
    people, protocol, level = line([0.9, 0.5], scale=0.1), pays(1.0, 0.0), 0.05
    strength = power(0.9, 0.5, items=np.arange(1, 60), level=level)
    items = 1 + next(m for m in range(20) if strength[m] > strength[m + 1])
    fine = 0.96 / float(strength[items - 1]) - 1.0 + 1e-9
    found = plan_audits(people, protocol, items=items, level=level, fine=fine)
    price = next(p for p in found.prices if p.quantity == "items")
    assert found.plan is not None and price.saved == -np.inf and "leaves no plan" in price.sentence


def test_one_plan_for_many_draws() -> None:
    people = RosterPrior(cost_spread=0.5).draw(
        entrants("gsm8k", 6, np.random.default_rng(2)), 12, np.random.default_rng(3)
    )
    protocol = Protocol(tune_steps=1_000.0)
    question = {"items": 3_000, "level": 0.05, "margin": 0.01}
    found, fine = with_fine_to_spare(people, protocol, **question)
    assert found.plan is not None and found.status is PlanStatus.OPTIMAL
    answer = solve_inner(played(people, protocol, found.plan))
    assert answer.exists.all() and np.all(answer.margin >= 0.01 - 1e-9)
    other, _ = independent_program(people, protocol, fine=fine, **question)
    assert other.status == 0
    np.testing.assert_allclose(found.plan.probability, other.x, rtol=1e-6, atol=1e-9)
    assert len({c.draw for c in found.binding}) > 1
    for climb in found.binding:
        less = np.array(found.plan.probability)
        less[climb.target - 1] *= 0.99
        looser = solve_inner(played(people, protocol, replace(found.plan, probability=tuple(less))))
        assert looser.margin[climb.draw] < 0.01 - 1e-9


@pytest.mark.parametrize(("fixed", "per_item"), [(0.0, 1.0), (50.0, 1.0), (1.0, 0.0)])
def test_items_and_probabilities_together(fixed: float, per_item: float) -> None:
    people, protocol = line([0.6, 0.52, 0.45], scale=[1.0, 2.0, 1.5]), pays(1.0, 0.4, 0.0)
    candidates = range(20, 400, 7)
    found = cheapest_items(
        people, protocol, level=0.05, fine=2.0, fixed=fixed, per_item=per_item, candidates=candidates, margin=0.02
    )
    plans = [plan_audits(people, protocol, items=m, level=0.05, fine=2.0, margin=0.02) for m in candidates]
    costs = np.array(
        [
            (fixed + per_item * m) * p.expected_audits if p.plan else np.inf
            for m, p in zip(candidates, plans, strict=True)
        ]
    )
    np.testing.assert_allclose(found.cost, costs, rtol=1e-9)
    assert np.isinf(costs).any() and np.isfinite(costs).any()
    assert found.best.cost == pytest.approx(costs.min()) and found.best.plan is not None
    assert found.best.plan.items == candidates[int(np.argmin(costs))]
    assert solve_inner(played(people, protocol, found.best.plan)).exists[0]
    assert found.sentences()[0] == f"{found.best.plan.items:,} items per audit cost least"


def test_where_no_number_of_items_does_the_choice_says_why() -> None:
    people, protocol = line([0.6, 0.52, 0.45]), pays(1.0, 0.4, 0.0)
    none = cheapest_items(people, protocol, level=0.05, fine=0.0, candidates=[5, 10])
    assert none.best.plan is None and np.isinf(none.cost).all() and "none of 2 numbers" in none.sentences()[0]
    idle = cheapest_items(line([0.6, 0.5], scale=50.0), pays(1.0, 0.0), level=0.05, fine=0.0)
    assert idle.best.status is PlanStatus.NOT_NEEDED and len(idle.items) == len(default_items())
    assert (
        default_items()[0] == 1 and default_items()[-1] == 20_000 and len(set(default_items())) == len(default_items())
    )


# --- refusals


@pytest.mark.parametrize(
    ("protocol", "message"),
    [
        (pays(1.0, 0.0, precision=0.01), "precision = 0.01; scores must be exact"),
        (pays(1.0, 0.0, noise=0.01), "noise or test_items is set"),
        (pays(1.0, 0.0, test_items=100), "noise or test_items is set"),
        (pays(1.0, 0.0, ties=TieRule.SPLIT), 'ties = "split"; a strict tie order'),
    ],
)
def test_protocols_without_climbs_are_refused_by_name(protocol: Protocol, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plan_audits(line([0.6, 0.5]), protocol, items=100, level=0.05, fine=1.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"items": 0}, "items = 0; an audit needs"),
        ({"level": 0.0}, "audit.level = 0; must lie"),
        ({"fine": -1.0}, "audit.fine = -1; must be"),
        ({"margin": -0.1}, "margin = -0.1; must be finite"),
        ({"cost_per_audit": np.inf}, "cost_per_audit = inf; must be finite"),
        ({"most_items": 0}, "most_items = 0; must be finite and at least 1"),
    ],
)
def test_impossible_questions_are_refused_by_name(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plan_audits(line([0.6, 0.5]), pays(1.0, 0.0), **{"items": 100, "level": 0.05, "fine": 1.0, **change})


def test_impossible_populations_are_refused_by_name() -> None:
    question: Any = {"items": 100, "level": 0.05, "fine": 1.0}
    with pytest.raises(ValueError, match=r"developer 2 has 0\.1 steps of free effort"):
        plan_audits(line([0.6, 0.5], free=[0.0, 0.1]), pays(1.0, 0.0), **question)
    with pytest.raises(ValueError, match="2 draws; plan_audits takes 1"):
        plan_audits(synthetic(3, 2, np.random.default_rng(0)), Protocol(), **question)
    with pytest.raises(ValueError, match=r"scores of developer 1 run from 1\.2"):
        plan_audits(population(Linear(np.array([1.2, 0.5]), np.ones(2)), [1.2, 0.5]), pays(1.0, 0.0), **question)
    with pytest.raises(ValueError, match="fixed = 0 and per_item = 0"):
        cheapest_items(line([0.6, 0.5]), pays(1.0, 0.0), level=0.05, fine=1.0, per_item=0.0)
    with pytest.raises(ValueError, match="per_item = -1; must be"):
        cheapest_items(line([0.6, 0.5]), pays(1.0, 0.0), level=0.05, fine=1.0, per_item=-1.0)
    with pytest.raises(ValueError, match="no candidates"):
        cheapest_items(line([0.6, 0.5]), pays(1.0, 0.0), level=0.05, fine=1.0, candidates=[])


@pytest.mark.parametrize("seed", range(0, 36, 3))
def test_climbs_claim_what_the_game_says(seed: int) -> None:
    """C_kr is the probability with which the game flags the climb's effort, for every climb that takes its rank."""
    people, protocol = drawn(seed)
    game = protocol.induce(people)
    found, audit = audit_climbs(game), Audit(np.zeros(game.prizes.shape), 777, 0.05, 0.0)
    caught = suspicion(found.score, items=777, level=0.05)
    rules = replace(game, audit=audit)
    score, tail = (np.broadcast_to(x, (1, game.n))[0] for x in game.scores(0.0))
    for k, r in np.argwhere(np.isfinite(found.cost[0])):
        who = found.order[0, k]
        efforts = np.zeros((1, game.n))
        efforts[0, who] = found.effort[0, k, r]
        assert caught[0, k, r] == pytest.approx(float(rules.flagged(efforts)[0, who]), abs=1e-12)
        # just beyond the infimum it really stands at rank r
        efforts[0, who] += 1e-7 * (1.0 + efforts[0, who] + game.head_start[0, who])
        own, own_tail = (float(np.broadcast_to(x, (1, game.n))[0, who]) for x in game.scores(efforts))
        over = sum((score[i], tail[i]) > (own, own_tail) for i in range(game.n) if i != who)
        assert over <= r
