"""Mixed equilibria of the deterministic and of the rounded leaderboard game, n up to 50 (DESIGN section 3).

Where contest theory has a closed form, that is laid on the ladder of scores; like any other profile it counts for what
developers are measured to gain against it. Otherwise regret matching+ for the bulk, an interior-point path for the
polish, and cells halved where somebody still gains, until nobody gains more than asked by any continuous deviation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from threadpoolctl import threadpool_limits

from followers.arrays import BoolArray, FloatArray
from followers.game import LeaderboardGame
from solvers.central_path import Path, follow
from solvers.claims import MixedCertificate, Piece
from solvers.closed_forms import closed_form, laid_on
from solvers.ladder import (
    CELL_NODES,
    CELL_WEIGHTS,
    Ladder,
    build_ladder,
    grid_ladder,
    inside_cells,
    prize_unit,
    refined,
    smoothed,
)
from solvers.levels import LevelGame, cell_rewards, level_payoffs

__all__ = ["LevelSolution", "MixedEquilibrium", "solve_levels", "solve_mixed"]

_NEGLIGIBLE = 1e-7
"""Masses below this are dropped: what the interior-point path leaves on levels that nobody uses."""

_FINER = 12
"""Further places in each cell at which the final profile is tested."""

_PATH = "regret matching and an interior-point path on a ladder of scores"

_FINER_AUDITED = 120

_WARM = ((0, 1e-3), (0, 3e-2), (0, 0.3))
_ATTEMPTS = ((200, 0.1), (1_000, 0.03), (50, 0.3), (3_000, 0.01))
"""Rounds of regret matching (0: from the profile given) and share of even spreading, in turn until a path arrives."""


@dataclass(frozen=True, slots=True)
class LevelSolution:
    """An (approximate) equilibrium of a level game.

    mass : (E, n), columns sum to one. regret : (n,), what each developer gains by its best level, prize units of the
    level game. solves : linear systems solved. attempts : paths begun. converged : whether a path arrived.
    """

    mass: FloatArray
    regret: FloatArray
    solves: int
    attempts: int
    converged: bool


def solve_levels(
    game: LevelGame, *, tolerance: float = 1e-9, max_solves: int = 400, start: FloatArray | None = None
) -> LevelSolution:
    """Solve a level game whose prize span is one; the path starts from `start` (E, n) where given.

    References
    ----------
    Tammelin (2014), arXiv 1407.5042 (regret matching+); `solvers.central_path`.
    """
    best: LevelSolution | None = None
    solves = 0
    attempts = (*_WARM, *_ATTEMPTS) if start is not None else _ATTEMPTS
    for attempt, (rounds, spread) in enumerate(attempts, start=1):
        bulk = start if start is not None and rounds == 0 else _regret_matching(game, rounds)
        path = _path_from(game, bulk, spread, tolerance, max_solves)
        solves += path.solves
        for mass, converged in ((path.mass, path.reached), (bulk, False)):
            cleaned = _cleaned(mass, game.open)
            regret = level_regret(game, cleaned)
            if best is None or converged or regret.max() < best.regret.max():
                best = LevelSolution(cleaned, regret, solves, attempt, converged)
            if converged:
                break
        if path.reached:
            break
    assert best is not None
    return replace(best, solves=solves, attempts=attempt)


def level_regret(game: LevelGame, mass: FloatArray) -> FloatArray:
    """What each developer gains by its best level over what it expects, (n,)."""
    value = level_payoffs(game, mass, slopes=False).value
    return np.asarray(np.where(game.open, value, -np.inf).max(axis=0) - (mass * value).sum(axis=0))


def _regret_matching(game: LevelGame, rounds: int) -> FloatArray:
    """Linearly averaged regret matching+: cheap and steady down to a few percent of the span."""
    even = game.open / game.open.sum(axis=0)
    regret, mass, average = np.zeros(even.shape), even, np.zeros(even.shape)
    for t in range(1, rounds + 1):
        value = level_payoffs(game, mass, slopes=False).value
        regret = np.maximum(regret + np.where(game.open, value - (mass * value).sum(axis=0), 0.0), 0.0)
        total = regret.sum(axis=0)
        mass = np.where(total > 0, regret / np.where(total > 0, total, 1.0), mass)
        average += t * mass
    return np.asarray(average / average.sum(axis=0))


def _path_from(game: LevelGame, mass: FloatArray, spread: float, tolerance: float, max_solves: int) -> Path:
    even = game.open / game.open.sum(axis=0)
    mass = (1.0 - spread) * mass + spread * even
    value = level_payoffs(game, mass, slopes=False).value
    best = np.where(game.open, value, -np.inf).max(axis=0)
    regret = best - (mass * value).sum(axis=0)
    payoffs = best + max(float(regret.max()), tolerance)
    return follow(game, mass, payoffs, value, mu_end=tolerance, max_solves=max_solves)


def _cleaned(mass: FloatArray, is_open: BoolArray) -> FloatArray:
    kept = np.where(is_open & (mass > _NEGLIGIBLE), mass, 0.0)
    total = kept.sum(axis=0)
    return np.asarray(np.where(total > 0, kept / np.where(total > 0, total, 1.0), is_open / is_open.sum(axis=0)))


@dataclass(frozen=True, slots=True)
class MixedEquilibrium:
    """A mixed profile of a single game without noise, and what it is worth.

    Attributes
    ----------
    game : the game, B = 1.
    ladder : scores on which the strategies live.
    mass : (E, n), probability of each rung: spread evenly in score over a cell, exactly at the score elsewhere.
    utilities : (n,), expected prize less cost, prize units.
    gain : (n,), what each developer gains by its best deviation found, prize units.
    exploitability : largest gain as a share of R_1 - R_n.
    rounds, solves : refinements of the ladder, linear systems solved.
    method : how the profile was found, in words.
    notes : what a user must know.
    """

    game: LeaderboardGame
    ladder: Ladder
    mass: FloatArray
    utilities: FloatArray
    gain: FloatArray
    exploitability: float
    rounds: int
    solves: int
    method: str
    notes: tuple[str, ...]

    def pieces(self, developer: int) -> tuple[Piece, ...]:
        """The strategy of a developer, from the lowest score it holds."""
        ladder = self.ladder
        result = []
        for e in np.flatnonzero(self.mass[:, developer] > 0):
            score, tail = float(ladder.score[e]), float(ladder.tail[e])
            low, low_tail = (score, tail) if ladder.width[e] == 0 else _lower_end(ladder, int(e))
            probability = float(self.mass[e, developer])
            result.append(Piece(low, low_tail, score, tail, probability, bool(ladder.just_above[e])))
        return tuple(result)

    def certificate(self) -> MixedCertificate:
        """What a sceptic needs besides the game."""
        return MixedCertificate(
            theorem="epsilon-equilibrium, epsilon = exploitability * (R_1 - R_n)",
            pieces=tuple(self.pieces(i) for i in range(self.game.n)),
            utilities=tuple(self.utilities.tolist()),
            exploitability=self.exploitability,
            notes=self.notes,
        )

    def cumulative(self, developer: int, score: FloatArray) -> FloatArray:
        """Probability that a developer's score is at most `score` (any shape)."""
        ladder, mass = self.ladder, self.mass[:, developer]
        low = ladder.score - ladder.width
        with np.errstate(divide="ignore", invalid="ignore"):
            inside = np.clip((np.asarray(score)[..., None] - low) / ladder.width, 0.0, 1.0)
        reached = np.where(ladder.width > 0, inside, np.asarray(score)[..., None] >= ladder.score)
        return np.asarray((mass * reached).sum(axis=-1))

    @property
    def expected_efforts(self) -> FloatArray:
        """(n,), steps."""
        return self._mean(self.ladder.node_effort, self.ladder.effort)

    @property
    def expected_costs(self) -> FloatArray:
        """(n,), prize units."""
        return self._mean(self.ladder.node_cost, self.ladder.top_cost) * prize_unit(self.game)

    def _mean(self, nodes: FloatArray, top: FloatArray) -> FloatArray:
        within = (CELL_WEIGHTS[:, None, None] * nodes).sum(axis=0)
        return np.asarray((self.mass * np.where(self.ladder.width[:, None] > 0, within, top)).sum(axis=0))


