"""The files a user writes: game, population, protocol and study files, in TOML or JSON (DESIGN section 7)."""

from __future__ import annotations

import json
import os
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, Discriminator, Field, Tag, ValidationError, model_validator

from designer.prizes import Bands, Prizes
from designer.protocol import Protocol
from designer.search import Goal
from designer.space import Choice, Range, Space
from followers.errors import InputError
from followers.game import TieRule
from followers.population import Population
from followers.prior import RosterPrior
from followers.spec import DeveloperSpec, Spec, build_population, explain, must, not_negative

__all__ = [
    "Study",
    "protocol_document",
    "read_game",
    "read_population",
    "read_protocol",
    "read_study",
    "write_toml",
]


def _build(make: Any) -> AfterValidator:
    """Turn the value into what `make` builds of it; its ValueError becomes the user's message."""
    return AfterValidator(make)


class PrizeRule(Spec):
    """`prizes = { kind = ..., total = ... }`, or `first` instead of `total`; a total of 1 where neither is given."""

    kind: Literal["winner-takes-all", "harmonic", "linear"]
    total: float | None = None
    first: float | None = None


def _prizes(value: list[float] | PrizeRule) -> Prizes:
    if isinstance(value, list):
        if len(value) < 2:
            raise ValueError(f"{len(value)} prize(s); one per developer is needed, at least 2")
        return Prizes(values=tuple(value))
    total = 1.0 if value.total is None and value.first is None else value.total
    return Prizes(kind=value.kind, total=total, first=value.first)


class BandRule(Spec):
    """`tiers = { top = k }` or `{ width = w }`."""

    top: int | None = None
    width: int | None = None


def _bands(value: list[int] | BandRule) -> Bands:
    return Bands(sizes=tuple(value)) if isinstance(value, list) else Bands(top=value.top, width=value.width)


_by_shape = Discriminator(lambda value: "list" if isinstance(value, list) else "rule")
PrizeField = Annotated[
    Annotated[list[float], Tag("list")] | Annotated[PrizeRule, Tag("rule")], _by_shape, _build(_prizes)
]
BandField = Annotated[Annotated[list[int], Tag("list")] | Annotated[BandRule, Tag("rule")], _by_shape, _build(_bands)]
TieField = Annotated[Literal["quality", "split"], _build(TieRule)]
Steps = Annotated[float, not_negative]


class ContestSpec(Spec):
    """`[contest]`."""

    prizes: PrizeField
    ties: TieField = TieRule.QUALITY  # type: ignore[assignment]


class LooseContestSpec(Spec):
    """`[contest]` of a protocol file, where the prizes have a default."""

    prizes: PrizeField = Prizes()  # type: ignore[assignment]
    ties: TieField = TieRule.QUALITY  # type: ignore[assignment]


def _only(neutral: float) -> AfterValidator:
    return must(lambda x: x == neutral, f"only {neutral:g} is solved by this version of truerank")


class ProtocolSpec(Spec):
    """`[protocol]`. Measurement rules that this version cannot solve may be written down, but only at rest."""

    tune_steps: Steps = 0.0
    tiers: BandField = Bands()  # type: ignore[assignment]
    precision: Annotated[float, _only(0)] = 0.0
    test_items: Annotated[int, _only(0)] = 0
    noise: Annotated[float, _only(0)] = 0.0
    hidden_share: Annotated[float, _only(0)] = 0.0
    transfer: Annotated[float, not_negative] = 0.0
    audit: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _no_audit(self) -> ProtocolSpec:
        probability = (self.audit or {}).get("probability", [])
        if any(p != 0 for p in (probability if isinstance(probability, list) else [probability])):
            raise ValueError("audit.probability is not zero; audits are not solved by this version of truerank")
        return self


class GameFile(Spec):
    """A game file."""

    developers: list[DeveloperSpec]
    contest: ContestSpec
    protocol: ProtocolSpec = ProtocolSpec()
    provenance: dict[str, str] = {}


class PopulationFile(Spec):
    """A population file: a game file of which only the developers count."""

    developers: list[DeveloperSpec]
    contest: LooseContestSpec = LooseContestSpec()
    protocol: ProtocolSpec = ProtocolSpec()
    provenance: dict[str, str] = {}


class ProtocolFile(Spec):
    """A protocol file."""

    contest: LooseContestSpec = LooseContestSpec()
    protocol: ProtocolSpec = ProtocolSpec()


class RangeSpec(Spec):
    """A numeric domain of `[space]`."""

    low: float
    high: float
    step: float | None = None


class SpaceSpec(Spec):
    """`[space]`: the knobs the search may turn."""

    tune_steps: RangeSpec | list[Steps] | None = None
    tiers: list[BandField] | None = None
    ties: list[TieField] | None = None
    prizes: list[PrizeField] | None = None


