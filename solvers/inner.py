"""The inner solver: pure equilibria of a batch of games, whichever way they are measured.

Each kind of game has its own solver; this is where a batch is sent to the one that answers for it, and what all their
answers have in common.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from followers.arrays import BoolArray, FloatArray, IntArray
from followers.game import LeaderboardGame, select
from solvers.audited import solve_audited
from solvers.certificate import Certificate, Status
from solvers.claims import MixedCertificate, NoisyCertificate, RoundedCertificate
from solvers.noisy import solve_noisy
from solvers.pure import solve_pure
from solvers.rounded import solve_rounded
from solvers.rounded_batch import solve_rounded_batch

__all__ = ["AnyCertificate", "InnerAnswer", "solve_inner"]

AnyCertificate: TypeAlias = Certificate | NoisyCertificate | RoundedCertificate | MixedCertificate

_STATUSES = (Status.EXISTS, Status.ABSENT, Status.UNKNOWN)


@dataclass(frozen=True, slots=True)
class InnerAnswer:
    """Pure equilibria of B games.

    Attributes
    ----------
    game : the batch. codes : (B,), 0 EXISTS, 1 ABSENT, 2 UNKNOWN.
    efforts : (B, n), equilibrium efforts, NaN where none is known; steps.
    score, tail : (B, n), published scores there (before noise), else at the free-effort profile.
    paid : (B, n), cost of the efforts, NaN where none is known; prize units.
    margin : (B,), what the most tempted developer still loses by deviating (minus what it gains, where none is known);
        NaN where an equilibrium has no margin, as with noise, where payoffs are smooth.
    gain : (B, n), what each developer gains by leaving the profile looked at, negative where it loses: the free-effort
        profile (deterministic and rounded games), the honest one (audits), the candidate (noise); prize units.
    tolerance : (B,), gains up to here are none; prize units.
    certify : gives the certificate of game b.
    """

    game: LeaderboardGame
    codes: IntArray
    efforts: FloatArray
    score: FloatArray
    tail: FloatArray
    paid: FloatArray
    margin: FloatArray
    gain: FloatArray
    tolerance: FloatArray
    certify: Callable[[int], AnyCertificate]

    def status(self, b: int = 0) -> Status:
        """Status of game b."""
        return _STATUSES[int(self.codes[b])]

    @property
    def tempted(self) -> BoolArray:
        """(B, n), who gains by leaving the profile looked at."""
        return np.asarray(self.gain > self.tolerance[:, None])

    @property
    def exists(self) -> BoolArray:
        """(B,), whether a pure equilibrium is known to exist."""
        return np.asarray(self.codes == 0)

    @property
    def absent(self) -> BoolArray:
        """(B,), whether it is proved that there is none."""
        return np.asarray(self.codes == 1)


def solve_inner(game: LeaderboardGame, *, node_budget: int = 100_000) -> InnerAnswer:
    """Send a batch to the solver of its kind: exact, audited, rounded to a grid, or noisy."""
    if game.noise is not None:
        found = solve_noisy(game)
        margin = np.where(found.exists, np.nan, -found.gain.max(axis=1))
        return _answer(game, found.codes, found.efforts, margin, found.gain, found.tolerance, found.certificate)
    if game.precision > 0:
        return _rounded(game, node_budget)
    if game.audit is not None:
        audited = solve_audited(game)
        return _answer(
            game,
            audited.codes,
            audited.efforts,
            audited.margin,
            -audited.developer_margin,
            audited.tolerance,
            audited.certificate,
        )
    pure = solve_pure(game, node_budget=node_budget)
    score, tail = pure.scores()
    return InnerAnswer(
        game=game,
        codes=pure.codes,
        efforts=pure.efforts,
        score=score,
        tail=tail,
        paid=pure.paid,
        margin=pure.margin,
        gain=-pure.developer_margin,
        tolerance=pure.tolerance,
        certify=pure.certificate,
    )


def _answer(
    game: LeaderboardGame,
    codes: IntArray,
    efforts: FloatArray,
    margin: FloatArray,
    gain: FloatArray,
    tolerance: FloatArray,
    certify: Callable[[int], AnyCertificate],
) -> InnerAnswer:
    exists = (codes == 0)[:, None]
    held = np.where(exists, efforts, game.free_effort())
    score, tail = (np.ascontiguousarray(np.broadcast_to(x, held.shape)) for x in game.published(held))
    return InnerAnswer(
        game=game,
        codes=codes,
        efforts=np.where(exists, efforts, np.nan),
        score=score,
        tail=tail,
        paid=np.where(exists, np.broadcast_to(game.cost.cost(held), held.shape), np.nan),
        margin=margin,
        gain=gain,
        tolerance=tolerance,
        certify=certify,
    )


def _rounded(game: LeaderboardGame, node_budget: int) -> InnerAnswer:
    """Of several equilibria the one that costs least, then the first; certificates are made when asked for."""
    found = solve_rounded_batch(game, node_budget=node_budget)

    def certify(b: int) -> AnyCertificate:
        return solve_rounded(select(game, [b]), node_budget=node_budget).certificate()

    return _answer(game, found.codes, found.efforts, found.margin, found.gain, found.tolerance, certify)
