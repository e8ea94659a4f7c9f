from __future__ import annotations

from decimal import Decimal, getcontext

import numpy as np
import pytest
from builders import exponential, linear, logit, reciprocal
from hypothesis import given
from hypothesis import strategies as st

from followers.arrays import above
from followers.curves import ScoreCurve
from followers.grouping import Part
from followers.hidden import PartlyHidden
from followers.roster import RosterCurve
from followers.tabulated import tabulate

TABLE = tabulate([([0, 10, 30, 100], [0.2, 0.2, 0.5, 0.5]), ([5, 7], [0.3, 0.4]), ([3.0], [0.6])])

CURVES: dict[str, ScoreCurve] = {
    "generalized-logit": logit([0.2, 0.1, 0.5], [0.9, 0.8, 0.5], [-3.0, 2.0, 0.0], [0.7, 2.0, 1.0]),
    "extreme logit": logit([0.0, 0.0, 0.2], [1.0, 0.9, 0.8], [60.0, -60.0, -60.0], [10.0, 10.0, 0.01]),
    "exponential": exponential([0.1, 0.2, 0.4], [0.9, 0.9, 0.4], [0.01, 3.0, 1.0]),
    "linear": linear([0.0, 0.5, 0.2], [1.0, 0.001, 0.0]),
    "tabulated": TABLE,
    "partly hidden": PartlyHidden(
        logit([0.2, 0.1, 0.5], [0.9, 0.9, 0.5], [-3.0, 2.0, 0.0], [0.7, 2.0, 1.0]),
        np.array([0.0, 3.0, 50.0]),
        0.3,
        0.25,
    ),
    "hidden, nothing carries over": PartlyHidden(TABLE, np.array([0.0, 6.0, 1.0]), 0.5, 0.0),
    "hidden tables": PartlyHidden(TABLE, np.array([12.0, 0.0, 1.0]), 0.5, 0.5),
    "all hidden": PartlyHidden(TABLE, np.array([12.0, 0.0, 1.0]), 1.0, 0.5),
    "roster": RosterCurve(
        (Part(np.array([0, 2]), logit([0.2, 0.1], [0.9, 0.8], -3.0, 0.7)), Part(np.array([1]), linear([0.3], [0.1]))), 3
    ),
}
EFFORTS = np.concatenate([[0.0], np.geomspace(1e-6, 1e6, 121)])[:, None]


@pytest.mark.parametrize("name", CURVES)
def test_scores_are_finite_and_never_fall_with_effort(name: str) -> None:
    score, tail = CURVES[name].score_pair(EFFORTS)
    assert np.all(np.isfinite(score)) and np.all(np.isfinite(tail))
    assert not np.any(above(score[:-1], tail[:-1], score[1:], tail[1:]) & (np.diff(score, axis=0) < -1e-15))
    assert np.all(np.diff(score, axis=0) >= -1e-15)
    np.testing.assert_array_equal(CURVES[name].score(EFFORTS), score)


@pytest.mark.parametrize("name", CURVES)
def test_inverses_bracket_every_score_a_curve_takes(name: str) -> None:
    curve = CURVES[name]
    efforts = EFFORTS[EFFORTS[:, 0] <= curve.resolved_until()]
    assert len(efforts) > 60
    score, tail = curve.score_pair(efforts)
    reach, exceed = curve.effort_to_reach(score, tail), curve.effort_to_exceed(score, tail)
    slack = 1e-6 * (1.0 + efforts)
    assert np.all(reach <= efforts + slack)  # inf{e : v(e) >= v(e0)} is at most e0
    assert np.all(exceed >= efforts - slack)  # nothing below e0 exceeds v(e0)
    assert np.all(reach <= exceed)
    flat = np.zeros(score.shape, dtype=bool)
    for start, end in zip(*curve.flat_stretches(), strict=True):
        flat |= (start <= efforts) & (end >= efforts) & (start < end)
    same = np.abs(exceed - reach) <= slack
    assert np.all(same | flat)  # they differ exactly on flat stretches


@pytest.mark.parametrize("name", CURVES)
def test_flat_stretches_are_flat_and_maximal(name: str) -> None:
    curve = CURVES[name]
    for start, end in zip(*curve.flat_stretches(), strict=True):
        real = np.isfinite(start)
        inside = np.where(real, np.where(np.isinf(end), start + 1e4, 0.5 * (start + end)), 0.0)
        at_start, within = curve.score_pair(np.where(real, start, 0.0)), curve.score_pair(inside)
        assert np.all((at_start[0] == within[0]) | ~real) and np.all((at_start[1] == within[1]) | ~real)
        beyond = curve.score(np.where(np.isfinite(end), end * 1.001 + 1e-3, 0.0))
        assert np.all((beyond > at_start[0]) | ~real | np.isinf(end))


