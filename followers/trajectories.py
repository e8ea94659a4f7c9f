"""Measured trajectories: scores of a model after so many optimiser steps, put together from single measurements."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from followers.arrays import FloatArray
from followers.errors import InputError

__all__ = ["Record", "Trajectory", "assemble"]

_BLIND_STDERR = 1e-3
"""Least standard error of a score of which the number of items is unknown."""


@dataclass(frozen=True, slots=True)
class Trajectory:
    """One model's measurements on one benchmark.

    steps (m,), optimiser steps, increasing; scores (m,) in [0, 1]; stderrs (m,), standard errors of the scores with a
    floor (a score of 0 or 1 is not known exactly). parameters_b: billions, NaN where unknown. quality: NaN where the
    file has no such column. family: models that share it are expected to learn alike; empty where unknown.
    effort_scale: how much one step of this model's training counts, where recipes differ (learning rates above all).
    """

    model: str
    steps: FloatArray
    scores: FloatArray
    stderrs: FloatArray
    parameters_b: float = math.nan
    quality: float = math.nan
    family: str = ""
    effort_scale: float = 1.0

    @property
    def efforts(self) -> FloatArray:
        """Comparable effort (m,): steps times the effort scale."""
        return self.steps * self.effort_scale


@dataclass(frozen=True, slots=True)
class Record:
    """One score of one model after so many steps, and where it was read. NaN and empty text stand for "not given"."""

    where: str
    model: str
    step: float
    score: float
    stderr: float = math.nan
    n_items: float = math.nan
    benchmark: str = ""
    metric: str = ""
    parameters_b: float = math.nan
    quality: float = math.nan
    family: str = ""
    effort_scale: float = math.nan


def _check_fraction(record: Record) -> None:
    if not 0 <= record.score <= 1:
        percent = "; percent? divide by 100" if 1 < record.score <= 100 else ""
        raise InputError(f"{record.where}: score = {record.score:g}; must lie in [0, 1]{percent}")


def _one_metric(records: Sequence[Record], metric: str | None) -> list[Record]:
    found = sorted({r.metric for r in records})
    if metric is None:
        if len(found) > 1:
            first = next(r for r in records if r.metric != records[0].metric)
            raise InputError(
                f"{first.where}: metric {first.metric!r} after {records[0].metric!r}; scores of different metrics make "
                f"no curve, choose one with --metric: {', '.join(found)}"
            )
        return list(records)
    chosen = [r for r in records if r.metric == metric or r.metric.split(",")[0] == metric]
    if not chosen:
        raise InputError(f"{records[0].where}: no metric {metric!r}; found {', '.join(found) or 'none named'}")
    return _one_metric(chosen, None)


def assemble(
    records: Sequence[Record], *, benchmark: str | None = None, metric: str | None = None, in_order: bool = True
) -> tuple[Trajectory, ...]:
    """Trajectories of all models, in the order in which they first appear.

    `benchmark` and `metric` choose one where there are several. With `in_order` the steps of a model must increase as
    they come (a table sorted otherwise hides mistakes); files of a folder come in any order. Raises InputError that
    names the place of the first thing that is wrong, and what to do.
    """
    if not records:
        raise InputError("no measurements; give at least one file that holds some")
    names = sorted({r.benchmark for r in records})
    if benchmark is None and len(names) > 1:
        shown = ", ".join(names[:12]) + (f", and {len(names) - 12} more" if len(names) > 12 else "")
        raise InputError(f"{records[0].where}: several benchmarks ({shown}); choose one with --benchmark")
    if benchmark is not None and names != [""]:
        if benchmark not in names:
            raise InputError(f"{records[0].where}: no benchmark {benchmark!r}; found {', '.join(names[:12])}")
        records = [r for r in records if r.benchmark == benchmark]
    by_model: dict[str, list[Record]] = {}
    for record in _one_metric(records, metric):
        _check_fraction(record)
        by_model.setdefault(record.model, []).append(record)
    return tuple(_trajectory(model, own, in_order) for model, own in by_model.items())


def _trajectory(model: str, records: list[Record], in_order: bool) -> Trajectory:
    if not in_order:
        records = sorted(records, key=lambda r: r.step)  # stable: of two at the same step the later file is named
    for before, record in pairwise(records):
        if record.step == before.step:
            elsewhere = "" if in_order else f" (also in {before.where})"
            raise InputError(
                f"{record.where}: step {record.step:g} of model {model!r} is there twice{elsewhere}; keep one"
            )
        if record.step < before.step:
            raise InputError(
                f"{record.where}: step {record.step:g} of model {model!r} after {before.step:g}; sort by step"
            )
    scales = {r.effort_scale for r in records if not math.isnan(r.effort_scale)}
    if len(scales) > 1:
        raise InputError(f"{records[0].where}: several effort scales for model {model!r}; one recipe is one trajectory")
    return Trajectory(
        model=model,
        steps=np.array([r.step for r in records]),
        scores=np.array([r.score for r in records]),
        stderrs=np.array([_stderr(r) for r in records]),
        parameters_b=records[0].parameters_b,
        quality=records[0].quality,
        family=records[0].family,
        effort_scale=scales.pop() if scales else 1.0,
    )


def _stderr(record: Record) -> float:
    """Standard error with the binomial value of one correct item as floor; binomial where it is not given."""
    items = record.n_items
    floor = math.sqrt((1 / items) * (1 - 1 / items) / items) if items > 1 else _BLIND_STDERR
    given = math.sqrt(record.score * (1 - record.score) / items) if math.isnan(record.stderr) else record.stderr
    return max(given, floor)
