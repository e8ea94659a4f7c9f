"""The statements of DESIGN section 2 and of the paper, each on its own games and on random ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from builders import efforts_of, exponential, game_of, linear, logit, logit_games, reciprocal, row
from hypothesis import given
from hypothesis import strategies as st

from followers.arrays import above
from followers.curves import GeneralizedLogit
from followers.game import LeaderboardGame, TieRule, select
from followers.tabulated import tabulate
from solvers.assumptions import check_assumptions
from solvers.certificate import Status
from solvers.checker import check
from solvers.lattice import build_lattice, may_hold_effort, profile_deviations, search
from solvers.pure import solve_pure

EXISTS, ABSENT, UNKNOWN = Status.EXISTS, Status.ABSENT, Status.UNKNOWN


def verified(game: LeaderboardGame) -> Status:
    """Status of a single game whose certificate the independent checker accepts."""
    result = solve_pure(game)
    report = check(game, result.certificate(0))
    assert report.passed, report.summary()
    return result.status(0)


def payoffs(game: LeaderboardGame, efforts: np.ndarray) -> np.ndarray:
    """Payoff of everybody at one profile, by counting."""
    score, tail = (x[0] for x in game.scores(efforts[None]))
    result = np.empty(game.n)
    for i in range(game.n):
        rivals = np.arange(game.n) != i
        over = above(score, tail, score[i], tail[i]) & rivals
        tied = (score == score[i]) & (tail == tail[i]) & rivals
        if game.ties is TieRule.QUALITY:
            rank = int((over | (tied & (game.tie_order[0] < game.tie_order[0][i]))).sum())
            result[i] = game.prizes[0, rank]
        else:
            result[i] = game.prizes[0, over.sum() : over.sum() + tied.sum() + 1].mean()
    return result - game.cost.cost(efforts[None])[0]


# T1: no stuck entrants


@given(logit_games(free=True), st.integers(0, 2**32 - 1))
def test_t1a_nobody_holds_costly_effort(game: LeaderboardGame, seed: int) -> None:
    """T1 (a): at any profile with costly effort somebody gains (random costly profiles, continuous deviations)."""
    rng = np.random.default_rng(seed)
    free = game.free_effort()[0]
    efforts = free + rng.exponential(20.0, game.n) * (rng.random(game.n) < 0.6)
    efforts[rng.integers(game.n)] += 1.0
    if np.ptp(game.prizes) == 0:
        return
    score, tail = (x[0] for x in game.scores(efforts[None]))
    paid = game.cost.cost(efforts[None])[0]
    margins, deviations = profile_deviations(game, efforts, score, tail, paid)
    assert margins.min() < 0
    worst = deviations[int(np.argmin(margins))]
    assert worst is not None and worst.gain > 0


@given(logit_games(free=True))
def test_t1b_existence_is_decided_at_the_free_effort_profile(game: LeaderboardGame) -> None:
    """T1 (b), against a search over random profiles: if z is not an equilibrium none of them is."""
    result = solve_pure(game)
    assert result.status() in (EXISTS, ABSENT) and not result.nodes[0]
    z = game.free_effort()[0]
    rng = np.random.default_rng(0)
    best = payoffs(game, z)
    gain = 0.0
    for i in range(game.n):
        for e in np.concatenate([[0.0], np.geomspace(1e-3, 1e5, 400)]):
            tried = z.copy()
            tried[i] = z[i] + e
            gain = max(gain, float(payoffs(game, tried)[i] - best[i]))
    tol = float(result.tolerance[0])
    assert gain <= tol if result.exists[0] else True
    if gain > 1e-6:
        assert result.absent[0]
    for _ in range(5):  # any other profile below z: an equilibrium there would be one at z
        efforts = z * rng.random(game.n)
        score, tail = (x[0] for x in game.scores(efforts[None]))
        margins, _ = profile_deviations(game, efforts, score, tail, np.zeros(game.n))
        if margins.min() >= 0:
            assert result.exists[0]


@given(logit_games(n=(2, 4), free=True))
def test_t1c_all_equilibria_pay_the_same_prizes(game: LeaderboardGame) -> None:
    result = solve_pure(game, find_all=True)
    found = [payoffs(game, p.efforts) for p in result.all_profiles(0)]
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], atol=1e-12)


@given(logit_games())
def test_theorem_4_6_without_free_effort_zero_is_the_only_candidate(game: LeaderboardGame) -> None:
    """Theorem 4.6: an equilibrium exists iff no overtake pays at zero effort; then zero effort is the only one."""
    result = solve_pure(game)
    assert verified(game) is result.status()
    if result.exists[0]:
        assert not result.efforts.any() and result.unique[0] == 1
        assert result.margin[0] >= -result.tolerance[0]
    else:
        assert result.margin[0] < 0


@given(st.integers(0, 2**32 - 1), st.integers(2, 6))
def test_proposition_5_3_tuning_stabilises_where_c1_to_c3_hold(seed: int, n: int) -> None:
    """Common floors, ceilings and slopes, better intercepts: e_req = (1 + Delta) (A_i/A_j)^(1/slope) - (1 + Delta)."""
    rng = np.random.default_rng(seed)
    intercept = np.cumsum(rng.uniform(0.05, 1.0, n))[::-1] - 4.0
    slope = rng.uniform(0.3, 1.0)
    curve = logit(np.full(n, 0.1), np.full(n, 0.9), intercept, np.full(n, slope))
    prizes = np.sort(rng.uniform(0, 1, n))[::-1]
    needed = 0.0
    for i in range(n):
        for j in range(i):
            factor = np.expm1((intercept[j] - intercept[i]) / slope)
            needed = max(needed, (prizes[j] - prizes[i]) / (0.01 * factor) - 1.0)
    game = game_of(curve, prizes, start=needed * 1.001 + 0.01, scale=0.01)
    assert all(a.holds for a in check_assumptions(game, -np.arange(n, dtype=float), tuple("ABCDEF"[:n])))
    assert verified(game) is EXISTS and solve_pure(game).unique[0] == 1
    assert solve_pure(game).ranks[0].tolist() == list(range(n))  # ranked by true quality
    if needed > 0.02:
        assert verified(replace(game, head_start=np.full((1, n), 0.999 * needed - 0.01))) is ABSENT


@pytest.mark.parametrize(("delta", "expected"), [(0.99, ABSENT), (1.0, EXISTS), (1.01, EXISTS)])
def test_common_ceiling_stabilises_at_delta_one(delta: float, expected: Status) -> None:
    """intercepts log 2 apart, slope 1: e_req = 1 + Delta, prize gap 2; at equality the deviation gains nothing."""
    curve = logit([0.0, 0.0], [1.0, 1.0], [np.log(2.0), 0.0], [1.0, 1.0])
    game = game_of(curve, [2.0, 0.0], start=delta)
    assert verified(game) is expected
    assert solve_pure(game).margin[0] == pytest.approx(delta - 1.0, abs=1e-12)


# The counterexamples


def test_free_effort_breaks_theorem_4_6() -> None:
    """c = max(e - 1, 0)^2, theta = (1, .5), v = 1 - exp(-(theta + e)), prizes (.1, 0)."""
    curve = exponential([0.0, 0.0], [1.0, 1.0], [1.0, 1.0])
    game = game_of(curve, [0.1, 0.0], start=[1.0, 0.5], exponent=2.0, free=1.0)
    result = solve_pure(game, find_all=True)
    assert efforts_of(result) == {(1.0, 1.0), (1.0, 0.0)}
    assert result.unique[0] == 0 and verified(game) is EXISTS
    assert solve_pure(game).unique[0] == 0  # found without listing, too
    score, tail = (x[0] for x in game.scores(np.zeros((1, 2))))
    margins, _ = profile_deviations(game, np.zeros(2), score, tail, np.zeros(2))
    assert margins.min() == pytest.approx(-0.1)  # zero is not an equilibrium: B overtakes for nothing


@pytest.mark.parametrize("delta", [0.0, 1.0, 10.0, 1e3, 1e5, 1e8, 1e10])
def test_the_reciprocal_family_never_stabilises(delta: float) -> None:
    """v = 1 - 1/(2 + e + theta): the effort to overtake is the gap in theta at every Delta (inside the paper's family).

    At 1e8 and beyond the two scores round to the same double; only the two-float order tells them apart.
    """
    game = game_of(reciprocal([1.0, 0.0]), [2.0, 0.0], start=delta)
    result = solve_pure(game)
    assert result.status() is ABSENT
    assert result.margin[0] == pytest.approx(1.0 - 2.0, abs=1e-5)
    assert verified(game) is ABSENT


def test_leapfrogging_pays_where_adjacent_overtakes_do_not() -> None:
    """Prizes (1, .1, .05, 0): one rank up gains at most .1 at a cost of .2, three ranks up gain 1 at a cost of .6."""
    game = game_of(linear([0.6, 0.4, 0.2, 0.0], [1.0] * 4), [1.0, 0.1, 0.05, 0.0])
    result = solve_pure(game)
    deviation = result.certificate(0).deviations[0]
    assert verified(game) is ABSENT
    assert deviation.rank == 1 and deviation.prize_gain > 0.5
    adjacent = [0.2 - gap for gap in (0.05, 0.05)]
    assert min(adjacent) > 0  # no adjacent overtake below the top pays
    harmless = game_of(linear([0.6, 0.4, 0.2, 0.0], [1.0] * 4), [0.15, 0.1, 0.05, 0.0])
    assert verified(harmless) is EXISTS


def test_prior_exposure_inverts_the_ranking_at_zero_effort() -> None:
    game = game_of(linear([0.0, 0.0], [1.0, 1.0]), [0.5, 0.0], start=[0.0, 2.0])
    result = solve_pure(game)
    assert verified(game) is EXISTS and result.ranks[0].tolist() == [1, 0]
    assert result.margin[0] == pytest.approx(2.0 - 0.5) and result.unique[0] == 1


def test_a_legacy_entrant_makes_a_rival_hold_effort() -> None:
    game = game_of(linear([0.0, 0.5], [1.0, 1.0]), [1.0, 0.0], cap=[np.inf, 0.0])
    result = solve_pure(game, find_all=True)
    assert efforts_of(result) == {(0.5, 0.0)} and result.unique[0] == 1 and verified(game) is EXISTS
    assert solve_pure(game).unique[0] == 1  # a single game is searched to the end
    loser = replace(game, tie_order=np.array([[1, 0]]))  # now the legacy entrant wins the tie: no least effort wins
    assert verified(loser) is ABSENT


def test_an_entry_fee_stabilises_and_makes_rivals_hold_effort() -> None:
    fee = game_of(linear([0.0, 0.1], [1.0, 1.0]), [0.3, 0.0], fee=0.25)
    assert verified(fee) is EXISTS and solve_pure(fee).ranks[0].tolist() == [1, 0]  # .25 + .1 is more than .3
    assert verified(replace(fee, cost=replace(fee.cost, entry_fee=np.full(2, 0.0)))) is ABSENT
    dear = game_of(linear([0.1, 0.0], [1.0, 1.0]), [0.3, 0.0], fee=0.25)
    assert verified(dear) is EXISTS and solve_pure(dear).margin[0] == pytest.approx(0.35 - 0.3)
    only_rival = game_of(linear([0.0, 0.1], [1.0, 1.0]), [0.3, 0.0], fee=[0.0, 0.35])
    result = solve_pure(only_rival)
    assert efforts_of(result) == {(0.1, 0.0)} and verified(only_rival) is EXISTS


def test_free_effort_behind_a_fee_is_a_plateau() -> None:
    """c = fee on (0, free]: the effort that is held is the plateau's end."""
    game = game_of(linear([0.0, 0.5], [1.0, 1.0]), [1.0, 0.0], fee=[0.2, 0.0], free=[2.0, 0.0], scale=1.0)
    result = solve_pure(game)
    assert efforts_of(result) == {(2.0, 0.0)} and result.unique[0] == 0 and verified(game) is EXISTS


@pytest.mark.parametrize(("prize", "status"), [(4.0, EXISTS), (1.5, ABSENT)])
def test_capped_rivals_with_split_ties_meet_at_the_cap(prize: float, status: Status) -> None:
    """Che & Gale (1998): with cap m both spend m where the prize V > 2 m; with V < 2 m there is no pure equilibrium."""
    game = game_of(linear([0.0, 0.0], [1.0, 1.0]), [prize, 0.0], cap=1.0, ties=TieRule.SPLIT)
    result = solve_pure(game, find_all=True)
    assert verified(game) is status
    if status is EXISTS:
        assert efforts_of(result) == {(1.0, 1.0)} and result.unique[0] == 1
        assert result.margin[0] == pytest.approx(prize / 2 - 1.0)


def test_flat_stretches_hold_split_rivals() -> None:
    table = tabulate([([0, 1, 3], [0.0, 0.5, 0.5]), ([0, 1, 3], [0.0, 0.5, 0.5])])
    game = game_of(table, [4.0, 0.0], ties=TieRule.SPLIT)
    assert efforts_of(solve_pure(game, find_all=True)) == {(1.0, 1.0)} and verified(game) is EXISTS


def test_bands_leave_only_their_edges_to_cross() -> None:
    close = linear([0.3, 0.2, 0.1], [1.0] * 3)
    assert verified(game_of(close, [1.0, 0.5, 0.0])) is ABSENT
    banded = game_of(close, [0.5, 0.5, 0.5])
    assert verified(banded) is EXISTS and solve_pure(banded).margin[0] == np.inf


# Numerical honesty


def test_a_head_start_beyond_double_precision_is_unknown() -> None:
    """At 1e17 steps one step more is lost in rounding: nobody can say what overtaking takes."""
    curve = logit([0.0, 0.0], [1.0, 1.0], [1e-17, 0.0], [1.0, 1.0])
    game = game_of(curve, [2.0, 0.0], start=1e17)
    result = solve_pure(game)
    assert result.status() is UNKNOWN and "double precision" in result.certificate(0).notes[0]
    saturated = game_of(exponential([0.0, 0.0], [1.0, 1.0], [1.0, 1.0]), [2.0, 0.0], start=[1001.0, 1000.0])
    result = solve_pure(saturated)  # exp(-1000) underflows; e_req is 1 in truth, and a tie would say "exists"
    assert result.status() is UNKNOWN and "ceiling" in result.certificate(0).notes[0]


def test_the_node_budget_gives_unknown_not_a_guess() -> None:
    game = game_of(linear([0.0, 0.5, 0.2], [1.0] * 3), [1.0, 0.5, 0.0], cap=[np.inf, 0.0, np.inf])
    starved = solve_pure(game, node_budget=1)
    assert starved.status() is UNKNOWN and "budget" in starved.certificate(0).notes[0]
    assert solve_pure(game).status() is not UNKNOWN


@given(logit_games(free=True, fee=True))
def test_compiled_and_general_paths_agree(game: LeaderboardGame) -> None:
    fast, general = solve_pure(game), solve_pure(game, compiled=False)
    np.testing.assert_allclose(fast.developer_margin, general.developer_margin, rtol=1e-9, atol=1e-12)
    assert fast.status() is general.status()
    np.testing.assert_array_equal(fast.ranks, general.ranks)


def test_a_batch_is_its_games() -> None:
    rng = np.random.default_rng(5)
    shape = (3_000, 5)
    lower = rng.uniform(0, 0.4, shape)
    curve = GeneralizedLogit(lower, lower + rng.uniform(0.1, 0.5, shape), rng.normal(-2, 1, shape), np.ones(shape))
    one = game_of(curve, [1.0, 0.5, 0.3, 0.2, 0.0], scale=0.05)
    many = replace(
        one,
        head_start=np.full(shape, 3.0),
        effort_cap=np.where(rng.random(shape) < 0.05, 0.0, np.inf),
        prizes=np.broadcast_to(one.prizes, shape),
        tie_order=np.broadcast_to(one.tie_order, shape),
    )
    result = solve_pure(many)
    assert {*result.codes.tolist()} == {0, 1} and result.nodes.any()
    for b in (0, 1, 777, 2_049, 2_999, *np.flatnonzero(result.nodes)[:5]):
        single = solve_pure(select(many, [int(b)]))
        assert single.codes[0] == result.codes[b] and single.margin[0] == result.margin[b]


@given(logit_games(n=(2, 5), free=True, fee=True))
def test_every_answer_has_a_certificate_that_the_checker_accepts(game: LeaderboardGame) -> None:
    assert verified(game) in (EXISTS, ABSENT)


@given(logit_games(n=(2, 5), fee=True))
def test_searching_the_lattice_agrees_with_t1(game: LeaderboardGame) -> None:
    """Where T1 applies, T2's lattice is the single profile z and says the same."""
    if may_hold_effort(game)[0]:
        return
    lattice = build_lattice(game)
    outcome = search(lattice, tol=1e-9, node_budget=1_000)
    assert bool(outcome.profiles) == bool(solve_pure(game).exists[0])


def test_margins_need_a_prize_to_gain() -> None:
    game = game_of(linear([1.0, 0.0], [1.0, 1.0]), [0.0, 0.0])
    result = solve_pure(game)
    assert result.exists[0] and result.margin[0] == np.inf and verified(game) is EXISTS


@pytest.mark.parametrize(
    ("name", "game", "quality"),
    [
        ("C1", game_of(logit([0.1, 0.2], [0.9, 0.5], -3.0, 1.0), [1.0, 0.0], scale=0.01), row(1.0, 0.5)),
        ("C2", game_of(logit([0.1, 0.1], [0.9, 0.5], [-3.0, -8.0], [1.0, 3.0]), [1.0, 0.0], scale=0.01), row(1.0, 0.5)),
        ("C2", game_of(tabulate([([0, 5], [0.1, 0.9]), ([0, 5], [0.0, 0.2])]), [1.0, 0.0], scale=0.01), row(1.0, 0.5)),
        ("C3", game_of(logit([0.2, 0.1], [0.8, 0.9], [-4, -24], [1.0, 4.0]), [1.0, 0.0], scale=1e-3), row(1.0, 0.5)),
        ("strict cost", game_of(linear([1.0, 0.0], [1.0, 1.0]), [1.0, 0.0], free=[0.0, 1.0]), row(1.0, 0.5)),
    ],
)
def test_failed_assumptions_come_with_a_witness(name: str, game: LeaderboardGame, quality: np.ndarray) -> None:
    found = {a.name: a for a in check_assumptions(game, quality, ("A", "B"))}
    assert not found[name].holds and ("A" in found[name].witness or "B" in found[name].witness)


def test_the_least_rise_above_zero_effort_pays_the_entry_fee() -> None:
    """B stands 6e-27 above A, whose inverse rounds to zero effort: reaching B still costs A the fee."""
    curve = tabulate([([0, 1], [0.0, 0.9]), ([0, 1], [6e-27, 0.9])])
    game = game_of(curve, [0.5, 0.0], fee=[0.6, 0.0], scale=0.01, cap=[np.inf, 0.0])
    assert verified(game) is EXISTS and solve_pure(game).margin[0] >= 0.1 - 1e-9
    steep = game_of(exponential([0.0, 6e-27], [0.9, 6e-27], [0.1, 1.0]), [0.5, 0.0], fee=[0.6, 0.0], scale=0.01)
    assert verified(steep) is EXISTS and solve_pure(steep).margin[0] == pytest.approx(0.1)
