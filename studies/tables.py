"""What the commands print: rich tables and the progress bar."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from designer.scorecard import Figure
from designer.search import Progress
from solvers.certificate import Certificate, Status
from solvers.claims import NoisyCertificate

if TYPE_CHECKING:
    from followers.calibration import Calibration
    from solvers.inner import AnyCertificate
    from solvers.race import Race
    from studies.demo import Defect
    from studies.paper import Paper
    from studies.propose import Proposal
    from studies.solve import SolvedGame

__all__ = [
    "figure",
    "number",
    "print_calibration",
    "print_demo",
    "print_paper",
    "print_proposal",
    "print_reasons",
    "print_solved",
    "progress_bar",
    "table",
    "track",
]


def table(title: str, *columns: str, words: bool = False) -> Table:
    """An empty table in the house style: first column left, others right unless they hold words."""
    t = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold", pad_edge=False)
    for k, name in enumerate(columns):
        t.add_column(name, justify="left" if k == 0 or words else "right", overflow="fold")
    return t


def number(value: float | None) -> str:
    """A figure to four digits; a dash where undefined."""
    if value is None or np.isnan(value):
        return "–"
    if np.isinf(value):
        return "unbounded" if value > 0 else "-unbounded"
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"


def figure(f: Figure) -> str:
    """mean ± standard error."""
    if f.mean is None:
        return "–"
    exact = not f.stderr or f.stderr <= 1e-12 * abs(f.mean)
    return number(f.mean) if exact else f"{number(f.mean)} ± {f.stderr:.2g}"


@contextmanager
def progress_bar(console: Console, what: str) -> Iterator[Progress]:
    """A progress bar on stderr, shown where there is a terminal; yields a callback (done, total)."""
    from rich.progress import Progress as Bar

    with Bar(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def track(items: Sequence[Path], what: str, console: Console) -> Iterator[Path]:
    """The items one by one, with a progress bar on stderr where there is a terminal and more than one item."""
    if len(items) == 1:
        yield items[0]
        return
    with progress_bar(console, what) as progress:
        for done, item in enumerate(items):
            progress(done, len(items))
            yield item


def print_solved(console: Console, name: str, solved: SolvedGame) -> None:
    """Status, equilibria, best deviation or race, mixed play, the checker's verdicts, assumptions."""
    pure, names = solved.pure, solved.population.names
    words = {
        Status.EXISTS: "a pure equilibrium EXISTS",
        Status.ABSENT: "a pure equilibrium is ABSENT",
        Status.UNKNOWN: "UNKNOWN whether there is a pure equilibrium",
    }[solved.status]
    console.print(f"{name}: {words} [dim]({solved.protocol.sentence()}; {pure.method})[/dim]")
    if solved.status is Status.EXISTS:
        for k, held in enumerate(pure.equilibria):
            t = table(f"equilibrium {k + 1}", "developer", "quality", "effort", "score", "rank", "prize", "utility")
            for i in np.argsort(held.ranks, kind="stable"):
                cells = (solved.population.quality[0, i], held.efforts[i], held.scores[i])
                paid = (held.prizes[i], held.utilities[i])
                t.add_row(names[i], *map(number, cells), str(held.ranks[i]), *map(number, paid))
            console.print(t)
        unique = {True: "unique", False: "not unique", None: "uniqueness not known"}[pure.unique]
        margin = "none (noise)" if np.isnan(pure.margin) else number(pure.margin)
        console.print(f"{unique}; stability margin {margin}; tau-b with truth {_tau(solved)}")
    _print_certificate(console, pure.certificate, names)
    if pure.race is not None and solved.status is not Status.EXISTS:
        _print_race(console, pure.race, names)
    if solved.mixed is not None:
        _print_mixed(console, solved)
    for note in (*solved.population.notes, *pure.notes, *(solved.mixed.notes if solved.mixed else ())):
        console.print(f"note: {note}")
    console.print(f"checker: {solved.report.summary()}")
    if solved.mixed_report is not None:
        console.print(f"checker, mixed: {solved.mixed_report.summary()}")
    for a in solved.assumptions:
        console.print(f"{a.name} {'holds' if a.holds else 'fails'}: {a.witness}")
    console.print()


def _tau(solved: SolvedGame) -> str:
    exact = not solved.tau_stderr > 0
    return number(solved.tau) if exact else f"{number(solved.tau)} ± {solved.tau_stderr:.2g}"


