"""`truerank compare` and `truerank protocols`: protocols side by side, and the library of named ones."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from studies.cli_options import Draws, JsonFlag, Seed, terminal

__all__ = ["compare", "protocols"]


class Unfit(StrEnum):
    """What becomes of a protocol that cannot be read or does not fit the population."""

    STOP = "stop"
    SKIP = "skip"


def compare(
    protocols: Annotated[
        list[str] | None,
        typer.Argument(help="Protocol files, names (truerank protocols lists them), or all.", show_default=False),
    ] = None,
    practice: Annotated[bool, typer.Option("--practice", help="Compare all named protocols too.")] = False,
    population: Annotated[str, typer.Option(help="gsm8k, mmlu or a population file.")] = "gsm8k",
    figure: Annotated[str, typer.Option(help="Figure of the scorecard to rank and test.")] = "kendall_tau",
    level: Annotated[float, typer.Option(help="Level of the intervals; tests err with 1 - level.")] = 0.95,
    draws: Draws = 256,
    seed: Seed = 0,
    bad: Annotated[
        Unfit | None,
        typer.Option(
            help="What a protocol does that cannot be read or does not fit the population (default: stop, but skip "
            "where only --practice or all asked for it).",
            show_default=False,
        ),
    ] = None,
    node_budget: Annotated[
        int, typer.Option(min=1, help="Nodes to visit in each draw before it counts as undecided.")
    ] = 20_000,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the figures as rows (.csv).")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Compare protocols on the same draws: paired differences, intervals, ranks, and what can be told apart.

    Example: truerank compare direct ladder tuned mine.toml --figure face_value_tau
    """
    from followers.errors import InputError
    from studies.compare import (
        compare_document,
        compare_protocols,
        comparison_rows,
        known_figure,
        read_entrants,
    )
    from studies.compare_tables import print_comparison
    from studies.files import read_population, write_csv
    from studies.tables import progress_bar

    known_figure(figure)
    if not 0 < level < 1:
        raise InputError(f"--level {level:g}; must lie strictly between 0 and 1")
    if output is not None and output.suffix.lower() != ".csv":
        raise InputError(f"--output {output}: rows are written as .csv; give a name that ends so, or use --json")
    skip = None if bad is None else bad is Unfit.SKIP
    entrants, left_out = read_entrants(protocols or [], practice=practice, skip=skip)
    developers = read_population(population)
    with progress_bar(terminal(stderr=True), "scoring protocols") as progress:
        comparison = compare_protocols(
            entrants,
            developers,
            draws=draws,
            seed=seed,
            figure=figure,
            level=level,
            node_budget=node_budget,
            left_out=left_out,
            progress=progress,
        )
    if output is not None:
        write_csv(output, comparison_rows(comparison))
    if as_json:
        print(json.dumps(compare_document(comparison)))
    else:
        print_comparison(terminal(), comparison)
        if output is not None:
            print(f"wrote {output}")


def protocols(
    name: Annotated[str | None, typer.Argument(help="Print the file of this protocol, to start from.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """The library of named protocols from practice, each with its source and what of it is modelled.

    Example: truerank protocols ladder > mine.toml
    """
    import designer.practice as library
    from studies.compare import practice_document
    from studies.compare_tables import print_practice

    chosen = [library.read(n) for n in ((name,) if name is not None else library.named())]
    if as_json:
        documents = [practice_document(p) for p in chosen]
        print(json.dumps(documents if name is None else documents[0]))
    elif name is not None:
        print(chosen[0].text, end="")
    else:
        print_practice(terminal(), chosen)
