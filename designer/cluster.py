"""A Dask cluster as the workforce of a search: on this machine, or wherever a scheduler can be reached.

The board goes to the workers once. A worker that dies costs what it was working on; the scheduler gives it out again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from designer.evaluation import Board
from designer.workforce import Task, Workforce
from followers.errors import InputError

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["on_cluster"]

_LOOK = 2.0  # seconds between two looks at what is at work

_DEATHS = 10
"""Workers that may die on one task before the task itself is to blame."""


def _do(task: Task, board: Board) -> Any:
    return task(board)


def _itself(board: Board) -> Board:
    return board


class _Cluster:
    """Tasks go to a scheduler; each may run on any worker."""

    def __init__(self, client: Client, board: Board) -> None:
        self._client = client
        # made by a task, not scattered: what a task has made the scheduler can have made again when its worker dies
        self._board = client.submit(_itself, board, pure=False)
        self._given: dict[Future[Any], tuple[Task, Any]] = {}

    def submit(self, task: Task) -> Future[Any]:
        wanted: Future[Any] = Future()
        self._given[wanted] = (task, self._start(task))
        return wanted

    def _start(self, task: Task) -> Any:
        return self._client.submit(_do, task, self._board, pure=False)

    def any_done(self, futures: Iterable[Future[Any]]) -> None:
        from distributed import wait

        wanted = list(futures)
        while not any(f.done() for f in wanted):
            # not for ever: what died with a worker may end neither way; and what was cancelled is given out again
            with suppress(TimeoutError, CancelledError):
                wait([remote for _, remote in self._given.values()], timeout=_LOOK, return_when="FIRST_COMPLETED")
            self._collect()

    def _collect(self) -> None:
        for wanted, (task, remote) in list(self._given.items()):
            if remote.status == "pending":
                continue
            if remote.status in ("cancelled", "lost"):  # its result died with a worker
                self._given[wanted] = (task, self._start(task))
                continue
            try:
                result = remote.result()
            except CancelledError:
                self._given[wanted] = (task, self._start(task))
            except Exception as error:
                wanted.set_exception(error)
                del self._given[wanted]
            else:
                wanted.set_result(result)
                del self._given[wanted]


@contextmanager
def on_cluster(board: Board, where: str, workers: int) -> Iterator[Workforce]:
    """The workers of a scheduler, or, with where = "local", `workers` processes that Dask looks after.

    Raises
    ------
    InputError : Dask is not installed, or no scheduler answers at the address.
    """
    try:
        import dask
        from distributed import Client, LocalCluster
    except ImportError:
        raise InputError("--cluster: Dask is not installed; pip install 'truerank[cluster]'") from None
    settings = {
        "distributed.scheduler.allowed-failures": _DEATHS,
        "distributed.comm.timeouts.connect": "10s",
    }
    with ExitStack() as stack:
        stack.enter_context(dask.config.set(settings))
        try:
            if where == "local":
                local = LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address="127.0.0.1:0")
                client = Client(stack.enter_context(local))
            else:
                client = Client(where, timeout="10s")
        except (OSError, ValueError) as error:
            raise InputError(f"--cluster {where}: no scheduler answers there ({error})") from None
        yield _Cluster(stack.enter_context(client), board)
