"""The independent checker: re-verifies a certificate from the game alone.

It imports no solver code and inverts no curve: scores and costs are only ever evaluated forwards, efforts are found by
bisection, ranks by counting. So an error in a solver, in a kernel or in a closed-form inverse shows up here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from followers.arrays import FloatArray
from followers.game import LeaderboardGame
from solvers.absence import Check, check_refutations, honest_only, nobody_is_stuck
from solvers.board import Board, free_by_bisection, own_payoffs, prize_at, scores_agree, thresholds
from solvers.certificate import Certificate, Status
from solvers.claims import MixedCertificate, NoisyCertificate, RoundedCertificate
from solvers.mixed_checker import check_mixed
from solvers.noisy_checker import check_noisy
from solvers.rounded_checker import check_rounded

__all__ = ["Check", "CheckReport", "check"]

_BLUR = 1e-6
"""Share of R_1 - R_n that the checker allows: it never inverts a curve, and where one leaves a level with slope zero
a double tells scores apart only from some 1e-8 steps on."""
_ROUNDING = 0.999e-9
"""Share of R_1 - R_n below which a gain may be rounding."""


@dataclass(frozen=True, slots=True)
class CheckReport:
    """All that was checked of one certificate."""

    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether every check holds."""
        return all(c.passed for c in self.checks)

    def summary(self) -> str:
        """One line: passed, or what failed first."""
        failed = [c for c in self.checks if not c.passed]
        if failed:
            return f"FAILED {failed[0].name}: {failed[0].detail}"
        return f"verified: {', '.join(c.name for c in self.checks)}"


def check(
    game: LeaderboardGame,
    certificate: Certificate | NoisyCertificate | RoundedCertificate | MixedCertificate,
    *,
    grid: int = 2_001,
) -> CheckReport:
    """Re-verify a certificate against its game (B = 1), whatever kind of game it is about.

    EXISTS: efforts are allowed and give the stated scores; no developer gains more than the tolerance by reaching or
    exceeding any rival's score, nor at any of `grid` efforts; the margin is as stated. ABSENT: the stated deviation at
    the free-effort profile pays; T1 applies (nobody is stuck), or every branch of the T2 lattice is refuted anew; each
    move of the cycle pays and the last leads back to the first. UNKNOWN: nothing is claimed, so nothing can fail.
    """
    fits = _fits_the_game(game, certificate)
    if not fits.passed:
        return CheckReport((fits,))
    if isinstance(certificate, NoisyCertificate):
        return CheckReport(check_noisy(game, certificate))
    if isinstance(certificate, RoundedCertificate):
        return CheckReport(check_rounded(game, certificate))
    if isinstance(certificate, MixedCertificate):
        return CheckReport(check_mixed(game, certificate))
    board = Board(game)
    allowed = _efforts_allowed(board, certificate)
    if certificate.status is Status.UNKNOWN:
        checks = [Check("no claim is made", True, "status unknown")]
    elif not allowed.passed:
        checks = [allowed]  # nothing else can be evaluated there
    else:
        checks = [allowed, _scores_as_stated(board, certificate)]
        exists = certificate.status is Status.EXISTS
        checks += _check_exists(board, certificate, grid) if exists else _check_absent(board, certificate)
    return CheckReport(tuple(checks))


def _fits_the_game(
    game: LeaderboardGame, certificate: Certificate | NoisyCertificate | RoundedCertificate | MixedCertificate
) -> Check:
    """A certificate says something about one kind of measurement only."""
    noisy, rounded = game.noise is not None, game.precision > 0
    kind, fits = {
        NoisyCertificate: ("noisy", noisy),
        RoundedCertificate: ("rounded", rounded and not noisy),
        MixedCertificate: ("mixed", not noisy),
        Certificate: ("exact", not noisy and not rounded),
    }[type(certificate)]
    played = "noisy" if noisy else "rounded" if rounded else "exact"
    good = fits and game.batch == 1
    return Check("kind of game", good, f"a certificate for {kind} scores, {game.batch} game(s) with {played} scores")


