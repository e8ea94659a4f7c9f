"""Compiled code against the general path, game by game; and that neither threads nor layouts change anything."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from builders import game_of, logit
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtri
from scipy.stats import binom, kendalltau

from designer.audits import AuditPlan
from designer.prizes import Bands
from designer.protocol import Protocol
from designer.ranking import kendall_tau_b, published_ranks
from designer.scorecard import play
from followers.binomial_kernels import UNSURE, binomial_tail, critical_values
from followers.errors import InputError
from followers.game import LeaderboardGame, TieRule, select
from followers.hidden import PartlyHidden
from followers.measurement import Audit
from followers.prior import RosterPrior, synthetic
from solvers.audited import solve_audited
from solvers.certificate import Status
from solvers.checker import check
from solvers.deviations import check_free_effort
from solvers.inner import solve_inner
from solvers.pure import TOLERANCE, solve_pure
from solvers.rounded import solve_rounded
from solvers.rounded_batch import solve_rounded_batch
from solvers.threads import THREADS_VARIABLE, each_slice, thread_count

PLAN = AuditPlan(probability=(0.6, 0.4, 0.2, 0.2), items=150, level=0.05, fine=0.5)


def any_game(seed: int, starts: tuple[float, ...] = (0.0, 5.0, 100.0, 1e5)) -> LeaderboardGame:
    """Flat curves, twins, caps, fees, free effort, equal prizes, hidden shares: all that makes a special case."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 7))
    lower = rng.uniform(0.0, 0.5, n)
    upper = lower + rng.uniform(0.05, 0.45, n) * (rng.random(n) > 0.15)
    intercept, slope = rng.normal(-2, 2, n), rng.uniform(0.3, 2.5, n)
    if rng.random() < 0.3:  # twins tie
        for x in (lower, upper, intercept, slope):
            x[-1] = x[0]
    if rng.random() < 0.2:  # a common ceiling
        upper[:] = 0.96
    game = game_of(
        logit(lower, upper, intercept, slope),
        np.sort(rng.uniform(0, 1, n) if rng.random() < 0.6 else rng.integers(0, 4, n) / 4.0)[::-1].tolist(),
        start=rng.choice(starts) + rng.choice([0.0, 3.0], n) * (rng.random() < 0.5),
        cap=rng.choice([np.inf, 0.0, 10.0, 1_000.0], n, p=[0.7, 0.05, 0.1, 0.15]),
        scale=10.0 ** rng.uniform(-5, -0.5, n),
        exponent=rng.choice([1.0, 1.5, 2.0], n),
        free=rng.choice([0.0, 1.0, 4.0], n) * (rng.random() < 0.5),
        fee=rng.choice([0.0, 0.1], n) * (rng.random() < 0.4),
        ties=TieRule.SPLIT if rng.random() < 0.5 else TieRule.QUALITY,
        order=rng.permutation(n).tolist(),
    )
    if rng.random() < 0.5:
        share, transfer = (float(rng.choice([0.0, 1.0, 0.3, rng.random()])) for _ in range(2))
        game = replace(game, curve=PartlyHidden(game.curve, game.head_start, share, transfer))
    return game


def audited(game: LeaderboardGame, seed: int) -> LeaderboardGame:
    rng = np.random.default_rng(seed)
    chance = rng.random(game.prizes.shape) * (rng.random(game.prizes.shape) > 0.3)
    items, level, fine = int(rng.integers(1, 600)), float(rng.choice([0.01, 0.05, 0.2])), float(rng.choice([0.0, 3.0]))
    return replace(game, audit=Audit(chance, items, level, fine))


seeds = st.integers(0, 2**31)


