"""Rounded and other finite games against exhaustive enumeration and Gambit."""

from __future__ import annotations

import io
import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from designer.protocol import Protocol
from followers.measurement import Audit, grid_level, grid_score
from followers.prior import synthetic
from solvers.certificate import Status
from solvers.checker import check
from solvers.finite import actions, as_nfg, profile_payoffs, tensor
from solvers.levels import LevelGame
from solvers.race import run_race
from solvers.rounded import RoundedEquilibria, pure_equilibria, solve_rounded


def small_game(seed: int) -> LevelGame:
    """Payoffs are multiples of 1/240 apart from flags, so that ties between payoffs are exact or far from it."""
    rng = np.random.default_rng(seed)
    n, levels = int(rng.integers(2, 5)), int(rng.integers(2, 6))
    is_open = rng.random((levels, n)) < 0.8
    is_open[0] = True
    return LevelGame(
        spread=np.zeros(levels, dtype=bool),
        share=np.full(levels, 0.5),
        open=is_open,
        cost=np.sort(rng.integers(0, 8, (levels, n)) / 8.0, axis=0) * rng.choice([0.25, 1.0]),
        flagged=np.sort(rng.integers(0, 5, (levels, n)) / 4.0, axis=0) * rng.choice([0.0, 1.0]),
        prizes=np.sort(rng.integers(0, 9, n) / 8.0)[::-1].copy(),
        penalty=rng.integers(0, 5, n) / 4.0,
        split=bool(rng.integers(2)),
        order=rng.permutation(n),
    )


def payoff_by_hand(game: LevelGame, profile: tuple[int, ...], i: int) -> float:
    """The rules read out: sort the board, share the prizes of tied entries or order them."""
    mine = profile[i]
    above = [j for j in range(game.n) if profile[j] > mine]
    tied = [j for j in range(game.n) if profile[j] == mine]
    if game.split:
        ranks = range(len(above), len(above) + len(tied))
    else:
        place = len(above) + sum(game.order[j] < game.order[i] for j in tied)
        ranks = range(place, place + 1)
    rewards = [game.prizes[r] - game.flagged[mine, i] * game.penalty[r] for r in ranks]
    return float(sum(rewards) / len(rewards) - game.cost[mine, i])


def equilibria_by_hand(game: LevelGame) -> list[tuple[int, ...]]:
    found = []
    for profile in itertools.product(*(a.tolist() for a in actions(game))):
        for i in range(game.n):
            held = payoff_by_hand(game, profile, i)
            tried = [payoff_by_hand(game, (*profile[:i], k, *profile[i + 1 :]), i) for k in actions(game)[i].tolist()]
            if max(tried) > held + 1e-12:
                break
        else:
            found.append(profile)
    return found


@pytest.mark.parametrize("block", range(10))
def test_all_pure_equilibria_one_by_one(block: int) -> None:
    gambit = pytest.importorskip("pygambit", reason="pygambit is not installed")
    total = 0
    for seed in range(25 * block, 25 * (block + 1)):
        game = small_game(seed)
        found, _, _, done = pure_equilibria(game)
        assert done and sorted(found) == sorted(equilibria_by_hand(game)), seed
        parsed = gambit.read_nfg(io.StringIO(as_nfg(game, [f"d{i}" for i in range(game.n)], 'a "game"')))
        theirs = set()
        for profile in gambit.nash.enumpure_solve(parsed).equilibria:
            chosen = []
            for player, levels in zip(parsed.players, actions(game), strict=True):
                chosen.append(next(int(k) for s, k in zip(player.strategies, levels, strict=True) if profile[s] == 1))
            theirs.add(tuple(chosen))
        assert theirs == set(found), seed
        total += len(found)
    assert total > 5


