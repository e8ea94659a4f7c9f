"""What a report is made from: a proposal, and where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from designer.search import Goal, Progress
from followers.prior import RosterPrior
from studies.files import Study, read_population, read_study
from studies.propose import Proposal, make_proposal, versions

__all__ = ["Loaded", "Provenance", "load_proposal"]


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a report's numbers come from.

    source : file, population or study. command : that makes the report anew. versions : of what the numbers depend on.
    finished : whether the study ran to its end; done, asked : trials.
    """

    source: str
    command: str
    versions: Mapping[str, str]
    finished: bool
    done: int
    asked: int


@dataclass(frozen=True, slots=True)
class Loaded:
    """A proposal with its provenance, and the prior its draws come from."""

    proposal: Proposal
    prior: RosterPrior
    provenance: Provenance


def load_proposal(
    source: str,
    *,
    trials: int | None = None,
    draws: int | None = None,
    seed: int | None = None,
    progress: Progress | None = None,
) -> Loaded:
    """Search the study of a study file, a population file or an embedded population, and say where it came from.

    trials, draws, seed : replace those of the file.

    Raises
    ------
    InputError : the source is missing or is none of these.
    """
    path = Path(source)
    if path.suffix.lower() in {".toml", ".json"} or path.exists():
        study = read_study(path)
    else:
        study = Study(read_population(source), None, Goal(), RosterPrior(), None, None, None)
    study = replace(
        study,
        trials=trials or study.trials or 200,
        draws=draws or study.draws or 128,
        seed=seed if seed is not None else (study.seed or 0),
    )
    proposal = make_proposal(study, progress=progress)
    options = f"--trials {proposal.trials} --draws {proposal.draws} --seed {proposal.seed}"
    provenance = Provenance(
        source=source,
        command=f"truerank report {source} {options} -o report.html",
        versions=versions(),
        finished=True,
        done=proposal.trials,
        asked=proposal.trials,
    )
    return Loaded(proposal, study.prior, provenance)
