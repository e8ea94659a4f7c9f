"""The house style of matplotlib figures: canvas, colours that people with colour-blindness tell apart, PNG and SVG."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["BLUE", "GREEN", "GREY", "INK", "ORANGE", "PALETTE", "RED", "SHADE", "canvas", "save", "save_both"]

INK, BLUE, RED, GREY = "#222222", "#1f5fa8", "#b8392f", "#9a9a9a"
ORANGE, GREEN, SHADE = "#d55e00", "#009e73", "#cfe8dd"
PALETTE = (BLUE, ORANGE, GREEN, "#cc79a7", "#8a6a00", "#56b4e9")
"""Okabe & Ito (2008), darkened where they must show on white."""

_STYLE: dict[str, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.hashsalt": "truerank",
    "svg.fonttype": "none",
    "legend.frameon": False,
}


@contextmanager
def canvas(columns: int = 1, *, width: float = 5.0, height: float = 4.0) -> Iterator[tuple[Any, Any]]:
    """A figure and its axes, `width` inches per column; nothing of matplotlib's global state is touched."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    style: Any = _STYLE
    with rc_context(style):
        figure = Figure(figsize=(width * columns, height), layout="constrained")
        FigureCanvasAgg(figure)
        yield figure, figure.subplots(1, columns)


def save_both(figure: Any, out: Path, name: str) -> list[Path]:
    """Write a figure as PNG and SVG into a folder; returns the files."""
    paths = [out / f"{name}.png", out / f"{name}.svg"]
    for path in paths:
        save(figure, path)
    return paths


def save(figure: Any, path: Path) -> None:
    """Write a figure whole or not at all: PNG or SVG by the file's ending; an SVG has the same bytes every time.

    Raises
    ------
    InputError : another ending, or the file cannot be written.
    """
    from followers.errors import InputError

    kind = path.suffix.lower().removeprefix(".")
    if kind not in {"png", "svg"}:
        raise InputError(f"{path}: a figure is written as .png or .svg, not {path.suffix or 'without an ending'}")
    temporary = ""
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        with os.fdopen(handle, "wb") as file:
            figure.savefig(file, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else None)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        if temporary and os.path.exists(temporary):
            os.unlink(temporary)
        raise InputError(f"{path}: cannot be written ({error.strerror})") from None
