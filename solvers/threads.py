"""How many threads compiled kernels use, and how they share a batch.

The environment variable TRUERANK_THREADS says how many; without it as many as numba would use, which is the number of
cores, or what NUMBA_NUM_THREADS says. Several worker processes on one machine should each be given few: 1 is best
where there are as many workers as cores. Games are independent, so no result depends on the number.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from followers.errors import InputError

__all__ = ["THREADS_VARIABLE", "each_slice", "plain", "thread_count"]

THREADS_VARIABLE = "TRUERANK_THREADS"


def thread_count() -> int:
    """Threads to use: TRUERANK_THREADS, else what numba is configured to use.

    Errors
    ------
    InputError : the variable is set to something else than a whole number from 1.
    """
    text = os.environ.get(THREADS_VARIABLE, "").strip()
    if not text:
        import numba

        return max(1, int(numba.config.NUMBA_NUM_THREADS))  # type: ignore[attr-defined]
    if not text.isdecimal() or int(text) < 1:
        raise InputError(f"environment: {THREADS_VARIABLE} = {text!r}; must be a whole number, at least 1")
    return int(text)


def each_slice(batch: int, size: int, work: Callable[[slice], None]) -> None:
    """Call `work` on slices of `size` games of a batch, on threads where there are several slices."""
    pieces = [slice(start, min(start + size, batch)) for start in range(0, batch, size)]
    threads = min(thread_count(), len(pieces)) if len(pieces) > 1 else 1
    if threads <= 1:
        for piece in pieces:
            work(piece)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, pieces))


def plain(values: Any) -> Any:
    """An array as kernels are given it: contiguous and writeable, so that each is compiled once and not per layout."""
    return np.require(values, requirements=["C", "W"])
