"""The independent check of a rounded game's certificate: forwards, by counting; no solver code.

Published levels come from scores evaluated forwards, cheapest efforts from bisection, ranks from counting. The list of
strikes is replayed with bounds of its own: what a level may earn given which levels the rivals have left.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import floor

import numpy as np

from followers.arrays import BoolArray, FloatArray
from followers.game import LeaderboardGame
from solvers.absence import Check
from solvers.board import Board
from solvers.certificate import Status
from solvers.claims import RoundedCertificate

__all__ = ["check_rounded"]

_BLUR = 1e-6
"""Share of R_1 - R_n that the checker allows on a price: it finds efforts by bisection."""
_BRUTE = 4_000
_ROUNDING = 4e-12
"""Share of the largest prize (or of R_1 - R_n) that sums of prizes and costs may be off by."""


@dataclass(frozen=True, slots=True)
class _Table:
    """What each developer can hold: (E, n); levels count from `lowest`."""

    lowest: int
    open: BoolArray
    cost: FloatArray
    flagged: FloatArray


def check_rounded(game: LeaderboardGame, certificate: RoundedCertificate) -> tuple[Check, ...]:
    """Every claim of the certificate, anew."""
    board = Board(game)
    table, listed = _stated(board, certificate)
    checks = [listed]
    if not listed.passed:
        return tuple(checks)
    checks.append(_tolerance_is_rounding(board, certificate))
    checks.append(_efforts_lead_there(board, certificate, table.lowest))
    checks.append(_nothing_left_out(board, table))
    gains = [_largest_gain(board, table, profile) for profile in certificate.profiles]
    if gains:
        checks.append(
            Check("no level gains", max(gains) <= certificate.tolerance, f"largest gain {max(gains):.3g} at equilibria")
        )
    if certificate.status is Status.EXISTS:
        checks.append(Check("an equilibrium is given", bool(gains), f"{len(gains)} given"))
    if certificate.status is Status.ABSENT:
        checks.append(Check("no equilibrium is given", not gains, f"{len(gains)} given"))
    if certificate.complete or certificate.status is Status.ABSENT:  # absence is nothing without its proof
        checks.append(_proof_holds(board, table, certificate))
        if float(np.prod(table.open.sum(axis=0, dtype=np.float64))) <= _BRUTE:
            checks.append(_exhaustive(board, table, certificate))
    return tuple(checks)


def _stated(board: Board, certificate: RoundedCertificate) -> tuple[_Table, Check]:
    """The actions as arrays, prices looked up anew."""
    levels = sorted({a.level for actions in certificate.actions for a in actions})
    good = len(certificate.actions) == board.n and bool(levels) and all(certificate.actions)
    top = max(levels, default=0) + 1
    is_open = np.zeros((top, board.n), dtype=bool)
    efforts = np.zeros((top, board.n))
    score = {a.level: a.score for actions in certificate.actions for a in actions}
    for i, actions in enumerate(certificate.actions):
        for a in actions:
            good = good and a.level >= 0 and 0 <= a.effort <= board.cap[i] and a.score == score[a.level]
            if good:
                is_open[a.level, i], efforts[a.level, i] = True, a.effort
    if not good:
        empty = np.zeros((top, board.n))
        return _Table(0, is_open, empty, empty), Check("actions", False, "missing, beyond a cap or inconsistent")
    lowest = _level(score[min(score)], 0.0, board.game.precision) - min(score)
    costs, claimed = board.costs(efforts), board.scores(efforts)[0]
    flagged = np.stack([board.flagged(i, claimed[:, i]) for i in range(board.n)], axis=1)
    named = sum(len(a) for a in certificate.actions)
    return _Table(lowest, is_open, costs, flagged), Check("actions", True, f"{named} grid levels priced anew")


def _tolerance_is_rounding(board: Board, certificate: RoundedCertificate) -> Check:
    """The certificate may not choose what counts as a gain: no more than rounding does to a payoff."""
    allowed = _ROUNDING * max(board.span or 1.0, float(np.abs(board.prizes).max()))
    good = 0.0 <= certificate.tolerance <= allowed
    return Check("the tolerance is what rounding takes", good, f"{certificate.tolerance:.3g}, allowed {allowed:.3g}")


def _level(score: float, tail: float, eta: float) -> int:
    """Published level: the largest k with k eta (or k / N) not above the score."""
    inverse = round(1.0 / eta)
    whole = inverse >= 1 and abs(inverse * eta - 1.0) <= 4e-16 * inverse
    k = floor(score / eta) + 2
    while (at := k / inverse if whole else k * eta) > score or (at == score and tail < 0):
        k -= 1
    return k


def _efforts_lead_there(board: Board, certificate: RoundedCertificate, lowest: int) -> Check:
    """Each stated effort is published at its level, and bisection finds no clearly cheaper one."""
    name, eta = "cheapest efforts", board.game.precision
    stop = board.affordable(beyond=float(board.penalty.max()))
    dearest = 0.0
    by_level: dict[int, FloatArray] = {}
    for i, actions in enumerate(certificate.actions):
        for a in actions:
            efforts = np.zeros(board.n)
            efforts[i] = a.effort
            score, tail = board.scores(efforts)
            found = _level(float(score[i]), float(tail[i]), eta)
            if found != lowest + a.level:
                return Check(name, False, f"effort {a.effort:.6g} of developer {i} is published at level {found}")
            if a.level not in by_level:
                by_level[a.level] = board.reach(a.score, 0.0, stop)
            least = min(float(by_level[a.level][i]), a.effort)
            efforts[i] = least
            dearest = max(dearest, a.cost - float(board.costs(efforts)[i]))
    allowed = _BLUR * max(board.span, 1e-300)
    return Check(name, dearest <= allowed, f"dearest by {dearest:.3g}, allowed {allowed:.3g}")


def _nothing_left_out(board: Board, table: _Table) -> Check:
    """Every level up to one above the second farthest that anybody could want is on the list."""
    worth = board.span + float(board.penalty.max())
    stop = board.affordable(beyond=float(board.penalty.max()))
    low, _ = board.least(lambda e: board.costs(e) > worth, stop)
    most = np.where(board.costs(stop) <= worth, stop, low)
    eta = board.game.precision
    own = [_level(float(s), float(t), eta) for s, t in zip(*board.scores(board.zero), strict=True)]
    far = [_level(float(s), float(t), eta) for s, t in zip(*board.scores(most), strict=True)]
    top = max(sorted(far)[-2] + 1, *own)
    for i in range(board.n):
        for k in range(own[i], min(far[i], top) + 1):
            at = k - table.lowest
            if not (0 <= at < len(table.open) and table.open[at, i]):
                effort = board.zero.copy()
                effort[i] = most[i]
                if k == far[i] and board.costs(effort)[i] >= worth * (1 - 1e-9):
                    continue  # on the very edge of what is worth it, where rounding decides
                return Check("no level is left out", False, f"developer {i} could hold grid level {k}")
    return Check("no level is left out", True, f"up to grid level {top}")


def _bounds(board: Board, table: _Table, left: list[list[int]], i: int, level: int) -> tuple[float, float]:
    """Least and largest payoff of developer i at a level, given the levels that each rival has left."""
    beaten, tied, above, unsure = 0, 0, 0, 0
    for j in (j for j in range(board.n) if j != i):
        wins = {_versus(board, i, j, level, k) for k in left[j]}
        if wins == {1}:
            beaten += 1
        elif wins == {0}:
            tied += 1
        elif wins == {-1}:
            above += 1
        else:
            unsure += 1
    d, c = table.flagged[level, i], table.cost[level, i]
    reward = board.prizes - d * board.penalty
    if not unsure:
        value = float(reward[above : above + tied + 1].mean() - c)
        return value, value
    reachable = reward[above : above + tied + unsure + 1] - c
    return float(reachable.min()), float(reachable.max())


def _versus(board: Board, i: int, j: int, level: int, rival: int) -> int:
    """1 where i is published above j, -1 below, 0 tied."""
    if level != rival:
        return 1 if level > rival else -1
    if board.split:
        return 0
    return 1 if board.order[i] < board.order[j] else -1


def _largest_gain(board: Board, table: _Table, profile: tuple[int, ...]) -> float:
    fixed = [[k] for k in profile]
    if not all(0 <= k < len(table.open) and table.open[k, i] for i, k in enumerate(profile)):
        return float("inf")
    gain = 0.0
    for i in range(board.n):
        held = _bounds(board, table, fixed, i, profile[i])[0]
        for level in np.flatnonzero(table.open[:, i]):
            gain = max(gain, _bounds(board, table, fixed, i, int(level))[0] - held)
    return gain


def _proof_holds(board: Board, table: _Table, certificate: RoundedCertificate) -> Check:
    """Replay the strikes: each is justified, each branch tried, and what is left are the equilibria given."""
    name = "every profile is struck out but the equilibria"
    slack = 0.5 * certificate.tolerance
    stack = [[np.flatnonzero(table.open[:, i]).tolist() for i in range(board.n)]]
    found = []
    for developer, level, better in certificate.steps:
        if not stack:
            return Check(name, False, "steps go on after the search has ended")
        left = stack[-1]
        if developer >= board.n or max(level, better) >= len(table.open) or min(level, better) < -1 or developer < -2:
            return Check(name, False, f"step ({developer}, {level}, {better}) is about nobody")
        if developer >= 0 and level >= 0:
            if better < 0 or level not in left[developer] or not table.open[better, developer]:
                return Check(name, False, f"strikes level {level} of developer {developer}, which is not there")
            low, _ = _bounds(board, table, left, developer, better)
            _, high = _bounds(board, table, left, developer, level)
            if low <= high + slack:
                return Check(name, False, f"level {better} of developer {developer} does not beat level {level}")
            left[developer] = [k for k in left[developer] if k != level]
        elif developer >= 0:
            stack.pop()
            parts = [k for k in left[developer] if k >= better], [k for k in left[developer] if k < better]
            if not all(parts):
                return Check(name, False, f"a branch at level {better} of developer {developer} divides nothing")
            for part in reversed(parts):
                stack.append([*map(list, left[:developer]), part, *map(list, left[developer + 1 :])])
        else:
            stack.pop()
            if developer == -1 and all(left):
                return Check(name, False, "a branch is left although everybody has a level")
            if developer == -2:
                if any(len(x) != 1 for x in left):
                    return Check(name, False, "an equilibrium is claimed where levels are open")
                found.append(tuple(x[0] for x in left))
    same = sorted(found) == sorted(certificate.profiles) and not stack
    return Check(name, same, f"{len(certificate.steps)} steps, {len(found)} equilibria")


def _exhaustive(board: Board, table: _Table, certificate: RoundedCertificate) -> Check:
    """Where profiles are few: look at every one."""
    options = [np.flatnonzero(table.open[:, i]).tolist() for i in range(board.n)]
    found = [p for p in product(*options) if _largest_gain(board, table, p) <= certificate.tolerance]
    same = sorted(found) == sorted(certificate.profiles)
    return Check("exhaustive enumeration agrees", same, f"{len(found)} equilibria")
