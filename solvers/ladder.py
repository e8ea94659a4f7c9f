"""The ladder of scores on which mixed strategies of the deterministic game are sought (DESIGN section 3).

Where something changes abruptly (a developer starts there, is capped there, or its score is flat there) the ladder has
a cell that ends just below the score, and the score itself, where atoms may lie; where a developer may be stuck there
is a third rung just above it. In between there are cells, over which a developer's mass is spread evenly in score.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from followers.arrays import BoolArray, FloatArray, IntArray, two_sum
from followers.game import LeaderboardGame, TieRule
from followers.measurement import grid_level, grid_score
from solvers.levels import LevelGame

__all__ = [
    "CELL_NODES",
    "CELL_WEIGHTS",
    "Ladder",
    "build_ladder",
    "discretised",
    "grid_ladder",
    "ladder_of",
    "prize_unit",
    "refined",
    "smoothed",
]

CELL_NODES = np.array([0.5 - np.sqrt(0.15), 0.5, 0.5 + np.sqrt(0.15)])
CELL_WEIGHTS = np.array([5.0, 8.0, 5.0]) / 18.0
"""Gauss-Legendre nodes within a cell: exact for payoffs of degree five in the share of the cell."""

_MOST_STEPS = 80
_BELOW, _AT, _ABOVE, _CELL = -1, 0, 1, 2


@dataclass(frozen=True, slots=True)
class Ladder:
    """One game (B = 1) on a ladder of E rungs; prizes and costs as shares of the prize span.

    Attributes
    ----------
    level : the level game; its costs are means over the cells.
    score, tail : (E,), upper end of each rung, two floats.
    width : (E,), score units; 0 for atoms and for the rungs just above a score.
    effort : (E, n), steps at the upper end (the infimum on rungs just above a score).
    node_effort, node_cost, node_flagged : (3, E, n), at `CELL_NODES` of the way up each cell.
    top_cost, top_flagged : (E, n), at the upper end.
    just_above : (E,), rungs that stand for efforts just above a score.
    marks : the scores (two floats each) at which atoms may lie.
    """

    level: LevelGame
    score: FloatArray
    tail: FloatArray
    width: FloatArray
    effort: FloatArray
    node_effort: FloatArray
    node_cost: FloatArray
    node_flagged: FloatArray
    top_cost: FloatArray
    top_flagged: FloatArray
    just_above: BoolArray
    marks: frozenset[tuple[float, float]]


def build_ladder(game: LeaderboardGame, cells: int) -> Ladder:
    """A ladder with about `cells` cells, dense where efforts are cheap: evenly among costs 1e-4..1 of the span."""
    start, limit = _start(game), _limit(game)
    most = np.minimum(game.cost.affordable(limit * prize_unit(game)), game.effort_cap)
    low = _pairs(*game.scores(start))
    reach = sorted(_pairs(*game.scores(most)))
    top = max(reach[-2], *low)  # nobody needs to pass more than the second farthest
    shares = np.unique(np.concatenate([np.geomspace(1e-4, limit, 2 * cells), np.linspace(0, limit, 2 * cells)[1:]]))
    tried = np.minimum(game.cost.affordable((shares * prize_unit(game))[:, None, None]), most)
    score, tail = (np.broadcast_to(x, tried.shape) for x in game.scores(np.maximum(tried, start)))
    everything = sorted(set(_pairs(score, tail)))
    inside = [x for x in everything if min(low) < x < top]
    chosen = [inside[k] for k in np.unique(np.linspace(0, len(inside) - 1, min(cells, len(inside))).astype(int))]
    if game.audit is not None:  # suspicion jumps there
        steps = [(float(x), 0.0) for x in game.audit.claim_steps() if min(low)[0] < x < top[0]]
        chosen += steps[:: max(1, -(-len(steps) // _MOST_STEPS))]
    within = frozenset(x for x in {*low, top, *_sticky(game)} if min(low) <= x <= top)
    return ladder_of(game, within, chosen)


def _sticky(game: LeaderboardGame) -> set[tuple[float, float]]:
    """Scores at which a developer may be stuck: its cap, the ends of flat stretches, a start that a fee guards."""
    start = _start(game)
    cap = np.where(np.isfinite(game.effort_cap), game.effort_cap, np.nan)
    fee = np.where(np.broadcast_to(game.cost.entry_jump(), start.shape) > 0, start, np.nan)
    marks: set[tuple[float, float]] = set()
    for efforts in (cap, fee, *game.flat_stretches()[0]):
        known = np.isfinite(efforts)
        score, tail = game.scores(np.maximum(np.where(known, efforts, 0.0), start))
        marks |= {x for x, k in zip(_pairs(score, tail), known.ravel(), strict=True) if k}
    return marks


def _start(game: LeaderboardGame) -> FloatArray:
    """The least effort worth considering: all that is free, unless it raises suspicion."""
    return game.free_effort() if game.audit is None else np.zeros_like(game.head_start)


def prize_unit(game: LeaderboardGame) -> float:
    """R_1 - R_n, in which a ladder counts prizes and costs; 1 where all prizes are equal."""
    return float(game.prize_span[0]) or 1.0


def _limit(game: LeaderboardGame) -> float:
    """What effort can be worth at most, as a share of the span: the prizes, and a penalty avoided."""
    return 1.0 + float(game.penalty.max()) / prize_unit(game)


def _pairs(score: FloatArray, tail: FloatArray) -> list[tuple[float, float]]:
    return list(zip(np.ravel(score).tolist(), np.broadcast_to(tail, np.shape(score)).ravel().tolist(), strict=True))


def ladder_of(
    game: LeaderboardGame, marks: frozenset[tuple[float, float]], between: list[tuple[float, float]]
) -> Ladder:
    """The ladder with atoms at each of `marks` and a cell up to each score of `between`."""
    lowest, sticky = min(marks), _sticky(game) | {max(marks)}  # no cell begins at the highest score
    rungs: list[tuple[tuple[float, float], int]] = [(x, _CELL) for x in set(between) - marks]
    for x in marks:
        rungs += [(x, _AT)] if x == lowest else [(x, _BELOW), (x, _AT)]
        rungs += [(x, _ABOVE)] if x in sticky else []
    rungs.sort(key=lambda r: (r[0], r[1]))
    kind = np.array([k for _, k in rungs])
    score, tail = (np.array([x[c] for x, _ in rungs]) for c in (0, 1))
    n, span = game.n, prize_unit(game)
    rise = np.concatenate([[0.0], (score[1:] - score[:-1]) + (tail[1:] - tail[:-1])])
    width = np.where((kind == _BELOW) | (kind == _CELL), rise, 0.0)
    level, level_tail = score[:, None, None], tail[:, None, None]
    reach = game.reach(level, level_tail)[:, 0]
    exceed = game.exceed(level, level_tail)[:, 0]
    start = _start(game)
    own, own_tail = game.scores(start)
    over = (score[:, None] > own[0]) | ((score[:, None] == own[0]) & (tail[:, None] > own_tail[0]))
    same = (score[:, None] == own[0]) & (tail[:, None] == own_tail[0])
    above = (kind == _ABOVE)[:, None]
    effort = np.maximum(np.where(above, exceed, reach), start[0])
    allowed = np.where((kind == _AT)[:, None], over | same, np.where(above, over | same, over)) & np.isfinite(effort)
    effort = np.where(allowed, effort, start[0])
    top_cost = _costs(game, effort)
    # an effort just above zero pays the entry fee
    top_cost = np.where(above & (effort == 0), np.broadcast_to(game.cost.entry_jump(), (1, n)), top_cost) / span
    allowed &= top_cost <= _limit(game) * (1.0 + 1e-9)
    node_effort = _node_efforts(game, score, tail, width, effort, start[0], kind)
    node_cost = np.stack([np.where(width[:, None] > 0, _costs(game, e) / span, top_cost) for e in node_effort])
    node_flagged = np.stack([_flagged(game, e) for e in node_effort])
    weights = CELL_WEIGHTS[:, None, None]
    spread = kind != _AT
    top_flagged = _flagged(game, effort)
    base = game.prizes[0, -1]
    return Ladder(
        level=LevelGame(
            spread=spread,
            share=np.full(len(spread), 0.5),
            open=allowed,
            cost=np.where(spread[:, None], (weights * node_cost).sum(axis=0), top_cost),
            flagged=np.where(spread[:, None], (weights * node_flagged).sum(axis=0), top_flagged),
            prizes=(game.prizes[0] - base) / span,
            penalty=game.penalty[0] / span,
            split=game.ties is TieRule.SPLIT,
            order=np.asarray(game.tie_order[0]),
        ),
        score=score,
        tail=tail,
        width=width,
        effort=effort,
        node_effort=node_effort,
        node_cost=node_cost,
        node_flagged=node_flagged,
        top_cost=top_cost,
        top_flagged=top_flagged,
        just_above=kind == _ABOVE,
        marks=marks,
    )


def discretised(game: LeaderboardGame, levels: int) -> Ladder:
    """An exact game on about `levels` scores: everybody may hold its start and the cheapest effort to each, no more.

    A finite game that only resembles the game it comes from, to be shown to other programs and compared with them.
    """
    full = build_ladder(game, max(2, levels - 2))
    start = game.scores(_start(game))
    scores = sorted({*_pairs(*start), *_pairs(full.score, full.tail)})
    kept = [scores[k] for k in np.unique(np.linspace(0, len(scores) - 1, levels).round().astype(int))]
    ladder = ladder_of(game, frozenset({*kept, *_pairs(*start)}), [])
    at = ~ladder.level.spread & ladder.level.open.any(axis=1)
    level = replace(
        ladder.level,
        **{name: getattr(ladder.level, name)[at] for name in ("spread", "share", "open", "cost", "flagged")},
    )
    nodes = {name: getattr(ladder, name)[:, at] for name in ("node_effort", "node_cost", "node_flagged")}
    rows = {
        name: getattr(ladder, name)[at]
        for name in ("score", "tail", "width", "effort", "top_cost", "top_flagged", "just_above")
    }
    return replace(ladder, level=level, **nodes, **rows)


def grid_ladder(game: LeaderboardGame) -> Ladder:
    """The ladder of a rounded game, without error: atoms at the grid levels, at the cheapest effort to each."""
    eta, n, span = game.precision, game.n, prize_unit(game)
    most = np.minimum(game.cost.affordable(_limit(game) * prize_unit(game)), game.effort_cap)
    own = grid_level(*game.scores(0.0), eta)[0]
    farthest = np.sort(grid_level(*game.scores(most), eta)[0])
    levels = np.arange(own.min(), max(farthest[-2] + 1, own.max()) + 1)
    score = grid_score(levels, eta)
    effort = game.reach(score[:, None, None], np.zeros((len(score), 1, 1)))[:, 0]
    allowed = np.isfinite(effort) & (levels[:, None] >= own)
    effort = _up_to_level(game, np.where(allowed, effort, 0.0), np.where(allowed, levels[:, None], own))
    cost, flagged = _costs(game, effort) / span, _flagged(game, effort)
    allowed &= (cost <= _limit(game) * (1.0 + 1e-9)) & (effort <= game.effort_cap[0])
    zero = np.zeros(len(levels))
    return Ladder(
        level=LevelGame(
            spread=zero > 0,
            share=zero + 0.5,
            open=allowed,
            cost=cost,
            flagged=flagged,
            prizes=(game.prizes[0] - game.prizes[0, -1]) / span,
            penalty=game.penalty[0] / span,
            split=game.ties is TieRule.SPLIT,
            order=np.asarray(game.tie_order[0]),
        ),
        score=score,
        tail=zero,
        width=zero,
        effort=effort,
        node_effort=np.broadcast_to(effort, (len(CELL_NODES), len(levels), n)),
        node_cost=np.broadcast_to(cost, (len(CELL_NODES), len(levels), n)),
        node_flagged=np.broadcast_to(flagged, (len(CELL_NODES), len(levels), n)),
        top_cost=cost,
        top_flagged=flagged,
        just_above=zero > 0,
        marks=frozenset(_pairs(score, zero)),
    )


def _up_to_level(game: LeaderboardGame, effort: FloatArray, level: IntArray) -> FloatArray:
    """Efforts (E, n) nudged up until they are published at their level: inverting a curve rounds either way."""
    place = np.finfo(np.float64).eps * (1.0 + game.head_start[0] + effort)
    for power in range(40):
        score, tail = game.scores(effort[:, None, :])
        short = grid_level(score[:, 0], tail[:, 0], game.precision) < level
        if not short.any():
            break
        effort = np.where(short, effort + place * 2.0**power, effort)
    return effort


def _costs(game: LeaderboardGame, efforts: FloatArray) -> FloatArray:
    return np.asarray(game.cost.cost(efforts[:, None, :]))[:, 0, :]


def _flagged(game: LeaderboardGame, efforts: FloatArray) -> FloatArray:
    return game.flagged(efforts[:, None, :])[:, 0, :]


def _node_efforts(
    game: LeaderboardGame,
    score: FloatArray,
    tail: FloatArray,
    width: FloatArray,
    effort: FloatArray,
    start: FloatArray,
    kind: FloatArray,
) -> FloatArray:
    result = []
    for node in CELL_NODES:
        at, at_tail = two_sum(score, tail - (1.0 - node) * width)
        inside = np.maximum(game.reach(at[:, None, None], at_tail[:, None, None])[:, 0], start)
        result.append(np.where((width > 0)[:, None] & np.isfinite(inside), np.minimum(inside, effort), effort))
    return np.stack(result)


def refined(game: LeaderboardGame, ladder: Ladder, mass: FloatArray, split: BoolArray) -> tuple[Ladder, FloatArray]:
    """The ladder with the cells `split` (E,) halved, and the same strategies on it, (E', n)."""
    halves = np.flatnonzero(split & (ladder.width > 0))
    middle = two_sum(ladder.score[halves], ladder.tail[halves] - 0.5 * ladder.width[halves])
    kept = ladder.width > 0
    between = {*_pairs(ladder.score[kept], ladder.tail[kept]), *_pairs(*middle)} - ladder.marks
    finer = ladder_of(game, ladder.marks, sorted(between))
    place = {k: e for e, k in enumerate(_keys(finer))}
    carried = np.zeros((len(finer.score), mass.shape[1]))
    halved = set(halves.tolist())
    for e, k in enumerate(_keys(ladder)):
        at = place[k]
        if e in halved:
            lower = finer.level.open[at - 1]
            carried[at - 1] += np.where(lower, 0.5, 0.0) * mass[e]
            carried[at] += np.where(lower, 0.5, 1.0) * mass[e]
        else:
            carried[at] += mass[e]
    return finer, carried


def _keys(ladder: Ladder) -> list[tuple[float, float, int]]:
    """Score and kind of each rung: cells 0, atoms 1, just above 2."""
    kind = np.where(ladder.just_above, 2, np.where(ladder.level.spread, 0, 1))
    return list(zip(ladder.score.tolist(), ladder.tail.tolist(), kind.tolist(), strict=True))


def smoothed(ladder: Ladder, mass: FloatArray) -> FloatArray:
    """The same cumulative masses at the middles of the cells, with the see-saw between their ends taken out, (E, n).

    Equilibrium fixes cumulative masses in the middles of cells; at the ends it leaves an alternating error free, which
    is as large as a cell is wide. Here the ends are interpolated from the middles, and extrapolated next to a mark.
    """
    cumulative = np.cumsum(mass, axis=0)
    width = ladder.width[:, None]
    middle = cumulative - 0.5 * mass
    result = cumulative.copy()
    cells = ladder.width > 0
    first = np.flatnonzero(cells & ~np.concatenate([[False], cells[:-1]]))
    last = np.flatnonzero(cells & ~np.concatenate([cells[1:], [False]]))
    ends = []
    for a, b in zip(first, last, strict=True):
        lower, upper = width[a:b], width[a + 1 : b + 1]
        result[a:b] = (middle[a:b] * upper + middle[a + 1 : b + 1] * lower) / (lower + upper)
        if b > a:
            rise = (middle[a + 1] - middle[a]) * width[a] / (width[a] + width[a + 1])
            fall = (middle[b] - middle[b - 1]) * width[b] / (width[b] + width[b - 1])
            ends.append((np.maximum(middle[a] - rise, 0.0), np.minimum(middle[b] + fall, 1.0)))
        else:
            ends.append((cumulative[a] - mass[a], cumulative[b]))
    before = np.zeros(mass.shape[1])
    for run in range(len(first) + 1):
        begin = 0 if run == 0 else last[run - 1] + 1
        end = len(mass) if run == len(first) else first[run]
        after = np.ones(mass.shape[1]) if run == len(first) else ends[run][0]
        jump = mass[begin:end].sum(axis=0)
        if end == begin:  # the ladder ends with a cell
            continue
        if run == 0:
            before = np.zeros_like(after)
        meet = 0.5 * (before + after)
        gap = (jump <= 1e-6) | (after <= before)
        if run == 0:
            meet = np.zeros_like(meet)
        if run == len(first):
            meet = np.ones_like(meet)
        low, high = np.where(gap, meet, before), np.where(gap, meet, after)
        if run > 0:
            result[begin - 1] = low
        share = np.cumsum(mass[begin:end], axis=0) / np.where(jump > 0, jump, 1.0)
        result[begin:end] = low + share * (high - low)
        result[end - 1] = high
        before = ends[run][1] if run < len(first) else before
    result = np.maximum.accumulate(np.clip(result, 0.0, 1.0), axis=0)
    result[-1] = 1.0
    fresh = np.diff(result, axis=0, prepend=0.0)
    fresh = np.where(ladder.level.open, fresh, 0.0)
    return np.asarray(fresh / fresh.sum(axis=0))
