from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau

from designer import (
    Bands,
    Choice,
    Goal,
    Prizes,
    Protocol,
    Range,
    Space,
    compare,
    default_space,
    paired_difference,
    pareto_front,
    play,
    scorecard,
    search,
)
from designer.prizes import band_mean, band_of_rank
from designer.protocol import knobs
from designer.ranking import kendall_tau_b, published_ranks, top_one_correct
from designer.scorecard import METRICS, summarise
from followers.game import TieRule
from followers.population import Population
from followers.prior import RosterPrior, synthetic
from solvers.checker import check


def roster(n: int = 6) -> Population:
    one = synthetic(n, 1, np.random.default_rng(3))
    return replace(one, score_stderr=np.full(n, 0.01), parameters_b=np.arange(1.0, n + 1))


@given(st.integers(0, 2**32 - 1), st.integers(2, 12))
def test_tau_b_is_scipys(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    published, quality = rng.integers(0, n, (7, n)), rng.integers(0, n, (7, n)).astype(float)
    ours = kendall_tau_b(published, quality)
    for b in range(7):
        if np.ptp(published[b]) == 0 or np.ptp(quality[b]) == 0:
            assert np.isnan(ours[b])
        else:
            assert ours[b] == pytest.approx(kendalltau(-published[b], quality[b]).statistic, abs=1e-12)


def test_published_ranks_follow_scores_ties_and_bands() -> None:
    score, tail = np.array([[0.5, 0.9, 0.5, 0.1]]), np.zeros((1, 4))
    single = np.arange(4)
    assert published_ranks(score, tail, np.array([[2, 3, 1, 0]]), single).tolist() == [[2, 0, 1, 3]]
    assert published_ranks(score, tail, None, single).tolist() == [[1, 0, 1, 3]]
    assert published_ranks(score, np.array([[1e-20, 0, 0, 0]]), None, single).tolist() == [[1, 0, 2, 3]]
    banded = published_ranks(score, tail, np.array([[2, 3, 1, 0]]), band_of_rank((1, 3)))
    assert banded.tolist() == [[1, 0, 1, 1]]
    assert top_one_correct(np.array([[0, 0, 1]]), np.array([[3.0, 2.0, 1.0]])).tolist() == [0.5]


def test_prize_schedules() -> None:
    np.testing.assert_allclose(Prizes("harmonic", total=1.0).schedule(3), np.array([6, 3, 2]) / 11)
    np.testing.assert_allclose(Prizes("harmonic").schedule(3), [1, 1 / 2, 1 / 3])
    np.testing.assert_allclose(Prizes("linear", first=2.0).schedule(4), [2, 1.5, 1, 0.5])
    assert Prizes("winner-takes-all", total=5.0).schedule(3).tolist() == [5, 0, 0]
    for wrong in ({"values": (1.0, 2.0)}, {"total": 1.0, "first": 1.0}, {"total": -1.0}, {"values": (1.0, np.nan)}):
        with pytest.raises(ValueError, match="prizes"):
            Prizes(**wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="2 given for 3"):
        Prizes(values=(1.0, 0.0)).schedule(3)


def test_bands_share_their_prizes_and_keep_the_total() -> None:
    prizes = Prizes("harmonic").schedule(7)
    for bands in (Bands(), Bands(sizes=(1, 2, 4)), Bands(top=3), Bands(width=3), Bands(top=9)):
        sizes = bands.partition(7)
        assert sum(sizes) == 7
        shared = band_mean(prizes, sizes)
        assert shared.sum() == pytest.approx(prizes.sum()) and np.all(np.diff(shared) <= 0)
        assert len(np.unique(shared)) == len(sizes)
    with pytest.raises(ValueError, match="sum to 6; must sum to 7"):
        Bands(sizes=(1, 2, 3)).partition(7)


def test_a_protocol_induces_the_game_it_describes() -> None:
    people = roster()
    game = Protocol(tune_steps=500.0, tiers=Bands(top=2), ties=TieRule.SPLIT).induce(people)
    np.testing.assert_array_equal(game.head_start, people.prior_exposure + 500.0)
    assert game.ties is TieRule.SPLIT and len(np.unique(game.prizes)) == 3
    np.testing.assert_array_equal(np.argsort(game.tie_order[0]), np.argsort(-people.quality[0]))
    assert Protocol(tune_steps=500.0).cost(people)[0] == 500.0 * people.parameters_b.sum()
    assert set(knobs()) == {f.name for f in fields(Protocol)}  # every field is a knob, in one place
    with pytest.raises(ValueError, match="tune_steps = -1"):
        Protocol(tune_steps=-1.0)


def test_scorecards_count_only_equilibria_and_say_so() -> None:
    people = RosterPrior().draw(roster(), 64, np.random.default_rng(0))
    outcomes = play(Protocol(tune_steps=10_000.0), people)
    card = scorecard(outcomes)
    exists = outcomes.equilibrium.exists
    assert 0 < exists.sum() < 64
    assert card.mean("pure_share") == exists.mean()
    assert card.figures["kendall_tau"].draws == exists.sum()
    tau = outcomes.values["kendall_tau"]
    assert np.isnan(tau[~exists]).all() and np.isfinite(tau[exists]).all()
    expected = tau[exists].std(ddof=1) / np.sqrt(exists.sum())
    assert card.figures["kendall_tau"].stderr == pytest.approx(expected)
    assert set(card.figures) == set(METRICS)
    direct = scorecard(play(Protocol(prizes=Prizes(first=100.0)), people))
    assert direct.figures["kendall_tau"].mean is None and "pure equilibrium" in direct.figures["kendall_tau"].reason


def test_a_board_that_is_all_tied_has_no_tau() -> None:
    card = scorecard(play(Protocol(tiers=Bands(width=6)), roster()))
    assert card.figures["kendall_tau"].mean is None and "tied" in card.figures["kendall_tau"].reason
    assert summarise(np.array([1.0])).stderr is None


def test_comparisons_are_paired() -> None:
    people = RosterPrior().draw(roster(), 64, np.random.default_rng(0))
    one, other = compare([Protocol(tune_steps=10_000.0), Protocol(tune_steps=11_000.0)], people)
    difference = paired_difference(other, one, "margin")
    both = np.isfinite(other.values["margin"]) & np.isfinite(one.values["margin"])
    apart = other.values["margin"][both] - one.values["margin"][both]
    assert difference.mean == pytest.approx(apart.mean())
    assert difference.stderr == pytest.approx(apart.std(ddof=1) / np.sqrt(len(apart)))
    assert paired_difference(one, one, "margin").mean == 0


def test_draws_depend_on_the_seed_alone() -> None:
    prior = RosterPrior(exposure_share=0.5)
    a, b, c = (prior.draw(roster(), 9, np.random.default_rng(s)) for s in (1, 1, 2))
    np.testing.assert_array_equal(a.quality, b.quality)
    np.testing.assert_array_equal(a.prior_exposure, b.prior_exposure)
    assert not np.array_equal(a.quality, c.quality)
    assert 0 < (a.prior_exposure > 0).mean() < 1
    still = RosterPrior(cost_spread=0.0, level_errors=False).draw(roster(), 2, np.random.default_rng(0))
    np.testing.assert_array_equal(still.quality, np.repeat(roster().quality, 2, axis=0))


SPACE = Space({"tune_steps": Range(0.0, 20_000.0, step=100.0), "tiers": Choice((Bands(), Bands(width=2)))})


def test_search_is_reproducible_and_its_best_is_feasible_and_certified() -> None:
    people, goal = roster(), Goal(at_least={"pure_share": 0.8, "kendall_tau": 0.8})
    one, two = (search(people, space=SPACE, goal=goal, trials=40, draws=32, seed=5) for _ in range(2))
    assert one.best is not None and one.best.feasible
    assert [e.protocol for e in one.trials] == [e.protocol for e in two.trials]
    assert one.best.scorecard == two.best.scorecard  # type: ignore[union-attr]
    assert one.best.scorecard.mean("pure_share") >= 0.8
    cheaper = [e for e in one.trials if e.feasible]
    assert one.best.scorecard.mean("designer_cost") == min(e.scorecard.mean("designer_cost") for e in cheaper)
    assert check(one.best.protocol.induce(people), one.best.certificate).passed


def test_search_finds_what_enumeration_finds() -> None:
    """Every protocol of a small space, tried one by one, against the search."""
    space = Space({"tune_steps": Range(0.0, 12_000.0, step=1_000.0), "tiers": Choice((Bands(), Bands(width=2)))})
    people, goal = roster(), Goal(at_least={"pure_share": 0.8, "kendall_tau": 0.8})
    found = search(people, space=space, goal=goal, trials=80, draws=32, seed=0).best
    drawn = RosterPrior().draw(people, 32, np.random.default_rng(0))
    costs = []
    for steps in np.arange(0.0, 12_001.0, 1_000.0):
        for bands in (Bands(), Bands(width=2)):
            protocol = Protocol(tune_steps=float(steps), tiers=bands)
            card = scorecard(play(protocol, drawn))
            if all(v <= 0 for v in goal.violations(card, -play(protocol, people).values["margin"][0]).values()):
                costs.append(card.mean("designer_cost"))
    assert found is not None and costs and found.scorecard.mean("designer_cost") == min(costs)


def test_an_unreachable_goal_gives_the_nearest_miss() -> None:
    goal = Goal(at_least={"pure_share": 1.1})
    result = search(roster(), space=SPACE, goal=goal, trials=6, draws=8)
    assert result.best is None and not result.nearest.feasible and result.front == ()


def test_the_front_holds_no_beaten_protocol() -> None:
    front = pareto_front(roster(), space=SPACE, goal=Goal(at_least={"pure_share": 0.5}), trials=40, draws=32)
    costs = [e.scorecard.mean("designer_cost") for e in front]
    quality = [e.scorecard.mean("kendall_tau") for e in front]
    assert front and costs == sorted(costs) and quality == sorted(quality)
    assert len(set(quality)) == len(quality)


def test_spaces_name_their_knobs() -> None:
    with pytest.raises(ValueError, match="unknown knob 'tune_step'; knobs are"):
        Space({"tune_step": Range(0, 1)})
    with pytest.raises(ValueError, match="low = 2 is above high = 1"):
        Range(2, 1)
    assert default_space().parameters(Protocol(tune_steps=99_999.0)) is None
    assert default_space().parameters(Protocol()) == {"tune_steps": 0.0, "tiers": 0}


def test_adding_a_knob_takes_one_place() -> None:
    """A knob that is declared reaches the game, the designer's cost, files, searches and sentences by itself."""
    from dataclasses import dataclass
    from typing import Annotated

    from designer import protocol as module
    from designer.protocol import knob
    from followers.spec import not_negative
    from studies import files

    @dataclass(frozen=True)
    class Wider(Protocol):
        bonus: float = knob(
            0.0,
            form=Annotated[float, not_negative],
            change=lambda game, bonus: replace(game, prizes=game.prizes + bonus),
            charge=lambda people, bonus: np.full(people.batch, bonus),
            phrase=lambda bonus: f"a bonus of {bonus:g}",
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "Protocol", Wider)
        protocol = Wider(bonus=2.0)
        assert protocol.induce(roster()).prizes.min() > 2.0
        assert protocol.cost(roster())[0] == 2.0 and "a bonus of 2" in protocol.sentence()
        assert protocol.document()["protocol"]["bonus"] == 2.0
        patch.setattr(files, "Protocol", Wider)
        assert "bonus" in files._table("protocol", files.Spec).model_fields
        assert files._space_table().model_validate({"bonus": {"low": 0.0, "high": 1.0}}).bonus.high == 1.0
        assert Space({"bonus": Range(0.0, 1.0)}, base=Wider()).parameters(protocol) is None
