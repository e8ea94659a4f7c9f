"""`propose` with studies that are kept, and `design search`, as a user calls them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from sqlite3 import connect

import pytest

from studies.cli import main

STUDY = """
population = "gsm8k"
trials = 12
draws = 8
[space]
tune_steps = { low = 0.0, high = 50_000.0, step = 100.0 }
tiers = { rule = ["single", "width"], width = { low = 2, high = 4 } }
[goal]
at_least = { pure_share = 0.5 }
"""


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stopped:
        main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    code = stopped.value.code
    return (code if isinstance(code, int) else 0), out, err


@pytest.fixture
def study(tmp_path: Path) -> Path:
    path = tmp_path / "study.toml"
    path.write_text(STUDY)
    return path


def test_a_kept_proposal_goes_on_and_is_the_same_as_one_that_never_stopped(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "kept.db"
    whole = json.loads(run(capsys, "propose", study, "--json")[1])
    assert run(capsys, "propose", study, "--study", kept, "--trials", 5)[0] == 0
    code, _, err = run(capsys, "propose", study, "--study", kept)
    assert code == 2 and err == f"truerank: {kept}: holds 5 trials of this search already; --resume goes on with them\n"
    code, out, _ = run(capsys, "propose", study, "--study", kept, "--resume", "--json")
    assert code == 0 and json.loads(out) == whole
    code, _, err = run(capsys, "propose", study, "--study", kept, "--resume", "--seed", 1)
    assert code == 2 and "made for another problem (another seed)" in err and err.count("\n") == 1
    code, _, err = run(capsys, "propose", study, "--resume")
    assert code == 2 and err == "truerank: --resume: name the --study to go on with\n"
    code, _, err = run(capsys, "propose", study, "--sampler", "tea")
    assert code == 2 and "sampler 'tea': no such sampler; allowed: auto, tpe" in err


def test_ctrl_c_says_how_to_go_on(study: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept.db"
    command = [sys.executable, "-c", "from studies.cli import main; main()", "propose", str(study), "--trials", "9000"]
    with subprocess.Popen([*command, "--study", str(kept)], stderr=subprocess.PIPE, text=True) as child:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and child.poll() is None:
            time.sleep(0.1)
            if kept.exists() and kept.stat().st_size:
                with closing(connect(kept, timeout=10)) as base:
                    names = {row[0] for row in base.execute("select name from sqlite_master")}
                    if "trials" in names and base.execute("select count(*) from trials").fetchone()[0] > 3:
                        break
        err = ""
        for _ in range(20):  # an interrupt that falls into a callback of a library is lost; who means it presses again
            os.kill(child.pid, signal.SIGINT)
            try:
                _, err = child.communicate(timeout=3)
                break
            except subprocess.TimeoutExpired:
                continue
        child.kill()
    assert child.returncode == 130
    assert f"truerank: propose: interrupted; --study {kept} --resume goes on with it" in err and "Traceback" not in err


def test_design_search_writes_a_protocol_that_solve_reads(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = tmp_path / "plan.toml"
    command = ("design", "search", study, "--compute-cost", "1e-6", "--trials", 20)
    code, out, _ = run(capsys, *command, "-o", plan)
    told = " ".join(out.split())
    assert code == 0 and "of the bound" in told and "checker: verified" in told and f"wrote {plan}" in told
    found = json.loads(run(capsys, *command, "--json")[1])
    assert found["bound"] <= found["cost"] <= found["searched_cost"] and found["confirmed"]["status"] == "exists"
    assert found["cost"] == pytest.approx(sum(found["parts"].values()))
    code, _, err = run(capsys, *command, "--margin", "-1")
    assert code == 2 and "margin = -1; must be a finite number" in err and err.count("\n") == 1
    code, _, err = run(capsys, "design", "search", study, "--compute-cost", "nan")
    assert code == 2 and err == "truerank: design search: cost of compute = nan; must be finite and not negative\n"
