"""kill -9 of a search and of its workers at random moments: nothing that was finished is lost, or counted twice."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
from searching import problem, run

from designer.ledger import read
from designer.search import optimum_of, workers_for

TRIALS = 300
KILLS = 20 if os.environ.get("HYPOTHESIS_PROFILE") == "ci" else 4


@pytest.fixture(scope="module")
def undisturbed() -> list[str]:
    """The protocols of a search that nobody interrupts."""
    asked = problem()
    with workers_for(asked) as workforce:
        return [e.protocol.sentence() for e in optimum_of(asked, TRIALS, workforce)]


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[bytes]]]:
    running: list[subprocess.Popen[bytes]] = []
    yield running
    for child in running:
        child.kill()
        child.wait()
        if child.stderr is not None:
            child.stderr.close()


def begin(where: Path, running: list[subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    script = Path(__file__).with_name("searching.py")
    child = subprocess.Popen(
        [sys.executable, str(script), str(where), str(TRIALS), "2"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    running.append(child)
    return child


def kept(where: Path) -> int:
    """Trials in the database, which must be whole."""
    if not where.exists() or where.stat().st_size == 0:
        return 0
    with closing(sqlite3.connect(where, timeout=10)) as base:
        assert base.execute("pragma integrity_check").fetchone() == ("ok",)
        with suppress(sqlite3.OperationalError):  # killed before there were tables
            return int(base.execute("select count(*) from trials").fetchone()[0])
    return 0


def test_killed_at_random_moments_a_search_ends_as_if_it_had_not_been(
    tmp_path: Path, undisturbed: list[str], started: list[subprocess.Popen[bytes]]
) -> None:
    rng, where = np.random.default_rng(0), tmp_path / "study.db"
    before, killed_workers = 0, 0
    for kill in range(KILLS):
        child = begin(where, started)
        goal = before + int(rng.integers(0, max(2, TRIALS // KILLS)))
        deadline = time.monotonic() + 60
        while child.poll() is None and kept(where) < goal and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(float(rng.uniform(0, 0.3)))
        workers = psutil.Process(child.pid).children() if child.poll() is None else []
        if kill % 2 and workers:  # one worker dies; the search goes on, until it is killed as well
            with suppress(psutil.NoSuchProcess):
                workers[int(rng.integers(len(workers)))].send_signal(signal.SIGKILL)
                killed_workers += 1
            time.sleep(float(rng.uniform(0, 1.0)))
        assert child.poll() in (None, 0), child.stderr and child.stderr.read().decode()
        child.kill()
        child.wait()
        now = kept(where)
        assert now >= before  # what was finished stays
        before = now
        gone, alive = psutil.wait_procs(workers, timeout=10)
        assert not alive, f"{len(alive)} of {len(gone) + len(alive)} workers outlive their parent"
    ended = run(str(where), TRIALS)
    assert [e.protocol.sentence() for e in ended] == undisturbed
    with read(str(where)) as ledger:  # refuses a number that stands twice
        assert sorted(ledger.goal.known) == list(range(TRIALS))
    assert killed_workers > 0


def test_a_worker_that_is_killed_costs_only_its_tasks(
    tmp_path: Path, undisturbed: list[str], started: list[subprocess.Popen[bytes]]
) -> None:
    where = tmp_path / "study.db"
    child = begin(where, started)
    for goal in (20, 60, 120):
        while kept(where) < goal and child.poll() is None:
            time.sleep(0.02)
        for worker in psutil.Process(child.pid).children()[:1]:
            with suppress(psutil.NoSuchProcess):
                worker.send_signal(signal.SIGKILL)
    assert child.wait(timeout=120) == 0, child.stderr and child.stderr.read().decode()
    with read(str(where)) as ledger:
        known = ledger.goal.known
        assert [known[k].user_attrs["protocol"] for k in range(TRIALS)] == undisturbed
