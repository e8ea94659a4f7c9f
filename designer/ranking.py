"""How well a published ranking shows the true one (DESIGN section 4)."""

from __future__ import annotations

import numpy as np

from followers.arrays import FloatArray, IntArray, above

__all__ = ["expected_kendall_tau_b", "expected_top_one", "kendall_tau_b", "published_ranks", "top_one_correct"]

_CHUNK_CELLS = 8_000_000


def published_ranks(score: FloatArray, tail: FloatArray, tie_order: IntArray | None, band: IntArray) -> IntArray:
    """Published rank of each entry, (B, n), 0 is best: the band of its rank, or, where ties are published, shared.

    score, tail : (B, n), scores as two floats. tie_order : (B, n), decides ties, or None where tied entries share
    the best of their ranks. band : (n,), band of each rank.
    """
    better = above(score[:, :, None], tail[:, :, None], score[:, None, :], tail[:, None, :])
    if tie_order is not None:
        tied = (score[:, :, None] == score[:, None, :]) & (tail[:, :, None] == tail[:, None, :])
        better |= tied & (tie_order[:, :, None] < tie_order[:, None, :])
    return np.asarray(band[better.sum(axis=1)])


def kendall_tau_b(published: IntArray, quality: FloatArray) -> FloatArray:
    """Kendall's tau-b between published rank (0 is best) and true quality, (B,); NaN where either is all tied.

    (concordant - discordant) / sqrt(pairs untied in one * pairs untied in the other); Kendall (1945), Biometrika 33.
    """
    batch, n = published.shape
    result = np.empty(batch)
    upper = np.triu_indices(n, 1)
    step = max(1, _CHUNK_CELLS // max(1, len(upper[0])))
    for start in range(0, batch, step):
        rank, true = published[start : start + step], quality[start : start + step]
        by_rank = np.sign(rank[:, upper[1]] - rank[:, upper[0]]).astype(np.int64)  # > 0: first is published better
        by_truth = np.sign(true[:, upper[0]] - true[:, upper[1]]).astype(np.int64)
        agreement = (by_rank * by_truth).sum(axis=1)
        untied = np.abs(by_rank).sum(axis=1).astype(np.float64) * np.abs(by_truth).sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            result[start : start + step] = np.where(untied > 0, agreement / np.sqrt(untied), np.nan)
    return result


def top_one_correct(published: IntArray, quality: FloatArray) -> FloatArray:
    """Share of the published best entries (several where tied) that are truly best, (B,)."""
    first = published == published.min(axis=1, keepdims=True)
    truly = quality == quality.max(axis=1, keepdims=True)
    return np.asarray((first & truly).sum(axis=1) / first.sum(axis=1))


def expected_kendall_tau_b(above: FloatArray, quality: FloatArray) -> FloatArray:
    """Expected tau-b of a ranking without published ties, (B,), from the probabilities that i is above j (B, n, n).

    Without published ties the denominator is fixed, and the numerator a sum over pairs: exact. NaN where every quality
    is tied.
    """
    n = quality.shape[1]
    first, second = np.triu_indices(n, 1)
    by_truth = np.sign(quality[:, first] - quality[:, second])
    agreement = (by_truth * (above[:, first, second] - above[:, second, first])).sum(axis=1)
    untied = np.abs(by_truth).sum(axis=1) * len(first)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(untied > 0, agreement / np.sqrt(untied), np.nan)


def expected_top_one(first_place: FloatArray, quality: FloatArray) -> FloatArray:
    """Probability that the published winner is truly best, (B,), from the probabilities of rank 1 (B, n)."""
    truly = quality == quality.max(axis=1, keepdims=True)
    return np.asarray((first_place * truly).sum(axis=1))
