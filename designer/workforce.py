"""Who plays the games of a search: this process, several on this machine, or a Dask cluster.

All play the same draws with the same code, so that results do not depend on who did; only the waiting does. A process
that dies costs what it was working on: the work is given out again.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from multiprocessing import connection, get_context, parent_process
from typing import Any, Protocol

from designer.evaluation import Board

__all__ = ["Task", "Workforce", "alone", "processes"]

Task = Callable[[Board], Any]
"""Something to find out on the board; must be picklable."""

_PATIENCE = 5
"""Times in a row that workers may die before anything is finished; then something is wrong with the work itself."""


class Workforce(Protocol):
    """Takes tasks and finishes them in any order."""

    def submit(self, task: Task) -> Future[Any]:
        """Give out a task."""
        ...

    def any_done(self, futures: Iterable[Future[Any]]) -> None:
        """Wait until at least one of the tasks is finished."""
        ...


class _Alone:
    """This process, at once."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def submit(self, task: Task) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(task(self._board))
        return done

    def any_done(self, futures: Iterable[Future[Any]]) -> None:
        """They all are."""


@contextmanager
def alone(board: Board) -> Iterator[Workforce]:
    """This process does everything itself."""
    yield _Alone(board)


_kept: list[Board] = []
"""The board of this process, where it is a worker."""


def _settle_in(board: Board, threads: int) -> None:
    """What a worker process does first: keep the board, and leave when its parent is gone."""
    _kept[:] = [board]
    os.environ["TRUERANK_THREADS"] = str(threads)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_leave_with, args=(parent.sentinel,), daemon=True).start()


def _leave_with(sentinel: int) -> None:
    """A parent that is killed cannot tell its workers to stop."""
    connection.wait([sentinel])
    os._exit(1)


def _do(task: Task) -> Any:
    return task(_kept[0])


class _Processes:
    """A pool of processes that is set up anew when one of them dies."""

    def __init__(self, board: Board, workers: int) -> None:
        self._board, self._workers = board, workers
        self._threads = max(1, (os.cpu_count() or 1) // workers)
        self._pool = self._new()
        self._given: dict[Future[Any], tuple[Task, Future[Any]]] = {}  # what was asked for, and who is on it
        self._deaths = 0

    def _new(self) -> ProcessPoolExecutor:
        # spawned, not forked: a fork would copy locks that threads of this process hold
        return ProcessPoolExecutor(
            self._workers, get_context("spawn"), initializer=_settle_in, initargs=(self._board, self._threads)
        )

    def submit(self, task: Task) -> Future[Any]:
        wanted: Future[Any] = Future()
        self._given[wanted] = (task, self._start(task))
        return wanted

    def _start(self, task: Task) -> Future[Any]:
        try:
            return self._pool.submit(_do, task)
        except BrokenExecutor as error:  # found broken only now: the next wait replaces the pool
            broken: Future[Any] = Future()
            broken.set_exception(error)
            return broken

    def any_done(self, futures: Iterable[Future[Any]]) -> None:
        wanted = list(futures)
        while not any(f.done() for f in wanted):
            wait([at_work for _, at_work in self._given.values()], return_when=FIRST_COMPLETED)
            self._collect()

    def _collect(self) -> None:
        broken = False
        for wanted, (_, at_work) in list(self._given.items()):
            if not at_work.done():
                continue
            error = at_work.exception()
            if isinstance(error, BrokenExecutor):
                broken = True
                continue
            del self._given[wanted]
            self._deaths = 0
            if error is not None:
                wanted.set_exception(error)
            else:
                wanted.set_result(at_work.result())
        if broken:
            self._start_over()

    def _start_over(self) -> None:
        self._deaths += 1
        if self._deaths > _PATIENCE:
            raise RuntimeError(f"worker processes died {self._deaths} times in a row before finishing anything")
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._pool = self._new()
        self._given = {wanted: (task, self._start(task)) for wanted, (task, _) in self._given.items()}

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def processes(board: Board, workers: int) -> Iterator[Workforce]:
    """`workers` processes on this machine."""
    pool = _Processes(board, workers)
    try:
        yield pool
    finally:
        pool.close()