def _print_certificate(console: Console, certificate: AnyCertificate, names: Sequence[str]) -> None:
    """The most tempting deviation, and a race that never ends."""
    if isinstance(certificate, NoisyCertificate):
        i = int(np.argmax(certificate.gains))
        if certificate.gains[i] > certificate.tolerance:
            console.print(
                f"best candidate: {names[i]} still gains {number(certificate.gains[i])} with "
                f"{number(certificate.deviations[i])} steps instead of {number(certificate.efforts[i])}"
            )
        return
    if not isinstance(certificate, Certificate):
        return
    if certificate.deviations:
        d = max(certificate.deviations, key=lambda d: d.gain)
        verb = "gains" if d.gain > 0 else "would lose"
        how = "" if d.attained else "just above "
        console.print(
            f"most tempted: {names[d.developer]} {verb} {number(abs(d.gain))} with {how}{number(d.effort)} steps, "
            f"at rank {d.rank}"
        )
    if certificate.cycle:
        console.print(f"a race that never ends ({len(certificate.cycle)} moves):")
        for move in certificate.cycle[:8]:
            console.print(
                f"  {names[move.developer]}: effort {number(move.effort_from)} -> {number(move.effort_to)}, "
                f"rank {move.rank_from} -> {move.rank_to}, gains {number(move.gain)}"
            )
        if len(certificate.cycle) > 8:
            console.print(f"  ... and {len(certificate.cycle) - 8} more")


def _print_race(console: Console, race: Race, names: Sequence[str]) -> None:
    """Where best responses lead: the largest sink component, and who stands where in it."""
    if not race.complete:
        console.print(f"best responses: {race.profiles:,} profiles looked at, the budget; no sink is claimed")
        return
    sink = race.sinks[0]
    seen = "from the cheapest profile on" if race.from_cheapest else "all"
    order = np.argsort(sink.mean_rank, kind="stable")[:5]
    console.print(
        f"best responses ({race.profiles:,} profiles, {seen}) end in {len(race.sinks)} sink(s); the largest goes round "
        f"{len(sink.profiles)} profiles, mean ranks: "
        + ", ".join(f"{names[i]} {sink.mean_rank[i]:.2f}" for i in order)
        + (", ..." if len(names) > 5 else "")
    )


def _print_mixed(console: Console, solved: SolvedGame) -> None:
    """What play looks like in mixed strategies: efforts, chances and utilities per developer."""
    from solvers.standings import mixed_standing

    mixed = solved.mixed
    assert mixed is not None
    ranks = mixed_standing(mixed).ranks
    mean_rank = ranks @ np.arange(1, mixed.game.n + 1)
    t = table(
        f"mixed equilibrium, exploitability {number(mixed.exploitability)} of R_1 - R_n ({mixed.method})",
        "developer",
        "quality",
        "mean effort",
        "mean cost",
        "wins",
        "mean rank",
        "utility",
    )
    efforts, costs = mixed.expected_efforts, mixed.expected_costs
    for i in np.argsort(mean_rank, kind="stable"):
        t.add_row(
            solved.population.names[i],
            number(float(solved.population.quality[0, i])),
            number(float(efforts[i])),
            number(float(costs[i])),
            f"{ranks[i, 0]:.1%}",
            f"{mean_rank[i]:.2f}",
            number(float(mixed.utilities[i])),
        )
    console.print(t)
    if solved.status is not Status.EXISTS:
        console.print(f"expected tau-b with truth under mixed play: {_tau(solved)}")


def print_reasons(console: Console, figures: Sequence[Figure]) -> None:
    """Why figures are undefined, each reason once."""
    for reason in dict.fromkeys(f.reason for f in figures if f.mean is None):
        console.print(f"–: {reason}")


