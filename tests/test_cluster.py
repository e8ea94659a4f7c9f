"""A search on a Dask cluster: the same results, and a worker that is killed costs only its tasks."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from searching import problem

from designer.evaluation import Evaluated
from designer.search import optimum_of, workers_for
from followers.errors import InputError
from studies.cli import main

distributed = pytest.importorskip("distributed", reason="Dask is not installed: pip install 'truerank[cluster]'")

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore:.*unclosed.*", "ignore::DeprecationWarning")


def said(trials: Any) -> list[tuple[Any, ...]]:
    return [(e.protocol, e.scorecard, dict(e.violations), e.digest) for e in trials]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as running:
        yield running


def searched(trials: int, where: str | None = None) -> tuple[Evaluated, ...]:
    asked = problem()
    with workers_for(asked, 1, where) as workforce:
        return optimum_of(asked, trials, workforce)


def test_results_on_a_cluster_are_those_of_one_process_though_a_worker_dies(cluster: Any) -> None:
    alone = searched(120)
    pids = [w["pid"] if isinstance(w, dict) else w.pid for w in cluster.workers.values()]
    killed: list[int] = []

    def kill() -> None:
        time.sleep(1.0)
        os.kill(pids[0], signal.SIGKILL)
        killed.append(pids[0])

    killer = threading.Thread(target=kill)
    killer.start()
    found: tuple[Evaluated, ...] = ()
    while not killed:  # until the kill falls into a search
        found = searched(120, cluster.scheduler_address)
        assert said(found) == said(alone)
    killer.join()
    assert said(searched(30, cluster.scheduler_address)) == said(alone)[:30]


def test_the_command_sets_up_a_cluster_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = tmp_path / "study.toml"
    study.write_text('population = "gsm8k"\ntrials = 6\ndraws = 8\n')

    with pytest.raises(SystemExit) as ended:
        main(["propose", str(study), "--json"])
    assert ended.value.code in (0, None)
    alone = capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["propose", str(study), "--json", "--cluster", "local", "--workers", "2"])
    on_cluster = capsys.readouterr()
    assert json.loads(alone.out) == json.loads(on_cluster.out)


def test_an_address_where_nobody_answers_is_one_line() -> None:
    with (
        pytest.raises(InputError, match="--cluster nonsense: no scheduler answers there"),
        workers_for(problem(), 1, "nonsense"),
    ):
        pass
