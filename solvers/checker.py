"""The independent checker: re-verifies a certificate from the game alone.

It imports no solver code and inverts no curve: scores and costs are only ever evaluated forwards, efforts are found by
bisection, ranks by counting. So an error in a solver, in a kernel or in a closed-form inverse shows up here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from followers.arrays import FloatArray, above
from followers.game import LeaderboardGame, TieRule
from solvers.certificate import Certificate, Status

__all__ = ["Check", "CheckReport", "check"]

_BISECTIONS = 200  # enough to settle any bracket of doubles
_BLUR = 1e-6
"""Share of R_1 - R_n that the checker allows: it never inverts a curve, and where one leaves a level with slope zero
a double tells scores apart only from some 1e-8 steps on."""


@dataclass(frozen=True, slots=True)
class Check:
    """One statement that was checked, whether it holds, and the figure it rests on."""

    name: str
    passed: bool
    detail: str


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


class _Board:
    """One game, forwards: scores, costs and prizes of single developers."""

    def __init__(self, game: LeaderboardGame) -> None:
        if game.batch != 1:
            raise ValueError(f"check: {game.batch} games; a certificate belongs to one")
        self.game, self.n = game, game.n
        self.prizes, self.cap = game.prizes[0], game.effort_cap[0]
        self.order, self.split = game.tie_order[0], game.ties is TieRule.SPLIT
        self.span = float(game.prize_span[0])
        self.zero = np.zeros(self.n)

    def scores(self, efforts: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(m, n) or (n,) scores of every developer at its own efforts, as two floats."""
        lifted = np.atleast_2d(efforts)[:, None, :]
        score, tail = (np.broadcast_to(x, lifted.shape)[:, 0, :] for x in self.game.scores(lifted))
        return (score, tail) if np.ndim(efforts) == 2 else (score[0], tail[0])

    def costs(self, efforts: FloatArray) -> FloatArray:
        """(m, n) or (n,) costs of every developer at its own efforts."""
        lifted = np.atleast_2d(efforts)[:, None, :]
        costs = np.broadcast_to(self.game.cost.cost(lifted), lifted.shape)[:, 0, :]
        return np.asarray(costs if np.ndim(efforts) == 2 else costs[0])

    def prize(
        self, i: int, own: FloatArray, own_tail: FloatArray, score: FloatArray, tail: FloatArray
    ) -> FloatArray:
        """Prize of i at own scores (m,) against rivals' scores (n,)."""
        rivals = np.arange(self.n) != i
        at, at_tail = own[:, None], own_tail[:, None]
        over = above(score, tail, at, at_tail) & rivals
        tied = (score == at) & (tail == at_tail) & rivals
        if not self.split:
            return self.prizes[np.sum(over | (tied & (self.order < self.order[i])), axis=1)]
        first, extra = over.sum(axis=1), tied.sum(axis=1)
        return np.array([self.prizes[a : a + t + 1].mean() for a, t in zip(first, extra, strict=True)])

    def least(
        self, holds: Callable[[FloatArray], FloatArray], stop: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Bracket (low, high] of the least effort (n,) at which `holds` turns true; high is inf where it never does.

        `holds` maps efforts (n,) to booleans (n,) and is monotone; `stop` bounds the search.
        """
        at_stop, at_zero = holds(stop), holds(self.zero)
        low, high = np.zeros(self.n), stop.copy()
        for _ in range(_BISECTIONS):
            middle = 0.5 * (low + high)
            true = holds(middle)
            low, high = np.where(true, low, middle), np.where(true, middle, high)
        high = np.where(at_zero, 0.0, np.where(at_stop, high, np.inf))
        return np.where(at_zero, 0.0, low), high

    def affordable(self, beyond: float = 0.0) -> FloatArray:
        """Per developer an effort that costs more than twice R_1 - R_n, and `beyond` more, or the cap (n,)."""
        top = np.minimum(np.ones(self.n), self.cap)
        for _ in range(2_000):
            small = (self.costs(top) <= 2.0 * self.span + beyond) & (top < self.cap)
            if not small.any():
                break
            top = np.where(small, np.minimum(2.0 * top, self.cap), top)
        return top


def check(game: LeaderboardGame, certificate: Certificate, *, grid: int = 2_001) -> CheckReport:
    """Re-verify a certificate against its game (B = 1).

    EXISTS: efforts are allowed and give the stated scores; no developer gains more than the tolerance by reaching or
    exceeding any rival's score, nor at any of `grid` efforts; the margin is as stated. ABSENT: the stated deviation at
    the free-effort profile pays; T1 applies (nobody is stuck), or every branch of the T2 lattice is refuted anew; each
    move of the cycle pays and the last leads back to the first. UNKNOWN: nothing is claimed, so nothing can fail.
    """
    board = _Board(game)
    if certificate.status is Status.EXISTS:
        checks = _check_exists(board, certificate, grid)
    elif certificate.status is Status.ABSENT:
        checks = _check_absent(board, certificate)
    else:
        checks = [Check("no claim is made", True, "status unknown")]
    return CheckReport(tuple(checks))


def _arrays(certificate: Certificate) -> tuple[FloatArray, FloatArray, FloatArray]:
    return np.array(certificate.efforts), np.array(certificate.scores), np.array(certificate.tails)


def _check_exists(board: _Board, certificate: Certificate, grid: int) -> list[Check]:
    efforts, score, tail = _arrays(certificate)
    checks = [_efforts_allowed(board, efforts), _scores_as_stated(board, efforts, score, tail)]
    stated = certificate.margin
    stop = board.affordable(beyond=2.0 * abs(stated) if np.isfinite(stated) else 0.0)
    gain, margin = _largest_gain(board, efforts, score, tail, stop)
    tol = _BLUR * board.span
    checks.append(
        Check("no continuous deviation gains", gain <= tol, f"largest gain {gain:.3g}, tolerance {tol:.3g}")
    )
    close = margin == stated or abs(margin - stated) <= _BLUR * max(board.span, abs(stated))
    checks.append(Check("margin", close, f"stated {stated:.9g}, found {margin:.9g}"))
    on_grid = _gain_on_grid(board, efforts, score, tail, grid)
    checks.append(
        Check(f"no effort on a grid of {grid} gains", on_grid <= tol, f"largest gain {on_grid:.3g}")
    )
    return checks


def _efforts_allowed(board: _Board, efforts: FloatArray) -> Check:
    good = len(efforts) == board.n and bool(
        np.all((efforts >= 0) & (efforts <= board.cap) & np.isfinite(efforts))
    )
    return Check("efforts within caps", good, f"{len(efforts)} efforts")


def _scores_as_stated(board: _Board, efforts: FloatArray, score: FloatArray, tail: FloatArray) -> Check:
    """Scores agree up to what moving the effort by a few ulps changes: a tie held on purpose is exact on paper only."""
    place = board.game.head_start[0] + efforts
    blur = 64 * np.finfo(np.float64).eps * (1.0 + place)
    low = board.scores(np.maximum(efforts - blur, 0.0))
    high = board.scores(efforts + blur)
    slack = 1e-13 * np.abs(score)
    exact = board.scores(efforts)
    same = (exact[0] == score) & (exact[1] == tail)
    good = same | ((score >= low[0] - slack) & (score <= high[0] + slack))
    worst = float(np.max(np.abs(exact[0] - score)))
    return Check("scores as stated", bool(good.all()), f"largest difference {worst:.3g}")


def _own_payoffs(board: _Board, efforts: FloatArray, score: FloatArray, tail: FloatArray) -> FloatArray:
    prizes = [board.prize(i, score[i : i + 1], tail[i : i + 1], score, tail)[0] for i in range(board.n)]
    return np.array(prizes) - board.costs(efforts)


def _thresholds(board: _Board, score: float, tail: float, *, strictly: bool, stop: FloatArray) -> FloatArray:
    """Cost (n,) of the least effort that reaches (or of efforts just above those that do not exceed) a score."""

    def holds(efforts: FloatArray) -> FloatArray:
        own, own_tail = board.scores(efforts)
        return above(own, own_tail, score, tail) if strictly else ~above(score, tail, own, own_tail)

    _, high = board.least(holds, stop)
    return np.where(np.isinf(high), np.inf, board.costs(np.where(np.isinf(high), 0.0, high)))


def _largest_gain(
    board: _Board, efforts: FloatArray, score: FloatArray, tail: FloatArray, stop: FloatArray
) -> tuple[float, float]:
    """Largest gain of any developer over continuous deviations, and the margin."""
    payoffs, paid = _own_payoffs(board, efforts, score, tail), board.costs(efforts)
    floor = _BLUR * board.span  # less is neither a prize gained nor a cost saved
    gain, margin = 0.0, np.inf
    free_score, free_tail = board.scores(_free_by_bisection(board, stop))
    levels = {
        *zip(score.tolist(), tail.tolist(), strict=True),
        *zip(free_score.tolist(), free_tail.tolist(), strict=True),
    }
    free_levels = [(float(s), float(t)) for s, t in zip(free_score, free_tail, strict=True)]
    for level, level_tail in levels:
        for strictly in (False, True):
            cost = _thresholds(board, level, level_tail, strictly=strictly, stop=stop)
            for i in np.flatnonzero(np.isfinite(cost)):
                at = free_levels[i]
                free = at > (level, level_tail) if strictly else at >= (level, level_tail)
                price = 0.0 if free else float(cost[i])
                prize = _prize_at(board, int(i), level, level_tail, score, tail, strictly=strictly)
                prize_gain, extra = prize - (payoffs[i] + paid[i]), price - paid[i]
                if prize_gain > floor or extra < -floor:
                    gain, margin = max(gain, prize_gain - extra), min(margin, extra - prize_gain)
    return gain, float(margin)


def _prize_at(
    board: _Board,
    i: int,
    level: float,
    level_tail: float,
    score: FloatArray,
    tail: FloatArray,
    *,
    strictly: bool,
) -> float:
    """Prize of i at a level, or in the limit from above it."""
    if not strictly:
        return float(board.prize(i, np.array([level]), np.array([level_tail]), score, tail)[0])
    over = above(score, tail, level, level_tail) & (np.arange(board.n) != i)
    return float(board.prizes[int(over.sum())])


def _free_by_bisection(board: _Board, stop: FloatArray) -> FloatArray:
    """Largest effort (n,) that costs nothing, within the cap."""
    low, _ = board.least(lambda e: board.costs(e) > 0, stop)
    return np.where(board.costs(stop) <= 0, stop, low)


def _gain_on_grid(
    board: _Board, efforts: FloatArray, score: FloatArray, tail: FloatArray, grid: int
) -> float:
    """Brute force: the largest gain over a grid of efforts, half of it evenly and half of it log-spaced."""
    stop = board.affordable()
    shares = np.unique(
        np.concatenate([np.linspace(0, 1, grid // 2), np.geomspace(1e-9, 1, grid - grid // 2)])
    )
    tried = shares[:, None] * stop
    payoffs = _own_payoffs(board, efforts, score, tail)
    own, own_tail = board.scores(tried)
    costs = board.costs(tried)
    gains = [
        np.max(board.prize(i, own[:, i], own_tail[:, i], score, tail) - costs[:, i]) for i in range(board.n)
    ]
    return float(np.max(np.array(gains) - payoffs))


def _check_absent(board: _Board, certificate: Certificate) -> list[Check]:
    efforts, score, tail = _arrays(certificate)
    stop = board.affordable()
    checks = [_efforts_allowed(board, efforts), _scores_as_stated(board, efforts, score, tail)]
    free = _free_by_bisection(board, stop)
    checks.append(
        Check(
            "the profile is everybody's free effort",
            bool(np.allclose(free, efforts, rtol=1e-6, atol=1e-9)),
            f"largest difference {float(np.max(np.abs(free - efforts))):.3g} steps",
        )
    )
    checks.append(_deviation_pays(board, certificate, efforts, score, tail))
    if certificate.refutations is None:
        checks.append(_nobody_is_stuck(board, efforts))
    else:
        checks += _check_refutations(board, certificate, efforts)
    if certificate.cycle:
        checks.append(_cycle_pays(board, certificate))
    return checks


def _deviation_pays(
    board: _Board, certificate: Certificate, efforts: FloatArray, score: FloatArray, tail: FloatArray
) -> Check:
    """The stated deviation, made with a hair more effort than its infimum, really gains."""
    name = "the stated deviation pays"
    if len(certificate.deviations) != 1:
        return Check(name, False, f"{len(certificate.deviations)} deviations stated; one is needed")
    d = certificate.deviations[0]
    payoff = _own_payoffs(board, efforts, score, tail)[d.developer]
    gains = []
    for nudge in (0.0, 1e-12, 1e-9, 1e-6, 1e-3):
        tried = efforts.copy()
        place = 1.0 + board.game.head_start[0, d.developer] + d.effort
        tried[d.developer] = min(d.effort + nudge * place, board.cap[d.developer])
        own, own_tail = board.scores(tried)
        i = d.developer
        prize = board.prize(i, own[i : i + 1], own_tail[i : i + 1], score, tail)[0]
        gains.append(float(prize - board.costs(tried)[i] - payoff))
    return Check(
        name, max(gains) > 0.5 * certificate.tolerance, f"gain {max(gains):.6g}, stated {d.gain:.6g}"
    )


def _stuck(board: _Board, efforts: FloatArray) -> FloatArray:
    """Who cannot raise its score above the one at `efforts` at vanishing cost, found by trying (n,)."""
    score, tail = board.scores(efforts)
    place = 1.0 + board.game.head_start[0] + efforts
    raised = board.scores(np.minimum(efforts + 1e-6 * place, board.cap))
    rises = above(raised[0], raised[1], score, tail)
    jump = (efforts <= 0) & (board.costs(np.full(board.n, 5e-324)) > 1e-9 * board.span)
    return ~rises | (efforts >= board.cap) | jump


def _nobody_is_stuck(board: _Board, efforts: FloatArray) -> Check:
    """The condition of T1; under split ties also: no affordable cap and no flat stretch within reach."""
    stuck = _stuck(board, efforts)
    if board.split:
        stop = board.affordable()
        stuck |= (stop >= board.cap) & (board.costs(stop) <= board.span)
        probes = np.linspace(0.0, 1.0, 513)[:, None] * stop
        own, own_tail = board.scores(probes)
        rises = above(own[1:], own_tail[1:], own[:-1], own_tail[:-1])
        stuck |= (~rises & (board.costs(probes[1:]) <= board.span)).any(axis=0)
    who = np.flatnonzero(stuck)
    return Check(
        "nobody is stuck (T1)", not len(who), "none" if not len(who) else f"developers {who.tolist()}"
    )


def _check_refutations(board: _Board, certificate: Certificate, free: FloatArray) -> list[Check]:
    proof = certificate.refutations
    assert proof is not None
    wanted = _lattice_by_bisection(board, free)
    missing = [
        f"developer {i} at effort {effort:.6g}"
        for i, options in enumerate(wanted)
        for effort in options
        if not any(abs(c.effort - effort) <= 1e-6 * (1.0 + effort) for c in proof.candidates[i])
    ]
    good = sorted(proof.order) == list(range(board.n)) and not missing
    checks = [
        Check("the lattice is complete (T2)", good, missing[0] if missing else "every candidate is there")
    ]
    checks.append(_tree_refutes(board, certificate))
    return checks


def _lattice_by_bisection(board: _Board, free: FloatArray) -> list[list[float]]:
    """Candidate efforts of every developer as T2 states them, found by forward evaluation only."""
    stop = board.affordable()
    wanted: list[list[float]] = [[float(e)] for e in free]
    just_in = board.costs(np.full(board.n, 5e-324))
    fee = just_in > 1e-9 * board.span
    low, high = board.least(lambda e: board.costs(e) > just_in, stop)
    plateau = np.where(np.isinf(high), stop, low)
    has_plateau = fee & (plateau > 1e-6)
    for i in np.flatnonzero(has_plateau):
        wanted[i].append(float(plateau[i]))
    if board.split:
        _add_caps_and_flat_starts(board, wanted, free, stop, np.where(has_plateau, plateau, 0.0))
        return wanted
    for anchor in (free, np.where(has_plateau, plateau, np.nan)):
        at = np.nan_to_num(anchor)
        stuck = _stuck(board, at) & np.isfinite(anchor)
        score, tail = board.scores(at)
        for k in np.flatnonzero(stuck):
            level, level_tail = score[k], tail[k]

            def holds(e: FloatArray, level: float = level, level_tail: float = level_tail) -> FloatArray:
                return ~above(level, level_tail, *board.scores(e))

            _, reach = board.least(holds, stop)
            cost = board.costs(np.where(np.isfinite(reach), reach, 0.0))
            for i in np.flatnonzero(np.isfinite(reach) & (board.order < board.order[k])):
                beyond = reach[i] > max(free[i], plateau[i] if has_plateau[i] else 0.0) + 1e-6 * (
                    1.0 + reach[i]
                )
                if beyond and cost[i] <= board.span * (1 - 1e-9):
                    wanted[i].append(float(reach[i]))
    return wanted


def _add_caps_and_flat_starts(
    board: _Board, wanted: list[list[float]], free: FloatArray, stop: FloatArray, plateau: FloatArray
) -> None:
    """Split ties: the effort cap, and left ends of flat stretches, seen on a grid and bisected."""
    costs_at_cap = board.costs(np.where(np.isfinite(board.cap), board.cap, 0.0))
    probes = np.linspace(0.0, 1.0, 1_025)[:, None] * stop
    own, own_tail = board.scores(probes)
    flat = ~above(own[1:], own_tail[1:], own[:-1], own_tail[:-1])
    starts = flat & ~np.concatenate([np.zeros((1, board.n), dtype=bool), flat[:-1]])
    for i in range(board.n):
        least = max(free[i], plateau[i]) + 1e-6
        if np.isfinite(board.cap[i]) and board.cap[i] > least and costs_at_cap[i] <= board.span * (1 - 1e-9):
            wanted[i].append(float(board.cap[i]))
        for row in np.flatnonzero(starts[:, i]):
            level, level_tail = own[row, i], own_tail[row, i]

            def holds(e: FloatArray, level: float = level, level_tail: float = level_tail) -> FloatArray:
                return ~above(level, level_tail, *board.scores(e))

            effort = board.least(holds, stop)[1][i]
            if effort > least and board.costs(np.full(board.n, effort))[i] <= board.span * (1 - 1e-9):
                wanted[i].append(float(effort))


def _tree_refutes(board: _Board, certificate: Certificate) -> Check:
    """Walk the tree: every branch ends in a developer who gains whatever the unassigned rivals hold."""
    proof, n = certificate.refutations, board.n
    assert proof is not None
    name = "every branch is refuted (T2)"
    stop = board.affordable()
    levels = sorted({(c.score, c.tail) for options in proof.candidates for c in options})
    index = {level: k for k, level in enumerate(levels)}
    reach = np.array([_thresholds(board, s, t, strictly=False, stop=stop) for s, t in levels])
    exceed = np.array([_thresholds(board, s, t, strictly=True, stop=stop) for s, t in levels])
    at = [np.array([index[c.score, c.tail] for c in options]) for options in proof.candidates]
    free = np.array([max(at[i][np.array([c.cost for c in o]) <= 0]) for i, o in enumerate(proof.candidates)])
    order_of_levels = np.arange(len(levels))[:, None]
    reach = np.where(order_of_levels <= free, 0.0, reach)
    exceed = np.where(order_of_levels < free, 0.0, exceed)
    tail = np.zeros(n)
    steps = iter(proof.tree)

    def refuted(loser: int, assigned: dict[int, int]) -> bool:
        best_case = np.array(
            [at[j][assigned[j]] if j in assigned else -1 for j in range(n)], dtype=np.float64
        )
        worst = np.array(
            [at[j][assigned[j]] if j in assigned else at[j].max() for j in range(n)], dtype=np.float64
        )
        own = at[loser][assigned[loser]]
        one = np.zeros(1)
        now = float(board.prize(loser, one + own, one, best_case, tail)[0])
        now -= proof.candidates[loser][assigned[loser]].cost
        for m in np.flatnonzero(np.isfinite(reach[:, loser])):
            prize = float(board.prize(loser, one + m, one, worst, tail)[0])
            if prize - reach[m, loser] > now + 0.5 * certificate.tolerance:
                return True
        for m in np.flatnonzero(np.isfinite(exceed[:, loser])):
            prize = _prize_at(board, loser, float(m), 0.0, worst, tail, strictly=True)
            if prize - exceed[m, loser] > now + 0.5 * certificate.tolerance:
                return True
        return False

    def walk(depth: int, assigned: dict[int, int]) -> str | None:
        verdict = next(steps, None)
        if verdict is None:
            return "the tree ends early"
        if verdict >= 0:
            return (
                None
                if verdict in assigned and refuted(verdict, assigned)
                else f"developer {verdict} does not gain"
            )
        if depth == n:
            return "a complete profile is not refuted"
        i = proof.order[depth]
        for k in range(len(proof.candidates[i])):
            failure = walk(depth + 1, {**assigned, i: k})
            if failure:
                return failure
        return None

    failure = walk(0, {}) or ("the tree has entries left over" if next(steps, None) is not None else None)
    return Check(name, failure is None, failure or f"{len(proof.tree)} nodes")


def _cycle_pays(board: _Board, certificate: Certificate) -> Check:
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
        before = _own_payoffs(board, state, score, tail)[i]
        state = state.copy()
        state[i] = move.effort_to
        score, tail = board.scores(state)
        if _own_payoffs(board, state, score, tail)[i] <= before:
            return Check(name, False, f"move {k} does not gain")
    back = bool(np.array_equal(state, start))
    return Check(
        name, back, f"{len(certificate.cycle)} moves" if back else "the race does not return to its start"
    )
