"""Suites of tasks as one curve: against splits tried one by one, closed forms and the game solved from it."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import exponential, game_of, linear, logit

from followers.curves import ScoreCurve
from followers.envelope import concave_relaxation, optimal_split, suite
from followers.errors import InputError
from followers.game import select
from solvers.certificate import Status
from solvers.checker import check
from solvers.pure import solve_pure
from studies.files import read_game

EFFORTS = np.array([1.0, 10.0, 100.0, 1_000.0, 5_000.0])


def random_task(rng: np.random.Generator, kind: str, n: int) -> ScoreCurve:
    lower = rng.uniform(0.0, 0.3, n)
    upper = lower + rng.uniform(0.1, 0.6, n)
    if kind == "exponential":
        return exponential(lower, upper, 10.0 ** rng.uniform(-3.5, -1.5, n))
    slope = rng.uniform(1.2, 3.0, n) if kind == "S-shaped" else rng.uniform(0.4, 1.0, n)
    return logit(lower, upper, rng.normal(-6, 2, n) * slope / 1.5, slope)


def best_by_hand(tasks: list[ScoreCurve], weights: np.ndarray, start: float, effort: float, points: int) -> np.ndarray:
    """The best of all splits on a grid that is fine near zero and near all, (n,)."""
    fine = np.geomspace(1e-4, 0.5, points // 2)
    shares = np.unique(np.concatenate([[0.0], fine, 1.0 - fine, [1.0]]))
    if len(tasks) == 2:
        splits = np.stack([shares, 1.0 - shares], axis=1)
    else:
        splits = np.array([(a, (1 - a) * b, (1 - a) * (1 - b)) for a, b in product(shares, shares)])
    scores = [
        w * t.score(start + effort * splits[:, k, None]) for k, (t, w) in enumerate(zip(tasks, weights, strict=True))
    ]
    return np.asarray(np.sum(scores, axis=0).max(axis=0))


KINDS = [("S-shaped", "S-shaped"), ("S-shaped", "concave"), ("concave", "exponential"), ("S-shaped",) * 3]


@pytest.mark.parametrize("kinds", KINDS)
@pytest.mark.parametrize("start", [0.0, 30.0])
def test_no_split_beats_the_envelope(kinds: tuple[str, ...], start: float) -> None:
    """Above every split on a grid, and not above what its own split scores."""
    n = 3
    for seed in range(4):
        rng = np.random.default_rng(seed)
        tasks, weights = [random_task(rng, k, n) for k in kinds], rng.dirichlet(np.ones(len(kinds)))
        curve = suite(tasks, list(weights), start)
        allowed = curve.tabulation_error() + 1e-9
        assert allowed < 2e-6
        relaxation = concave_relaxation(curve, np.repeat(EFFORTS[:, None], n, axis=1))
        for at, effort in enumerate(EFFORTS):
            found = curve.score(np.full(n, start + effort))
            by_hand = best_by_hand(tasks, weights, start, float(effort), 400 if len(kinds) == 2 else 60)
            assert np.all(found >= by_hand - allowed), (seed, effort, by_hand - found)
            shares = optimal_split(curve, np.full(n, effort))
            assert shares.shape == (n, len(kinds)) and np.all(shares >= 0)
            assert np.all(shares.sum(axis=-1) <= effort * (1 + 1e-9))
            own = sum(w * t.score(start + shares[..., k]) for k, (t, w) in enumerate(zip(tasks, weights, strict=True)))
            np.testing.assert_allclose(found, own, atol=allowed)
            assert np.all(relaxation[at] >= found - allowed)
            if "S-shaped" not in kinds:
                np.testing.assert_allclose(relaxation[at], found, atol=1e-6)


def test_one_task_is_its_curve() -> None:
    task = random_task(np.random.default_rng(1), "S-shaped", 4)
    curve = suite([task], [1.0], 20.0)
    efforts = 20.0 + np.geomspace(0.1, 1e5, 60)[:, None] * np.ones(4)
    np.testing.assert_allclose(curve.score(efforts), task.score(efforts), atol=1e-6)
    level = task.score(np.full(4, 500.0))
    np.testing.assert_allclose(curve.effort_to_reach(level), 500.0, rtol=1e-3)


def test_identical_concave_tasks_are_trained_alike() -> None:
    """Two exponentials share effort evenly: S(E) = v(E / 2)."""
    task = exponential([0.2], [0.8], [0.01])
    curve = suite([task, task], [0.5, 0.5])
    for effort in (1.0, 50.0, 400.0):
        assert curve.score(np.array([effort]))[0] == pytest.approx(task.score(np.array([effort / 2]))[0], abs=1e-7)


def test_linear_tasks_take_the_steepest() -> None:
    curve = suite([linear([0.1], [1e-4]), linear([0.3], [3e-4])], [0.5, 0.5])
    assert curve.score(np.array([1_000.0]))[0] == pytest.approx(0.2 + 0.5 * 3e-4 * 1_000)


def test_the_three_questions_agree() -> None:
    rng = np.random.default_rng(3)
    curve = suite([random_task(rng, k, 3) for k in ("S-shaped", "concave")], [0.3, 0.7], 5.0)
    efforts = 5.0 + np.geomspace(0.01, 3e4, 400)[:, None] * np.ones(3)
    scores = curve.score(efforts)
    assert np.all(np.diff(scores, axis=0) >= 0)
    for k in range(0, 400, 37):
        score, tail = curve.score_pair(efforts[k])
        reach, exceed = curve.effort_to_reach(score, tail), curve.effort_to_exceed(score, tail)
        assert np.all(reach <= efforts[k] * (1 + 1e-6)) and np.all(exceed >= reach * (1 - 1e-9))
        np.testing.assert_allclose(curve.score(reach), score, atol=1e-9)
        assert np.all(curve.score(exceed * (1 + 1e-4) + 1e-3) >= score)
    middle = efforts[100:300:20]
    step = 1e-3 * middle
    slope = (curve.score(middle + step) - curve.score(middle - step)) / (2 * step)
    np.testing.assert_allclose(curve.derivative(middle), slope, rtol=0.02, atol=1e-8)


def suite_game(seed: int, n: int, start: float) -> Any:
    rng = np.random.default_rng(seed)
    curve = suite([random_task(rng, k, n) for k in ("S-shaped", "concave")], [0.4, 0.6])
    return game_of(curve, np.linspace(1, 0, n).tolist(), start=start, scale=10.0 ** rng.uniform(-5, -3), order=range(n))


def test_a_game_anchors_its_suites() -> None:
    """Moving head starts moves where effort begins on every task; games of a batch stay themselves."""
    rng = np.random.default_rng(0)
    tasks = [random_task(rng, k, 3) for k in ("S-shaped", "concave")]
    game = game_of(suite(tasks, [0.4, 0.6]), [1.0, 0.5, 0.0], start=0.0, scale=1e-4)
    moved = replace(game, head_start=game.head_start + 100.0)
    fresh = game_of(suite(tasks, [0.4, 0.6], 100.0), [1.0, 0.5, 0.0], start=100.0, scale=1e-4)
    for effort in (0.0, 10.0, 1_000.0):
        np.testing.assert_allclose(moved.scores(effort)[0], fresh.scores(effort)[0], atol=1e-9)
    own = sum(w * t.score(np.full(3, 100.0)) for t, w in zip(tasks, (0.4, 0.6), strict=True))
    np.testing.assert_allclose(moved.scores(0.0)[0][0], own, atol=1e-12)
    assert np.array_equal(select(moved, [0, 0]).scores(7.0)[0][1], moved.scores(7.0)[0][0])


@pytest.mark.parametrize("n", [2, 4])
def test_games_on_suites_are_solved_and_certified(n: int) -> None:
    """Zero effort against all of 20,000 efforts of each developer, the rivals at rest."""
    seen = set()
    for seed in range(12):
        game = suite_game(seed, n, [0.0, 2_000.0][seed % 2])
        result = solve_pure(game)
        report = check(game, result.certificate(0))
        assert report.passed, report.summary()
        seen.add(result.status(0))
        top = float(game.worthwhile_effort().max())
        efforts = np.concatenate([[0.0], np.geomspace(1e-6, 1.0, 20_000) * top])
        at_rest = game.scores(0.0)[0][0]
        gains = []
        for i in range(n):
            score = game.scores(efforts[:, None, None] * np.ones((1, n)))[0][:, 0, i]
            rank = (at_rest[None] > score[:, None])[:, np.arange(n) != i].sum(axis=1)
            payoff = game.prizes[0][rank] - game.cost.cost(efforts[:, None] * np.ones(n))[:, i]
            gains.append(payoff.max() - payoff[0])
        if max(gains) > 1e-6:
            assert result.status(0) is Status.ABSENT, seed
        else:
            assert result.status(0) is Status.EXISTS or -result.margin[0] < 1e-3, seed
    assert len(seen) == 2


GAME = """
[[developers]]
name = "A"
quality = 1.0
curve = { kind = "envelope", weights = [0.5, 0.5], tasks = [ONE, TWO] }
cost = { kind = "power", scale = 1e-4 }
[[developers]]
name = "B"
quality = 0.5
curve = { kind = "envelope", weights = [0.5, 0.5], tasks = [TWO, ONE] }
cost = { kind = "power", scale = 1e-4 }
[contest]
prizes = [1.0, 0.0]
"""
ONE = '{ kind = "generalized-logit", lower = 0.1, upper = 0.6, intercept = -8.0, slope = 1.6 }'
TWO = '{ kind = "exponential", lower = 0.2, upper = 0.7, rate = 0.001 }'


def test_suites_are_read_from_files_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "suite.toml"
    path.write_text(GAME.replace("ONE", ONE).replace("TWO", TWO))
    population, protocol = read_game(path)
    score = protocol.induce(population).scores(500.0)[0][0]
    assert score[0] == pytest.approx(score[1])  # the same tasks in another order
    for old, new, words in (
        ("[0.5, 0.5]", "[0.5, 0.6]", "weights"),
        ("[0.5, 0.5]", "[1.0]", "2 tasks but 1 weights"),
        ("[0.5, 0.5]", "[1.5, -0.5]", "weights"),
        ("[ONE, TWO]", "[]", "a suite needs at least one task"),
    ):
        path.write_text(GAME.replace(old, new, 1).replace("ONE", ONE).replace("TWO", TWO))
        with pytest.raises(InputError, match=words):
            read_game(path)
