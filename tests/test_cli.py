from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path
from typing import Any

import pytest

from studies.cli import main

GOOD = (Path(__file__).parent / "games" / "two-close-rivals.toml").read_text()
LONG_OPTIONS = {"COLUMNS": "110", "NO_COLOR": "1"}


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stopped:
        main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    code = stopped.value.code
    return (code if isinstance(code, int) else 0), out, err


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_solve_prints_one_object_as_designed(games: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "solve", games / "two-close-rivals-tuned.toml", "--json")
    (found,) = lines(out)
    assert code == 0 and found["status"] == "exists" and found["solution"] == "pure" and found["unique"] is True
    assert found["mixed"] is None and found["kendall_tau"] == 1.0
    (equilibrium,) = found["equilibria"]
    assert set(equilibrium) == {"efforts", "scores", "ranks", "prizes", "utilities"}
    assert equilibrium["efforts"] == [0.0, 0.0] and equilibrium["ranks"] == [1, 2]
    assert equilibrium["prizes"] == equilibrium["utilities"] == [1.0, 0.0]
    assert found["stability_margin"] == pytest.approx(5 * (2.718281828459045**0.3 - 1) - 1)
    assert found["checker"]["passed"] is True
    assert set(found["assumptions"]) == {"C1", "C2", "C3", "strict cost"}
    assert found["certificate"]["status"] == "exists"


def test_an_absent_answer_is_an_answer(games: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "solve", games / "two-close-rivals.toml", "--json")
    (found,) = lines(out)
    assert code == 0 and found["status"] == "absent" and found["solution"] == "mixed"
    assert found["equilibria"] == [] and found["unique"] is None
    assert found["mixed"]["checker"]["passed"] and found["mixed"]["exploitability"] < 1e-3
    assert sum(found["mixed"]["probabilities"][0]) == pytest.approx(1.0)
    wins = found["mixed"]["win_probabilities"]
    assert sum(wins) == pytest.approx(1.0) and found["kendall_tau"] == pytest.approx(wins[0] - wins[1], abs=1e-6)
    assert found["stability_margin"] == pytest.approx(2.718281828459045**0.3 - 2)
    assert found["certificate"]["cycle"] and found["checker"]["passed"]
    _, out, _ = run(capsys, "solve", games / "two-close-rivals.toml", "--json", "--method", "pure")
    (found,) = lines(out)
    assert found["solution"] == "none" and found["mixed"] is None and found["kendall_tau"] is None


def test_all_lists_the_corners_of_a_continuum(games: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "solve", games / "free-effort.toml", "--json", "--all")
    (found,) = lines(out)
    assert sorted(e["efforts"] for e in found["equilibria"]) == [[1.0, 0.0], [1.0, 1.0]] and found["unique"] is False
    _, out, _ = run(capsys, "solve", games / "free-effort.toml")
    assert "not unique" in out and "strict cost fails" in out


