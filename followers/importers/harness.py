"""Results of EleutherAI's lm-evaluation-harness: `results_*.json`, single files and folders of thousands.

Metrics are named `metric,filter` ("acc,none", "exact_match,flexible-extract"; old files just "acc"), standard errors
`metric_stderr,filter`. The harness does not know how long a model was tuned: the step comes from the model's name or
the path (`step-500`, `checkpoint_500`, `revision=step512`, or a folder `base` for step 0), or from a mapping.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from followers.errors import InputError
from followers.importers.csv_rows import read_rows
from followers.trajectories import Record

__all__ = ["OnBad", "StepMap", "find_results", "read_harness", "read_results", "read_steps"]

OnBad = Literal["stop", "skip"]
StepMap = Mapping[str, tuple[str, float]]
"""Model name or file name (or the end of its path) as the harness has it -> (model, step)."""

_STEP = re.compile(r"(?:^|[-_./=,])(?:global_?step|step|checkpoint|ckpt|iter)[-_=]?(\d+)(?=$|[-_./,])", re.IGNORECASE)


def find_results(folder: Path) -> list[Path]:
    """Every `results*.json` in a folder and below, in the order of their paths."""
    found = [
        Path(where) / name
        for where, _, names in os.walk(folder)
        for name in names
        if name.startswith("results") and name.endswith(".json")
    ]
    if not found:
        raise InputError(
            f"{folder}: no results*.json in this folder or below; give the harness's --output_path, CSV tables by name"
        )
    return sorted(found)


def read_steps(path: Path) -> StepMap:
    """A mapping in CSV: columns `name` (a model name or file of the harness), `step`, and `model` (default: `name`)."""
    columns, rows = read_rows(path)
    for needed in ("name", "step"):
        if needed not in columns:
            raise InputError(f"{path}: column {needed!r} is missing; found {', '.join(sorted(columns))}")
    steps: dict[str, tuple[str, float]] = {}
    for row in rows:
        name, step = row.text("name"), row.number("step")
        if name in steps:
            raise InputError(f"{row.where}: name {name!r} is there twice; keep one")
        if step < 0:
            raise InputError(f"{row.where}: step = {step:g}; must not be negative")
        steps[name] = (row.text("model") or name, step)
    return steps


def read_harness(
    files: Sequence[Path],
    *,
    benchmark: str | None = None,
    metric: str | None = None,
    steps: StepMap | None = None,
    on_bad: OnBad = "stop",
    progress: Callable[[int, int], None] | None = None,
) -> tuple[list[Record], list[str]]:
    """Records of many result files, and notes on those left out.

    `benchmark`, `metric` ("acc" or "acc,none") choose one where a file has several. A bad file stops the import
    (`on_bad` "stop") or is left out with a note that names it ("skip"); of two files for the same model and step the
    later one is bad. A file that is sound but holds other tasks only is left out with the others in one note.
    """
    records: list[Record] = []
    notes: list[str] = []
    others = 0
    seen: dict[tuple[str, str, float], str] = {}
    for done, path in enumerate(files):
        if progress is not None and done % 20 == 0:
            progress(done, len(files))
        try:
            own = list(read_results(path, benchmark=benchmark, metric=metric, steps=steps))
            for r in own:
                first = seen.setdefault((r.benchmark, r.model, r.step), r.where)
                if first != r.where:
                    raise InputError(f"{path}: step {r.step:g} of model {r.model!r} is also in {first}; keep one")
        except InputError as error:
            if on_bad == "stop":
                raise
            notes.append(f"left out: {error}")
            continue
        others += not own
        records += own
    if others:
        notes.append(f"left out: {others} of {len(files)} files, which hold no task {benchmark!r}")
    return records, notes


def read_results(
    path: Path, *, benchmark: str | None = None, metric: str | None = None, steps: StepMap | None = None
) -> Iterator[Record]:
    """The records of one result file; none where it does not hold the benchmark."""
    document = _document(path)
    model, step = _model_and_step(path, document, steps or {})
    tables = {**_table(document.get("groups")), **_table(document.get("results"))}
    if not tables:
        raise InputError(f"{path}: no field 'results'; not a result file of lm-evaluation-harness")
    for task in [benchmark] if benchmark is not None else tables:
        if task in tables:
            yield _record(path, document, task, tables[task], metric, model, step)


def _document(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{path}: not valid JSON ({error}); truncated? run the evaluation again") from None
    if not isinstance(document, dict):
        raise InputError(f"{path}: a {type(document).__name__}; not a result file of lm-evaluation-harness")
    return document


def _table(value: Any) -> dict[str, dict[str, Any]]:
    return {k: v for k, v in value.items() if isinstance(v, dict)} if isinstance(value, dict) else {}


def _harness_model(document: Mapping[str, Any]) -> str:
    """The model as the harness was called: its name, and the revision where there is one."""
    config = document.get("config")
    arguments = config.get("model_args", "") if isinstance(config, dict) else ""
    if isinstance(arguments, str):
        arguments = dict(part.split("=", 1) for part in arguments.split(",") if "=" in part)
    if not isinstance(arguments, dict):
        arguments = {}
    name = document.get("model_name") or arguments.get("pretrained") or arguments.get("model") or ""
    revision = arguments.get("revision")
    return f"{name},revision={revision}" if revision and revision != "main" else str(name)


def _model_and_step(path: Path, document: Mapping[str, Any], steps: StepMap) -> tuple[str, float]:
    name = _harness_model(document)
    for key in (name, path.as_posix(), path.name):
        if key in steps:
            return steps[key]
    for key, found in steps.items():  # the end of a path, whole components only
        if path.as_posix().endswith("/" + key.lstrip("/")):
            return found
    folders = path.parent.as_posix()
    for text in (name, folders):
        matches = list(_STEP.finditer(text))
        if matches:
            last = matches[-1]
            rest = (text[: last.start()] + text[last.end() :]).rstrip("/-_.,=").removesuffix(",revision")
            return (_short(rest) if text is name else _short(name) or _short(rest)) or folders, float(last[1])
    parts = [*re.split(r"[/]", name), *path.parent.parts]
    if "base" in parts:
        return _short(name.removesuffix("/base")) or str(path.parent), 0.0
    if not name:
        raise InputError(f"{path}: neither model_name nor model_args names a model; say which with --steps")
    raise InputError(
        f"{path}: no step in model {name!r} nor in the path; name the folder step-N (base for untuned) or give --steps"
    )


def _short(name: str) -> str:
    """A model name: organisation/model as on a hub, the last folder of a local path."""
    parts = [p for p in name.split("/") if p not in {"", ".", ".."}]
    local = name.startswith(("/", ".")) or len(parts) > 2
    return parts[-1] if parts and local else "/".join(parts)


def _record(
    path: Path,
    document: Mapping[str, Any],
    task: str,
    table: Mapping[str, Any],
    metric: str | None,
    model: str,
    step: float,
) -> Record:
    scores = {
        key: float(value)
        for key, value in table.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and _is_metric(key)
    }
    if metric is not None:
        scores = {k: v for k, v in scores.items() if k == metric or k.split(",")[0] == metric}
    if not scores:
        wanted = f"no metric {metric!r}" if metric else "no metric"
        raise InputError(f"{path}: task {task!r} has {wanted}; found {', '.join(k for k in table if _is_metric(k))}")
    if len(scores) > 1:
        raise InputError(f"{path}: task {task!r} has {len(scores)} metrics ({', '.join(scores)}); choose one: --metric")
    ((key, score),) = scores.items()
    base, _, filtered = key.partition(",")
    better = _table(document.get("higher_is_better")).get(task, {})
    if better.get(base) is False:
        raise InputError(f"{path}: task {task!r}: {base} is better the lower it is; a share of correct items is needed")
    if not 0 <= score <= 1:  # named here, so that one bad file can be skipped
        percent = "; percent? divide by 100" if 1 < score <= 100 else ""
        raise InputError(f"{path}: {key} = {score:g}; must lie in [0, 1]{percent}")
    error = table.get(f"{base}_stderr,{filtered}" if filtered else f"{base}_stderr")
    counts = _table(document.get("n-samples")).get(task, {})
    items = counts.get("effective", counts.get("original"))
    stderr = float(error) if isinstance(error, int | float) and math.isfinite(error) and error >= 0 else math.nan
    n_items = float(items) if isinstance(items, int | float) and items >= 1 else math.nan
    if math.isnan(stderr) and math.isnan(n_items):
        raise InputError(
            f"{path}: task {task!r} has neither {base}_stderr nor n-samples; evaluate with bootstrap_iters > 0"
        )
    return Record(
        where=str(path),
        model=model,
        step=step,
        score=score,
        stderr=stderr,
        n_items=n_items,
        benchmark=task,
        metric=key,
    )


def _is_metric(key: str) -> bool:
    name = key.split(",", maxsplit=1)[0]
    return not name.endswith("_stderr") and name not in {"alias", "name", "sample_len", "n-shot", "samples"}
