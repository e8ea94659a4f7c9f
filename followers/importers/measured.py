"""One door for everything measured: files and folders of any known format become trajectories of one benchmark."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from followers.errors import InputError
from followers.importers.csv_rows import read_rows
from followers.importers.harness import OnBad, StepMap, find_results, read_harness
from followers.importers.tables import read_direct_and_tuned, read_leaderboard, read_long, table_kind
from followers.trajectories import Record, Trajectory, assemble

__all__ = ["Measured", "read_effort_scales", "read_measured"]


@dataclass(frozen=True, slots=True)
class Measured:
    """What was read: trajectories, the kinds of files they came from, and notes on what was left out."""

    trajectories: tuple[Trajectory, ...]
    kinds: frozenset[str]
    notes: tuple[str, ...]


def read_measured(
    paths: Sequence[Path],
    *,
    benchmark: str | None = None,
    metric: str | None = None,
    steps: StepMap | None = None,
    tuned_steps: float | None = None,
    n_items: float | None = None,
    effort_scales: Mapping[str, float] | None = None,
    on_bad: OnBad = "stop",
    progress: Callable[[int, int], None] | None = None,
) -> Measured:
    """Read files and folders: CSV tables (see `importers.tables`) and harness results (see `importers.harness`).

    `tuned_steps` is for tables of direct and tuned scores, `n_items` for leaderboards, `steps` for harness results.
    `effort_scales`: per model, how much one of its steps counts. Raises InputError where something is wrong.
    """
    tables = [p for p in paths if p.suffix.lower() == ".csv"]
    files = [f for p in paths if p.is_dir() for f in find_results(p)]
    files += [p for p in paths if p.suffix.lower() == ".json" and not p.is_dir()]
    for path in paths:
        if path not in tables and path not in files and not path.is_dir():
            what = "must be a .csv table, a results_*.json or a folder of these"
            raise InputError(f"{path}: no such file" if not path.exists() else f"{path}: unknown format; {what}")
    records: list[Record] = []
    kinds: set[str] = set()
    for path in tables:
        kind = table_kind(path)
        kinds.add(kind)
        if kind == "trajectories":
            records += read_long(path)
        elif kind == "direct and tuned":
            records += read_direct_and_tuned(path, tuned_steps=tuned_steps)
        else:
            records += read_leaderboard(path, n_items=n_items)
    notes: list[str] = []
    if files:
        kinds.add("harness")
        found, notes = read_harness(
            files, benchmark=benchmark, metric=metric, steps=steps, on_bad=on_bad, progress=progress
        )
        records += found
        if not records:
            raise InputError(f"{paths[0]}: none of {len(files)} result files is usable; the first: {notes[0]}")
    made = assemble(records, benchmark=benchmark, metric=metric, in_order=not files and len(tables) == 1)
    if effort_scales is not None:
        missing = [t.model for t in made if t.model not in effort_scales]
        if missing:
            raise InputError(f"effort scales: none for {', '.join(missing[:5])}; every model needs one")
        blank = [t.model for t in made if math.isnan(effort_scales[t.model])]
        notes += [f"{model}: no effort scale given; its steps count as they are" for model in blank]
        made = tuple(t if t.model in blank else replace(t, effort_scale=effort_scales[t.model]) for t in made)
    return Measured(made, frozenset(kinds), tuple(notes))


def read_effort_scales(path: Path) -> dict[str, float]:
    """Effort scale per model from a CSV with columns `model` and `effort_scale`, or `model` and `declared_lr`.

    A step at a tenth of the learning rate is taken to teach a tenth as much: the scale is the learning rate over the
    most common one. NaN where the field is empty.
    """
    columns, rows = read_rows(path)
    column = next((c for c in ("effort_scale", "declared_lr") if c in columns), None)
    if "model" not in columns or column is None:
        raise InputError(
            f"{path}: columns 'model' and 'effort_scale' (or 'declared_lr') are needed; "
            f"found {', '.join(sorted(columns))}"
        )
    values = {}
    for row in rows:
        value = row.number(column, optional=True)
        if value <= 0:
            raise InputError(f"{row.where}: {column} = {value:g}; must be positive")
        values[row.model()] = value
    if column == "effort_scale":
        return values
    every = [v for v in values.values() if not math.isnan(v)]
    if not every:
        raise InputError(f"{path}: column {column!r} is empty in every row")
    common = max(every, key=lambda v: (every.count(v), v))
    return {model: value / common for model, value in values.items()}
