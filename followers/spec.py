"""What a user writes about one developer, checked field by field (DESIGN section 7), and how it becomes arrays.

A new curve or cost is a frozen dataclass in its own file, one class here and its name in `CurveSpec` or `CostSpec`.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    model_validator,
)

from followers.arrays import FloatArray
from followers.costs import EffortCost, PowerCost, tabulate_cost
from followers.curves import Exponential, GeneralizedLogit, Linear, ScoreCurve
from followers.envelope import suite
from followers.errors import InputError
from followers.grouping import Part, group_by_kind
from followers.population import Population
from followers.roster import RosterCost, RosterCurve
from followers.tabulated import tabulate

__all__ = [
    "CostSpec",
    "CurveSpec",
    "DeveloperSpec",
    "EnvelopeSpec",
    "PowerSpec",
    "Spec",
    "build_population",
    "explain",
    "finite",
    "must",
    "not_negative",
    "positive",
    "sums_to_one",
]

N = TypeVar("N")


def must(holds: Callable[[Any], bool], sentence: str) -> AfterValidator:
    """A validator whose message is the sentence a user reads."""

    def check(value: N) -> N:
        if not holds(value):
            raise ValueError(sentence)
        return value

    return AfterValidator(check)


def _read_infinity(value: Any) -> Any:
    return math.inf if value == "inf" else value  # JSON has no literal for it


finite = must(math.isfinite, "must be a finite number")
positive = must(lambda x: math.isfinite(x) and x > 0, "must be a positive finite number")
not_negative = must(lambda x: math.isfinite(x) and x >= 0, "must be a finite number that is not negative")

sums_to_one = must(
    lambda shares: not shares or (min(shares) >= 0 and abs(math.fsum(shares) - 1.0) <= 1e-9),
    "must not be negative and sum to 1",
)

Finite = Annotated[float, finite]
Positive = Annotated[float, positive]
NotNegative = Annotated[float, not_negative]
Cap = Annotated[float, BeforeValidator(_read_infinity), must(lambda x: x >= 0, "must not be negative (inf: no cap)")]


class Spec(BaseModel):
    """Base of everything that is read from a file: no unknown fields, no silent conversions."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class LogitSpec(Spec):
    """`kind = "generalized-logit"`."""

    kind: Literal["generalized-logit"]
    lower: Finite
    upper: Finite
    intercept: Finite
    slope: Annotated[
        float,
        must(lambda x: math.isfinite(x) and x > 0, "a slope must be positive (scores may not fall with effort)"),
    ]

    @model_validator(mode="after")
    def _ordered(self) -> LogitSpec:
        if self.lower > self.upper:
            raise ValueError(f"lower = {self.lower:g} is above upper = {self.upper:g}; scores may not fall with effort")
        return self

    @staticmethod
    def stack(specs: Sequence[Any]) -> ScoreCurve:
        """The curve of all these developers."""
        return GeneralizedLogit(**{k: _column(specs, k) for k in ("lower", "upper", "intercept", "slope")})


class ExponentialSpec(Spec):
    """`kind = "exponential"`."""

    kind: Literal["exponential"]
    lower: Finite
    upper: Finite
    rate: Positive

    @model_validator(mode="after")
    def _ordered(self) -> ExponentialSpec:
        if self.lower > self.upper:
            raise ValueError(f"lower = {self.lower:g} is above upper = {self.upper:g}; scores may not fall with effort")
        return self

    @staticmethod
    def stack(specs: Sequence[Any]) -> ScoreCurve:
        """The curve of all these developers."""
        return Exponential(**{k: _column(specs, k) for k in ("lower", "upper", "rate")})


class LinearSpec(Spec):
    """`kind = "linear"`."""

    kind: Literal["linear"]
    lower: Finite = 0.0
    rate: NotNegative

    @staticmethod
    def stack(specs: Sequence[Any]) -> ScoreCurve:
        """The curve of all these developers."""
        return Linear(lower=_column(specs, "lower"), rate=_column(specs, "rate"))


