"""Pure equilibria of exact games whose published entries are audited (DESIGN section 3).

A developer at rank r with effort e gets R_r - D(e) penalty_r - c(e), where D never falls with effort. So at a rank the
cheapest effort that leads there is best, and a profile is checked against continuous deviations by pricing, for each
rival, the least effort that reaches or exceeds its score: exact whatever the audit probabilities are.

That honest play is the only candidate needs more. [T1 with audits] Let the tie order be strict, no effort be free,
nobody stuck at zero effort, and let rewards fall with rank for honest entries as prizes do, for every false-positive
rate d up to the level of the test: R_r > R_r' implies R_r - d penalty_r > R_r' - d penalty_r', and R_r = R_r' implies
penalty_r = penalty_r'. Then every pure equilibrium is the profile of zero efforts. Proof. Let i hold e_i > 0. Lowering
it slightly saves cost and cannot raise D, so it must cost reward, so rank and prize: i is tied with somebody below it
in the tie order whose prize is lower. The lowest member of the tied group holds no costly effort, by the same argument,
so it is flagged with its false-positive rate; D is continuous from the right in effort, so it passes the whole group at
vanishing cost and suspicion, for a larger prize and so, as just assumed, a larger reward: a contradiction.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from followers.arrays import BoolArray, FloatArray, IntArray, above
from followers.game import LeaderboardGame, TieRule, select
from solvers.certificate import Certificate, Deviation, Status
from solvers.deviations import has_kernel, kernel_law
from solvers.threads import each_slice, plain

__all__ = ["AuditedEquilibrium", "rewards_fall_with_rank", "solve_audited"]

TOLERANCE = 1e-9
"""A deviation that gains less than this share of R_1 - R_n is none: it is what inverting a curve may round."""

_SLICE = 512  # games per compiled call
_CODES = (Status.EXISTS, Status.ABSENT, Status.UNKNOWN)
_THEOREM = "T1 with audits: nobody is stuck and no effort is free, so only zero efforts can be an equilibrium"
_CHECKED = "checked against every continuous deviation"


@dataclass(frozen=True, slots=True)
class AuditedEquilibrium:
    """What is known about the pure equilibria of a batch of B audited games.

    Attributes
    ----------
    game : the batch that was solved.
    codes : (B,), index into (EXISTS, ABSENT, UNKNOWN).
    efforts : (B, n), the profile that was checked: zero efforts, or all that is free; steps.
    utilities : (B, n), expected prize less penalty and cost there, prize units.
    margin : (B,), what the most tempted developer still loses by deviating, negative where it gains; prize units.
    developer_margin : (B, n), the same per developer.
    target, effort, attained, prize_gain, extra_cost : (B, n), each developer's best deviation.
    rank : (B, n), where it leads, 0 is first.
    tolerance : (B,), prize units.
    only_honest : (B,), whether T1 with audits says that nothing but zero efforts can be an equilibrium.
    """

    game: LeaderboardGame
    codes: IntArray
    efforts: FloatArray
    utilities: FloatArray
    margin: FloatArray
    developer_margin: FloatArray
    target: IntArray
    effort: FloatArray
    attained: BoolArray
    prize_gain: FloatArray
    extra_cost: FloatArray
    rank: IntArray
    tolerance: FloatArray
    only_honest: BoolArray

    def status(self, b: int = 0) -> Status:
        """Status of game b."""
        return _CODES[int(self.codes[b])]

    @property
    def exists(self) -> BoolArray:
        """(B,), whether an equilibrium was found."""
        return np.asarray(self.codes == 0)

    def method(self, b: int = 0) -> str:
        """How game b was decided, in words."""
        return "audited: honest profile" + (" (T1 with audits)" if self.codes[b] == 1 else "")

    def certificate(self, b: int = 0) -> Certificate:
        """Certificate of game b; see `solvers.checker.check`."""
        status = self.status(b)
        score, tail = (np.broadcast_to(x, self.efforts.shape)[b] for x in self.game.scores(self.efforts))
        deviations = tuple(
            Deviation(
                developer=i,
                target=int(self.target[b, i]),
                rank=int(self.rank[b, i]) + 1,
                effort=float(self.effort[b, i]),
                attained=bool(self.attained[b, i]),
                prize_gain=float(self.prize_gain[b, i]),
                extra_cost=float(self.extra_cost[b, i]),
            )
            for i in range(self.game.n)
            if np.isfinite(self.developer_margin[b, i])
        )
        if status is Status.ABSENT:
            deviations = (max(deviations, key=lambda d: d.gain),)
        theorem = {Status.EXISTS: _CHECKED, Status.ABSENT: _THEOREM, Status.UNKNOWN: "none applies"}[status]
        notes: tuple[str, ...] = ()
        if status is Status.UNKNOWN:
            notes = ("somebody gains by leaving the honest profile, but no theorem rules out another equilibrium here",)
        return Certificate(
            status=status,
            theorem=theorem,
            efforts=tuple(self.efforts[b].tolist()),
            scores=tuple(score.tolist()),
            tails=tuple(tail.tolist()),
            deviations=deviations,
            margin=float(self.margin[b]),
            tolerance=float(self.tolerance[b]),
            notes=notes,
        )


def rewards_fall_with_rank(game: LeaderboardGame) -> BoolArray:
    """Whether honest entries want a better rank wherever its prize is larger, (B,): the condition of T1 with audits."""
    level = game.audit.level if game.audit is not None else 0.0
    rewards = game.prizes - level * game.penalty  # linear in the rate: ordered alike at 0 and here, so in between
    prize_falls, reward_falls = np.diff(game.prizes, axis=1) < 0, np.diff(rewards, axis=1) < 0
    same = (np.diff(game.prizes, axis=1) == 0) & (np.diff(game.penalty, axis=1) == 0)
    return np.asarray(((prize_falls & reward_falls) | same).all(axis=1))


def solve_audited(game: LeaderboardGame, *, compiled: bool = True) -> AuditedEquilibrium:
    """Whether honest play is an equilibrium of audited games, and whether anything else can be.

    EXISTS: the profile of zero efforts (or, failing that, of all free effort) survives every continuous deviation.
    ABSENT: it does not, and T1 with audits says that no other profile can. Otherwise UNKNOWN. `compiled=False` forces
    the general check where compiled code knows the developers, too.

    Raises
    ------
    ValueError : noise or rounded scores.
    """
    if game.noise is not None or game.precision > 0:
        raise ValueError("audited: scores must be exact; use solve_noisy or solve_rounded")
    found = _checked(game, np.zeros_like(game.head_start), compiled)
    free = np.asarray(game.free_effort())
    retry = np.flatnonzero((found.codes != 0) & (free > 0).any(axis=1))
    if len(retry):
        again = _checked(select(game, retry), free[retry], compiled)
        good = again.codes == 0
        for name in AuditedEquilibrium.__slots__:
            if name != "game":
                getattr(found, name)[retry[good]] = getattr(again, name)[good]
    return found


@dataclass(frozen=True, slots=True)
class _Best:
    """Utilities at a profile, and the best deviation of every developer from it, all (B, n); gain -inf where none."""

    utilities: FloatArray
    gain: FloatArray
    target: IntArray
    effort: FloatArray
    attained: BoolArray
    rank: IntArray
    reward: FloatArray
    cost: FloatArray


def _checked(game: LeaderboardGame, efforts: FloatArray, compiled: bool) -> AuditedEquilibrium:
    best = _best_by_kernel(game, efforts) if compiled and has_kernel(game) else _best_in_general(game, efforts)
    paid = np.broadcast_to(game.cost.cost(efforts), efforts.shape)
    tolerance = TOLERANCE * game.prize_span
    worst = best.gain.max(axis=1)
    only_honest = (
        (game.free_effort() == 0).all(axis=1)
        & rewards_fall_with_rank(game)
        & ~_anybody_stuck(game)
        & (game.ties is TieRule.QUALITY)
    )
    codes = np.where(worst <= tolerance, 0, np.where(only_honest & (efforts == 0).all(axis=1), 1, 2))
    return AuditedEquilibrium(
        game=game,
        codes=codes,
        efforts=efforts,
        utilities=best.utilities,
        margin=-worst,
        developer_margin=-best.gain,
        target=best.target,
        effort=best.effort,
        attained=best.attained,
        prize_gain=best.reward - (best.utilities + paid),
        extra_cost=best.cost - paid,
        rank=best.rank,
        tolerance=tolerance,
        only_honest=only_honest,
    )


def _best_by_kernel(game: LeaderboardGame, efforts: FloatArray) -> _Best:
    """The same from compiled code; games whose curves it cannot invert go the general way."""
    from solvers.audit_kernels import audited_deviations

    shape = efforts.shape
    scores, fresh = (np.stack([np.broadcast_to(x, shape) for x in game.scores(e)]) for e in (efforts, 0.0))
    items, critical = 0, np.full((2, *shape), -1, dtype=np.int64)  # without audits nobody is flagged
    if game.audit is not None:
        items = game.audit.items
        critical[:] = game.audit.critical(np.stack([scores[0], fresh[0]]))
    penalty, utilities, gain = game.penalty, np.empty(shape), np.empty(shape)
    target, chosen = np.zeros(shape, dtype=np.int64), np.zeros((4, *shape))
    attained, settled = np.ones(shape, dtype=np.bool_), np.ones(game.batch, dtype=np.bool_)

    def run(piece: slice) -> None:
        law, share, transfer = kernel_law(game, piece)
        prizes, penalties, tie_order = (plain(x[piece]) for x in (game.prizes, penalty, game.tie_order))
        best = np.zeros((4, *prizes.shape))
        audited_deviations(
            law,
            game.ties is TieRule.SPLIT,
            share,
            transfer,
            prizes,
            penalties,
            tie_order,
            items,
            plain(efforts[piece]),
            plain(scores[:, piece]),
            plain(fresh[:, piece]),
            plain(critical[:, piece]),
            TOLERANCE,
            utilities[piece],
            gain[piece],
            target[piece],
            best,
            attained[piece],
            settled[piece],
        )
        chosen[:, piece] = best

    each_slice(game.batch, _SLICE, run)
    found = _Best(utilities, gain, target, chosen[0], attained, chosen[1].astype(np.int64), chosen[2], chosen[3])
    others = np.flatnonzero(~settled)
    if len(others):
        general = _best_in_general(select(game, others), efforts[others])
        for name in _Best.__slots__:
            getattr(found, name)[others] = getattr(general, name)
    return found


def _best_in_general(game: LeaderboardGame, efforts: FloatArray) -> _Best:
    """For any curves and costs, by arrays over (game, developer), rival by rival."""
    score, tail = (np.ascontiguousarray(np.broadcast_to(x, efforts.shape)) for x in game.scores(efforts))
    batch, n = efforts.shape
    paid = np.broadcast_to(game.cost.cost(efforts), efforts.shape)
    utilities = _reward(game, score, tail, game.flagged(efforts), score, tail, strictly=False)[0] - paid
    gain_of_best = np.full((batch, n), -np.inf)
    chosen = {
        "target": np.zeros((batch, n), dtype=np.int64),
        "effort": np.zeros((batch, n)),
        "attained": np.ones((batch, n), dtype=bool),
        "rank": np.zeros((batch, n), dtype=np.int64),
        "reward": np.zeros((batch, n)),
        "cost": np.zeros((batch, n)),
    }
    at_zero = game.scores(0.0)
    start, start_tail = np.broadcast_to(at_zero[0], efforts.shape), np.broadcast_to(at_zero[1], efforts.shape)
    span = game.prize_span[:, None]
    own_rewards = utilities + paid
    for target in range(-1, n):
        for strictly in (False, True) if target >= 0 else (False,):
            if target < 0:  # back to no effort at all
                effort = np.zeros_like(efforts)
                level, level_tail = start, start_tail
            else:
                level, level_tail = score[:, target, None], tail[:, target, None]
                effort = game.exceed(level, level_tail) if strictly else game.reach(level, level_tail)
            at, at_tail = (np.broadcast_to(x, efforts.shape) for x in (level, level_tail))
            possible = np.isfinite(effort) & ~above(
                start, start_tail, at, at_tail
            )  # nobody can score less than at zero effort
            effort = np.where(possible, effort, 0.0)
            cost = np.broadcast_to(game.cost.cost(effort), effort.shape)
            if strictly:  # an effort just above zero pays the entry fee
                cost = np.where(effort == 0, np.broadcast_to(game.cost.entry_jump(), effort.shape), cost)
            reward, rank = _reward(game, at, at_tail, game.flagged(effort), score, tail, strictly=strictly)
            gain = reward - own_rewards - (cost - paid)
            # what neither wins a reward nor saves a cost tempts nobody
            moves = possible & ((reward - own_rewards > TOLERANCE * span) | (cost - paid < -TOLERANCE * span))
            better = moves & (gain > gain_of_best)
            gain_of_best = np.where(better, gain, gain_of_best)
            for name, value in (
                ("target", target if target >= 0 else np.arange(n)[None, :]),
                ("effort", effort),
                ("attained", not strictly),
                ("rank", rank),
                ("reward", reward),
                ("cost", cost),
            ):
                chosen[name] = np.where(better, value, chosen[name])
    return _Best(utilities=utilities, gain=gain_of_best, **chosen)


def _anybody_stuck(game: LeaderboardGame) -> BoolArray:
    """Whether somebody cannot raise its score above the one at zero effort at vanishing cost, (B,)."""
    jump = np.broadcast_to(game.cost.entry_jump(), game.head_start.shape) > 0
    stuck = (game.effort_cap <= 0) | game.flat_beyond(np.zeros_like(game.head_start)) | jump
    return np.asarray(stuck.any(axis=1))


def _reward(
    game: LeaderboardGame,
    level: FloatArray,
    level_tail: FloatArray,
    flagged: FloatArray,
    score: FloatArray,
    tail: FloatArray,
    *,
    strictly: bool,
) -> tuple[FloatArray, IntArray]:
    """Expected reward and rank (B, n) of each developer at its level (B, n), rivals at score (B, n); or just above."""
    batch, n = score.shape
    others = ~np.eye(n, dtype=bool)
    at, at_tail = level[:, :, None], level_tail[:, :, None]
    over = above(score[:, None, :], tail[:, None, :], at, at_tail) & others
    tied = (score[:, None, :] == at) & (tail[:, None, :] == at_tail) & others
    rewards = game.prizes[:, None, :] - flagged[:, :, None] * game.penalty[:, None, :]
    if strictly:
        first = over.sum(axis=2)
        last = first
    elif game.ties is TieRule.QUALITY:
        first = (over | (tied & (game.tie_order[:, None, :] < game.tie_order[:, :, None]))).sum(axis=2)
        last = first
    else:
        first = over.sum(axis=2)
        last = first + tied.sum(axis=2)
    total = np.concatenate([np.zeros((batch, n, 1)), np.cumsum(rewards, axis=2)], axis=2)
    shared = np.take_along_axis(total, last[..., None] + 1, 2) - np.take_along_axis(total, first[..., None], 2)
    single = np.take_along_axis(rewards, first[..., None], 2)
    return np.where(first == last, single[..., 0], shared[..., 0] / (last - first + 1)), first
