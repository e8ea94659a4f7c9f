"""report, plot and explain on the command line; and what every command has: an example, completion, no colour."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import typer
from report_cases import EXAMPLES
from test_cli import run

from studies.cli import app
from studies.cli_options import terminal

COMMAND = "from studies.cli import main; main()"
QUICK = ("--trials", "4", "--draws", "4")
AUDITED = """
[contest]
prizes = [1.0, 0.4, 0.1]
[protocol]
audit = { probability = [0.5, 0.4], items = 500, level = 0.01, fine = 8.0 }
"""


def leaves(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command that does something, with the words that lead to it."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from leaves(command, (*path, name))
        else:
            yield (*path, name), command


LEAVES = dict(leaves(typer.main.get_command(app)))


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_every_help_has_an_example_that_parses(path: tuple[str, ...]) -> None:
    command = LEAVES[path]
    examples = re.findall(r"Examples?: (truerank .*)", command.help or "")
    assert examples, f"truerank {' '.join(path)} --help shows no example"
    for example in examples:
        words = shlex.split(example.split(" > ")[0])[1:]
        assert tuple(words[: len(path)]) == path
        command.make_context(path[-1], words[len(path) :])  # raises where the words do not parse


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_every_command_speaks_json_or_says_why_not(path: tuple[str, ...]) -> None:
    options = {option for p in LEAVES[path].params for option in p.opts}
    assert "--json" in options


def test_defaults_in_words_reach_the_help(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    _, out, _ = run(capsys, "propose", "--help")
    assert "(default: 200)" in out and "Example: truerank propose" in out


def test_completion_is_offered() -> None:
    environment = {**os.environ, "_TRUERANK_COMPLETE": "complete_bash", "COMP_WORDS": "truerank pl", "COMP_CWORD": "1"}
    code = f"import sys; sys.argv = ['truerank']; {COMMAND}"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["plot"]


def colours_of(arguments: list[str], **variables: str) -> set[str]:
    """Codes of foreground and background colours on standard output, where colour is asked for."""
    environment = {k: v for k, v in os.environ.items() if k != "NO_COLOR"}
    environment |= {"FORCE_COLOR": "1", "TERM": "xterm-256color", **variables}
    command = [sys.executable, "-c", COMMAND, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout
    codes = {c for found in re.findall(r"\x1b\[([0-9;]*)m", done.stdout) for c in found.split(";")}
    return codes & ({str(c) for k in (30, 40, 90, 100) for c in range(k, k + 8)} | {"38", "48"})


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    assert colours_of(["--help"])
    assert not colours_of(["--help"], NO_COLOR="1")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert not terminal().no_color
    monkeypatch.setenv("NO_COLOR", "1")
    assert terminal().no_color  # every table and bar is printed by this console


def test_explain_tells_who_deviates_at_what_cost_and_what_stops_it(games: Path, capsys: Any) -> None:
    code, out, _ = run(capsys, "explain", games / "two-close-rivals.toml", "--json")
    told = json.loads(out)
    assert code == 0 and told["status"] == "absent" and told["checker"]["passed"]
    (best,) = told["deviations"]
    gap = 2.718281828459045**0.3 - 1.0  # e_req at Delta = 0
    assert (best["developer"], best["passes"], best["takes"]) == ("B", "A", 1)
    assert best["cost"] == pytest.approx(gap) and best["net_gain"] == pytest.approx(1.0 - gap)
    assert told["race"] and {m["developer"] for m in told["race"]} == {"A", "B"}
    remedies = {r["kind"]: r for r in told["remedies"]}
    tuning = remedies["tuning before the test"]
    assert tuning["holds"] and tuning["protocol"]["protocol"]["tune_steps"] == pytest.approx(1.0 / gap - 1.0)
    prizes = remedies["flatter prizes"]["protocol"]["contest"]["prizes"]
    assert remedies["flatter prizes"]["holds"] and prizes[0] - prizes[1] == pytest.approx(gap)
    assert remedies["bands of ranks"]["status"] == "none"
    _, out, _ = run(capsys, "explain", games / "two-close-rivals.toml")
    words = " ".join(out.split())
    assert (
        "B (rank 2) would pass A and take rank 1" in words and "It never ends" in words and "What would stop" in words
    )


def test_explain_of_a_settled_board_says_by_how_much(games: Path, capsys: Any) -> None:
    code, out, _ = run(capsys, "explain", games / "two-close-rivals-tuned.toml")
    words = " ".join(out.split())
    assert code == 0 and "The board is settled" in words and "The most tempted, B (rank 2), would not pass A" in words
    assert "What would stop" not in words
    _, out, _ = run(capsys, "explain", EXAMPLES / "noisy.toml")
    assert "steps in equilibrium" in " ".join(out.split())


def test_explain_admits_what_the_designs_do_not_cover(tmp_path: Path, capsys: Any) -> None:
    rounded = tmp_path / "rounded.toml"
    rounded.write_text("[contest]\nprizes = [1.0, 0.4, 0.1]\n[protocol]\nprecision = 0.02\n")
    code, out, _ = run(capsys, "explain", EXAMPLES / "audited.toml", "--protocol", rounded, "--json")
    told = json.loads(out)
    assert code == 0 and told["status"] == "absent"
    assert {r["status"] for r in told["remedies"]} == {"not covered"}
    assert all("rounded" in r["sentence"] for r in told["remedies"][:3])


@pytest.mark.parametrize("kind", ["png", "svg"])
@pytest.mark.parametrize("figure", ["curves", "margin", "overtakes", "audit", "front"])
def test_plots_are_written(figure: str, kind: str, tmp_path: Path, capsys: Any) -> None:
    plan, path = tmp_path / "plan.toml", tmp_path / f"{figure}.{kind}"
    plan.write_text(AUDITED)
    extra: tuple[object, ...] = QUICK if figure == "front" else ("--protocol", plan)
    code, out, _ = run(capsys, "plot", figure, EXAMPLES / "audited.toml", "-o", path, *extra, "--json")
    assert code == 0 and json.loads(out)["file"] == str(path)
    start = path.read_bytes()[:1000]
    assert start.startswith(b"\x89PNG") if kind == "png" else b"<svg" in start
    labels = path.read_text(encoding="utf-8") if kind == "svg" else ""
    units = {"curves": "tuning steps", "margin": "prize units", "audit": "probability", "front": "tau-b"}
    assert kind == "png" or units.get(figure, "") in labels


def test_a_figure_is_the_same_every_time(tmp_path: Path, capsys: Any) -> None:
    paths = [tmp_path / "a.svg", tmp_path / "b.svg"]
    for path in paths:
        run(capsys, "plot", "overtakes", EXAMPLES / "audited.toml", "-o", path)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_report_writes_a_page_and_says_what_it_found(tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "report.html"
    code, out, err = run(capsys, "report", EXAMPLES / "audited.toml", "-o", path, *QUICK, "--json")
    told = json.loads(out)
    assert code == 0 and err == "" and told["file"] == str(path) and told["bytes"] == path.stat().st_size
    text = path.read_text(encoding="utf-8")
    assert text.startswith("<!DOCTYPE html>") and "--trials 4 --draws 4 --seed 0 -o report.html" in text
    code, out, _ = run(capsys, "report", EXAMPLES / "audited.toml", "-o", path, *QUICK, "--figures", tmp_path / "all")
    assert code == 0 and out.startswith(f"wrote {path}: ")
    drawn = sorted(p.stem for p in (tmp_path / "all").glob("*.svg"))
    assert drawn[:2] == ["curves", "front"] and "overtakes-direct-evaluation" in drawn
    assert len(list((tmp_path / "all").glob("*.png"))) == len(drawn) == 6


BAD = {
    "missing study": (["report", "nowhere.toml"], "nowhere.toml: no such file"),
    "unknown population": (["report", "gsm9k"], "gsm9k"),
    "no folder": (["report", "gsm8k", "-o", "missing/report.html"], "its folder missing does not exist"),
    "a folder": (["plot", "curves", "gsm8k", "-o", "."], "is a folder"),
    "another kind": (["plot", "curves", "gsm8k", "-o", "curves.pdf"], "written as .png or .svg, not .pdf"),
    "no audits": (["plot", "audit", "gsm8k", "-o", "audit.png"], "gsm8k: the protocol audits nobody"),
    "missing game": (["explain", "nowhere.toml"], "nowhere.toml: no such file"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_one_line(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    arguments, words = BAD[what]
    code, out, err = run(capsys, *arguments)
    assert code == 2 and out == "" and err.count("\n") == 1 and err.startswith("truerank: ") and words in err
    assert list(tmp_path.iterdir()) == []