def _check_table(x: list[float], y: list[float], what: str, values: str, least: int) -> None:
    if len(x) != len(y):
        raise ValueError(f"{len(x)} {what} but {len(y)} {values}; one of each per point")
    if len(x) < least:
        raise ValueError(f"{len(x)} point(s); needs at least {least}")
    if any(b <= a for a, b in pairwise(x)):
        raise ValueError(f"{what} must increase from point to point, without repeats")


class TabulatedSpec(Spec):
    """`kind = "tabulated"`: a measured trajectory; falls are pooled by isotonic regression."""

    kind: Literal["tabulated"]
    effort: list[NotNegative]
    score: list[Finite]

    @model_validator(mode="after")
    def _table(self) -> TabulatedSpec:
        _check_table(self.effort, self.score, "efforts", "scores", 1)
        return self

    def largest_fall(self) -> float:
        """How far scores fall from any step to a later one; 0 where they never do."""
        scores = np.array(self.score)
        return float(np.max(np.maximum.accumulate(scores) - scores))

    @staticmethod
    def stack(specs: Sequence[Any]) -> ScoreCurve:
        """The curve of all these developers."""
        return tabulate([(s.effort, s.score) for s in specs])


TaskSpec = Annotated[LogitSpec | ExponentialSpec | LinearSpec | TabulatedSpec, Field(discriminator="kind")]


def _sum_to_one(weights: list[float]) -> list[float]:
    if abs(math.fsum(weights) - 1.0) > 1e-9:
        raise ValueError(f"sum to {math.fsum(weights):.10g}; weights of tasks must sum to 1")
    return weights


class EnvelopeSpec(Spec):
    """`kind = "envelope"`: the best weighted score of a suite of tasks that share one effort."""

    kind: Literal["envelope"]
    tasks: Annotated[list[TaskSpec], must(len, "a suite needs at least one task")]
    weights: Annotated[list[Positive], AfterValidator(_sum_to_one)]

    @model_validator(mode="after")
    def _weighted(self) -> EnvelopeSpec:
        if len(self.tasks) != len(self.weights):
            raise ValueError(f"{len(self.tasks)} tasks but {len(self.weights)} weights; one of each per task")
        return self

    @staticmethod
    def stack(specs: Sequence[Any]) -> ScoreCurve:
        """The curve of all these developers; those with equally many tasks share one envelope."""
        parts: list[Part[ScoreCurve]] = []
        for at in group_by_kind([str(len(s.tasks)) for s in specs]).values():
            group = [specs[i] for i in at]
            tasks = [_stack_curves([s.tasks[k] for s in group]) for k in range(len(group[0].tasks))]
            parts.append(
                Part(at, suite(tasks, [np.array(column) for column in zip(*(s.weights for s in group), strict=True)]))
            )
        return parts[0].law if len(parts) == 1 else RosterCurve(tuple(parts), len(specs))


CurveSpec = Annotated[
    LogitSpec | ExponentialSpec | LinearSpec | TabulatedSpec | EnvelopeSpec, Field(discriminator="kind")
]


class PowerSpec(Spec):
    """`kind = "power"`: scale * max(e - free_effort, 0)^exponent, plus entry_fee if e > 0."""

    kind: Literal["power"] = "power"
    scale: NotNegative
    exponent: Positive = 1.0
    free_effort: NotNegative = 0.0
    entry_fee: NotNegative = 0.0

    @staticmethod
    def stack(specs: Sequence[Any]) -> EffortCost:
        """The cost of all these developers."""
        return PowerCost(
            scale=_column(specs, "scale"),
            exponent=_column(specs, "exponent"),
            free=_column(specs, "free_effort"),
            entry_fee=_column(specs, "entry_fee"),
        )

    def without_end(self) -> bool:
        """Whether effort never gets dearer."""
        return self.scale == 0


