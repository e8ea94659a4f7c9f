"""Steps from the best trials: who is a parent, what a child may be, what a step is worth."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from pathlib import Path
from statistics import median

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution
from searching import people, problem

from designer import Goal, Protocol, Range, Space
from designer.budgets import least_budget
from designer.dominance import unbeaten
from designer.evolution import ALIKE, MISSES, PARENTS, Parent, Parents, admit, child
from designer.ledger import keep
from designer.scorecard import summarise
from designer.search import front_of, optimum_of, problem_of, result_of, workers_for
from followers.load import load

DOMAINS = {
    "steps": FloatDistribution(0.0, 50_000.0),
    "items": FloatDistribution(10.0, 10_000.0, log=True),
    "rule": CategoricalDistribution(tuple(range(7))),
    "fixed": FloatDistribution(3.0, 3.0),
}

numbers = st.floats(0, 3).map(lambda x: round(x, 1))


def parent(missed: float, figure: float, costs: tuple[float, ...] = (), steps: float = 100.0, rule: int = 0) -> Parent:
    return Parent({"steps": steps, "items": 100.0, "rule": rule, "fixed": 3.0}, DOMAINS, (missed, figure, 0.0), costs)


@given(st.lists(st.tuples(numbers, numbers, numbers), min_size=1, max_size=12))
def test_unbeaten_points_are_those_that_nobody_beats(points: list[tuple[float, float, float]]) -> None:
    def beats(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
        return all(x <= y for x, y in zip(a, b, strict=True)) and a != b

    by_hand = [not any(beats(other, point) for other in points) for point in points]
    assert unbeaten(np.array(points)).tolist() == by_hand


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.0, 0.3, 1.0]), numbers, st.integers(0, 6)), min_size=1, max_size=60))
def test_parents_are_the_best_of_each_kind_and_the_misses_that_would_be_better(
    told: list[tuple[float, float, int]],
) -> None:
    parents = Parents()
    for missed, figure, rule in told:
        parents = admit(parents, parent(missed, figure, rule=rule))
    standings = sorted((missed, figure, 0.0) for missed, figure, _ in told)
    kinds = [sorted((missed, figure, 0.0) for missed, figure, own in told if own == rule)[:ALIKE] for rule in range(7)]
    assert [p.standing for p in parents.best] == sorted(chain.from_iterable(kinds))[:PARENTS]
    missed, figure, _ = standings[0]
    would = sorted(s for s in standings if s[0] > missed and s[1] < figure)
    # a better best crosses misses off, and those beyond the nearest are not kept for later
    found = [p.standing for p in parents.misses]
    assert len(found) <= MISSES and set(found) <= set(would) and found == sorted(found)
    if len(told) <= ALIKE:
        assert found == would


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.0, 0.5]), numbers, numbers), min_size=1, max_size=40))
def test_on_the_way_to_a_front_parents_are_those_that_hold_and_are_not_beaten(
    told: list[tuple[float, float, float]],
) -> None:
    parents = Parents()
    for missed, one, other in told:
        parents = admit(parents, parent(missed, one, (one, other)))
    holding = sorted({(one, other) for missed, one, other in told if missed == 0})
    if not holding:
        assert [p.standing[0] for p in parents.best] == [0.5] * min(len(told), ALIKE)
        return
    front = [c for c, stays in zip(holding, unbeaten(np.array(holding)).tolist(), strict=True) if stays]
    assert sorted(p.costs for p in parents.best) == front
    for miss in parents.misses:
        assert not any(a <= miss.costs[0] and b <= miss.costs[1] for a, b in front)


@given(st.integers(0, 10**6), st.booleans())
def test_children_stay_in_the_space_and_do_not_depend_on_the_order_of_parameters(seed: int, front: bool) -> None:
    told = [
        parent(0.0, 3.0, (3.0, 1.0) if front else (), steps=50_000.0, rule=1),
        parent(0.0, 2.0, (2.0, 2.0) if front else (), steps=0.0),
        parent(0.2, 1.0, (1.0, 0.5) if front else (), steps=70.0, rule=2),
    ]
    parents, turned = Parents(), Parents()
    for one in told:
        back = replace(one, parameters=dict(reversed(one.parameters.items())))
        parents = admit(parents, one)
        turned = admit(turned, replace(back, distributions=dict(reversed(one.distributions.items()))))
    found = child(parents, np.random.default_rng(seed))
    assert found == child(turned, np.random.default_rng(seed))
    for name, domain in DOMAINS.items():
        assert domain._contains(domain.to_internal_repr(found[name])), (name, found[name])


def test_some_children_lie_between_a_parent_and_a_near_miss() -> None:
    parents = admit(admit(Parents(), parent(0.0, 2.0, steps=2_000.0)), parent(0.1, 1.0, steps=1_000.0))
    assert [p.standing[:2] for p in parents.misses] == [(0.1, 1.0)]
    rng = np.random.default_rng(0)
    between = sum(1_050 < child(parents, rng)["steps"] < 1_950 for _ in range(400))
    assert between > 60  # a quarter of them, evenly spread


def test_the_end_of_a_narrow_range_is_found() -> None:
    """Budgets under which mmlu settles are intervals; the least lies in one of 13 steps among 50,000."""
    mmlu, space = load("mmlu"), Space({"tune_steps": Range(0.0, 50_000.0)})
    exact = least_budget(mmlu, Protocol(), upto=50_000.0).steps
    assert exact is not None
    above = []
    for seed in range(3):
        asked = problem_of(
            mmlu, space=space, goal=Goal(at_least={}, steady=True), draws=1, seed=seed, sampler="evolution"
        )
        with workers_for(asked) as workforce:
            tried = optimum_of(asked, 300, workforce)
        # the exact optimum promises a margin of 0; to a solver gains of a billionth of the prizes are none
        held = [e for e in tried if e.feasible and e.stated is not None and e.stated.margin >= 0]
        least = min(e.protocol.tune_steps for e in held)
        assert least >= exact * (1 - 1e-12)
        above.append(least / exact - 1)
    assert median(above) < 0.01


@pytest.mark.parametrize("front", [False, True])
def test_steps_depend_neither_on_workers_nor_on_interruptions(tmp_path: Path, front: bool) -> None:
    asked = problem(draws=16, sampler="evolution")
    go = front_of if front else optimum_of
    with workers_for(asked) as workforce:
        whole = [(e.protocol, e.scorecard, e.digest) for e in go(asked, 70, workforce)]
    with workers_for(asked, 2) as workforce:
        assert [(e.protocol, e.scorecard, e.digest) for e in go(asked, 70, workforce)] == whole
    for trials in (20, 45, 70):
        for name in ("study.db", "study.journal"):
            with keep(str(tmp_path / name), asked, resume=True) as ledger, workers_for(asked) as workforce:
                part = go(asked, trials, workforce, log=ledger.front if front else ledger.goal)
            assert [(e.protocol, e.scorecard, e.digest) for e in part] == whole[:trials]


def test_no_protocol_is_proposed_twice_while_there_are_others() -> None:
    asked = problem(draws=8, sampler="evolution")
    with workers_for(asked) as workforce:
        tried = optimum_of(asked, 150, workforce)
    assert len({e.protocol for e in tried}) >= 149
    assert result_of(asked, tried).best is not None


@given(st.lists(st.one_of(numbers, st.sampled_from([np.nan, np.inf, -np.inf, 1e16, 0.1])), min_size=1, max_size=30))
def test_figures_are_means_of_what_is_defined(values: list[float]) -> None:
    found, array = summarise(np.array(values)), np.array(values)
    finite, defined = array[np.isfinite(array)], array[~np.isnan(array)]
    assert found.draws == len(finite)
    if not len(finite):
        assert found.mean is None and found.stderr is None and found.reason
        return
    scale = max(np.abs(finite).max(), 1.0)
    assert found.mean == pytest.approx(finite.mean(), abs=1e-15 * scale)
    if len(finite) == 1:
        assert found.stderr is None
    else:
        assert found.stderr == pytest.approx(finite.std(ddof=1) / np.sqrt(len(finite)), abs=1e-12 * scale)
    assert ("unbounded" in found.reason) == (len(defined) > len(finite))


def test_the_mean_of_equal_figures_is_that_figure() -> None:
    for value in (0.1, 0.9, 23_976.4, 1 / 3):
        found = summarise(np.full(777, value))
        assert (found.mean, found.stderr) == (value, 0.0)
    for n in range(1, 150):
        for hits in range(n + 1):
            assert summarise(np.arange(n) < hits).mean == hits / n


def test_evolution_begins_where_nothing_is_known() -> None:
    """Before anything was played to the end there is nobody to step from; nearly all of this space overruns."""
    space = Space({"tune_steps": Range(1.0, 20_000.0)}, limits={"designer_cost": 36.0 * 2.0})
    asked = problem_of(people(), space=space, goal=Goal(at_least={}), draws=4, sampler="evolution")
    with workers_for(asked) as workforce:
        tried = optimum_of(asked, 40, workforce)
    assert len(tried) == 40 and len({e.protocol for e in tried}) == 40
