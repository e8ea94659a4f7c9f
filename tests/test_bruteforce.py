"""1,000 random small games against an exhaustive grid check: no wrong EXISTS, no wrong ABSENT."""

from __future__ import annotations

import pytest
from oracle import Exhaustive, draw

from followers.game import TieRule
from solvers.certificate import Status
from solvers.checker import check
from solvers.pure import solve_pure

BLOCK, BLOCKS = 25, 20  # 20 blocks of 25 games for each of the two tie rules: 1,000 games


@pytest.mark.parametrize("ties", list(TieRule))
@pytest.mark.parametrize("block", range(BLOCKS))
def test_solver_agrees_with_exhaustive_search(block: int, ties: TieRule) -> None:
    for seed in range(block * BLOCK, (block + 1) * BLOCK):
        small = draw(seed, ties)
        game = small.game()
        result, exhaustive = solve_pure(game), Exhaustive(small)
        found = exhaustive.equilibria()
        assert result.status() is (Status.EXISTS if found else Status.ABSENT), f"seed {seed}, {ties}: {found[:3]}"
        if result.exists[0]:
            gain = exhaustive.largest_gain_at(result.efforts[0], result.scores()[0][0])
            assert gain <= 1e-6, f"seed {seed}, {ties}: somebody gains {gain}"
        if seed % 5 == 0:  # the checker is slower than the solver
            report = check(game, result.certificate(0))
            assert report.passed, f"seed {seed}, {ties}: {report.summary()}"


def test_the_draws_cover_every_case() -> None:
    """The oracle is only worth what it meets: both answers, under both rules, by T1 and by T2."""
    met = set()
    for ties in TieRule:
        for seed in range(150):
            result = solve_pure(draw(seed, ties).game())
            met.add((ties, result.status(), bool(result.nodes[0])))
    assert {(t, s, True) for t in TieRule for s in (Status.EXISTS, Status.ABSENT)} <= met
    assert {(t, Status.EXISTS, False) for t in TieRule} <= met


@pytest.mark.parametrize("ties", list(TieRule))
def test_all_lists_what_the_grid_finds_up_to_prizes(ties: TieRule) -> None:
    """`find_all` lists an equilibrium for every prize allocation that the exhaustive search finds."""
    for seed in range(60):
        small = draw(seed, ties, n=2)
        exhaustive = Exhaustive(small)
        result = solve_pure(small.game(), find_all=True)

        def allocation(efforts: tuple[float, ...], exhaustive: Exhaustive = exhaustive) -> tuple[float, ...]:
            import numpy as np

            scores = np.array([exhaustive.score(i, np.array(e)) for i, e in enumerate(efforts)])
            return tuple(round(float(exhaustive.prize(i, scores[i], scores)), 9) for i in range(exhaustive.n))

        wanted = {allocation(e) for e in exhaustive.equilibria()}
        listed = {allocation(tuple(p.efforts.tolist())) for p in result.all_profiles(0)}
        assert wanted == listed, f"seed {seed}"