class TabulatedCostSpec(Spec):
    """`kind = "tabulated"`: convex, piecewise linear, from (0, 0); the last slope goes on for ever."""

    kind: Literal["tabulated"]
    effort: list[NotNegative]
    cost: list[NotNegative]

    @model_validator(mode="after")
    def _convex(self) -> TabulatedCostSpec:
        _check_table(self.effort, self.cost, "efforts", "costs", 2)
        if self.effort[0] != 0 or self.cost[0] != 0:
            raise ValueError("must start at effort 0 with cost 0")
        slopes = np.diff(self.cost) / np.diff(self.effort)
        if np.any(slopes < 0):
            raise ValueError("costs must not fall with effort")
        if np.any(np.diff(slopes) < -1e-12 * (1 + slopes[:-1])):
            raise ValueError("must be convex: each step as dear as the one before, or dearer")
        return self

    @staticmethod
    def stack(specs: Sequence[Any]) -> EffortCost:
        """The cost of all these developers."""
        return tabulate_cost([(s.effort, s.cost) for s in specs])

    def without_end(self) -> bool:
        """Whether effort never gets dearer."""
        return self.cost[-1] == 0


def _cost_kind(value: Any) -> Any:
    return value.get("kind", "power") if isinstance(value, dict) else getattr(value, "kind", None)


CostSpec = Annotated[
    Annotated[PowerSpec, Tag("power")] | Annotated[TabulatedCostSpec, Tag("tabulated")],
    Discriminator(_cost_kind),
]


class DeveloperSpec(Spec):
    """One entry of `[[developers]]`."""

    name: Annotated[str, must(lambda s: bool(s.strip()), "a name must not be empty")]
    quality: Finite
    curve: CurveSpec
    cost: CostSpec
    prior_exposure: NotNegative = 0.0
    effort_cap: Cap = math.inf
    parameters_b: Positive = 1.0
    score_stderr: NotNegative = 0.0
    curve_draws: list[list[Finite]] = []

    @model_validator(mode="after")
    def _drawn(self) -> DeveloperSpec:
        if self.curve_draws and self.curve.kind != "generalized-logit":
            raise ValueError(f"curve_draws are of a generalized-logit curve, and this one is {self.curve.kind}")
        for k, row in enumerate(self.curve_draws):
            if len(row) != 5 or row[0] > row[1] or row[3] <= 0:
                raise ValueError(f"curve_draws[{k}] = {row}; must be lower <= upper, intercept, slope > 0, quality")
        return self

    @model_validator(mode="after")
    def _bounded(self) -> DeveloperSpec:
        if self.cost.without_end() and math.isinf(self.effort_cap):
            raise ValueError("cost never rises and effort_cap is inf; give a positive cost or an effort cap")
        return self


def _column(specs: Sequence[Any], name: str) -> FloatArray:
    return np.array([getattr(s, name) for s in specs], dtype=np.float64)


def _stack_curves(specs: Sequence[Any]) -> ScoreCurve:
    groups = group_by_kind([s.kind for s in specs])
    parts = tuple(Part(at, specs[at[0]].stack([specs[i] for i in at])) for at in groups.values())
    return parts[0].law if len(parts) == 1 else RosterCurve(parts, len(specs))


def _stack_costs(specs: Sequence[Any]) -> EffortCost:
    groups = group_by_kind([s.kind for s in specs])
    parts = tuple(Part(at, specs[at[0]].stack([specs[i] for i in at])) for at in groups.values())
    return parts[0].law if len(parts) == 1 else RosterCost(parts, len(specs))


def _curve_draws(developers: Sequence[DeveloperSpec], where: str) -> FloatArray | None:
    counts = {len(d.curve_draws) for d in developers if d.curve_draws}
    if not counts:
        return None
    if len(counts) > 1:
        raise InputError(f"{where}: curve_draws: {sorted(counts)} per developer; all need the same number (or none)")
    table = np.full((counts.pop(), len(developers), 5), np.nan)
    for i, d in enumerate(developers):
        if d.curve_draws:
            table[:, i] = d.curve_draws
    return table


