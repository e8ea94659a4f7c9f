"""`truerank plot`: one figure of a game, a population or a study as PNG or SVG."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from designer.protocol import Protocol
from designer.search import Evaluated
from followers.errors import InputError
from followers.population import Population
from studies.plot_style import BLUE, GREEN, GREY, INK, ORANGE, PALETTE, SHADE, canvas, save
from studies.propose import Proposal
from studies.report.audit_bars import audit_bars
from studies.report.boards import trajectories, true_order
from studies.report.budget_margin import budget_margin
from studies.report.charts import axes_of, figure_words, kind_of, value_of
from studies.report.overtaking import as_graph, overtaking

__all__ = ["plot_audit", "plot_curves", "plot_front", "plot_margin", "plot_overtakes", "write_figures"]

Shown = dict[str, Any]
"""What a figure shows, in figures: for `--json`."""


def write_figures(proposal: Proposal, folder: Path) -> list[Path]:
    """Every figure of a study into a folder, made if need be, as PNG and SVG: of the protocol it recommends.

    The overtaking graph is drawn for each protocol compared, audits only where there are any.

    Raises
    ------
    InputError : the folder or a file cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be made ({error.strerror})") from None
    population, chosen = proposal.population, proposal.result.nearest.protocol
    draw: dict[str, Callable[[Path], Shown]] = {
        "front": partial(plot_front, proposal),
        "curves": partial(plot_curves, population, chosen),
        "margin": partial(plot_margin, population, chosen),
        **{
            f"overtakes-{r.name.replace(' ', '-')}": partial(plot_overtakes, population, r.protocol)
            for r in proposal.rows
        },
    }
    if chosen.audit.active:
        draw["audit"] = partial(plot_audit, population, chosen, what="the study")
    paths = [folder / f"{name}.{kind}" for name in draw for kind in ("png", "svg")]
    for path in paths:
        draw[path.stem](path)
    return paths


def plot_curves(population: Population, protocol: Protocol, path: Path) -> Shown:
    """Score curves with the protocol's budget marked."""
    marks = (("protocol", protocol.tune_steps),) if protocol.tune_steps else ()
    found, truth = trajectories(population, marks, points=200), true_order(population)
    with canvas(width=7.0) as (figure, axes):
        for i in np.argsort(-truth):
            best = int(truth[i]) <= len(PALETTE)
            colour = PALETTE[int(truth[i]) - 1] if best else GREY
            label = f"{truth[i]}  {population.names[i]}" if best else None
            axes.plot(1 + found.steps, found.score[:, i], color=colour, lw=1.4 if best else 0.6, label=label)
        for name, steps in found.marks:
            axes.axvline(1 + steps, color=INK, lw=0.9, ls="--")
            axes.annotate(f"Δ of the {name}: {steps:,.0f}", (1 + steps, 1), xycoords=("data", "axes fraction"), **_LEFT)
        axes.set(xscale="log", xlabel="1 + tuning steps", ylabel="score")
        handles, labels = axes.get_legend_handles_labels()
        title = "true rank" if len(truth) <= len(PALETTE) else f"true rank ({len(truth) - len(PALETTE)} more in grey)"
        figure.legend(handles[::-1], labels[::-1], loc="outside right upper", title=title, fontsize=8)
        save(figure, path)
    return {"developers": population.n, "budgets": {name: steps for name, steps in found.marks}}


_LEFT: dict[str, Any] = {"xytext": (-4, -10), "textcoords": "offset points", "ha": "right", "fontsize": 8}


def plot_margin(population: Population, protocol: Protocol, path: Path) -> Shown:
    """Stability margin against the tuning budget; budgets proved stable are shaded."""
    from matplotlib.ticker import EngFormatter, NullLocator

    found = budget_margin(population, protocol)
    with canvas(width=7.0) as (figure, axes):
        for k, (a, b) in enumerate(found.intervals or ()):
            axes.axvspan(a, b, color=SHADE, lw=0, label="proved stable" if k == 0 else None)
        margin = np.where(np.isfinite(found.margin), found.margin, np.nan)
        axes.plot(found.steps, margin, color=BLUE, lw=1.3)
        axes.axhline(0, color=INK, lw=0.7)
        axes.axvline(found.chosen, color=INK, lw=0.9, ls="--", label=f"Δ of the protocol: {found.chosen:,.0f}")
        if found.least is not None:
            axes.axvline(found.least, color=ORANGE, lw=1.3, label=f"Δ* = {found.least:,.1f}")
        axes.set_yscale("symlog", linthresh=1e-3, linscale=0.5)
        axes.set_yticks([t for k in range(-3, 3) for t in (-(10.0**k), 10.0**k)] + [0.0])
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_locator(NullLocator())
        shown = margin[np.isfinite(margin)]
        if len(shown):
            axes.set_ylim(min(-2e-3, 1.5 * float(shown.min())), max(2e-3, 1.5 * float(shown.max())))
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.set(xlabel="tuning budget Δ, steps", ylabel="stability margin, prize units", xlim=(0, found.steps[-1]))
        axes.legend(loc="lower right", fontsize=8)
        save(figure, path)
    return {
        "intervals": None if found.intervals is None else [list(i) for i in found.intervals],
        "least_budget": found.least,
        "note": found.note,
    }


