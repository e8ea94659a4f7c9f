"""Compiled checks of the numbers of a game: one pass, because protocols build games by the thousand."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

__all__ = ["first_fault"]


@nb.njit(cache=True, nogil=True, error_model="numpy")
def first_fault(head_start: Any, effort_cap: Any, prizes: Any, tie_order: Any) -> int:
    """0 where all is well, else the first position of `followers.game.FAULTS` that applies; arrays (B, n)."""
    batch, n = head_start.shape
    infinite_start, infinite_prize, rising, negative, disordered = False, False, False, False, False
    seen = np.zeros(n, dtype=np.int64)
    for b in range(batch):
        for i in range(n):
            infinite_start |= not np.isfinite(head_start[b, i])
            infinite_prize |= not np.isfinite(prizes[b, i])
            rising |= i > 0 and prizes[b, i] > prizes[b, i - 1]
            negative |= head_start[b, i] < 0 or not effort_cap[b, i] >= 0
            k = tie_order[b, i]
            if k < 0 or k >= n or seen[k] > b:
                disordered = True
            else:
                seen[k] = b + 1
    if infinite_start:
        return 1
    if infinite_prize:
        return 2
    if rising:
        return 3
    if negative:
        return 4
    return 5 if disordered else 0
