"""The command line: `truerank solve | compare | propose | design | calibrate | ..` (DESIGN section 7).

Heavy libraries are imported inside the commands, so that `truerank --help` answers at once.
"""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from studies.cli_audit import audit_app
from studies.cli_compare import compare, protocols
from studies.cli_design import design_app
from studies.cli_options import INTERRUPTED, SOLVED, UNDECIDED, WRONG_INPUT, Draws, JsonFlag, Seed, terminal
from studies.cli_report import explain, plot_app, report

if TYPE_CHECKING:
    pass

__all__ = ["app", "main"]

app = typer.Typer(
    name="truerank",
    help="Which evaluation protocol shows the true ranking, once every developer plays to win?",
    no_args_is_help=True,
    add_completion=True,
    epilog="Exit codes: 0 answered, 1 a check failed, 2 wrong input (one line says which), 3 not decided.",
    pretty_exceptions_enable=False,
)


class Method(StrEnum):
    """What kind of equilibrium to look for."""

    PURE = "pure"
    MIXED = "mixed"
    AUTO = "auto"


class QualityChoice(StrEnum):
    """What counts as true quality in a calibrated population."""

    CEILING = "fitted ceiling"
    LAST = "last measured score"
    COLUMN = "column"


class BadFiles(StrEnum):
    """What a bad result file does to an import of many."""

    STOP = "stop"
    SKIP = "skip"


@app.command()
def solve(
    games: Annotated[list[Path], typer.Argument(help="Game files, TOML or JSON.", show_default=False)],
    as_json: JsonFlag = False,
    find_all: Annotated[bool, typer.Option("--all", help="List every pure equilibrium on the lattice.")] = False,
    method: Annotated[
        Method,
        typer.Option(help="Pure equilibria, a mixed one, or (auto) pure and, where there is none, mixed."),
    ] = Method.AUTO,
    protocol: Annotated[
        Path | None, typer.Option(help="Protocol file that replaces the games' [contest] and [protocol].")
    ] = None,
    node_budget: Annotated[int, typer.Option(min=1, help="Lattice nodes to visit before UNKNOWN.")] = 100_000,
    nfg: Annotated[
        Path | None, typer.Option(help="Write the finite game to this Gambit file (exact scores: on --levels scores).")
    ] = None,
    levels: Annotated[int, typer.Option(min=2, help="Scores on which --nfg lays a game with exact scores.")] = 10,
) -> None:
    """Solve games: does an equilibrium exist, which, what does play look like without one, and who says so.

    Example: truerank solve examples/game.toml --protocol examples/tuned.toml
    """
    from followers.errors import InputError
    from studies.files import fit, read_game, read_protocol
    from studies.solve import document, solve_game, write_nfg
    from studies.tables import print_solved, track

    if nfg is not None and len(games) > 1:
        raise InputError(f"--nfg {nfg}: {len(games)} games given; one at a time")
    override = read_protocol(protocol) if protocol else None
    console, code = terminal(), SOLVED
    for path in track(games, "solving", terminal(stderr=True)):
        try:
            population, own = read_game(path)
            used = fit(override, population, protocol) if override else own
            try:
                solved = solve_game(population, used, find_all=find_all, node_budget=node_budget, method=method.value)
                if nfg is not None:
                    write_nfg(nfg, solved, path.name, levels)
            except ValueError as error:
                raise InputError(f"{path}: {error}") from None
        except InputError as error:
            code = WRONG_INPUT
            if as_json:
                print(json.dumps({"file": str(path), "error": str(error)}))
            else:
                _complain(str(error))
            continue
        if solved.status == "unknown" and code == SOLVED:
            code = UNDECIDED
        if as_json:
            print(json.dumps({"file": str(path), **document(solved)}))
        else:
            print_solved(console, str(path), solved)
            if nfg is not None:
                print(f"wrote {nfg}")
    raise typer.Exit(code)


app.command()(compare)
app.command()(protocols)


