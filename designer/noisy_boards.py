"""Figures of the boards that noise may publish, averaged over drawn boards; compiled."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numba as nb
import numpy as np

from followers.arrays import FloatArray, IntArray

__all__ = ["averages_over_boards", "drawn_errors"]

_MOST_KEPT = 4_000_000


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _averages(errors: Any, score: Any, scale: Any, order: Any, band: Any, quality: Any, tau: Any, top: Any) -> None:
    draws, batch, n = errors.shape
    truth = np.empty((n, n), np.int64)
    seen, by = np.empty(n), np.empty(n, np.int64)
    for b in range(batch):
        most, pairs = quality[b].max(), 0
        for i in range(n):
            by[i] = i
            for j in range(n):
                truth[i, j] = int(quality[b, i] > quality[b, j]) - int(quality[b, i] < quality[b, j])
                if i < j:
                    pairs += abs(truth[i, j])
        untied = 0  # pairs of ranks in different bands: the same on every board
        for r in range(n):
            for s in range(r):
                untied += int(band[r] != band[s])
        total, correct = 0, 0.0
        for d in range(draws):
            for i in range(n):
                seen[i] = score[b, i] + scale[b, i] * errors[d, b, i]
            for k in range(1, n):  # from the order of the last board, which is close
                i, at = by[k], k
                while at > 0:
                    j = by[at - 1]
                    if seen[j] > seen[i] or (seen[j] == seen[i] and order[b, j] < order[b, i]):
                        break
                    by[at] = j
                    at -= 1
                by[at] = i
            first, best = 0, 0
            for r in range(n):
                i = by[r]
                for s in range(r):
                    if band[s] != band[r]:
                        total += truth[by[s], i]
                if band[r] == band[0]:
                    first += 1
                    best += int(quality[b, i] == most)
            correct += best / first
        tau[b] = total / draws / np.sqrt(float(untied) * pairs) if untied * pairs > 0 else np.nan
        top[b] = correct / draws


def averages_over_boards(
    errors: FloatArray, score: FloatArray, scale: FloatArray, order: IntArray, band: IntArray, quality: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Mean tau-b (NaN where undefined) and mean share of correct winners over D drawn boards of B games, each (B,).

    errors : (D, B, n), standard normal. score, scale : (B, n), means and standard deviations of observed scores.
    order : (B, n), the smaller wins a tie. band : (n,), published band of each rank. quality : (B, n).
    """
    tau, top = np.empty(len(score)), np.empty(len(score))
    _averages(
        errors,
        np.ascontiguousarray(score),
        np.ascontiguousarray(scale),
        np.ascontiguousarray(order),
        band,
        np.ascontiguousarray(quality),
        tau,
        top,
    )
    return tau, top


def drawn_errors(seed: int, shape: tuple[int, ...]) -> FloatArray:
    """Standard normal errors drawn with `seed`; the last few are kept, as trials of a search share them."""
    return _kept(seed, shape) if np.prod(shape) <= _MOST_KEPT else np.random.default_rng(seed).standard_normal(shape)


@lru_cache(maxsize=4)
def _kept(seed: int, shape: tuple[int, ...]) -> FloatArray:
    errors = np.random.default_rng(seed).standard_normal(shape)
    errors.flags.writeable = False
    return errors
