"""Measurements in CSV files: long tables of trajectories, two columns "direct" and "tuned", whole leaderboards.

Whether a score is a fraction is asked once a task is chosen: others in the same file may be correlations.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

from followers.errors import InputError
from followers.importers.csv_rows import Row, read_rows
from followers.trajectories import Record, Trajectory, assemble

__all__ = ["TableKind", "read_direct_and_tuned", "read_leaderboard", "read_long", "read_trajectories", "table_kind"]

TableKind = Literal["trajectories", "direct and tuned", "leaderboard"]

_TUNED = ("tuned", "tbt")
_ABOUT = ("params_b", "quality", "family", "effort_scale", "run", "team", "company", "release", "rank", "tuning")
"""Columns of a leaderboard that are no tasks."""


def table_kind(path: Path) -> TableKind:
    """What a CSV file holds, by its columns."""
    columns, _ = read_rows(path)
    if "step" in columns or "score" in columns:
        return "trajectories"
    if "direct" in columns and any(name in columns for name in _TUNED):
        return "direct and tuned"
    return "leaderboard"


def _needs(path: Path, columns: list[str], *names: str) -> None:
    for name in names:
        if name not in columns:
            raise InputError(f"{path}: column {name!r} is missing; found {', '.join(sorted(columns))}")


def _uncertainty(row: Row, stderr: str = "stderr") -> tuple[float, float]:
    """Standard error and number of items, of which one may be missing."""
    items = row.number("n_items", optional=True)
    if items < 1:
        raise InputError(f"{row.where}: n_items = {items:g}; must be at least 1")
    error = row.number(stderr, optional=True)
    if error < 0:
        raise InputError(f"{row.where}: {stderr} = {error:g}; must not be negative")
    if math.isnan(error) and math.isnan(items):
        raise InputError(f"{row.where}: {stderr} and n_items are both empty; one is needed")
    return error, items


def _scale(row: Row) -> float:
    scale = row.number("effort_scale", optional=True)
    if scale <= 0:
        raise InputError(f"{row.where}: effort_scale = {scale:g}; must be positive")
    return scale


def read_long(path: Path) -> list[Record]:
    """A long table: columns `model`, `step`, `score`, and `stderr` or `n_items`.

    Optional columns: `benchmark`, `metric`, `params_b`, `quality`, `family`, `effort_scale`.
    """
    columns, rows = read_rows(path)
    _needs(path, columns, "model", "step", "score")
    if not {"stderr", "n_items"} & set(columns):
        raise InputError(f"{path}: a column 'stderr' or 'n_items' is needed; found {', '.join(sorted(columns))}")
    records = []
    for row in rows:
        model, step = row.model(), row.number("step")
        if step < 0:
            raise InputError(f"{row.where}: step = {step:g}; must not be negative")
        score = row.number("score")
        stderr, items = _uncertainty(row)
        records.append(
            Record(
                where=row.where,
                model=model,
                step=step,
                score=score,
                stderr=stderr,
                n_items=items,
                benchmark=row.text("benchmark"),
                metric=row.text("metric"),
                parameters_b=row.number("params_b", optional=True),
                quality=row.number("quality", optional=True),
                family=row.text("family"),
                effort_scale=_scale(row),
            )
        )
    return records


def read_trajectories(path: Path, *, benchmark: str | None = None, metric: str | None = None) -> tuple[Trajectory, ...]:
    """The trajectories of a long table (see `read_long`).

    A missing stderr is the binomial one of n_items; every stderr has the binomial value of one correct item as floor
    (0.001 where n_items is unknown). Raises InputError naming the line and field of the first thing that is wrong.
    """
    return assemble(read_long(path), benchmark=benchmark, metric=metric)


def read_direct_and_tuned(path: Path, *, tuned_steps: float | None) -> list[Record]:
    """A table with columns `model`, `direct` and `tuned` (or `tbt`): two measurements, at step 0 and after tuning.

    How many steps the tuning took stands in a column `tuned_steps` or is given. Optional: `task`, `metric`,
    `direct_stderr` and `tuned_stderr` (or `tbt_stderr`), `n_items`, `params_b`, `family`, `higher_is_better` (rows with
    0 are left out: a perplexity is no share of correct items).
    """
    columns, rows = read_rows(path)
    _needs(path, columns, "model", "direct")
    tuned = next(name for name in _TUNED if name in columns)
    if tuned_steps is None and "tuned_steps" not in columns:
        raise InputError(
            f"{path}: how many steps the tuning took is not said; add a column 'tuned_steps' or give --tuned-steps"
        )
    records = []
    for row in rows:
        model = row.model()
        steps = row.number("tuned_steps") if "tuned_steps" in columns else tuned_steps
        assert steps is not None
        if steps <= 0:
            raise InputError(f"{row.where}: tuned_steps = {steps:g}; must be positive")
        if row.text("higher_is_better") in {"0", "False", "false"}:
            continue
        for column, step in (("direct", 0.0), (tuned, steps)):
            value = row.number(column, optional=True)
            if math.isnan(value):
                continue
            stderr, items = _uncertainty(row, f"{column}_stderr")
            records.append(
                Record(
                    where=row.where,
                    model=model,
                    step=step,
                    score=value,
                    stderr=stderr,
                    n_items=items,
                    benchmark=row.text("task"),
                    metric=row.text("metric"),
                    parameters_b=row.number("params_b", optional=True),
                    family=row.text("family"),
                )
            )
    return records


def read_leaderboard(path: Path, *, n_items: float | None = None) -> list[Record]:
    """A leaderboard: a column `model` and one column of scores per task, each a single measurement at step 0.

    Empty fields are left out; columns that say something about the model (`params_b`, `family`, ..) are no tasks, nor
    are columns of text. Without `n_items` the standard errors are unknown.
    """
    columns, rows = read_rows(path)
    _needs(path, columns, "model")
    tasks = [c for c in columns if c != "model" and c not in _ABOUT and _is_numeric(rows, c)]
    if not tasks:
        raise InputError(f"{path}: no column of scores beside 'model'; found {', '.join(sorted(columns))}")
    seen: dict[str, Row] = {}
    records = []
    for row in rows:
        model = row.model()
        if model in seen:
            raise InputError(f"{row.where}: model {model!r} is there twice (line {seen[model].line}); keep one")
        seen[model] = row
        for task in tasks:
            score = row.number(task, optional=True)
            if not math.isnan(score):
                records.append(
                    Record(
                        where=row.where,
                        model=model,
                        step=0.0,
                        score=score,
                        stderr=math.nan if n_items else 0.0,
                        n_items=n_items or math.nan,
                        benchmark=task,
                        parameters_b=row.number("params_b", optional=True),
                        family=row.text("family"),
                    )
                )
    return records


def _is_numeric(rows: list[Row], column: str) -> bool:
    values = [row.text(column) for row in rows if row.text(column)]
    try:
        return bool(values) and all(math.isfinite(float(v)) for v in values)
    except ValueError:
        return False
