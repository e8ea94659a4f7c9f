"""Prize schedules and rank bands: what the leader pays for which published rank (DESIGN sections 1 and 3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, Discriminator, Tag

from designer.domains import Composite, Part
from followers.arrays import FloatArray, IntArray
from followers.spec import Spec

__all__ = [
    "BAND_PARTS",
    "PRIZE_PARTS",
    "BandForm",
    "Bands",
    "PrizeForm",
    "Prizes",
    "band_mean",
    "band_of_rank",
]

PrizeKind = Literal["winner-takes-all", "harmonic", "linear"]


@dataclass(frozen=True, slots=True)
class Prizes:
    """A prize schedule for any number of developers, in prize units.

    `values` lists the prizes of ranks 1..n. Otherwise `kind` gives the shape: winner-takes-all (1, 0, ..), harmonic
    (1, 1/2, 1/3, ..) or linear (n, n-1, .., 1), scaled so that all prizes sum to `total`, or so that the first prize is
    `first`. Exactly one of `total` and `first` applies; the default is a first prize of 1.
    """

    kind: PrizeKind = "harmonic"
    total: float | None = None
    first: float | None = None
    values: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.total is not None and self.first is not None:
            raise ValueError("prizes: give `total` or `first`, not both")
        if not self.values and self.total is None and self.first is None:
            object.__setattr__(self, "first", 1.0)
        for name in ("total", "first"):
            amount = getattr(self, name)
            if amount is not None and not (np.isfinite(amount) and amount > 0):
                raise ValueError(f"prizes: {name} = {amount}; must be a positive finite number")
        if not all(np.isfinite(v) for v in self.values):
            raise ValueError("prizes: must be finite numbers")
        for r, (a, b) in enumerate(zip(self.values, self.values[1:], strict=False), start=1):
            if b > a:
                raise ValueError(
                    f"prizes: rank {r + 1} earns {b:g}, more than rank {r} with {a:g}; prizes may not increase"
                )

    def schedule(self, n: int) -> FloatArray:
        """Prizes of ranks 1..n, shape (n,)."""
        if self.values:
            if len(self.values) != n:
                raise ValueError(f"prizes: {len(self.values)} given for {n} developers; one per rank is needed")
            return np.array(self.values, dtype=np.float64)
        rank = np.arange(1, n + 1, dtype=np.float64)
        shape = {
            "winner-takes-all": np.where(rank == 1, 1.0, 0.0),
            "harmonic": 1.0 / rank,
            "linear": (n + 1 - rank) / n,
        }[self.kind]
        if self.total is not None:
            return np.asarray(shape * (self.total / shape.sum()))
        return np.asarray(shape * self.first)

    def document(self) -> Any:
        """As a file says it."""
        if self.values:
            return list(self.values)
        amount = {"first": self.first} if self.total is None else {"total": self.total}
        return {"kind": self.kind, **amount}


@dataclass(frozen=True, slots=True)
class Bands:
    """How ranks are published.

    `sizes` lists the bands from the top and must sum to n. Otherwise `top` = k publishes the first k ranks singly and
    the rest as one band, `width` = w publishes bands of w ranks. All empty: every rank singly.
    """

    sizes: tuple[int, ...] = ()
    top: int | None = None
    width: int | None = None

    def __post_init__(self) -> None:
        if bool(self.sizes) + (self.top is not None) + (self.width is not None) > 1:
            raise ValueError("tiers: give sizes, `top` or `width`, not several of them")
        if any(s < 1 for s in self.sizes):
            raise ValueError(f"tiers = {list(self.sizes)}; every band needs at least 1 rank")
        for name in ("top", "width"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"tiers: {name} = {value}; must be at least 1")

    def partition(self, n: int) -> tuple[int, ...]:
        """Band sizes for n developers."""
        if self.sizes:
            if sum(self.sizes) != n:
                raise ValueError(
                    f"tiers = {list(self.sizes)} sum to {sum(self.sizes)}; must sum to {n}, the number of developers"
                )
            return self.sizes
        if self.top is not None:
            return (1,) * min(self.top, n) + ((n - self.top,) if self.top < n else ())
        width = self.width or 1
        return (width,) * (n // width) + ((n % width,) if n % width else ())

    def document(self) -> Any:
        """As a file says it."""
        rule = {name: getattr(self, name) for name in ("top", "width") if getattr(self, name) is not None}
        return rule or list(self.sizes)


class PrizeRule(Spec):
    """`prizes = { kind = ..., total = ... }`, or `first` instead of `total`; a total of 1 where neither is given."""

    kind: PrizeKind
    total: float | None = None
    first: float | None = None


class BandRule(Spec):
    """`tiers = { top = k }` or `{ width = w }`."""

    top: int | None = None
    width: int | None = None


def _read_prizes(value: list[float] | PrizeRule) -> Prizes:
    if isinstance(value, list):
        if len(value) < 2:
            raise ValueError(f"{len(value)} prize(s); one per developer is needed, at least 2")
        return Prizes(values=tuple(value))
    total = 1.0 if value.total is None and value.first is None else value.total
    return Prizes(kind=value.kind, total=total, first=value.first)


def _read_bands(value: list[int] | BandRule) -> Bands:
    return Bands(sizes=tuple(value)) if isinstance(value, list) else Bands(top=value.top, width=value.width)


_by_shape = Discriminator(lambda value: "list" if isinstance(value, list) else "rule")

PrizeForm = Annotated[
    Annotated[list[float], Tag("list")] | Annotated[PrizeRule, Tag("rule")], _by_shape, AfterValidator(_read_prizes)
]
"""How a file gives prizes: a list, or a `PrizeRule`; read as `Prizes`."""

BandForm = Annotated[
    Annotated[list[int], Tag("list")] | Annotated[BandRule, Tag("rule")], _by_shape, AfterValidator(_read_bands)
]
"""How a file gives bands: a list of sizes, or a `BandRule`; read as `Bands`."""


def _assemble_bands(parts: Mapping[str, Any]) -> Bands:
    rule = parts["rule"]
    return Bands() if rule == "single" else Bands(**{rule: parts[rule]})


def _dissect_bands(bands: Bands) -> Mapping[str, Any] | None:
    if bands.sizes:
        return None
    rule = "top" if bands.top is not None else "width" if bands.width is not None else "single"
    return {"rule": rule, "top": bands.top or 1, "width": bands.width or 2}


BAND_PARTS = Composite(
    {
        "rule": Part("single", numeric=False),
        "top": Part(1, whole=True, matters=lambda chosen: chosen["rule"] == "top"),
        "width": Part(2, whole=True, matters=lambda chosen: chosen["rule"] == "width"),
    },
    _assemble_bands,
    _dissect_bands,
)
"""How a search puts bands together: `rule` "single", "top" or "width", and the number that goes with it."""


def _assemble_prizes(parts: Mapping[str, Any]) -> Prizes:
    return Prizes(kind=parts["kind"], first=parts["first"])


def _dissect_prizes(prizes: Prizes) -> Mapping[str, Any] | None:
    if prizes.values or prizes.first is None:
        return None
    return {"kind": prizes.kind, "first": prizes.first}


PRIZE_PARTS = Composite(
    {"kind": Part("harmonic", numeric=False), "first": Part(1.0)}, _assemble_prizes, _dissect_prizes
)
"""How a search puts a prize schedule together: its kind and its first prize."""


def band_of_rank(sizes: tuple[int, ...]) -> IntArray:
    """Band (0 is the top one) of each rank, shape (n,)."""
    return np.repeat(np.arange(len(sizes)), sizes)


def band_mean(prizes: FloatArray, sizes: tuple[int, ...]) -> FloatArray:
    """Prizes when each band's members share its prizes equally; one float per band, so that ties are exact."""
    edges = np.concatenate([[0], np.cumsum(sizes)])
    means = [prizes[a] if b == a + 1 else prizes[a:b].mean() for a, b in pairwise(edges)]
    return np.repeat(np.minimum.accumulate(np.array(means)), sizes)
