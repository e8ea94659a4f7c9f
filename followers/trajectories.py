"""Measured trajectories: scores of a model after so many optimiser steps, read from a CSV in long form."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from followers.arrays import FloatArray
from followers.errors import InputError

__all__ = ["Trajectory", "read_trajectories"]


@dataclass(frozen=True, slots=True)
class Trajectory:
    """One model's measurements on one benchmark.

    steps (m,), optimiser steps, increasing; scores (m,) in [0, 1]; stderrs (m,), standard errors of the scores with a
    floor (a score of 0 or 1 is not known exactly). parameters_b: billions, NaN where unknown. quality: NaN where the
    file has no such column.
    """

    model: str
    steps: FloatArray
    scores: FloatArray
    stderrs: FloatArray
    parameters_b: float
    quality: float


def read_trajectories(path: Path, *, benchmark: str | None = None) -> tuple[Trajectory, ...]:
    """Read a CSV with columns `model`, `step`, `score` and `stderr` or `n_items`.

    Optional columns: `benchmark` (then `benchmark` chooses one, unless the file holds only one), `params_b`, `quality`.
    A missing stderr is the binomial one of n_items; every stderr has the binomial value of one correct item as floor
    (0.001 where n_items is unknown). Raises InputError naming the line and field of the first thing that is wrong.
    """
    rows = _rows(path)
    columns = set(rows[0][1])
    for needed in ("model", "step", "score"):
        if needed not in columns:
            raise InputError(f"{path}: column {needed!r} is missing; found {', '.join(sorted(columns))}")
    if not columns & {"stderr", "n_items"}:
        raise InputError(f"{path}: a column 'stderr' or 'n_items' is needed; found {', '.join(sorted(columns))}")
    if "benchmark" in columns:
        found = sorted({row["benchmark"] for _, row in rows})
        if benchmark is None and len(found) > 1:
            raise InputError(f"{path}: several benchmarks ({', '.join(found)}); choose one")
        if benchmark is not None and benchmark not in found:
            raise InputError(f"{path}: no benchmark {benchmark!r}; found {', '.join(found)}")
        rows = [(n, row) for n, row in rows if benchmark is None or row["benchmark"] == benchmark]
    by_model: dict[str, list[tuple[int, Mapping[str, str]]]] = {}
    for line, row in rows:
        if not row["model"].strip():
            raise InputError(f"{path}: line {line}: model is empty; every row needs one")
        by_model.setdefault(row["model"], []).append((line, row))
    return tuple(_trajectory(path, model, own) for model, own in by_model.items())


def _rows(path: Path) -> list[tuple[int, Mapping[str, str]]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            rows: list[tuple[int, Mapping[str, str]]] = []
            for row in reader:
                if None in row or None in row.values():
                    raise InputError(f"{path}: line {reader.line_num}: not as many fields as the header has columns")
                rows.append((reader.line_num, row))
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
    return rows


def _number(path: Path, line: int, row: Mapping[str, str], name: str, *, optional: bool = False) -> float:
    text = row.get(name, "")
    if optional and not text.strip():
        return math.nan
    try:
        value = float(text)
    except ValueError:
        raise InputError(f"{path}: line {line}: {name} = {text!r}; must be a number") from None
    if not math.isfinite(value):
        raise InputError(f"{path}: line {line}: {name} = {text}; must be a finite number")
    return value


def _trajectory(path: Path, model: str, rows: list[tuple[int, Mapping[str, str]]]) -> Trajectory:
    steps: list[float] = []
    scores, stderrs = [], []
    for line, row in rows:
        step, score = _number(path, line, row, "step"), _number(path, line, row, "score")
        if step < 0:
            raise InputError(f"{path}: line {line}: step = {step:g}; must not be negative")
        if not 0 <= score <= 1:
            percent = "; percent? divide by 100" if 1 < score <= 100 else ""
            raise InputError(f"{path}: line {line}: score = {score:g}; must lie in [0, 1]{percent}")
        if steps and step == steps[-1]:
            raise InputError(f"{path}: line {line}: step {step:g} of model {model!r} is there twice; keep one")
        if steps and step < steps[-1]:
            raise InputError(f"{path}: line {line}: step {step:g} of model {model!r} after {steps[-1]:g}; sort by step")
        items = _number(path, line, row, "n_items", optional=True)
        if items < 1:
            raise InputError(f"{path}: line {line}: n_items = {items:g}; must be at least 1")
        stderr = _number(path, line, row, "stderr", optional=True)
        if stderr < 0:
            raise InputError(f"{path}: line {line}: stderr = {stderr:g}; must not be negative")
        if math.isnan(stderr) and math.isnan(items):
            raise InputError(f"{path}: line {line}: stderr and n_items are both empty; one is needed")
        if math.isnan(stderr):
            stderr = math.sqrt(score * (1 - score) / items)
        one_item = math.sqrt((1 / items) * (1 - 1 / items) / items) if items > 1 else 1e-3
        steps.append(step)
        scores.append(score)
        stderrs.append(max(stderr, one_item))
    first_line, first = rows[0]
    return Trajectory(
        model=model,
        steps=np.array(steps),
        scores=np.array(scores),
        stderrs=np.array(stderrs),
        parameters_b=_number(path, first_line, first, "params_b", optional=True),
        quality=_number(path, first_line, first, "quality", optional=True),
    )
