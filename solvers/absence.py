"""The checker's verdict on a claim that no pure equilibrium exists: the conditions of T1, or the proof tree of T2."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from followers.arrays import FloatArray, above
from solvers.board import Board, prize_at, scores_agree, stuck_at, thresholds
from solvers.certificate import Certificate

__all__ = ["Check", "check_refutations", "honest_only", "nobody_is_stuck"]


@dataclass(frozen=True, slots=True)
class Check:
    """One statement that was checked, whether it holds, and the figure it rests on."""

    name: str
    passed: bool
    detail: str


def nobody_is_stuck(board: Board, efforts: FloatArray) -> Check:
    """The condition of T1; under split ties also: no affordable cap and no flat stretch within reach."""
    stuck = stuck_at(board, efforts)
    if board.split:
        stop = board.affordable()
        stuck |= (stop >= board.cap) & (board.costs(stop) <= board.span)
        probes = np.linspace(0.0, 1.0, 513)[:, None] * stop
        own, own_tail = board.scores(probes)
        rises = above(own[1:], own_tail[1:], own[:-1], own_tail[:-1])
        stuck |= (~rises & (board.costs(probes[1:]) <= board.span)).any(axis=0)
    who = np.flatnonzero(stuck)
    return Check("nobody is stuck (T1)", not len(who), "none" if not len(who) else f"developers {who.tolist()}")


def honest_only(board: Board, efforts: FloatArray) -> list[Check]:
    """What T1 needs besides with audits: no free effort, strict ties, honest rewards that fall with rank."""
    level = board.game.audit.level if board.game.audit is not None else 0.0
    ranks = [(float(r), float(p)) for r, p in zip(board.prizes, board.penalty, strict=True)]
    falls = all((a > b and a - level * p > b - level * q) or (a == b and p == q) for (a, p), (b, q) in pairwise(ranks))
    return [
        Check("no effort is free", not np.any(efforts > 0) and not board.split, "profile of zero efforts, strict ties"),
        Check("honest entries want better ranks", falls, "prizes less false positives at the level of the test"),
    ]


def check_refutations(board: Board, certificate: Certificate, free: FloatArray) -> list[Check]:
    """Whether the T2 lattice leaves no candidate out, and every branch of the tree is refuted anew."""
    proof = certificate.refutations
    assert proof is not None
    complete = "the lattice is complete (T2)"
    if sorted(proof.order) != list(range(board.n)) or len(proof.candidates) != board.n or not all(proof.candidates):
        return [Check(complete, False, "every developer must be assigned once and have a candidate")]
    wanted = _lattice_by_bisection(board, free)
    missing = [
        f"developer {i} at effort {effort:.6g}"
        for i, options in enumerate(wanted)
        for effort in options
        if not any(abs(c.effort - effort) <= 1e-6 * (1.0 + effort) for c in proof.candidates[i])
    ]
    checks = [Check(complete, not missing, missing[0] if missing else "every candidate is there")]
    checks.append(_candidates_as_stated(board, certificate))
    if all(c.passed for c in checks):
        checks.append(_tree_refutes(board, certificate))
    return checks


def _candidates_as_stated(board: Board, certificate: Certificate) -> Check:
    """Each candidate's score and cost are what its effort gives."""
    proof = certificate.refutations
    assert proof is not None
    name = "candidates as stated"
    for i, options in enumerate(proof.candidates):
        for c in options:
            efforts, score, tail = (np.full(board.n, x) for x in (c.effort, c.score, c.tail))
            right_score = scores_agree(board, efforts, score, tail)[i]
            right_cost = abs(board.costs(efforts)[i] - c.cost) <= 1e-6 * board.span
            if not (right_score and right_cost and 0 <= c.effort <= board.cap[i]):
                return Check(name, False, f"developer {i} at effort {c.effort:.6g}")
    return Check(name, True, f"{sum(map(len, proof.candidates))} candidates")


def _lattice_by_bisection(board: Board, free: FloatArray) -> list[list[float]]:
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
        stuck = stuck_at(board, at) & np.isfinite(anchor)
        score, tail = board.scores(at)
        for k in np.flatnonzero(stuck):
            reach = board.reach(score[k], tail[k], stop)
            cost = board.costs(np.where(np.isfinite(reach), reach, 0.0))
            for i in np.flatnonzero(np.isfinite(reach) & (board.order < board.order[k])):
                beyond = reach[i] > max(free[i], plateau[i] if has_plateau[i] else 0.0) + 1e-6 * (1.0 + reach[i])
                if beyond and cost[i] <= board.span * (1 - 1e-9):
                    wanted[i].append(float(reach[i]))
    return wanted


def _add_caps_and_flat_starts(
    board: Board, wanted: list[list[float]], free: FloatArray, stop: FloatArray, plateau: FloatArray
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
            effort = board.reach(own[row, i], own_tail[row, i], stop)[i]
            if effort > least and board.costs(np.full(board.n, effort))[i] <= board.span * (1 - 1e-9):
                wanted[i].append(float(effort))


def _tree_refutes(board: Board, certificate: Certificate) -> Check:
    """Walk the tree: every branch ends in a developer who gains whatever the unassigned rivals hold."""
    proof, n = certificate.refutations, board.n
    assert proof is not None
    name = "every branch is refuted (T2)"
    stop = board.affordable()
    levels = sorted({(c.score, c.tail) for options in proof.candidates for c in options})
    index = {level: k for k, level in enumerate(levels)}
    reach = np.array([thresholds(board, s, t, strictly=False, stop=stop) for s, t in levels])
    exceed = np.array([thresholds(board, s, t, strictly=True, stop=stop) for s, t in levels])
    at = [np.array([index[c.score, c.tail] for c in options]) for options in proof.candidates]
    free = np.array([max(at[i][np.array([c.cost for c in o]) <= 0]) for i, o in enumerate(proof.candidates)])
    order_of_levels = np.arange(len(levels))[:, None]
    reach = np.where(order_of_levels <= free, 0.0, reach)
    exceed = np.where(order_of_levels < free, 0.0, exceed)
    tail = np.zeros(n)
    steps = iter(proof.tree)

    def refuted(loser: int, assigned: dict[int, int]) -> bool:
        best_case = np.array([at[j][assigned[j]] if j in assigned else -1 for j in range(n)], dtype=np.float64)
        worst = np.array([at[j][assigned[j]] if j in assigned else at[j].max() for j in range(n)], dtype=np.float64)
        own = at[loser][assigned[loser]]
        one = np.zeros(1)
        now = float(board.prize(loser, one + own, one, best_case, tail)[0])
        now -= proof.candidates[loser][assigned[loser]].cost
        for m in np.flatnonzero(np.isfinite(reach[:, loser])):
            prize = float(board.prize(loser, one + m, one, worst, tail)[0])
            if prize - reach[m, loser] > now + 0.5 * certificate.tolerance:
                return True
        for m in np.flatnonzero(np.isfinite(exceed[:, loser])):
            prize = prize_at(board, loser, float(m), 0.0, worst, tail, strictly=True)
            if prize - exceed[m, loser] > now + 0.5 * certificate.tolerance:
                return True
        return False

    def walk(depth: int, assigned: dict[int, int]) -> str | None:
        verdict = next(steps, None)
        if verdict is None:
            return "the tree ends early"
        if verdict >= 0:
            return None if verdict in assigned and refuted(verdict, assigned) else f"developer {verdict} does not gain"
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
