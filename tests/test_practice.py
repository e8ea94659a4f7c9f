"""The library of named protocols, and `truerank compare` and `truerank protocols` with them."""

from __future__ import annotations

import csv
import json
import tomllib
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm
from test_cli import run

import designer.practice as library
from designer.protocol import Protocol
from designer.scorecard import METRICS, play
from followers.errors import InputError
from followers.prior import synthetic
from studies.compare import read_entrants
from studies.files import read_protocol

NAMES = ("direct", "audited", "hidden", "ladder", "tiers", "top-k", "tuned")
FOLDER = Path(str(files("designer.practice")))

THREE = """
[[developers]]
name = "A"
quality = 0.8
curve = { kind = "generalized-logit", lower = 0.4, upper = 0.8, intercept = -5.0, slope = 0.9 }
cost = { kind = "power", scale = 2e-5 }

[[developers]]
name = "B"
quality = 0.7
curve = { kind = "generalized-logit", lower = 0.3, upper = 0.7, intercept = -4.0, slope = 0.9 }
cost = { kind = "power", scale = 2e-5 }

[[developers]]
name = "C"
quality = 0.5
curve = { kind = "generalized-logit", lower = 0.2, upper = 0.5, intercept = -6.0, slope = 0.8 }
cost = { kind = "power", scale = 2e-5 }
"""

UNBOUNDED = """
[[developers]]
name = "A"
quality = 2.0
curve = { kind = "linear", lower = 2.0, rate = 1.0 }
cost = { kind = "power", scale = 1.0 }

[[developers]]
name = "B"
quality = 1.0
curve = { kind = "linear", lower = 0.0, rate = 0.1 }
cost = { kind = "power", scale = 1.0 }
"""


@pytest.fixture
def three(tmp_path: Path) -> Path:
    path = tmp_path / "three.toml"
    path.write_text(THREE)
    return path


# The files


