"""A study kept by a real PostgreSQL server, where one is installed."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from searching import problem, run

from designer.ledger import keep, read
from designer.search import optimum_of, workers_for
from followers.errors import InputError

pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'truerank[postgresql]'")


def programs() -> Path | None:
    """The folder of the server's programs; Debian keeps them off the path."""
    found = shutil.which("initdb")
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)
    return Path(found).parent if found else places[0].parent if places else None


def as_nobody(folder: Path) -> list[str]:
    """The server refuses to run as root: who runs it instead, if that is who we are."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("running as root, and there is no setpriv to start a server as somebody else")
    shutil.chown(folder, "nobody")
    return ["setpriv", "--reuid=nobody", "--clear-groups"]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """URL of a database of a server that runs for these tests only, on this machine only."""
    where = programs()
    if where is None:
        pytest.skip("no PostgreSQL server is installed (initdb is not found)")
    with tempfile.TemporaryDirectory() as top, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        folder = Path(top)
        folder.chmod(0o755)
        somebody = as_nobody(folder)
        data = folder / "data"

        def call(*command: str) -> None:
            done = subprocess.run([*somebody, *command], cwd=folder, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr

        call(str(where / "initdb"), "-D", str(data), "-U", "keeper", "--auth=trust", "--no-sync")
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}"
        call(str(where / "pg_ctl"), "-D", str(data), "-w", "-l", str(folder / "log"), "-o", options, "start")
        try:
            yield f"postgresql+psycopg://keeper@127.0.0.1:{port}/postgres"
        finally:
            call(str(where / "pg_ctl"), "-D", str(data), "-m", "immediate", "stop")


def test_a_search_on_a_server_is_killed_and_goes_on(server: str) -> None:
    script = str(Path(__file__).with_name("searching.py"))
    trials = 120
    with subprocess.Popen([sys.executable, script, server, str(trials), "1"]) as child:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            time.sleep(0.2)
            try:
                with read(server) as ledger:
                    if len(ledger.goal.known) > 15:
                        break
            except InputError:  # not begun yet
                assert child.poll() is None
        refused = pytest.raises(InputError, match="another search is writing to it")
        if child.poll() is None:
            with refused, keep(server, problem(), resume=True):
                pass
        child.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10  # the server notices that the holder of its lock is gone
    while True:
        try:
            ended = run(server, trials)
            break
        except InputError as error:
            assert "another search" in str(error) and time.monotonic() < deadline
            time.sleep(0.1)
    with workers_for(problem()) as workforce:
        assert [e.protocol for e in ended] == [e.protocol for e in optimum_of(problem(), trials, workforce)]
    with read(server) as ledger:
        assert sorted(ledger.goal.known) == list(range(trials))


def test_a_database_that_is_not_there_is_one_line(server: str) -> None:
    missing = server.replace("/postgres", "/nothing")
    with pytest.raises(InputError, match='database "nothing" does not exist'), keep(missing, problem(), resume=True):
        pass