def test_gambit_reads_the_payoffs_that_were_written() -> None:
    gambit = pytest.importorskip("pygambit", reason="pygambit is not installed")
    game = small_game(7)
    parsed = gambit.read_nfg(io.StringIO(as_nfg(game, [f'"{i}"' for i in range(game.n)], "t")))
    payoffs = tensor(game)
    assert [len(p.strategies) for p in parsed.players] == list(payoffs.shape[:-1])
    for place in itertools.product(*(range(m) for m in payoffs.shape[:-1])):
        read = [float(parsed[place][p]) for p in parsed.players]
        assert read == payoffs[place].tolist()


def test_a_game_too_large_to_list_is_refused() -> None:
    game = small_game(0)
    wide = replace(
        game,
        **{k: np.repeat(getattr(game, k), 200, axis=0) for k in ("spread", "share", "open", "cost", "flagged")},
    )
    wide = replace(wide, open=np.ones_like(wide.open))
    if wide.n < 3:
        pytest.fail("the draw must have three developers")
    with pytest.raises(ValueError, match="at most 20,000,000"):
        tensor(wide)


@given(st.integers(0, 10_000))
def test_payoffs_are_the_rules_read_out(seed: int) -> None:
    game = small_game(seed)
    rng = np.random.default_rng(seed)
    profile = tuple(int(rng.choice(a)) for a in actions(game))
    expected = [payoff_by_hand(game, profile, i) for i in range(game.n)]
    np.testing.assert_allclose(profile_payoffs(game, np.array(profile)), expected, atol=1e-14)


@given(st.integers(0, 10_000))
def test_race_sinks_hold_every_strict_equilibrium_and_shares_are_stationary(seed: int) -> None:
    game = small_game(seed)
    race = run_race(game)
    assert race.complete
    single = {s.profiles[0] for s in race.sinks if len(s.profiles) == 1}
    assert single <= set(equilibria_by_hand(game))
    # a profile nobody leaves is an equilibrium, and one at which everybody stays by choice is such a profile
    assert set(equilibria_by_hand(game)) == single
    for sink in race.sinks:
        assert sink.share.min() >= 0 and sink.share.sum() == pytest.approx(1.0)
        assert sink.mean_rank.sum() == pytest.approx(game.n * (game.n + 1) / 2)


def test_race_of_two_rivals_by_hand() -> None:
    """Matching pennies in scores: one wants to tie, the other to be ahead; each profile has a quarter of the time."""
    game = LevelGame(
        spread=np.zeros(2, dtype=bool),
        share=np.full(2, 0.5),
        open=np.ones((2, 2), dtype=bool),
        cost=np.array([[0.0, 0.0], [0.5, 0.5]]),
        flagged=np.zeros((2, 2)),
        prizes=np.array([1.0, 0.0]),
        penalty=np.zeros(2),
        split=False,
        order=np.array([0, 1]),
    )
    (sink,) = run_race(game).sinks
    assert len(sink.profiles) == 4 and sink.share.tolist() == pytest.approx([0.25] * 4)
    assert sink.mean_rank.tolist() == pytest.approx([1.25, 1.75])
    assert not run_race(game, budget=2).complete and run_race(game, budget=2).sinks == ()


@given(st.floats(1e-4, 0.5), st.floats(0, 1), st.integers(1, 50))
def test_grid_levels_round_down_and_never_up(eta: float, score: float, parts: int) -> None:
    for step in (eta, 1.0 / parts):
        level = grid_level(np.array([score]), np.zeros(1), step)[0]
        assert grid_score(level, step) <= score < grid_score(level + 1, step)
        at = grid_score(np.arange(5), step)
        assert grid_level(at, np.zeros(5), step).tolist() == [0, 1, 2, 3, 4]  # a grid point is its own level
    assert grid_level(np.array([0.3]), np.zeros(1), 0.1)[0] == 3  # although 3 * 0.1 > 0.3 in doubles
    assert grid_level(np.array([0.3]), np.array([-1e-20]), 0.1)[0] == 2