@app.command()
def propose(
    study: Annotated[
        Path | None,
        typer.Argument(help="Study or population file; without one, the embedded GSM8K population."),
    ] = None,
    trials: Annotated[int | None, typer.Option(min=1, help="Protocols to try (default: 200).")] = None,
    draws: Annotated[int | None, typer.Option(min=2, help="Populations to score each on (default: 128).")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of every draw and of the search (default: 0).")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the recommended protocol to this TOML file.")
    ] = None,
    kept_in: Annotated[
        str | None,
        typer.Option("--study", help="Keep the search in this file (SQLite, or .journal) or database URL."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the search that --study keeps.")] = False,
    workers: Annotated[int, typer.Option(min=1, help="Processes; the result does not depend on it.")] = 1,
    cluster: Annotated[
        str | None, typer.Option(help='Play on a Dask cluster: the scheduler\'s address, or "local" (--workers).')
    ] = None,
    sampler: Annotated[
        str | None, typer.Option(help="auto, tpe, gp, cma-es, nsga-ii, nsga-iii, evolution or random (default: auto).")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Search the protocol space and recommend one, side by side with direct evaluation and tune-before-test.

    Example: truerank propose examples/study.toml -o plan.toml
    """
    from dataclasses import replace

    from followers.errors import InputError
    from studies.files import read_study, write_toml
    from studies.propose import Kept, default_study, make_proposal, proposal_document
    from studies.tables import print_proposal, progress_bar

    if resume and kept_in is None:
        raise InputError("--resume: name the --study to go on with")
    what = default_study() if study is None else read_study(study)
    what = replace(
        what,
        trials=trials or what.trials or 200,
        draws=draws or what.draws or 128,
        seed=seed if seed is not None else (what.seed or 0),
        sampler=sampler or what.sampler,
    )
    kept = Kept(kept_in, resume, workers, cluster)
    try:
        with progress_bar(terminal(stderr=True), "searching protocols") as progress:
            proposal = make_proposal(what, kept=kept, progress=progress)
    except KeyboardInterrupt:
        go_on = f"; --study {kept_in} --resume goes on with it" if kept_in else "; without --study nothing is kept"
        _complain(f"propose: interrupted{go_on}")
        raise typer.Exit(INTERRUPTED) from None
    if output is not None and proposal.result.best is not None:
        write_toml(output, proposal.result.best.protocol.document())
    if as_json:
        print(json.dumps(proposal_document(proposal)))
    else:
        print_proposal(terminal(), proposal)
        if output is not None:
            wrote = proposal.result.best is not None
            print(f"wrote {output}" if wrote else f"nothing written to {output}: no protocol meets the goal")


app.add_typer(design_app, name="design")
app.add_typer(audit_app, name="audit")
app.command()(explain)
app.add_typer(plot_app, name="plot")
app.command()(report)


@app.command()
def calibrate(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="CSV tables of trajectories, of direct and tuned scores, leaderboards; lm-evaluation-harness results "
            "(results_*.json) and folders of these.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Population file to write (TOML); without it, only look.")
    ] = None,
    benchmark: Annotated[str | None, typer.Option(help="Which benchmark or task, where there are several.")] = None,
    metric: Annotated[str | None, typer.Option(help='Which metric: "acc", "exact_match,strict-match" ..')] = None,
    steps: Annotated[Path | None, typer.Option(help="CSV name,step[,model]: steps of harness results.")] = None,
    effort_scales: Annotated[
        Path | None, typer.Option(help="CSV model,effort_scale (or declared_lr): what a step of each model counts.")
    ] = None,
    tuned_steps: Annotated[float | None, typer.Option(help="Steps behind a column of tuned scores.")] = None,
    n_items: Annotated[float | None, typer.Option(help="Test items behind the scores of a leaderboard.")] = None,
    bad: Annotated[BadFiles, typer.Option(help="What a bad result file does.")] = BadFiles.STOP,
    like: Annotated[str | None, typer.Option(help="Borrow curve shapes from gsm8k or mmlu.")] = None,
    exposure: Annotated[bool, typer.Option(help="Explain direct scores by prior exposure to the task.")] = False,
    floor: Annotated[float, typer.Option(min=0, max=1, help="Chance level, for --exposure.")] = 0.0,
    quality: Annotated[QualityChoice, typer.Option(help="What counts as true quality.")] = QualityChoice.LAST,
    half_prize_steps: Annotated[
        float, typer.Option(help="Steps that cost half a prize unit (linear cost).")
    ] = 25_000.0,
    clean_only: Annotated[bool, typer.Option(help="Leave out trajectories that fall or never rise.")] = False,
    draws: Annotated[int, typer.Option(min=0, help="Simulated refits that carry the curves' errors along.")] = 32,
    report: Annotated[Path | None, typer.Option(help="Folder for the report: fits.csv, residuals.csv.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Fit score curves to measurements and write a population file.

    Example: truerank calibrate examples/trajectories.csv -o mine.toml
    """
    import math

    from followers.errors import InputError
    from solvers.certificate import to_json
    from studies.calibrate import Request, held_out_sentence, run
    from studies.files import write_csv, write_toml
    from studies.tables import print_calibration, progress_bar

    for name, value in (("half-prize-steps", half_prize_steps), ("tuned-steps", tuned_steps), ("n-items", n_items)):
        if value is not None and not (math.isfinite(value) and value > 0):
            raise InputError(f"--{name} = {value:g}; must be a positive number")
    request = Request(
        paths=tuple(files),
        benchmark=benchmark,
        metric=metric,
        steps=steps,
        effort_scales=effort_scales,
        tuned_steps=tuned_steps,
        n_items=n_items,
        on_bad=bad.value,
        like=like,
        exposure=exposure,
        floor=floor,
        quality=quality.value,
        half_prize_steps=half_prize_steps,
        clean_only=clean_only,
        draws=draws,
    )
    with progress_bar(terminal(stderr=True), "reading and fitting") as progress:
        result = run(request, reading=progress, fitting=progress)
    provenance = {"source": ", ".join(map(str, files)), "quality": quality.value}
    if output is not None:
        write_toml(output, {"provenance": provenance, "developers": result.developers})
    tables = [report / "fits.csv", report / "residuals.csv"] if report is not None and result.calibration else []
    if result.calibration is not None and tables:
        write_csv(tables[0], result.calibration.table())
        write_csv(tables[1], result.calibration.residuals())
    if as_json:
        fits = result.calibration.table() if result.calibration is not None else []
        written = [str(path) for path in (output, *tables) if path is not None]
        document = {"developers": result.developers, "fits": fits, "notes": list(result.notes), "written": written}
        print(json.dumps(to_json({"provenance": provenance, **document})))
        return
    if output is None and result.calibration is not None:
        print_calibration(terminal(), result.calibration)
    for note in result.notes:
        print(note)
    if result.calibration is not None:
        print(held_out_sentence(result.calibration))
        if tables:
            print(f"wrote {tables[0]} and {tables[1]}")
    count = f"{len(result.developers)} developers"
    print(f"wrote {output}: {count}" if output is not None else f"{count}; -o FILE writes them")


@app.command()
def paper(
    out: Annotated[Path | None, typer.Option(help="Folder for tables (CSV), figures (PNG, SVG), certificates.")] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Folder with trajectories.csv and direct_vs_tbt.csv, for what is embedded."),
    ] = None,
    draws: Draws = 256,
    seed: Seed = 0,
    as_json: JsonFlag = False,
) -> None:
    """Re-derive the paper's results, each with a certificate, and what measurements add to them.

    Example: truerank paper --out results
    """
    from solvers.certificate import to_json
    from studies.paper import derive, tables, write
    from studies.tables import print_paper, progress_bar

    with progress_bar(terminal(stderr=True), "deriving") as progress:
        derived = derive(data=data, draws=draws, seed=seed, progress=progress)
    written = write(derived, out) if out is not None else []
    witnesses = derived.witnesses()
    verified = sum(w.holds for w in witnesses)
    if as_json:
        agreed = {"direct": derived.agreement.direct, "tuned": derived.agreement.tuned}
        counted = {"verified": verified, "certificates": len(witnesses)}
        print(json.dumps(to_json({**tables(derived), "mean_agreement": agreed, **counted})))
    else:
        print_paper(terminal(), derived)
        print(f"checker: {verified} of {len(witnesses)} certificates verified")
        if written:
            print(f"wrote {len(written)} files to {out}")
    raise typer.Exit(SOLVED if verified == len(witnesses) else 1)


@app.command()
def bench(
    what: Annotated[
        str,
        typer.Argument(
            help="pure: the T1 check. mixed: beside Gambit. noisy: single, batched. design: exact. search: whole."
        ),
    ] = "pure",
    as_json: JsonFlag = False,
) -> None:
    """Measure speed: ours, the floor and a peer on the same games, in one run.

    Example: truerank bench mixed --json
    """
    from followers.errors import InputError
    from studies.bench import BENCHES
    from studies.tables import progress_bar

    if what not in BENCHES:
        raise InputError(f"bench {what}: no such benchmark; allowed: {', '.join(BENCHES)}")
    with progress_bar(terminal(stderr=True), "measuring"):
        rows = BENCHES[what].run()
    if as_json:
        print(json.dumps(rows))
    else:
        BENCHES[what].show(terminal(), rows)


@app.command()
def demo(as_json: JsonFlag = False) -> None:
    """Planted defects, each with the check that catches it.

    Example: truerank demo --json
    """
    from studies.demo import planted_defects
    from studies.tables import print_demo

    defects = planted_defects()
    if as_json:
        print(json.dumps([d.document() for d in defects]))
    else:
        print_demo(terminal(), defects)
    raise typer.Exit(SOLVED if all(d.caught for d in defects) else 1)


def _version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        print(f"truerank {version('truerank')}")
        raise typer.Exit()


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    pass


def _complain(message: str) -> None:
    print(f"truerank: {' '.join(message.split())}", file=sys.stderr)


def main(arguments: list[str] | None = None) -> Any:
    """Run the command line; wrong input is one line on stderr and exit code 2."""
    try:
        app(args=arguments)
    except ValueError as error:
        if type(error).__name__ != "InputError":  # the class lives behind a heavy import
            raise
        _complain(str(error))
        sys.exit(WRONG_INPUT)
