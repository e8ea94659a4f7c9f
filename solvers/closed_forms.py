"""Which closed form of contest theory, if any, gives a game's mixed equilibrium, laid on a ladder of scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from followers.arrays import FloatArray
from followers.game import LeaderboardGame
from solvers.contests import ContestEquilibrium, ContestStatus, identical_prizes_equilibrium, two_player_equilibrium
from solvers.ladder import Ladder
from solvers.symmetric_contest import symmetric_equilibrium

__all__ = ["ClosedForm", "closed_form", "laid_on"]


@dataclass(frozen=True, slots=True)
class ClosedForm:
    """A mixed equilibrium in closed form: cumulative(score, tail), each (E,), gives (E, n). Atoms lie at starts only.

    source : the theorem, in words.
    """

    source: str
    cumulative: Callable[[FloatArray, FloatArray], FloatArray]


def closed_form(game: LeaderboardGame) -> ClosedForm | None:
    """The closed form of a single game; None where no theorem applies, so that the game must be solved otherwise."""
    if not game.exact:
        return None
    for attempt in (_two_developers, _identical_developers, _identical_prizes):
        try:
            found = attempt(game)
        except ValueError:  # outside the theorem: entry fees, caps that bind, developers that differ ..
            continue
        if found is not None:
            return found
    return None


def _two_developers(game: LeaderboardGame) -> ClosedForm | None:
    if game.n != 2:
        return None
    return ClosedForm("two developers (Siegel 2014)", _of_contest(two_player_equilibrium(game)))


def _identical_developers(game: LeaderboardGame) -> ClosedForm | None:
    """The symmetric equilibrium: with one prize there are others too, in which some stay out."""
    symmetric = symmetric_equilibrium(game)

    def alike(score: FloatArray, tail: FloatArray) -> FloatArray:
        return np.repeat(symmetric.cdf(score, tail)[:, None], game.n, axis=1)

    return ClosedForm("identical developers (Baye, Kovenock & de Vries 1996; Glazer & Hassin 1988)", alike)


def _identical_prizes(game: LeaderboardGame) -> ClosedForm | None:
    if len(np.unique(game.prizes[0])) != 2:
        return None
    contest = identical_prizes_equilibrium(game)
    if contest.status is not ContestStatus.EQUILIBRIUM:
        return None
    return ClosedForm("identical prizes (Siegel 2010)", _of_contest(contest))


def _of_contest(contest: ContestEquilibrium) -> Callable[[FloatArray, FloatArray], FloatArray]:
    return lambda score, tail: 1.0 - contest.survival(score, tail)


def laid_on(form: ClosedForm, game: LeaderboardGame, ladder: Ladder) -> FloatArray:
    """The closed form as masses on the rungs of a ladder, (E, n): exact at the ends of the cells."""
    below = ladder.level.spread & ~ladder.just_above  # cells end below their upper score, so before an atom on it
    total = np.clip(form.cumulative(ladder.score, ladder.tail), 0.0, 1.0)
    start = game.scores(game.free_effort())
    own = (ladder.score[:, None] == start[0][0]) & (ladder.tail[:, None] == start[1][0])
    total = np.where(below[:, None] & own, 0.0, total)
    mass = np.maximum(np.diff(np.maximum.accumulate(total, axis=0), axis=0, prepend=0.0), 0.0)
    mass = np.where(ladder.level.open, mass, 0.0)
    whole = mass.sum(axis=0)
    # who stays has all its mass on its start
    return np.asarray(
        np.where(whole > 0, mass / np.where(whole > 0, whole, 1.0), ladder.level.open & own & ~below[:, None])
    )
