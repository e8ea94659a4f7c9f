"""Pieces of the page: tables, figures with caption and data, paragraphs. Everything a user named is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

__all__ = ["data_table", "figure", "paragraph", "section"]


def paragraph(words: str, css: str = "") -> str:
    """A paragraph of plain words."""
    return f'<p class="{css}">{escape(words)}</p>' if css else f"<p>{escape(words)}</p>"


def data_table(caption: str, columns: Sequence[str], rows: Sequence[Sequence[object]], *, css: str = "data") -> str:
    """A table whose first column names the row; it scrolls sideways where it must, also by keyboard.

    css : "data" for columns of numbers, "cards" for scorecards, "facts" for words.
    """
    head = "".join(f'<th scope="col">{escape(c)}</th>' for c in columns)
    body = "".join(
        f'<tr><th scope="row">{escape(str(row[0]))}</th>'
        + "".join(f"<td>{escape(str(c))}</td>" for c in row[1:])
        + "</tr>"
        for row in rows
    )
    return (
        f'<p class="caption">{escape(caption)}</p>'
        f'<div class="scroll {css}" tabindex="0" role="region" aria-label="{escape(caption)}">'
        f'<table aria-label="{escape(caption)}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def figure(
    title: str,
    picture: str,
    caption: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
) -> str:
    """A picture, how to read it, and its data as a table."""
    table = data_table(f"Data of: {title}", columns, rows)
    counted = f"{len(rows)} row{'s' * (len(rows) != 1)}"
    return (
        f"<figure><h3>{escape(title)}</h3>{picture}<figcaption>{escape(caption)}</figcaption>"
        f"<details><summary>Data as a table, {counted}</summary>{table}</details></figure>"
    )


def section(identifier: str, title: str, *content: str) -> str:
    """A section with its heading."""
    return f'<section id="{identifier}"><h2>{escape(title)}</h2>{"".join(content)}</section>'
