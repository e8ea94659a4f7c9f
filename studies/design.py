"""`truerank design`: exact programs for one population or for draws around it, and what the checker says of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from designer.budgets import BudgetDesign
from designer.prize_design import PrizeDesign
from designer.protocol import Protocol
from designer.scenarios import ScenarioPromise, clopper_pearson
from designer.scorecard import play
from designer.tail_program import cvar
from designer.temptations import Temptation
from designer.tiering import TieringDesign
from followers.population import Population
from followers.prior import RosterPrior
from solvers.certificate import to_json
from solvers.checker import CheckReport, check
from solvers.inner import AnyCertificate, solve_inner
from studies.files import fit, read_protocol, write_csv, write_toml
from studies.files import read_subject as read_whole

__all__ = [
    "Confirmed",
    "Subject",
    "band_rows",
    "budget_document",
    "budget_rows",
    "confirm",
    "prize_rows",
    "prizes_document",
    "read_subject",
    "temptation_rows",
    "tiers_document",
    "write_design",
]

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

    margin : prize units. tau : Kendall's tau-b of the published ranking with true quality, None without an equilibrium.
    share : of fresh draws with a pure equilibrium, interval : its 95% Clopper-Pearson interval; None without draws.
    tail, tail_mean : share of the worst fresh draws, and the mean of their margins, each at most R_1 - R_n as designed.
    """

    status: str
    margin: float
    tau: float | None
    certificate: AnyCertificate
    report: CheckReport
    share: float | None
    interval: tuple[float, float] | None
    tail: float | None = None
    tail_mean: float | None = None

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "status": self.status,
            "stability_margin": to_json(self.margin),
            "kendall_tau": self.tau,
            "certificate": to_json(self.certificate),
            "checker": {"passed": self.report.passed, "checks": to_json(list(self.report.checks))},
            "fresh_draws": None
            if self.share is None
            else {
                "draws": _FRESH,
                "pure_share": self.share,
                "interval": self.interval,
                "tail": self.tail,
                "tail_margin": self.tail_mean,
            },
        }


def confirm(subject: Subject, protocol: Protocol, tail: float | None = None) -> Confirmed:
    """Solve the stated population under a protocol, have the certificate checked, and count fresh draws."""
    game = protocol.induce(subject.stated)
    played = play(protocol, subject.stated)
    answer, tau = played.equilibrium, float(played.values["kendall_tau"][0])
    certificate = answer.certify(0)
    share = interval = tail_mean = None
    if subject.draws:
        fresh = solve_inner(protocol.induce(subject.fresh()))
        exists = fresh.exists
        if tail is not None:
            tail_mean = cvar(np.minimum(fresh.margin, game.prize_span[0]), tail)
        share, interval = float(exists.mean()), clopper_pearson(int(exists.sum()), len(exists))
    return Confirmed(
        answer.status(0).value,
        float(answer.margin[0]),
        None if np.isnan(tau) else tau,
        certificate,
        check(game, certificate),
        share,
        interval,
        tail,
        tail_mean,
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


def write_design(path: Path, protocol: Protocol, rows: Sequence[dict[str, Any]]) -> None:
    """Write a protocol file, or the rows of what was designed if the file's name ends in .csv."""
    if path.suffix.lower() == ".csv":
        write_csv(path, rows)
    else:
        write_toml(path, protocol.document())


def budget_rows(design: BudgetDesign) -> list[dict[str, Any]]:
    """All budgets that hold, as rows."""
    return [{"from_steps": a, "to_steps": b} for a, b in design.intervals]


def prize_rows(design: PrizeDesign) -> list[dict[str, Any]]:
    """Prizes by rank, as rows."""
    pairs = zip(design.announced.tolist(), design.prizes.tolist(), strict=True)
    return [{"rank": r, "announced": old, "prize": new} for r, (old, new) in enumerate(pairs, start=1)]


def band_rows(design: TieringDesign) -> list[dict[str, Any]]:
    """The band of each rank, as rows."""
    bands = np.repeat(np.arange(1, len(design.tiering.sizes) + 1), design.tiering.sizes).tolist()
    return [{"rank": r, "band": band} for r, band in enumerate(bands, start=1)]


def budget_document(design: BudgetDesign, confirmed: Confirmed | None) -> dict[str, Any]:
    """The smallest budget as JSON."""
    return {
        "status": design.status,
        "tune_steps": design.steps,
        "intervals": [list(interval) for interval in design.intervals],
        "examined_up_to": design.upto,
        "undecided_steps": design.undecided,
        "undecided_below": design.below,
        "margin": design.margin,
        "draws": design.draws,
        "share_wanted": design.share,
        "share_reached": design.reached,
        "share_never_stable": design.never,
        "tuning_compute": design.compute,
        "margin_jumps": design.jumps,
        "binding": to_json(temptation_rows(design.binding)),
        "cells": design.cells,
        "protocol": design.protocol and design.protocol.document(),
        "confirmed": confirmed and confirmed.document(),
    }


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
        "reached_in_tail": design.reached,
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