@settings(max_examples=60)
@given(seeds)
def test_the_free_effort_profile_is_priced_as_in_general(seed: int) -> None:
    game = any_game(seed)
    fast, general = check_free_effort(game), check_free_effort(game, compiled=False)
    np.testing.assert_array_equal(fast.ranks, general.ranks)
    np.testing.assert_allclose(fast.margins, general.margins, rtol=1e-9, atol=1e-9)
    if game.ties is TieRule.SPLIT or isinstance(game.curve, PartlyHidden):
        for ours, theirs in ((fast.lowest, general.lowest), (fast.highest, general.highest)):
            np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)
    one, other = solve_pure(game), solve_pure(game, compiled=False)
    assert one.status() is other.status()


def test_where_digits_run_out_neither_path_contradicts_the_other() -> None:
    """At head starts up to 1e17 steps rounding takes whole prizes: UNKNOWN is an answer, the opposite one is not."""
    unknown = 0
    for seed in range(60):
        game = any_game(seed, starts=(1e14, 1e16, 1e17))
        fast, general = check_free_effort(game), check_free_effort(game, compiled=False)
        slack = TOLERANCE * game.prize_span
        for one, other in ((fast, general), (general, fast)):
            assert not (np.any(one.lowest >= -slack) and np.any(other.highest < -slack)), seed
        unknown += int(np.any(fast.lowest < -slack) and np.any(fast.highest >= -slack))
    assert unknown > 0


@settings(max_examples=60)
@given(seeds)
def test_audited_profiles_are_priced_as_in_general(seed: int) -> None:
    game = audited(any_game(seed), seed)
    fast, general = solve_audited(game), solve_audited(game, compiled=False)
    assert fast.status() is general.status()
    for name in ("efforts", "utilities", "margin", "developer_margin", "prize_gain", "extra_cost", "effort"):
        np.testing.assert_allclose(getattr(fast, name), getattr(general, name), rtol=1e-8, atol=1e-9, err_msg=name)
    for name in ("target", "rank") if isinstance(game.curve, PartlyHidden) else ("target", "rank", "attained"):
        np.testing.assert_array_equal(getattr(fast, name), getattr(general, name))


@settings(max_examples=60)
@given(seeds, st.sampled_from([0.1, 0.05, 0.02, 0.03, 1 / 7]), st.booleans(), st.sampled_from([1, 3, 2_000]))
def test_rounded_games_are_solved_alike_by_the_batch_and_alone(seed: int, eta: float, audit: bool, budget: int) -> None:
    game = replace(any_game(seed), precision=eta)
    same_rounded(audited(game, seed) if audit else game, budget)


@settings(max_examples=60)
@given(seeds)
def test_scores_just_below_a_ceiling_are_reached_alike(seed: int) -> None:
    """Where little carries over to the hidden items a score may be reached only after billions of steps."""
    rng = np.random.default_rng(seed)
    game = any_game(seed)
    curve = game.curve.curve if isinstance(game.curve, PartlyHidden) else game.curve
    hidden = PartlyHidden(curve, game.head_start, float(rng.uniform(0.1, 0.9)), float(10.0 ** rng.uniform(-8, -3)))
    same_rounded(replace(game, curve=hidden, precision=float(rng.choice([0.01, 0.02, 0.05]))), 2_000)


def same_rounded(game: LeaderboardGame, budget: int) -> np.ndarray:
    fast = solve_rounded_batch(game, node_budget=budget)
    alone = solve_rounded_batch(game, node_budget=budget, compiled=False)
    np.testing.assert_array_equal(fast.codes, alone.codes)
    np.testing.assert_array_equal(fast.tolerance, alone.tolerance)
    for name in ("efforts", "gain", "margin"):
        np.testing.assert_allclose(getattr(fast, name), getattr(alone, name), rtol=1e-9, atol=1e-9, err_msg=name)
    return fast.codes


