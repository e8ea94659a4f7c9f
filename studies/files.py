"""The files a user writes: game, population, protocol and study files, in TOML or JSON (DESIGN section 7)."""

from __future__ import annotations

import csv
import io
import json
import os
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, TypeVar

from pydantic import Discriminator, Field, Tag, ValidationError, create_model

from designer.domains import Choice, Domain, Parts, Range, Simplex
from designer.goal import Goal
from designer.protocol import Protocol, knobs
from designer.space import Space, default_space
from followers.errors import InputError
from followers.population import Population
from followers.prior import RosterPrior
from followers.spec import DeveloperSpec, Spec, build_population, explain, must, not_negative

__all__ = [
    "Study",
    "read_game",
    "read_population",
    "read_protocol",
    "read_study",
    "read_subject",
    "write_csv",
    "write_toml",
    "write_whole",
]


class RangeSpec(Spec):
    """A numeric domain of `[space]`."""

    low: float
    high: float
    step: float | None = None
    log: bool = False


class SharesSpec(Spec):
    """Shares of several tasks that sum to 1: a domain of `[space]`."""

    tasks: int
    at_least: float = 0.0


def _table(section: str, base: type[Spec], *, required: tuple[str, ...] = ()) -> Any:
    """The model of a table of a file: the knobs that stand in it, and what `base` has."""
    fields: dict[str, Any] = {
        name: (k.form, ... if name in required else getattr(Protocol(), name))
        for name, k in knobs().items()
        if k.section == section
    }
    return create_model(f"{section.title()}Table", __base__=base, **fields)


def _by_shape(value: Any) -> str:
    return "list" if isinstance(value, list) else "table"


_listed_or_table = Discriminator(_by_shape)


def _space_table() -> Any:
    """`[space]`: for each knob a list of values; a range where it is a number; its parts where it has some."""
    fields: dict[str, Any] = {}
    for name, k in knobs().items():
        options: Any = list[k.form]  # type: ignore[name-defined]
        table: Any = RangeSpec if k.numeric else SharesSpec if k.shares else _parts_table(name)
        if table is not None:
            options = Annotated[Annotated[options, Tag("list")] | Annotated[table, Tag("table")], _listed_or_table]
        fields[name] = (options, None)
    return create_model("SpaceTable", __base__=Spec, **fields)


def _parts_table(knob: str) -> Any:
    """The parts of a composite knob, each a value, a list of values, or a range where it is a number."""
    composite = knobs()[knob].composite
    if composite is None:
        return None
    fields: dict[str, Any] = {}
    for name, part in composite.parts.items():
        plain: Any = (int if part.whole else float) if part.numeric else type(part.default)
        domain: Any = plain | list[plain]
        fields[name] = (domain | RangeSpec if part.numeric else domain, None)
    return create_model(f"{knob.title()}Parts", __base__=Spec, **fields)


if TYPE_CHECKING:  # these models are made from the knobs when the module is loaded
    ContestTable: TypeAlias = Any
    LooseContestTable: TypeAlias = Any
    ProtocolTable: TypeAlias = Any
    SpaceTable: TypeAlias = Any
else:
    ContestTable = _table("contest", Spec, required=("prizes",))
    LooseContestTable = _table("contest", Spec)
    ProtocolTable = _table("protocol", Spec)
    SpaceTable = _space_table()


class GameFile(Spec):
    """A game file."""

    developers: list[DeveloperSpec]
    contest: ContestTable
    protocol: ProtocolTable = Field({}, validate_default=True)
    provenance: dict[str, str] = {}


class PopulationFile(Spec):
    """A population file: a game file of which only the developers count."""

    developers: list[DeveloperSpec]
    contest: LooseContestTable = Field({}, validate_default=True)
    protocol: ProtocolTable = Field({}, validate_default=True)
    provenance: dict[str, str] = {}


class ProtocolFile(Spec):
    """A protocol file, where everything has a default."""

    contest: LooseContestTable = Field({}, validate_default=True)
    protocol: ProtocolTable = Field({}, validate_default=True)
    provenance: dict[str, str] = {}


class GoalSpec(Spec):
    """`[goal]`."""

    optimise: str = Goal().optimise
    at_least: dict[str, float] = dict(Goal().at_least)
    at_most: dict[str, float] = {}
    steady: bool = True
    front: list[str] = list(Goal().front)


class PriorSpec(Spec):
    """`[prior]`: what is not known about the population."""

    cost_spread: Annotated[float, not_negative] = 0.25
    exposure_share: Annotated[float, must(lambda x: 0 <= x <= 1, "must lie in [0, 1]")] = 0.0
    exposure_median: Annotated[float, not_negative] = 100.0
    exposure_spread: Annotated[float, not_negative] = 1.0
    level_errors: bool = True


class StudyFile(Spec):
    """A study file for `truerank propose`."""

    population: str = "gsm8k"
    contest: LooseContestTable = Field({}, validate_default=True)
    protocol: ProtocolTable = Field({}, validate_default=True)
    space: SpaceTable | None = None
    limits: dict[str, float] = {}
    goal: GoalSpec = GoalSpec()
    prior: PriorSpec = PriorSpec()
    trials: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    draws: Annotated[int, Field(ge=2, le=1_000_000)] | None = None
    seed: Annotated[int, Field(ge=0)] | None = None
    sampler: str | None = None