@dataclass(frozen=True, slots=True)
class _Tried:
    """A profile on a ladder: expected utilities (n,), mean payoffs (E, n) of the rungs, and the best payoff within each
    (E, n), -inf where closed."""

    ladder: Ladder
    mass: FloatArray
    utility: FloatArray
    value: FloatArray
    best: FloatArray

    @property
    def gain(self) -> float:
        """Largest gain of any developer."""
        return float((self.best - self.utility).max())


def _tried(ladder: Ladder, mass: FloatArray) -> _Tried:
    """Exact payoffs at atoms, at three nodes of every cell, and at both of its ends."""
    game = ladder.level
    atoms = game.open & ~game.spread[:, None]
    cells = game.open & game.spread[:, None]
    value = np.where(atoms, level_payoffs(replace(game, open=atoms), mass, slopes=False).value, 0.0)
    best = np.where(atoms, value, -np.inf)
    if cells.any():
        nodes = zip(CELL_NODES, CELL_WEIGHTS, ladder.node_cost, ladder.node_flagged, strict=True)
        ends = (
            (0.0, 0.0, _lower(ladder.top_cost), _lower(ladder.top_flagged)),
            (
                1.0,
                0.0,
                ladder.top_cost,
                ladder.node_flagged[-1],
            ),  # from below: the next cell begins with what is on top
        )
        for share, weight, cost, flagged in (*nodes, *ends):
            inside = cell_rewards(game, mass, float(share), flagged) - cost
            value = np.where(cells, value + weight * inside, value)
            best = np.where(cells, np.maximum(best, inside), best)
    return _Tried(ladder, mass, (mass * value).sum(axis=0), value, best)


