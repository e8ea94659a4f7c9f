"""`truerank bench design`: how long exact designs take."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from rich.console import Console

from designer.audit_plans import honest_climbs
from designer.audit_program import ProgramStatus, solve_program
from designer.audit_stakes import suspicion
from designer.budgets import least_budget
from designer.joint_design import UnitCosts, design_jointly
from designer.prize_design import compress_prizes
from designer.protocol import Protocol
from designer.tiering import finest_tiers
from followers.load import load
from followers.prior import RosterPrior, synthetic
from studies.tables import number, table

__all__ = ["bench_design", "print_designs"]

_PROGRAMS, _AUDITED = 1_000, 50


def bench_design() -> list[dict[str, Any]]:
    """Seconds per design, the first of its kind (which compiles the program) left out."""
    gsm8k = load("gsm8k")
    drawn = RosterPrior().draw(gsm8k, 20, np.random.default_rng(0))
    sixty = synthetic(60, 2, np.random.default_rng(1))

    def tiers(draw: int) -> float:
        return finest_tiers(_one(60, draw), Protocol(tune_steps=2_000.0)).tiering.bound

    return [
        _row(f"{_PROGRAMS:,} audit LPs, n = {_AUDITED}", *_audit_programs(), target=30.0),
        _row("finest tiers, n = 60", *_timed(lambda: tiers(0), lambda: tiers(1)), target=20.0),
        _row(
            "least prize compression, n = 60",
            *_timed(*[lambda: compress_prizes(sixty, Protocol()).distance] * 2),
        ),
        _row("least budget, GSM8K, n = 38", *_timed(*[lambda: least_budget(gsm8k, Protocol()).steps] * 2)),
        _row(
            "least budget of 20 draws of GSM8K, share 0.9",
            *_timed(lambda: least_budget(drawn, Protocol(), share=0.9, tolerance=1.0).steps),
        ),
        _row(
            "joint design, GSM8K, within 1% of the bound",
            *_timed(lambda: design_jointly(gsm8k, Protocol(), UnitCosts(1e-6, 1.0, 1.0)).gap),
        ),
    ]


def _one(n: int, seed: int) -> Any:
    return synthetic(n, 1, np.random.default_rng(seed))


def _timed(*calls: Callable[[], Any]) -> tuple[float, str]:
    """Seconds of the last call, and what it came to."""
    seconds, value = 0.0, None
    for call in calls:
        start = time.perf_counter()
        value = call()
        seconds = time.perf_counter() - start
    return seconds, f"{value:.6g}"


def _audit_programs() -> tuple[float, str]:
    """Linear programs of as many populations, in which audits are needed; and how many have an optimum."""
    protocol, fine = Protocol(tune_steps=5_000.0), 200.0
    data = []
    for seed in range(_PROGRAMS):
        climbs = honest_climbs(_one(_AUDITED, seed), protocol)
        data.append((climbs.pull(), suspicion(climbs.score, items=500, level=0.01), climbs.penalty(fine)))
    solve_program(*data[0])
    start = time.perf_counter()
    statuses = [solve_program(*facts).status for facts in data]
    seconds = time.perf_counter() - start
    optimal, none = statuses.count(ProgramStatus.OPTIMAL), statuses.count(ProgramStatus.INFEASIBLE)
    return seconds, f"{optimal:,} optimal, {none:,} infeasible"


def _row(name: str, seconds: float, result: str, target: float | None = None) -> dict[str, Any]:
    within = None if target is None else seconds <= target
    return {"design": name, "seconds": seconds, "result": result, "target": target, "met": within}


def print_designs(console: Console, rows: list[dict[str, Any]]) -> None:
    """One row per design."""
    t = table("exact designs, one run", "design", "seconds", "target", "result")
    for r in rows:
        t.add_row(r["design"], number(r["seconds"]), number(r["target"]), r["result"])
    console.print(t)
