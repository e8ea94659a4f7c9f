"""The what-if panel's solver equals the Python one to 1e-9: run by node, on random games without C1-C3."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import ndtr

from designer.prizes import Bands, Prizes
from designer.protocol import Protocol
from followers.costs import PowerCost
from followers.curves import GeneralizedLogit
from followers.load import load
from followers.population import Population
from solvers.deviations import check_free_effort
from solvers.inner import solve_inner
from studies.report.whatif import Settings, embedded, game_at, refusal, solved_at

SOLVER = Path(__file__).parents[1] / "studies" / "report" / "solver.js"
node = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")


def run_node(program: str, data: Any, tmp_path: Path) -> Any:
    given = tmp_path / "data.json"
    given.write_text(json.dumps(data, allow_nan=False))
    code = (
        f"const t = require({str(SOLVER)!r}); const d = require({str(given)!r}); console.log(JSON.stringify({program}))"
    )
    done = subprocess.run(["node", "-e", code], capture_output=True, text=True, check=True, timeout=60)
    return json.loads(done.stdout)


def random_population(seed: int) -> Population:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 9))
    lower = rng.uniform(0.0, 0.4, n)
    upper = lower + rng.choice([0.0, 0.2, 0.5], n, p=[0.1, 0.45, 0.45])
    if rng.random() < 0.3:  # common ceilings: scores that tie as doubles, but not as two floats
        upper = np.full(n, 0.95)
    return Population(
        names=tuple(f"d{i}" for i in range(n)),
        quality=rng.choice(rng.uniform(size=n), n)[None],
        curve=GeneralizedLogit(lower, upper, rng.normal(-2, 2, n), rng.uniform(0.3, 2.5, n)),
        cost=PowerCost(
            10.0 ** rng.uniform(-4, -0.5, n),
            rng.choice([1.0, 1.5, 2.0], n),
            rng.choice([0.0, 0.0, 3.0], n),
            rng.choice([0.0, 0.0, 0.05], n),
        ),
        prior_exposure=rng.choice([0.0, 0.0, 40.0], (1, n)),
        effort_cap=rng.choice([np.inf, np.inf, 0.0, 200.0], (1, n)),
        parameters_b=np.ones(n),
        score_stderr=np.zeros(n),
    )


def random_protocol(seed: int, n: int) -> Protocol:
    rng = np.random.default_rng(seed)
    prizes = Prizes(values=tuple(np.sort(rng.uniform(0, 1, n))[::-1].tolist()))
    return Protocol(
        prizes=prizes, tune_steps=float(rng.choice([0.0, 10.0, 1e4])), tiers=Bands(width=int(rng.integers(1, 3)))
    )


@node
def test_the_browser_solver_equals_the_python_solver_on_random_games(tmp_path: Path) -> None:
    games = []
    for seed in range(150):
        population = random_population(seed)
        games.append(embedded(population, random_protocol(seed, population.n)))
    apart = run_node("d.map((g) => t.disagreement(g))", games, tmp_path)
    assert max(1.0 if a is None else a for a in apart) <= 1e-9
    chances = [c for g in games for check in g["checks"] for c in check["above"] or []]
    assert sum(0.01 < c < 0.99 for c in chances) > 100  # the noisy part is not all certain
    margins = [m for g in games for check in g["checks"] for m in check["margins"]]
    assert sum(m is None for m in margins) > 100 and sum(m is not None and m < 0 for m in margins) > 100


@node
@pytest.mark.parametrize("name", ["gsm8k", "mmlu"])
def test_the_browser_solver_equals_the_python_solver_on_the_embedded_populations(name: str, tmp_path: Path) -> None:
    population = load(name)
    for protocol in (Protocol(tune_steps=25_000.0), Protocol(tune_steps=37_300.0, tiers=Bands(width=3))):
        (apart,) = run_node("d.map((g) => t.disagreement(g))", [embedded(population, protocol)], tmp_path)
        assert apart is not None and apart <= 1e-9


@node
def test_a_planted_error_is_seen(tmp_path: Path) -> None:
    game = embedded(load("gsm8k"), Protocol(tune_steps=25_000.0))
    finite = next(i for i, m in enumerate(game["checks"][0]["margins"]) if m is not None)
    game["checks"][0]["margins"][finite] += 1e-7
    (apart,) = run_node("d.map((g) => t.disagreement(g))", [game], tmp_path)
    least = min(1.0, 1.0 / abs(game["checks"][0]["margins"][finite]))  # differences count relative to margins above 1
    assert apart == pytest.approx(1e-7 * least, rel=1e-3)


@node
def test_overtakes_are_those_of_the_solver(tmp_path: Path) -> None:
    population, protocol = load("gsm8k"), Protocol()
    game = embedded(population, protocol)
    (found,) = run_node("d.map((g) => t.solve(g, {tune: g.tune, steepness: 1, cost: 1}).best)", [game], tmp_path)
    certificate = solve_inner(protocol.induce(population)).certify(0)
    (worst,) = certificate.deviations  # type: ignore[union-attr]
    best = found[worst.developer]
    assert best["target"] == worst.target and best["takes"] == worst.rank
    assert best["effort"] == pytest.approx(worst.effort, rel=1e-9)
    assert best["cost"] == pytest.approx(worst.extra_cost, rel=1e-9) and best["gain"] == worst.prize_gain


@node
def test_the_normal_distribution_is_scipys(tmp_path: Path) -> None:
    x = np.linspace(-30, 30, 1201).tolist()
    found = run_node("d.map(t.ndtr)", x, tmp_path)
    assert found == pytest.approx(ndtr(x).tolist(), rel=1e-13, abs=1e-300)


def test_the_settings_are_those_of_protocols() -> None:
    population = load("gsm8k")
    protocol = Protocol(tune_steps=25_000.0, tiers=Bands(width=2))
    plain = check_free_effort(protocol.induce(population))
    at = solved_at(population, protocol, Settings(25_000.0))
    assert at["ranks"] == plain.ranks[0].tolist()
    assert [np.inf if m is None else m for m in at["margins"]] == plain.margins[0].tolist()
    steep = game_at(population, protocol, Settings(0.0, steepness=2.0)).prizes[0]
    flat = game_at(population, protocol, Settings(0.0, steepness=0.5)).prizes[0]
    assert steep[0] < flat[0] and steep.sum() < flat.sum()  # the first band's mean feels the steeper second prize
    assert refusal(population, protocol) == ""
    assert "hidden" in refusal(population, replace(protocol, hidden_share=0.2))
    assert "equal" in refusal(population, Protocol(prizes=Prizes(values=(1.0,) * population.n)))