def test_the_library_is_complete() -> None:
    assert library.named() == NAMES
    assert {p.name.removesuffix(".toml") for p in FOLDER.glob("*.toml")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_named_protocol_says_where_it_comes_from(name: str) -> None:
    practice = library.read(name)
    assert practice.name == name and practice.url.startswith("https://")
    for said in (practice.title, practice.source, practice.modelled, practice.not_modelled):
        assert len(said) > 8 and said == " ".join(said.split())
    assert tomllib.loads(practice.text)["provenance"]["source"] == practice.source


@pytest.mark.parametrize("name", NAMES)
def test_the_files_are_protocol_files_like_any_other(name: str) -> None:
    assert read_protocol(FOLDER / f"{name}.toml") == library.read(name).protocol


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n", [2, 3, 40])
def test_named_protocols_work_for_any_number_of_developers(name: str, n: int) -> None:
    people = synthetic(n, 2, np.random.default_rng(n))
    protocol = library.read(name).protocol
    assert protocol.induce(people).n == n
    if n == 3:
        found = play(protocol, people)
        assert set(found.values) == set(METRICS) and np.all(np.isfinite(found.values["tempted"]))


def test_what_the_numbers_in_the_files_stand_for() -> None:
    assert library.read("direct").protocol == Protocol()
    # two 95% intervals of N items come apart at two half-widths, widest at a score of one half
    width = 2 * norm.ppf(0.975) * np.sqrt(0.25 / 1319)
    assert library.read("tiers").protocol.precision == pytest.approx(width, abs=5e-4)
    assert library.read("hidden").protocol.hidden_share == pytest.approx(8400 / (8400 + 3600))
    assert library.read("audited").protocol.audit.probability == (1.0, 1.0)
    assert library.read("top-k").protocol.tiers.top == 3
    assert str(library.read("ladder").protocol.ties) == str(library.read("tiers").protocol.ties) == "split"


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(InputError, match=r"named are direct, audited, .*; did you mean 'ladder'"):
        library.read("laddr")
    with pytest.raises(InputError, match=r"named are direct, .*tuned$"):
        library.read("zzz")


# Entrants


def test_all_stands_for_the_rest_of_the_library_where_it_is_written(three: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text("[protocol]\ntune_steps = 5.0\n")
    entrants, left_out = read_entrants(["tuned", "all", str(mine)])
    assert [e.name for e in entrants] == ["tuned", *(n for n in NAMES if n != "tuned"), str(mine)] and not left_out
    assert [e.optional for e in entrants] == [False, *[True] * 6, False]
    assert [e.practice is None for e in entrants] == [False] * 7 + [True]
    assert [e.name for e in read_entrants([str(mine)], practice=True)[0]] == [str(mine), *NAMES]


def test_a_name_is_the_named_protocol_and_a_path_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("ladder").write_text("[protocol]\ntune_steps = 5.0\n")
    (named,), _ = read_entrants(["ladder"])
    (own,), _ = read_entrants(["./ladder"])
    assert named.protocol.precision == 0.01 and own.protocol == Protocol(tune_steps=5.0)


# The commands


def test_protocols_lists_the_library(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "protocols")
    assert code == 0 and all(name in out for name in NAMES) and "Blum" in out
    assert max(map(len, out.splitlines())) <= 110
    found = json.loads(run(capsys, "protocols", "--json")[1])
    assert [p["name"] for p in found] == list(NAMES)
    assert found[3]["protocol"]["precision"] == 0.01 and "memory" in found[3]["not_modelled"]
    assert run(capsys, "protocols", "ladder")[1] == library.read("ladder").text
    assert json.loads(run(capsys, "protocols", "ladder", "--json")[1]) == found[3]
    code, _, err = run(capsys, "protocols", "leader")
    assert code == 2 and err.count("\n") == 1 and "did you mean 'ladder'?" in err


def test_compare_takes_names_and_files_alike(three: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text("[protocol]\ntune_steps = 25_000.0\n")
    command = ("compare", "direct", "tuned", mine, "--population", three, "--draws", 12, "--seed", 5)
    first, second = (run(capsys, *command, "--json")[1] for _ in range(2))
    found = json.loads(first)
    assert first == second and list(found["scorecards"]) == ["direct", "tuned", str(mine)]
    assert found["protocols"]["tuned"]["url"] and "url" not in found["protocols"][str(mine)]
    compared = found["comparison"]
    assert compared["figure"] == "kendall_tau" and compared["larger_is_better"] and compared["draws"] == 12
    direct, tuned, same = compared["standings"]
    assert direct["place"] is None and direct["undefined"] == 12 and direct["pure_share"]["high"] > 0
    assert tuned["place"] == same["place"] and tuned["place"]["rank"] == 1 and tuned["place"]["best"] == 0.5
    assert compared["reference"] == "tuned" and [d["name"] for d in compared["differences"]] == ["direct", str(mine)]
    assert compared["differences"][0]["p"] is None and compared["differences"][1]["p"] == 1.0
    assert found["left_out"] == {} and found["larger_is_better"]["designer_cost"] is False
    code, out, _ = run(capsys, *command, "--figure", "designer_cost")
    assert code == 0 and "designer_cost, smaller is better" in out and "best designer_cost: direct" in out
    assert "not distinguishable" not in out  # costs differ in every draw alike


def test_eight_protocols_fit_the_page(three: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine, rows = tmp_path / "mine.toml", tmp_path / "deep" / "rows.csv"
    mine.write_text("[protocol]\ntune_steps = 9_000.0\n")
    command = ("compare", "--practice", mine, "--population", three, "--draws", 6)
    code, out, err = run(capsys, *command, "-o", rows)
    assert code == 0 and not err and max(map(len, out.splitlines())) <= 110
    assert all(out.count(name) >= 4 for name in NAMES) and f"wrote {rows}" in " ".join(out.split())
    with rows.open(newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == 8 * len(METRICS) and [r["protocol"] for r in table[:: len(METRICS)]] == [str(mine), *NAMES]
    found = json.loads(run(capsys, *command, "--json")[1])
    for row in table:
        figure = found["scorecards"][row["protocol"]][row["figure"]]
        assert (row["mean"] == "") == (figure["mean"] is None) and int(row["draws"]) == figure["draws"]
        assert row["mean"] == "" or float(row["mean"]) == pytest.approx(figure["mean"])
        assert row["low"] == "" or row["figure"] == "kendall_tau"
    standings = {s["name"]: s for s in found["comparison"]["standings"]}
    for row in (r for r in table if r["figure"] == "kendall_tau"):
        place = standings[row["protocol"]]["place"]
        assert row["rank"] == ("" if place is None else str(place["rank"]))


def test_undecided_draws_are_counted_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    command = ("compare", "ladder", "--population", "mmlu", "--draws", 3, "--node-budget", 5, "--seed", 0)
    found = json.loads(run(capsys, *command, "--json")[1])
    unknown = found["scorecards"]["ladder"]["unknown"]
    assert 0 < unknown <= 3 and found["scorecards"]["ladder"]["pure_share"]["mean"] == 0.0
    code, out, _ = run(capsys, *command)
    assert code == 0 and f"ladder: {unknown} of 3 draws undecided, counted as without equilibrium" in out
    assert "nothing is ranked: under none of these is kendall_tau defined in at least half of the draws" in out


def test_a_protocol_that_does_not_fit_is_one_line_or_left_out_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    people = tmp_path / "unbounded.toml"
    people.write_text(UNBOUNDED)
    command = ("compare", "direct", "audited", "--population", people, "--draws", 3)
    code, out, err = run(capsys, *command)
    assert code == 2 and not out and err.count("\n") == 1
    assert err.startswith("truerank: audited: audit.items: scores of developer 1 run from 2 to")
    code, out, _ = run(capsys, *command, "--bad", "skip")
    assert code == 0 and "left out: audited: audit.items" in out
    found = json.loads(run(capsys, "compare", "direct", "all", "--population", people, "--draws", 3, "--json")[1])
    assert list(found["left_out"]) == ["audited"] and "audited" not in found["scorecards"]
    assert set(found["scorecards"]) == set(NAMES) - {"audited"}
    code, _, err = run(capsys, "compare", "all", "--population", people, "--draws", 3, "--bad", "stop")
    assert code == 2 and err.startswith("truerank: audited: ")
    code, _, err = run(capsys, "compare", "audited", "--population", people, "--draws", 3, "--bad", "skip")
    assert code == 2 and err.startswith("truerank: compare: no protocol is left to compare; audited: ")


def test_a_protocol_that_fits_the_population_but_not_its_draws_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    people = tmp_path / "uncertain.toml"  # C reaches 0.95 with all that a prize pays for, more where effort is cheap
    bent = '{ kind = "generalized-logit", lower = 0.2, upper = 0.5, intercept = -6.0, slope = 0.8 }'
    people.write_text(THREE.replace(bent, '{ kind = "linear", lower = 0.2, rate = 2.25e-5 }'))
    code, _, err = run(capsys, "compare", "audited", "--population", people, "--draws", 8)
    assert code == 2 and err.startswith("truerank: audited: on 8 draws of the population: audit.items: scores of dev")
    assert err.count("\n") == 1


def test_bad_files_stop_or_are_left_out(three: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text("[protocol]\ntune_step = 1.0\n")
    command = ("compare", "direct", bad, "--population", three, "--draws", 2)
    code, _, err = run(capsys, *command)
    assert code == 2 and "did you mean 'tune_steps'?" in err and err.count("\n") == 1
    code, out, _ = run(capsys, *command, "--bad", "skip")
    assert code == 0 and f"left out: {bad}" in out and "tune_steps" in " ".join(out.split())


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), "compare: no protocol; give protocol files or names (direct, audited, "),
        (("ladders",), "no such file or named protocol; named are direct, audited, "),
        (("direct", "direct"), "compare: direct is named twice"),
        (("missing.toml",), "missing.toml: no such file"),
        (("direct", "--figure", "tau"), "--figure tau: no such figure; figures are kendall_tau, top_one, "),
        (("direct", "--figure", "kendal_tau"), "did you mean 'kendall_tau'?"),
        (("direct", "--level", 95), "--level 95; must lie strictly between 0 and 1"),
        (("direct", "-o", "rows.json"), "--output rows.json: rows are written as .csv"),
        (("direct", "--population", "gsm9k"), "gsm9k"),
    ],
)
def test_wrong_words_get_one_line(
    arguments: tuple[object, ...], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, "compare", *arguments)
    assert code == 2 and not out and err.count("\n") == 1 and expected in err
