"""Protocol spaces: what a study file may declare, what Optuna is told, what is refused before a search begins."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from searching import people

from designer import Choice, Goal, Prizes, Protocol, Range, Space
from designer.audits import AUDIT_PARTS, AuditPlan
from designer.documents import read_protocol, read_space, space_document
from designer.domains import Parts, Simplex
from designer.limits import overruns
from designer.prizes import BAND_PARTS, PRIZE_PARTS
from designer.protocol import knobs
from designer.search import search
from followers.documents import population_document, read_population_document
from followers.errors import InputError
from followers.game import TieRule
from followers.load import load
from followers.prior import RosterPrior
from followers.spec import DeveloperSpec, build_population
from studies.files import read_study

FULL = Space(
    {
        "tune_steps": Range(1.0, 50_000.0, log=True),
        "prizes": Parts(PRIZE_PARTS, {"kind": Choice(("harmonic", "linear")), "first": Range(0.5, 2.0)}),
        "ties": Choice((TieRule.QUALITY, TieRule.SPLIT)),
        "tiers": Parts(BAND_PARTS, {"rule": Choice(("single", "top", "width")), "top": Range(1, 5, whole=True)}),
        "task_weights": Simplex(3, 0.1),
        "hidden_share": Choice((0.0, 0.3)),
        "transfer": Range(0.0, 1.0),
        "precision": Choice((0.0, 0.01)),
        "noise": Choice((0.0, 0.02)),
        "test_items": Range(50, 5_000, log=True, whole=True),
        "audit": Parts(
            AUDIT_PARTS,
            {"on": Choice((True, False)), "top": Range(1, 4, whole=True), "chance": Range(0.1, 1.0)},
        ),
    }
)


def proposed(space: Space, seed: int) -> tuple[Protocol, dict[str, object]]:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    trial = study.ask()
    return space.suggest(trial), dict(trial.params)


@given(st.integers(0, 2**31 - 1))
def test_what_is_proposed_lies_in_the_space_and_is_found_again(seed: int) -> None:
    protocol, parameters = proposed(FULL, seed)
    again = FULL.parameters(protocol)
    assert again is not None and set(again) == set(parameters)
    study = optuna.create_study()
    study.enqueue_trial(again)
    repeated = FULL.suggest(study.ask())
    assert repeated.task_weights == pytest.approx(protocol.task_weights, abs=1e-9)
    assert {n: getattr(repeated, n) for n in knobs() if n != "task_weights"} == {
        n: getattr(protocol, n) for n in knobs() if n != "task_weights"
    }


@given(st.integers(0, 2**31 - 1))
def test_parameters_are_proposed_only_where_they_do_something(seed: int) -> None:
    protocol, parameters = proposed(FULL, seed)
    assert ("transfer" in parameters) == (protocol.hidden_share > 0)
    assert ("tiers.top" in parameters) == (protocol.tiers.top is not None)
    assert ("audit.chance" in parameters) == protocol.audit.active == ("audit.top" in parameters)
    quiet = protocol.ties is TieRule.QUALITY and not protocol.precision
    assert ("noise" in parameters) == quiet
    assert ("test_items" in parameters) == (quiet and not protocol.noise)
    assert not (protocol.noise and protocol.test_items)
    assert isinstance(protocol.test_items, int) and sum(protocol.task_weights) == pytest.approx(1.0, abs=1e-12)
    assert min(protocol.task_weights) >= 0.1 - 1e-12


@given(st.lists(st.floats(0, 1, exclude_max=True), min_size=FULL.dimensions(), max_size=FULL.dimensions()))
def test_every_place_of_the_unit_cube_is_a_protocol(at: list[float]) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study()
    study.enqueue_trial(FULL.place(tuple(at)))
    trial = study.ask()
    protocol = FULL.suggest(trial)
    placed = FULL.place(tuple(at))
    assert all(placed[name] == value for name, value in trial.params.items())
    assert FULL.parameters(protocol) is not None


def test_ranges_settle_on_their_steps() -> None:
    stepped = Range(100.0, 1_050.0, step=100.0)
    assert [stepped.settle(x) for x in (100, 149, 151, 1_049, 9e9, -5)] == [100, 100, 200, 1_000, 1_000, 100]
    whole = Range(1, 9, whole=True)
    assert [whole.settle(x) for x in (1.4, 1.6, 9.0)] == [1, 2, 9] and isinstance(whole.settle(1.4), int)
    sizes = Range(10.0, 1_000.0, log=True)
    assert [round(sizes.place("x", (u,))["x"]) for u in (0.0, 0.5, 1.0)] == [10, 100, 1_000]


def test_shares_are_uniform() -> None:
    """Dirichlet(1, 1, 1): each share has mean 1/3 and variance 1/18."""
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(4_000):
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=int(rng.integers(2**31))))
        drawn.append(Simplex(3).suggest(study.ask(), "w"))
    np.testing.assert_allclose(np.mean(drawn, axis=0), 1 / 3, atol=0.02)
    np.testing.assert_allclose(np.var(drawn, axis=0), 1 / 18, atol=0.005)


def test_a_space_is_written_down_and_read_back() -> None:
    space = Space(FULL.domains, Protocol(tune_steps=3.0), {"audits": 2.0})
    again = read_space(space_document(space))
    assert space_document(again) == space_document(space)
    for seed in range(5):
        assert proposed(again, seed)[0] == proposed(space, seed)[0]
    for protocol in (
        Protocol(),
        Protocol(prizes=Prizes(values=(2.0, 1.0)), audit=AuditPlan((0.5, 0.1), 100, 0.05, 2.0)),
    ):
        assert read_protocol(protocol.document()) == protocol
    with pytest.raises(InputError, match="not what was written by this program"):
        read_protocol({"protocol": {"tune_steps": "many"}})


def test_a_population_is_written_down_and_read_back() -> None:
    base = load("gsm8k")
    drawn = RosterPrior(exposure_share=0.5).draw(base, 3, np.random.default_rng(0))
    specs = [
        {
            "name": "a",
            "quality": 1.0,
            "curve": {"kind": "linear", "lower": 0.1, "rate": 0.001},
            "cost": {"kind": "power", "scale": 0.1},
        },
        {
            "name": "b",
            "quality": 0.5,
            "curve": {"kind": "tabulated", "effort": [0.0, 5.0], "score": [0.1, 0.4]},
            "cost": {"kind": "tabulated", "effort": [0.0, 10.0], "cost": [0.0, 0.1]},
            "effort_cap": 7.0,
        },
    ]
    motley = build_population([DeveloperSpec.model_validate(s) for s in specs], "here")
    for population in (base, drawn, motley):
        document = population_document(population)
        again = read_population_document(document)
        assert population_document(again) == document
        game, other = (Protocol(tune_steps=3.0).induce(p) for p in (population, again))
        for a, b in zip(game.scores(2.0), other.scores(2.0), strict=True):
            np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(game.cost.cost(3.0), other.cost.cost(3.0))
    for wrong in ({}, {"is": "Population"}, {"is": "os.system"}, [], {"is": "Linear", "lower": 1}):
        with pytest.raises(InputError, match="not what was written"):
            read_population_document(wrong)


def test_limits_are_measured_and_their_least_is_exact() -> None:
    space = Space(
        {
            "tune_steps": Range(2_000.0, 9_000.0),
            "audit": Parts(AUDIT_PARTS, {"top": Range(2, 4, whole=True), "chance": Range(0.25, 1.0)}),
        }
    )
    group = people()
    assert space.least("audits", group)[0] == 0.5 and space.least("tune_steps", group)[0] == 2_000.0
    assert space.least("designer_cost", group)[0] == 2_000.0 * 36 and space.least("audited_items", group)[0] == 250.0
    used = overruns({"audits": 2.0, "test_items": 0.0}, Protocol(audit=AuditPlan((1.0,) * 3, 100), test_items=7), group)
    assert used == {"audits": 0.5, "test_items": 7.0}


def test_task_weights_change_what_a_suite_counts() -> None:
    tasks = [
        {"kind": "exponential", "lower": 0.1, "upper": 0.9, "rate": 0.01},
        {"kind": "exponential", "lower": 0.3, "upper": 0.4, "rate": 0.01},
    ]
    specs = [
        {
            "name": n,
            "quality": 1.0,
            "curve": {"kind": "envelope", "tasks": tasks, "weights": [0.5, 0.5]},
            "cost": {"kind": "power", "scale": s},
        }
        for n, s in (("a", 0.1), ("b", 0.2))
    ]
    suite = build_population([DeveloperSpec.model_validate(s) for s in specs], "here")
    for weights in ((1.0, 0.0), (0.25, 0.75)):
        game = Protocol(task_weights=weights).induce(suite)
        np.testing.assert_allclose(game.scores(0.0)[0], weights[0] * 0.1 + weights[1] * 0.3, atol=1e-12)
    alone = Protocol(task_weights=(1.0, 0.0)).induce(suite).scores(50.0)[0]
    np.testing.assert_allclose(alone, 0.9 - 0.8 * np.exp(-0.5), atol=1e-6)
    with pytest.raises(ValueError, match="3 given for 2 tasks"):
        Protocol(task_weights=(0.2, 0.3, 0.5)).induce(suite)
    with pytest.raises(ValueError, match="single score curve"):
        Protocol(task_weights=(1.0,)).induce(people())
    found = search(
        suite,
        space=Space({"task_weights": Simplex(2)}),
        goal=Goal("face_value_tau", {}, steady=False),
        trials=4,
        draws=2,
        prior=RosterPrior(level_errors=False),
    )
    assert len({e.protocol.task_weights for e in found.trials}) == 4


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "[space]\ntune_step = { low = 1.0, high = 2.0 }",
            "space.tune_step: unknown field; did you mean 'tune_steps'?",
        ),
        ("[space]\ntune_steps = { low = 3.0, high = 2.0 }", "space.tune_steps: range: low = 3 is above high = 2"),
        ("[space]\ntune_steps = { low = 0.0, high = 2.0, log = true }", "a logarithmic range must begin above 0"),
        ("[space]\ntune_steps = []", "space.tune_steps: choice: no options"),
        ("[space]\ntiers = { rule = ['tops'] }", "space.tiers: rule = 'tops'; allowed are single, top, width"),
        ("[space]\ntiers = { rul = ['top'] }", "space.tiers.rul: unknown field; did you mean 'rule'?"),
        ("[space]\nprizes = { kind = 'flat' }", "space.prizes: kind = 'flat'; allowed are winner-takes-all, harmonic"),
        ("[space]\naudit = {}", "space.audit: empty; name at least one of on, top"),
        ("[space]\naudit = { top = { low = 40, high = 50 } }", "40 ranks for 38 developers"),
        ("[space]\naudit = { top = { low = 0.5, high = 3.5 } }", "whole numbers are needed"),
        ("[space]\nhidden_share = { low = 0.0, high = 1.5 }", "hidden_share = 1.5; must lie in [0, 1]"),
        ("[space]\ntest_items = { low = 10.5, high = 20.0 }", "whole numbers are needed"),
        ("[space]\ntask_weights = { tasks = 3 }", "only a suite of tasks can be weighted"),
        ("[limits]\naudit = 1.0", "limits: unknown limit 'audit'; limits are designer_cost"),
        (
            "[space]\ntune_steps = [1e5]\n[limits]\ndesigner_cost = 5.0",
            "every protocol of the space needs at least 3.6121e+07",
        ),
        ("[goal]\nfront = ['kendall_tau']", "at least 2 different figures"),
        ("[goal]\noptimise = 'tau'", "goal: unknown figure 'tau'; figures are kendall_tau"),
        ("[goal]\nat_most = { audits = inf }", "audits of inf; a bound must be a finite number"),
        ("in_flight = 0", "in_flight"),
    ],
)
def test_what_a_study_file_cannot_mean_is_said_before_the_search(tmp_path: Path, text: str, words: str) -> None:
    study = tmp_path / "study.toml"
    study.write_text(text)
    with pytest.raises(InputError) as error:
        read_study(study)
    assert words in str(error.value) and str(error.value).startswith(f"{study}: ") and "\n" not in str(error.value)
