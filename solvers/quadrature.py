"""Adaptive Gauss-Legendre quadrature on many panels at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from followers.arrays import FloatArray

__all__ = ["integral"]

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(10)
_HALVINGS = 60


def integral(function: Callable[[FloatArray], FloatArray], edges: Any, *, tolerance: float = 1e-13) -> float:
    """Integral of a bounded function from edges[0] to edges[-1]; the function takes and gives arrays (k,).

    A panel is halved until its halves agree with it to `tolerance`, which ten points reach at once where the function
    is smooth; kinks and powers with infinite slope at the end of a panel are closed in on by the halving. `edges` (m,),
    non-decreasing, should hold the places where the function jumps: a jump within a panel costs the most halvings.
    """
    edges = np.asarray(edges, dtype=np.float64)
    left, right = edges[:-1], edges[1:]
    whole, total = _panels(function, left, right), 0.0
    for _ in range(_HALVINGS):
        middle = 0.5 * (left + right)
        low, high = _panels(function, left, middle), _panels(function, middle, right)
        open_ = np.abs(low + high - whole) > tolerance
        total += float((low + high)[~open_].sum())
        left, right = np.concatenate([left[open_], middle[open_]]), np.concatenate([middle[open_], right[open_]])
        whole = np.concatenate([low[open_], high[open_]])
        if not len(whole):
            break
    return total + float(whole.sum())


def _panels(function: Callable[[FloatArray], FloatArray], left: FloatArray, right: FloatArray) -> FloatArray:
    """Ten-point rule on each panel, (p,)."""
    half = 0.5 * (right - left)
    nodes = left[:, None] + half[:, None] * (1.0 + _NODES)
    return np.asarray((function(nodes.ravel()).reshape(nodes.shape) * _WEIGHTS).sum(axis=1) * half)
