"""Compiled loops of a suite: piecewise cubic tasks, and the best way to split an effort between two of them.

A *piece table* is a (4, G) array that stands for a continuous non-decreasing function of effort: knots (the first at
0), values (the first 0), slopes just right of each knot and slopes just left of it. Between knots it is the cubic
Hermite through values and slopes, beyond the last knot it is flat.

The best split of an effort E, max{a(E - u) + b(u) : 0 <= u <= E}, is exact for piece tables of any shape: the knots of
a and b cut [0, E] into cells on which the objective is one cubic, and the maximum of a cubic is a root of a quadratic.
Cells that cannot hold the maximum are skipped: on [u0, u1] the objective is at most a(E - u0) + b(u1).
"""

from __future__ import annotations

import math
from typing import Any

import numba as nb
import numpy as np

__all__ = ["convolve", "shares", "steepest_excess"]

_jit = nb.njit(cache=True, nogil=True, error_model="numpy")

_NEAR = 1e-13  # relative; E - u and a knot this close are one point that subtraction blurred
_KINK = 0.03  # relative width below which a kink is looked for: smooth stretches are rarely cut that fine
_DEPTH = 200


@_jit
def _at(p: Any, i: int, e: float) -> Any:
    """Value and slope at effort e of segment i (from knot i on; the last one is flat)."""
    if i + 1 >= p.shape[1]:
        return p[1, i], 0.0
    h = p[0, i + 1] - p[0, i]
    t = (e - p[0, i]) / h
    y0, d0, d1 = p[1, i], p[2, i], p[3, i + 1]
    rise = p[1, i + 1] - y0
    second, third = 3.0 * rise - h * (2.0 * d0 + d1), h * (d0 + d1) - 2.0 * rise
    value = y0 + t * (h * d0 + t * (second + t * third))
    return value, d0 + t * (2.0 * second + 3.0 * t * third) / h


@_jit
def _segment(p: Any, e: float) -> int:
    """Number of the last knot at or before e."""
    return max(int(np.searchsorted(p[0], e, side="right")) - 1, 0)


@_jit
def _slope(p: Any, e: float, right: bool) -> float:
    """One-sided slope at e."""
    blur = _NEAR * e
    if right:
        i = _segment(p, e + blur)
        return float(_at(p, i, max(e, p[0, i]))[1])
    i = max(int(np.searchsorted(p[0], e - blur, side="left")) - 1, 0)
    if i + 1 < p.shape[1]:
        e = min(e, p[0, i + 1])
    return float(_at(p, i, e)[1])


@_jit
def _split(a: Any, b: Any, effort: float, rest: Any) -> Any:
    """max{a(effort - u) + b(u)} and the u that attains it; `rest` is working space, one per knot of b."""
    j = _segment(a, effort)
    best, where, count = -1.0, 0.0, 0
    for i in range(b.shape[1]):
        u = b[0, i]
        if u > effort:
            break
        while j > 0 and a[0, j] > effort - u:
            j -= 1
        rest[i] = _at(a, j, effort - u)[0]
        count = i + 1
        if rest[i] + b[1, i] > best:
            best, where = rest[i] + b[1, i], u
    last = _at(b, count - 1, effort)[0]
    if last > best:
        best, where = last, effort
    for i in range(count):
        end, top = (b[0, i + 1], b[1, i + 1]) if i + 1 < count else (effort, last)
        if rest[i] + top <= best:
            continue
        u0 = b[0, i]
        j = _segment(a, effort - u0)
        while u0 < end:
            u1 = min(end, effort - a[0, j])
            if u1 > u0:
                best, where = _best_in_cell(a, b, i, j, effort, u0, u1, best, where)
                u0 = u1
            if j == 0:
                break
            j -= 1
    return best, where


@_jit
def _best_in_cell(
    a: Any, b: Any, i: int, j: int, effort: float, u0: float, u1: float, best: float, where: float
) -> Any:
    """The larger of `best` and the maximum of one cubic on [u0, u1], at its right end or at a root of its slope."""
    a0, s0 = _at(a, j, effort - u0)
    b0, r0 = _at(b, i, u0)
    a1, s1 = _at(a, j, effort - u1)
    b1, r1 = _at(b, i, u1)
    if a0 + b1 <= best:
        return best, where
    if a1 + b1 > best:
        best, where = a1 + b1, u1
    start, end, mean = r0 - s0, r1 - s1, ((a1 + b1) - (a0 + b0)) / (u1 - u0)
    # the slope at share t of the cell is start + linear t + square t^2
    linear, square = 6.0 * mean - 4.0 * start - 2.0 * end, 3.0 * (start + end) - 6.0 * mean
    inside = linear * linear - 4.0 * start * square
    if inside > 0.0:
        half = -0.5 * (linear + math.copysign(math.sqrt(inside), linear))
        for t in (half / square, start / half):
            if 0.0 < t < 1.0:
                u = u0 + t * (u1 - u0)
                value = _at(a, j, effort - u)[0] + _at(b, i, u)[0]
                if value > best:
                    best, where = value, u
    return best, where


