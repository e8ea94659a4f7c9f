"""The command line of pictures and words: `truerank report`, `truerank plot ...`, `truerank explain`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from studies.cli_options import SOLVED, UNDECIDED, From, JsonFlag, WhatFor, terminal

if TYPE_CHECKING:
    from designer.protocol import Protocol
    from followers.population import Population

__all__ = ["explain", "plot_app", "report"]

plot_app = typer.Typer(help="One figure as PNG or SVG.", no_args_is_help=True)

Picture = Annotated[Path, typer.Option("--output", "-o", help="File to write, .png or .svg.")]
Source = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="A stored study (file or URL), a study or population file, gsm8k or mmlu.",
        show_default=False,
    ),
]
Trials = Annotated[int | None, typer.Option(min=1, help="Protocols to try (default: the study's, or 200).")]
ManyDraws = Annotated[int | None, typer.Option(min=2, help="Populations to score on (default: the study's, or 128).")]
AnySeed = Annotated[int | None, typer.Option(min=0, help="Seed of draws and search (default: the study's, or 0).")]


def report(
    source: Source,
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")] = Path("report.html"),
    figures: Annotated[Path | None, typer.Option(help="Folder for the figures as files too, PNG and SVG.")] = None,
    trials: Trials = None,
    draws: ManyDraws = None,
    seed: AnySeed = None,
    as_json: JsonFlag = False,
) -> None:
    """One self-contained page of a study: recommendation, scorecards, figures with data, certificates, a what-if panel.

    Example: truerank report study.toml -o report.html --figures figures
    """
    from studies.plots import write_figures
    from studies.report import load_proposal, write_report
    from studies.tables import progress_bar

    _refuse_folder(output)
    with progress_bar(terminal(stderr=True), "searching protocols") as progress:
        loaded = load_proposal(source, trials=trials, draws=draws, seed=seed, progress=progress)
    with progress_bar(terminal(stderr=True), "turning knobs") as progress:
        size = write_report(
            loaded.proposal, output, provenance=loaded.provenance, prior=loaded.prior, progress=progress
        )
    drawn = write_figures(loaded.proposal, figures) if figures is not None else []
    best = loaded.proposal.result.best
    document = {
        "file": str(output),
        "bytes": size,
        "recommended": best and best.protocol.sentence(),
        "finished": loaded.provenance.finished,
        "trials": loaded.provenance.done,
        "figures": [str(path) for path in drawn],
    }
    _wrote(output, document, as_json)
    if drawn and not as_json:
        print(f"wrote {len(drawn)} figures to {figures}")


@plot_app.command("curves")
def curves(what: WhatFor, output: Picture, protocol: From = None, as_json: JsonFlag = False) -> None:
    """Score curves, with the protocol's tuning budget marked.

    Example: truerank plot curves gsm8k --protocol tuned.toml -o curves.svg
    """
    from studies.plots import plot_curves

    _plot(what, output, protocol, as_json, plot_curves)


@plot_app.command("margin")
def margin(what: WhatFor, output: Picture, protocol: From = None, as_json: JsonFlag = False) -> None:
    """The stability margin against the tuning budget; budgets proved stable are shaded.

    Example: truerank plot margin gsm8k -o margin.png
    """
    from studies.plots import plot_margin

    _plot(what, output, protocol, as_json, plot_margin)


@plot_app.command("overtakes")
def overtakes(what: WhatFor, output: Picture, protocol: From = None, as_json: JsonFlag = False) -> None:
    """Who would pass whom; a race that never ends stands out where there is no equilibrium.

    Example: truerank plot overtakes game.toml -o overtakes.svg
    """
    from studies.plots import plot_overtakes

    _plot(what, output, protocol, as_json, plot_overtakes)


@plot_app.command("audit")
def audit(what: WhatFor, output: Picture, protocol: From = None, as_json: JsonFlag = False) -> None:
    """Audit probabilities by published rank, and the climbs that bind them.

    Example: truerank plot audit game.toml --protocol plan.toml -o audit.png
    """
    from studies.plots import plot_audit

    _plot(what, output, protocol, as_json, lambda p, q, path: plot_audit(p, q, path, str(protocol or what)))


@plot_app.command("front")
def front(
    source: Source,
    output: Picture,
    trials: Trials = None,
    draws: ManyDraws = None,
    seed: AnySeed = None,
    as_json: JsonFlag = False,
) -> None:
    """The Pareto front of a study: ranking quality against the designer's cost.

    Example: truerank plot front study.toml --trials 60 -o front.svg
    """
    from studies.plots import plot_front
    from studies.report import load_proposal
    from studies.tables import progress_bar

    _refuse_folder(output)
    with progress_bar(terminal(stderr=True), "searching protocols") as progress:
        loaded = load_proposal(source, trials=trials, draws=draws, seed=seed, progress=progress)
    _wrote(output, {"file": str(output), **plot_front(loaded.proposal, output)}, as_json)


def explain(what: WhatFor, protocol: From = None, as_json: JsonFlag = False) -> None:
    """A game in plain words: who would deviate, what it costs them, and what would stop it.

    Example: truerank explain gsm8k --protocol tuned.toml
    """
    from solvers.certificate import Status
    from studies.design import read_subject
    from studies.explain import explain as put_into_words
    from studies.explain import explain_document
    from studies.tables import progress_bar

    subject = read_subject(what, protocol, 0, 0)
    with progress_bar(terminal(stderr=True), "looking for remedies") as progress:
        told = put_into_words(subject.stated, subject.protocol, progress=progress)
    if as_json:
        print(json.dumps({"file": what, **explain_document(told)}))
    else:
        console = terminal()
        console.print(told.answer, style="bold", markup=False)
        console.print(told.board, markup=False)
        for words in told.deviations:
            console.print(f"- {words}", markup=False)
        if len(told.found.paying) > len(told.deviations):
            console.print(f"- and {len(told.found.paying) - len(told.deviations)} more")
        if told.race:
            console.print("\nIt never ends:", style="bold")
            for k, words in enumerate(told.race, start=1):
                console.print(f"{k}. {words}", markup=False)
            rest = len(told.found.race) - len(told.race)
            console.print(
                f"   and so on, {rest} more moves back to the start" if rest > 0 else "   and from the start again"
            )
        if told.remedies:
            console.print("\nWhat would stop it:", style="bold")
            for remedy in told.remedies:
                console.print(f"- {remedy.sentence}", markup=False)
        console.print(f"\nchecker: {told.checked.summary()}", markup=False)
    raise typer.Exit(UNDECIDED if told.status is Status.UNKNOWN else SOLVED)


def _plot(
    what: str,
    output: Path,
    protocol: Path | None,
    as_json: bool,
    draw: Callable[[Population, Protocol, Path], dict[str, Any]],
) -> None:
    from studies.design import read_subject

    _refuse_folder(output)
    subject = read_subject(what, protocol, 0, 0)
    shown = draw(subject.stated, subject.protocol, output)
    _wrote(output, {"file": str(output), **shown}, as_json)


def _refuse_folder(output: Path) -> None:
    """Say at once, not after the work, that a file cannot be written there."""
    from followers.errors import InputError

    if output.is_dir():
        raise InputError(f"{output}: is a folder; a file name is needed")
    if not output.parent.is_dir():
        raise InputError(f"{output}: its folder {output.parent} does not exist")


def _wrote(output: Path, document: dict[str, Any], as_json: bool) -> None:
    from solvers.certificate import to_json

    if as_json:
        print(json.dumps(to_json(document)))
    elif "bytes" in document:
        print(f"wrote {output}: {document['bytes'] / 1e6:.2f} MB, no network needed")
    else:
        print(f"wrote {output}")