def print_proposal(console: Console, proposal: Proposal) -> None:
    """Baselines and recommendation side by side, why, the Pareto front, the certificate."""
    n = proposal.population.n
    t = table(f"{n} developers as measured", "", *(row.name for row in proposal.rows))
    t.add_row("protocol", *(row.protocol.sentence() for row in proposal.rows))
    t.add_row("pure equilibrium", *(row.stated.equilibrium.status(0).value for row in proposal.rows))
    t.add_row("tau-b in equilibrium", *(number(float(r.stated.values["kendall_tau"][0])) for r in proposal.rows))
    t.add_row("tau-b at face value", *(number(float(r.stated.values["face_value_tau"][0])) for r in proposal.rows))
    t.add_row("would deviate", *(_who(row.tempted, n) for row in proposal.rows))
    t.add_row("stability margin", *(number(float(r.stated.values["margin"][0])) for r in proposal.rows))
    console.print(t)
    shown = (
        "kendall_tau",
        "face_value_tau",
        "top_one",
        "pure_share",
        "margin",
        "tempted",
        "wasted_effort",
        "designer_cost",
    )
    d = table(
        f"{proposal.draws} fresh draws around them (not those of the search), mean ± standard error",
        "",
        *(row.name for row in proposal.rows),
    )
    for metric in shown:
        d.add_row(metric, *(figure(row.card.figures[metric]) for row in proposal.rows))
    console.print(d)
    console.print(f"goal: {proposal.result.goal.sentence()}")
    console.print(proposal.sentence)
    if len(proposal.front) > 1:
        f = table("Pareto front: ranking quality against designer's cost", "protocol", "tau-b", "pure_share", "cost")
        picked = np.unique(np.linspace(0, len(proposal.front) - 1, 8).round().astype(int))
        for e in (proposal.front[k] for k in picked):
            metrics = ("kendall_tau", "pure_share", "designer_cost")
            f.add_row(e.protocol.sentence(), *(number(e.scorecard.mean(m)) for m in metrics))
        console.print(f)
    certificate = proposal.result.nearest.certificate
    if certificate is not None and proposal.report is not None:
        console.print(f"certificate: {certificate.theorem}")
        console.print(f"checker: {proposal.report.summary()}")
    print_reasons(console, [f for row in proposal.rows for f in row.card.figures.values()])
    console.print(f"{proposal.trials} trials, {proposal.draws} draws, seed {proposal.seed}")


def _who(tempted: Sequence[str], n: int) -> str:
    if not tempted:
        return f"0 of {n}"
    few = ", ".join(tempted[:2]) + (", ..." if len(tempted) > 2 else "")
    return f"{len(tempted)} of {n} ({few})"


def print_demo(console: Console, defects: Sequence[Defect]) -> None:
    """Each planted defect, what a weaker check says, what we say, and which check caught it."""
    t = table("planted defects", "defect", "a weaker check says", "truerank says", "caught by", "", words=True)
    for d in defects:
        t.add_row(d.name, d.naive, d.found, d.check, "caught" if d.caught else "MISSED")
    console.print(t)


def print_paper(console: Console, paper: Paper) -> None:
    """What was derived: in words, then what the measurements add."""
    from rich.padding import Padding

    from studies.paper import summary

    for heading, lines in summary(paper):
        console.print(heading, style="bold", markup=False)
        for line in lines:
            console.print(Padding(line, (0, 0, 0, 2)), markup=False)
    t = table("\nneighbours in quality: share that breaks a condition", "population", "C1", "C2", "C3")
    for n in paper.neighbours:
        t.add_row(n.population, *(f"{x:.0%}" for x in (n.crossing, n.bent, n.shrinking)))
    console.print(t)
    console.print("C1: curves cross; C2: S-shaped (share of models); C3: catch-up effort shrinks as the budget grows")
    columns = ("population", "k", "measured steps", "up to 1e9 steps", "and in the true order")
    t = table(f"\nno tuning budget stabilises the top k: share of {paper.draws} draws", *columns)
    for top in paper.top_k:
        t.add_row(top.population, str(top.k), *(f"{x:.0%}" for x in (top.within, top.ever, top.truthful)))
    console.print(t)


def print_calibration(console: Console, calibration: Calibration) -> None:
    """One row per model: what stands for it, its ceiling with 90% interval, where half of its rise is done, errors."""
    from rich.markup import escape

    t = table("", "model", "points", "kept as", "ceiling, 90% interval", "half at step", "held-out", "flags")
    for f in calibration.fits:
        ceiling = f"{f.upper:.3f}"
        if f.intervals.size:
            ceiling += f" [{f.intervals[1, 0]:.3f}, {f.intervals[1, 1]:.3f}]"
        half = float(np.expm1(min(-f.intercept / f.slope, 50.0)))
        missed = float(np.sqrt(np.mean(f.held_out.curve**2))) if f.held_out is not None else None
        points = str(len(f.trajectory.steps))
        told = "; ".join(f.flags)
        t.add_row(f.trajectory.model, points, f.source, escape(ceiling), f"{half:,.0f}", number(missed), told)
    console.print(t)
