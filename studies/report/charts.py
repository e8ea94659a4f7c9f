"""The page's pictures of rankings: the Pareto front, the bump chart, and the overtaking graph, as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from designer.search import Evaluated
from followers.arrays import IntArray
from studies.propose import Row
from studies.report.boards import Board
from studies.report.overtaking import Overtaking, as_graph
from studies.report.svg import Scale, axes, circle, clip, document, path, short, text

__all__ = ["WIDTH", "bump", "front", "overtakes", "quality_of"]

WIDTH = 400.0
_NAME = 15  # letters of a developer's name that fit


def quality_of(e: Evaluated) -> float:
    """tau-b in equilibrium where it is defined, else at face value; NaN where neither is."""
    tau = e.scorecard.mean("kendall_tau")
    return tau if math.isfinite(tau) else e.scorecard.mean("face_value_tau")


def _point_words(e: Evaluated, kind: str) -> str:
    card = e.scorecard
    return (
        f"{kind}: {e.protocol.sentence()}. tau-b {quality_of(e):.3f}, pure share {card.mean('pure_share'):.0%}, "
        f"designer's cost {short(card.mean('designer_cost'))}"
    )


def front(
    trials: Sequence[Evaluated], best: Sequence[Evaluated], chosen: Evaluated, rows: Sequence[Row], recommended: bool
) -> str:
    """Ranking quality against the designer's cost: every trial, the front, the baselines, the recommendation."""
    shown = [e for e in {e.protocol: e for e in trials}.values() if math.isfinite(quality_of(e))]
    on_front = {e.protocol for e in best}
    costs = [e.scorecard.mean("designer_cost") for e in [*shown, *best, chosen]]
    costs += [r.card.mean("designer_cost") for r in rows]
    marks = [(r.name, r.card.mean("designer_cost"), _row_quality(r)) for r in rows[:-1]]
    quality = [quality_of(e) for e in [*shown, *best, chosen]] + [q for _, _, q in marks]
    quality = [q for q in quality if math.isfinite(q)] or [0.0, 1.0]
    low = min(quality)
    x = Scale(0.0, max(1.0, *costs) * 1.02, 42, WIDTH - 10, "linear")
    y = Scale(low - 0.05 * (1 - low) - 0.005, max(1.0, *quality), 250, 26)
    parts = [axes(x, y, "designer's cost, tuning steps × billions of parameters", "Kendall tau-b, published vs true")]
    for e in shown:
        if e.protocol not in on_front:
            css, kind = ("dot ok", "meets the goal") if e.feasible else ("dot no", "misses the goal")
            parts.append(circle(x(e.scorecard.mean("designer_cost")), y(quality_of(e)), 3, css, _point_words(e, kind)))
    ordered = sorted((e for e in best if math.isfinite(quality_of(e))), key=lambda e: e.scorecard.mean("designer_cost"))
    if len(ordered) > 1:
        parts.append(path([(x(e.scorecard.mean("designer_cost")), y(quality_of(e))) for e in ordered], "front"))
    for e in ordered:
        place = x(e.scorecard.mean("designer_cost")), y(quality_of(e))
        parts.append(circle(*place, 4.5, "dot best", _point_words(e, "on the front")))
    for k, (name, cost, tau) in enumerate(marks):
        if math.isfinite(tau):
            tip = f"{name}: tau-b {tau:.3f}, designer's cost {short(cost)}, on the fresh draws of the scorecard"
            parts.append(_diamond(x(cost), y(tau), "baseline", tip))
            side = "start" if x(cost) < WIDTH / 2 else "end"
            parts.append(text(x(cost) + (9 if side == "start" else -9), y(tau) + 3 - 9 * (k % 2), name, "tick", side))
    if math.isfinite(quality_of(chosen)):
        name = "recommended" if recommended else "nearest miss"
        place = x(chosen.scorecard.mean("designer_cost")), y(quality_of(chosen))
        parts.append(circle(*place, 8, "chosen", _point_words(chosen, name)))
        side = "start" if place[0] < WIDTH / 2 else "end"
        parts.append(text(place[0] + (11 if side == "start" else -11), place[1] + 16, name, "tick strong", side))
    label = (
        f"Scatter plot of {len(shown)} protocols tried: ranking quality against the designer's cost; "
        f"{len(ordered)} lie on the Pareto front"
    )
    return document(parts, WIDTH, 290, label)


def _row_quality(row: Row) -> float:
    tau = row.card.mean("kendall_tau")
    return tau if math.isfinite(tau) else row.card.mean("face_value_tau")


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