def build_population(
    developers: Sequence[DeveloperSpec], where: str, provenance: Mapping[str, str] | None = None
) -> Population:
    """One population (B = 1) of these developers; `where` names the file in errors."""
    if len(developers) < 2:
        raise InputError(f"{where}: developers: {len(developers)} given; a leaderboard needs at least 2")
    names = [d.name for d in developers]
    for i, name in enumerate(names):
        if name in names[:i]:
            raise InputError(
                f"{where}: developers[{i}].name = {name!r}; already the name of developers[{names.index(name)}], "
                "names must be distinct"
            )
    return Population(
        names=tuple(names),
        quality=_column(developers, "quality")[None],
        curve=_stack_curves([d.curve for d in developers]),
        cost=_stack_costs([d.cost for d in developers]),
        prior_exposure=_column(developers, "prior_exposure")[None],
        effort_cap=_column(developers, "effort_cap")[None],
        parameters_b=_column(developers, "parameters_b"),
        score_stderr=_column(developers, "score_stderr"),
        curve_draws=_curve_draws(developers, where),
        provenance=dict(provenance or {}),
        notes=tuple(
            f"{name}: measured scores fall by up to {fall:.4g} and were pooled (isotonic regression)"
            for d in developers
            for name, curve in _named_curves(d)
            if isinstance(curve, TabulatedSpec) and (fall := curve.largest_fall()) > 0
        ),
    )


def _named_curves(developer: DeveloperSpec) -> list[tuple[str, Any]]:
    """A developer's curve, or those of the tasks of its suite, with names for notes."""
    if isinstance(developer.curve, EnvelopeSpec):
        return [(f"{developer.name}, task {k}", task) for k, task in enumerate(developer.curve.tasks, start=1)]
    return [(developer.name, developer.curve)]


def explain(error: ValidationError, where: str, model: type[BaseModel] | None = None) -> InputError:
    """The first validation error as one sentence: file, field, what was found, what is allowed."""
    # a misspelt field is also a missing one: name the misspelling
    first = min(error.errors(include_url=False), key=lambda e: e["type"] != "extra_forbidden")
    path, known = "", _known_fields(model)
    for depth, part in enumerate(first["loc"], start=1):
        if isinstance(part, int):
            path += f"[{part}]"
        elif part in known or depth == len(first["loc"]):  # others are the tags of chosen variants
            path += f".{part}" if path else part
    reason, found = first["msg"], first["input"]
    reason = reason.removeprefix("Value error, ").removeprefix("Input ")
    if first["type"] == "missing":
        return InputError(f"{where}: {path}: missing; this field is required")
    if first["type"] == "extra_forbidden":
        name = str(first["loc"][-1])
        guess = difflib.get_close_matches(name, sorted(known), n=1)
        hint = f"; did you mean {guess[0]!r}?" if guess else ""
        return InputError(f"{where}: {path}: unknown field{hint}")
    if first["type"].startswith("union_tag"):
        allowed = first.get("ctx", {}).get("expected_tags", "")
        reason = f"`kind` must be one of {allowed}" if allowed else "needs a field `kind`"
        found = found.get("kind", found) if isinstance(found, dict) else found
    shown = "" if isinstance(found, dict | list) else f" = {found!r}"
    return InputError(f"{where}: {path}{shown}; {reason}" if path else f"{where}: {reason}")


def _known_fields(model: type[BaseModel] | None) -> set[str]:
    known: set[str] = set()
    queue: list[Any] = [model, DeveloperSpec] if model else [DeveloperSpec]
    while queue:
        item = queue.pop()
        if isinstance(item, type) and issubclass(item, BaseModel):
            known |= set(item.model_fields)
            queue += [f.annotation for f in item.model_fields.values()]
        else:
            queue += list(getattr(item, "__args__", ()))
    return known
