"""The page's pictures of numbers: score curves, margins, audits, sensitivity and importance, as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from studies.report.audit_bars import AuditBars
from studies.report.boards import Trajectories
from studies.report.budget_margin import BudgetMargin
from studies.report.charts import WIDTH
from studies.report.sensitivity import Importance, Turn
from studies.report.svg import Scale, axes, circle, clip, document, line, path, rect, text

__all__ = ["audits", "curves", "importance", "margins", "sensitivity"]

_HIGHLIGHTED = 6


def curves(found: Trajectories, names: Sequence[str], truth: Sequence[int]) -> str:
    """Score against tuning steps: the truly best in colour, the others in grey, budgets as vertical lines."""
    low, high = float(np.nanmin(found.score)), float(np.nanmax(found.score))
    pad = 0.04 * (high - low or 1.0)
    x = Scale(0.0, float(found.steps[-1]), 42, WIDTH - 10, "log")
    y = Scale(low - pad, high + pad, 270, 26)
    parts = [axes(x, y, "1 + tuning steps, logarithmic", "score", x_count=6)]
    best = [int(i) for i in np.argsort(truth)]
    for i in reversed(best):
        place = best.index(i)
        css = f"curve c{place}" if place < _HIGHLIGHTED else "curve other"
        points = [(x(float(s)), y(float(v))) for s, v in zip(found.steps, found.score[:, i], strict=True)]
        first, end = found.score[0, i], found.score[-1, i]
        tip = f"{names[i]}, true rank {int(truth[i])}: {first:.3f} at first, {end:.3f} in the end"
        parts.append(path(points, css, tip))
    for k, (name, steps) in enumerate(found.marks):
        parts.append(line(x(steps), y.start, x(steps), y.end, "mark"))
        side = "end" if x(steps) > WIDTH / 2 else "start"
        parts.append(text(x(steps) + (-4 if side == "end" else 4), 38 + 13 * k, f"Δ {name}", "tick strong", side))
    parts += _legend([(f"curve c{k}", names[i]) for k, i in enumerate(best[:_HIGHLIGHTED])], 316)
    label = f"Score curves of {len(names)} developers against tuning steps; budgets marked: " + (
        ", ".join(f"{name} at {steps:,.0f}" for name, steps in found.marks) or "none"
    )
    return document(parts, WIDTH, 316 + 15 * math.ceil(len(best[:_HIGHLIGHTED]) / 2), label)


def _legend(entries: Sequence[tuple[str, str]], top: float) -> list[str]:
    parts = []
    for k, (css, words) in enumerate(entries):
        x, y = 42 + 178 * (k % 2), top + 15 * (k // 2)
        parts += [line(x, y - 4, x + 18, y - 4, css), text(x + 24, y, clip(words, 24), "tick")]
    return parts


def margins(found: BudgetMargin) -> str:
    """Margin against the tuning budget, with the budgets that are proved stable shaded."""
    finite = found.margin[np.isfinite(found.margin)]
    bound = found.span or 1.0
    low = float(max(min(finite.min(initial=0.0), -0.01 * bound), -2 * bound))
    high = float(min(max(finite.max(initial=0.0), 0.01 * bound), 10 * bound))
    x = Scale(0.0, float(found.steps[-1]), 48, WIDTH - 12)
    y = Scale(low, high, 250, 26, "symlog")
    parts = []
    for a, b in found.intervals or ():
        tip = f"proved stable from {a:,.1f} to {b:,.1f} steps"
        parts.append(rect(x(a), y.end, max(x(b) - x(a), 0.8), y.start - y.end, "stable", tip))
    parts.append(axes(x, y, "tuning budget Δ, steps", "stability margin, prize units (symmetric log)"))
    parts.append(line(x.start, y(0.0), x.end, y(0.0), "zero"))
    points = [(x(float(s)), y(float(m))) for s, m in zip(found.steps, found.margin, strict=True) if not np.isnan(m)]
    if points:
        parts.append(path(points, "curve c0"))
    parts.append(line(x(found.chosen), y.start, x(found.chosen), y.end, "mark"))
    side = "end" if x(found.chosen) > WIDTH / 2 else "start"
    parts.append(text(x(found.chosen) + (-4 if side == "end" else 4), 38, "this protocol", "tick strong", side))
    if found.least is not None:
        parts.append(line(x(found.least), y.start, x(found.least), y.end, "mark star"))
        parts.append(text(x(found.least) + 4, y.start - 6, f"Δ* {found.least:,.0f}", "tick strong"))
    label = "Stability margin against the tuning budget; " + (
        f"{len(found.intervals)} intervals of budgets are proved stable, the first from {found.least:,.0f} steps"
        if found.intervals and found.least is not None
        else "no budget in the range is proved stable"
    )
    return document(parts, WIDTH, 290, label)


def audits(found: AuditBars) -> str:
    """Bars of audit probability per published rank, with a tick at the least that deters."""
    last = max((r for r, p in enumerate(found.announced, start=1) if p > 0), default=1)
    shown = range(1, min(last + 1, len(found.announced)) + 1)
    top, pitch = 26.0, 20.0
    x = Scale(0.0, 1.0, 44, WIDTH - 14)
    parts = [text(4, 13, "published rank, from the top", "label")]
    by_rank = {c.target: c for c in found.binding}
    for r in shown:
        y = top + pitch * (r - 1)
        p, least = float(found.announced[r - 1]), float(found.least[r - 1])
        tip = f"rank {r}: audited with probability {p:.4g}"
        tip += f"; {by_rank[r].sentence()}" if r in by_rank else ""
        parts.append(text(38, y + 12, str(r), "tick", "end"))
        parts.append(rect(x(0), y + 2, x(p) - x(0), pitch - 6, "bar", tip))
        if math.isfinite(least) and least > 0:
            parts.append(line(x(least), y, x(least), y + pitch - 2, "mark star"))
    bottom = top + pitch * len(shown)
    for value, words in x.ticks(5):
        parts.append(text(x(value), bottom + 14, words, "tick", "middle"))
    parts.append(line(x.start, bottom, x.end, bottom, "axis"))
    parts.append(text((x.start + x.end) / 2, bottom + 30, "probability of an audit", "label", "middle"))
    label = f"Audit probabilities of {last} published ranks, {sum(found.plan.probability):.3g} audits expected a round"
    return document(parts, WIDTH, bottom + 36, label)


def sensitivity(knob: str, turned: Sequence[Turn]) -> str:
    """One knob at a time: a row per value, a dot for tau-b and a square for the share with a pure equilibrium."""
    rows = [t for t in turned if t.figures is not None]
    taus = [t.figures["kendall_tau"].mean for t in rows if t.figures]
    low = min([0.0, *(v for v in taus if v is not None)])
    x = Scale(low, 1.0, 168, WIDTH - 14)
    top, pitch = 26.0, 20.0
    parts = [text(4, 13, f"{knob.replace('_', ' ')} set to …", "label")]
    bottom = top + pitch * len(rows)
    for value, words in x.ticks(4):
        parts += [
            line(x(value), top - 4, x(value), bottom, "grid"),
            text(x(value), bottom + 14, words, "tick", "middle"),
        ]
    for k, t in enumerate(rows):
        assert t.figures is not None
        y = top + pitch * k + 8
        parts.append(text(160, y + 4, clip(t.label, 24), "tick strong" if t.chosen else "tick", "end"))
        for metric, css in (("pure_share", "square"), ("kendall_tau", "round")):
            f = t.figures[metric]
            if f.mean is None:
                continue
            spread = f.stderr or 0.0
            tip = f"{metric} {f.mean:.4g} ± {spread:.2g} with {t.value}"
            parts.append(line(x(f.mean - spread), y, x(f.mean + spread), y, f"error {css}"))
            parts.append(
                rect(x(f.mean) - 4, y - 4, 8, 8, f"point {css}", tip)
                if css == "square"
                else circle(x(f.mean), y, 4, f"point {css}", tip)
            )
    key = bottom + 30
    parts += [circle(172, key - 4, 4, "point round"), text(180, key, "tau-b", "tick")]
    parts += [rect(226, key - 8, 8, 8, "point square"), text(240, key, "share with equilibrium", "tick")]
    label = f"Ranking quality and share of populations with a pure equilibrium as {knob} changes, {len(rows)} values"
    return document(parts, WIDTH, key + 8, label)


def importance(found: Sequence[Importance]) -> str:
    """Horizontal bars: how much of each figure's variance over the trials each knob accounts for."""
    parts, y = [], 8.0
    x = Scale(0.0, 1.0, 120, WIDTH - 48)
    for one in found:
        parts.append(text(4, y + 10, one.figure.replace("_", " "), "label"))
        y += 18
        if not one.shares:
            parts.append(text(14, y + 10, clip(one.reason, 60), "tick"))
            y += 20
        for knob, share in one.shares.items():
            parts.append(text(114, y + 11, knob.replace("_", " "), "tick", "end"))
            parts.append(rect(x(0), y + 1, x(share) - x(0), 13, "bar", f"{knob}: {share:.1%} of {one.figure}"))
            parts.append(text(x(share) + 5, y + 11, f"{share:.0%}", "tick"))
            y += 19
        y += 8
    return document(parts, WIDTH, y, "Importance of each knob for " + ", ".join(f.figure for f in found))
