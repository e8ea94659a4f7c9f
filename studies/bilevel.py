"""`truerank design search`: a study's space searched, with prizes and audits solved for; as tables and as JSON."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from designer.bilevel import BilevelResult, InnerCosts, search_bilevel
from designer.search import problem_of
from designer.space import default_space
from designer.trials import Progress
from followers.errors import InputError
from solvers.certificate import to_json
from studies.design import Confirmed, Subject
from studies.design_tables import print_confirmed
from studies.files import Study
from studies.tables import number

__all__ = ["bilevel_document", "print_bilevel", "run_bilevel", "subject_of"]


def subject_of(study: Study, protocol: Any) -> Subject:
    """The stated population of a study, under a protocol, for confirmation."""
    return Subject(study.population, study.population, protocol, 0, study.seed or 0)


def run_bilevel(
    what: str, study: Study, costs: InnerCosts, *, trials: int, seed: int, progress: Progress | None
) -> BilevelResult:
    """Search a study's space on the population as stated; errors name the study."""
    try:
        problem = problem_of(
            study.population, space=study.space or default_space(), goal=study.goal, prior=study.prior, seed=seed
        )
        return search_bilevel(problem, costs, trials, progress=progress)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{what}: {error}") from None


def print_bilevel(console: Console, what: str, found: BilevelResult, confirmed: Confirmed | None) -> None:
    """What was found, its cost by parts, the bound, and what the checker says."""
    best = found.best
    if best is None or best.protocol is None:
        console.print(f"{what}: no protocol tried meets the goal ({len(found.trials)} trials)")
        return
    console.print(f"{what}: {best.protocol.sentence()}")
    console.print(f"costs {best.cost:.6g}: tuning {number(best.tuning)}, prizes and audits {number(best.incentives)}")
    where = "in the space" if found.whole else "with the other knobs as here"
    within = f"within {found.gap:.2%} of the bound" if found.gap > 0 else "optimal"
    console.print(
        f"no protocol {where} that meets the goal costs less than {found.bound:.6g}: {within} "
        f"({found.combinations} combination(s) of other knobs bounded)"
    )
    if found.searched is not None and found.searched.cost > best.cost:
        console.print(f"the search alone came to {found.searched.cost:.6g}; designing the budget exactly did the rest")
    if confirmed is not None:
        print_confirmed(console, confirmed)


def bilevel_document(found: BilevelResult, confirmed: Confirmed | None) -> dict[str, Any]:
    """As JSON."""
    best = found.best
    return {
        "protocol": best.protocol.document() if best is not None and best.protocol is not None else None,
        "cost": best and best.cost,
        "parts": best and {"tuning": best.tuning, "prizes_and_audits": best.incentives},
        "violations": dict(best.violations) if best else None,
        "bound": to_json(found.bound),
        "gap": to_json(found.gap),
        "bound_covers_the_space": found.whole,
        "combinations_bounded": found.combinations,
        "searched_cost": found.searched and found.searched.cost,
        "trials": len(found.trials),
        "confirmed": confirmed and confirmed.document(),
    }
