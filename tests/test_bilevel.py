"""The bilevel search: prizes and audits solved for at every step, and a bound on what any search could have found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau
from searching import people

from designer import Bands, Choice, Goal, Protocol, Range, Space
from designer.bilevel import InnerCosts, _most_tau, search_bilevel
from designer.domains import Domain
from designer.joint_design import UnitCosts, design_jointly
from designer.prizes import band_of_rank
from designer.problem import Problem
from designer.search import problem_of
from solvers.checker import check
from solvers.inner import solve_inner

UNIT = UnitCosts(1e-6, 1.0, 1.0)
BANDS = (Bands(), Bands(width=2), Bands(top=1))


def asked(domains: dict[str, Domain], goal: Goal, n: int = 6) -> Problem:
    return problem_of(people(n), space=Space(domains), goal=goal, draws=2)


def test_without_a_goal_for_the_ranking_it_meets_the_joint_design() -> None:
    """Every combination of the other knobs is designed jointly: nothing is cheaper, the bound is the least."""
    problem = asked({"tune_steps": Range(0.0, 20_000.0), "tiers": Choice(BANDS)}, Goal(at_least={}))
    found = search_bilevel(problem, InnerCosts(UNIT), 40)
    designs = [design_jointly(problem.population, Protocol(tiers=bands), UNIT, upto=20_000.0) for bands in BANDS]
    least = min(d.best.cost for d in designs if d.best is not None)
    assert found.best is not None and found.searched is not None and found.whole and found.combinations == 3
    assert found.bound <= found.best.cost <= found.searched.cost
    assert found.best.cost <= least * 1.01 and found.bound <= least and found.gap <= 0.011
    assert found.searched.cost <= least * 1.05


def test_what_it_designs_is_an_equilibrium_and_meets_the_goal() -> None:
    goal = Goal(at_least={"kendall_tau": 0.8})
    domains: dict[str, Domain] = {"tune_steps": Range(0.0, 20_000.0), "tiers": Choice((Bands(), Bands(width=6)))}
    problem = asked(domains, goal)
    found = search_bilevel(problem, InnerCosts(UNIT, items=500, fine=2.0, margin=0.01), 30)
    best = found.best
    assert best is not None and best.protocol is not None and best.feasible
    game = best.protocol.induce(problem.population)
    solved = solve_inner(game)
    assert solved.exists[0] and solved.margin[0] >= 0.01 - 1e-9
    assert check(game, solved.certify(0)).passed
    # one band over all ranks deters everybody at no cost, and ranks nobody: no answer, and not in the bound either
    assert best.protocol.tiers == Bands() and found.bound > 0
    assert best.cost == pytest.approx(best.tuning + best.incentives)


def test_a_knob_that_is_no_list_of_options_leaves_the_bound_to_the_best_ones() -> None:
    problem = asked({"tune_steps": Range(0.0, 9_000.0), "hidden_share": Range(0.0, 0.5)}, Goal(at_least={}))
    found = search_bilevel(problem, InnerCosts(UNIT), 20)
    assert not found.whole and found.combinations == 1 and found.best is not None and found.bound <= found.best.cost


def test_what_cannot_be_searched_is_said() -> None:
    from designer.domains import Parts
    from designer.prizes import PRIZE_PARTS

    only_prizes = asked({"prizes": Parts(PRIZE_PARTS, {"first": Range(0.5, 1.0)})}, Goal(at_least={}))
    with pytest.raises(ValueError, match="no knob but prizes and audit"):
        search_bilevel(only_prizes, InnerCosts(UNIT), 1)
    noisy = asked({"tune_steps": Range(0.0, 1.0)}, Goal(at_least={}))
    noisy = replace(noisy, space=replace(noisy.space, base=Protocol(test_items=100)))
    with pytest.raises(ValueError, match="noise"):
        search_bilevel(noisy, InnerCosts(UNIT), 1)
    unreachable = asked({"tune_steps": Range(0.0, 10.0)}, Goal(at_least={"kendall_tau": 1.5}))
    none = search_bilevel(unreachable, InnerCosts(UNIT), 3)
    assert none.best is None and none.searched is None and np.isnan(none.gap)


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(2, 9))
def test_no_board_in_bands_has_more_tau_than_its_bands_allow(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = []
    while sum(sizes) < n:
        sizes.append(int(min(rng.integers(1, 4), n - sum(sizes))))
    quality = rng.integers(0, n, n).astype(float)
    problem = asked({"tune_steps": Range(0.0, 1.0)}, Goal(at_least={}), n)
    problem = replace(problem, population=replace(problem.population, quality=quality[None]))
    bands = band_of_rank(tuple(sizes))
    most = _most_tau(problem, Protocol(tiers=Bands(sizes=tuple(sizes))))
    for board in (np.argsort(np.argsort(-quality, kind="stable")), rng.permutation(n)):
        tau = kendalltau(-bands[board], quality).statistic
        assert np.isnan(tau) or tau <= most + 1e-12
