"""How well a published ranking shows the true one (DESIGN section 4)."""

from __future__ import annotations

from typing import Any

import numpy as np

from followers.arrays import FloatArray, IntArray

__all__ = ["expected_kendall_tau_b", "expected_top_one", "kendall_tau_b", "published_ranks", "top_one_correct"]


def _plain(values: Any, dtype: Any) -> Any:
    """As compiled code knows it: one layout, so that it is compiled once."""
    return np.require(values, dtype, ["C", "W"])


def published_ranks(score: FloatArray, tail: FloatArray, tie_order: IntArray | None, band: IntArray) -> IntArray:
    """Published rank of each entry, (B, n), 0 is best: the band of its rank, or, where ties are published, shared.

    score, tail : (B, n), scores as two floats. tie_order : (B, n), decides ties, or None where tied entries share
    the best of their ranks. band : (n,), band of each rank.
    """
    from designer.ranking_kernels import ranks_of

    order = np.zeros(score.shape, dtype=np.int64) if tie_order is None else tie_order  # alike: nobody wins a tie
    ranks = np.empty(score.shape, dtype=np.int64)
    ranks_of(
        _plain(score, np.float64), _plain(tail, np.float64), _plain(order, np.int64), _plain(band, np.int64), ranks
    )
    return ranks


def kendall_tau_b(published: IntArray, quality: FloatArray) -> FloatArray:
    """Kendall's tau-b between published rank (0 is best) and true quality, (B,); NaN where either is all tied.

    (concordant - discordant) / sqrt(pairs untied in one * pairs untied in the other); Kendall (1945), Biometrika 33.
    """
    from designer.ranking_kernels import pair_counts

    counts = np.empty((len(published), 3), dtype=np.int64)
    pair_counts(_plain(published, np.float64), _plain(quality, np.float64), counts)
    agreement = counts[:, 0]
    untied = counts[:, 1].astype(np.float64) * counts[:, 2]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(untied > 0, agreement / np.sqrt(untied), np.nan)


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
