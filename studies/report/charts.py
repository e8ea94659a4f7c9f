"""The page's pictures of rankings: the Pareto front, the bump chart, and the overtaking graph, as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from designer.goal import Goal
from designer.scorecard import LARGER_IS_BETTER, Scorecard
from designer.search import Evaluated, SearchResult
from followers.arrays import IntArray
from studies.propose import Row
from studies.report.boards import Board
from studies.report.overtaking import Overtaking, as_graph
from studies.report.svg import Scale, axes, circle, clip, document, path, short, text

__all__ = ["WIDTH", "axes_of", "bump", "figure_words", "front", "kind_of", "overtakes", "short_words", "value_of"]

WIDTH = 400.0
_NAME = 15  # letters of a developer's name that fit


_WORDS = {
    "kendall_tau": "Kendall tau-b, published vs true",
    "designer_cost": "designer's cost, tuning steps × billions of parameters",
    "pure_share": "share of populations with a pure equilibrium",
    "margin": "stability margin, prize units",
    "audits": "audits expected per round",
    "wasted_effort": "developers' cost / prize pool",
}


_SHORT = {"kendall_tau": "tau-b", "designer_cost": "designer's cost"}


def short_words(metric: str) -> str:
    """A figure of the scorecard in a word or two."""
    return _SHORT.get(metric, metric.replace("_", " "))


def figure_words(metric: str) -> str:
    """A figure of the scorecard with its unit, for an axis."""
    return _WORDS.get(metric, metric.replace("_", " "))


def axes_of(goal: Goal) -> tuple[str, str]:
    """The figures of the front's vertical and horizontal axis: one to raise, and the other."""
    up = next((m for m in goal.front if LARGER_IS_BETTER[m]), goal.front[0])
    return up, next(m for m in goal.front if m != up)


def value_of(card: Scorecard, metric: str) -> float:
    """Mean of a figure; for tau-b undefined in equilibrium, the one at face value. NaN where neither is defined."""
    value = card.mean(metric)
    return card.mean("face_value_tau") if metric == "kendall_tau" and not math.isfinite(value) else value


def kind_of(e: Evaluated) -> str:
    """How a trial ended."""
    return "meets the goal" if e.feasible else "misses the goal" if e.full else "stopped early"


def _point_words(e: Evaluated, kind: str, goal: Goal) -> str:
    figures = ", ".join(
        f"{short_words(m)} {short(value_of(e.scorecard, m))}" for m in dict.fromkeys((*goal.front, "pure_share"))
    )
    return f"{kind}: {e.protocol.sentence()}. {figures}, on {e.scorecard.draws:,} draws"


def front(result: SearchResult, best: Sequence[Evaluated], rows: Sequence[Row]) -> str:
    """Every trial by two figures of the front, the front itself, the baselines, the recommendation."""
    goal, chosen = result.goal, result.nearest
    y_metric, x_metric = axes_of(goal)
    up, along = short_words(y_metric), short_words(x_metric)

    def place(card: Scorecard) -> tuple[float, float]:
        return value_of(card, x_metric), value_of(card, y_metric)

    def shown(card: Scorecard) -> bool:
        return all(map(math.isfinite, place(card)))

    trials = [e for e in {e.protocol: e for e in result.trials}.values() if shown(e.scorecard)]
    on_front = sorted((e for e in best if shown(e.scorecard)), key=lambda e: place(e.scorecard))
    marks = [(r.name, *place(r.card)) for r in rows[:-1] if shown(r.card)]
    cards = [e.scorecard for e in (*trials, *on_front, *([chosen] if shown(chosen.scorecard) else ()))]
    points = [place(card) for card in cards] + [(a, b) for _, a, b in marks]
    xs, ys = zip(*points, strict=True) if points else ((0.0,), (0.0,))
    x = _around(xs, 42, WIDTH - 10)
    y = _around(ys, 250, 26)
    parts = [axes(x, y, figure_words(x_metric), figure_words(y_metric))]

    def at(e: Evaluated) -> tuple[float, float]:
        a, b = place(e.scorecard)
        return x(a), y(b)

    drawn = {e.protocol for e in on_front}
    for e in trials:
        if e.protocol not in drawn:
            parts.append(circle(*at(e), 3, "dot ok" if e.feasible else "dot no", _point_words(e, kind_of(e), goal)))
    if len(on_front) > 1:
        parts.append(path([at(e) for e in on_front], "front"))
    parts += [circle(*at(e), 4.5, "dot best", _point_words(e, "on the front", goal)) for e in on_front]
    for k, (name, a, b) in enumerate(marks):
        tip = f"{name}: {up} {b:.3f}, {along} {short(a)}, on the fresh draws of the scorecard"
        parts.append(_diamond(x(a), y(b), "baseline", tip))
        side = "start" if x(a) < WIDTH / 2 else "end"
        parts.append(text(x(a) + (9 if side == "start" else -9), y(b) + 3 - 9 * (k % 2), name, "tick", side))
    if shown(chosen.scorecard):
        name = "recommended" if result.best is not None else "nearest miss"
        left, top = at(chosen)
        parts.append(circle(left, top, 8, "chosen", _point_words(chosen, name, goal)))
        side = "start" if left < WIDTH / 2 else "end"
        parts.append(text(left + (11 if side == "start" else -11), top + 16, name, "tick strong", side))
    counted = f"{len(on_front)} lie on the Pareto front"
    label = f"Scatter plot of {len(trials)} protocols tried: {up} against {along}; {counted}"
    return document(parts, WIDTH, 290, label)


