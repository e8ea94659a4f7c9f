"""What the commands have in common: options, exit codes, and where they print."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

__all__ = [
    "INTERRUPTED",
    "SOLVED",
    "UNDECIDED",
    "WRONG_INPUT",
    "Draws",
    "ForDraws",
    "From",
    "JsonFlag",
    "PlanFile",
    "Promise",
    "Seed",
    "Tail",
    "WhatFor",
    "for_draws",
    "stopped",
    "terminal",
]

SOLVED, WRONG_INPUT, UNDECIDED, INTERRUPTED = 0, 2, 3, 130

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of every draw and of the search.")]
Draws = Annotated[int, typer.Option(min=2, help="Populations to score each protocol on.")]
WhatFor = Annotated[str, typer.Argument(metavar="GAME-OR-POPULATION", help="A game or population file, gsm8k or mmlu.")]
From = Annotated[Path | None, typer.Option(help="Protocol file to start from.")]
Promise = Annotated[float, typer.Option(help="Margin to promise, prize units: nobody is closer to gaining.")]
ForDraws = Annotated[int, typer.Option(min=0, help="Hold in this many draws around the population; 0: as stated only.")]
PlanFile = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Write the protocol to this file (TOML), or what was designed as rows (.csv)."),
]


Tail = Annotated[
    float | None,
    typer.Option(help="Promise the margin in the mean of this share of the worst --draws, not in every one."),
]


def for_draws(what: str, option: str, value: float | None, draws: int) -> None:
    """Refuse an option that speaks of draws where there are none."""
    from followers.errors import InputError

    if value is not None and not draws:
        raise InputError(f"{what}: {option} {value:g} without --draws; say how many draws it is a share of")


def stopped(what: str, error: RuntimeError) -> typer.Exit:
    """Say on one line of standard error how a solver ended and what to do; the exit to raise."""
    print(f"truerank: {what}: {' '.join(str(error).split())}", file=sys.stderr)
    return typer.Exit(UNDECIDED)


def terminal(*, stderr: bool = False) -> Console:
    """A console on standard output or error; in a file tables have the width they have in the README."""
    from rich.console import Console

    wide = None if sys.stdout.isatty() else 110
    return Console(stderr=stderr, width=wide, highlight=False)
