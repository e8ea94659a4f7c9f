"""Compiled loops over the pairs of a board: ranks, and how many pairs agree with the truth."""

from __future__ import annotations

from typing import Any

import numba as nb

__all__ = ["pair_counts", "ranks_of"]

_jit = nb.njit(cache=True, nogil=True, error_model="numpy")


@_jit
def ranks_of(score: Any, tail: Any, tie_order: Any, band: Any, ranks: Any) -> None:
    """ranks (B, n) out: the band of the number of entries with a higher score, or the same and a smaller tie order."""
    batch, n = score.shape
    for b in range(batch):
        for i in range(n):
            better = 0
            for j in range(n):
                if score[b, j] > score[b, i] or (
                    score[b, j] == score[b, i]
                    and (tail[b, j] > tail[b, i] or (tail[b, j] == tail[b, i] and tie_order[b, j] < tie_order[b, i]))
                ):
                    better += 1
            ranks[b, i] = band[better]


@_jit
def pair_counts(published: Any, quality: Any, counts: Any) -> None:
    """counts (B, 3) out: concordant less discordant pairs, pairs untied on the board, pairs untied in quality."""
    batch, n = published.shape
    for b in range(batch):
        agreement, on_board, in_truth = 0, 0, 0
        for i in range(n):
            for j in range(i + 1, n):
                # 1 where i is ahead of j, -1 where j is ahead of i, 0 where they tie
                shown = int(published[b, i] < published[b, j]) - int(published[b, i] > published[b, j])
                true = int(quality[b, i] > quality[b, j]) - int(quality[b, i] < quality[b, j])
                agreement += shown * true
                on_board += shown * shown
                in_truth += true * true
        counts[b, 0], counts[b, 1], counts[b, 2] = agreement, on_board, in_truth