class GoalSpec(Spec):
    """`[goal]`."""

    optimise: Literal["designer_cost", "kendall_tau", "top_one", "pure_share"] = "designer_cost"
    at_least: dict[str, float] = {"pure_share": 0.9, "kendall_tau": 0.95}
    steady: bool = True


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
    contest: LooseContestSpec = LooseContestSpec()
    protocol: ProtocolSpec = ProtocolSpec()
    space: SpaceSpec | None = None
    goal: GoalSpec = GoalSpec()
    prior: PriorSpec = PriorSpec()
    trials: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    draws: Annotated[int, Field(ge=2, le=1_000_000)] | None = None
    seed: Annotated[int, Field(ge=0)] | None = None


@dataclass(frozen=True, slots=True)
class Study:
    """What `truerank propose` searches; `trials`, `draws`, `seed` are None where the file leaves them open."""

    population: Population
    space: Space | None
    goal: Goal
    prior: RosterPrior
    trials: int | None
    draws: int | None
    seed: int | None


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


def _protocol(path: Path, contest: ContestSpec | LooseContestSpec, rules: ProtocolSpec) -> Protocol:
    try:
        return Protocol(
            prizes=contest.prizes,  # type: ignore[arg-type]
            ties=TieRule(contest.ties),
            tune_steps=rules.tune_steps,
            tiers=rules.tiers,  # type: ignore[arg-type]
        )
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None


def fit(protocol: Protocol, population: Population, path: object) -> Protocol:
    """The protocol, once prizes and bands are known to suit the population; `path` names the file in errors."""
    try:
        protocol.prizes.schedule(population.n)
        protocol.tiers.partition(population.n)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None
    return protocol


def read_game(path: Path) -> tuple[Population, Protocol]:
    """The population and protocol of a game file."""
    spec = _parse(path, GameFile)
    population = build_population(spec.developers, str(path), spec.provenance)
    return population, fit(_protocol(path, spec.contest, spec.protocol), population, path)


def read_population(name: str, base: Path | None = None) -> Population:
    """An embedded population by name, or the developers of a population or game file; `base` is its folder."""
    path = (base or Path()) / name
    if path.suffix.lower() in {".toml", ".json"} or path.exists():
        spec = _parse(path, PopulationFile)
        return build_population(spec.developers, str(path), spec.provenance)
    from followers.load import load

    return load(name)


def read_protocol(path: Path) -> Protocol:
    """The protocol of a protocol file."""
    spec = _parse(path, ProtocolFile)
    return _protocol(path, spec.contest, spec.protocol)


def read_study(path: Path) -> Study:
    """A study file, or a population file with everything else at its default."""
    document = _load(path)
    if isinstance(document, dict) and "developers" in document:
        return Study(read_population(str(path)), None, Goal(), RosterPrior(), None, None, None)
    spec = _parse(path, StudyFile)
    population = read_population(spec.population, path.parent)
    base = fit(_protocol(path, spec.contest, spec.protocol), population, path)
    try:
        goal = Goal(spec.goal.optimise, dict(spec.goal.at_least), spec.goal.steady)
        space = _space(spec.space, base)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None
    for domain in space.domains.values() if space else ():
        for option in domain.options if isinstance(domain, Choice) else ():
            if isinstance(option, Prizes | Bands):
                option_at = Protocol(prizes=option) if isinstance(option, Prizes) else Protocol(tiers=option)
                fit(option_at, population, path)
    return Study(population, space, goal, RosterPrior(**spec.prior.model_dump()), spec.trials, spec.draws, spec.seed)


def _space(spec: SpaceSpec | None, base: Protocol) -> Space | None:
    if spec is None:
        return None
    domains: dict[str, Range | Choice] = {}
    for name in type(spec).model_fields:
        domain = getattr(spec, name)
        if isinstance(domain, RangeSpec):
            domains[name] = Range(domain.low, domain.high, domain.step)
        elif domain is not None:
            domains[name] = Choice(tuple(domain))
    if not domains:
        raise ValueError("space: empty; name at least one knob")
    return Space(domains, base)


def protocol_document(protocol: Protocol) -> dict[str, Any]:
    """A protocol as the tables of a protocol file."""
    prizes, tiers = protocol.prizes, protocol.tiers
    prize_rule: Any = list(prizes.values)
    if not prizes.values:
        amount = {"total": prizes.total} if prizes.total is not None else {"first": prizes.first}
        prize_rule = {"kind": prizes.kind, **amount}
    band_rule: Any = list(tiers.sizes)
    for name in ("top", "width"):
        if getattr(tiers, name) is not None:
            band_rule = {name: getattr(tiers, name)}
    return {
        "contest": {"prizes": prize_rule, "ties": protocol.ties.value},
        "protocol": {"tune_steps": protocol.tune_steps, "tiers": band_rule},
    }


def write_toml(path: Path, document: Mapping[str, Any]) -> None:
    """Write a TOML file whole or not at all: to a temporary file beside it, then renamed."""
    import tomli_w

    handle, temporary = -1, ""
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        with os.fdopen(handle, "wb") as file:
            tomli_w.dump(document, file)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        if temporary and os.path.exists(temporary):
            os.unlink(temporary)
        raise InputError(f"{path}: cannot be written ({error.strerror})") from None
