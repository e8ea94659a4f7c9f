"""Resampling of draws: bootstrap means, BCa intervals, sign-flip tests, Holm's correction.

Everything here is arrays: figures (c, B) of B draws, NaN where a draw has none.
"""

from __future__ import annotations

import numpy as np

from followers.arrays import BoolArray, FloatArray

__all__ = ["bca_interval", "bootstrap_means", "holm", "share_difference_interval", "share_interval", "sign_flip_test"]

_CELLS = 4_000_000
"""Numbers held at once while resampling."""

_EXACT = 13
"""Up to this many pairs that differ, all sign patterns are tried."""

_SAME = 1e-12
"""Relative difference that rounding makes: below it two numbers are equal."""


def bootstrap_means(values: FloatArray, resamples: int, rng: np.random.Generator) -> FloatArray:
    """Means over resampled draws, (resamples, c); NaN where a resample holds no draw in which a row is defined.

    values : (c, B), NaN where undefined. Every resample takes the same draws for all rows, so that pairs stay pairs.
    """
    defined = np.isfinite(values)
    filled = np.where(defined, values, 0.0)
    draws = values.shape[1]
    step = max(1, _CELLS // draws)
    means = np.empty((resamples, len(values)))
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        counts = rng.multinomial(draws, np.full(draws, 1.0 / draws), size=size).astype(np.float64)
        with np.errstate(invalid="ignore"):
            means[start : start + size] = (counts @ filled.T) / (counts @ defined.T.astype(np.float64))
    return means


def bca_interval(
    values: FloatArray, resampled: FloatArray, level: float, *, expanded: bool = True
) -> tuple[float, float]:
    """Bias-corrected and accelerated bootstrap interval of a mean; (nan, nan) with fewer than two defined draws.

    values : (B,), NaN where undefined. resampled : (R,), means over resampled draws. Where all draws agree, the
    interval is that number. Resampled means of m draws vary too little by a factor sqrt((m - 1) / m), and normal
    quantiles ignore that their spread is estimated: `expanded` makes up for both, which matters for few draws.
    Efron (1987), JASA 82(397); Hesterberg (2015), The American Statistician 69(4).
    """
    from scipy.stats import norm, t

    x = values[np.isfinite(values)]
    m = len(x)
    if m < 2:
        return np.nan, np.nan
    mean, apart = float(x.mean()), x - x.mean()
    close = _SAME * float(np.abs(x).max())
    if np.ptp(x) <= close:
        return mean, mean
    boot = resampled[np.isfinite(resampled)]
    below = (np.mean(boot < mean - close) + np.mean(boot <= mean + close)) / 2
    bias = norm.ppf(np.clip(below, 0.5 / len(boot), 1 - 0.5 / len(boot)))
    # of a mean the jackknife values lie at (mean - x) / (m - 1) from their own mean: the factor cancels
    acceleration = np.sum(apart**3) / (6.0 * np.sum(apart**2) ** 1.5)
    tails = np.array([(1 - level) / 2, (1 + level) / 2])
    z = bias + (np.sqrt(m / (m - 1)) * t.ppf(tails, m - 1) if expanded else norm.ppf(tails))
    room = 1 - acceleration * z
    moved = np.where(room > 0, bias + z / np.where(room > 0, room, 1.0), np.sign(z) * np.inf)
    low, high = np.quantile(boot, norm.cdf(moved))
    return float(low), float(high)


def share_interval(successes: int, trials: int, level: float) -> tuple[float, float]:
    """Exact interval of a share (Clopper & Pearson 1934, Biometrika 26): it never closes, not even at 0 or 1."""
    from scipy.stats import binomtest

    found = binomtest(successes, trials).proportion_ci(level, "exact")
    return float(found.low), float(found.high)


def share_difference_interval(differences: FloatArray, level: float) -> tuple[float, float]:
    """Interval of a difference of two shares from pairs that differ by -1, 0 or 1; conservative.

    Two exact intervals, of the shares of pairs that differ upwards and downwards, each with half of the error.
    """
    m, half = len(differences), (1 + level) / 2
    up = share_interval(int((differences > 0).sum()), m, half)
    down = share_interval(int((differences < 0).sum()), m, half)
    return up[0] - down[1], up[1] - down[0]


def sign_flip_test(differences: FloatArray, resamples: int, rng: np.random.Generator) -> FloatArray:
    """Two-sided p-value of each row of paired differences (c, B), (c,): could chance have dealt their signs?

    NaN in `differences` marks pairs that are not both defined; a row without a pair has p = NaN, one of equal pairs 1.
    Exact where at most 13 pairs differ, or where all that differ do so by the same amount (the sign test); otherwise
    (1 + count) / (1 + resamples) over random signs, the same for all rows. Fisher (1935), The Design of Experiments,
    section 21; Phipson & Smyth (2010), Stat. Appl. Genet. Mol. Biol. 9(1) for the added one.
    """
    from scipy.stats import binomtest

    result = np.full(len(differences), np.nan)
    left = []
    for j, row in enumerate(differences):
        d = row[np.isfinite(row)]
        size = np.abs(d)
        d = d[size > _SAME * size.max(initial=0.0)]
        size = np.abs(d)
        if not len(d):
            result[j] = 1.0 if np.isfinite(row).any() else np.nan
        elif np.ptp(size) <= _SAME * size.max():
            result[j] = binomtest(int((d > 0).sum()), len(d)).pvalue
        elif len(d) <= _EXACT:
            signs = 1.0 - 2.0 * ((np.arange(2 ** len(d))[:, None] >> np.arange(len(d))) & 1)
            result[j] = np.mean(_as_far(signs @ d, d.sum(), size.sum()))
        else:
            left.append(j)
    if left:
        rows = np.nan_to_num(differences[left], nan=0.0, posinf=0.0, neginf=0.0)
        result[left] = (1 + _random_flips(rows, resamples, rng)) / (1 + resamples)
    return result


def _random_flips(rows: FloatArray, resamples: int, rng: np.random.Generator) -> FloatArray:
    """How many random sign patterns lead as far from zero as the one observed, (c,)."""
    total, size = rows.sum(axis=1), np.abs(rows).sum(axis=1)
    step = max(1, _CELLS // rows.shape[1])
    count = np.zeros(len(rows))
    for start in range(0, resamples, step):
        signs = rng.integers(0, 2, (min(step, resamples - start), rows.shape[1]), dtype=np.int8) * 2.0 - 1.0
        count += _as_far(signs @ rows.T, total, size).sum(axis=0)
    return count


def _as_far(sums: FloatArray, observed: FloatArray, size: FloatArray) -> BoolArray:
    return np.asarray(np.abs(sums) >= np.abs(observed) - _SAME * size)


def holm(p: FloatArray) -> FloatArray:
    """Holm's step-down adjustment of p-values (m,): reject where it is at most the level, whatever depends on what.

    NaN is no test and stays NaN. Holm (1979), Scand. J. Stat. 6(2).
    """
    adjusted = np.full(len(p), np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    factors = len(order) - np.arange(len(order))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(factors * p[order]))
    return adjusted