def test_several_files_one_line_each_and_a_bad_one_does_not_stop_the_rest(
    games: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text(GOOD.replace("quality = 1.0", "quality = nan"))
    code, out, _ = run(capsys, "solve", games / "two-close-rivals.toml", bad, games / "free-effort.toml", "--json")
    found = lines(out)
    assert code == 2 and [("error" in f) for f in found] == [False, True, False]
    assert "quality = nan" in found[1]["error"] and found[1]["file"] == str(bad)


def test_unknown_exits_with_three(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = GOOD.replace("intercept = -0.3", "intercept = 1e-17").replace("intercept = -0.6", "intercept = 0.0")
    path = tmp_path / "far.toml"
    path.write_text(text.replace("tune_steps = 0.0", "tune_steps = 1e17"))
    code, out, _ = run(capsys, "solve", path, "--json")
    assert code == 3 and lines(out)[0]["status"] == "unknown" and lines(out)[0]["notes"]


BAD_GAMES = {
    "misspelt field": (
        ("quality = 1.0", "qualty = 1.0"),
        "developers[0].qualty: unknown field; did you mean 'quality'?",
    ),
    "missing field": (("quality = 1.0\n", ""), "developers[0].quality: missing"),
    "missing prizes": (("prizes = [1.0, 0.0]\n", ""), "contest.prizes: missing"),
    "NaN": (("quality = 1.0", "quality = nan"), "developers[0].quality = nan; must be a finite number"),
    "negative cost": (("scale = 1.0, exponent", "scale = -1.0, exponent"), "developers[0].cost.scale = -1.0; must be"),
    "increasing prizes": (("[1.0, 0.0]", "[1.0, 2.0]"), "rank 2 earns 2, more than rank 1 with 1"),
    "too few prizes": (("[1.0, 0.0]", "[1.0, 0.5, 0.0]"), "3 given for 2 developers"),
    "negative slope": (
        ('slope = 1.0 }\ncost = { kind = "power", scale = 1.0 }', "slope = -0.3 }"),
        "a slope must be positive",
    ),
    "duplicate names": (('name = "B"', 'name = "A"'), "developers[1].name = 'A'; already the name of developers[0]"),
    "unknown curve": (
        ('"generalized-logit", lower = 0.0, upper = 1.0, intercept = -0.3', '"sigmoid", lower = 0.0'),
        "kind",
    ),
    "upper below lower": (("upper = 1.0, intercept = -0.3", "upper = -1.0, intercept = -0.3"), "is above upper"),
    "text for a number": (("quality = 1.0", 'quality = "high"'), "developers[0].quality = 'high'"),
    "tiers that do not sum": (("tiers = []", "tiers = [1, 2]"), "sum to 3; must sum to 2"),
    "negative precision": (("precision = 0.0", "precision = -0.01"), "protocol.precision = -0.01; must"),
    "noise and precision": (("precision = 0.0", "precision = 0.01\nnoise = 0.1"), "either rounded or noisy"),
    "noise given twice": (("test_items = 0", "noise = 0.1\ntest_items = 50"), "give one of them"),
    "split ties with noise": (
        ('ties = "quality"\n\n[protocol]\n', 'ties = "split"\n\n[protocol]\nnoise = 0.1\n'),
        'ties = "split" with noise: noisy scores never tie',
    ),
    "a share above one": (
        ("hidden_share = 0.0", "hidden_share = 1.5"),
        "protocol.hidden_share = 1.5; must lie in [0, 1]",
    ),
    "half an item": (("test_items = 0", "test_items = 0.5"), "protocol.test_items = 0.5"),
    "an audit without items": (
        ("precision = 0.0", "audit = { probability = [0.5] }"),
        "audit.items = 0; an audit needs at least 1 item",
    ),
    "a probability above one": (
        ("precision = 0.0", "audit = { probability = [1.5], items = 9 }"),
        "audit.probability[0] = 1.5; must lie in [0, 1]",
    ),
    "audits of nobody": (
        ("precision = 0.0", "audit = { probability = [0.1, 0.1, 0.1], items = 9 }"),
        "3 ranks for 2 developers",
    ),
    "a level of zero": (
        ("precision = 0.0", "audit = { probability = [0.1], items = 9, level = 0.0 }"),
        "audit.level = 0; must lie strictly between 0 and 1",
    ),
    "bad tie rule": (('ties = "quality"', 'ties = "coin"'), "contest.ties = 'coin'"),
    "not TOML": (("[contest]", "[contest"), "not valid TOML"),
    "endless free effort": (('kind = "power", scale = 1.0 }', 'kind = "power", scale = 0.0 }'), "effort cap"),
    "unknown table": (("[contest]", "[contests]"), "contests"),
}


@pytest.mark.parametrize("case", BAD_GAMES)
def test_bad_games_get_one_clear_line(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (old, new), expected = BAD_GAMES[case]
    assert old in GOOD
    path = tmp_path / "game.toml"
    path.write_text(GOOD.replace(old, new, 1))
    code, out, err = run(capsys, "solve", path)
    assert code == 2 and out == "" and err.count("\n") == 1, err
    assert str(path) in err and expected in err, err
    assert "Traceback" not in err and "pydantic" not in err


def test_a_population_of_one_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "one.toml"
    head, _, rest = GOOD.partition('[[developers]]\nname = "B"')
    path.write_text(head + rest[rest.index("[contest]") :])
    code, _, err = run(capsys, "solve", path)
    assert code == 2 and "1 given; a leaderboard needs at least 2" in err


def test_unreadable_files_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    for path, expected in (
        (tmp_path / "none.toml", "no such file"),
        (tmp_path, "is a folder"),
        (binary, "not a text file in UTF-8"),
    ):
        code, _, err = run(capsys, "solve", path)
        assert code == 2 and expected in err and str(path) in err and err.count("\n") == 1


def test_json_games_and_infinity(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = tomllib.loads(GOOD)
    document["developers"][0]["effort_cap"] = "inf"
    path = tmp_path / "game.json"
    path.write_text(json.dumps(document))
    code, out, _ = run(capsys, "solve", path, "--json")
    assert code == 0 and lines(out)[0]["status"] == "absent"
    path.write_text("{")
    assert "not valid JSON" in run(capsys, "solve", path)[2]
    path.write_text("[]")
    assert "a table of fields is needed" in run(capsys, "solve", path)[2]


def test_a_protocol_file_overrides_the_game(games: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text("[contest]\nprizes = [1.0, 0.0]\n[protocol]\ntune_steps = 4.0\n")
    _, out, _ = run(capsys, "solve", games / "two-close-rivals.toml", "--json", "--protocol", plan)
    assert lines(out)[0]["status"] == "exists"
    plan.write_text("[contest]\nprizes = [1.0, 0.5, 0.0]\n")
    assert "3 given for 2" in run(capsys, "solve", games / "two-close-rivals.toml", "--protocol", plan)[2]


def test_pooled_measurements_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "game.toml"
    curve = '{ kind = "tabulated", effort = [0, 100, 200], score = [0.5, 0.4, 0.6] }'
    old = '{ kind = "generalized-logit", lower = 0.0, upper = 1.0, intercept = -0.3, slope = 1.0 }'
    path.write_text(GOOD.replace(old, curve))
    code, out, _ = run(capsys, "solve", path, "--json")
    assert code == 0 and "A: measured scores fall by up to 0.1 and were pooled" in lines(out)[0]["notes"][0]
    assert "pooled" in run(capsys, "solve", path)[1]


def test_mixed_is_solved_or_refused_by_name(games: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "solve", games / "free-effort.toml", "--method", "mixed", "--json")
    (found,) = lines(out)
    assert code == 0 and found["solution"] == "pure" and found["mixed"]["checker"]["passed"]
    path = tmp_path / "game.toml"
    path.write_text(GOOD.replace("precision = 0.0", "noise = 0.1"))
    code, _, err = run(capsys, "solve", path, "--method", "mixed")
    assert code == 2 and str(path) in err and "noisy" in err and err.count("\n") == 1


RULES = {
    "noise": ("precision = 0.0", "noise = 0.5", "noisy"),
    "precision": ("precision = 0.0", "precision = 0.25", "rounded"),
    "audit": (
        "precision = 0.0",
        "audit = { probability = [0.9, 0.1], items = 400, level = 0.05, fine = 1.0 }",
        "audited",
    ),
    "hidden": ("hidden_share = 0.0\ntransfer = 0.0", "hidden_share = 0.5\ntransfer = 0.2", "free-effort profile"),
}


@pytest.mark.parametrize("rule", RULES)
def test_every_measurement_rule_is_solved_and_certified(
    rule: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new, method = RULES[rule]
    path = tmp_path / "game.toml"
    path.write_text(GOOD.replace(old, new, 1))
    code, out, _ = run(capsys, "solve", path, "--json")
    (found,) = lines(out)
    assert method in found["method"] and found["checker"]["passed"], found["method"]
    assert code == (3 if found["status"] == "unknown" and found["solution"] == "none" else 0)
    if found["ranking"] is not None:
        assert found["ranking"]["above"][0][1] + found["ranking"]["above"][1][0] <= 1 + 1e-9
    code, out, _ = run(capsys, "solve", path)
    assert code in (0, 3) and "checker" in out


def test_nfg_is_what_gambit_reads(games: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gambit = pytest.importorskip("pygambit", reason="pygambit is not installed")
    target = tmp_path / "game.nfg"
    code, out, _ = run(capsys, "solve", games / "two-close-rivals.toml", "--nfg", target, "--levels", 6)
    assert code == 0 and f"wrote {target}" in out
    game = gambit.read_nfg(str(target))
    assert [p.label for p in game.players] == ["A", "B"] and not gambit.nash.enumpure_solve(game).equilibria
    noisy = tmp_path / "noisy.toml"
    noisy.write_text(GOOD.replace("precision = 0.0", "noise = 0.1"))
    code, _, err = run(capsys, "solve", noisy, "--nfg", tmp_path / "none.nfg")
    assert code == 2 and "not finite" in err and not (tmp_path / "none.nfg").exists()
    code, _, err = run(capsys, "solve", noisy, noisy, "--nfg", target)
    assert code == 2 and "one at a time" in err


def test_an_unknown_bench_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "bench", "fast")
    assert code == 2 and "bench fast: no such benchmark; allowed: pure, mixed, noisy" in err


def test_compare_is_paired_and_reproducible(games: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    direct, tuned = tmp_path / "direct.toml", tmp_path / "tuned.toml"
    direct.write_text("[protocol]\ntune_steps = 0.0\n")
    tuned.write_text("[protocol]\ntune_steps = 30.0\n")
    people = games / "two-close-rivals.toml"
    command = ("compare", direct, tuned, "--population", people, "--draws", 16, "--seed", 3, "--json")
    first, second = (json.loads(run(capsys, *command)[1]) for _ in range(2))
    assert first == second and first["seed"] == 3
    assert first["scorecards"][str(direct)]["pure_share"]["mean"] == 0.0
    assert first["scorecards"][str(direct)]["kendall_tau"]["mean"] is None
    assert first["differences"][str(tuned)]["pure_share"]["mean"] == 1.0
    code, out, _ = run(capsys, *command[:-1])
    assert code == 0 and "paired differences" in out and "pure_share" in out


def test_propose_writes_a_protocol_that_solve_reads(
    games: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study, plan = tmp_path / "study.toml", tmp_path / "plan.toml"
    study.write_text(
        f"""population = "{(games / "two-close-rivals.toml").resolve()}"
trials = 40
draws = 16
seed = 1
[contest]
prizes = [1.0, 0.0]
[space]
tune_steps = {{ low = 0.0, high = 20.0, step = 0.5 }}
[goal]
at_least = {{ pure_share = 0.9 }}
"""
    )
    code, out, _ = run(capsys, "propose", study, "--json", "-o", plan)
    found = json.loads(out)
    assert code == 0 and set(found) >= {"recommended", "baselines", "scorecards", "certificate", "seed", "versions"}
    steps = found["recommended"]["protocol"]["tune_steps"]
    assert 1.858 < steps <= 20 and found["checker"]["passed"] and found["seed"] == 1
    assert tomllib.loads(plan.read_text())["protocol"]["tune_steps"] == steps
    _, out, _ = run(capsys, "solve", games / "two-close-rivals.toml", "--protocol", plan, "--json")
    assert lines(out)[0]["status"] == "exists"
    code, out, _ = run(capsys, "propose", study)
    assert code == 0 and "direct evaluation" in out and "recommended" in out and "Under direct evaluation" in out
    assert [p.name for p in tmp_path.iterdir() if p.name.endswith(".part")] == []


def test_bad_studies_and_protocols_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = tmp_path / "study.toml"
    for text, expected in (
        ("[space]\ntune_step = [1.0]\n", "did you mean 'tune_steps'?"),
        ("[space]\n", "name at least one knob"),
        ("[space]\ntune_steps = { low = 2.0, high = 1.0 }\n", "low = 2 is above high = 1"),
        ("[goal]\nat_least = { tau = 0.9 }\n", "unknown figure 'tau'"),
        ('population = "gsm9k"\n', "gsm9k"),
        ("trials = 0\n", "trials = 0"),
        ("[prior]\nexposure_share = 2.0\n", "prior.exposure_share = 2.0; must lie in [0, 1]"),
    ):
        study.write_text(text)
        code, _, err = run(capsys, "propose", study)
        assert code == 2 and expected in err and err.count("\n") == 1, err


def test_nothing_half_written_is_left_behind(games: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "missing" / "plan.toml"
    study = tmp_path / "study.toml"
    study.write_text(
        f'population = "{(games / "two-close-rivals-tuned.toml").resolve()}"\ntrials = 2\ndraws = 2\n'
        "[contest]\nprizes = [1.0, 0.0]\n[space]\ntune_steps = [30.0]\n[goal]\nat_least = {}\n"
    )
    code, _, err = run(capsys, "propose", study, "-o", target)
    assert code == 2 and "cannot be written" in err
    assert sorted(os.listdir(tmp_path)) == ["study.toml"]


def test_designed_protocols_are_read_by_solve_and_compare(
    games: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    game, plan = games / "two-close-rivals.toml", tmp_path / "plan.toml"
    climb = 2.718281828459045**0.3 - 1
    code, out, _ = run(capsys, "design", "prizes", game, "--margin", "0.1", "-o", plan, "--json")
    found = json.loads(out)
    assert code == 0 and found["status"] == "optimal" and found["confirmed"]["checker"]["passed"]
    assert found["prizes"] == pytest.approx([0.5 + (climb - 0.1) / 2, 0.5 - (climb - 0.1) / 2])
    (binding,) = found["binding"]
    assert binding["developer"] == "B" and binding["cost"] == pytest.approx(climb)
    _, out, _ = run(capsys, "solve", game, "--protocol", plan, "--json")
    assert lines(out)[0]["status"] == "exists" and lines(out)[0]["stability_margin"] == pytest.approx(0.1)
    assert run(capsys, "compare", plan, "--population", game, "--draws", 4)[0] == 0
    code, out, _ = run(capsys, "design", "tiers", game, "-o", plan)
    assert code == 0 and "one band for all" in out and "what forbids finer bands" in out and f"wrote {plan}" in out
    assert tomllib.loads(plan.read_text())["protocol"]["tiers"] == [2]
    code, out, _ = run(capsys, "design", "tiers", "gsm8k", "--draws", 8, "--json")
    found = json.loads(out)
    assert code == 0 and found["proved"] and sum(found["sizes"]) == 38
    assert found["confirmed"]["status"] == "exists" and 0 < found["confirmed"]["fresh_draws"]["pure_share"] <= 1


@pytest.mark.parametrize(
    ("command", "header", "first"),
    [
        (("design", "prizes"), "rank,announced,prize", "1,1,0.500"),
        (("design", "tiers"), "rank,band", "1,1"),
        (("design", "joint", "--compute-cost", 1), "rank,announced,prize,audit_probability", "1,1,0.500"),
        (("audit", "plan", "--items", 500, "--fine", 8), "rank,probability", "1,0.90"),
    ],
)
def test_designs_are_written_as_rows_too(
    command: tuple[object, ...], header: str, first: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    game, rows = Path(__file__).parents[1] / "examples" / "audited.toml", tmp_path / "new folder" / "plan.csv"
    code, out, _ = run(capsys, *command[:2], game, *command[2:], "-o", rows)
    written = rows.read_text().splitlines()
    assert code == 0 and f"wrote {rows}" in out
    assert written[0] == header and written[1].startswith(first) and len(written) == 4


def test_a_designed_budget_is_the_least(games: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    game, plan, rows = games / "two-close-rivals.toml", tmp_path / "plan.toml", tmp_path / "plan.csv"
    code, out, _ = run(capsys, "design", "budget", game, "-o", plan, "--json")
    found = json.loads(out)
    assert code == 0 and found["status"] == "found" and found["confirmed"]["checker"]["passed"]
    assert found["intervals"] == [[found["tune_steps"], 100_000.0]] and found["undecided_steps"] == 0
    _, out, _ = run(capsys, "solve", game, "--protocol", plan, "--json")
    assert lines(out)[0]["status"] == "exists"
    document = tomllib.loads(plan.read_text())
    plan.write_text(
        plan.read_text().replace(repr(document["protocol"]["tune_steps"]), repr(0.99 * found["tune_steps"]))
    )
    _, out, _ = run(capsys, "solve", game, "--protocol", plan, "--json")
    assert lines(out)[0]["status"] == "absent"
    assert run(capsys, "design", "budget", game, "-o", rows)[0] == 0
    assert rows.read_text().splitlines()[0] == "from_steps,to_steps" and len(rows.read_text().splitlines()) == 2
    code, out, _ = run(capsys, "design", "budget", game, "--upto", 1, "-o", tmp_path / "none.toml")
    assert (
        code == 0 and "no tuning budget" in out and "nothing written" in out and not (tmp_path / "none.toml").exists()
    )
    shared = ("design", "budget", "gsm8k", "--draws", 3, "--tolerance", 1, "--json")
    code, out, _ = run(capsys, *shared, "--share", 0.6)
    found = json.loads(out)
    assert code == 0 and found["share_reached"] >= 0.6 and found["confirmed"]["fresh_draws"]["draws"] == 1_000
    code, out, _ = run(capsys, "design", "budget", game, "--tolerance", 1e6)
    assert code == 3 and "least tuning budget that is proved" in out and "a smaller one may hide in" in out
    code, _, err = run(capsys, "design", "budget", "gsm8k", "--share", 0.5)
    assert code == 2 and "--share 0.5 without --draws" in err and err.count("\n") == 1


def test_a_joint_design_costs_no_more_than_its_parts(
    games: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    game, plan = Path(__file__).parents[1] / "examples" / "audited.toml", tmp_path / "plan.toml"
    options = ("--compute-cost", 1e-3, "--items", 500, "--fine", 8, "--audit-cost", 0.5)
    code, out, _ = run(capsys, "design", "joint", game, *options, "-o", plan, "--json")
    found = json.loads(out)
    assert code == 0 and found["gap"] <= 0.01 and found["bound"] <= found["cost"]
    assert found["cost"] == pytest.approx(sum(found["parts"].values()))
    assert found["cost"] <= min(found["alone"].values()) and set(found["alone"]) == {"tuning", "prizes", "audits"}
    _, out, _ = run(capsys, "solve", game, "--protocol", plan, "--json")
    assert lines(out)[0]["status"] == "exists"
    code, out, _ = run(capsys, "design", "joint", game, *options)
    assert code == 0 and "no design with up to" in out and "cost if alone" in out and "audited with" in out
    code, _, err = run(capsys, "design", "joint", game, "--compute-cost", -1)
    assert code == 2 and "cost of compute = -1" in err and err.count("\n") == 1
    code, out, _ = run(capsys, "design", "joint", "gsm8k", "--compute-cost", 1e-6, "--cells", 1)
    assert code == 3 and "of the bound (2 intervals" in out


def test_designs_that_cannot_be_are_refused_or_said(
    games: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    game, plan = games / "two-close-rivals.toml", tmp_path / "plan.toml"
    code, out, _ = run(capsys, "design", "prizes", game, "--keep-first", "-o", plan)
    assert code == 3 and "do not keep it" in out and "nothing written" in out and not plan.exists()
    plan.write_text("[protocol]\nnoise = 0.1\n[contest]\nprizes = [1.0, 0.0]\n")
    for kind in ("budget", "prizes", "tiers"):
        code, _, err = run(capsys, "design", kind, game, "--protocol", plan)
        assert code == 2 and str(game) in err and f"design {kind}: scores are noisy" in err and err.count("\n") == 1
        code, _, err = run(capsys, "design", kind, game, "--margin", "-1")
        assert code == 2 and "margin = -1" in err
        code, _, err = run(capsys, "design", kind, tmp_path / "none.toml")
        assert code == 2 and "no such file" in err
        code, _, err = run(capsys, "design", kind, "gsm9k")
        assert code == 2 and "gsm9k" in err


def test_a_solver_that_fails_is_said_on_one_line(
    games: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import cvxpy as cp

    def crashing(self: cp.Problem, **options: Any) -> None:
        raise cp.SolverError("out of memory")

    monkeypatch.setattr(cp.Problem, "solve", crashing)
    game = games / "two-close-rivals.toml"
    code, out, err = run(capsys, "design", "prizes", game)
    assert code == 3 and out == "" and err.count("\n") == 1
    assert f"truerank: {game}: design prizes: CLARABEL" in err and "out of memory" in err and "rescale prizes" in err
    audited = Path(__file__).parents[1] / "examples" / "audited.toml"
    code, _, err = run(capsys, "audit", "plan", audited, "--items", 500, "--fine", 8, "--draws", 4, "--tail", 0.5)
    assert code == 3 and err.count("\n") == 1 and "out of memory" in err and "fewer draws" in err


def test_audits_are_planned_sized_and_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    game, plan, board = (
        Path(__file__).parents[1] / "examples" / "audited.toml",
        tmp_path / "plan.toml",
        tmp_path / "board.txt",
    )
    code, out, _ = run(capsys, "audit", "plan", game, "--items", 500, "--fine", 8, "-o", plan, "--json")
    found = json.loads(out)
    assert code == 0 and found["status"] == "optimal" and found["confirmed"]["checker"]["passed"]
    assert sum(found["plan"]["probability"]) == pytest.approx(found["expected_audits"])
    _, out, _ = run(capsys, "solve", game, "--protocol", plan, "--json")
    assert lines(out)[0]["status"] == "exists" and lines(out)[0]["stability_margin"] >= -1e-9
    code, out, _ = run(capsys, "audit", "plan", game, "--items", 500, "--fine", 8)
    first, second = ([x for x in line.split() if x] for line in out.splitlines() if line[:3] in (" 1 ", " 2 "))
    assert code == 0 and "just deters" in out and first[2:4] == ["cedar", "2"] and second[2:4] == ["birch", "3"]
    assert [float(first[1]), float(second[1]), 0] == pytest.approx(found["plan"]["probability"], rel=1e-3)
    code, out, _ = run(capsys, "audit", "plan", game, "--items", 500, "--fine", 1, "-o", tmp_path / "none.toml")
    assert code == 3 and "cannot be deterred" in out and "a fine of" in out and not (tmp_path / "none.toml").exists()
    planned = ("audit", "plan", game, "--fine", 8, "--json", "--items")
    code, out, _ = run(capsys, *planned, "500,2000", "--item-cost", 0.01)
    joint = json.loads(out)
    assert code == 0 and joint["plan"]["items"] == 2000 and [t["items"] for t in joint["tried"]] == [500, 2000]
    assert joint["cost"] == min(t["cost"] for t in joint["tried"])
    code, out, _ = run(capsys, *planned, 500, "--draws", 20)
    every = json.loads(out)
    assert code == 0 and every["promise"]["variables"] == 2 and every["confirmed"]["fresh_draws"]["pure_share"] > 0.5
    code, out, _ = run(capsys, *planned, 500, "--draws", 20, "--tail", 0.3)
    worst = json.loads(out)
    assert code == 0 and worst["promise"] is None and worst["reached_in_tail"] >= 0
    assert worst["expected_audits"] < every["expected_audits"]
    code, out, _ = run(capsys, "audit", "power", "--claimed", 0.7, "--fresh", 0.6, "--items", 296, "--json")
    assert code == 0 and json.loads(out)["power"] >= 0.9
    code, out, _ = run(capsys, "audit", "power", "--claimed", 0.7, "--fresh", 0.6, "--power", 0.9)
    assert "takes 296 items (power 0.9" in out and "none from 307 on" in out
    board.write_text("alder\nbirch\ncedar\n")
    drawn = ("audit", "draw", plan, board, "--secret", "00112233445566778899aabbccddeeff", "--round", "r1", "--json")
    code, out, _ = run(capsys, *drawn)
    assert code == 0 and len(json.loads(out)["commitment"]) == 64 and out == run(capsys, *drawn)[1]
    due = json.loads(out)["audited"]
    committed = run(capsys, "audit", "commit", plan, "--secret", drawn[5], "--round", "r1", "--json")
    assert committed[0] == 0 and json.loads(committed[1])["commitment"] == json.loads(out)["commitment"]
    fresh = [json.loads(run(capsys, "audit", "commit", plan, "--round", "r1", "--json")[1]) for _ in range(2)]
    assert fresh[0]["secret"] != fresh[1]["secret"] and len(fresh[0]["secret"]) == 64
    revealed = ("audit", "verify", *drawn[2:-1], "--commitment", json.loads(out)["commitment"])
    named = [word for name in due for word in ("--audited", name)]
    code, out, _ = run(capsys, *revealed, *named)
    assert code == 0 and out == f"verified: {len(due)} of 3 entries drawn, as committed to\n"
    spared = next(name for name in ("alder", "birch", "cedar") if name not in due)
    code, out, _ = run(capsys, *revealed, *named, "--audited", spared, "--json")
    assert code == 1 and json.loads(out)["detail"] == f"audited without being drawn: {spared}"
    board.write_bytes(b"\xef\xbb\xbfalder\r\nbirch\r\ncedar\r\n")  # as editors on Windows save it
    assert json.loads(run(capsys, *drawn)[1])["audited"] == due
    for bad, words in (
        (("audit", "power", "--claimed", 0.5, "--fresh", 0.6, "--items", 9), "fresh"),
        (("audit", "power", "--claimed", 0.7, "--fresh", 0.6), "give --items or --power"),
        (("audit", "plan", game, "--items", 0, "--fine", 1), "items = 0"),
        (("audit", "plan", game, "--items", "5x", "--fine", 1), 'items = "5x"'),
        (("audit", "plan", game, "--items", "best", "--fine", 1), "give --item-cost"),
        (("audit", "plan", game, "--items", 9, "--fine", 1, "--tail", 0.1), "--tail 0.1 without --draws"),
        (("audit", "plan", game, "--items", 9, "--fine", 1, "--tail", 2, "--draws", 3), "tail = 2;"),
        (("design", "prizes", game, "--tail", 0.1), "--tail 0.1 without --draws"),
        (
            ("audit", "draw", game.with_name("half-tuned.toml"), board, "--secret", "00" * 16, "--round", "r"),
            "audits nobody",
        ),
        ((*planned, "1" + 26 * "0"), "items = 1e+26"),
        ((*planned, 500, "--draws", 4, "--tail", 0.5, "--margin", -1), "margin = -1"),
        (("audit", "draw", plan, tmp_path / "no.txt", "--secret", "00" * 16, "--round", "r"), "cannot be read"),
        ((*revealed, "--audited", "dogwood"), "'dogwood' is not on"),
        ((*drawn[:5], "zz", "--round", "r"), "hexadecimal"),
        ((*drawn[:5], "00", "--round", "r"), "at least 16 random bytes"),
    ):
        code, _, err = run(capsys, *bad)
        assert code == 2 and words in err and err.count("\n") == 1, err


def test_demo_catches_every_planted_defect(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "demo", "--json")
    defects = json.loads(out)
    assert code == 0 and len(defects) == 5 and all(d["caught"] and d["check"] for d in defects)
    assert "MISSED" not in run(capsys, "demo")[1]


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--help")
    assert code == 0
    for command in ("solve", "compare", "propose", "calibrate", "bench", "demo"):
        assert command in out
    assert run(capsys, "--version")[1].startswith("truerank ")


def test_help_imports_nothing_heavy() -> None:
    import subprocess
    import sys

    code = "import sys, studies.cli; print([m for m in ('numpy', 'numba', 'optuna', 'pydantic') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
