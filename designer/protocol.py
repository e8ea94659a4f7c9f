"""The evaluation protocol: the leader's move (DESIGN sections 1 and 3).

Each knob is one field of `Protocol`, declared by `knob` with all that it does: how it changes the game it induces, what
it costs the designer, how it reads in a sentence and in a file. Adding a knob means adding a field here: game, protocol
and study files, searches and tables follow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from types import MappingProxyType
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator

from designer.audits import AUDIT_PARTS, AuditForm, AuditPlan
from designer.domains import Composite
from designer.prizes import BAND_PARTS, PRIZE_PARTS, BandForm, Bands, PrizeForm, Prizes, band_mean
from followers.arrays import FloatArray
from followers.game import LeaderboardGame, TieRule
from followers.hidden import PartlyHidden
from followers.measurement import Noise
from followers.population import Population
from followers.reweighted import reweighted
from followers.spec import must, not_negative, sums_to_one

__all__ = ["Protocol", "knob", "knobs"]

Change = Callable[[LeaderboardGame, Any], LeaderboardGame]
Charge = Callable[[Population, Any], FloatArray]
Phrase = Callable[[Any], str]


Condition = Callable[[Mapping[str, Any]], bool]


@dataclass(frozen=True, slots=True)
class Knob:
    """What one field of the protocol does."""

    section: str
    form: Any
    write: Callable[[Any], Any]
    change: Change
    charge: Charge
    phrase: Phrase
    composite: Composite | None
    shares: bool
    matters: Condition

    @property
    def numeric(self) -> bool:
        """Whether a range of values makes sense."""
        return getattr(self.form, "__origin__", self.form) in (float, int)

    @property
    def whole(self) -> bool:
        """Whether only whole numbers make sense."""
        return getattr(self.form, "__origin__", self.form) is int


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
    composite: Composite | None = None,
    shares: bool = False,
    matters: Condition = lambda chosen: True,
) -> Any:
    """A field of `Protocol`: its default, at which it changes nothing, its effect on the game, its cost to the
    designer, its words.

    `form` is the pydantic type that reads its value from a file, `write` gives it back; `section` is the table of the
    file it stands in: "protocol" or "contest". `composite` says how a search puts it together from parts, `shares` that
    it is a list of shares; `matters` says whether it does anything, given the knobs before it: where not, a search
    leaves it at its default.
    """
    made = Knob(section, form, write, change, charge, phrase, composite, shares, matters)
    return field(default=default, metadata={"knob": made})


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


def _reweight(game: LeaderboardGame, weights: tuple[float, ...]) -> LeaderboardGame:
    return replace(game, curve=reweighted(game.curve, weights)) if weights else game


def _hide(game: LeaderboardGame, share: float) -> LeaderboardGame:
    return replace(game, curve=PartlyHidden(game.curve, game.head_start, share, 0.0)) if share else game


def _carry_over(game: LeaderboardGame, transfer: float) -> LeaderboardGame:
    """How much of the effort counts on the hidden items, where there are any."""
    hidden = isinstance(game.curve, PartlyHidden)
    return replace(game, curve=replace(game.curve, transfer=transfer)) if hidden else game  # type: ignore[type-var]


def _blur(game: LeaderboardGame, sigma: float) -> LeaderboardGame:
    return replace(game, noise=Noise(sigma=sigma)) if sigma else game


def _test(game: LeaderboardGame, items: int) -> LeaderboardGame:
    return replace(game, noise=Noise(items=items)) if items else game


def _audit(game: LeaderboardGame, plan: AuditPlan) -> LeaderboardGame:
    return replace(game, audit=plan.announced(game.batch, game.n))


def _describe_audit(plan: AuditPlan) -> str:
    return (
        f"audits, {sum(plan.probability):g} expected a round, of {plan.items} items at level {plan.level:g}, "
        f"fine {plan.fine:g}"
    )


_share = must(lambda x: 0 <= x <= 1, "must lie in [0, 1]")


def _may_be_noisy(chosen: Mapping[str, Any]) -> bool:
    """Noisy scores neither tie nor are they rounded, and there is one source of noise."""
    return chosen["ties"] is TieRule.QUALITY and not chosen["precision"] and not chosen.get("noise")


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
    task_weights : what each task of a suite counts, summing to 1; empty leaves the weights that the developers state.
    hidden_share, transfer : share of test items nobody has seen, and what part of the effort carries over to them.
    precision : grid to which published scores are rounded down, score units; 0 publishes them exactly.
    noise, test_items : standard deviation of an observed score, or the number of items it is measured on (then
        sigma^2 = s (1 - s) / items); at most one of them, 0 measures without error.
    audit : AuditPlan, random re-tests of published entries.
    """

    prizes: Prizes = knob(
        Prizes(),
        form=PrizeForm,
        write=Prizes.document,
        change=_pay,
        phrase=_describe_prizes,
        section="contest",
        composite=PRIZE_PARTS,
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
    tiers: Bands = knob(
        Bands(), form=BandForm, write=Bands.document, change=_band, phrase=_describe_bands, composite=BAND_PARTS
    )
    task_weights: tuple[float, ...] = knob(
        (),
        form=Annotated[list[float], sums_to_one, AfterValidator(tuple)],
        write=list,
        change=_reweight,
        phrase=lambda weights: "tasks weighted " + ", ".join(f"{w:.3g}" for w in weights),
        shares=True,
    )
    hidden_share: float = knob(
        0.0, form=Annotated[float, _share], change=_hide, phrase=lambda share: f"{share:.0%} of the test hidden"
    )
    transfer: float = knob(
        0.0,
        form=Annotated[float, _share],
        change=_carry_over,
        phrase=lambda transfer: f"{transfer:.0%} of the effort carries over to it",
        matters=lambda chosen: chosen["hidden_share"] > 0,
    )
    precision: float = knob(
        0.0,
        form=Annotated[float, not_negative],
        change=lambda game, eta: replace(game, precision=eta),
        phrase=lambda eta: f"scores rounded down to {eta:g}",
    )
    noise: float = knob(
        0.0,
        form=Annotated[float, not_negative],
        change=_blur,
        phrase=lambda sigma: f"scores known to ± {sigma:g}",
        matters=_may_be_noisy,
    )
    test_items: int = knob(
        0,
        form=Annotated[int, must(lambda x: x >= 0, "must not be negative (0: no noise)")],
        change=_test,
        phrase=lambda items: f"{items:,} test items",
        matters=_may_be_noisy,
    )
    audit: AuditPlan = knob(
        AuditPlan(),
        form=AuditForm,
        write=AuditPlan.document,
        change=_audit,
        phrase=_describe_audit,
        composite=AUDIT_PARTS,
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "ties", TieRule(self.ties))  # a user may write it as text
        if not (np.isfinite(self.tune_steps) and self.tune_steps >= 0):
            raise ValueError(f"tune_steps = {self.tune_steps}; must be a finite number of steps, not negative")
        if self.test_items and self.noise:
            raise ValueError(
                f"test_items = {self.test_items} and noise = {self.noise:g}: give one of them, the other 0"
            )
        for name in ("hidden_share", "transfer"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} = {getattr(self, name):g}; must lie in [0, 1]")

    def induce(self, population: Population) -> LeaderboardGame:
        """The developers' game under this protocol. Ties go to the better developer, equal qualities by position."""
        default = Protocol()
        order = np.argsort(np.argsort(-population.quality, axis=1, kind="stable"), axis=1)
        game = LeaderboardGame(
            curve=population.curve,
            cost=population.cost,
            head_start=population.prior_exposure,
            effort_cap=population.effort_cap,
            prizes=np.broadcast_to(default.prizes.schedule(population.n), population.quality.shape),
            ties=default.ties,
            tie_order=order,
        )
        for name, k in knobs().items():
            value = getattr(self, name)
            if value != getattr(default, name):  # a knob at its default changes nothing
                game = k.change(game, value)
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


def knobs() -> Mapping[str, Knob]:
    """Every knob of `Protocol` by name, in the order in which they change the game."""
    return _knobs_of(Protocol)


@cache
def _knobs_of(form: type[Protocol]) -> Mapping[str, Knob]:
    return MappingProxyType({f.name: f.metadata["knob"] for f in fields(form)})