def _lower_end(ladder: Ladder, e: int) -> tuple[float, float]:
    """Score (two floats) at which the cell of rung e begins: where the rung before it ends."""
    return float(ladder.score[e - 1]), float(ladder.tail[e - 1])


def _lower(values: FloatArray) -> FloatArray:
    """Values of the rung below: the lower end of a cell is the upper end of the rung before it."""
    return np.concatenate([values[:1], values[:-1]])


def solve_mixed(
    game: LeaderboardGame,
    *,
    tolerance: float = 1e-3,
    levels: int = 200,
    max_rounds: int = 12,
    closed_forms: bool = True,
) -> MixedEquilibrium:
    """Mixed equilibrium of a single game without noise, to an exploitability of `tolerance` where it can be had.

    Parameters
    ----------
    game : B = 1; deterministic, rounded to a grid or audited, with any tie rule.
    tolerance : largest gain to stop at, share of R_1 - R_n.
    levels : most rungs that any one developer may choose among. With rounded scores the grid is what it is.
    max_rounds : refinements of the ladder.
    closed_forms : use a closed form where one applies; False forces the general method (they agree, which is tested).

    Raises
    ------
    ValueError : more than one game, noise, or prizes that are all equal.

    Notes
    -----
    Deterministic: nothing is drawn. The profile is an epsilon-equilibrium with epsilon = exploitability, whether or not
    an equilibrium exists: payoffs jump at ties, and then it need not.

    References
    ----------
    DESIGN section 3; Siegel (2009), Econometrica 77(1), for existence and payoffs with identical prizes.
    """
    if game.batch != 1:
        raise ValueError(f"mixed: {game.batch} games; one at a time")
    # narrow banded systems gain nothing from BLAS threads, and lose much where these wait for a busy core; only what is
    # loaded by now can be limited
    import scipy.linalg  # noqa: F401

    with threadpool_limits(1, user_api="blas"):
        return _solve_single(game, tolerance, levels, max_rounds, closed_forms)


def _solve_single(
    game: LeaderboardGame, tolerance: float, levels: int, max_rounds: int, closed_forms: bool
) -> MixedEquilibrium:
    if game.noise is not None:
        raise ValueError("mixed: the game is noisy; its payoffs are smooth, use solve_noisy")
    if not game.prize_span[0] > 0:
        raise ValueError("mixed: all prizes are equal; nobody competes")
    if game.precision > 0:
        ladder = grid_ladder(game)
        solution = solve_levels(ladder.level, tolerance=0.1 * tolerance)
        return _result(game, _tried(ladder, solution.mass), 0, solution.solves, _PATH)
    known = _from_closed_form(game, tolerance, levels, max_rounds) if closed_forms else None
    if known is not None and known.exploitability <= tolerance:
        return known
    found = _by_path(game, tolerance, levels, max_rounds)
    return found if known is None or found.exploitability < known.exploitability else known