@pytest.mark.parametrize("ties", list(TieRule))
@pytest.mark.parametrize("knobs", [{}, {"hidden_share": 0.3, "transfer": 0.5}, {"audit": PLAN}])
def test_boards_of_twenty_are_solved_alike_by_the_batch_and_alone(ties: TieRule, knobs: dict[str, object]) -> None:
    people = RosterPrior().draw(synthetic(20, 1, np.random.default_rng(3)), 6, np.random.default_rng(4))
    for eta, tune in ((0.02, 5_000.0), (0.01, 40_000.0), (0.05, 0.0)):
        protocol = Protocol(ties=ties, precision=eta, tune_steps=tune, **knobs)  # type: ignore[arg-type]
        same_rounded(protocol.induce(people), 500)


def test_a_race_for_the_top_is_refuted_in_few_branches() -> None:
    """Trying every level of whoever has fewest left took more than 20,000 branches on such boards of twenty."""
    people = RosterPrior().draw(synthetic(20, 1, np.random.default_rng(1)), 4, np.random.default_rng(0))
    answer = solve_inner(Protocol(precision=0.01).induce(people), node_budget=100)
    assert answer.absent.all()
    game = Protocol(precision=0.05, ties=TieRule.SPLIT).induce(synthetic(6, 1, np.random.default_rng(1)))
    found = solve_rounded(game)
    report = check(game, found.certificate())
    assert any(i >= 0 and a < 0 for i, a, _ in found.steps) and report.passed, report.summary()
    k = next(k for k, (i, a, _) in enumerate(found.steps) if i >= 0 and a < 0)
    i, _, level = found.steps[k]
    for wrong in ((i, -1, -1), (i, -1, level + 1), ((i + 1) % game.n, -1, level)):
        steps = (*found.steps[:k], wrong, *found.steps[k + 1 :])
        assert not check(game, replace(found.certificate(), steps=steps)).passed


def test_certificates_of_a_batch_are_those_of_its_games() -> None:
    people = RosterPrior().draw(synthetic(5, 1, np.random.default_rng(2)), 6, np.random.default_rng(5))
    for protocol in (
        Protocol(precision=0.05, tune_steps=2e4),
        Protocol(precision=0.05, tune_steps=2e4, hidden_share=0.4, transfer=0.5, audit=PLAN),
        Protocol(tune_steps=2e4, hidden_share=0.4, transfer=0.5, ties=TieRule.SPLIT),
        Protocol(tune_steps=2e4, audit=PLAN),
    ):
        answer = solve_inner(protocol.induce(people))
        for b in range(3):
            report = check(select(answer.game, [b]), answer.certify(b))
            assert report.passed, report.summary()
            assert answer.certify(b).status is answer.status(b)  # type: ignore[union-attr]


@given(st.integers(1, 3_000), st.floats(0, 1), st.floats(0, 1))
def test_binomial_tails_are_those_of_scipy(items: int, chance: float, share: float) -> None:
    k = int(share * (items + 1)) - 1
    assert binomial_tail(k, items, chance) == pytest.approx(float(binom.cdf(k, items, chance)), rel=1e-11, abs=1e-300)


