"""Rounded games by the batch: of each, whether it has a pure equilibrium, and the one that costs least."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from followers.arrays import BoolArray, FloatArray, IntArray
from followers.game import LeaderboardGame, TieRule, select
from followers.measurement import divisions, grid_level, grid_score
from solvers.certificate import Status
from solvers.deviations import has_kernel, kernel_law
from solvers.rounded import ROUNDING, solve_rounded
from solvers.threads import each_slice, plain

__all__ = ["RoundedBatch", "solve_rounded_batch"]

_STATUSES = (Status.EXISTS, Status.ABSENT, Status.UNKNOWN)
_SLICE = 64
_MOST_CELLS = 40_000_000


@dataclass(frozen=True, slots=True)
class RoundedBatch:
    """What is known about the pure equilibria of B rounded games.

    Attributes
    ----------
    codes : (B,), 0 EXISTS, 1 ABSENT, 2 UNKNOWN beyond the node budget.
    efforts : (B, n), of the equilibrium that costs least, the first of several; zero where none is known. Steps.
    gain : (B, n), what each developer gains by leaving the profile of lowest levels; prize units.
    margin : (B,), what the most tempted developer still loses by leaving that equilibrium, or the profile of lowest
        levels where none is known; prize units.
    tolerance : (B,), prize units.
    """

    codes: IntArray
    efforts: FloatArray
    gain: FloatArray
    margin: FloatArray
    tolerance: FloatArray


def solve_rounded_batch(game: LeaderboardGame, *, node_budget: int = 100_000, compiled: bool = True) -> RoundedBatch:
    """What `solve_rounded` finds for each game of a batch; `compiled=False` goes through them one by one.

    Both search alike, so they agree in everything but the rounding of efforts and costs; which games take one or the
    other path depends on the games alone.
    """
    shape = game.head_start.shape
    found = RoundedBatch(
        codes=np.empty(game.batch, dtype=np.int64),
        efforts=np.zeros(shape),
        gain=np.empty(shape),
        margin=np.empty(game.batch),
        tolerance=np.empty(game.batch),
    )
    settled = np.zeros(game.batch, dtype=np.bool_)
    if compiled and has_kernel(game):
        _by_kernel(game, node_budget, found, settled)
    for b in np.flatnonzero(~settled).tolist():
        _one(game, b, node_budget, found)
    return found


def _one(game: LeaderboardGame, b: int, node_budget: int, found: RoundedBatch) -> None:
    answer = solve_rounded(select(game, [b]), node_budget=node_budget)
    found.codes[b] = _STATUSES.index(answer.status)
    found.gain[b] = answer.gains(answer.cheapest_levels())
    found.margin[b] = -found.gain[b].max()
    found.tolerance[b] = answer.tolerance
    if answer.profiles:
        best = answer.cheapest()
        found.efforts[b] = answer.efforts(best)
        found.margin[b] = -answer.gains(answer.profiles[best]).max()


def _by_kernel(game: LeaderboardGame, node_budget: int, found: RoundedBatch, settled: np.ndarray) -> None:
    from solvers.rounded_kernels import cheapest_equilibria

    eta, span, penalty = game.precision, game.prize_span, game.penalty
    # the most effort that a prize, and a penalty avoided, could pay for
    unit = np.where(span > 0, span, 1.0)
    worth = (1.0 + penalty.max(axis=1) / unit) * unit
    most = np.minimum(game.cost.affordable(worth[:, None]), game.effort_cap)
    fresh, fresh_tail = game.scores(np.zeros_like(game.head_start))
    own, farthest = grid_level(fresh, fresh_tail, eta), grid_level(*game.scores(most), eta)
    first, top = int(own.min()), int(max(farthest.max(), own.max())) + 1
    if (top - first + 1) * game.n > _MOST_CELLS:
        return
    items, critical = 0, np.zeros(1, dtype=np.int64)
    own_critical = np.zeros(game.head_start.shape, dtype=np.int64)
    if game.audit is not None:
        items = game.audit.items
        own_critical = game.audit.critical(fresh)
        # levels that nobody reaches may lie beyond 1
        critical = game.audit.critical(np.clip(grid_score(np.arange(first, top + 1), eta), 0.0, 1.0))
    levels = np.empty(game.head_start.shape, dtype=np.int64)

    def run(piece: slice) -> None:
        law, share, transfer = kernel_law(game, piece)
        prizes, penalties, tie_order = (plain(x[piece]) for x in (game.prizes, penalty, game.tie_order))
        cheapest_equilibria(
            law,
            share,
            transfer,
            prizes,
            penalties,
            tie_order,
            game.ties is TieRule.SPLIT,
            plain(own[piece]),
            plain(farthest[piece]),
            float(eta),
            divisions(eta),
            items,
            plain(own_critical[piece]),
            first,
            plain(critical),
            node_budget,
            ROUNDING,
            found.codes[piece],
            levels[piece],
            found.efforts[piece],
            found.gain[piece],
            found.margin[piece],
            found.tolerance[piece],
            settled[piece],
        )

    each_slice(game.batch, _SLICE, run)
    held = settled & (found.codes == 0)
    if held.any():
        _publish_there(game, found.efforts, levels, held)


def _publish_there(game: LeaderboardGame, efforts: FloatArray, levels: IntArray, held: BoolArray) -> None:
    """Nudge efforts (B, n) up, where `held` (B,), until they are published at their level: two ways to compute a score
    may round apart."""
    step = np.finfo(np.float64).eps * (1.0 + game.head_start + efforts)
    for power in range(40):
        short = (grid_level(*game.scores(efforts), game.precision) < levels) & held[:, None]
        if not short.any():
            break
        efforts[short] += (step * 2.0**power)[short]