def _by_path(game: LeaderboardGame, tolerance: float, levels: int, max_rounds: int) -> MixedEquilibrium:
    """Solve on a ladder that is refined until nobody gains more than the tolerance, or it has enough levels."""
    ladder = build_ladder(game, max(10, levels // 6))
    mass: FloatArray | None = None
    best: _Tried | None = None
    gain, solves, rounds, stalled = 0.05, 0, 0, False
    while True:
        goal = (0.001 if stalled else 0.03) * max(gain, tolerance)  # what the cells hide need not be solved for
        solution = solve_levels(ladder.level, tolerance=goal, start=mass, max_solves=300)
        solves += solution.solves
        here = min(
            (_tried(ladder, m) for m in (solution.mass, smoothed(ladder, solution.mass))), key=lambda tried: tried.gain
        )
        stalled, gain = stalled or (rounds > 1 and here.gain > 0.5 * gain), here.gain
        best = here if best is None or gain < best.gain else best
        halved = _to_halve(here, levels, stalled=stalled)
        if gain <= tolerance or rounds >= max_rounds or not halved.any():
            return _result(game, best, rounds, solves, _PATH)
        ladder, mass = refined(game, ladder, here.mass, halved)
        rounds += 1


def _from_closed_form(game: LeaderboardGame, tolerance: float, levels: int, max_rounds: int) -> MixedEquilibrium | None:
    """The closed form laid on a ladder fine enough, or as fine as the levels allow; None without one."""
    form = closed_form(game)
    if form is None:
        return None
    ladder = build_ladder(game, max(10, levels // 3))
    best: MixedEquilibrium | None = None
    for rounds in range(max_rounds + 1):
        here = _tried(ladder, laid_on(form, game, ladder))
        found = _result(game, here, rounds, 0, f"closed form: {form.source}")
        best = found if best is None or found.exploitability < best.exploitability else best
        halved = _to_halve(here, levels, stalled=True)
        # finer than asked, as it costs next to nothing, and payoffs are off by more than what anybody gains
        if best.exploitability <= 0.1 * tolerance or not halved.any():
            break
        ladder, _ = refined(game, ladder, here.mass, halved)
    return best


def _to_halve(tried: _Tried, levels: int, *, stalled: bool) -> BoolArray:
    """The cells to blame for what is gained, the worst first where there is not room for all, (E,).

    Somebody's gain is the mean of what it forgoes on its own rungs: those on which it forgoes much are too coarse for
    it, and so are those that pay clearly more than the rest of its rungs do. Where halving those has `stalled`, the
    cells with most mass are halved as well.
    """
    ladder, mass = tried.ladder, tried.mass
    forgone = mass * (tried.best.max(axis=0) - tried.value)
    usual = np.array([_weighted_median(v, m) for v, m in zip(tried.value.T, mass.T, strict=True)])
    blame = np.maximum(forgone / 0.5, tried.best - usual).max(axis=1)
    blame = blame / max(float(blame.max()), 1e-300)
    if stalled:  # payoffs within a cell are off by the square of its mass, most where densities have a pole
        heavy = np.where(ladder.width > 0, mass.max(axis=1), 0.0)
        blame = np.maximum(blame, (heavy / max(float(heavy.max()), 1e-300)) ** 2)
    worst = blame > 0.25
    near = worst | np.roll(worst, 1) | np.roll(worst, -1)
    for _ in range(2):  # past the rungs that are no cells
        flat = near & (ladder.width == 0)
        near |= np.roll(flat, 1) | np.roll(flat, -1)
    near &= (ladder.width > 0) & ((mass.max(axis=1) > 1e-4) | worst)
    room = min(levels - int(ladder.level.open.sum(axis=0).max()), max(16, len(near) // 3))
    if near.sum() > room:
        near[np.argsort(-np.where(near, blame, -np.inf), kind="stable")[max(room, 0) :]] = False
    return np.asarray(near)


def _weighted_median(values: FloatArray, weights: FloatArray) -> float:
    order = np.argsort(values)
    return float(values[order][np.searchsorted(np.cumsum(weights[order]), 0.5 * weights.sum())])


def _measured(game: LeaderboardGame, tried: _Tried) -> _Tried:
    """The same profile, with deviations looked for at finer shares of every cell.

    Suspicion jumps with the claim: with audits what a cell is worth is a mean over many shares as well.
    """
    ladder, best = tried.ladder, tried.best
    cells = ladder.level.open & (ladder.width > 0)[:, None]
    audited = game.audit is not None
    points = _FINER_AUDITED if audited else _FINER
    total = np.zeros_like(best)
    for share in (np.arange(points) + 0.5) / points if cells.any() else ():
        cost, flagged = inside_cells(game, ladder, float(share))
        inside = cell_rewards(ladder.level, tried.mass, float(share), flagged) - cost
        best = np.where(cells, np.maximum(best, inside), best)
        total += np.where(cells, inside, 0.0)
    if not audited or not cells.any():
        return replace(tried, best=best)
    value = np.where(cells, total / points, tried.value)
    return replace(tried, best=best, value=value, utility=(tried.mass * value).sum(axis=0))


def _result(game: LeaderboardGame, coarse: _Tried, rounds: int, solves: int, method: str) -> MixedEquilibrium:
    tried, span = _measured(game, coarse), prize_unit(game)
    notes: tuple[str, ...] = ()
    if float(tried.mass[tried.ladder.just_above].sum(axis=0).max()) > 1e-2:
        notes = (
            "epsilon-equilibrium: some developer stakes on passing a score by as little as it can, and there is no "
            "least effort that does",
        )
    return MixedEquilibrium(
        game=game,
        ladder=tried.ladder,
        mass=tried.mass,
        utilities=tried.utility * span + game.prizes[0, -1],
        gain=np.maximum((tried.best - tried.utility).max(axis=0), 0.0) * span,
        exploitability=max(tried.gain, 0.0),
        rounds=rounds,
        solves=solves,
        method=method,
        notes=notes,
    )
