"""Which of several points no other one beats (Pareto dominance)."""

from __future__ import annotations

import numpy as np

from followers.arrays import BoolArray, FloatArray

__all__ = ["unbeaten"]


def unbeaten(cost: FloatArray) -> BoolArray:
    """Rows of (N, m) costs that no other row beats: is no worse in every column and better in one. Equal rows stay."""
    no_worse = (cost[:, None] <= cost[None]).all(axis=2)
    better = no_worse & (cost[:, None] < cost[None]).any(axis=2)
    return np.asarray(~better.any(axis=0))
