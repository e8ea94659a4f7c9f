"""Compiled loop over the figures of a scorecard: how many draws define each, their mean and its standard error."""

from __future__ import annotations

import math
from typing import Any

import numba as nb

__all__ = ["moments"]

_jit = nb.njit(cache=True, nogil=True, error_model="numpy")


_SPLIT = 134_217_729.0  # 2^27 + 1: cuts a double in two halves of 26 bits (Veltkamp 1968)


@_jit
def _mean(values: Any, finite: int) -> float:
    """Mean of the finite ones; the sum carries what rounding loses along (Neumaier 1974), and so does the quotient."""
    total, lost = 0.0, 0.0
    for value in values:
        if abs(value) < math.inf:
            ahead = total + value
            if abs(total) >= abs(value):
                lost += (total - ahead) + value
            else:
                lost += (value - ahead) + total
            total = ahead
    mean = total / finite
    if abs(mean) > 1e290:
        return mean
    high = mean * _SPLIT
    high -= high - mean
    return mean + ((total - high * finite) - (mean - high) * finite + lost) / finite


@_jit
def moments(values: Any, counts: Any, means: Any, errors: Any) -> None:
    """Of values (M, B): counts (M, 2) out, of defined (not NaN) and of finite ones; means (M,) out, of the finite ones,
    NaN without any; errors (M,) out, their standard errors, NaN below two.

    Means are right to the last digit but for a hair, so that a share of 9 in 10 is not below 0.9.
    """
    for m in range(len(values)):
        defined, finite = 0, 0
        for value in values[m]:
            defined += int(value == value)
            finite += int(abs(value) < math.inf)
        counts[m, 0], counts[m, 1] = defined, finite
        means[m], errors[m] = math.nan, math.nan
        if finite:
            means[m] = _mean(values[m], finite)
        if finite > 1:
            squares = 0.0
            for value in values[m]:
                if abs(value) < math.inf:
                    squares += (value - means[m]) * (value - means[m])
            errors[m] = math.sqrt(squares / (finite - 1) / finite)
