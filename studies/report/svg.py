"""Small pieces of SVG: scales, axes, marks. Colours and type come from the page's style sheet, by class."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

__all__ = ["Scale", "axes", "circle", "clip", "document", "line", "path", "rect", "text"]

Kind = Literal["linear", "log", "symlog"]

SYMLOG_UNIT = 1e-3
"""Below this a symlog scale is linear."""


def _bent(value: float) -> float:
    return math.asinh(value / SYMLOG_UNIT)


@dataclass(frozen=True, slots=True)
class Scale:
    """Values from `low` to `high` mapped to pixels from `start` to `end`; values beyond are clipped.

    kind : "linear"; "log", logarithm of 1 + value; "symlog", inverse hyperbolic sine, linear below `SYMLOG_UNIT`.
    """

    low: float
    high: float
    start: float
    end: float
    kind: Kind = "linear"

    def __call__(self, value: float) -> float:
        """Where a value lies, pixels."""
        f = {"linear": float, "log": math.log1p, "symlog": _bent}[self.kind]
        a, b = f(self.low), f(self.high)
        share = 0.5 if b == a else (f(min(max(value, self.low), self.high)) - a) / (b - a)
        return round(self.start + share * (self.end - self.start), 2)

    def ticks(self, count: int = 5) -> list[tuple[float, str]]:
        """Round values within the scale with their labels."""
        if self.kind == "log":
            powers = [0.0] + [10.0**k for k in range(0, 10)]
            return [(v, short(v)) for v in powers if self.low <= v <= self.high]
        if self.kind == "symlog":
            size = [10.0**k for k in range(-3, 10)]
            values = [-v for v in reversed(size)] + [0.0] + size
            return [(v, f"{v:g}") for v in values if self.low <= v <= self.high]
        span = self.high - self.low
        if span <= 0:
            return [(self.low, short(self.low))]
        raw = span / count
        unit = 10.0 ** math.floor(math.log10(raw))
        step = next(unit * m for m in (1, 2, 2.5, 5, 10) if unit * m >= raw)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [(k * step, short(k * step)) for k in range(first, last + 1)]


def short(value: float) -> str:
    """A tick label: 20k, 1.5M, 0.25."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.4g}{letter}"
    return f"{value:.4g}"


def clip(words: str, length: int) -> str:
    """Words cut to a length, with an ellipsis."""
    return words if len(words) <= length else words[: length - 1].rstrip() + "…"


def text(x: float, y: float, words: str, css: str = "tick", anchor: str = "start") -> str:
    """A label."""
    return f'<text x="{x:g}" y="{y:g}" class="{css}" text-anchor="{anchor}">{escape(words)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, css: str) -> str:
    """A straight line."""
    return f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" class="{css}"/>'


def _tip(tip: str) -> str:
    return f' data-tip="{escape(tip)}"' if tip else ""


def path(points: Iterable[tuple[float, float]], css: str, tip: str = "") -> str:
    """A polyline through points."""
    joined = "L".join(f"{x:g},{y:g}" for x, y in points)
    return f'<path d="M{joined}" class="{css}"{_tip(tip)}/>'


def circle(x: float, y: float, radius: float, css: str, tip: str = "") -> str:
    """A dot."""
    return f'<circle cx="{x:g}" cy="{y:g}" r="{radius:g}" class="{css}"{_tip(tip)}/>'


def rect(x: float, y: float, width: float, height: float, css: str, tip: str = "") -> str:
    """A bar."""
    size = f'width="{max(width, 0.0):g}" height="{max(height, 0.0):g}"'
    return f'<rect x="{x:g}" y="{y:g}" {size} class="{css}"{_tip(tip)}/>'


def axes(x: Scale, y: Scale, x_label: str, y_label: str, *, x_count: int = 4, y_count: int = 5) -> str:
    """Grid lines, ticks and labels with units; the x axis lies below, the y label above the plot."""
    parts = []
    for value, label in y.ticks(y_count):
        parts.append(line(x.start, y(value), x.end, y(value), "grid"))
        parts.append(text(x.start - 5, y(value) + 3.5, label, "tick", "end"))
    last = -1e9
    for value, label in x.ticks(x_count):
        parts.append(line(x(value), y.start, x(value), y.start + 4, "axis"))
        if x(value) - last > 24:
            parts.append(text(x(value), y.start + 16, label, "tick", "middle"))
            last = x(value)
    parts.append(line(x.start, y.start, x.end, y.start, "axis"))
    parts.append(text((x.start + x.end) / 2, y.start + 32, x_label, "label", "middle"))
    parts.append(text(4, 13, y_label, "label"))
    return "".join(parts)


def document(parts: Sequence[str], width: float, height: float, label: str) -> str:
    """An SVG picture with its description for those who do not see it."""
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(label)}" '
        f'xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg>'
    )
