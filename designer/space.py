"""The declared protocol space: which knobs a search may turn, how far, and within which limits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from designer.domains import Choice, Domain, Parts, Range
from designer.limits import LIMITS
from designer.prizes import Bands
from designer.protocol import Protocol, knobs
from followers.population import Population

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

__all__ = ["Space", "default_space"]


@dataclass(frozen=True, slots=True)
class Space:
    """Domains by knob name; knobs that are not named keep the value they have in `base`.

    `limits` are what no protocol may overrun, by name; see `designer.limits.LIMITS`.
    """

    domains: Mapping[str, Domain]
    base: Protocol = Protocol()
    limits: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.domains:
            if name not in knobs():
                raise ValueError(f"space: unknown knob {name!r}; knobs are {', '.join(knobs())}")
        for name in self.limits:
            if name not in LIMITS:
                raise ValueError(f"limits: unknown limit {name!r}; limits are {', '.join(LIMITS)}")
        # in the order in which knobs change the game: what does something depends on those before
        ordered = {name: self.domains[name] for name in knobs() if name in self.domains}
        object.__setattr__(self, "domains", MappingProxyType(ordered))
        object.__setattr__(self, "limits", MappingProxyType(dict(self.limits)))

    def _fill(self, choose: Callable[[str, Domain], Any]) -> Protocol:
        """A protocol; a knob that does nothing, given those before it, is not chosen but left at its default."""
        chosen: dict[str, Any] = {}
        default = Protocol()
        for name, knob in knobs().items():
            if name not in self.domains:
                chosen[name] = getattr(self.base, name)
            elif knob.matters(chosen):
                chosen[name] = choose(name, self.domains[name])
            else:
                chosen[name] = getattr(default, name)
        return replace(self.base, **{name: chosen[name] for name in self.domains})

    def suggest(self, trial: BaseTrial) -> Protocol:
        """A protocol from this space, as an Optuna trial suggests it."""
        return self._fill(lambda name, domain: domain.suggest(trial, name))

    def parameters(self, protocol: Protocol) -> dict[str, Any] | None:
        """Optuna parameters that stand for a protocol, None where it lies outside the space."""
        values: dict[str, Any] = {}
        before: dict[str, Any] = {}
        for name, knob in knobs().items():
            value = getattr(protocol, name)
            if name not in self.domains:
                if value != getattr(self.base, name):
                    return None
            elif knob.matters(before):
                own = self.domains[name].parameters(name, value)
                if own is None:
                    return None
                values |= own
            before[name] = value
        return values

    def dimensions(self) -> int:
        """Coordinates in [0, 1] that place a protocol."""
        return sum(domain.dimensions() for domain in self.domains.values())

    def place(self, at: tuple[float, ...]) -> dict[str, Any]:
        """Optuna parameters of the protocol at coordinates in [0, 1]; those that do nothing there are among them."""
        values: dict[str, Any] = {}
        used = 0
        for name, domain in self.domains.items():
            values |= domain.place(name, at[used : used + domain.dimensions()])
            used += domain.dimensions()
        return values

    def widened(self, protocol: Protocol) -> Space:
        """The space with a protocol's values among the options of its choices, so that it lies inside if it can."""
        domains = dict(self.domains)
        for name, domain in self.domains.items():
            value = getattr(protocol, name)
            if isinstance(domain, Choice) and value not in domain.options:
                domains[name] = Choice((*domain.options, value))
        return replace(self, domains=domains)

    @property
    def conditional(self) -> bool:
        """Whether some parameters are chosen only where others make them matter."""
        default = Protocol()
        nothing = {name: getattr(default, name) for name in knobs()}
        return any(
            not knobs()[name].matters(nothing)
            or (isinstance(domain, Parts) and ("on" in domain.domains or "rule" in domain.domains))
            for name, domain in self.domains.items()
        )

    @property
    def continuous(self) -> bool:
        """Whether every knob is a range of numbers."""
        return all(isinstance(domain, Range) and not domain.whole for domain in self.domains.values())

    def least(self, limit: str, population: Population) -> tuple[float, Protocol]:
        """Least that a protocol of this space uses of what is limited, and one that does.

        Exact: what is limited is a sum over knobs, or depends on one, so that each knob can be turned by itself.
        """
        use = LIMITS[limit]
        best = self._turned("", None)
        for name, domain in self.domains.items():
            for end in domain.ends():
                try:
                    turned = replace(best, **{name: end})
                except ValueError:  # two knobs that exclude each other
                    continue
                if use(turned, population) < use(best, population):
                    best = turned
        return use(best, population), best

    def _turned(self, knob: str, value: Any) -> Protocol:
        """A protocol with one knob at a value, the others at their first end."""
        return self._fill(lambda name, domain: value if name == knob else next(iter(domain.ends())))

    def check(self, population: Population) -> None:
        """Refuse, before a search begins, what cannot be played or kept.

        Raises
        ------
        ValueError : a knob's value does not suit the population, or no protocol of the space keeps a limit.
        """
        for name, domain in self.domains.items():
            for end in domain.ends():
                try:
                    self._turned(name, end).induce(population)
                except ValueError as error:
                    raise ValueError(f"space.{name}: {error}") from None
        for limit, most in self.limits.items():
            least, protocol = self.least(limit, population)
            if least > most:
                raise ValueError(
                    f"limits.{limit} = {most:g}; every protocol of the space needs at least {least:g} "
                    f"({protocol.sentence()})"
                )


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
