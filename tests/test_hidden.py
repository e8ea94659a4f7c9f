"""Partly hidden tests: (1 - h) v(start + e) + h v(start + t e), DESIGN section 3."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal, getcontext

import numpy as np
import pytest
from builders import exponential, game_of, linear, logit, logit_games, row
from hypothesis import given, settings
from hypothesis import strategies as st

from followers.arrays import above
from followers.costs import PowerCost
from followers.game import LeaderboardGame, TieRule, select
from followers.grouping import Part
from followers.hidden import PartlyHidden
from followers.roster import RosterCurve
from followers.tabulated import tabulate
from solvers.certificate import Status
from solvers.checker import check
from solvers.pure import solve_pure

TABLE = ([0, 10, 30, 100], [0.2, 0.2, 0.5, 0.5])
shares = st.floats(0.0, 1.0)


@pytest.mark.parametrize(
    "share, transfer, named", [(1.5, 0.0, "hidden_share"), (-0.1, 0.0, "hidden_share"), (0.5, 2.0, "transfer")]
)
def test_shares_must_lie_between_none_and_all(share: float, transfer: float, named: str) -> None:
    with pytest.raises(ValueError, match=rf"{named} = .*; must lie in \[0, 1\]"):
        PartlyHidden(linear([0.0], [1.0]), row(0.0), share, transfer)


@given(shares, shares, st.floats(0, 1e4), st.floats(0, 1e5))
def test_the_score_is_the_mixture_and_the_derivative_its_slope(h: float, t: float, start: float, e: float) -> None:
    plain = logit([0.1], [0.8], [-6.0], [1.3])
    curve = PartlyHidden(plain, row(start), h, t)
    mixed = (1 - h) * plain.score(start + e) + h * plain.score(start + t * e)
    assert curve.score(start + e)[0] == pytest.approx(mixed[0], rel=4e-15)
    step = 1e-5 * (1 + start + e)
    rise = (curve.score(start + e + step) - curve.score(start + e - min(step, e))) / (step + min(step, e))
    assert curve.derivative(start + e)[0] == pytest.approx(rise[0], rel=1e-3, abs=1e-9)


@pytest.mark.parametrize("share, transfer", [(0.0, 0.0), (0.0, 0.7), (0.4, 1.0), (1.0, 1.0)])
def test_nothing_hidden_or_all_carried_over_is_exactly_the_plain_curve(share: float, transfer: float) -> None:
    plain = logit([0.2, 0.1], [0.9, 0.9], [-3.0, -9.0], [0.7, 2.2])
    curve = PartlyHidden(plain, row(40.0, 0.0), share, transfer)
    efforts = np.array([40.0, 41.0, 1e3, 1e9, 1e40])[:, None]
    for ours, theirs in zip(curve.score_pair(efforts), plain.score_pair(efforts), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def gap(intercept: float, slope: float, place: Decimal) -> Decimal:
    """1 - logistic(intercept + slope log(1 + place)) to 60 digits."""
    return 1 / (1 + (Decimal(intercept) + Decimal(slope) * (1 + place).ln()).exp())


@pytest.mark.parametrize("effort", [0.0, 3.0, 1e4, 1e9, 1e14])
@pytest.mark.parametrize("share, transfer", [(0.3, 0.25), (0.3, 0.999), (1e-9, 0.5), (1.0, 0.5)])
def test_the_gap_below_a_ceiling_keeps_its_digits(effort: float, share: float, transfer: float) -> None:
    """60-digit oracle; in plain doubles every one of these gaps is lost from some 1e6 steps on."""
    getcontext().prec = 60
    start, intercept, slope = 64.0, -3.0, 2.5
    score, tail = PartlyHidden(logit([0.0], [1.0], [intercept], [slope]), row(start), share, transfer).score_pair(
        start + effort
    )
    found = float((1 - Decimal(float(score[0]))) - Decimal(float(tail[0])))
    p = Decimal(start) + Decimal(effort)
    q = Decimal(start) + Decimal(transfer) * Decimal(effort)
    h = Decimal(share)
    exact = float((1 - h) * gap(intercept, slope, p) + h * gap(intercept, slope, q))
    assert found == pytest.approx(exact, rel=1e-13)


def test_two_curves_below_the_same_ceiling_do_not_tie() -> None:
    plain = logit([0.2, 0.2], [0.9, 0.9], [-3.0, -3.0 - 1e-9], [1.0, 1.0])
    score, tail = PartlyHidden(plain, row(0.0, 0.0), 0.5, 0.5).score_pair(np.array([1e12, 1e12]))
    assert score[0] == score[1]  # a tie in doubles
    assert above(score[0], tail[0], score[1], tail[1])


@given(st.floats(0.01, 0.99), st.floats(0.02, 0.98), st.floats(0, 50))
def test_the_inverse_is_its_closed_form(h: float, level: float, start: float) -> None:
    """Exponential curve, half of the effort carries over: with y = exp(-rate e / 2) the gap is (1 - h) y^2 + h y."""
    rate, room = 0.05, 0.8 * np.exp(-0.05 * start)
    curve = PartlyHidden(exponential([0.1], [0.9], [rate]), row(start), h, 0.5)
    y = (-h + np.sqrt(h * h + 4 * (1 - h) * level)) / (2 * (1 - h))
    score, effort = 0.9 - room * level, -2 / rate * np.log(y)
    # a double near 0.9 is known to 1e-16, an effort to that over the slope
    slack = 1e-12 * (1 + effort) + 4e-16 / curve.derivative(start + effort)[0]
    assert curve.effort_to_reach(score)[0] - start == pytest.approx(effort, abs=slack)
    assert curve.effort_to_exceed(score)[0] - start == pytest.approx(effort, abs=slack)


@given(shares, shares, st.floats(0, 1e3), st.floats(1e-3, 1e5))
def test_inverses_go_down_to_adjacent_doubles(h: float, t: float, start: float, e: float) -> None:
    curve = PartlyHidden(logit([0.1], [0.8], [-6.0], [1.3]), row(start), h, t)
    target = curve.score_pair(start + e)
    reach, exceed = curve.effort_to_reach(*target), curve.effort_to_exceed(*target)
    if reach[0] > 0:
        assert not above(*target, *curve.score_pair(reach))[0]
        assert above(*target, *curve.score_pair(np.nextafter(reach, 0.0)))[0]
    if np.isfinite(exceed[0]):
        assert above(*curve.score_pair(np.nextafter(exceed, np.inf)), *target)[0]
        assert not above(*curve.score_pair(exceed), *target)[0]
    assert np.isinf(exceed[0]) == (h == 1 and t == 0)  # flat for ever


def test_what_does_not_carry_over_lowers_the_ceiling() -> None:
    """transfer 0: (1 - h) upper + h v(start) is never exceeded, and above it nothing is reached."""
    plain = logit([0.2], [0.9], [-3.0], [0.7])
    curve = PartlyHidden(plain, row(20.0), 0.25, 0.0)
    ceiling = 0.75 * 0.9 + 0.25 * plain.score(20.0)[0]
    assert curve.score(np.inf)[0] == pytest.approx(ceiling, rel=1e-15)
    assert np.isfinite(curve.effort_to_reach(ceiling - 1e-6)[0])
    for inverse in (curve.effort_to_reach, curve.effort_to_exceed):
        assert inverse(ceiling + 1e-9)[0] == np.inf


def test_an_unbounded_curve_is_inverted_too() -> None:
    curve = PartlyHidden(linear([0.0, 0.5], [1.0, 0.001]), row(0.0, 3.0), 0.3, 0.25)
    np.testing.assert_allclose(curve.effort_to_reach(1.0), [1 / 0.775, 3 + (0.5 - 0.003) / 0.000775], rtol=1e-13)
    assert curve.score(np.inf).tolist() == [np.inf, np.inf]


def stretches(curve: PartlyHidden | RosterCurve, i: int = 0) -> set[tuple[float, float]]:
    starts, ends = curve.flat_stretches()
    return {(float(a), float(b)) for a, b in zip(starts[:, i], ends[:, i], strict=True) if np.isfinite(a)}


@pytest.mark.parametrize(
    "share, transfer, expected",
    [
        (0.0, 0.5, {(0.0, 10.0), (30.0, np.inf)}),
        (0.5, 1.0, {(0.0, 10.0), (30.0, np.inf)}),
        (0.5, 0.5, {(0.0, 8.0), (48.0, np.inf)}),  # hidden items are flat on [-12, 8] and from 48 on
        (1.0, 0.5, {(0.0, 8.0), (48.0, np.inf)}),
        (1.0, 0.1, {(102.0 + 90.0, np.inf)}),  # the first stretch would end at -8
        (0.5, 0.0, {(0.0, 10.0), (30.0, np.inf)}),
        (1.0, 0.0, {(0.0, np.inf)}),
    ],
)
def test_flat_stretches_are_those_of_both_parts(
    share: float, transfer: float, expected: set[tuple[float, float]]
) -> None:
    assert stretches(PartlyHidden(tabulate([TABLE]), row(12.0), share, transfer)) == expected


def test_concave_where_the_plain_curve_is() -> None:
    curves = PartlyHidden(logit([0.0] * 2, [1.0] * 2, [-5.0] * 2, [0.9, 1.2]), row(0.0, 0.0), 0.5, 0.3)
    assert curves.is_concave().tolist() == [1.0, 0.0]
    efforts = np.linspace(0, 50, 4001)[:, None]
    assert (np.diff(curves.score(efforts), 2, axis=0).max(axis=0) > 1e-12).tolist() == [False, True]


def test_positions_below_the_start_do_not_crash() -> None:
    curve = PartlyHidden(logit([0.2], [0.9], [-3.0], [0.7]), row(100.0), 0.5, 0.5)
    scores = curve.score(np.linspace(0, 200, 401)[:, None])
    assert np.all(np.diff(scores[:, 0]) > 0)
    assert curve.effort_to_reach(scores[60])[0] == pytest.approx(30.0, rel=1e-9)


def test_rosters_inside_and_outside_agree() -> None:
    first, second = logit([0.2, 0.1], [0.9, 0.8], -3.0, 0.7), tabulate([TABLE])
    start, at = row(4.0, 12.0, 7.0), (np.array([0, 2]), np.array([1]))
    inside = PartlyHidden(RosterCurve((Part(at[0], first), Part(at[1], second)), 3), start, 0.4, 0.5)
    outside = RosterCurve(
        (
            Part(at[0], PartlyHidden(first, start[at[0]], 0.4, 0.5)),
            Part(at[1], PartlyHidden(second, start[at[1]], 0.4, 0.5)),
        ),
        3,
    )
    efforts = np.geomspace(1, 1e4, 50)[:, None]
    scores = inside.score_pair(efforts)
    for ours, theirs in zip(scores, outside.score_pair(efforts), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(inside.effort_to_reach(*scores), outside.effort_to_reach(*scores))
    np.testing.assert_array_equal(inside.effort_to_exceed(*scores), outside.effort_to_exceed(*scores))
    assert [stretches(inside, i) for i in range(3)] == [stretches(outside, i) for i in range(3)]
    moved = inside.anchored(2 * start), outside.anchored(2 * start)
    np.testing.assert_array_equal(moved[0].score(efforts), moved[1].score(efforts))
    assert not np.array_equal(moved[0].score(efforts), inside.score(efforts))


def batch() -> LeaderboardGame:
    """Four games of two developers with different starts and parameters per game."""
    intercepts = np.array([[-3.0, -2.0], [-4.0, -3.0], [-2.0, -5.0], [-3.0, -3.5]])
    plain = logit(np.full((4, 2), 0.2), np.full((4, 2), 0.9), intercepts, np.full((4, 2), 0.8))
    ones = np.ones((4, 2))
    return LeaderboardGame(
        curve=PartlyHidden(plain, np.zeros((4, 2)), 0.4, 0.3),
        cost=PowerCost(1e-3 * ones, ones, 0 * ones, 0 * ones),
        head_start=np.array([[0.0, 5.0], [10.0, 10.0], [100.0, 0.0], [3.0, 3.0]]),
        effort_cap=np.full((4, 2), np.inf),
        prizes=np.tile([1.0, 0.0], (4, 1)),
        ties=TieRule.QUALITY,
        tie_order=np.tile([0, 1], (4, 1)),
    )


def test_a_game_anchors_its_curve_at_its_head_starts() -> None:
    game = batch()
    effort = np.array([50.0, 80.0])
    later = replace(game, head_start=game.head_start + 25.0)
    assert isinstance(game.curve, PartlyHidden)
    for g in (game, later):
        plain = game.curve.curve
        expected = 0.6 * plain.score(g.head_start + effort) + 0.4 * plain.score(g.head_start + 0.3 * effort)
        np.testing.assert_allclose(g.scores(effort)[0], expected, rtol=1e-14)


def test_selected_games_keep_their_curves() -> None:
    game, picked = batch(), np.array([2, 0])
    some = select(game, picked)
    effort = np.array([50.0, 80.0])
    np.testing.assert_array_equal(some.scores(effort)[0], game.scores(effort)[0][picked])
    np.testing.assert_array_equal(some.reach(0.6, 0.0), game.reach(0.6, 0.0)[picked])


@given(st.floats(0, 0.95), st.floats(0, 1), st.floats(0.5, 1.5))
def test_hiding_a_linear_test_is_a_slower_linear_test(h: float, t: float, gap: float) -> None:
    """v = a_i + e: a share h hidden with transfer t leaves a rise of 1 - h (1 - t) per step, and nothing else."""
    if abs(gap / (1 - h * (1 - t)) - 1) < 1e-6:
        return  # at equality the deviation gains nothing, and rounding decides
    plain, slower = linear([gap, 0.0], [1.0, 1.0]), linear([gap, 0.0], [1 - h * (1 - t)] * 2)
    hidden = game_of(PartlyHidden(plain, row(0.0, 0.0), h, t), [1.0, 0.0])
    ours, theirs = solve_pure(hidden), solve_pure(game_of(slower, [1.0, 0.0]))
    assert ours.status(0) is theirs.status(0)
    assert (ours.status(0) is Status.EXISTS) == (gap / (1 - h * (1 - t)) > 1)
    assert ours.margin[0] == pytest.approx(theirs.margin[0], rel=1e-9, abs=1e-12)


@settings(max_examples=12)  # the checker bisects in Python, half a second a game
@given(logit_games(n=(2, 3), free=True, fee=True), shares, shares)
def test_certificates_of_hidden_games_are_verified(game: LeaderboardGame, h: float, t: float) -> None:
    hidden = replace(game, curve=PartlyHidden(game.curve, game.head_start, h, t))
    result = solve_pure(hidden)
    report = check(hidden, result.certificate())
    assert report.passed, report.summary()


def test_efforts_that_cost_more_than_doubles_hold_are_no_trouble() -> None:
    """All is hidden and next to nothing carries over: catching up takes some 1e308 steps, squared in the cost."""
    curve = logit([0.31848084, 0.13489336], [0.38691893, 0.19233079], [-3.07, -1.28], [1.63459871, 1.90489243])
    game = game_of(
        curve, [0.935, 0.544], start=3.0, scale=[0.139, 0.00121], exponent=[1.0, 2.0], free=4.0, order=[1, 0]
    )
    hidden = replace(game, curve=PartlyHidden(game.curve, game.head_start, 1.0, 2.225073858507203e-309))
    result = solve_pure(hidden)
    assert result.status(0) is Status.EXISTS and check(hidden, result.certificate()).passed


@pytest.mark.parametrize("ties", list(TieRule))
def test_certificates_of_hidden_trajectories_are_verified(ties: TieRule) -> None:
    table = tabulate([TABLE, ([5, 20, 60], [0.25, 0.45, 0.6]), ([1, 80], [0.3, 0.4])])
    game = game_of(
        PartlyHidden(table, np.zeros(3), 0.5, 0.4), [1.0, 0.4, 0.0], start=(12.0, 0.0, 3.0), scale=0.01, ties=ties
    )
    result = solve_pure(game)
    assert result.status(0) is not Status.UNKNOWN
    report = check(game, result.certificate())
    assert report.passed, report.summary()
