"""`truerank bench`: our speed, the floor and the general path on the same games, in one run (never a test)."""

from __future__ import annotations

import math
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numba as nb
import numpy as np
from rich.console import Console

from designer.protocol import Protocol
from followers.arrays import FloatArray
from followers.game import LeaderboardGame, select
from followers.prior import synthetic
from solvers.deviations import check_free_effort
from solvers.pure import solve_pure
from studies.tables import number, table

__all__ = ["bench_pure", "print_bench"]

SIZES = ((10, 100_000), (20, 100_000), (50, 20_000))
TARGETS = {10: 500_000, 20: 200_000, 50: 30_000}
RUNS = 5


@nb.njit(nogil=True, error_model="numpy")
def _floor(values: Any) -> float:
    """One log and one exp per value."""
    total = 0.0
    for v in values:
        total += math.exp(math.log(v) * 0.7)
    return total


def _map_floor(pool: ThreadPoolExecutor, values: FloatArray) -> list[float]:
    return list(pool.map(_floor, values))


def _median_seconds(call: Callable[[], object], runs: int = RUNS) -> float:
    call()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def _games(n: int, batch: int) -> LeaderboardGame:
    """Games in the range of the measured fits, as a search meets them."""
    return Protocol(tune_steps=5_000.0).induce(synthetic(n, batch, np.random.default_rng(0)))


def _unprunable_games(n: int, batch: int) -> LeaderboardGame:
    """Common ceilings (everybody can catch everybody) and costs so small that every target tempts to the last."""
    people = synthetic(n, batch, np.random.default_rng(0), common_ceiling=True, cost_scale=1e-12)
    return Protocol(tune_steps=5_000.0).induce(people)


def bench_pure() -> list[dict[str, Any]]:
    """Rows of the T1 check: games per second over the whole solve, and per-pair time against the floor.

    `every_pair`: games in which nothing can be pruned, so that each of the n(n-1)/2 deviations is priced.
    """
    workers = os.cpu_count() or 1
    rows = []
    for n, batch in SIZES:
        game = _games(n, batch)
        pairs = n * (n - 1) // 2
        values = np.random.default_rng(1).uniform(0.1, 1.0, (workers, pairs * batch // workers // 4))
        with ThreadPoolExecutor(workers) as pool:
            floor = 4 * _median_seconds(partial(_map_floor, pool, values))
        unpruned = _unprunable_games(n, batch)
        ours = _median_seconds(partial(solve_pure, game))
        every_pair = _median_seconds(partial(check_free_effort, unpruned))
        few = select(game, slice(0, batch // 100))
        general = _median_seconds(partial(check_free_effort, few, compiled=False), 3) * 100
        rows.append(
            {
                "n": n,
                "batch": batch,
                "games_per_second": batch / ours,
                "target": TARGETS[n],
                "games_per_second_every_pair": batch / every_pair,
                "ns_per_pair_every_pair": 1e9 * every_pair / (pairs * batch),
                "floor_ns_per_pair": 1e9 * floor / (pairs * batch),
                "ratio_to_floor": every_pair / floor,
                "ratio_general_path": general / ours,
                "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                "cores": workers,
                "versions": f"python {platform.python_version()}, numpy {np.__version__}, numba {nb.__version__}",
            }
        )
    return rows


def print_bench(console: Console, rows: list[dict[str, Any]]) -> None:
    """One row per size."""
    names = (
        "n",
        "batch",
        "games/s",
        "target",
        "games/s, every pair",
        "ns/pair",
        "floor ns/pair",
        "x floor",
        "x general",
        "peak MB",
    )
    t = table("T1 check of generalized-logit populations, medians of 5 runs", *names)
    for r in rows:
        t.add_row(
            str(r["n"]),
            f"{r['batch']:,}",
            f"{r['games_per_second']:,.0f}",
            f"{r['target']:,}",
            f"{r['games_per_second_every_pair']:,.0f}",
            number(r["ns_per_pair_every_pair"]),
            number(r["floor_ns_per_pair"]),
            f"{r['ratio_to_floor']:.2f}",
            f"{r['ratio_general_path']:.1f}",
            f"{r['peak_memory_mb']:,.0f}",
        )
    console.print(t)
    console.print(
        "games/s: whole solve, margins exact, pruned where exact. every pair: all n(n-1)/2 deviations "
        "priced. floor: one log and one exp per pair, same cores. general: the numpy path on 1% of the same games. "
        f"{rows[0]['cores']} cores, {rows[0]['versions']}."
    )
