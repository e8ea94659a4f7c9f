"""Draws of a roster in which everybody follows another law."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from designer import Protocol
from followers import RosterPrior, select
from followers.population import Population
from followers.prior import synthetic
from followers.slices import joined, population_slice
from followers.spec import DeveloperSpec, build_population
from solvers import check, solve_pure

CURVES = [
    {"kind": "generalized-logit", "lower": 0.2, "upper": 0.9, "intercept": -3.0, "slope": 0.7},
    {"kind": "exponential", "lower": 0.1, "upper": 0.8, "rate": 0.01},
    {"kind": "linear", "lower": 0.3, "rate": 0.001},
    {"kind": "tabulated", "effort": [0.0, 10.0, 100.0], "score": [0.2, 0.4, 0.6]},
    {"kind": "tabulated", "effort": [5.0], "score": [0.35]},
]
COSTS = [
    {"kind": "power", "scale": 0.01},
    {"kind": "tabulated", "effort": [0.0, 10.0, 50.0], "cost": [0.0, 0.1, 2.0]},
    {"kind": "power", "scale": 0.01, "entry_fee": 0.05},
    {"kind": "power", "scale": 0.02, "exponent": 2.0},
    {"kind": "power", "scale": 0.01},
]


def motley() -> Population:
    specs = [
        {"name": "abcde"[i], "quality": float(i), "curve": CURVES[i], "cost": COSTS[i], "score_stderr": 0.02}
        for i in range(5)
    ]
    return build_population([DeveloperSpec.model_validate(s) for s in specs], "here")


def test_a_draw_lifts_each_curve_by_the_shift_of_its_quality_and_scales_each_cost() -> None:
    base = motley()
    drawn = RosterPrior(cost_spread=0.3).draw(base, 7, np.random.default_rng(2))
    shift = drawn.quality - base.quality
    assert shift.std() > 0.005
    factors = []
    for effort in (0.0, 3.0, 10.0, 77.0, 1e4):
        np.testing.assert_allclose(drawn.curve.score(effort) - base.curve.score(effort), shift, atol=1e-12)
        if effort:
            factors.append(drawn.cost.cost(np.full((7, 5), effort)) / base.cost.cost(np.full(5, effort)))
    for factor in factors[1:]:
        np.testing.assert_allclose(factor, factors[0], rtol=1e-9)
    assert np.log(factors[0]).std() > 0.1


def test_populations_are_joined_and_cut_again() -> None:
    """Every kind of curve and cost; shared parameters stay shared, stated ones become those of their draw."""
    base = motley()
    for prior in (RosterPrior(), RosterPrior(level_errors=False)):
        drawn = prior.draw(base, 5, np.random.default_rng(2))
        together = joined(base, drawn)
        assert together.batch == 6
        for a, b, part in ((0, 1, base), (1, 6, drawn)):
            again = population_slice(together, a, b)
            np.testing.assert_array_equal(again.quality, part.quality)
            for effort in (0.0, 3.0, 77.0, 1e4):
                place = np.full((b - a, 5), effort)
                for one, other in ((again.curve.score, part.curve.score), (again.cost.cost, part.cost.cost)):
                    np.testing.assert_array_equal(one(place), np.broadcast_to(other(place), place.shape))
    with pytest.raises(ValueError, match="of different developers"):
        joined(base, RosterPrior().draw(synthetic(5, 1, np.random.default_rng(0)), 2, np.random.default_rng(0)))
    names = synthetic(5, 1, np.random.default_rng(0))
    with pytest.raises(ValueError, match="RosterCurve and a GeneralizedLogit cannot be joined"):
        joined(base, replace(names, names=base.names))


def test_a_motley_batch_is_its_games_and_every_answer_is_verified() -> None:
    drawn = RosterPrior().draw(motley(), 12, np.random.default_rng(4))
    game = Protocol(tune_steps=20.0).induce(drawn)
    result = solve_pure(game)
    for b in range(12):
        single = select(game, [b])
        alone = solve_pure(single)
        assert alone.status() is result.status(b) and alone.margin[0] == result.margin[b]
        report = check(single, result.certificate(b))
        assert report.passed, report.summary()


def test_scores_that_are_shares_of_items_stay_so_in_every_draw() -> None:
    """A level error must not lift a curve beyond 1, nor push one below 0: such a board could not be tested on items."""
    specs = [
        {"name": n, "quality": q, "curve": c, "cost": {"kind": "power", "scale": 0.01}, "score_stderr": 0.2}
        for n, q, c in (
            ("low", 0.1, {"kind": "generalized-logit", "lower": 0.01, "upper": 0.5, "intercept": -3.0, "slope": 0.7}),
            ("high", 0.9, {"kind": "exponential", "lower": 0.5, "upper": 0.98, "rate": 0.01}),
            ("unbounded", 0.5, {"kind": "linear", "lower": 0.3, "rate": 0.001}),
        )
    ]
    base = build_population([DeveloperSpec.model_validate(s) for s in specs], "here")
    drawn = RosterPrior().draw(base, 200, np.random.default_rng(0))
    low, high = drawn.curve.score(0.0), drawn.curve.score(np.inf)
    assert 0 <= low[:, :2].min() < 1e-10 and 1 - 1e-10 < high[:, :2].max() <= 1  # some are cut, none passes
    assert low[:, 2].min() < 0 and np.isinf(high[:, 2]).all()  # a curve that is no share is shifted as drawn
    np.testing.assert_allclose(drawn.quality - base.quality, low - base.curve.score(0.0), atol=1e-12)