def rounded(seed: int, n: int, eta: float, *, audited: bool) -> RoundedEquilibria:
    game = replace(Protocol(tune_steps=5_000.0).induce(synthetic(n, 1, np.random.default_rng(seed))), precision=eta)
    if audited:
        game = replace(game, audit=Audit(np.full((1, n), 0.3), 200, 0.05, 0.5))
    return solve_rounded(game)


@pytest.mark.parametrize("audited", [False, True])
@pytest.mark.parametrize(("n", "eta"), [(2, 0.02), (3, 0.02), (4, 0.05), (10, 0.03)])
def test_leaderboards_on_a_grid_are_certified(n: int, eta: float, audited: bool) -> None:
    for seed in range(4):
        found = rounded(seed, n, eta, audited=audited)
        report = check(found.game, found.certificate())
        assert found.status is not Status.UNKNOWN and report.passed, report.summary()
        score, tail = found.game.scores(found.ladder.effort[:, None, :])
        level = grid_level(score[:, 0], tail[:, 0], eta)
        published = grid_level(found.ladder.score, 0.0, eta)
        where = found.ladder.level.open
        assert np.array_equal(level[where], np.broadcast_to(published[:, None], level.shape)[where])


def test_a_false_proof_is_found_out() -> None:
    found = next(f for s in range(20) if (f := rounded(s, 4, 0.02, audited=False)).status is Status.ABSENT)
    true = found.certificate()
    assert check(found.game, true).passed
    strikes = [k for k, step in enumerate(true.steps) if step[1] >= 0]
    for k in strikes[:10]:
        without = replace(true, steps=true.steps[:k] + true.steps[k + 1 :])
        i, a, b = true.steps[k]
        turned = replace(true, steps=(*true.steps[:k], (i, b, a), *true.steps[k + 1 :]))
        assert not check(found.game, turned).passed
        assert not check(found.game, replace(without, steps=without.steps[:-1])).passed
    profile = tuple(int(a[0].level) for a in true.actions)
    assert not check(found.game, replace(true, status=Status.EXISTS, profiles=(profile,))).passed
    assert not check(found.game, replace(true, actions=(true.actions[0][:-1], *true.actions[1:]))).passed


def test_absence_without_a_proof_is_found_out() -> None:
    """A certificate may choose neither what counts as a gain nor that no proof is needed."""
    tried = {Status.EXISTS: 0, Status.ABSENT: 0}
    for seed in range(24):
        for n, eta in ((2, 0.05), (3, 0.02), (4, 0.02)):
            found = rounded(seed, n, eta, audited=False)
            true = found.certificate()
            tried[found.status] += 1
            false = replace(true, status=Status.ABSENT, profiles=(), steps=())
            for complete in (False, True):
                assert not check(found.game, replace(false, complete=complete)).passed
                assert not check(found.game, replace(false, complete=complete, tolerance=-10.0)).passed
                assert not check(found.game, replace(false, complete=complete, steps=((-1, -1, -1),))).passed
                assert not check(found.game, replace(false, complete=complete, steps=((0, 0, 99),))).passed
            if found.status is Status.EXISTS:
                struck = tuple(s for s in true.steps if s[0] != -2)
                assert not check(found.game, replace(false, complete=True, steps=struck)).passed
            else:
                profile = tuple(a[0].level for a in true.actions)
                exists = replace(true, status=Status.EXISTS, profiles=(profile,), steps=(), complete=False)
                assert not check(found.game, replace(exists, tolerance=10.0)).passed
    assert min(tried.values()) > 3


def test_beyond_the_budget_nothing_is_claimed() -> None:
    for seed in range(30):
        game = small_game(seed)
        found, _, nodes, done = pure_equilibria(game, node_budget=1)
        assert nodes <= 1 and set(found) <= set(equilibria_by_hand(game))
        if done:
            assert sorted(found) == sorted(equilibria_by_hand(game))
