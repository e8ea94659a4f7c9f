"""`truerank bench`: our speed, the floor and the general path on the same games, in one run (never a test)."""

from __future__ import annotations

import io
import math
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
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
from solvers.finite import actions, as_nfg
from solvers.levels import LevelGame
from solvers.mixed import solve_levels, solve_mixed
from solvers.noisy import solve_noisy
from solvers.pure import solve_pure
from studies.bench_design import bench_design, print_designs
from studies.bench_search import bench_search, print_search
from studies.tables import number, table

__all__ = ["BENCHES", "bench_mixed", "bench_noisy", "bench_pure", "print_bench", "print_rows"]

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


def bench_mixed() -> list[dict[str, Any]]:
    """Rows of the mixed solver: beside Gambit's logit path on the same finite games, and alone on whole leaderboards.

    Gambit is left out, with the reason, where it is not installed.
    """
    rows = [_against_gambit(n, m) for n, m in ((3, 20), (4, 8))]
    for n, levels, target, seconds in ((20, 200, 1e-3, 5.0), (50, 200, 2e-3, 30.0)):
        game = Protocol().induce(synthetic(n, 1, np.random.default_rng(0)))
        solve_mixed(_small_game())  # compile
        start = time.perf_counter()
        found = solve_mixed(game, tolerance=target, levels=levels)
        rows.append(
            {
                "game": f"leaderboard, n = {n}, m = {levels}",
                "seconds": time.perf_counter() - start,
                "max_regret": found.exploitability,
                "target": f"regret <= {target:g} in {seconds:g} s",
                "peer_seconds": None,
                "peer_max_regret": None,
                "ratio": None,
                "note": f"{found.rounds} refinements, {found.solves} linear systems, continuous deviations",
            }
        )
    return rows


def _small_game() -> LeaderboardGame:
    return Protocol().induce(synthetic(3, 1, np.random.default_rng(1)))


def _race_of_equals(n: int, m: int) -> LevelGame:
    """A finite contest in which everybody has all m efforts; each developer pays 5% more than the one before."""
    level = np.arange(m) / (m - 1)
    zero = np.zeros((m, n))
    return LevelGame(
        spread=np.zeros(m, dtype=bool),
        share=np.full(m, 0.5),
        open=np.ones((m, n), dtype=bool),
        cost=0.8 * level[:, None] * 1.05 ** np.arange(n),
        flagged=zero,
        prizes=(1.0 / np.arange(1, n + 1) - 1.0 / n) / (1.0 - 1.0 / n),
        penalty=np.zeros(n),
        split=False,
        order=np.arange(n),
    )


def _against_gambit(n: int, m: int) -> dict[str, Any]:
    """One finite game of n developers with m efforts each, solved by both."""
    level = _race_of_equals(n, m)
    solve_levels(_race_of_equals(2, 3))  # compile
    sizes = "x".join(str(len(a)) for a in actions(level))
    start = time.perf_counter()
    ours = solve_levels(level, tolerance=1e-9)
    seconds = time.perf_counter() - start
    row: dict[str, Any] = {
        "game": f"finite, {sizes} efforts",
        "seconds": seconds,
        "max_regret": float(ours.regret.max()),
        "target": "regret no larger, 10 times as fast as logit_solve",
        "peer_seconds": None,
        "peer_max_regret": None,
        "ratio": None,
        "note": f"{ours.solves} linear systems",
    }
    try:
        import pygambit
    except ImportError:
        return {**row, "note": "pygambit is not installed: nothing to compare with"}
    theirs = pygambit.read_nfg(io.StringIO(as_nfg(level, [f"d{i}" for i in range(n)], "bench")))
    start = time.perf_counter()
    found = pygambit.nash.logit_solve(theirs).equilibria
    peer = time.perf_counter() - start
    regret = float(found[0].max_regret()) if found else float("nan")
    return {**row, "peer_seconds": peer, "peer_max_regret": regret, "ratio": peer / seconds}


def bench_noisy() -> list[dict[str, Any]]:
    """Rows of the noisy solver: one large game and a batch of small ones, measured on 100 test items."""
    rows = []
    for n, batch, target in ((50, 1, 2.0), (10, 1_000, 20.0)):
        game = Protocol(test_items=100).induce(synthetic(n, batch, np.random.default_rng(0)))
        solve_noisy(Protocol(test_items=100).induce(synthetic(3, 2, np.random.default_rng(1))))  # compile
        start = time.perf_counter()
        found = solve_noisy(game)
        seconds = time.perf_counter() - start
        rows.append(
            {
                "game": f"{batch:,} noisy game(s), n = {n}, 100 test items",
                "seconds": seconds,
                "max_regret": float((found.gain.max(axis=1) / game.prize_span)[found.exists].max(initial=0.0)),
                "target": f"in {target:g} s",
                "peer_seconds": None,
                "peer_max_regret": None,
                "ratio": None,
                "note": f"{int(found.exists.sum()):,} exist, the rest unknown",
            }
        )
    return rows


def print_rows(console: Console, rows: list[dict[str, Any]], *, title: str) -> None:
    """One row per game."""
    t = table(title, "game", "seconds", "max regret", "logit_solve s", "its regret", "x", "target", "")
    for r in rows:
        cells = (number(r[k]) for k in ("seconds", "max_regret", "peer_seconds", "peer_max_regret", "ratio"))
        t.add_row(r["game"], *cells, r["target"], r["note"])
    console.print(t)
    console.print(
        "regret: largest gain of any developer, share of R_1 - R_n. logit_solve: pygambit, same payoffs, same run. "
        f"{os.cpu_count()} cores, python {platform.python_version()}, numpy {np.__version__}, numba {nb.__version__}."
    )


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


@dataclass(frozen=True, slots=True)
class Bench:
    """What is measured, and how its rows are shown."""

    run: Callable[[], list[dict[str, Any]]]
    show: Callable[[Console, list[dict[str, Any]]], None]


BENCHES = {
    "pure": Bench(bench_pure, print_bench),
    "mixed": Bench(bench_mixed, partial(print_rows, title="mixed equilibria")),
    "noisy": Bench(bench_noisy, partial(print_rows, title="noisy equilibria")),
    "design": Bench(bench_design, print_designs),
    "search": Bench(bench_search, print_search),
}
"""What can be measured."""
