"""The figures of `truerank paper`, as PNG and SVG."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from studies.paper.catch_up import PUBLISHED_END, take, winogrande_like
from studies.plot_style import BLUE, GREY, INK, RED, canvas, save_both

if TYPE_CHECKING:
    from studies.paper.run import Board, Paper

__all__ = ["draw_all"]


def draw_all(paper: Paper, out: Path) -> list[Path]:
    """Every figure; returns the files."""
    files = []
    for board in paper.boards:
        files += _measured(board, out)
    return [*files, *_like(paper, out), *_thresholds(paper, out), *_agreement(paper, out), *_top_k(paper, out)]


def _measured(board: Board, out: Path) -> list[Path]:
    """Figure 1's construction: trajectories on the left, catch-up effort against the tuning budget on the right."""
    steps = np.concatenate([[0.0], np.geomspace(1.0, board.last, 200)])
    curve, _, names = take(board.population, list(range(board.population.n)))
    score = curve.score(steps[:, None])
    chosen = set(board.ordered.names)
    with canvas(2) as (figure, (left, right)):
        for i, name in enumerate(names):
            colour, width, depth = (BLUE, 1.2, 3) if name in chosen else (GREY, 0.6, 1)
            left.plot(1 + steps, score[:, i], color=colour, lw=width, zorder=depth)
            if name in board.measured and name in chosen:
                t = board.measured[name]
                left.errorbar(1 + t.efforts, t.scores, t.stderrs, fmt=".", ms=3, lw=0.6, color=INK, zorder=4)
        left.set(xscale="log", xlabel="1 + tuning steps", ylabel="score", title=f"{board.name}: fitted trajectories")
        left.plot([], [], color=BLUE, label=f"{len(chosen)} that never cross")
        left.plot([], [], color=GREY, label="others")
        left.legend(loc="upper left")
        right.plot(1 + board.ordered.budgets, board.ordered.least, color=BLUE, label="least, those that never cross")
        middle = board.all_models.median
        seen = np.isfinite(middle)
        right.plot(1 + board.all_models.budgets[seen], middle[seen], color=GREY, label="median of all neighbours")
        least = board.all_models.least
        note = f"least of all neighbours: {least[-1]:,.0f} at {board.last:,.0f} steps"
        right.plot([], [], " ", label=note)
        right.set(
            xscale="log",
            yscale="log",
            xlabel="1 + tuning budget, steps",
            ylabel="catch-up effort, steps",
            title="effort to overtake the next better model",
        )
        right.legend(loc="upper left")
        return save_both(figure, out, f"figure1_{board.name}")


def _like(paper: Paper, out: Path) -> list[Path]:
    curve, _, names = winogrande_like()
    steps = np.linspace(0.0, 3000.0, 301)
    score = curve.score(steps[:, None])
    with canvas(2) as (figure, (left, right)):
        for i, name in enumerate(names):
            left.plot(steps, score[:, i], lw=1.2, label=name)
        left.set(xlabel="tuning steps", ylabel="score", title="five Winogrande-like curves (assumed)")
        left.legend(loc="lower right")
        right.plot(paper.like.budgets, paper.like.least, color=BLUE, label="these curves")
        right.plot([3000.0], [PUBLISHED_END], "x", color=RED, label=f"published end: {PUBLISHED_END:,.0f} (paper)")
        right.set(xlabel="tuning budget, steps", ylabel="steps", title="minimum catch-up effort")
        right.legend(loc="upper left")
        return save_both(figure, out, "figure1_winogrande_like")


def _thresholds(paper: Paper, out: Path) -> list[Path]:
    with canvas(1) as (figure, axes):
        for t in paper.thresholds:
            axes.plot(t.gaps, t.budgets, ".-", lw=0.8, ms=4, label=f"{t.title}: exponent {t.fitted:.3f}")
        axes.set(
            xscale="log", yscale="log", xlabel="prize gap", ylabel="least stabilising budget, steps", title="Prop. 5.6"
        )
        axes.legend(loc="upper left", fontsize=7)
        return save_both(figure, out, "thresholds")


def _agreement(paper: Paper, out: Path) -> list[Path]:
    a = paper.agreement
    n, place = len(a.tasks), {t: i for i, t in enumerate(a.tasks)}
    table = np.full((2, n, n), 1.0)
    for first, second, direct, tuned in a.pairs:
        i, j = place[first], place[second]
        table[:, i, j] = table[:, j, i] = direct, tuned
    with canvas(2) as (figure, both):
        for k, (axes, words, mean) in enumerate(zip(both, ("direct", "tuned"), (a.direct, a.tuned), strict=True)):
            image = axes.imshow(table[k], vmin=min(0.0, float(table.min())), vmax=1, cmap="viridis")
            axes.set(title=f"{words}: mean tau-b {mean:.3f}", yticks=range(n))
            axes.set_yticklabels(a.tasks, fontsize=5)
            axes.set_xticks(range(n), a.tasks, rotation=90, fontsize=5)
        figure.colorbar(image, ax=list(both), label="Kendall tau-b")
        return save_both(figure, out, "agreement")


def _top_k(paper: Paper, out: Path) -> list[Path]:
    populations = list(dict.fromkeys(t.population for t in paper.top_k))
    with canvas(2) as (figure, (left, right)):
        for name in populations:
            own = [t for t in paper.top_k if t.population == name]
            ks = [t.k for t in own]
            left.plot(ks, [t.within for t in own], ".-", label=name)
            right.plot(ks, [t.truthful for t in own], ".-", label=name)
        left.set(xlabel="k", ylabel="share of populations", title="no measured budget stabilises them", ylim=(0, 1))
        right.set(xlabel="k", title="no budget to 1e9 steps publishes the true top k", ylim=(0, 1))
        left.legend(loc="upper left")
        return save_both(figure, out, "top_k")
