"""All-pay contests in closed form: two developers, and m identical prizes for m + 1 (DESIGN section 3)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from followers.arrays import above
from followers.game import LeaderboardGame
from solvers.contest_deviations import deviation_gains, entry_bounds
from solvers.contest_payoffs import (
    TOLERANCE,
    ContestPayoffs,
    PayoffStatus,
    identical_prizes_payoffs,
    score_costs,
)
from solvers.contest_strategies import ContestEquilibrium, ContestStatus
from solvers.contest_switches import find_stretches

__all__ = [
    "ContestEquilibrium",
    "ContestPayoffs",
    "ContestStatus",
    "PayoffStatus",
    "deviation_gains",
    "identical_prizes_equilibrium",
    "identical_prizes_payoffs",
    "two_player_equilibrium",
]

_MESHES = (250, 2_000)
"""Scores per developer and scale among which switches are looked for, tried in turn."""


def two_player_equilibrium(game: LeaderboardGame) -> ContestEquilibrium:
    """Mixed equilibrium of two developers with any costs, curves and head starts.

    The one with the higher reach is strong; T is the other's reach, a the higher start. If a >= T nobody leaves its
    start. Else w = V - C(T) is what T leaves the strong one, the other one gets nothing, and on [a, T]

        F_weak(s) = (w + C_strong(s)) / V,    F_strong(s) = C_weak(s) / V.

    What these are short of at a is an atom at the own start. So a strong developer who is also ahead stays at its start
    with probability C_weak(a) / V and the weak one with w / V; a strong one who is behind never stays, and the weak one
    does with probability (w + C_strong(a)) / V.

    Raises
    ------
    ValueError : not two developers, or not a contest (`identical_prizes_payoffs`), with the condition that fails.

    Notes
    -----
    Unique if nobody has free effort. Above a there are no atoms (the rival would not play just below one, so neither
    would its holder stay) and no gaps, and both supports end at one score t; so w_i = V - C_i(t), and t = T since
    the one who is lower at the bottom gets nothing. With free effort, the effort of who stays behind is not unique.

    References
    ----------
    Siegel (2009), Econometrica 77(1); Siegel (2014), Asymmetric contests with head starts and nonmonotonic costs,
    American Economic Journal: Microeconomics 6(3). Head starts in all-pay contests of two: Konrad (2002), European
    Economic Review 46(8); Kaplan, Luski & Wettstein (2003), International Journal of Industrial Organization 21(3).
    """
    if game.n != 2:
        raise ValueError(f"contest: {game.n} developers; this closed form is for 2")
    contest = identical_prizes_payoffs(game)
    if contest.status is PayoffStatus.OUTSIDE:
        raise ValueError(f"contest: {contest.reason}")
    value, start, tail = contest.value, contest.start, contest.start_tail
    unique = None if game.free_effort().any() else True
    ahead = int(above(start[1], tail[1], start[0], tail[0]))
    if not above(*contest.threshold, start[ahead], tail[ahead]):
        return _everybody_stays(contest, unique)
    # H at the higher start leaves the rival indifferent there
    there = score_costs(game, start[ahead], tail[ahead])
    survival = np.clip((contest.cost_at_threshold - there)[::-1] / value, 0.0, 1.0)
    before = survival.copy()
    before[ahead] = 1.0
    order = [1 - ahead, ahead]
    return ContestEquilibrium(
        contest=contest,
        status=ContestStatus.EQUILIBRIUM,
        unique=unique,
        competing=np.ones(2, dtype=np.bool_),
        stretch_score=start[order],
        stretch_tail=tail[order],
        active=np.array([[False, False], [True, True]]),
        survival_at=np.stack([before, survival]),
        payoffs=np.maximum(contest.power, 0.0) + game.prizes[0, -1],
        notes=(),
    )


def _everybody_stays(contest: ContestPayoffs, unique: bool | None) -> ContestEquilibrium:
    """The pure equilibrium where as many as there are prizes start at the threshold or above."""
    n = contest.game.n
    return ContestEquilibrium(
        contest=contest,
        status=ContestStatus.EQUILIBRIUM,
        unique=unique,
        competing=np.zeros(n, dtype=np.bool_),
        stretch_score=np.empty(0),
        stretch_tail=np.empty(0),
        active=np.empty((0, n), dtype=np.bool_),
        survival_at=np.empty((0, n)),
        payoffs=np.maximum(contest.power, 0.0) + contest.game.prizes[0, -1],
        notes=("a pure equilibrium: everybody stays at its start, the winners beyond the reach of the others",),
    )


def identical_prizes_equilibrium(game: LeaderboardGame) -> ContestEquilibrium:
    """Mixed equilibrium of a contest for m identical prizes in which only the m + 1 strongest compete.

    Strength is reach. Who starts at the threshold or above wins without effort, and the others compete for what is
    left; that competition is solved from the bottom up (`contest_switches`). Developers beyond the m + 1 strongest stay
    at their starts if no score pays for them: checked over all scores, with status ENTRY where it may fail.

    Raises
    ------
    ValueError : not a contest (`identical_prizes_payoffs`), with the condition that fails.

    Notes
    -----
    Costs must be continuous and strictly rising beyond the free effort, and piecewise analytic as functions of the
    score, so that activity switches finitely often; all curves and costs of this package are. Switches are looked for
    on a mesh and then located to rounding; one that the mesh misses shows in the check of every competitor's
    deviations on a finer mesh, and then the mesh is refined; UNRESOLVED where that does not help.

    References
    ----------
    Siegel (2009), Econometrica 77(1); Siegel (2010), Asymmetric contests with conditional investments, American
    Economic Review 100(5); Siegel (2014), American Economic Journal: Microeconomics 6(3).
    """
    contest = identical_prizes_payoffs(game)
    if contest.status is PayoffStatus.OUTSIDE:
        raise ValueError(f"contest: {contest.reason}")
    strongest = np.lexsort((-contest.reach_tail, -contest.reach))[: contest.winners + 1]
    competing = np.zeros(game.n, dtype=np.bool_)
    competing[strongest] = above(*contest.threshold, contest.start, contest.start_tail)[strongest]
    if competing.sum() == 1:
        return _everybody_stays(contest, None)
    notes = () if contest.status is PayoffStatus.GENERIC else (f"{contest.reason}: other equilibria may pay otherwise",)
    for points in _MESHES:
        found = find_stretches(contest, competing, points)
        equilibrium = ContestEquilibrium(
            contest=contest,
            status=ContestStatus.EQUILIBRIUM,
            unique=None,
            competing=competing,
            stretch_score=np.array(found.score),
            stretch_tail=np.array(found.tail),
            active=np.array(found.active),
            survival_at=np.array(found.survival),
            payoffs=np.maximum(contest.power, 0.0) + game.prizes[0, -1],
            notes=notes,
        )
        if found.complete and deviation_gains(equilibrium, points=2 * points + 1).max() <= TOLERANCE * contest.value:
            break
    else:
        return replace(equilibrium, status=ContestStatus.UNRESOLVED)
    entry = entry_bounds(equilibrium)
    problems = tuple(
        f"developer {i + 1} may gain {entry[i]:.3g} by entering, or wins by staying at its start"
        for i in np.flatnonzero(entry > TOLERANCE * contest.value)
    )
    return replace(equilibrium, status=ContestStatus.ENTRY, notes=notes + problems) if problems else equilibrium
