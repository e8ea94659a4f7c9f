"""Audits: the exact test, honest equilibria, and what can be said where honesty fails."""

from __future__ import annotations

from dataclasses import replace
from math import comb

import numpy as np
import pytest
from builders import game_of, linear
from hypothesis import given, settings
from hypothesis import strategies as st

from designer.audits import AuditPlan
from designer.protocol import Protocol
from followers.game import LeaderboardGame, TieRule, select
from followers.measurement import Audit
from followers.prior import synthetic
from solvers.audited import rewards_fall_with_rank, solve_audited
from solvers.certificate import Status
from solvers.checker import check
from solvers.inner import solve_inner
from solvers.pure import solve_pure
from solvers.rounded import solve_rounded


def tail(items: int, p: float, k: int) -> float:
    return sum(comb(items, x) * p**x * (1 - p) ** (items - x) for x in range(k + 1))


@given(st.integers(1, 60), st.floats(0.01, 0.99), st.floats(0.01, 0.99), st.sampled_from([0.01, 0.05, 0.2]))
def test_the_test_is_exact(items: int, claimed: float, fresh: float, level: float) -> None:
    audit = Audit(np.ones((1, 2)), items, level, 0.0)
    k = int(audit.critical(claimed))
    assert (k < 0 or tail(items, claimed, k) <= level * (1 + 1e-9)) and tail(items, claimed, k + 1) > level * (1 - 1e-9)
    power = tail(items, fresh, k) if k >= 0 else 0.0
    assert float(audit.flagged(claimed, fresh)) == pytest.approx(power, abs=1e-12)
    assert float(audit.flagged(claimed, claimed)) <= level * (1 + 1e-9)  # false positives


@given(st.integers(1, 40), st.sampled_from([0.01, 0.05, 0.2]))
def test_suspicion_jumps_at_the_exact_confidence_bounds(items: int, level: float) -> None:
    audit = Audit(np.ones((1, 2)), items, level, 0.0)
    steps = audit.claim_steps()
    assert np.all(np.diff(steps) > 0)
    for k, step in enumerate(steps):
        if 1e-6 < step < 1 - 1e-6:
            assert int(audit.critical(step * (1 + 1e-7))) >= k > int(audit.critical(step * (1 - 1e-7)))


def audited(game: LeaderboardGame, probability: float, *, items: int = 300, fine: float = 1.0) -> LeaderboardGame:
    return replace(game, audit=Audit(np.full(game.prizes.shape, probability), items, 0.05, fine))


def test_without_audits_it_is_the_plain_game() -> None:
    game = Protocol().induce(synthetic(5, 60, np.random.default_rng(0)))
    plain, found = solve_pure(game), solve_audited(audited(game, 0.0))
    assert np.array_equal(plain.codes, found.codes)
    finite = np.isfinite(plain.margin)
    np.testing.assert_allclose(plain.margin[finite], found.margin[finite], atol=1e-9)


def test_two_developers_by_hand() -> None:
    """B starts 0.1 behind and passes A at a cost of 0.2; its gain is 0.8 less p (D (V + F) - D_0 F)."""
    game = game_of(linear([0.6, 0.5], [1.0, 1.0]), [1.0, 0.0], scale=2.0, cap=0.4)
    gain = 1.0 - 0.2
    for probability in (0.2, 0.5, 0.9, 1.0):
        for items in (30, 100, 400):
            rules = audited(game, probability, items=items, fine=0.5)
            audit = rules.audit
            assert audit is not None
            power, innocent = float(audit.flagged(0.6, 0.5)), float(audit.flagged(0.5, 0.5))
            tempted = gain - probability * power * 1.5 > -probability * innocent * 0.5
            found = solve_audited(rules)
            assert (found.status() is Status.ABSENT) == tempted
            report = check(rules, found.certificate())
            assert report.passed, report.summary()
            lost = gain - probability * power * 1.5 + probability * innocent * 0.5
            # what does not even win a reward tempts nobody, whatever it costs
            assert found.margin[0] == (pytest.approx(-lost, abs=1e-9) if lost > -0.2 else np.inf)


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.floats(0.0, 1.0), st.floats(0.0, 3.0), st.sampled_from(list(TieRule)))
def test_certificates_hold(seed: int, probability: float, fine: float, ties: TieRule) -> None:
    game = replace(Protocol(tune_steps=1_000.0).induce(synthetic(4, 1, np.random.default_rng(seed))), ties=ties)
    rules = audited(game, probability, items=100, fine=fine)
    found = solve_audited(rules)
    report = check(rules, found.certificate())
    assert report.passed, report.summary()


@pytest.mark.parametrize("seed", range(6))
def test_where_honesty_fails_a_fine_grid_has_no_equilibrium_nearby(seed: int) -> None:
    """Oracle: the same game with scores on a grid is enumerated; T1 says that only honest play could survive."""
    game = audited(Protocol().induce(synthetic(3, 1, np.random.default_rng(seed))), 0.3, items=100, fine=0.2)
    found = solve_audited(game)
    if found.status() is not Status.ABSENT:
        assert found.status() is Status.EXISTS
        return
    assert rewards_fall_with_rank(game)[0]
    grid = solve_rounded(replace(game, precision=1e-3))
    assert grid.complete
    for k in range(len(grid.profiles)):  # what the grid keeps is not honest play, and exact scores break it
        assert grid.efforts(k).max() >= 0
        assert not np.allclose(grid.efforts(k), 0) or found.margin[0] > -1e-2


def test_more_audits_make_more_boards_honest() -> None:
    game = Protocol(tune_steps=2_000.0).induce(synthetic(6, 200, np.random.default_rng(1)))
    shares = [solve_inner(audited(game, p, items=500, fine=3.0)).exists.mean() for p in (0.0, 0.3, 1.0)]
    assert shares[0] <= shares[1] <= shares[2] and shares[2] > shares[0]


def test_a_false_certificate_is_found_out() -> None:
    game = Protocol(tune_steps=2_000.0).induce(synthetic(6, 200, np.random.default_rng(1)))
    rules = audited(game, 1.0, items=500, fine=3.0)
    found = solve_audited(rules)
    b = int(np.flatnonzero(found.exists)[0])
    one, true = select(rules, [b]), found.certificate(b)
    assert check(one, true).passed
    assert not check(replace(one, audit=None), true).passed  # the same profile without audits
    assert not check(one, replace(true, margin=0.123)).passed


def test_impossible_plans_are_refused_by_name() -> None:
    for message, plan in {
        r"audit.probability\[1\] = 1.5": {"probability": (0.5, 1.5), "items": 10},
        "audit.items = 0; an audit needs": {"probability": (0.5,)},
        "audit.level = 0": {"probability": (0.5,), "items": 10, "level": 0.0},
        "audit.fine = -1": {"probability": (0.5,), "items": 10, "fine": -1.0},
    }.items():
        with pytest.raises(ValueError, match=message):
            AuditPlan(**plan)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="3 ranks for 2 developers"):
        AuditPlan((0.1, 0.1, 0.1), 10).announced(1, 2)
    assert AuditPlan().announced(1, 2) is None
