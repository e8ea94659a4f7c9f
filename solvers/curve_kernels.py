"""The common game as compiled code sees it: generalized-logit curves, plain or partly hidden, and power costs.

One developer at a time, all numbers scalars. Formulas are those of `followers.curves`, `followers.hidden` and
`followers.costs`; results agree with theirs to rounding. A place is a position on the curve: head start plus effort.
"""

from __future__ import annotations

import math
from typing import Any

import numba as nb
import numpy as np

__all__ = ["climb", "higher", "paid", "place_reaching", "plain_place", "score_at", "score_pair"]

_jit = nb.njit(cache=True, nogil=True, error_model="numpy")

_STEPS = 60
_CLOSE = 1e-6
_SETTLED = 1e-11


@_jit
def higher(hi: float, lo: float, other_hi: float, other_lo: float) -> bool:
    """Whether a two-float score lies strictly above another."""
    return hi > other_hi or (hi == other_hi and lo > other_lo)


@_jit
def score_pair(lower: float, upper: float, intercept: float, slope: float, place: float) -> Any:
    """lower + (upper - lower) / (1 + exp(-x)), x = intercept + slope log(1 + place), as two floats."""
    x = intercept + slope * math.log1p(place)
    small = math.exp(-abs(x))
    part = (upper - lower) * (small / (1.0 + small))
    base, shift = (upper, -part) if x >= 0 else (lower, part)
    total = base + shift
    shadow = total - base
    return total, (base - (total - shadow)) + (shift - shadow)


@_jit
def score_at(
    lower: float,
    upper: float,
    intercept: float,
    slope: float,
    start: float,
    share: float,
    transfer: float,
    place: float,
) -> Any:
    """(1 - share) v(place) + share v(start + transfer (place - start)), as two floats."""
    if share == 0.0 or transfer == 1.0:
        return score_pair(lower, upper, intercept, slope, place)
    carried = start
    if transfer > 0.0:
        carried = max(start + transfer * (place - start), 0.0)
    hidden, hidden_tail = score_pair(lower, upper, intercept, slope, carried)
    if share == 1.0:
        return hidden, hidden_tail
    score, tail = score_pair(lower, upper, intercept, slope, place)
    shift = tail - share * ((score - hidden) + (tail - hidden_tail))
    total = score + shift
    shadow = total - score
    return total, (score - (total - shadow)) + (shift - shadow)


@_jit
def _rise(lower: float, upper: float, intercept: float, slope: float, place: float) -> float:
    """v'(place) = (upper - lower) slope y (1 - y) / (1 + place), y the share of the rise."""
    small = math.exp(-abs(intercept + slope * math.log1p(place)))
    return (upper - lower) * slope * small / ((1.0 + small) * (1.0 + small)) / (1.0 + place)


@_jit
def plain_place(lower: float, upper: float, intercept: float, slope: float, hi: float, lo: float) -> float:
    """Least place at which a plain curve reaches a score: exp((logit(y) - intercept) / slope) - 1; inf where none."""
    rise, gap = (hi - lower) + lo, (upper - hi) - lo
    if rise <= 0 or (gap == 0 and lower == upper):
        return 0.0
    if not gap > 0:
        return np.inf
    return max(math.expm1((math.log(rise / gap) - intercept) / slope), 0.0)


@_jit
def place_reaching(
    lower: float,
    upper: float,
    intercept: float,
    slope: float,
    start: float,
    share: float,
    transfer: float,
    hi: float,
    lo: float,
    floor: float,
) -> Any:
    """Least place at which a partly hidden curve reaches a score that it reaches somewhere, and whether it was found.

    floor : a place that does not score more. Newton's method on the logit of the score's share of the whole rise by
    log(1 + place), which is a straight line for a plain curve and nearly one for a mixture of two, kept in a bracket;
    then on the score itself. Where it does not settle (digits run out at a ceiling) the caller must look elsewhere.
    """
    place = plain_place(lower, upper, intercept, slope, hi, lo)
    if share == 0.0 or transfer == 1.0 or place == 0.0:
        return place, True
    top, top_tail = score_at(lower, upper, intercept, slope, start, share, transfer, np.inf)
    base = lower
    if transfer == 0.0:
        base = (1.0 - share) * lower + share * score_pair(lower, upper, intercept, slope, start)[0]
    rise, gap = (hi - base) + lo, (top - hi) + (top_tail - lo)
    if not (place < np.inf and rise > 0 and gap > 0):
        return np.inf, False
    target = math.log(rise / gap)
    place = max(place, floor)
    at = math.log1p(place)
    least, most = at, np.inf
    for _ in range(_STEPS):
        score, tail = score_at(lower, upper, intercept, slope, start, share, transfer, place)
        up = (1.0 - share) * _rise(lower, upper, intercept, slope, place)
        if transfer > 0.0:
            carried = max(start + transfer * (place - start), 0.0)
            up += share * transfer * _rise(lower, upper, intercept, slope, carried)
        done, left = (score - base) + tail, (top - score) + (top_tail - tail)
        if not (done > 0 and left > 0 and up > 0):
            return np.inf, False
        off = math.log(done / left) - target
        step = -off / (up * (1.0 + place) * (1.0 / done + 1.0 / left))
        if abs(step) < _CLOSE:
            last = ((score - hi) + (tail - lo)) / up
            place -= last
            score, tail = score_at(lower, upper, intercept, slope, start, share, transfer, place)
            last = ((score - hi) + (tail - lo)) / up  # the slope has not changed to first order
            place -= last
            return place, abs(last) <= _SETTLED * (1.0 + place)
        if off < 0:
            least = max(least, at)
        else:
            most = min(most, at)
        ahead = at + step
        if not (least < ahead < most):
            ahead = 0.5 * (least + most) if most < np.inf else least + 1.0
        at = ahead
        place = math.expm1(at)
    return np.inf, False


@_jit
def paid(scale: float, exponent: float, free: float, fee: float, effort: float) -> float:
    """scale max(effort - free, 0)^exponent, plus the fee where there is any effort."""
    cost = fee if effort > 0 else 0.0
    beyond = effort - free
    if scale > 0 and beyond > 0:
        cost += scale * (beyond if exponent == 1.0 else beyond**exponent)
    return cost


@_jit
def climb(
    scale: float,
    exponent: float,
    free: float,
    fee: float,
    start: float,
    cap: float,
    place: float,
    strictly: bool,
    ulps: float,
) -> Any:
    """Cost of an effort that leads to a place within the cap, and what rounding the effort by `ulps` does to it.

    strictly : the cost is that of efforts just above, which at zero effort is the entry fee.
    """
    effort = min(max(place - start, 0.0 if strictly else 1e-300), cap)
    if effort == np.inf:
        return np.inf, 0.0, effort
    price = fee if strictly and effort <= 0 else paid(scale, exponent, free, fee, effort)
    blur = ulps * (1.0 + start + effort)
    more = paid(scale, exponent, free, fee, effort + blur)
    lost = 0.0
    if more < np.inf:
        lost = more - paid(scale, exponent, free, fee, max(effort - blur, 1e-300))
    return price, lost, effort
