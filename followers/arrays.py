"""Array types and the two-float score arithmetic that every room shares."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["BoolArray", "FloatArray", "IntArray", "above", "two_sum"]

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]


def two_sum(a: Any, b: Any) -> tuple[FloatArray, FloatArray]:
    """Return (s, t) with s = fl(a + b) and s + t = a + b exactly (Knuth, TAOCP vol. 2, 4.2.2)."""
    a = np.asarray(a, dtype=np.float64)
    b = np.asarray(b, dtype=np.float64)
    total = a + b
    with np.errstate(invalid="ignore"):  # inf - inf where a score is unbounded
        shadow = total - a
        tail = (a - (total - shadow)) + (b - shadow)
    return total, np.where(np.isfinite(tail), tail, 0.0)


def above(score: Any, tail: Any, other: Any, other_tail: Any) -> BoolArray:
    """Whether the two-float score (score, tail) lies strictly above (other, other_tail); broadcasts."""
    return np.asarray((score > other) | ((score == other) & (tail > other_tail)))