def plot_overtakes(population: Population, protocol: Protocol, path: Path) -> Shown:
    """The board from the top; an arrow from each developer who would deviate to the rival it would pass."""
    from matplotlib.patches import FancyArrowPatch

    found, names = overtaking(protocol.induce(population)), population.names
    graph = as_graph(found, names)
    row = {names[i]: r for r, i in enumerate(found.order)}
    n, race = population.n, sum(1 for *_, d in graph.edges(data=True) if d["race"])
    with canvas(width=6.0, height=max(2.6, 0.9 + 0.21 * n)) as (figure, axes):
        for u, v, data in sorted(graph.edges(data=True), key=lambda e: bool(e[2]["race"])):
            bend = 0.15 + 0.75 * abs(row[u] - row[v]) / n
            colour, width, depth = (ORANGE, 2.2, 3) if data["race"] else (BLUE, 0.9, 2)
            arrow = FancyArrowPatch(
                (0, row[u]),
                (0, row[v]),
                connectionstyle=f"arc3,rad={bend if row[u] > row[v] else -bend:.3f}",
                arrowstyle="-|>",
                mutation_scale=8,
                color=colour,
                lw=width,
                zorder=depth,
            )
            axes.add_patch(arrow)
        axes.plot(np.zeros(n), np.arange(n), "o", color=INK, ms=3, zorder=4)
        for name, r in row.items():
            axes.annotate(
                f"{r + 1}  {name}", (0, r), xytext=(-8, 0), textcoords="offset points", ha="right", va="center"
            )
        axes.set(xlim=(-0.5, 0.75), ylim=(n - 0.4, -0.8))
        axes.axis("off")
        axes.plot([], [], color=BLUE, label=f"{len(found.paying)} overtakes pay")
        if race:
            axes.plot([], [], color=ORANGE, lw=2.2, label="a race that never ends")
        axes.legend(loc="lower right", fontsize=8)
        axes.set_title(f"pure equilibrium: {found.status.value}", fontsize=9)
        save(figure, path)
    edges = [{"developer": u, "passes": v, **data} for u, v, data in graph.edges(data=True)]
    return {"status": found.status.value, "overtakes": edges}


def plot_audit(population: Population, protocol: Protocol, path: Path, what: str) -> Shown:
    """Audit probability per published rank, with the least that deters.

    Raises
    ------
    InputError : the protocol audits nobody.
    """
    found = audit_bars(population, protocol)
    if found is None:
        raise InputError(
            f"{what}: the protocol audits nobody; a plan with [protocol] audit is needed (truerank audit plan)"
        )
    last = int(np.flatnonzero(found.announced)[-1]) + 1
    ranks = np.arange(1, last + 1)
    with canvas(width=6.0, height=max(2.2, 1.2 + 0.24 * last)) as (figure, axes):
        axes.barh(ranks, found.announced[:last], color=BLUE, height=0.65, label="announced")
        least = found.least[:last]
        seen = np.isfinite(least) & (least > 0)
        if seen.any():
            axes.vlines(
                least[seen], ranks[seen] - 0.45, ranks[seen] + 0.45, color=ORANGE, lw=2, label="least that deters"
            )
        binding = {c.target: c for c in found.binding}
        for r in ranks.tolist():
            if r in binding:
                c = binding[r]
                place = max(float(found.announced[r - 1]), float(least[r - 1])) + 0.02
                axes.annotate(f"binds: {c.developer} (rank {c.rank})", (place, r), va="center", fontsize=8, color=INK)
        axes.set(
            xlim=(0, 1.25),
            ylim=(last + 0.6, 0.4),
            xlabel="probability of an audit",
            ylabel="published rank",
            yticks=ranks,
        )
        axes.set_xticks(np.linspace(0, 1, 6))
        figure.legend(loc="outside right upper", fontsize=8)
        save(figure, path)
    return {
        "probability": found.announced.tolist(),
        "binding": [c.sentence() for c in found.binding],
        "words": list(found.words),
    }


def plot_front(proposal: Proposal, path: Path) -> Shown:
    """Ranking quality against the designer's cost: trials, the Pareto front, baselines, the recommendation."""
    from matplotlib.ticker import EngFormatter

    result = proposal.result
    y, x = axes_of(result.goal)

    def places(evaluated: Sequence[Evaluated]) -> tuple[list[float], list[float]]:
        return [value_of(e.scorecard, x) for e in evaluated], [value_of(e.scorecard, y) for e in evaluated]

    with canvas(width=7.0) as (figure, axes):
        for kind, style in (("stopped early", "x"), ("misses the goal", "."), ("meets the goal", "o")):
            tried = [e for e in result.trials if kind_of(e) == kind]
            colour = GREEN if kind == "meets the goal" else GREY
            if tried:
                axes.plot(*places(tried), style, color=colour, ms=4, label=kind)
        front = sorted(proposal.front, key=lambda e: value_of(e.scorecard, x))
        axes.plot(*places(front), "o-", color=BLUE, ms=4, lw=1, label="Pareto front")
        for row, mark in zip(proposal.rows[:-1], cycle("Ds^vP"), strict=False):
            spot = [value_of(row.card, x)], [value_of(row.card, y)]
            axes.plot(*spot, mark, mfc="none", mec=INK, ms=6, label=row.name)
        name = "recommended" if result.best is not None else "nearest miss"
        axes.plot(*places([result.nearest]), "o", mfc="none", mec=ORANGE, mew=1.8, ms=11, label=name)
        axes.set(xlabel=figure_words(x), ylabel=figure_words(y))
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.margins(0.04)
        figure.legend(loc="outside right upper", fontsize=8)
        save(figure, path)
    return {
        "trials": len(result.trials),
        "front": [e.protocol.sentence() for e in front],
        name.replace(" ", "_"): result.nearest.protocol.sentence(),
    }
