"""Rows of a CSV file with a header, and numbers in them; errors name the file, the line and the field."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from followers.errors import InputError

__all__ = ["Row", "read_rows"]


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a CSV file: its fields by column, and its place for errors."""

    path: Path
    line: int
    fields: Mapping[str, str]

    @property
    def where(self) -> str:
        """File and line."""
        return f"{self.path}: line {self.line}"

    def text(self, name: str) -> str:
        """A field without the blanks around it; empty where the file has no such column."""
        return self.fields.get(name, "").strip()

    def number(self, name: str, *, optional: bool = False) -> float:
        """A finite number; NaN where it is optional and empty."""
        text = self.text(name)
        if optional and not text:
            return math.nan
        try:
            value = float(text)
        except ValueError:
            raise InputError(f"{self.where}: {name} = {self.fields.get(name, '')!r}; must be a number") from None
        if not math.isfinite(value):
            raise InputError(f"{self.where}: {name} = {text}; must be a finite number")
        return value

    def model(self) -> str:
        """The field `model`, which may not be empty."""
        if not self.text("model"):
            raise InputError(f"{self.where}: model is empty; every row needs one")
        return self.fields["model"]


def read_rows(path: Path) -> tuple[list[str], list[Row]]:
    """Column names and rows of a CSV file; every row has as many fields as there are columns, and there is a row."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows: list[Row] = []
            for row in reader:
                if None in row or None in row.values():
                    raise InputError(f"{path}: line {reader.line_num}: not as many fields as the header has columns")
                rows.append(Row(path, reader.line_num, row))
            columns = list(reader.fieldnames or [])
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a text file in UTF-8") from None
    except csv.Error as error:
        raise InputError(f"{path}: not a CSV file ({error})") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    if not rows:
        raise InputError(f"{path}: no rows; a header and one row per measurement are needed")
    return columns, rows
