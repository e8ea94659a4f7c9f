"""A roster whose developers follow different laws: one part per kind, spread along the developer axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from followers.arrays import FloatArray, IntArray

__all__ = ["Part", "gather", "group_by_kind"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Part(Generic[T]):
    """One law and the developers (positions on the last axis) who follow it."""

    developers: IntArray
    law: T


def gather(
    parts: Sequence[Part[T]], n: int, method: Callable[[T, Sequence[FloatArray]], FloatArray], *inputs: Any
) -> FloatArray:
    """Apply `method(law, inputs of its developers)` per part; inputs and result have shape (..., n)."""
    full = [np.broadcast_to(x, np.broadcast_shapes(np.shape(x), (n,))) for x in inputs]
    pieces = [method(p.law, [x[..., p.developers] for x in full]) for p in parts]
    leading = np.broadcast_shapes(*(x.shape[:-1] for x in pieces))
    result = np.empty((*leading, n))
    for part, piece in zip(parts, pieces, strict=True):
        result[..., part.developers] = piece
    return result


def group_by_kind(kinds: Sequence[str]) -> dict[str, IntArray]:
    """Developers' positions by kind, in order of first appearance."""
    return {kind: np.flatnonzero(np.asarray(kinds) == kind) for kind in dict.fromkeys(kinds)}
