"""A Dask cluster as the workforce of a search: on this machine, or wherever a scheduler can be reached.

The board goes to the workers once. A worker that dies costs what it was working on; the scheduler gives it out again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from designer.evaluation import Board
from designer.workforce import Task, Workforce
from followers.errors import InputError

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["on_cluster"]

_DEATHS = 10
"""Workers that may die on one task before the task itself is to blame."""


def _do(task: Task, board: Board) -> Any:
    return task(board)


class _Cluster:
    """Tasks go to a scheduler; each may run on any worker."""

    def __init__(self, client: Client, board: Board) -> None:
        self._client = client
        self._board = client.scatter(board, broadcast=True, hash=False)

    def submit(self, task: Task) -> Future[Any]:
        wanted: Future[Any] = Future()
        remote = self._client.submit(_do, task, self._board, pure=False, retries=_DEATHS)

        def passed_on(done: Any) -> None:
            error = done.exception()
            if error is not None:
                wanted.set_exception(error)
            else:
                wanted.set_result(done.result())

        remote.add_done_callback(passed_on)
        return wanted

    def any_done(self, futures: Iterable[Future[Any]]) -> None:
        wait(list(futures), return_when=FIRST_COMPLETED)


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
                local = LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None)
                client = Client(stack.enter_context(local))
            else:
                client = Client(where, timeout="10s")
        except (OSError, ValueError) as error:
            raise InputError(f"--cluster {where}: no scheduler answers there ({error})") from None
        yield _Cluster(stack.enter_context(client), board)
