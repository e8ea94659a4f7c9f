"""`truerank solve`: one game, its equilibria however it is measured, certificates and the checker's verdicts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from designer.prizes import band_of_rank
from designer.protocol import Protocol
from designer.ranking import expected_kendall_tau_b, kendall_tau_b, published_ranks
from followers.arrays import FloatArray, IntArray
from followers.game import LeaderboardGame, TieRule
from followers.population import Population
from solvers.assumptions import Assumption, check_assumptions
from solvers.audited import solve_audited
from solvers.certificate import Certificate, Status, to_json
from solvers.checker import CheckReport, check
from solvers.finite import as_nfg
from solvers.inner import AnyCertificate
from solvers.ladder import discretised, grid_ladder
from solvers.mixed import MixedEquilibrium, solve_mixed
from solvers.noisy import solve_noisy
from solvers.pure import Profile, solve_pure
from solvers.race import Race, run_race
from solvers.rounded import solve_rounded
from solvers.standings import Standing, mixed_standing, noisy_standing, sample_mixed, sample_noisy
from studies.files import write_whole

__all__ = ["MIXED_MOST", "Equilibrium", "SolvedGame", "document", "solve_game", "write_nfg"]

Want: TypeAlias = Literal["pure", "mixed", "auto"]

MIXED_MOST = 50
"""Developers up to whom mixed equilibria are solved."""
_BOARDS = 2_000
"""Boards drawn where an expected tau-b has no closed form."""


@dataclass(frozen=True, slots=True)
class Equilibrium:
    """One pure equilibrium: per developer effort (steps), published score, rank (1 is first; ties share the best),
    prize (expected, less what an audit is expected to take) and utility (n,)."""

    efforts: FloatArray
    scores: FloatArray
    ranks: IntArray
    prizes: FloatArray
    utilities: FloatArray


@dataclass(frozen=True, slots=True)
class _Pure:
    """What a pure solver says of one game."""

    status: Status
    unique: bool | None
    equilibria: tuple[Equilibrium, ...]
    margin: float
    method: str
    certificate: AnyCertificate
    notes: tuple[str, ...] = ()
    race: Race | None = None


@dataclass(frozen=True, slots=True)
class SolvedGame:
    """A game and all that is known about its equilibria.

    mixed, mixed_report : a mixed profile and the checker's verdict on it, None where none was asked for or needed.
    standing : the distribution of the published ranking where play or measurement is random, else None.
    tau, tau_stderr : (expected) tau-b of published and true ranking at the equilibrium found; the standard error is 0
        where it is exact. NaN where no equilibrium is known or everything is tied.
    race : where best responses lead in a rounded game, None for other games.
    """

    population: Population
    protocol: Protocol
    game: LeaderboardGame
    pure: _Pure
    report: CheckReport
    mixed: MixedEquilibrium | None
    mixed_report: CheckReport | None
    standing: Standing | None
    tau: float
    tau_stderr: float
    assumptions: tuple[Assumption, ...]

    @property
    def status(self) -> Status:
        """EXISTS, ABSENT or UNKNOWN of a pure equilibrium. A certificate that the checker rejects decides nothing."""
        return self.pure.status if self.report.passed else Status.UNKNOWN

    @property
    def solution(self) -> str:
        """What was found: "pure", "mixed" or "none"."""
        if self.status is Status.EXISTS:
            return "pure"
        return "mixed" if self.mixed is not None and self.mixed_report and self.mixed_report.passed else "none"


def solve_game(
    population: Population,
    protocol: Protocol,
    *,
    find_all: bool = False,
    node_budget: int = 100_000,
    method: Want = "auto",
    seed: int = 0,
) -> SolvedGame:
    """Solve a single game, certify the answer, and have the independent checker verify the certificate.

    method : "pure" looks for pure equilibria only; "auto" also for a mixed one where there is no pure one, up to
    `MIXED_MOST` developers; "mixed" always for a mixed one. seed : of the boards drawn for an expected tau-b.

    Raises
    ------
    ValueError : "mixed" with noise, with all prizes equal, or for too many developers.
    """
    game = protocol.induce(population)
    pure = _solve_pure(game, find_all, node_budget)
    report = check(game, pure.certificate)
    exists = pure.status is Status.EXISTS and report.passed
    mixed = mixed_report = None
    able = game.noise is None and game.n <= MIXED_MOST and bool(game.prize_span[0] > 0)
    if method == "mixed" and not able and game.n <= MIXED_MOST:
        why = "scores are noisy, and payoffs smooth" if game.noise is not None else "all prizes are equal"
        raise ValueError(f"--method mixed: {why}: there is nothing to mix for; allowed: pure, auto")
    if method == "mixed" and game.n > MIXED_MOST:
        raise ValueError(f"--method mixed: {game.n} developers; mixed equilibria are solved for at most {MIXED_MOST}")
    if method == "mixed" or (method == "auto" and not exists and able):
        mixed = solve_mixed(game)
        mixed_report = check(game, mixed.certificate())
    standing = None
    if game.noise is not None and exists:
        standing = noisy_standing(game, pure.equilibria[0].efforts)
    elif mixed is not None and not exists:
        standing = mixed_standing(mixed)
    tau, stderr = _tau(population, protocol, game, pure if exists else None, mixed, standing, seed)
    return SolvedGame(
        population=population,
        protocol=protocol,
        game=game,
        pure=pure,
        report=report,
        mixed=mixed,
        mixed_report=mixed_report,
        standing=standing,
        tau=tau,
        tau_stderr=stderr,
        assumptions=check_assumptions(game, population.quality[0], population.names),
    )


def _solve_pure(game: LeaderboardGame, find_all: bool, node_budget: int) -> _Pure:
    if game.noise is not None:
        return _noisy(game)
    if game.precision > 0:
        return _rounded(game, node_budget)
    if game.audit is not None:
        return _audited(game)
    result = solve_pure(game, node_budget=node_budget, find_all=find_all)
    certificate = result.certificate(0)
    return _Pure(
        status=result.status(0),
        unique={1: True, 0: False, -1: None}[int(result.unique[0])],
        equilibria=tuple(_exact_equilibrium(game, p) for p in result.all_profiles(0)),
        margin=certificate.margin,
        method=result.method(0),
        certificate=certificate,
        notes=certificate.notes,
    )


def _exact_equilibrium(game: LeaderboardGame, profile: Profile) -> Equilibrium:
    ranks, prizes = _published(game, profile.score, profile.tail, np.zeros(game.n))
    return Equilibrium(profile.efforts, profile.score, ranks, prizes, prizes - profile.paid)


def _published(
    game: LeaderboardGame, score: FloatArray, tail: FloatArray, flagged: FloatArray
) -> tuple[IntArray, FloatArray]:
    """Ranks (n,) from 1, and the prizes that go with them less what an audit is expected to take."""
    order = game.tie_order if game.ties is TieRule.QUALITY else None
    ranks = published_ranks(score[None], tail[None], order, np.arange(game.n))[0]
    prizes = [
        float((game.prizes[0] - d * game.penalty[0])[r : r + int((ranks == r).sum())].mean())
        for r, d in zip(ranks, flagged, strict=True)
    ]
    return ranks + 1, np.array(prizes)


def _held(game: LeaderboardGame, efforts: FloatArray) -> Equilibrium:
    """The board when everybody holds an effort (n,)."""
    score, tail = (np.broadcast_to(x, (1, game.n))[0] for x in game.published(efforts[None]))
    ranks, prizes = _published(game, score, tail, game.flagged(efforts[None])[0])
    paid = np.broadcast_to(game.cost.cost(efforts[None]), (1, game.n))[0]
    return Equilibrium(efforts, score, ranks, prizes, prizes - paid)


def _audited(game: LeaderboardGame) -> _Pure:
    result = solve_audited(game)
    certificate, exists = result.certificate(0), result.status(0) is Status.EXISTS
    return _Pure(
        status=result.status(0),
        unique=True if exists and result.only_honest[0] else None,
        equilibria=(_held(game, result.efforts[0]),) if exists else (),
        margin=certificate.margin,
        method=result.method(0),
        certificate=certificate,
        notes=certificate.notes,
    )


def _rounded(game: LeaderboardGame, node_budget: int) -> _Pure:
    result = solve_rounded(game, node_budget=node_budget)
    certificate = result.certificate()
    at = result.profiles[result.cheapest()] if result.profiles else result.cheapest_levels()
    order = sorted(range(len(result.profiles)), key=lambda k: (k != result.cheapest(), k)) if result.profiles else []
    return _Pure(
        status=result.status,
        unique=len(result.profiles) == 1 if result.complete and result.profiles else None,
        equilibria=tuple(_held(game, result.efforts(k)) for k in order),
        margin=float(-result.gains(at).max()),
        method=result.method(),
        certificate=certificate,
        notes=certificate.notes,
        race=run_race(result.ladder.level),
    )


def _noisy(game: LeaderboardGame) -> _Pure:
    result = solve_noisy(game)
    certificate, exists = result.certificate(0), result.status(0) is Status.EXISTS
    efforts = result.efforts[0]
    held = _held(game, efforts)
    paid = np.broadcast_to(game.cost.cost(efforts[None]), (1, game.n))[0]
    expected = replace(held, prizes=result.utilities[0] + paid, utilities=result.utilities[0])
    return _Pure(
        status=result.status(0),
        unique=None,
        equilibria=(expected,) if exists else (),
        margin=float("nan") if exists else float(-result.gain[0].max()),
        method=result.method(0),
        certificate=certificate,
        notes=certificate.notes,
    )


def _tau(
    population: Population,
    protocol: Protocol,
    game: LeaderboardGame,
    pure: _Pure | None,
    mixed: MixedEquilibrium | None,
    standing: Standing | None,
    seed: int,
) -> tuple[float, float]:
    """Expected tau-b with its standard error: exact where ranks are published singly and without ties."""
    sizes = protocol.tiers.partition(game.n)
    band, quality = band_of_rank(sizes), population.quality
    order = game.tie_order if game.ties is TieRule.QUALITY else None
    if pure is not None and game.noise is None:
        score, tail = game.published(pure.equilibria[0].efforts[None])
        if isinstance(pure.certificate, Certificate):  # ties held on purpose are exact in the certificate only
            score, tail = (np.array([x]) for x in (pure.certificate.scores, pure.certificate.tails))
        return float(kendall_tau_b(published_ranks(score, tail, order, band), quality)[0]), 0.0
    if standing is None:
        return float("nan"), float("nan")
    if len(sizes) == game.n and standing.strict:
        return float(expected_kendall_tau_b(standing.above[None], quality)[0]), 0.0
    rng = np.random.default_rng(seed)
    if pure is not None:
        score = sample_noisy(game, pure.equilibria[0].efforts[None], _BOARDS, rng)[:, 0]
        tail = np.zeros_like(score)
    else:
        assert mixed is not None
        score, tail = sample_mixed(mixed, _BOARDS, rng)
    orders = None if order is None else np.repeat(order, _BOARDS, axis=0)
    taus = kendall_tau_b(published_ranks(score, tail, orders, band), np.repeat(quality, _BOARDS, axis=0))
    taus = taus[~np.isnan(taus)]
    if len(taus) < 2:
        return float("nan"), float("nan")
    return float(taus.mean()), float(taus.std(ddof=1) / np.sqrt(len(taus)))


def write_nfg(path: Path, solved: SolvedGame, title: str, levels: int) -> None:
    """Write the game for Gambit: as it is where scores are rounded, else laid on `levels` scores.

    Raises
    ------
    ValueError : noise, or more profiles than a file can list.
    """
    game = solved.game
    if game.noise is not None:
        raise ValueError("--nfg: a noisy game is not finite; only exact and rounded scores can be exported")
    ladder = grid_ladder(game) if game.precision > 0 else discretised(game, levels)
    kind = "scores rounded down" if game.precision > 0 else f"laid on {len(ladder.score)} scores"
    text = as_nfg(ladder.level, solved.population.names, f"{title}, {kind}, payoffs in units of R_1 - R_n")
    write_whole(path, text)


def mixed_document(mixed: MixedEquilibrium, report: CheckReport) -> dict[str, Any]:
    """The mixed profile: pieces of effort per developer (evenly in score between both ends), and what it is worth."""
    ladder, n = mixed.ladder, mixed.game.n
    support, scores, probabilities = [], [], []
    for i in range(n):
        rungs = np.flatnonzero(mixed.mass[:, i] > 0)
        low = [int(e) if ladder.width[e] == 0 else int(e) - 1 for e in rungs]
        support.append(
            [[float(ladder.effort[a, i]), float(ladder.effort[e, i])] for a, e in zip(low, rungs, strict=True)]
        )
        scores.append([[float(ladder.score[a]), float(ladder.score[e])] for a, e in zip(low, rungs, strict=True)])
        probabilities.append(mixed.mass[rungs, i].tolist())
    standing = mixed_standing(mixed)
    return {
        "support": support,
        "scores": scores,
        "probabilities": probabilities,
        "expected_efforts": to_json(mixed.expected_efforts),
        "expected_utilities": to_json(mixed.utilities),
        "expected_costs": to_json(mixed.expected_costs),
        "win_probabilities": to_json(standing.ranks[:, 0]),
        "exploitability": mixed.exploitability,
        "method": mixed.method,
        "checker": {"passed": report.passed, "checks": to_json(list(report.checks))},
        "notes": list(mixed.notes),
    }


def race_document(race: Race, names: tuple[str, ...]) -> dict[str, Any]:
    """Where best responses lead in the rounded game."""
    return {
        "profiles": race.profiles,
        "complete": race.complete,
        "from_cheapest": race.from_cheapest,
        "sinks": [
            {"profiles": len(s.profiles), "mean_rank": dict(zip(names, s.mean_rank.tolist(), strict=True))}
            for s in race.sinks
        ],
    }


def document(solved: SolvedGame) -> dict[str, Any]:
    """The JSON object of DESIGN section 7; numbers that are undefined or infinite are null, with a note."""
    status, pure = solved.status, solved.pure
    exists, names = status is Status.EXISTS, solved.population.names
    notes = [*solved.population.notes, *pure.notes]
    if np.isinf(pure.margin):
        notes.append("stability_margin is unbounded: no deviation gains a prize or saves a cost")
    if np.isnan(pure.margin):
        notes.append("stability_margin is null: with noise payoffs are smooth, and an equilibrium has no margin")
    if solved.solution != "none" and not np.isfinite(solved.tau):
        notes.append("kendall_tau is undefined: the whole board, or every quality, is tied")
    if solved.solution == "none":
        notes.append("kendall_tau is null: no equilibrium ranking is known")
    if solved.solution == "mixed":
        notes.append("kendall_tau is the expectation under the mixed profile")
    if not solved.report.passed:
        notes.append(f"the independent checker rejects the certificate: {solved.report.summary()}")
    standing = solved.standing
    return {
        "status": status.value,
        "solution": solved.solution,
        "unique": pure.unique if exists else None,
        "developers": list(names),
        "equilibria": [{k: to_json(getattr(e, k)) for k in _COLUMNS} for e in pure.equilibria] if exists else [],
        "mixed": mixed_document(solved.mixed, solved.mixed_report) if solved.mixed and solved.mixed_report else None,
        "stability_margin": to_json(pure.margin),
        "kendall_tau": to_json(solved.tau),
        "kendall_tau_stderr": to_json(solved.tau_stderr),
        "ranking": standing and {"above": to_json(standing.above), "ranks": to_json(standing.ranks)},
        "race": race_document(pure.race, names) if pure.race else None,
        "method": pure.method,
        "certificate": to_json(pure.certificate),
        "checker": {"passed": solved.report.passed, "checks": to_json(list(solved.report.checks))},
        "assumptions": {a.name: {"holds": a.holds, "witness": a.witness} for a in solved.assumptions},
        "notes": notes,
    }


_COLUMNS = ("efforts", "scores", "ranks", "prizes", "utilities")
