"""The evaluation protocol: the leader's move (DESIGN sections 1 and 3).

Each knob is one field of `Protocol`, declared by `knob` with all that it does: how it changes the game it induces, what
it costs the designer, how it reads in a sentence and in a file. Adding a knob means adding a field here: game, protocol
and study files, searches and tables follow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator

from designer.prizes import BandForm, Bands, PrizeForm, Prizes, band_mean
from followers.arrays import FloatArray
from followers.game import LeaderboardGame, TieRule
from followers.population import Population
from followers.spec import not_negative

__all__ = ["Protocol", "knob", "knobs"]

Change = Callable[[LeaderboardGame, Any], LeaderboardGame]
Charge = Callable[[Population, Any], FloatArray]
Phrase = Callable[[Any], str]


@dataclass(frozen=True, slots=True)
class Knob:
    """What one field of the protocol does."""

    section: str
    form: Any
    write: Callable[[Any], Any]
    change: Change
    charge: Charge
    phrase: Phrase

    @property
    def numeric(self) -> bool:
        """Whether a range of values makes sense."""
        return getattr(self.form, "__origin__", self.form) is float


def _no_charge(population: Population, value: Any) -> FloatArray:
    return np.zeros(population.batch)


def knob(
    default: Any,
    *,
    form: Any,
    change: Change,
    phrase: Phrase,
    charge: Charge = _no_charge,
    write: Callable[[Any], Any] = lambda value: value,
    section: str = "protocol",
) -> Any:
    """A field of `Protocol`: its default, its effect on the game, its cost to the designer, its words.

    `form` is the pydantic type that reads its value from a file, `write` gives it back; `section` is the table of the
    file it stands in: "protocol" or "contest".
    """
    return field(default=default, metadata={"knob": Knob(section, form, write, change, charge, phrase)})


def _pay(game: LeaderboardGame, prizes: Prizes) -> LeaderboardGame:
    return replace(game, prizes=np.broadcast_to(prizes.schedule(game.n), game.head_start.shape))


def _describe_prizes(prizes: Prizes) -> str:
    if prizes.values:
        return f"prizes {list(prizes.values)}"
    amount = f"total {prizes.total:g}" if prizes.total is not None else f"first prize {prizes.first:g}"
    return f"{prizes.kind} prizes, {amount}"


def _tune(game: LeaderboardGame, steps: float) -> LeaderboardGame:
    return replace(game, head_start=game.head_start + steps)


def _tuning_compute(population: Population, steps: float) -> FloatArray:
    """Tuning steps times billions of parameters, summed over developers."""
    return np.full(population.batch, steps * float(population.parameters_b.sum()))


def _band(game: LeaderboardGame, bands: Bands) -> LeaderboardGame:
    prizes = band_mean(game.prizes[0], bands.partition(game.n))
    return replace(game, prizes=np.broadcast_to(prizes, game.head_start.shape))


def _describe_bands(bands: Bands) -> str:
    if bands.sizes:
        return f"ranks published in bands of {list(bands.sizes)}"
    if bands.top is not None:
        return f"top {bands.top} published singly, the rest as one band"
    return f"ranks published in bands of {bands.width}" if bands.width else "every rank published"


@dataclass(frozen=True, slots=True)
class Protocol:
    """An evaluation protocol; the default is direct evaluation with harmonic prizes, first prize 1.

    Attributes
    ----------
    prizes : Prizes, prize units.
    ties : TieRule, what entries with equal scores get.
    tune_steps : optimiser steps of tuning that every model gets before the test (tune-before-test); 0 is direct
        evaluation. Costs the designer steps times billions of parameters.
    tiers : Bands, how ranks are published; a band's members share its prizes.
    """

    prizes: Prizes = knob(
        Prizes(), form=PrizeForm, write=Prizes.document, change=_pay, phrase=_describe_prizes, section="contest"
    )
    ties: TieRule = knob(
        TieRule.QUALITY,
        form=Annotated[Literal["quality", "split"], AfterValidator(TieRule)],
        write=lambda ties: ties.value,
        change=lambda game, ties: replace(game, ties=ties),
        phrase=lambda ties: f"ties by {ties.value}" if ties is TieRule.QUALITY else "ties share prizes",
        section="contest",
    )
    tune_steps: float = knob(
        0.0,
        form=Annotated[float, not_negative],
        change=_tune,
        charge=_tuning_compute,
        phrase=lambda steps: f"{steps:,.0f} tuning steps before the test" if steps else "direct evaluation",
    )
    tiers: Bands = knob(Bands(), form=BandForm, write=Bands.document, change=_band, phrase=_describe_bands)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ties", TieRule(self.ties))  # a user may write it as text
        if not (np.isfinite(self.tune_steps) and self.tune_steps >= 0):
            raise ValueError(f"tune_steps = {self.tune_steps}; must be a finite number of steps, not negative")

    def induce(self, population: Population) -> LeaderboardGame:
        """The developers' game under this protocol. Ties go to the better developer, equal qualities by position."""
        order = np.argsort(np.argsort(-population.quality, axis=1, kind="stable"), axis=1)
        game = LeaderboardGame(
            curve=population.curve,
            cost=population.cost,
            head_start=population.prior_exposure,
            effort_cap=population.effort_cap,
            prizes=np.zeros(population.quality.shape),
            ties=TieRule.QUALITY,
            tie_order=order,
        )
        for name, k in knobs().items():
            game = k.change(game, getattr(self, name))
        return game

    def cost(self, population: Population) -> FloatArray:
        """What the protocol costs the designer, (B,), tuning steps times billions of parameters."""
        charges = [k.charge(population, getattr(self, name)) for name, k in knobs().items()]
        return np.asarray(np.sum(charges, axis=0))

    def document(self) -> dict[str, dict[str, Any]]:
        """The protocol as the tables of a protocol file."""
        tables: dict[str, dict[str, Any]] = {}
        for name, k in knobs().items():
            tables.setdefault(k.section, {})[name] = k.write(getattr(self, name))
        return tables

    def sentence(self) -> str:
        """The protocol in words; knobs at their default are left out, but for the tuning budget."""
        default, all_knobs = Protocol(), knobs()
        turned = [name for name in all_knobs if getattr(self, name) != getattr(default, name) and name != "tune_steps"]
        return ", ".join(all_knobs[name].phrase(getattr(self, name)) for name in ("tune_steps", *turned))


def knobs() -> dict[str, Knob]:
    """Every knob of `Protocol` by name, in the order in which they change the game."""
    return {f.name: f.metadata["knob"] for f in fields(Protocol)}