def _around(values: Sequence[float], start: float, end: float) -> Scale:
    """A scale that leaves some room around the values."""
    low, high = min(values), max(values)
    room = 0.04 * (high - low) or 0.05 * abs(high) or 1.0
    return Scale(0.0 if low == 0 else low - room, high + room, start, end)


def _diamond(x: float, y: float, css: str, tip: str) -> str:
    return path([(x, y - 6), (x + 6, y), (x, y + 6), (x - 6, y), (x, y - 6)], css, tip)


def bump(names: Sequence[str], truth: IntArray, boards: Sequence[Board]) -> str:
    """A line per developer: its true rank on the left, its place on each board to the right."""
    n = len(names)
    pitch = 15.0 if n > 12 else 22.0
    columns = np.linspace(130, WIDTH - 14, 1 + len(boards))
    top = 44.0
    parts = [text(columns[0], 16, "true quality", "label", "middle")]
    for k, (x, board) in enumerate(zip(columns[1:], boards, strict=True)):
        last = k == len(boards) - 1
        anchor, at = ("end", WIDTH - 2) if last else ("middle", x)
        parts.append(text(at, 16 if k % 2 else 30, board.name + ("" if board.settled else " *"), "label", anchor))
    for i, name in enumerate(names):
        places = [truth[i], *(b.place[i] for b in boards)]
        points = [(float(x), top + pitch * (int(p) - 1)) for x, p in zip(columns, places, strict=True)]
        words = ", ".join(f"{b.name} {int(b.place[i])}" for b in boards)
        for k in range(len(boards)):
            off = abs(int(places[k + 1]) - int(truth[i])) >= max(2, round(n / 12))
            css = "bump far" if off else "bump"
            parts.append(path(points[k : k + 2], css, f"{name}: true rank {int(truth[i])}; {words}"))
        parts += [circle(x, y, 2.6, "knot") for x, y in points]
        parts.append(text(columns[0] - 8, points[0][1] + 3.5, f"{clip(name, _NAME)} {int(truth[i])}", "tick", "end"))
    label = f"Bump chart of {n} developers: true rank on the left, then the place on the boards of " + ", ".join(
        b.name for b in boards
    )
    return document(parts, WIDTH, top + pitch * n, label)


def overtakes(found: Overtaking, names: Sequence[str], title: str) -> str:
    """An arc diagram: developers from the top of the board, an arc from each tempted one to the rival it would pass."""
    n = len(names)
    pitch = 15.0 if n > 12 else 24.0
    left, top = 150.0, 14.0
    row = {i: top + pitch * r for r, i in enumerate(found.order)}
    graph = as_graph(found, names)
    where = {name: i for i, name in enumerate(names)}
    parts: list[str] = []
    for r, i in enumerate(found.order, start=1):
        css = "tick strong" if any(o.developer == i for o in found.paying) else "tick"
        parts.append(text(left - 10, row[i] + 3.5, f"{r}  {clip(names[i], _NAME)}", css, "end"))
        parts.append(circle(left, row[i], 3, "knot"))
    edges = [(where[u], where[v], d) for u, v, d in graph.edges(data=True)]
    for i, j, data in sorted(edges, key=lambda e: bool(e[2]["race"])):
        parts.append(
            _arc(left, row[i], row[j], "race" if data["race"] else "pays", _edge_words(names[i], names[j], data))
        )
    if not edges:
        nearest = found.overtakes[:3]
        for o in nearest:
            if o.target is not None:
                tip = f"{names[o.developer]} would lose {-o.net:.4g} by passing {names[o.target]}"
                parts.append(_arc(left, row[o.developer], row[o.target], "resists", tip))
        what = "nobody gains by passing anybody" if found.overtakes else "nobody can gain a prize"
        parts.append(text(left + 30, top + pitch * n + 4, what, "label"))
    race = sum(1 for e in edges if e[2]["race"])
    label = f"Overtaking graph under {title}: {len(edges)} overtakes pay" + (
        f", {race} of them belong to a race that never ends" if race else ""
    )
    return document(parts, WIDTH, top + pitch * n + 12, label)


def _edge_words(who: str, whom: str, data: dict[str, object]) -> str:
    cost = data["cost"]
    price = f": cost {cost:.4g}, prize gain {data['gain']:.4g}" if isinstance(cost, float) else ""
    race = "; part of the race that never ends" if data["race"] else ""
    return f"{who} passes {whom} with {data['effort']:,.4g} steps{price}, net gain {data['net']:.4g}{race}"


def _arc(x: float, y1: float, y2: float, css: str, tip: str) -> str:
    """A curve to the right, wider the further it reaches; the arrow ends at the rival."""
    from html import escape

    reach = x + min(WIDTH - x - 8, 22 + 0.62 * abs(y2 - y1))
    d = f"M{x + 4:g},{y1:g}C{reach:g},{y1:g} {reach:g},{y2:g} {x + 5:g},{y2:g}"
    return f'<path d="{d}" class="arc {css}" marker-end="url(#head)" data-tip="{escape(tip)}"/>'
