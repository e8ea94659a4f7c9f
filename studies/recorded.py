"""A stored study, read back: the proposal that its trials lead to, finished or not."""

from __future__ import annotations

from dataclasses import dataclass

from designer.evaluation import Evaluated
from designer.ledger import StudyLog, read
from designer.problem import Problem
from designer.told import told_of
from followers.errors import InputError
from studies.propose import Proposal, conclude

__all__ = ["Recorded", "read_study_record"]


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a stored study says.

    problem : what it was asked. proposal : what its trials so far lead to. done, asked : trials finished, and wanted
    when it was last written to. identity : SHA-256 of the problem.
    """

    problem: Problem
    proposal: Proposal
    done: int
    asked: int
    identity: str

    @property
    def finished(self) -> bool:
        """Whether every trial that was wanted is there."""
        return self.done >= self.asked


def read_study_record(where: str) -> Recorded:
    """The study in a file or at a URL; a search may still be writing to it.

    Raises
    ------
    InputError : there is none, it is of another program, or it has no trial yet.
    """
    with read(where) as ledger:
        if not ledger.done:
            raise InputError(f"{ledger.shown}: no trial is finished yet")
        tried, front = _trials(ledger.goal), _trials(ledger.front)
        asked = ledger.asked or ledger.done
        proposal = conclude(ledger.problem, tried or front, front, ledger.done)
        return Recorded(ledger.problem, proposal, ledger.done, asked, ledger.identity)


def _trials(log: StudyLog) -> list[Evaluated]:
    return [told_of(log.known[number]) for number in sorted(log.known)]
