"""What a report is made from: a proposal, and where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from designer.search import Progress
from followers.errors import InputError
from followers.prior import RosterPrior
from studies.files import read_population, read_study
from studies.propose import Proposal, default_study, make_proposal, versions
from studies.recorded import read_study_record

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
    """A stored study (file or URL), finished or not; or what a search of a study or population file leads to.

    trials, draws, seed : replace those of a study file; a stored study is what it is.

    Raises
    ------
    InputError : the source is missing or is none of these.
    """
    path = Path(source)
    given = {"--trials": trials, "--draws": draws, "--seed": seed}
    if path.suffix.lower() in {".toml", ".json"}:
        study = read_study(path)
    elif "://" in source or path.exists():
        for option, value in given.items():
            if value is not None:
                raise InputError(f"{option} {value}: {source} is a stored study; it is reported as it is")
        return _stored(source)
    else:
        study = replace(default_study(), population=read_population(source))
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


def _stored(source: str) -> Loaded:
    recorded = read_study_record(source)
    provenance = Provenance(
        source=f"{source}, study {recorded.identity}",
        command=f"truerank report {source} -o report.html",
        versions=versions(),
        finished=recorded.finished,
        done=recorded.done,
        asked=recorded.asked,
    )
    return Loaded(recorded.proposal, recorded.problem.prior, provenance)