@_jit
def _knot(a: Any, b: Any, effort: float, rest: Any, out: Any) -> None:
    """The convolution at one effort: knot, value, right slope, left slope."""
    value, u = _split(a, b, effort, rest)
    out[0], out[1] = effort, value
    out[2] = max(_slope(a, effort - u, True), _slope(b, u, True))
    left = np.inf
    if effort - u > 0.0:
        left = _slope(a, effort - u, False)
    if u > 0.0:
        left = min(left, _slope(b, u, False))
    out[3] = left if effort > 0.0 else out[2]


@_jit
def _find_kink(a: Any, b: Any, rest: Any, left: Any, right: Any, low: Any, high: Any) -> bool:
    """Whether most of the change of slope between two knots is one jump; if so, `low` and `high` are either side."""
    low[:], high[:] = left, right
    middle = np.empty(4)
    while high[0] - low[0] > 10.0 * _NEAR * high[0]:
        _knot(a, b, 0.5 * (low[0] + high[0]), rest, middle)
        before, here, after = abs(middle[3] - low[2]), abs(middle[2] - middle[3]), abs(high[3] - middle[2])
        if here > max(before, after):
            low[:], high[:] = middle, middle
        elif before >= after:
            high[:] = middle
        else:
            low[:] = middle
    return bool(abs(high[3] - low[2]) > 0.5 * abs(right[3] - left[2]))


@_jit
def convolve(a: Any, b: Any, grid: Any, tolerance: float, limit: int) -> Any:
    """Piece table of E -> max{a(E - u) + b(u)} on the `grid` of efforts (the first 0), refined where it is not cubic.

    An interval is cut until the cubic misses the exact values at its quarters by at most `tolerance` and does not
    fall by more than that: at the kink, where it holds one (there the best split jumps), else in the middle. Also
    returns whether `limit` knots were enough.
    """
    rest = np.empty(b.shape[1])
    out, count = np.empty((limit, 4)), 1
    ahead, waiting = np.empty((len(grid) + _DEPTH, 4)), len(grid) - 1  # knots to the right, the nearest one last
    for k in range(waiting):
        _knot(a, b, grid[len(grid) - 1 - k], rest, ahead[k])
    _knot(a, b, 0.0, rest, out[0])
    pair, probe, low, high = np.empty((4, 2)), np.empty(4), np.empty(4), np.empty(4)
    while waiting > 0 and count < limit:
        left, right, middle = out[count - 1], ahead[waiting - 1], ahead[waiting]
        width = right[0] - left[0]
        passes = width <= 10.0 * _NEAR * right[0] or waiting == len(ahead) - 1
        if not passes:
            pair[:, 0], pair[:, 1] = left, right
            _knot(a, b, left[0] + 0.5 * width, rest, middle)
            passes = abs(_at(pair, 0, middle[0])[0] - middle[1]) <= tolerance
            # a cubic rises throughout if no slope exceeds three times the secant (Fritsch & Carlson 1980)
            steep = max(left[2], right[3]) * width - 3.0 * (right[1] - left[1])
            passes = passes and steep <= 0.1 * tolerance
            for t in (0.25, 0.75):
                if passes:
                    _knot(a, b, left[0] + t * width, rest, probe)
                    passes = abs(_at(pair, 0, probe[0])[0] - probe[1]) <= tolerance
        if passes:
            out[count] = right
            count += 1
            waiting -= 1
        elif width < _KINK * right[0] and _find_kink(a, b, rest, left, right, low, high):
            if low[0] <= left[0]:
                left[2] = high[2]
            elif high[0] >= right[0]:
                right[3] = low[3]
            else:
                middle[:] = low
                middle[2] = high[2]
                waiting += 1
        else:
            waiting += 1
    return out[:count].T.copy(), waiting == 0


@_jit
def shares(a: Any, b: Any, efforts: Any) -> Any:
    """The u that attains max{a(E - u) + b(u)}, for every E in `efforts`."""
    rest = np.empty(b.shape[1])
    result = np.empty(len(efforts))
    for k in range(len(efforts)):
        result[k] = _split(a, b, efforts[k], rest)[1]
    return result


@_jit
def steepest_excess(p: Any, price: float) -> Any:
    """max{p(e) - price * e : e >= 0} and the e that attains it: the conjugate, exact for the piece table."""
    best, where = 0.0, 0.0
    for i in range(p.shape[1] - 1):
        x0, x1 = p[0, i], p[0, i + 1]
        if p[1, i + 1] - price * x0 <= best:
            continue
        if p[1, i + 1] - price * x1 > best:
            best, where = p[1, i + 1] - price * x1, x1
        start, end = p[2, i] - price, p[3, i + 1] - price
        mean = (p[1, i + 1] - p[1, i]) / (x1 - x0) - price
        linear, square = 6.0 * mean - 4.0 * start - 2.0 * end, 3.0 * (start + end) - 6.0 * mean
        inside = linear * linear - 4.0 * start * square
        if inside > 0.0:
            half = -0.5 * (linear + math.copysign(math.sqrt(inside), linear))
            for t in (half / square, start / half):
                if 0.0 < t < 1.0:
                    e = x0 + t * (x1 - x0)
                    value = _at(p, i, e)[0] - price * e
                    if value > best:
                        best, where = value, e
    return best, where
