"""Compiled loop over the figures of a scorecard: how many draws define each, their mean and its standard error."""

from __future__ import annotations

import math
from typing import Any

import numba as nb

__all__ = ["moments"]

_jit = nb.njit(cache=True, nogil=True, error_model="numpy")


@_jit
def moments(values: Any, counts: Any, means: Any, errors: Any) -> None:
    """Of values (M, B): counts (M, 2) out, of defined (not NaN) and of finite ones; means (M,) out, of the finite ones,
    NaN without any; errors (M,) out, their standard errors, NaN below two.

    Sums carry what rounding lost along (Neumaier 1974), so that the mean of equal numbers is that number.
    """
    figures, batch = values.shape
    for m in range(figures):
        defined, finite, total, lost = 0, 0, 0.0, 0.0
        for b in range(batch):
            value = values[m, b]
            if value == value:
                defined += 1
            if abs(value) < math.inf:
                finite += 1
                ahead = total + value
                if abs(total) >= abs(value):
                    lost += (total - ahead) + value
                else:
                    lost += (value - ahead) + total
                total = ahead
        counts[m, 0], counts[m, 1] = defined, finite
        means[m] = (total + lost) / finite if finite else math.nan
        squares, drift = 0.0, 0.0
        for b in range(batch):
            if abs(values[m, b]) < math.inf:
                off = values[m, b] - means[m]
                squares += off * off
                drift += off
        errors[m] = math.nan
        if finite > 1:
            errors[m] = math.sqrt(max(squares - drift * drift / finite, 0.0) / (finite - 1) / finite)
