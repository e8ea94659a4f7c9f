"""The command line of exact design: `truerank design budget | prizes | tiers | joint | search`."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from studies.cli_options import (
    SOLVED,
    UNDECIDED,
    ForDraws,
    From,
    JsonFlag,
    PlanFile,
    Promise,
    Seed,
    Tail,
    WhatFor,
    for_draws,
    stopped,
    terminal,
)

__all__ = ["design_app"]

design_app = typer.Typer(help="The best protocol of a kind, by exact programs.", no_args_is_help=True)


class NormChoice(StrEnum):
    """How the distance between prizes is measured."""

    L1 = "L1"
    L2 = "L2"


class KeepChoice(StrEnum):
    """What tiers keep most of."""

    TAU = "tau"
    BANDS = "bands"


@design_app.command("budget")
def design_budget(
    what: WhatFor,
    protocol: From = None,
    margin: Promise = 0.0,
    upto: Annotated[float, typer.Option(help="Most tuning steps to examine.")] = 100_000.0,
    draws: ForDraws = 0,
    share: Annotated[
        float | None, typer.Option(help="Share of the --draws that must be stable (default: 0.95).")
    ] = None,
    tolerance: Annotated[
        float | None, typer.Option(help="Steps below which no interval is sought (default: a millionth of --upto).")
    ] = None,
    seed: Seed = 0,
    output: PlanFile = None,
    as_json: JsonFlag = False,
) -> None:
    """The smallest tune-before-test budget under which nobody gains by climbing, and all others that hold.

    Example: truerank design budget gsm8k --margin 0.01 -o plan.toml
    """
    from designer.budgets import least_budget
    from followers.errors import InputError
    from studies.design import budget_document, budget_rows, confirm, read_subject, write_design
    from studies.design_tables import print_budget
    from studies.tables import progress_bar

    for_draws("design budget", "--share", share, draws)
    subject = read_subject(what, protocol, draws, seed)
    try:
        with progress_bar(terminal(stderr=True), "bounding budgets") as progress:
            design = least_budget(
                subject.designed_for,
                subject.protocol,
                margin=margin,
                upto=upto,
                share=1.0 if not draws else 0.95 if share is None else share,
                tolerance=tolerance,
                progress=progress,
            )
    except ValueError as error:
        raise InputError(f"{what}: {error}") from None
    except RuntimeError as error:
        raise stopped(what, error) from None
    confirmed = confirm(subject, design.protocol) if design.protocol else None
    if output is not None and design.protocol is not None:
        write_design(output, design.protocol, budget_rows(design))
    if as_json:
        print(json.dumps(budget_document(design, confirmed)))
    else:
        print_budget(terminal(), what, design, confirmed)
        if output is not None:
            print(f"wrote {output}" if design.protocol else f"nothing written to {output}: there is no such budget")
    # a budget for a share of draws need not hold in the population as stated
    held = confirmed is not None and confirmed.report.passed
    raise typer.Exit(SOLVED if (held and design.below == 0) or design.status == "none" else UNDECIDED)


@design_app.command("prizes")
def design_prizes(
    what: WhatFor,
    protocol: From = None,
    margin: Promise = 0.0,
    norm: Annotated[NormChoice, typer.Option(help="L2, or L1 for few changed prizes.")] = NormChoice.L2,
    keep_first: Annotated[bool, typer.Option(help="The first prize stays what it is.")] = False,
    draws: ForDraws = 0,
    tail: Tail = None,
    seed: Seed = 0,
    output: PlanFile = None,
    as_json: JsonFlag = False,
) -> None:
    """The prizes nearest to those announced under which nobody gains by climbing.

    Example: truerank design prizes gsm8k --protocol tuned.toml --draws 100 -o plan.toml
    """
    from designer.prize_design import compress_prizes
    from designer.scenarios import promise
    from followers.errors import InputError
    from studies.design import confirm, prize_rows, prizes_document, read_subject, write_design
    from studies.design_tables import print_prize_design

    for_draws("design prizes", "--tail", tail, draws)
    subject = read_subject(what, protocol, draws, seed)
    try:
        design = compress_prizes(
            subject.designed_for,
            subject.protocol,
            margin=margin,
            norm=norm.value,
            keep_first=keep_first,
            tail=tail,
        )
    except ValueError as error:
        raise InputError(f"{what}: {error}") from None
    except RuntimeError as error:
        raise stopped(what, error) from None
    confirmed = confirm(subject, design.protocol, tail) if design.protocol else None
    free = subject.stated.n - 1 - keep_first
    promised = promise(draws, free) if draws and free > 0 and tail is None else None
    if output is not None and design.protocol is not None:
        write_design(output, design.protocol, prize_rows(design))
    if as_json:
        print(json.dumps(prizes_document(design, confirmed, promised)))
    else:
        print_prize_design(terminal(), what, design, confirmed, promised)
        if output is not None:
            print(f"wrote {output}" if design.protocol else f"nothing written to {output}: there are no such prizes")
    raise typer.Exit(SOLVED if confirmed is not None and confirmed.report.passed else UNDECIDED)


@design_app.command("tiers")
def design_tiers(
    what: WhatFor,
    protocol: From = None,
    margin: Promise = 0.0,
    keep: Annotated[KeepChoice, typer.Option(help="Maximise expected tau-b, or the number of bands.")] = KeepChoice.TAU,
    draws: ForDraws = 0,
    seed: Seed = 0,
    node_budget: Annotated[int, typer.Option(min=1, help="Partitions to open before stopping with a bound.")] = 200_000,
    output: PlanFile = None,
    as_json: JsonFlag = False,
) -> None:
    """The finest bands of ranks whose edges nobody gains by crossing.

    Example: truerank design tiers gsm8k --keep bands -o plan.toml
    """
    from designer.tiering import finest_tiers
    from followers.errors import InputError
    from studies.design import band_rows, confirm, read_subject, tiers_document, write_design
    from studies.design_tables import print_tiering

    subject = read_subject(what, protocol, draws, seed)
    try:
        design = finest_tiers(
            subject.designed_for,
            subject.protocol,
            keep=keep.value,
            margin=margin,
            budget=node_budget,
        )
    except ValueError as error:
        raise InputError(f"{what}: {error}") from None
    except RuntimeError as error:
        raise stopped(what, error) from None
    confirmed = confirm(subject, design.protocol)
    if output is not None:
        write_design(output, design.protocol, band_rows(design))
    if as_json:
        print(json.dumps(tiers_document(design, confirmed)))
    else:
        print_tiering(terminal(), what, design, confirmed)
        if output is not None:
            print(f"wrote {output}")
    raise typer.Exit(SOLVED if confirmed.report.passed and design.tiering.proved else UNDECIDED)


@design_app.command("joint")
def design_joint(
    what: WhatFor,
    compute_cost: Annotated[float, typer.Option(help="Cost of a tuning step per billion parameters.")],
    prize_cost: Annotated[float, typer.Option(help="Cost of a prize unit by which prizes move.")] = 1.0,
    audit_cost: Annotated[float, typer.Option(help="Cost of an expected audit a round.")] = 1.0,
    items: Annotated[int, typer.Option(min=0, help="Fresh items per audit; 0: no audits.")] = 0,
    level: Annotated[float, typer.Option(help="Level of the one-sided exact binomial test.")] = 0.01,
    fine: Annotated[float, typer.Option(help="Fine of a flagged entry, prize units.")] = 0.0,
    protocol: From = None,
    margin: Promise = 0.0,
    upto: Annotated[float, typer.Option(help="Most tuning steps to examine.")] = 100_000.0,
    gap: Annotated[float, typer.Option(help="Stop this close to the bound, as a share of the cost.")] = 0.01,
    cells: Annotated[int, typer.Option(min=1, help="Intervals of budgets to bound before stopping.")] = 300,
    draws: ForDraws = 0,
    seed: Seed = 0,
    output: PlanFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Tuning budget, prizes and audits together, at least cost, with a bound on how much cheaper any could be.

    Example: truerank design joint gsm8k --compute-cost 1e-6 -o plan.toml
    """
    from designer.joint_design import UnitCosts
    from followers.errors import InputError
    from studies.design import confirm, read_subject, write_design
    from studies.design_tables import print_joint
    from studies.joint import joint_document, joint_rows, plan_jointly
    from studies.tables import progress_bar

    subject = read_subject(what, protocol, draws, seed)
    try:
        with progress_bar(terminal(stderr=True), "bounding budgets") as progress:
            joint = plan_jointly(
                subject,
                UnitCosts(compute_cost, prize_cost, audit_cost),
                items=items,
                level=level,
                fine=fine,
                margin=margin,
                upto=upto,
                gap=gap,
                cells=cells,
                progress=progress,
            )
    except ValueError as error:
        raise InputError(f"{what}: {error}") from None
    except RuntimeError as error:
        raise stopped(what, error) from None
    design = joint.design
    confirmed = confirm(subject, design.protocol) if design.protocol else None
    if output is not None and design.protocol is not None:
        write_design(output, design.protocol, joint_rows(joint))
    if as_json:
        print(json.dumps(joint_document(joint, confirmed)))
    else:
        print_joint(terminal(), what, joint, confirmed)
        if output is not None:
            print(f"wrote {output}" if design.protocol else f"nothing written to {output}: nothing deters")
    raise typer.Exit(SOLVED if confirmed is not None and confirmed.report.passed and design.gap <= gap else UNDECIDED)