@given(st.integers(1, 3_000), st.sampled_from([1e-6, 0.01, 0.05, 0.5, 0.999]), seeds)
def test_critical_values_are_those_of_scipy_or_left_to_it(items: int, level: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    audit = Audit(np.zeros((1, 1)), items, level, 0.0)
    steps = audit.claim_steps()[rng.integers(items, size=4)]  # where the last digits decide
    small = 10.0 ** -rng.uniform(0, 12, 4)
    claims = np.concatenate([rng.random(8), [0.0, 1.0], small, 1.0 - small, steps, np.nextafter(steps, 1.0)])
    least = binom.ppf(level, items, claims)
    by_scipy = np.where(binom.cdf(least, items, claims) <= level, least, least - 1)
    np.testing.assert_array_equal(audit._critical_anew(claims), by_scipy)
    found = np.empty(len(claims), dtype=np.int64)
    critical_values(items, level, float(ndtri(level)), claims, found)
    assert ((found == by_scipy) | (found == UNSURE)).all() and (found[:10] != UNSURE).mean() > 0.5


@given(st.integers(1, 400), st.sampled_from([0.01, 0.05, 0.2, 0.5]), seeds)
def test_critical_values_do_not_depend_on_how_many_claims_are_asked_for(items: int, level: float, seed: int) -> None:
    """A table serves many claims, the test itself a few; at the very steps of the table too."""
    audit = Audit(np.ones((1, 2)), items, level, 0.0)
    steps = audit.claim_steps()
    claims = np.concatenate(
        [np.random.default_rng(seed).random(items), steps, np.nextafter(steps, 0), np.nextafter(steps, 1), [0.0, 1.0]]
    )
    one_by_one = binom.ppf(level, items, claims)
    exact = binom.cdf(one_by_one, items, claims) <= level
    np.testing.assert_array_equal(audit.critical(claims), np.where(exact, one_by_one, one_by_one - 1))


@settings(max_examples=30)
@given(seeds, st.integers(2, 12), st.booleans())
def test_boards_are_ranked_and_compared_with_the_truth(seed: int, n: int, ordered: bool) -> None:
    rng = np.random.default_rng(seed)
    score, tail = rng.integers(0, 4, (5, n)) / 4.0, rng.integers(-1, 2, (5, n)) * 1e-18
    order, quality = rng.permuted(np.tile(np.arange(n), (5, 1)), axis=1), rng.integers(0, 5, (5, n)).astype(float)
    band = np.arange(n) // 2
    ranks = published_ranks(score, tail, order if ordered else None, band)
    taus = kendall_tau_b(ranks, quality)
    for b in range(5):
        keys = [(-score[b, i], -tail[b, i], order[b, i] if ordered else 0) for i in range(n)]
        assert ranks[b].tolist() == [int(band[sum(k < keys[i] for k in keys)]) for i in range(n)]
        expected = kendalltau(-ranks[b], quality[b]).statistic
        assert taus[b] == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_results_do_not_depend_on_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """150 games are several pieces for the rounded solver, 2,300 for the plain one."""
    one = synthetic(6, 1, np.random.default_rng(6))
    few, many = (RosterPrior().draw(one, b, np.random.default_rng(7)) for b in (150, 2_300))
    for protocol, people in (
        (Protocol(precision=0.02, tune_steps=3e4), few),
        (Protocol(ties=TieRule.SPLIT, hidden_share=0.2), many),
        (Protocol(audit=PLAN, tune_steps=3e4), many),
        (Protocol(tune_steps=3e4), many),
    ):
        answers = []
        for threads in ("1", "3"):
            monkeypatch.setenv(THREADS_VARIABLE, threads)
            answers.append(play(protocol, people))
        for name, values in answers[0].values.items():
            np.testing.assert_array_equal(values, answers[1].values[name])
        alone = play(protocol, replace(people, **first_draw(people)))  # type: ignore[arg-type]
        for name, values in alone.values.items():
            np.testing.assert_array_equal(values, answers[0].values[name][:1], err_msg=name)


def first_draw(people: object) -> dict[str, object]:
    game = select(Protocol().induce(people), [0])  # type: ignore[arg-type]
    arrays = {name: getattr(people, name)[:1] for name in ("quality", "prior_exposure", "effort_cap")}
    return {"curve": game.curve, "cost": game.cost, **arrays}


def test_the_number_of_threads_is_what_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(THREADS_VARIABLE, raising=False)
    assert thread_count() >= 1
    monkeypatch.setenv(THREADS_VARIABLE, " 3 ")
    assert thread_count() == 3
    seen: list[slice] = []
    each_slice(10, 4, seen.append)
    assert sorted((s.start, s.stop) for s in seen) == [(0, 4), (4, 8), (8, 10)]
    for wrong in ("0", "-1", "two", "1.5"):
        monkeypatch.setenv(THREADS_VARIABLE, wrong)
        with pytest.raises(InputError, match=f"{THREADS_VARIABLE} = '{wrong}'; must be a whole number"):
            thread_count()


def test_every_kernel_is_compiled_once() -> None:
    """Single games and batches, read-only and strided arrays: one signature each, or every process compiles anew."""
    from designer.ranking_kernels import pair_counts, ranks_of
    from followers.game_kernels import first_fault
    from solvers.audit_kernels import audited_deviations
    from solvers.kernels import free_profile_margins
    from solvers.margin_kernels import climb_margins
    from solvers.rounded_kernels import cheapest_equilibria, search_levels

    one = synthetic(5, 1, np.random.default_rng(8))
    for people in (one, RosterPrior().draw(one, 70, np.random.default_rng(9))):
        for ties in TieRule:
            for protocol in (
                Protocol(ties=ties),
                Protocol(ties=ties, tiers=Bands(width=2)),
                Protocol(ties=ties, hidden_share=0.3, transfer=0.5),
                Protocol(ties=ties, audit=PLAN),
                Protocol(ties=ties, precision=1.0 / 32, tune_steps=3e4),
                Protocol(ties=ties, precision=1.0 / 32, tune_steps=3e4, audit=PLAN),
            ):
                solved = play(protocol, people).equilibrium
                solved.certify(0)
    solve_rounded(replace(game_of(logit([0.1, 0.2], [0.5, 0.6], -3, 1), [1, 0]), precision=0.25))
    kernels = (
        pair_counts,
        ranks_of,
        first_fault,
        audited_deviations,
        free_profile_margins,
        climb_margins,
        cheapest_equilibria,
        search_levels,
    )
    assert {k.py_func.__name__: len(k.nopython_signatures) for k in kernels} == {k.py_func.__name__: 1 for k in kernels}


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("head_start", [[0.0, np.nan]], "head_start is not finite"),
        ("prizes", [[np.inf, 0.0]], "prizes is not finite"),
        ("prizes", [[0.0, 1.0]], "prizes increase"),
        ("head_start", [[0.0, -1.0]], "must not be negative"),
        ("effort_cap", [[np.inf, -1.0]], "must not be negative"),
        ("effort_cap", [[np.inf, np.nan]], "must not be negative"),
        ("tie_order", [[0, 0]], "permutation"),
        ("tie_order", [[1, 2]], "permutation"),
        ("tie_order", [[-1, 0]], "permutation"),
        ("tie_order", [[0.0, 1.0]], "permutation"),
    ],
)
def test_impossible_games_are_refused_by_name(field: str, value: list[list[float]], message: str) -> None:
    game = game_of(logit([0.1, 0.2], [0.5, 0.6], -3.0, 1.0), [1.0, 0.0])
    with pytest.raises(ValueError, match=message):
        replace(game, **{field: np.array(value)})
    many = {
        name: np.repeat(getattr(game, name), 3, axis=0) for name in ("head_start", "effort_cap", "prizes", "tie_order")
    }
    many[field] = np.concatenate([many[field][:2], np.array(value)])
    with pytest.raises(ValueError, match=message):
        replace(game, **many)


def test_effort_without_end_is_refused() -> None:
    game = game_of(logit([0.1, 0.2], [0.5, 0.6], -3.0, 1.0), [1.0, 0.0])
    endless = replace(game.cost, scale=np.array([0.0, 1.0]))  # type: ignore[type-var]
    with pytest.raises(ValueError, match="effort without end"):
        replace(game, cost=endless)
    with pytest.raises(ValueError, match="effort without end"):
        replace(game, cost=replace(endless, entry_fee=np.array([0.1, 0.0])))
    with pytest.raises(ValueError, match="effort without end"):
        replace(game, cost=replace(game.cost, free=np.array([np.inf, 0.0])))  # type: ignore[type-var]
    capped = replace(game, effort_cap=np.array([[5.0, np.inf]]), cost=endless)
    assert solve_pure(capped).status() in (Status.EXISTS, Status.ABSENT)