def test_flat_and_unreachable_scores_are_exact() -> None:
    curve = logit([0.5], [0.5], [0.0], [1.0])  # lower = upper
    assert curve.effort_to_reach(0.5)[0] == 0 and curve.effort_to_exceed(0.5)[0] == np.inf
    assert curve.effort_to_reach(0.5000001)[0] == np.inf and curve.effort_to_exceed(0.4)[0] == 0
    rising = logit([0.2], [0.9], [-3.0], [0.7])
    assert rising.effort_to_reach(0.9)[0] == np.inf and rising.effort_to_exceed(0.9)[0] == np.inf
    assert rising.effort_to_reach(0.2)[0] == 0 and rising.effort_to_exceed(0.1)[0] == 0
    assert TABLE.effort_to_reach([0.5, 0.4, 0.6]).tolist() == [30.0, 7.0, 0.0]
    assert TABLE.effort_to_exceed([0.5, 0.4, 0.6]).tolist() == [np.inf] * 3
    assert TABLE.effort_to_exceed([0.2, 0.3, 0.5]).tolist() == [10.0, 5.0, 0.0]
    assert TABLE.score([10.0, 6.5, 0.0])[0] == 0.2


def exact_gap(intercept: float, slope: float, effort: float) -> Decimal:
    """1 - logistic(intercept + slope log(1 + effort)) to 60 digits."""
    getcontext().prec = 60
    growth = (Decimal(intercept) + Decimal(slope) * (1 + Decimal(effort)).ln()).exp()
    return 1 / (1 + growth)


@pytest.mark.parametrize("intercept", [-60.0, -3.0, 0.0, 17.0, 60.0])
@pytest.mark.parametrize("slope", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("effort", [0.0, 1.0, 25_000.0, 1e10])
def test_the_gap_below_the_ceiling_keeps_its_digits(intercept: float, slope: float, effort: float) -> None:
    """Two floats: what is lost in a double where the curve saturates (60-digit oracle)."""
    score, tail = logit([0.0], [1.0], [intercept], [slope]).score_pair(effort)
    gap = float((Decimal(1) - Decimal(float(score[0]))) - Decimal(float(tail[0])))
    # x = intercept + slope log(1 + effort) is itself rounded: exp(x) loses |x| ulps
    assert gap == pytest.approx(float(exact_gap(intercept, slope, effort)), rel=1e-13)


@given(st.floats(-60, 60), st.floats(0.05, 10), st.floats(0, 1e5))
def test_inverse_of_inverse_at_saturation(intercept: float, slope: float, effort: float) -> None:
    curve = logit([0.1], [0.9], [intercept], [slope])
    back = curve.effort_to_reach(*curve.score_pair(effort))
    # rounding of x is |x| ulps, and an effort moves by 1/slope of that (more where the rise is lost in the floor)
    x = abs(intercept) + slope * np.log1p(effort)
    assert back[0] == pytest.approx(effort, abs=64 * 2.3e-16 * (1 + x) * (1 + effort) * max(1.0, 1 / slope) + 1e-13)


@pytest.mark.parametrize("delta", [0.0, 1.0, 1e4, 1e8, 1e10])
def test_the_reciprocal_family_is_its_formula(delta: float) -> None:
    theta = np.array([1.0, 0.5])
    curve = reciprocal(theta)
    np.testing.assert_allclose(curve.score(delta), 1 - 1 / (2 + delta + theta), rtol=1e-14)
    target, tail = (x[0] for x in curve.score_pair(delta))
    assert curve.effort_to_reach(target, tail)[1] - delta == pytest.approx(0.5, abs=4e-15 * (1 + delta))


def test_concavity_is_decided_at_the_bend() -> None:
    curves = logit([0.0] * 4, [1.0] * 4, [-5.0, -5.0, 3.0, -5.0], [0.9, 1.0, 2.0, 1.2])
    assert curves.is_concave().tolist() == [1.0, 1.0, 1.0, 0.0]
    e = np.linspace(0, 50, 4001)[:, None]
    bends = np.diff(curves.score(e), 2, axis=0).max(axis=0) > 1e-12
    assert bends.tolist() == [False, False, False, True]
    table = tabulate([([0, 1, 2, 3], [0.1, 0.4, 0.5, 0.5]), ([0, 1, 2, 3], [0.1, 0.1, 0.4, 0.5])])
    assert table.is_concave().tolist() == [1.0, 0.0]


def test_falling_measurements_are_pooled() -> None:
    curve = tabulate([([0, 1, 2], [0.2, 0.4, 0.3])])
    np.testing.assert_allclose(curve.score(np.array([[0.0], [1.0], [2.0]]))[:, 0], [0.2, 0.35, 0.35])
