"""What `truerank compare` and `truerank protocols` print."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from designer.comparison import Estimate
from designer.scorecard import METRICS
from studies.tables import figure, number, print_reasons, table

if TYPE_CHECKING:
    from designer.practice import Practice
    from studies.compare import Comparison

__all__ = ["print_comparison", "print_practice"]

_ACROSS = 4
"""Up to this many protocols stand side by side, one column each; more stand below one another."""

_BLOCKS = (
    ("kendall_tau", "face_value_tau", "top_one", "pure_share"),
    ("margin", "tempted", "wasted_effort", "designer_cost", "audits"),
)
"""Figures that stand side by side where protocols stand below one another."""


def print_comparison(console: Console, comparison: Comparison) -> None:
    """Scorecards, the figure compared with intervals and places, and which differences can be told apart."""
    title = f"{comparison.draws} draws of {comparison.developers} developers, seed {comparison.seed}"
    if len(comparison.names) <= _ACROSS:
        _print_across(console, comparison, title)
    else:
        _print_below(console, comparison, title)
    print_reasons(console, [f for c in comparison.cards for f in c.figures.values()])
    for name, card in zip(comparison.names, comparison.cards, strict=True):
        if card.unknown:
            console.print(f"{name}: {card.unknown} of {card.draws} draws undecided, counted as without equilibrium")
    console.print()
    _print_standings(console, comparison)
    _print_differences(console, comparison)
    for sentence in comparison.verdict.sentences():
        console.print(sentence)
    for name, reason in comparison.left_out.items():
        console.print(f"left out: {reason if reason.startswith(name) else f'{name}: {reason}'}", markup=False)


def _print_across(console: Console, comparison: Comparison, title: str) -> None:
    """One column per protocol, one row per figure, then paired differences to the first."""
    t = table(title, "", *comparison.names)
    t.add_row("protocol", *(c.protocol.sentence() for c in comparison.cards))
    for metric in METRICS:
        t.add_row(metric, *(figure(c.figures[metric]) for c in comparison.cards))
    console.print(t)
    if comparison.differences:
        d = table(f"paired differences to {comparison.names[0]}, same draws", "", *comparison.names[1:])
        for metric in METRICS:
            d.add_row(metric, *(figure(x[metric]) for x in comparison.differences))
        console.print(d)


def _print_below(console: Console, comparison: Comparison, title: str) -> None:
    """One row per protocol, one column per figure, in two blocks."""
    t = table(title, "", "protocol", words=True)
    for name, card in zip(comparison.names, comparison.cards, strict=True):
        t.add_row(name, card.protocol.sentence())
    console.print(t)
    for block in _BLOCKS:
        t = table("", "", *block)
        for name, card in zip(comparison.names, comparison.cards, strict=True):
            t.add_row(name, *(figure(card.figures[metric]) for metric in block))
        console.print(t)


def _interval(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return "–"
    return escape(f"[{number(estimate.low)}, {number(estimate.high)}]")


def _print_standings(console: Console, comparison: Comparison) -> None:
    verdict = comparison.verdict
    order = "larger" if verdict.larger_is_better else "smaller"
    sure = f"{verdict.level:.0%}"
    columns = ("", "mean", sure, "in draws", "pure_share", sure, "rank", "best in")
    t = table(
        f"{verdict.figure}, {order} is better; {sure} intervals, ranks on {verdict.common} common draws", *columns
    )
    for s in verdict.standings:
        place = s.place
        rank = "–" if place is None else str(place.rank)
        if place is not None and place.low != place.high:
            rank += f" ({place.low} to {place.high})"
        count = f"{s.figure.draws}" + (f" (+ {s.unbounded} unbounded)" if s.unbounded else "")
        t.add_row(
            s.name,
            number(s.figure.mean),
            _interval(s.figure),
            count,
            number(s.pure_share.mean),
            _interval(s.pure_share),
            rank,
            "–" if place is None else f"{place.best:.1%}",
        )
    console.print(t)


def _print_differences(console: Console, comparison: Comparison) -> None:
    verdict = comparison.verdict
    if not verdict.differences:
        return
    t = table(
        f"{verdict.figure} less that of {verdict.reference}, in the draws in which both have it",
        *("", "difference", f"{verdict.level:.0%}", "pairs", "p", "p (Holm)"),
    )
    for d in verdict.differences:
        t.add_row(d.name, number(d.figure.mean), _interval(d.figure), str(d.figure.draws), _p(d.p), _p(d.holm))
    console.print(t)


def _p(value: float | None) -> str:
    if value is None:
        return "–"
    return "< 0.0001" if value < 0.0001 else f"{value:.2g}"


def print_practice(console: Console, library: Sequence[Practice]) -> None:
    """The named protocols: what they are and where they come from."""
    t = table("", "name", "protocol", "source", words=True)
    for p in library:
        t.add_row(p.name, p.protocol.sentence(), escape(f"{p.source} <{p.url}>"))
    console.print(t)
    console.print("truerank protocols NAME prints the file, with what of it is modelled and what is not.")
