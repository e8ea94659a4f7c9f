"""`truerank explain`: the answer to one game in plain words: who would deviate, what it costs, what would stop it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from designer.budgets import UPTO, least_budget
from designer.prize_design import compress_prizes
from designer.protocol import Protocol
from designer.scorecard import play
from designer.tiering import finest_tiers
from followers.population import Population
from solvers.certificate import Status, to_json
from solvers.checker import CheckReport, check
from solvers.claims import NoisyCertificate
from studies.design import Subject, confirm
from studies.report.audit_bars import audit_bars
from studies.report.boards import true_order
from studies.report.overtaking import Overtake, Overtaking, Step, overtaking

__all__ = ["Explanation", "Remedy", "explain", "explain_document"]

_TOLD = 5
"""Developers, and moves of a race, that are told one by one."""
_NODES = 100_000  # as many lattice nodes as `truerank solve` visits


@dataclass(frozen=True, slots=True)
class Remedy:
    """What would stop the deviations, by an exact design.

    kind : which. status : "found", "none", or "not covered" (the program does not apply, `sentence` says why).
    protocol : the remedy, None where there is none. holds : whether it passed when solved anew and checked.
    """

    kind: str
    status: Literal["found", "none", "not covered"]
    sentence: str
    protocol: Protocol | None = None
    holds: bool = False


@dataclass(frozen=True, slots=True)
class Explanation:
    """A game explained: sentences in reading order, and the figures behind them.

    deviations : the most tempting ones, or with noise the efforts that are held in equilibrium.
    """

    population: Population
    found: Overtaking
    checked: CheckReport
    answer: str
    board: str
    deviations: tuple[str, ...]
    race: tuple[str, ...]
    remedies: tuple[Remedy, ...]

    @property
    def status(self) -> Status:
        """EXISTS, ABSENT or UNKNOWN of a pure equilibrium; a certificate that the checker rejects decides nothing."""
        return self.found.status if self.checked.passed else Status.UNKNOWN


def explain(
    population: Population, protocol: Protocol, *, progress: Callable[[int, int], None] | None = None
) -> Explanation:
    """Explain the game of a population as stated (B = 1) under a protocol; remedies where somebody would deviate."""
    outcome = play(protocol, population, node_budget=_NODES)
    game = outcome.equilibrium.game
    found = overtaking(game, outcome.equilibrium)
    checked = check(game, found.certificate)
    names = population.names
    told = found.paying[:_TOLD] or found.overtakes[:1]
    held = _held(found, names)
    remedies: list[Remedy] = []
    if found.status is not Status.EXISTS:
        subject = Subject(population, population, protocol, 0, 0)
        makers = (_more_tuning, _flatter_prizes, _coarser_bands, _audits)
        for k, make in enumerate(makers):
            if progress is not None:
                progress(k, len(makers))
            remedies.append(make(subject))
    return Explanation(
        population=population,
        found=found,
        checked=checked,
        answer=_answer(found, protocol, checked, population.n),
        board=_board(found, population, float(outcome.values["face_value_tau"][0])),
        deviations=held or tuple(_deviation(o, names, found.tolerance) for o in told),
        race=tuple(_move(s, names) for s in found.race[:_TOLD]),
        remedies=tuple(remedies),
    )


def _answer(found: Overtaking, protocol: Protocol, checked: CheckReport, n: int) -> str:
    under = f"under {protocol.sentence()}"
    if not checked.passed:
        return f"Not decided {under}: the independent checker rejects the certificate."
    if found.status is Status.EXISTS:
        slack = (
            f" The most tempted would lose {found.margin:.4g} prize units by it." if np.isfinite(found.margin) else ""
        )
        return f"The board is settled {under}: a pure equilibrium exists, nobody gains by further effort.{slack}"
    who = f"{len(found.paying)} of {n} developers"
    if found.status is Status.ABSENT:
        return f"The board is never settled {under}: there is no pure equilibrium. At the start {who} gain by effort."
    return f"Not decided {under}: {who} gain by further effort, but no theorem rules out that play settles elsewhere."


def _board(found: Overtaking, population: Population, tau: float) -> str:
    top = population.names[found.order[0]]
    rank = int(true_order(population)[found.order[0]])
    agrees = f"agrees with the true order at tau-b {tau:.3f}" if np.isfinite(tau) else "is tied as a whole"
    truly = "truly the best" if rank == 1 else f"truly number {rank}"
    return f"Without any reaction the board {agrees}; {top}, on top, is {truly}."


def _deviation(o: Overtake, names: Sequence[str], tolerance: float) -> str:
    who = f"{names[o.developer]} (rank {o.rank})"
    aim = f"pass {names[o.target]} and take rank {o.takes}" if o.target is not None else f"stay at rank {o.takes}"
    price = f"{o.effort:,.4g} steps cost it {o.cost:.4g} more, the prize gain is {o.gain:.4g}"
    if o.net > tolerance:
        return f"{who} would {aim}: {price}, so it gains {o.net:.4g}."
    return f"The most tempted, {who}, would not {aim}: {price}, so it would lose {-o.net:.4g}."


def _held(found: Overtaking, names: Sequence[str]) -> tuple[str, ...]:
    """The largest efforts of an equilibrium with noise; empty for other games."""
    certificate = found.certificate
    if not (isinstance(certificate, NoisyCertificate) and found.status is Status.EXISTS):
        return ()
    most = sorted(range(len(names)), key=lambda i: -certificate.efforts[i])[:_TOLD]
    return tuple(
        f"{names[i]} holds {certificate.efforts[i]:,.4g} steps in equilibrium; no other effort gains it more than "
        f"{max(certificate.gains[i], 0.0):.2g}."
        for i in most
    )


def _move(s: Step, names: Sequence[str]) -> str:
    if s.passed is not None:
        what = f"passes {names[s.passed]} for rank {s.takes} with {s.effort:,.4g} steps"
    elif s.takes == s.rank:
        what = f"keeps rank {s.takes} with {s.effort:,.4g} steps instead of {s.effort_from:,.4g}"
    else:
        what = f"falls back to rank {s.takes} with {s.effort:,.4g} steps"
    return f"{names[s.developer]} {what}, gaining {s.gain:.4g}"


def _checked(subject: Subject, kind: str, words: str, protocol: Protocol) -> Remedy:
    """A design is believed once it is solved anew and checked."""
    again = confirm(subject, protocol)
    holds = again.status == Status.EXISTS.value and again.report.passed
    verdict = (
        f" Solved anew: an equilibrium exists, margin {again.margin:.3g}; the checker agrees."
        if holds
        else f" Solved anew it is {again.status}: do not rely on it."
    )
    return Remedy(kind, "found", words + verdict, protocol, holds)


def _more_tuning(subject: Subject) -> Remedy:
    kind = "tuning before the test"
    try:
        design = least_budget(subject.stated, subject.protocol)
    except ValueError as error:
        return Remedy(kind, "not covered", f"{kind} is not computed: {str(error).removeprefix('design budget: ')}.")
    if design.protocol is None or design.steps is None:
        sure = "proved" if design.status == "none" else f"but {design.undecided:.3g} steps are undecided"
        return Remedy(kind, "none", f"No tuning budget up to {UPTO:,.0f} steps stops it ({sure}).")
    more = len(design.intervals) - 1
    also = f" and {more} further interval(s) of budgets" if more else ""
    start, end = design.intervals[0]
    least = (
        "no less does" if design.undecided == 0 else f"no less is proved to ({design.undecided:.3g} steps undecided)"
    )
    words = f"Tuning everybody for {design.steps:,.6g} steps before the test stops it, and {least}"
    return _checked(subject, kind, f"{words}; it holds from {start:,.6g} to {end:,.6g} steps{also}.", design.protocol)


def _flatter_prizes(subject: Subject) -> Remedy:
    kind = "flatter prizes"
    try:
        design = compress_prizes(subject.stated, subject.protocol)
    except ValueError as error:
        return Remedy(kind, "not covered", f"{kind} are not computed: {str(error).removeprefix('design prizes: ')}.")
    if design.protocol is None:
        return Remedy(kind, "none", "No prizes with the same total stop it.")
    r = int(np.argmax(np.abs(design.prizes - design.announced)))
    words = (
        f"Flatter prizes of the same total stop it, changed most at rank {r + 1}: {design.prizes[r]:.4g} instead of "
        f"{design.announced[r]:.4g}; they move by {design.distance:.4g} ({design.norm}), and no nearer ones do."
    )
    return _checked(subject, kind, words, design.protocol)


def _coarser_bands(subject: Subject) -> Remedy:
    kind = "bands of ranks"
    try:
        design = finest_tiers(subject.stated, subject.protocol)
    except ValueError as error:
        return Remedy(kind, "not covered", f"{kind} are not computed: {str(error).removeprefix('design tiers: ')}.")
    sizes = design.tiering.sizes
    if len(sizes) == 1:
        words = "Publishing ranks in bands stops it only if all share one band, which shows nothing."
        return Remedy(kind, "none", words, design.protocol, False)
    best = "the finest that hold" if design.tiering.proved else "the finest found within the budget of partitions"
    return _checked(
        subject, kind, f"Publishing ranks in {len(sizes)} bands of {list(sizes)} stops it, {best}.", design.protocol
    )


def _audits(subject: Subject) -> Remedy:
    """Audits need a test, a level and a fine, which the designer chooses; without them there is nothing to plan."""
    kind = "audits"
    found = audit_bars(subject.stated, subject.protocol)
    if found is None:
        return Remedy(kind, "not covered", "Audits are planned with `truerank audit plan GAME --items N --fine F`.")
    return Remedy(kind, "found" if found.binding else "none", ". ".join(found.words) + ".", None, False)


def explain_document(told: Explanation) -> dict[str, Any]:
    """An explanation as JSON."""
    names, found = told.population.names, told.found
    return {
        "status": told.status.value,
        "answer": told.answer,
        "board": told.board,
        "stability_margin": to_json(found.margin),
        "deviations": [
            {
                "developer": names[o.developer],
                "passes": None if o.target is None else names[o.target],
                "rank": o.rank,
                "takes": o.takes,
                "effort": to_json(o.effort),
                "cost": to_json(o.cost),
                "prize_gain": to_json(o.gain),
                "net_gain": to_json(o.net),
                "pays": o.net > found.tolerance,
            }
            for o in found.overtakes
        ],
        "race": [
            {
                "developer": names[s.developer],
                "passes": None if s.passed is None else names[s.passed],
                "rank": s.rank,
                "takes": s.takes,
                "effort": s.effort,
                "gain": s.gain,
            }
            for s in found.race
        ],
        "remedies": [
            {
                "kind": r.kind,
                "status": r.status,
                "sentence": r.sentence,
                "holds": r.holds,
                "protocol": r.protocol and r.protocol.document(),
            }
            for r in told.remedies
        ],
        "checker": {"passed": told.checked.passed, "summary": told.checked.summary()},
    }