def _arrays(certificate: Certificate) -> tuple[FloatArray, FloatArray, FloatArray]:
    return np.array(certificate.efforts), np.array(certificate.scores), np.array(certificate.tails)


def _check_exists(board: Board, certificate: Certificate, grid: int) -> list[Check]:
    efforts, score, tail = _arrays(certificate)
    checks = []
    stated = certificate.margin
    stop = board.affordable(beyond=2.0 * abs(stated) if np.isfinite(stated) else 0.0)
    gain, margin = _largest_gain(board, efforts, score, tail, stop)
    tol = _BLUR * board.span + 1e-12 * float(np.max(np.abs(board.prizes)))  # shared prizes are rounded means
    checks.append(Check("no continuous deviation gains", gain <= tol, f"largest gain {gain:.3g}, tolerance {tol:.3g}"))
    close = margin == stated or abs(margin - stated) <= _BLUR * max(board.span, abs(stated))
    checks.append(Check("margin", close, f"stated {stated:.9g}, found {margin:.9g}"))
    on_grid = _gain_on_grid(board, efforts, score, tail, grid)
    checks.append(Check(f"no effort on a grid of {grid} gains", on_grid <= tol, f"largest gain {on_grid:.3g}"))
    return checks


def _efforts_allowed(board: Board, certificate: Certificate) -> Check:
    efforts, score, tail = _arrays(certificate)
    good = len(efforts) == len(score) == len(tail) == board.n
    good = good and bool(np.all((efforts >= 0) & (efforts <= board.cap) & np.isfinite(efforts)))
    return Check("efforts within caps", good, f"{len(efforts)} efforts for {board.n} developers")


def _scores_as_stated(board: Board, certificate: Certificate) -> Check:
    efforts, score, tail = _arrays(certificate)
    good = scores_agree(board, efforts, score, tail)
    worst = float(np.max(np.abs(board.scores(efforts)[0] - score)))
    return Check("scores as stated", bool(good.all()), f"largest difference {worst:.3g}")


def _largest_gain(
    board: Board, efforts: FloatArray, score: FloatArray, tail: FloatArray, stop: FloatArray
) -> tuple[float, float]:
    """Largest gain of any developer over continuous deviations, and the margin."""
    payoffs, paid = own_payoffs(board, efforts, score, tail), board.costs(efforts)
    floor = _BLUR * board.span  # less is neither a prize gained nor a cost saved
    gain, margin = 0.0, np.inf
    free_score, free_tail = board.scores(free_by_bisection(board, stop))
    levels = {
        *zip(score.tolist(), tail.tolist(), strict=True),
        *zip(free_score.tolist(), free_tail.tolist(), strict=True),
    }
    free_levels = [(float(s), float(t)) for s, t in zip(free_score, free_tail, strict=True)]
    at_zero = [(float(s), float(t)) for s, t in zip(*board.scores(board.zero), strict=True)]
    levels |= set(at_zero)
    for level, level_tail in levels:
        for strictly in (False, True):
            cost = thresholds(board, level, level_tail, strictly=strictly, stop=stop)
            for i in np.flatnonzero(np.isfinite(cost)):
                at = free_levels[i]
                free = at > (level, level_tail) if strictly else at >= (level, level_tail)
                if (level, level_tail) < at_zero[i]:
                    continue  # nobody can score less than at zero effort
                price = 0.0 if free else float(cost[i])
                prize = prize_at(board, int(i), level, level_tail, score, tail, strictly=strictly)
                prize_gain, extra = prize - (payoffs[i] + paid[i]), price - paid[i]
                if prize_gain > floor or extra < -floor:
                    gain, margin = max(gain, prize_gain - extra), min(margin, extra - prize_gain)
    return gain, float(margin)


