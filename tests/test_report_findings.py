"""What the report's figures are made of: overtakes, margins, sensitivities, importances, audits."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import networkx as nx
import numpy as np
import pytest
from builders import game_of, logit
from hypothesis import given
from hypothesis import strategies as st
from report_cases import many_trials, small_proposal, three_models

from designer.audit_plans import plan_audits
from designer.audits import AuditPlan
from designer.prizes import Bands
from designer.protocol import Protocol
from designer.scorecard import Figure
from designer.search import Evaluated
from followers.game import TieRule
from followers.load import load
from followers.prior import RosterPrior
from solvers.certificate import Status
from solvers.deviations import check_free_effort
from solvers.inner import solve_inner
from solvers.pure import solve_pure
from studies.propose import Proposal
from studies.report.audit_bars import audit_bars
from studies.report.boards import published_board, true_order
from studies.report.budget_margin import budget_margin
from studies.report.findings import find
from studies.report.overtaking import as_graph, overtaking
from studies.report.sensitivity import importances, turns
from studies.report.svg import Scale


@pytest.fixture(scope="module")
def proposal() -> Proposal:
    return small_proposal()


@given(st.integers(0, 2**32 - 1))
def test_overtakes_are_the_margins_with_a_face(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 6))
    lower = rng.uniform(0, 0.4, n)
    game = game_of(
        logit(lower, lower + rng.uniform(0.1, 0.5, n), rng.normal(-2, 2, n), rng.uniform(0.3, 2.5, n)),
        np.sort(rng.uniform(0, 1, n))[::-1].tolist(),
        start=rng.choice([0.0, 50.0]),
        scale=10.0 ** rng.uniform(-3, -0.5, n),
        free=rng.choice([0.0, 2.0], n),
        ties=rng.choice(list(TieRule)),
        order=rng.permutation(n).tolist(),
    )
    found, checked = overtaking(game), check_free_effort(game)
    net = {o.developer: o.net for o in found.overtakes}
    for i, margin in enumerate(checked.margins[0]):
        assert (i in net) == bool(np.isfinite(margin))
        if i in net:
            assert net[i] == pytest.approx(-margin, rel=1e-9, abs=1e-12)
    for o in found.overtakes:
        assert o.target != o.developer and 1 <= o.takes <= o.rank <= n
    assert found.status is solve_pure(game).status(0)


def test_the_race_comes_round_and_every_move_of_it_pays() -> None:
    population = load("gsm8k")
    found = overtaking(Protocol().induce(population))
    assert found.status is Status.ABSENT and found.race and all(s.gain > 0 for s in found.race)
    graph = as_graph(found, population.names)
    race = nx.DiGraph((u, v) for u, v, d in graph.edges(data=True) if d["race"])
    assert race.number_of_edges() >= 2 and all(len(c) > 1 for c in nx.strongly_connected_components(race))
    assert {(u, v) for u, v, d in graph.edges(data=True) if d["gain"] is not None} == {
        (population.names[o.developer], population.names[o.target]) for o in found.paying if o.target is not None
    }
    efforts = {s.developer: s.effort_from for s in reversed(found.race)}  # where each mover starts
    for s in found.race:
        assert efforts[s.developer] == s.effort_from
        efforts[s.developer] = s.effort
    assert efforts == {s.developer: s.effort_from for s in reversed(found.race)}


def test_shaded_budgets_are_stable_and_the_rest_is_not() -> None:
    population = load("gsm8k")
    found = budget_margin(population, Protocol(tune_steps=25_000.0, tiers=Bands(width=3)))
    assert found.intervals and found.undecided == 0.0 and found.least == found.intervals[0][0]
    inside = np.zeros(len(found.steps), dtype=bool)
    for a, b in found.intervals:
        inside |= (found.steps >= a) & (found.steps <= b)
    assert inside.any() and not inside.all()
    assert np.all(found.margin[inside] >= 0) and np.all(found.margin[~inside] < 0)
    own = solve_inner(Protocol(tune_steps=25_000.0, tiers=Bands(width=3)).induce(population))
    assert found.margin[found.steps == 25_000.0] == own.margin


def test_margins_without_a_proof_say_why() -> None:
    found = budget_margin(three_models(), Protocol(precision=0.05, tune_steps=100.0), upto=1_000.0)
    assert found.intervals is None and "rounded" in found.note and found.least is None
    played = solve_inner(Protocol(precision=0.05, tune_steps=100.0).induce(three_models()))
    assert found.margin[found.steps == 100.0] == played.margin
    hidden = Protocol(hidden_share=0.5)
    later = budget_margin(three_models(), hidden, upto=500.0, prove=False)
    assert later.intervals is None and "truerank design budget" in later.note


def test_boards_publish_the_ranks_of_the_scorecard() -> None:
    population = load("gsm8k")
    protocol = Protocol(tune_steps=37_300.0, tiers=Bands(width=3))
    board = published_board("plan", protocol, solve_inner(protocol.induce(population)))
    assert board.settled and sorted(board.place) == list(range(1, 39))
    assert board.shown.tolist() == (3 * ((board.place - 1) // 3) + 1).tolist()
    assert np.all(np.diff(board.score[np.argsort(board.place)]) <= 0)
    truth = true_order(population)
    assert population.quality[0, truth == 1] == population.quality.max() and sorted(truth) == list(range(1, 39))


def test_the_recommendation_among_the_turns_has_its_own_scorecard(proposal: Proposal) -> None:
    findings = find(proposal, prior=RosterPrior())
    own = [t for t in findings.turns if t.chosen]
    assert [t.knob for t in own] == ["tune_steps"] and own[0].draws == proposal.draws
    assert own[0].figures == dict(proposal.rows[-1].card.figures)
    budgets = [t.label for t in findings.turns]
    assert len(budgets) == len(set(budgets)) >= 3


def test_a_value_that_the_population_does_not_allow_is_told(proposal: Proposal) -> None:
    one = proposal.result.trials[0]
    other = replace(one, protocol=replace(one.protocol, tiers=Bands(sizes=(1, 1))))  # of three developers
    found = turns(three_models(), three_models(), one.protocol, [one, other])
    (bad,) = [t for t in found if t.figures is None]
    assert bad.knob == "tiers" and "must sum to 3" in bad.problem


def test_importance_goes_to_the_knob_that_matters(proposal: Proposal) -> None:
    trials = []
    for e in many_trials(proposal, 300).result.trials:
        tau = 0.2 + 2.0 * e.protocol.hidden_share  # of everything else independent
        figures = MappingProxyType({**e.scorecard.figures, "kendall_tau": Figure(tau, 0.0, 4)})
        trials.append(Evaluated(e.protocol, replace(e.scorecard, figures=figures), e.violations, e.certificate))
    found = {i.figure: i for i in importances(trials)}
    assert found["kendall_tau"].shares["hidden_share"] > 0.9 and found["kendall_tau"].trials == 300
    assert importances(trials) == importances(trials)
    few = importances(trials[:5])
    assert all(not i.shares and "12 are needed" in i.reason for i in few)


def test_audit_bars_are_the_cheapest_plan_and_what_binds_it() -> None:
    population = three_models()
    base = Protocol()
    planned = plan_audits(population, base, items=2_000, level=0.01, fine=5.0)
    assert planned.plan is not None
    found = audit_bars(population, replace(base, audit=planned.plan))
    assert found is not None and found.announced == pytest.approx(found.least)
    assert found.binding == planned.binding and audit_bars(population, base) is None
    weak = audit_bars(population, replace(base, audit=AuditPlan((0.1,), items=10, level=0.01, fine=0.0)))
    assert weak is not None and np.isnan(weak.least).all() and any("cannot be deterred" in w for w in weak.words)


@pytest.mark.parametrize("kind", ["linear", "log", "symlog"])
def test_scales_are_monotone_and_their_ticks_lie_inside(kind: str) -> None:
    scale = Scale(0.0 if kind == "log" else -2.0, 50_000.0, 300.0, 20.0, kind)  # type: ignore[arg-type]
    values = np.linspace(scale.low, scale.high, 50)
    pixels = [scale(v) for v in values]
    assert pixels[0] == 300.0 and pixels[-1] == 20.0 and np.all(np.diff(pixels) <= 0)
    assert scale(1e9) == 20.0
    assert len(scale.ticks()) >= 3 and all(scale.low <= v <= scale.high for v, _ in scale.ticks())
