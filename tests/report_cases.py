"""Small studies to write reports of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from designer.protocol import Protocol
from designer.scorecard import Figure
from designer.search import Evaluated, Goal
from designer.space import Range, Space
from followers.population import Population
from followers.prior import RosterPrior
from studies.files import Study, read_population
from studies.propose import Proposal, make_proposal
from studies.report.source import Provenance

EXAMPLES = Path(__file__).parents[1] / "examples"
PROVENANCE = Provenance("tests", "truerank report tests", {"truerank": "0"}, True, 12, 12)


def three_models() -> Population:
    return read_population(str(EXAMPLES / "audited.toml"))


def small_proposal(
    population: Population | None = None,
    *,
    goal: Goal | None = None,
    base: Protocol | None = None,
    trials: int = 12,
    most: float = 4_000.0,
) -> Proposal:
    """A search of tuning budgets up to `most` steps, and of nothing else."""
    space = Space({"tune_steps": Range(0.0, most, step=100.0)}, base or Protocol())
    study = Study(population or three_models(), space, goal or Goal(), RosterPrior(), trials, 4, 0)
    return make_proposal(study)


def many_trials(proposal: Proposal, count: int) -> Proposal:
    """The proposal as if its search had tried `count` protocols with scores all their own."""
    rng = np.random.default_rng(0)
    one = proposal.result.trials[0]
    trials = []
    for k in range(count):
        tau, cost = rng.uniform(0.3, 1.0), float(rng.uniform(0, 1e7))
        figures = {
            **one.scorecard.figures,
            "kendall_tau": Figure(tau, 0.01, 128),
            "designer_cost": Figure(cost, 0.0, 128),
            "pure_share": Figure(float(rng.uniform()), 0.02, 128),
        }
        protocol = replace(one.protocol, tune_steps=float(k), hidden_share=float(rng.integers(5)) / 10)
        card = replace(one.scorecard, protocol=protocol, figures=figures)
        trials.append(Evaluated(protocol, card, {"kendall_tau": 0.9 - tau}, one.certificate))
    return replace(proposal, result=replace(proposal.result, trials=tuple(trials)), trials=count)
