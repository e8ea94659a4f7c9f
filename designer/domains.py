"""Domains: which values of a knob a search may choose, and how Optuna proposes them.

This is the one place that knows Optuna's distributions. Numbers are always proposed from a continuous range and then
settled on their step: Optuna's model of a discrete range costs tens of milliseconds a trial, more than the games.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import exp, isfinite, log
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

__all__ = ["Choice", "Composite", "Domain", "Part", "Parts", "Range", "Simplex", "number_at", "share_of"]


def number_at(share: float, low: float, high: float, *, log_scale: bool) -> float:
    """The number at a share of the way through a range, or the end of the range that it would leave."""
    first, last = (log(low), log(high)) if log_scale else (low, high)
    at = first + share * (last - first)
    return float(min(max(exp(at) if log_scale else at, low), high))


def share_of(value: float, low: float, high: float, *, log_scale: bool) -> float:
    """The share of the way through a range at which a number lies; 0 where the range is a single number."""
    first, last = (log(low), log(high)) if log_scale else (low, high)
    return ((log(value) if log_scale else value) - first) / (last - first) if first < last else 0.0


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers from `low` to `high`, in steps of `step`, or `whole` ones only; with `log` by order of size."""

    low: float
    high: float
    step: float | None = None
    log: bool = False
    whole: bool = False

    def __post_init__(self) -> None:
        if not (isfinite(self.low) and isfinite(self.high)):
            raise ValueError(f"range: from {self.low:g} to {self.high:g}; both ends must be finite")
        if not self.low <= self.high:
            raise ValueError(f"range: low = {self.low:g} is above high = {self.high:g}")
        if self.step is not None and not self.step > 0:
            raise ValueError(f"range: step = {self.step:g}; must be positive")
        if self.log and not self.low > 0:
            raise ValueError(f"range: low = {self.low:g}; a logarithmic range must begin above 0")
        if self.whole and (self.low != round(self.low) or self.high != round(self.high)):
            raise ValueError(f"range: from {self.low:g} to {self.high:g}; whole numbers are needed")

    def settle(self, value: float) -> float | int:
        """The nearest allowed number."""
        step = self.step or (1.0 if self.whole else None)
        if step is not None:
            value = self.low + step * round((value - self.low) / step)
            while value > self.high * (1 + 1e-12):
                value -= step
        value = min(max(value, self.low), self.high)
        return round(value) if self.whole else value

    def suggest(self, trial: BaseTrial, name: str) -> float | int:
        """A number, as Optuna proposes it."""
        return self.settle(trial.suggest_float(name, self.low, self.high, log=self.log))

    def parameters(self, name: str, value: Any) -> dict[str, Any] | None:
        """Optuna's parameters that stand for a value, None where it lies outside."""
        if isinstance(value, bool) or not isinstance(value, int | float) or not self.low <= value <= self.high:
            return None
        return {name: float(value)}

    def dimensions(self) -> int:
        """Coordinates in [0, 1] that place a value."""
        return 1

    def place(self, name: str, at: tuple[float, ...]) -> dict[str, Any]:
        """Optuna's parameters of the value at coordinates in [0, 1]."""
        return {name: number_at(at[0], self.low, self.high, log_scale=self.log)}

    def ends(self) -> Iterator[Any]:
        """The extreme values."""
        yield self.settle(self.low)
        yield self.settle(self.high)


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a list of values."""

    options: tuple[Any, ...]

    def __post_init__(self) -> None:
        if not self.options:
            raise ValueError("choice: no options; give at least one")

    def suggest(self, trial: BaseTrial, name: str) -> Any:
        """An option. Optuna stores numbers and strings: the position stands for the option."""
        return self.options[trial.suggest_categorical(name, list(range(len(self.options))))]

    def parameters(self, name: str, value: Any) -> dict[str, Any] | None:
        """The position of a value, None where it is not among the options."""
        return {name: self.options.index(value)} if value in self.options else None

    def dimensions(self) -> int:
        """Coordinates in [0, 1] that place a value."""
        return 1

    def place(self, name: str, at: tuple[float, ...]) -> dict[str, Any]:
        """The position at a coordinate in [0, 1]."""
        return {name: min(int(at[0] * len(self.options)), len(self.options) - 1)}

    def ends(self) -> Iterator[Any]:
        """Every option."""
        yield from self.options


@dataclass(frozen=True, slots=True)
class Simplex:
    """Shares of `size` parts that sum to 1, each at least `least`; uniform draws of shares are uniform coordinates."""

    size: int
    least: float = 0.0

    def __post_init__(self) -> None:
        if self.size < 2:
            raise ValueError(f"shares: {self.size} part(s); at least 2 are needed")
        if not 0 <= self.least * self.size < 1:
            raise ValueError(f"shares: each of {self.size} at least {self.least:g}; they must sum to 1")

    def suggest(self, trial: BaseTrial, name: str) -> tuple[float, ...]:
        """Shares, as Optuna proposes them."""
        return self._shares([trial.suggest_float(f"{name}.{k + 1}", 0.0, 1.0) for k in range(self.size)])

    def _shares(self, at: list[float]) -> tuple[float, ...]:
        """Exponential lots of one rate, divided by their sum, are uniform on the simplex."""
        lots = [-log(max(u, 1e-12)) + 1e-12 for u in at]
        free, total = 1.0 - self.least * self.size, sum(lots)
        first = [self.least + free * lot / total for lot in lots[:-1]]
        return (*first, 1.0 - sum(first))

    def parameters(self, name: str, value: Any) -> dict[str, Any] | None:
        """Coordinates that give these shares, None where they are none."""
        if len(value) != self.size or abs(sum(value) - 1.0) > 1e-9 or min(value) < self.least - 1e-12:
            return None
        return {f"{name}.{k + 1}": exp(-max(share - self.least, 0.0)) for k, share in enumerate(value)}

    def dimensions(self) -> int:
        """Coordinates in [0, 1] that place a value."""
        return self.size

    def place(self, name: str, at: tuple[float, ...]) -> dict[str, Any]:
        """Optuna's parameters at coordinates in [0, 1]."""
        return {f"{name}.{k + 1}": u for k, u in enumerate(at)}

    def ends(self) -> Iterator[Any]:
        """Everything on one part, for each part."""
        for k in range(self.size):
            yield tuple(1.0 - self.least * (self.size - 1) if j == k else self.least for j in range(self.size))


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a knob that is made of several.

    default : its value where the search does not turn it. numeric : whether a range makes sense. whole : whole numbers
    only. options : what is allowed where it is not a number. matters : whether it does anything, given the parts chosen
    before it; where not, it is not chosen.
    """

    default: Any
    numeric: bool = True
    whole: bool = False
    options: tuple[Any, ...] = ()
    matters: Callable[[Mapping[str, Any]], bool] = lambda chosen: True


@dataclass(frozen=True, slots=True)
class Composite:
    """How a knob is put together from parts, in the order in which they are chosen.

    assemble : the knob's value from its parts. dissect : the parts of a value, None where it is not of this form.
    """

    parts: Mapping[str, Part]
    assemble: Callable[[Mapping[str, Any]], Any]
    dissect: Callable[[Any], Mapping[str, Any] | None]


@dataclass(frozen=True, slots=True)
class Parts:
    """Domains for some parts of a composite knob; the others keep their default."""

    composite: Composite
    domains: Mapping[str, Range | Choice]

    def __post_init__(self) -> None:
        for name in self.domains:
            if name not in self.composite.parts:
                raise ValueError(f"unknown part {name!r}; parts are {', '.join(self.composite.parts)}")
            allowed = self.composite.parts[name].options
            for option in self.domains[name].ends():
                if allowed and option not in allowed:
                    raise ValueError(f"{name} = {option!r}; allowed are {', '.join(map(str, allowed))}")
        object.__setattr__(self, "domains", MappingProxyType(dict(self.domains)))

    def _fill(self, choose: Callable[[str, Range | Choice], Any]) -> dict[str, Any]:
        chosen: dict[str, Any] = {}
        for name, part in self.composite.parts.items():
            domain = self.domains.get(name)
            if domain is None or not part.matters(chosen):
                chosen[name] = part.default
            else:
                chosen[name] = choose(name, domain)
        return chosen

    def suggest(self, trial: BaseTrial, name: str) -> Any:
        """A value, its parts as Optuna proposes them; parts that do nothing are not proposed."""
        return self.composite.assemble(self._fill(lambda part, domain: domain.suggest(trial, f"{name}.{part}")))

    def parameters(self, name: str, value: Any) -> dict[str, Any] | None:
        """Optuna's parameters that stand for a value, None where it lies outside."""
        parts = self.composite.dissect(value)
        if parts is None:
            return None
        found: dict[str, Any] = {}
        for part, domain in self.domains.items():
            if not self.composite.parts[part].matters(parts):
                continue
            own = domain.parameters(f"{name}.{part}", parts[part])
            if own is None:
                return None
            found |= own
        for part, rule in self.composite.parts.items():
            if part not in self.domains and rule.matters(parts) and parts[part] != rule.default:
                return None
        return found

    def dimensions(self) -> int:
        """Coordinates in [0, 1] that place a value."""
        return sum(domain.dimensions() for domain in self.domains.values())

    def place(self, name: str, at: tuple[float, ...]) -> dict[str, Any]:
        """Optuna's parameters at coordinates in [0, 1]."""
        found: dict[str, Any] = {}
        used = 0
        for part, domain in self.domains.items():
            found |= domain.place(f"{name}.{part}", at[used : used + domain.dimensions()])
            used += domain.dimensions()
        return found

    def ends(self) -> Iterator[Any]:
        """Values with each part at its ends in turn, the others at their first end."""
        first = {part: next(iter(domain.ends())) for part, domain in self.domains.items()}
        for turned, domain in self.domains.items():
            for end in domain.ends():
                yield self._at({**first, turned: end})

    def _at(self, values: Mapping[str, Any]) -> Any:
        return self.composite.assemble(self._fill(lambda part, _: values[part]))


Domain: TypeAlias = Range | Choice | Simplex | Parts
