"""The checker must reject what is wrong: certificates are tampered with in every part."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from builders import game_of, linear, logit
from oracle import draw

from followers.game import LeaderboardGame, TieRule, select
from followers.measurement import Noise
from solvers.certificate import Certificate, Status
from solvers.checker import check
from solvers.inner import solve_inner
from solvers.mixed import solve_mixed
from solvers.pure import solve_pure


def certified(game: LeaderboardGame) -> Certificate:
    certificate = solve_pure(game).certificate(0)
    assert check(game, certificate).passed
    return certificate


def failed(game: LeaderboardGame, certificate: Certificate) -> list[str]:
    return [c.name for c in check(game, certificate).checks if not c.passed]


STABLE = game_of(linear([0.5, 0.0], [1.0, 1.0]), [0.3, 0.0])
RACE = game_of(linear([0.1, 0.0], [1.0, 1.0]), [0.3, 0.0])


def test_a_false_equilibrium_is_rejected() -> None:
    certificate = certified(RACE)
    claim = replace(certificate, status=Status.EXISTS, margin=0.2, cycle=())
    assert "no continuous deviation gains" in failed(RACE, claim)
    assert any("grid" in name for name in failed(RACE, claim))


def test_a_false_absence_is_rejected() -> None:
    claim = replace(certified(STABLE), status=Status.ABSENT)
    assert "the stated deviation pays" in failed(STABLE, claim)


@pytest.mark.parametrize(
    ("change", "check_name"),
    [
        ({"margin": 0.3}, "margin"),
        ({"scores": (0.5, 0.2)}, "scores as stated"),
        ({"efforts": (0.0, -1.0)}, "efforts within caps"),
        ({"efforts": (0.0,), "scores": (0.5,), "tails": (0.0,)}, "efforts within caps"),
    ],
)
def test_every_part_of_an_existence_certificate_is_checked(change: dict[str, object], check_name: str) -> None:
    claim = replace(certified(STABLE), **change)  # type: ignore[arg-type]
    assert check_name in failed(STABLE, claim)


def test_efforts_beyond_a_cap_are_rejected() -> None:
    capped = game_of(linear([0.5, 0.0], [1.0, 1.0]), [0.3, 0.0], cap=0.1)
    claim = replace(certified(capped), efforts=(0.2, 0.0), scores=(0.7, 0.0))
    assert "efforts within caps" in failed(capped, claim)


def test_t1_is_not_accepted_where_somebody_is_stuck() -> None:
    stuck = game_of(linear([0.0, 0.5], [1.0, 1.0]), [1.0, 0.0], cap=[np.inf, 0.0])
    honest = solve_pure(stuck)
    assert honest.exists[0]
    unstuck = game_of(linear([0.0, 0.5], [1.0, 1.0]), [1.0, 0.0])
    claim = certified(unstuck)  # ABSENT by T1: right there, wrong here
    assert "nobody is stuck (T1)" in failed(stuck, claim)


def test_a_cycle_must_gain_at_every_move_and_return() -> None:
    certificate = certified(RACE)
    assert len(certificate.cycle) >= 2
    broken = replace(certificate, cycle=certificate.cycle[:-1])
    assert "the cycle's moves pay" in failed(RACE, broken)
    lazy = replace(certificate.cycle[0], effort_to=certificate.cycle[0].effort_from)
    assert "the cycle's moves pay" in failed(RACE, replace(certificate, cycle=(lazy, *certificate.cycle[1:])))


def test_a_refutation_tree_must_be_complete() -> None:
    found = 0
    for ties in TieRule:
        for seed in range(120):
            game = draw(seed, ties).game()
            result = solve_pure(game)
            if not result.absent[0] or 0 not in result.refutations or len(result.refutations[0].tree) < 4:
                continue
            certificate = certified(game)
            proof = certificate.refutations
            assert proof is not None
            shorter = replace(proof, tree=proof.tree[:-1])
            assert "every branch is refuted (T2)" in failed(game, replace(certificate, refutations=shorter))
            fewer = max(range(game.n), key=lambda i: len(proof.candidates[i]))
            dropped = tuple(c[1:] if i == fewer else c for i, c in enumerate(proof.candidates))
            assert failed(game, replace(certificate, refutations=replace(proof, candidates=dropped)))
            found += 1
            if found % 5 == 0:
                break
    assert found >= 10


def test_the_checker_finds_its_own_thresholds_where_doubles_tie() -> None:
    """Scores equal as doubles, apart in the tail: the checker must see the difference too."""
    game = game_of(logit([0.0, 0.0], [1.0, 1.0], [2.0, 1.0], [1.0, 1.0]), [1e12, 0.0], start=1e9, scale=1.0)
    score = game.scores(np.zeros((1, 2)))[0][0]
    assert certified(game).status is Status.ABSENT
    deep = game_of(logit([0.0, 0.0], [1.0, 1.0], [60.0, 59.0], [1.0, 1.0]), [2.0, 0.0], start=0.0)
    score = deep.scores(np.zeros((1, 2)))[0][0]
    assert score[0] == score[1]
    assert certified(deep).status is Status.ABSENT  # e_req = e - 1 = 1.72 < 2
    assert certified(replace(deep, head_start=np.full((1, 2), 1.0))).status is Status.EXISTS  # 2 (e - 1) = 3.44


@pytest.mark.parametrize("tolerance", [-10.0, -1e-12, 0.0])
def test_a_certificate_may_not_call_rounding_a_gain(tolerance: float) -> None:
    claim = replace(certified(RACE), tolerance=tolerance)
    assert failed(RACE, claim) == ["tolerance"]
    assert "tolerance" in failed(STABLE, replace(certified(STABLE), status=Status.ABSENT, tolerance=tolerance))


def test_a_certificate_is_about_one_kind_of_game() -> None:
    """The exact check knows nothing of noise, grids or batches, and the others nothing of exact scores."""
    for other in (replace(STABLE, noise=Noise(sigma=0.1)), replace(STABLE, precision=0.05)):
        assert failed(other, certified(STABLE)) == ["kind of game"]
        theirs = solve_inner(other).certify(0)
        assert check(other, theirs).passed and failed(STABLE, theirs) == ["kind of game"]
    mixed = solve_mixed(RACE).certificate()
    assert check(RACE, mixed).passed and failed(replace(RACE, noise=Noise(sigma=0.1)), mixed) == ["kind of game"]
    assert failed(select(RACE, [0, 0]), certified(RACE)) == ["kind of game"]