@design_app.command("search")
def design_search(
    study: Annotated[Path, typer.Argument(help="Study file: its space, goal and limits.", show_default=False)],
    compute_cost: Annotated[float, typer.Option(help="Cost of a tuning step per billion parameters.")],
    prize_cost: Annotated[float, typer.Option(help="Cost of a prize unit by which prizes move.")] = 1.0,
    audit_cost: Annotated[float, typer.Option(help="Cost of an expected audit a round.")] = 1.0,
    items: Annotated[int, typer.Option(min=0, help="Fresh items per audit; 0: no audits.")] = 0,
    level: Annotated[float, typer.Option(help="Level of the one-sided exact binomial test.")] = 0.01,
    fine: Annotated[float, typer.Option(help="Fine of a flagged entry, prize units.")] = 0.0,
    margin: Promise = 0.0,
    trials: Annotated[int, typer.Option(min=1, help="Protocols to try.")] = 100,
    seed: Seed = 0,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the protocol to this TOML file.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Search a study's other knobs, with prizes and audits solved for exactly; how much cheaper any could be.

    Example: truerank design search examples/study.toml --compute-cost 1e-6 -o plan.toml
    """
    from designer.bilevel import InnerCosts
    from designer.joint_design import UnitCosts
    from followers.errors import InputError
    from studies.bilevel import bilevel_document, print_bilevel, run_bilevel, subject_of
    from studies.design import confirm
    from studies.files import read_study, write_toml
    from studies.tables import progress_bar

    what = read_study(study)
    try:
        costs = InnerCosts(UnitCosts(compute_cost, prize_cost, audit_cost), items, level, fine, margin)
    except ValueError as error:
        raise InputError(str(error).replace("design joint", "design search")) from None
    try:
        with progress_bar(terminal(stderr=True), "searching") as progress:
            found = run_bilevel(str(study), what, costs, trials=trials, seed=seed, progress=progress)
    except RuntimeError as error:
        raise stopped(str(study), error) from None
    designed = found.best.protocol if found.best is not None else None
    confirmed = confirm(subject_of(what, designed), designed) if designed is not None else None
    if output is not None and designed is not None:
        write_toml(output, designed.document())
    if as_json:
        print(json.dumps(bilevel_document(found, confirmed)))
    else:
        print_bilevel(terminal(), str(study), found, confirmed)
        if output is not None:
            print(f"wrote {output}" if designed else f"nothing written to {output}: no protocol meets the goal")
    raise typer.Exit(SOLVED if confirmed is not None and confirmed.report.passed else UNDECIDED)
