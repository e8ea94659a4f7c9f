"""The declared protocol space: which knobs the search may turn, and how far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from designer.prizes import Bands
from designer.protocol import Protocol, knobs

if TYPE_CHECKING:
    import optuna

__all__ = ["Choice", "Range", "Space", "default_space"]


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers from `low` to `high`, in steps of `step` where given."""

    low: float
    high: float
    step: float | None = None

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise ValueError(f"range: low = {self.low:g} is above high = {self.high:g}")
        if self.step is not None and self.step <= 0:
            raise ValueError(f"range: step = {self.step:g}; must be positive")


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a list of values."""

    options: tuple[Any, ...]

    def __post_init__(self) -> None:
        if not self.options:
            raise ValueError("choice: no options; give at least one")


@dataclass(frozen=True, slots=True)
class Space:
    """Domains by knob name; knobs that are not named keep the value they have in `base`."""

    domains: Mapping[str, Range | Choice]
    base: Protocol = Protocol()

    def __post_init__(self) -> None:
        for name in self.domains:
            if name not in knobs():
                raise ValueError(f"space: unknown knob {name!r}; knobs are {', '.join(knobs())}")
        object.__setattr__(self, "domains", MappingProxyType(dict(self.domains)))

    def suggest(self, trial: optuna.Trial) -> Protocol:
        """A protocol from this space, as an Optuna trial suggests it."""
        values: dict[str, Any] = {}
        for name, domain in self.domains.items():
            if isinstance(domain, Range):
                values[name] = trial.suggest_float(name, domain.low, domain.high, step=domain.step)
            else:
                # Optuna stores numbers and strings: the position stands for the option
                values[name] = domain.options[trial.suggest_categorical(name, list(range(len(domain.options))))]
        return replace(self.base, **values)

    def parameters(self, protocol: Protocol) -> dict[str, Any] | None:
        """Optuna parameters that stand for a protocol, None where it lies outside the space."""
        values: dict[str, Any] = {}
        for name, domain in self.domains.items():
            value = getattr(protocol, name)
            if isinstance(domain, Range):
                if not domain.low <= value <= domain.high:
                    return None
                values[name] = value
            elif value in domain.options:
                values[name] = domain.options.index(value)
            else:
                return None
        return values


def default_space() -> Space:
    """Tuning budgets up to 50,000 steps, and bands of published ranks."""
    bands = (
        Bands(),
        Bands(top=10),
        Bands(top=3),
        Bands(top=1),
        Bands(width=2),
        Bands(width=3),
        Bands(width=5),
    )
    return Space({"tune_steps": Range(0.0, 50_000.0, step=100.0), "tiers": Choice(bands)})