@dataclass(frozen=True, slots=True)
class Study:
    """What `truerank propose` searches; None where the file leaves it open."""

    population: Population
    space: Space | None
    goal: Goal
    prior: RosterPrior
    trials: int | None
    draws: int | None
    seed: int | None
    sampler: str | None = None


F = TypeVar("F", bound=Spec)


def _load(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder; a TOML or JSON file is needed") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a text file in UTF-8 (byte {error.start})") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    try:
        return json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except (json.JSONDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: not valid {'JSON' if path.suffix.lower() == '.json' else 'TOML'}: {error}") from None


def _parse(path: Path, model: type[F]) -> F:
    document = _load(path)
    if not isinstance(document, dict):
        raise InputError(f"{path}: a table of fields is needed, found a {type(document).__name__}")
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise explain(error, str(path), model) from None


def _protocol(path: Path, spec: Any) -> Protocol:
    try:
        return Protocol(**{name: getattr(getattr(spec, k.section), name) for name, k in knobs().items()})
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None


def fit(protocol: Protocol, population: Population, path: object) -> Protocol:
    """The protocol, once it is known to suit the population; `path` names the file in errors."""
    try:
        protocol.induce(population)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None
    return protocol


def read_game(path: Path) -> tuple[Population, Protocol]:
    """The population and protocol of a game file."""
    spec = _parse(path, GameFile)
    population = build_population(spec.developers, str(path), spec.provenance)
    return population, fit(_protocol(path, spec), population, path)


def read_population(name: str, base: Path | None = None) -> Population:
    """An embedded population by name, or the developers of a population or game file; `base` is its folder."""
    path = (base or Path()) / name
    if path.suffix.lower() in {".toml", ".json"} or path.exists():
        spec = _parse(path, PopulationFile)
        return build_population(spec.developers, str(path), spec.provenance)
    from followers.load import load

    return load(name)


def read_subject(name: str) -> tuple[Population, Protocol]:
    """An embedded population, or a game or population file, with its protocol; what is left open has its default."""
    path = Path(name)
    if path.suffix.lower() not in {".toml", ".json"} and not path.exists():
        return read_population(name), Protocol()
    spec = _parse(path, PopulationFile)
    population = build_population(spec.developers, str(path), spec.provenance)
    return population, fit(_protocol(path, spec), population, path)


def read_protocol(path: Path) -> Protocol:
    """The protocol of a protocol file."""
    spec = _parse(path, ProtocolFile)
    return _protocol(path, spec)


def read_study(path: Path) -> Study:
    """A study file, or a population file with everything else at its default."""
    document = _load(path)
    if isinstance(document, dict) and "developers" in document:
        return Study(read_population(str(path)), None, Goal(), RosterPrior(), None, None, None)
    spec = _parse(path, StudyFile)
    population = read_population(spec.population, path.parent)
    base = fit(_protocol(path, spec), population, path)
    try:
        goal = Goal(spec.goal.optimise, spec.goal.at_least, spec.goal.steady, spec.goal.at_most, tuple(spec.goal.front))
        space = _space(spec.space, base, spec.limits)
        if space is not None:
            space.check(population)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None
    prior = RosterPrior(**spec.prior.model_dump())
    return Study(population, space, goal, prior, spec.trials, spec.draws, spec.seed, spec.sampler)


def _space(spec: Any, base: Protocol, limits: Mapping[str, float]) -> Space | None:
    if spec is None:
        return replace(default_space(), base=base, limits=limits) if limits else None
    domains: dict[str, Domain] = {}
    for name in type(spec).model_fields:
        given = getattr(spec, name)
        if given is None:
            continue
        try:
            domains[name] = _domain(name, given)
        except ValueError as error:
            raise ValueError(f"space.{name}: {error}") from None
    if not domains:
        raise ValueError("space: empty; name at least one knob")
    return Space(domains, base, limits)


def _domain(knob: str, given: Any) -> Domain:
    """A knob's domain as the file says it."""
    if isinstance(given, list):
        return Choice(tuple(given))
    if isinstance(given, RangeSpec):
        return _range(given, whole=knobs()[knob].whole)
    if isinstance(given, SharesSpec):
        return Simplex(given.tasks, given.at_least)
    composite = knobs()[knob].composite
    assert composite is not None
    own: dict[str, Range | Choice] = {}
    for name, part in composite.parts.items():
        value = getattr(given, name)
        if isinstance(value, RangeSpec):
            own[name] = _range(value, whole=part.whole)
        elif value is not None:
            own[name] = Choice(tuple(value) if isinstance(value, list) else (value,))
    if not own:
        raise ValueError(f"empty; name at least one of {', '.join(composite.parts)}")
    return Parts(composite, own)


def _range(given: RangeSpec, *, whole: bool) -> Range:
    return Range(given.low, given.high, given.step, log=given.log, whole=whole)


def write_toml(path: Path, document: Mapping[str, Any]) -> None:
    """Write a TOML file whole or not at all."""
    import tomli_w

    write_whole(path, tomli_w.dumps(document))


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows of plain values as CSV, whole or not at all; an empty field stands for nothing."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({k: f"{v:.12g}" if isinstance(v, float) else v for k, v in row.items()})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from None
    write_whole(path, text.getvalue())


def write_whole(path: Path, text: str) -> None:
    """Write a text file whole or not at all: to a temporary file beside it, then renamed."""
    handle, temporary = -1, ""
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        if temporary and os.path.exists(temporary):
            os.unlink(temporary)
        raise InputError(f"{path}: cannot be written ({error.strerror})") from None
