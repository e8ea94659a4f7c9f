"""A small search that is kept, in a process of its own so that tests can kill it: `searching.py DB TRIALS WORKERS`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from designer import Evaluated, Goal, Range, Space
from designer.domains import Choice
from designer.ledger import keep
from designer.prizes import Bands
from designer.problem import Problem
from designer.search import optimum_of, problem_of, workers_for
from followers.population import Population
from followers.prior import synthetic


def people(n: int = 8) -> Population:
    one = synthetic(n, 1, np.random.default_rng(3))
    return replace(one, score_stderr=np.full(n, 0.01), parameters_b=np.arange(1.0, n + 1))


def problem(draws: int = 64, seed: int = 5, sampler: str = "auto") -> Problem:
    space = Space({"tune_steps": Range(0.0, 20_000.0, step=100.0), "tiers": Choice((Bands(), Bands(width=2)))})
    goal = Goal(at_least={"pure_share": 0.8, "kendall_tau": 0.8})
    return problem_of(people(), space=space, goal=goal, draws=draws, seed=seed, sampler=sampler)


def run(where: str, trials: int, workers: int = 1, cluster: str | None = None) -> Sequence[Evaluated]:
    asked = problem()
    with keep(where, asked, resume=True) as ledger, workers_for(asked, workers, cluster) as workforce:
        return optimum_of(asked, trials, workforce, log=ledger.goal)


if __name__ == "__main__":
    run(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
