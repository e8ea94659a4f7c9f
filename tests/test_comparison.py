"""Paired intervals, ranks, the probability of being best and corrected tests, against oracles that share no code."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain, combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import designer.resampling as resampling
from designer.comparison import Verdict, judge
from designer.resampling import (
    bca_interval,
    bootstrap_means,
    holm,
    share_difference_interval,
    share_interval,
    sign_flip_test,
)
from designer.scorecard import LARGER_IS_BETTER, METRICS

NAN = float("nan")


def verdict_of(
    figures: Mapping[str, np.ndarray], *, figure: str = "kendall_tau", seed: int = 0, **options: float
) -> Verdict:
    outcomes = {
        name: {figure: np.asarray(x, dtype=float), "pure_share": np.isfinite(x).astype(float)}
        for name, x in figures.items()
    }
    return judge(outcomes, figure=figure, rng=np.random.default_rng(seed), **options)  # type: ignore[arg-type]


def test_every_figure_has_a_direction() -> None:
    assert set(LARGER_IS_BETTER) == set(METRICS)
    assert {m for m, larger in LARGER_IS_BETTER.items() if not larger} == {
        "tempted",
        "wasted_effort",
        "designer_cost",
        "audits",
    }


# Intervals


@pytest.mark.parametrize(("family", "draws"), [("normal", 12), ("normal", 60), ("exponential", 60)])
def test_intervals_cover_the_mean_and_the_paired_difference(family: str, draws: int) -> None:
    rng = np.random.default_rng(11)
    experiments = 300
    covered = np.zeros(2)
    for _ in range(experiments):
        shared = rng.standard_normal(draws) if family == "normal" else rng.exponential(size=draws) - 1.0
        one, other = 2.0 + shared, 1.5 + 0.5 * shared + 0.3 * rng.standard_normal(draws)
        one[rng.random(draws) < 0.2] = NAN  # undefined whatever its value would have been
        values = np.array([one, one - other])
        boot = bootstrap_means(values, 999, rng)
        for k, truth in enumerate((2.0, 0.5)):
            low, high = bca_interval(values[k], boot[:, k], 0.95)
            covered[k] += low <= truth <= high
    # 0.95 less the percent or two that are lost with few or skewed draws, within three standard errors
    assert np.all(np.abs(covered / experiments - 0.94) < 3 * np.sqrt(0.94 * 0.06 / experiments)), covered


def test_bca_agrees_with_scipy() -> None:
    rng = np.random.default_rng(3)
    x = rng.exponential(size=50)
    boot = bootstrap_means(x[None], 40_000, rng)[:, 0]
    ours = bca_interval(x, boot, 0.9, expanded=False)
    theirs = stats.bootstrap((x,), np.mean, confidence_level=0.9, n_resamples=40_000, method="BCa", random_state=rng)
    assert np.allclose(ours, theirs.confidence_interval, atol=0.02 * np.ptp(ours))
    wider = bca_interval(x, boot, 0.9)
    assert wider[0] < ours[0] and wider[1] > ours[1] and np.ptp(wider) < 1.05 * np.ptp(ours)


def test_draws_are_resampled_jointly_so_that_pairs_stay_pairs() -> None:
    x = np.random.default_rng(0).standard_normal(30)
    boot = bootstrap_means(np.array([x, x + 1.0]), 200, np.random.default_rng(1))
    assert np.allclose(boot[:, 1] - boot[:, 0], 1.0) and np.std(boot[:, 0]) > 0.1


def test_the_resamples_do_not_depend_on_how_many_fit_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(0).standard_normal((3, 40))
    whole = bootstrap_means(x, 50, np.random.default_rng(1)), sign_flip_test(x, 50, np.random.default_rng(1))
    monkeypatch.setattr(resampling, "_CELLS", 130)
    parts = bootstrap_means(x, 50, np.random.default_rng(1)), sign_flip_test(x, 50, np.random.default_rng(1))
    assert np.allclose(whole[0], parts[0]) and np.array_equal(whole[1], parts[1])


def test_an_interval_of_equal_draws_is_a_point_and_of_one_draw_none() -> None:
    same = np.full(9, 0.1)
    assert bca_interval(same, bootstrap_means(same[None], 99, np.random.default_rng(0))[:, 0], 0.95) == (0.1, 0.1)
    lone = np.array([0.3, NAN, NAN])
    assert np.isnan(bca_interval(lone, bootstrap_means(lone[None], 99, np.random.default_rng(0))[:, 0], 0.95)).all()


def test_shares_have_exact_intervals_that_never_close() -> None:
    n = 20
    low, high = share_interval(n, n, 0.95)
    assert low == pytest.approx(0.025 ** (1 / n)) and high == 1.0
    assert share_interval(0, n, 0.95) == pytest.approx((0.0, 1 - 0.025 ** (1 / n)))
    always, never = np.ones(n), np.zeros(n)
    found = judge(
        {"a": {"pure_share": never}, "b": {"pure_share": always}}, figure="pure_share", rng=np.random.default_rng(0)
    )
    (difference,) = found.differences
    assert difference.figure.mean == 1.0 and 0.5 < (difference.figure.low or 0.0) < 1.0
    assert difference.p == pytest.approx(2 * 0.5**n)  # McNemar's exact test


def test_intervals_of_differences_of_shares_cover_them() -> None:
    rng = np.random.default_rng(5)
    covered = 0
    for _ in range(200):
        pairs = rng.choice([-1.0, 0.0, 1.0], p=[0.02, 0.9, 0.08], size=40)
        low, high = share_difference_interval(pairs, 0.95)
        covered += low <= 0.06 <= high
    assert covered >= 0.95 * 200


# Tests of differences


def test_sign_flips_are_exact_for_few_pairs() -> None:
    d = np.array([0.3, -0.1, 0.25, 0.0, 0.4, 0.05, NAN])
    (p,) = sign_flip_test(d[None], 99, np.random.default_rng(0))
    x = d[np.isfinite(d)]
    sums = [abs(np.dot(signs, x)) for signs in product((-1, 1), repeat=len(x))]
    assert p == pytest.approx(np.mean([s >= abs(x.sum()) - 1e-12 for s in sums]))
    theirs = stats.permutation_test((x,), np.sum, permutation_type="samples", n_resamples=np.inf)
    assert p == pytest.approx(theirs.pvalue)


def test_random_sign_flips_estimate_the_exact_test() -> None:
    x = np.random.default_rng(2).normal(0.35, 1.0, 15)
    signs = np.array(list(product((-1.0, 1.0), repeat=15)))
    exact = np.mean(np.abs(signs @ x) >= abs(x.sum()) - 1e-12)
    (p,) = sign_flip_test(x[None], 9999, np.random.default_rng(0))
    assert abs(p - exact) < 4 * np.sqrt(exact * (1 - exact) / 9999) + 1e-4


def test_equal_changes_are_the_sign_test_and_none_is_no_test() -> None:
    rows = np.array([[0.2] * 9 + [-0.2], [0.0] * 10, [NAN] * 10])
    p = sign_flip_test(rows, 99, np.random.default_rng(0))
    assert p[0] == pytest.approx(stats.binomtest(9, 10).pvalue) and p[1] == 1.0 and np.isnan(p[2])


def test_the_test_keeps_its_level() -> None:
    rng = np.random.default_rng(8)
    p = sign_flip_test(rng.standard_t(3, (400, 20)), 999, rng)
    for level in (0.05, 0.2):
        assert np.mean(p <= level) < level + 4 * np.sqrt(level * (1 - level) / 400)


def test_holm_by_hand() -> None:
    # sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1, then never falling
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm(np.array([0.5, NAN, 0.9]))[[0, 2]] == pytest.approx([1.0, 1.0])
    assert np.isnan(holm(np.array([0.5, NAN, 0.9]))[1]) and holm(np.array([])).shape == (0,)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6), st.sampled_from([0.01, 0.05, 0.2]))
def test_holm_is_the_closed_test_by_bonferroni(p: list[float], level: float) -> None:
    """A hypothesis falls iff every intersection it belongs to does (Marcus, Peritz & Gabriel 1976)."""
    m = range(len(p))
    subsets = list(chain.from_iterable(combinations(m, size) for size in range(1, len(p) + 1)))
    falls = {s: min(p[i] for i in s) * len(s) <= level for s in subsets}
    closed = [all(falls[s] for s in subsets if i in s) for i in m]
    assert (holm(np.array(p)) <= level).tolist() == closed


# Ranks


def test_the_probability_of_being_best_of_two_normals() -> None:
    rng = np.random.default_rng(4)
    a = rng.standard_normal(300)
    b = 0.6 * a + 0.8 * rng.standard_normal(300)
    b += 0.03 - (b - a).mean()  # ahead by 0.03 in these draws
    found = verdict_of({"a": a, "b": b})
    expected = stats.norm.cdf(0.03 * np.sqrt(300) / (b - a).std())
    places = [s.place for s in found.standings]
    assert places[0] and places[1] and places[1].rank == 1
    assert places[1].best == pytest.approx(expected, abs=0.02)
    assert places[0].best + places[1].best == pytest.approx(1.0)
    assert places[1].expected == pytest.approx(2 - places[1].best)


def test_identical_protocols_tie() -> None:
    x = np.random.default_rng(1).normal(0.9, 0.1, 50)
    found = verdict_of({"one": x, "same": x.copy(), "worse": x - 0.2})
    one, same, worse = (s.place for s in found.standings)
    assert one == same and one and worse and one.rank == 1 and worse.rank == 3
    assert one.best == 0.5 and (one.low, one.high) == (1, 1) and worse.best == 0.0 and worse.low == 3
    assert found.differences[0].p == 1.0 and not found.differences[0].distinct
    assert found.differences[1].distinct and not found.differences[1].better
    assert found.sentences()[0] == "best kendall_tau: one, same, tied; in the lead in 100% of the resamples"
    assert "worse: worse" in found.sentences()[1] and "not distinguishable: same" in found.sentences()[1]


def test_smaller_is_better_for_costs() -> None:
    x = np.random.default_rng(6).standard_normal((3, 40)) + np.array([[0.0], [0.3], [1.0]])
    larger = verdict_of({str(k): row for k, row in enumerate(x)})
    smaller = verdict_of({str(k): -row for k, row in enumerate(x)}, figure="tempted")
    assert [s.place for s in larger.standings] == [s.place for s in smaller.standings]
    assert [d.better for d in larger.differences] == [d.better for d in smaller.differences] == [True, True]
    assert larger.larger_is_better and not smaller.larger_is_better


@given(seed=st.integers(0, 2**32 - 1), order=st.permutations(range(4)))
@settings(max_examples=25)
def test_the_order_of_protocols_changes_nothing_but_the_reference(seed: int, order: list[int]) -> None:
    rng = np.random.default_rng(seed)
    x = np.round(rng.normal(0.5, 0.2, (4, 24)) + 0.1 * rng.standard_normal((4, 1)), 1)
    x[rng.random((4, 24)) < rng.choice([0.0, 0.3, 0.8], (4, 1))] = NAN
    figures = {f"p{k}": row for k, row in enumerate(x)}
    straight = verdict_of(figures, resamples=199)
    turned = verdict_of({f"p{k}": x[k] for k in order}, resamples=199)
    assert straight.common == turned.common
    by_name = {s.name: s for s in turned.standings}
    for s in straight.standings:
        t = by_name[s.name]
        assert (s.undefined, s.pure_share, s.figure.draws) == (t.undefined, t.pure_share, t.figure.draws)
        for field in ("mean", "low", "high"):
            a, b = getattr(s.figure, field), getattr(t.figure, field)
            assert a == b or a == pytest.approx(b)
        assert (s.place is None) == (t.place is None)
        if s.place and t.place:
            assert (s.place.rank, s.place.low, s.place.high) == (t.place.rank, t.place.low, t.place.high)
            assert s.place.best == pytest.approx(t.place.best)
    places = [s.place for s in straight.standings if s.place]
    assert not places or sum(p.best for p in places) == pytest.approx(1.0)


# Draws without the figure


def test_draws_without_the_figure_are_counted_and_never_compared() -> None:
    rng = np.random.default_rng(9)
    full = rng.normal(0.5, 0.01, 20)
    easy = full.copy()
    full[10:] -= 0.4  # hard draws, in which the other protocol never settles
    easy[:10] -= 0.1
    easy[10:] = NAN
    found = verdict_of({"everywhere": full, "easy": easy})
    first, second = found.standings
    assert (first.undefined, second.undefined, found.common) == (0, 10, 10)
    assert second.figure.mean and first.figure.mean and second.figure.mean > first.figure.mean
    assert first.place and first.place.rank == 1  # on the ten common draws
    (difference,) = found.differences
    assert difference.figure.draws == 10 and difference.figure.mean == pytest.approx(-0.1)
    assert second.pure_share.mean == 0.5 and second.pure_share.low and second.pure_share.high


def test_protocols_without_the_figure_are_named_and_the_reference_moves_on() -> None:
    x = np.random.default_rng(9).normal(0.5, 0.1, (2, 20))
    rare = np.full(20, NAN)
    rare[:3] = 0.9
    found = verdict_of({"never": np.full(20, NAN), "rare": rare, "a": x[0], "b": x[1] + 1.0})
    never, rarely, a, b = found.standings
    assert never.figure.mean is None and never.figure.reason == "undefined in every draw" and never.place is None
    assert rarely.place is None and rarely.figure.draws == 3 and found.reference == "a" and found.common == 20
    assert a.place and b.place and b.place.best == 1.0
    assert [d.name for d in found.differences] == ["never", "rare", "b"]
    assert found.differences[0].p is None and found.differences[0].figure.reason
    assert found.differences[1].p == 0.25 and found.differences[1].holm == 0.25  # three pairs cannot say more
    said = found.sentences()
    assert said[0] == "not ranked, kendall_tau being defined in fewer than half of the draws: never, rare"
    assert said[2].endswith("better: b; not distinguishable: rare; never in the same draws: never")


def test_nothing_is_ranked_where_no_protocol_has_the_figure() -> None:
    found = verdict_of({"a": np.full(8, NAN), "b": np.full(8, NAN)})
    assert found.reference is None and found.differences == () and found.common == 0
    assert found.sentences() == (
        "nothing is ranked: under none of these is kendall_tau defined in at least half of the draws",
    )


def test_nothing_is_ranked_on_fewer_than_two_common_draws() -> None:
    a, b = np.full(8, NAN), np.full(8, NAN)
    a[:4], b[3:] = 0.5, 0.6
    found = verdict_of({"a": a, "b": b})
    assert found.common == 1 and [s.place for s in found.standings] == [None, None] and found.reference == "a"
    assert found.sentences()[0].startswith("nothing is ranked: all others have kendall_tau together in 1 of the draws")


def test_infinite_margins_are_counted() -> None:
    x = np.array([0.1, 0.2, np.inf, 0.4, NAN, 0.3])
    found = verdict_of({"a": x}, figure="margin")
    (one,) = found.standings
    assert (one.undefined, one.unbounded, one.figure.draws) == (1, 1, 4) and one.figure.mean == pytest.approx(0.25)


def test_a_single_protocol_and_two_draws() -> None:
    found = verdict_of({"a": np.array([0.2, 0.4])})
    assert found.standings[0].place and found.standings[0].place.best == 1.0 and found.sentences() == ()


def test_wrong_questions_are_refused() -> None:
    x = np.zeros(3)
    for options, expected in (({"level": 1.0}, "level = 1"), ({"level": NAN}, "level = nan")):
        with pytest.raises(ValueError, match=expected):
            verdict_of({"a": x}, **options)
    with pytest.raises(ValueError, match="no such figure"):
        verdict_of({"a": x}, figure="tau")
    with pytest.raises(ValueError, match="same draws"):
        verdict_of({"a": x, "b": np.zeros(4)})
