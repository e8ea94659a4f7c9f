"""The outer loop: results depend on the seed alone, bad protocols are dropped early, searches are kept and resumed."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from optuna.trial import FixedTrial
from searching import people, problem, run

from designer import Evaluated, Goal, Protocol, Range, Space
from designer.evaluation import Board, card_of, digest, rungs
from designer.ledger import keep, read
from designer.problem import identity, read_problem
from designer.samplers import EVOLUTION, MODELLED, SAMPLERS, START, choose_sampler, quasi_random
from designer.scorecard import play, scorecard
from designer.search import front_of, optimum_of, problem_of, result_of, search, workers_for
from designer.told import told_of
from designer.warm_starts import warm_starts
from followers.errors import InputError
from followers.load import load
from followers.prior import RosterPrior, synthetic
from solvers.checker import check
from studies.bench_search import deterministic_space


def said(trials: Any) -> list[tuple[Any, ...]]:
    return [(e.protocol, e.scorecard, dict(e.violations), e.full, e.digest) for e in trials]


@pytest.mark.parametrize("front", [False, True])
def test_results_depend_neither_on_workers_nor_on_interruptions(tmp_path: Path, front: bool) -> None:
    asked = problem()
    go = front_of if front else optimum_of
    with workers_for(asked) as workforce:
        whole = go(asked, 40, workforce)
    with workers_for(asked, 2) as workforce:
        assert said(go(asked, 40, workforce)) == said(whole)
    for trials in (3, 12, 25, 40):  # ended and taken up again, before and after trials are told
        for name in ("study.db", "study.journal"):
            with keep(str(tmp_path / name), asked, resume=True) as ledger, workers_for(asked) as workforce:
                part = go(asked, trials, workforce, log=ledger.front if front else ledger.goal)
            assert said(part) == said(whole)[:trials]


def test_draws_come_first_to_those_that_do_well() -> None:
    asked = problem()
    with workers_for(asked) as workforce:
        tried = optimum_of(asked, 60, workforce)
    drawn, seen = asked.drawn(), {e.scorecard.draws for e in tried}
    assert seen == {32, 64} and 10 < sum(e.full for e in tried) < 60
    for e in tried[::7]:  # the draws of a trial are the first ones, the same for all
        few = Board(asked.population, drawn).measure(e.protocol, 0, e.scorecard.draws)
        assert card_of(e.protocol, [few]) == e.scorecard
    dropped = [e for e in tried if not e.full]
    assert not any(e.feasible for e in dropped) and all("dropped after 32 draws" in e.note for e in dropped)
    best = result_of(asked, tried).best
    assert best is not None and best.full
    assert best.certificate is not None and check(best.protocol.induce(asked.population), best.certificate).passed
    assert best.digest == digest(best.certificate)
    assert rungs(256, 32) == (64, 256) and rungs(128, 32) == (32, 128) and rungs(64, 32) == (32, 64)
    assert rungs(20, 32) == (20,) and rungs(100, None) == (100,) and rungs(1_000, 32) == (63, 250, 1_000)


def test_pieces_of_draws_make_the_scorecard_of_all() -> None:
    asked = problem()
    board, protocol = Board(asked.population, asked.drawn()), Protocol(tune_steps=9_000.0)
    pieces = [board.measure(protocol, a, b) for a, b in ((0, 10), (10, 11), (11, 64))]
    assert card_of(protocol, pieces) == scorecard(play(protocol, board.drawn))


def test_the_stated_population_is_one_of_the_first_games() -> None:
    """What is found of it and of the first draws in one batch is what is found of each."""
    space, stated = (
        deterministic_space(),
        replace(synthetic(20, 1, np.random.default_rng(0)), score_stderr=np.full(20, 0.01)),
    )
    drawn = RosterPrior().draw(stated, 5, np.random.default_rng(0))
    board = Board(stated, drawn, node_budget=3)  # few branches, but the stated one has all of them
    played, codes = 0, set[int]()
    for at in quasi_random(space, 0):
        protocol = space.suggest(FixedTrial(space.place(at)))
        measured, answer = board.begin(protocol, 5)
        alone = board.measure(protocol, 0, 5)
        assert answer == board.state(protocol) or (np.isnan(answer.margin) and answer.status == "unknown")
        assert measured.error == alone.error and np.array_equal(measured.codes, alone.codes)
        for name, values in alone.values.items():
            np.testing.assert_allclose(measured.values[name], values, rtol=1e-12, err_msg=name)
        played += not measured.error
        codes |= set(measured.codes.tolist())
    assert played > 10 and codes == {0, 1, 2}


def test_a_protocol_without_equilibrium_is_a_graded_constraint() -> None:
    """Never NaN, never a made-up score: the largest gain that remains tells such protocols apart."""
    asked = problem()
    board, goal = Board(asked.population, asked.drawn()), asked.goal
    missed = []
    for steps in (0.0, 100.0, 1_000.0):
        protocol = Protocol(tune_steps=steps, prizes=replace(Protocol().prizes, first=50.0))
        card = card_of(protocol, [board.measure(protocol, 0, 64)])
        assert card.mean("pure_share") == 0 and np.isnan(card.mean("kendall_tau"))
        violations = goal.violations(card, board.state(protocol).gain)
        assert all(np.isfinite(list(violations.values()))) and np.isfinite(goal.value(card))
        gain = violations["mean largest gain, where no draw has an equilibrium"]
        assert gain == pytest.approx(-card.mean("margin")) and gain > 0
        missed.append(gain)
    assert len(set(missed)) == 3
    # a goal that asks nothing of the draws is met without them
    steady = Goal(at_least={})
    lonely = card_of(Protocol(prizes=replace(Protocol().prizes, first=50.0)), [board.measure(protocol, 0, 64)])
    assert set(steady.violations(lonely, -0.1).values()) == {-0.1}


def test_a_limit_is_kept_without_playing_and_said_before_where_nobody_can_keep_it() -> None:
    space = Space({"tune_steps": Range(0.0, 20_000.0)}, limits={"designer_cost": 36 * 5_000.0})
    found = search(people(), space=space, goal=Goal(at_least={"pure_share": 0.1}), trials=30, draws=8)
    over = [e for e in found.trials if e.protocol.tune_steps > 5_000]
    assert over and all(e.stated is None and not e.feasible and e.note == "overruns a limit" for e in over)
    assert all(e.stated is not None for e in found.trials if e.protocol.tune_steps <= 5_000)
    tight = replace(space, base=Protocol(), domains={"tune_steps": Range(6_000.0, 7_000.0)})
    with pytest.raises(ValueError, match=r"every protocol of the space needs at least 216000 \(6,000 tuning steps"):
        search(people(), space=tight, trials=1, draws=2)


def test_warm_starts_are_the_first_trials_and_nothing_recommended_is_worse() -> None:
    gsm8k = load("gsm8k")
    space = Space({"tune_steps": Range(0.0, 50_000.0, step=100.0)})
    starts = warm_starts(gsm8k, space)
    assert [s.name for s in starts] == [
        "direct evaluation",
        "tune-before-test",
        "tune-before-test at the least stabilising budget",
    ]
    protocols = [s.protocol for s in starts if s.protocol is not None]
    assert protocols[2].tune_steps == 16_400.0  # the least, 16,357.9, rounded up to the space's steps
    goal = Goal(at_least={}, steady=True)
    found = search(gsm8k, space=space, goal=goal, trials=24, draws=8, start_from=protocols)
    assert [e.protocol for e in found.trials[:3]] == protocols
    assert found.best is not None and found.best.protocol.tune_steps <= 16_400.0
    noisy = warm_starts(gsm8k, replace(space, base=Protocol(test_items=500)))
    assert noisy[2].protocol is None and "noise" in noisy[2].note


@pytest.mark.parametrize("sampler", [s for s in (*SAMPLERS, EVOLUTION) if s not in ("gp", "cma-es")])
def test_every_sampler_searches(sampler: str) -> None:
    goal = Goal(at_least={"pure_share": 0.5})
    one, two = (
        search(people(4), space=problem().space, goal=goal, trials=START + 9, draws=8, sampler=sampler)
        for _ in range(2)
    )
    assert said(one.trials) == said(two.trials)
    assert len({e.protocol for e in one.trials}) > START


def test_cma_es_where_nothing_constrains() -> None:
    space = Space({"tune_steps": Range(0.0, 20_000.0), "hidden_share": Range(0.0, 0.9)})
    goal = Goal("face_value_tau", {}, steady=False)
    assert choose_sampler("auto", space, goal, front=False) == ("cma-es", None)
    found = search(people(4), space=space, goal=goal, trials=START + 9, draws=8)
    assert len({e.protocol for e in found.trials}) == START + 9
    assert choose_sampler("auto", space, Goal(), front=False) == ("tpe", MODELLED)
    assert choose_sampler("auto", problem().space, goal, front=False) == ("tpe", MODELLED)
    with pytest.raises(InputError, match="knows neither constraints nor choices"):
        choose_sampler("cma-es", space, Goal(), front=False)


def test_gaussian_processes_need_torch() -> None:
    from importlib.util import find_spec

    if find_spec("torch"):
        pytest.skip("torch is installed; what its absence does cannot be seen")
    with pytest.raises(InputError, match=r"sampler 'gp': .*torch"):
        choose_sampler("gp", problem().space, Goal(), front=False)
    with pytest.raises(InputError, match="sampler 'gpu': no such sampler; allowed: auto, tpe"):
        choose_sampler("gpu", problem().space, Goal(), front=False)


def test_fronts_of_three_figures() -> None:
    goal = Goal(at_least={"pure_share": 0.3}, front=("kendall_tau", "designer_cost", "margin"))
    assert choose_sampler("auto", problem().space, goal, front=True) == ("nsga-iii", None)
    asked = problem_of(people(4), space=problem().space, goal=goal, draws=8)
    with workers_for(asked) as workforce:
        tried = front_of(asked, 40, workforce)
    front = result_of(asked, tried).front
    assert front
    points = np.array([[-e.scorecard.mean("kendall_tau"), e.scorecard.mean("designer_cost")] for e in front])
    margins = np.array([-e.scorecard.mean("margin") for e in front])
    table = np.column_stack([points, margins])
    for k, row in enumerate(table):
        others = np.delete(table, k, axis=0)
        assert not ((others <= row).all(axis=1) & (others < row).any(axis=1)).any()


def test_the_start_is_spread_over_the_space() -> None:
    at = np.array(quasi_random(Space({"tune_steps": Range(0.0, 1.0), "precision": Range(0.0, 1.0)}), 0))
    assert at.shape == (START, 2)
    for column in at.T:  # Sobol: one point in each sixteenth
        assert sorted((column * START).astype(int)) == list(range(START))


# -- studies that are kept --------------------------------------------------------------------------------------------


def test_a_kept_trial_says_all_that_is_known_of_it(tmp_path: Path) -> None:
    where = tmp_path / "study.db"
    tried = run(str(where), 20)
    with read(str(where)) as ledger:
        assert said(told_of(ledger.goal.known[k]) for k in range(20)) == said(tried)
        one = next(t for t in ledger.goal.known.values() if t.user_attrs["every_draw"])
        assert one.user_attrs["protocol"] == told_of(one).protocol.sentence()
        assert {"equilibrium", "stability_margin", "certificate_sha256", "draws"} <= set(one.user_attrs)
        assert identity(ledger.problem.document()) == ledger.identity == identity(problem().document())
        again = read_problem(ledger.problem.document())
    np.testing.assert_array_equal(again.drawn().quality, problem().drawn().quality)


def test_another_problem_is_refused(tmp_path: Path) -> None:
    where = str(tmp_path / "study.db")
    run(where, 2)
    asked = problem()
    others = {
        "draws": replace(asked, draws=63),
        "seed": replace(asked, seed=6),
        "goal": replace(asked, goal=Goal()),
        "population": replace(asked, population=people(7)),
        "space": replace(asked, space=Space({"tune_steps": Range(0.0, 1.0)})),
        "search": replace(asked, search={**asked.search, "in_flight": 3}),
    }
    for part, other in others.items():
        with (
            pytest.raises(InputError, match=rf"study.db: made for another problem \(another {part}\)"),
            keep(where, other, resume=True),
        ):
            pass
    with (
        pytest.raises(InputError, match="holds 2 trials of this search already; --resume"),
        keep(where, asked, resume=False),
    ):
        pass


def test_files_of_other_programs_are_left_alone(tmp_path: Path) -> None:
    import optuna

    text, base, foreign = tmp_path / "text.db", tmp_path / "base.db", tmp_path / "foreign.db"
    text.write_text("not a database, not a database")
    connection = sqlite3.connect(base)
    connection.execute("create table recipes (a)")
    connection.commit()
    connection.close()
    study = optuna.create_study(study_name="truerank", storage=f"sqlite:///{foreign}")
    study.add_trial(optuna.create_trial(value=1.0))
    journal = tmp_path / "text.journal"
    journal.write_text("hello\n")
    expected = {
        text: "not a database of studies",
        base: "a database of something else; its tables are recipes",
        foreign: "was not made by this program",
        journal: "not a journal of studies",
        tmp_path: "is a folder",
        tmp_path / "no" / "study.db": "no such folder",
    }
    before = {path: path.read_bytes() for path in expected if path.is_file() and path != foreign}
    for path, words in expected.items():
        with pytest.raises(InputError, match=words), keep(str(path), problem(), resume=True):
            pass
    assert before == {path: path.read_bytes() for path in before}
    with pytest.raises(InputError, match="no such study"), read(str(tmp_path / "none.db")):
        pass


def test_one_search_writes_at_a_time(tmp_path: Path) -> None:
    where = tmp_path / "study.db"
    with (
        keep(str(where), problem(), resume=True),
        pytest.raises(InputError, match="another search is writing to it"),
        keep(str(where), problem(), resume=True),
    ):
        pass
    run(str(where), 2)
    held = sqlite3.connect(where)
    held.execute("begin exclusive")
    with pytest.raises(InputError, match="is another program using it"), keep(str(where), problem(), resume=True):
        pass
    held.close()
    with FileLock(f"{where}.lock", timeout=0), read(str(where)) as ledger:  # to read needs no lock
        assert len(ledger.goal.known) == 2


def test_a_journal_that_was_cut_short_goes_on(tmp_path: Path) -> None:
    where = tmp_path / "study.journal"
    whole = run(str(where), 20)
    text = where.read_bytes()
    where.write_bytes(text[:-25])  # as a kill in the middle of a write would leave it
    assert said(run(str(where), 20)) == said(whole)
    assert all(json.loads(line) for line in where.read_text().splitlines())
    with read(str(where)) as ledger:
        assert sorted(ledger.goal.known) == list(range(20))


def test_passwords_are_not_shown() -> None:
    url = "postgresql://someone:secret@127.0.0.1:1/none"
    with pytest.raises(InputError) as error, keep(url, problem(), resume=True):
        pass
    assert "secret" not in str(error.value) and "someone:***@127.0.0.1:1" in str(error.value)


def test_protocols_that_cannot_be_played_are_told_apart_not_fatal() -> None:
    """A contradiction that only shows in the game is an answer about the protocol."""
    from designer import Choice
    from followers.game import TieRule

    board = Board(people(), people())
    measured = board.measure(Protocol(ties=TieRule.SPLIT, noise=0.01), 0, 1)
    assert "noisy scores never tie" in measured.error and not measured.values
    space = Space({"ties": Choice((TieRule.QUALITY, TieRule.SPLIT)), "noise": Choice((0.0, 0.01))})
    found = search(people(3), space=space, goal=Goal(at_least={}), trials=START, draws=4)
    assert all(e.note == "" or "dropped" in e.note for e in found.trials)  # noise is left alone where ties are split
    assert {(e.protocol.ties, e.protocol.noise) for e in found.trials} == {
        (TieRule.QUALITY, 0.0),
        (TieRule.QUALITY, 0.01),
        (TieRule.SPLIT, 0.0),
    }


def test_the_nearest_miss_is_certified(tmp_path: Path) -> None:
    result = search(people(), space=problem().space, goal=Goal(at_least={"pure_share": 1.1}), trials=20, draws=8)
    assert result.best is None and isinstance(result.nearest, Evaluated) and result.nearest.certificate is not None