def _gain_on_grid(board: Board, efforts: FloatArray, score: FloatArray, tail: FloatArray, grid: int) -> float:
    """Brute force: the largest gain over a grid of efforts, half of it evenly and half of it log-spaced."""
    stop = board.affordable()
    shares = np.unique(np.concatenate([np.linspace(0, 1, grid // 2), np.geomspace(1e-9, 1, grid - grid // 2)]))
    tried = shares[:, None] * stop
    payoffs = own_payoffs(board, efforts, score, tail)
    own, own_tail = board.scores(tried)
    costs = board.costs(tried)
    gains = [np.max(board.prize(i, own[:, i], own_tail[:, i], score, tail) - costs[:, i]) for i in range(board.n)]
    return float(np.max(np.array(gains) - payoffs))


def _check_absent(board: Board, certificate: Certificate) -> list[Check]:
    efforts, score, tail = _arrays(certificate)
    stop = board.affordable()
    checks = []
    free = free_by_bisection(board, stop)
    least = _ROUNDING * board.span  # a smaller one would let rounding pass for a gain
    enough = certificate.tolerance >= least
    checks.append(Check("tolerance", enough, f"{certificate.tolerance:.3g}, at least {least:.3g} is needed"))
    checks.append(
        Check(
            "the profile is everybody's free effort",
            bool(np.allclose(free, efforts, rtol=1e-6, atol=1e-9)),
            f"largest difference {float(np.max(np.abs(free - efforts))):.3g} steps",
        )
    )
    checks.append(_deviation_pays(board, certificate, efforts, score, tail))
    if certificate.refutations is None:
        checks.append(nobody_is_stuck(board, efforts))
        if board.penalty.any():
            checks += honest_only(board, efforts)
    else:
        checks += check_refutations(board, certificate, efforts)
    if certificate.cycle:
        checks.append(_cycle_pays(board, certificate))
    return checks


def _deviation_pays(
    board: Board, certificate: Certificate, efforts: FloatArray, score: FloatArray, tail: FloatArray
) -> Check:
    """The stated deviation, made with a hair more effort than its infimum, really gains."""
    name = "the stated deviation pays"
    if len(certificate.deviations) != 1:
        return Check(name, False, f"{len(certificate.deviations)} deviations stated; one is needed")
    d = certificate.deviations[0]
    payoff = own_payoffs(board, efforts, score, tail)[d.developer]
    gains = []
    for nudge in (0.0, 1e-12, 1e-9, 1e-6, 1e-3):
        tried = efforts.copy()
        place = 1.0 + board.game.head_start[0, d.developer] + d.effort
        tried[d.developer] = min(d.effort + nudge * place, board.cap[d.developer])
        own, own_tail = board.scores(tried)
        i = d.developer
        prize = board.prize(i, own[i : i + 1], own_tail[i : i + 1], score, tail)[0]
        gains.append(float(prize - board.costs(tried)[i] - payoff))
    return Check(name, max(gains) > 0.5 * certificate.tolerance, f"gain {max(gains):.6g}, stated {d.gain:.6g}")


def _cycle_pays(board: Board, certificate: Certificate) -> Check:
    """Each move changes one effort, starts where the last one left it, and strictly gains; the race returns."""
    name = "the cycle's moves pay"
    start = np.array(certificate.cycle_start)
    if len(start) != board.n or not np.all((start >= 0) & (start <= board.cap)):
        return Check(name, False, "the race starts from efforts that are not allowed")
    state = start.copy()
    for k, move in enumerate(certificate.cycle):
        i = move.developer
        if state[i] != move.effort_from or not 0 <= move.effort_to <= board.cap[i]:
            return Check(
                name,
                False,
                f"move {k} starts from an effort that was not held, or ends at one that is not allowed",
            )
        score, tail = board.scores(state)
        before = own_payoffs(board, state, score, tail)[i]
        state = state.copy()
        state[i] = move.effort_to
        score, tail = board.scores(state)
        if own_payoffs(board, state, score, tail)[i] <= before:
            return Check(name, False, f"move {k} does not gain")
    back = bool(np.array_equal(state, start))
    return Check(name, back, f"{len(certificate.cycle)} moves" if back else "the race does not return to its start")
