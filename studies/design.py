"""`truerank design`: exact programs for one population or for draws around it, and what the checker says of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from designer.prize_design import PrizeDesign
from designer.protocol import Protocol
from designer.scenarios import ScenarioPromise, clopper_pearson
from designer.temptations import Temptation
from designer.tiering import TieringDesign
from followers.population import Population
from followers.prior import RosterPrior
from solvers.certificate import to_json
from solvers.checker import CheckReport, check
from solvers.inner import AnyCertificate, solve_inner
from studies.files import fit, read_protocol
from studies.files import read_subject as read_whole

__all__ = ["Confirmed", "Subject", "confirm", "prizes_document", "read_subject", "temptation_rows", "tiers_document"]

_FRESH = 1_000
"""Draws, other than those designed for, on which a design for draws is tried."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is designed for.

    stated : the population as stated. designed_for : the same, or the draws around it. protocol : to start from.
    draws, seed : of the draws; 0 draws: as stated only.
    """

    stated: Population
    designed_for: Population
    protocol: Protocol
    draws: int
    seed: int

    def fresh(self) -> Population:
        """Draws that the design has not seen."""
        return RosterPrior().draw(self.stated, _FRESH, np.random.default_rng([self.seed, 1]))


def read_subject(name: str, protocol: Path | None, draws: int, seed: int) -> Subject:
    """A game file with its protocol, or a population with the default one; `protocol` replaces it."""
    population, own = read_whole(name)
    if protocol is not None:
        own = fit(read_protocol(protocol), population, protocol)
    drawn = RosterPrior().draw(population, draws, np.random.default_rng(seed)) if draws else population
    return Subject(population, drawn, own, draws, seed)


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A designed protocol solved anew on the population as stated, and on fresh draws where it was designed for draws.

    share : of fresh draws with a pure equilibrium, interval : its 95% Clopper-Pearson interval; None without draws.
    """

    status: str
    margin: float
    certificate: AnyCertificate
    report: CheckReport
    share: float | None
    interval: tuple[float, float] | None

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "status": self.status,
            "stability_margin": to_json(self.margin),
            "certificate": to_json(self.certificate),
            "checker": {"passed": self.report.passed, "checks": to_json(list(self.report.checks))},
            "fresh_draws": None
            if self.share is None
            else {"draws": _FRESH, "pure_share": self.share, "interval": self.interval},
        }


def confirm(subject: Subject, protocol: Protocol) -> Confirmed:
    """Solve the stated population under a protocol, have the certificate checked, and count fresh draws."""
    game = protocol.induce(subject.stated)
    answer = solve_inner(game)
    certificate = answer.certify(0)
    share = interval = None
    if subject.draws:
        exists = solve_inner(protocol.induce(subject.fresh())).exists
        share, interval = float(exists.mean()), clopper_pearson(int(exists.sum()), len(exists))
    return Confirmed(
        answer.status(0).value, float(answer.margin[0]), certificate, check(game, certificate), share, interval
    )


def temptation_rows(binding: Sequence[Temptation]) -> list[dict[str, Any]]:
    """The climbs that bind, as rows."""
    return [
        {
            "developer": t.developer,
            "rank": t.rank,
            "takes": t.target,
            "effort": t.effort,
            "cost": t.cost,
            "gain": t.gain,
            "price": t.price,
        }
        for t in binding
    ]


def prizes_document(
    design: PrizeDesign, confirmed: Confirmed | None, promised: ScenarioPromise | None
) -> dict[str, Any]:
    """The compression as JSON."""
    return {
        "status": design.status,
        "prizes": to_json(design.prizes),
        "announced": to_json(design.announced),
        "norm": design.norm,
        "distance": to_json(design.distance),
        "margin": design.margin,
        "binding": to_json(temptation_rows(design.binding)),
        "solver": design.solver,
        "promise": to_json(promised),
        "protocol": design.protocol and design.protocol.document(),
        "confirmed": confirmed and confirmed.document(),
        "notes": list(design.notes),
    }


def tiers_document(design: TieringDesign, confirmed: Confirmed) -> dict[str, Any]:
    """The tiers as JSON."""
    return {
        "sizes": list(design.tiering.sizes),
        "keep": design.keep,
        "value": design.tiering.value,
        "bound": design.tiering.bound,
        "proved": design.tiering.proved,
        "opened": design.tiering.opened,
        "kendall_tau": to_json(design.tau),
        "margin": design.margin,
        "blocking": to_json(temptation_rows(design.blocking)),
        "protocol": design.protocol.document(),
        "confirmed": confirmed.document(),
    }
