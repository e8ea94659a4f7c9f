"""`truerank paper`: every statement with its certificate, every figure against another way to get it."""

from __future__ import annotations

import csv
import itertools
import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from followers.curves import GeneralizedLogit
from followers.errors import InputError
from followers.population import Population
from solvers.certificate import Status
from studies.cli import main
from studies.paper import Paper, derive, summary, write
from studies.paper.catch_up import PUBLISHED_END, catch_up, chain
from studies.paper.data import agreement, bundled, neighbours, top_k
from studies.paper.witness import developers, profile_witness

DATA = Path(__file__).parents[2] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.exists(), reason="the measured trajectories are not beside this checkout")


@pytest.fixture(scope="module")
def paper() -> Paper:
    return derive(draws=8)


def logit(lower: object, upper: object, intercept: object, slope: object) -> GeneralizedLogit:
    return GeneralizedLogit(*(np.asarray(x, dtype=float) for x in (lower, upper, intercept, slope)))


def test_every_statement_is_certified(paper: Paper) -> None:
    verdicts = {c.name: c.holds_as_stated for c in paper.claims}
    assert verdicts == {
        "Proposition 4.3": False,
        "Theorem 4.6": False,
        "Proposition 5.3": True,
        "Proposition 5.6": False,
    }
    assert all(c.proven and c.witnesses for c in paper.claims)
    witnesses = paper.witnesses()
    assert len(witnesses) > 300 and all(w.holds for w in witnesses)
    assert {w.status for w in witnesses} == {Status.EXISTS, Status.ABSENT}
    assert not replace(witnesses[0], verified=False).holds


def test_a_profile_that_is_no_equilibrium_is_not_witnessed() -> None:
    from designer.prizes import Prizes
    from designer.protocol import Protocol

    people = developers(logit([0, 0], [1, 1], [0, -1], [1, 1]), quality=(1.0, 0.5), scale=0.01)
    game = Protocol(prizes=Prizes(values=(1.0, 0.0))).induce(people)
    assert not profile_witness("zero effort", game, (0.0, 0.0)).holds


def test_rankings_agree_as_the_paper_says(paper: Paper) -> None:
    assert paper.agreement.direct == pytest.approx(0.517, abs=5e-4)
    assert paper.agreement.tuned == pytest.approx(0.755, abs=5e-4)
    assert len(paper.agreement.tasks) == 24 and len(paper.agreement.pairs) == 276


@needs_data
def test_the_bundled_table_is_the_published_one() -> None:
    assert agreement(DATA / "direct_vs_tbt.csv") == agreement(bundled())


def test_tau_against_counting_pairs(tmp_path: Path) -> None:
    """tau-b by its definition, ties and all, on a small table; and what is wrong with a table is named."""
    path = tmp_path / "t.csv"
    a, b = (1, 2, 2, 4, 0), (3, 1, 1, 5, 2)
    rows = [f"{task},{m},{x},{-x},1" for task, own in (("a", a), ("b", b)) for m, x in zip("vwxyz", own, strict=True)]
    path.write_text("\n".join(["task,model,direct,tbt,higher_is_better", *rows, "c,v,1,1,0"]) + "\n")
    found = agreement(path)
    signs = [(np.sign(a[i] - a[j]), np.sign(b[i] - b[j])) for i, j in itertools.combinations(range(5), 2)]
    untied = [sum(s[k] != 0 for s in signs) for k in (0, 1)]
    assert found.tasks == ("a", "b")
    assert found.direct == pytest.approx(sum(x * y for x, y in signs) / np.sqrt(untied[0] * untied[1]))
    path.write_text("task,model,direct\na,v,1\n")
    with pytest.raises(InputError, match="column 'tbt' is missing"):
        agreement(path)


def test_thresholds_grow_with_the_predicted_exponent(paper: Paper) -> None:
    for t in paper.thresholds:
        assert t.fitted == pytest.approx(t.predicted, abs=0.005), t.title
        assert all(w.holds for w in t.witnesses) and len(t.witnesses) == 2 * len(t.gaps)
    equal = paper.thresholds[0]
    lead = np.exp(0.4 / 0.6) - 1  # closed form: gap = kappa (1 + budget) (exp(a_i - a_j) / b) - 1)
    np.testing.assert_allclose(equal.budgets, equal.gaps / (1e-3 * lead) - 1, rtol=1e-9)


def test_catch_up_efforts_by_bisection() -> None:
    curve = logit([0.1, 0.1, 0.2], [0.8, 0.7, 0.6], [-3.0, -4.0, -5.0], [0.8, 0.9, 1.0])
    budgets = np.array([0.0, 10.0, 300.0])
    found = catch_up("test", curve, np.array([3.0, 2.0, 1.0]), ("a", "b", "c"), budgets)
    for k, budget in enumerate(budgets):
        score = curve.score(np.full(3, budget))
        for j in (1, 2):
            low, high = 0.0, 1e12
            for _ in range(300):
                middle = (low + high) / 2
                reached = curve.score(np.full(3, budget + middle))[j] > score[j - 1]
                low, high = (low, middle) if reached else (middle, high)
            expected = np.inf if high == 1e12 else high
            assert found.effort[k, j - 1] == pytest.approx(expected, rel=1e-6, abs=1e-6)
    assert found.names == ("a", "b", "c") and np.all(found.least == found.effort.min(axis=1))


def test_the_longest_chain_by_trying_all_subsets() -> None:
    rng = np.random.default_rng(0)
    for _ in range(10):
        n, last = 8, 1000.0
        curve = logit(rng.uniform(0, 0.2, n), rng.uniform(0.4, 0.9, n), rng.normal(-4, 1, n), rng.uniform(0.5, 1.2, n))
        quality = curve.score(np.full(n, last))
        score = curve.score(np.concatenate([[0.0], np.geomspace(1, last, 200)])[:, None])
        order = np.argsort(-quality).tolist()

        def keeps(group: tuple[int, ...], score: np.ndarray = score) -> bool:
            return all(np.all(score[:, a] > score[:, b]) for a, b in itertools.combinations(group, 2))

        longest = max(size for size in range(1, n + 1) if any(keeps(g) for g in itertools.combinations(order, size)))
        found = chain(curve, quality, last)
        assert len(found) == longest and keeps(tuple(found))


def lawful(n: int) -> Population:
    curve = logit(np.full(n, 0.1), np.full(n, 0.9), -3.0 - 0.3 * np.arange(n), np.full(n, 0.8))
    return developers(curve, quality=tuple(float(n - i) for i in range(n)), scale=0.01)


def test_conditions_hold_where_they_should() -> None:
    found = neighbours("lawful", lawful(5), 1000.0)
    assert (found.crossing, found.shrinking, found.bent) == (0.0, 0.0, 0.0)
    crossing = developers(logit([0.2, 0.1], [0.8, 0.7], [-4.0, -1.0], [3.0, 0.5]), quality=(1.0, 0.5))
    found = neighbours("crossing", crossing, 1000.0)
    assert found.crossing == 1.0 and found.bent == 0.5


def test_some_populations_are_stabilised_by_no_budget() -> None:
    """The reciprocal family never is; a lawful one is, but not within too few steps."""
    theta = np.array([1.0, 0.0])
    never = developers(logit(theta / (1 + theta), [1, 1], -np.log1p(theta), [1, 1]), quality=(1.0, 0.0), scale=0.1)
    (found,) = top_k("never", never, 1000.0, ks=(1,))
    assert (found.within, found.ever, found.truthful, found.undecided) == (1.0, 1.0, 1.0, 0.0)
    (found,) = top_k("lawful", lawful(4), 10.0, ks=(1,))
    needed = 0.5 / (0.01 * np.expm1(0.3 / 0.8)) - 1  # the gap from first to the band of the rest is above 0.5
    assert needed > 10.0 and (found.within, found.ever, found.truthful) == (1.0, 0.0, 0.0)


@needs_data
def test_fresh_data_stand_in_for_what_is_embedded() -> None:
    from followers.load import load
    from studies.paper.run import _population

    people, measured = _population("gsm8k", 25_000.0, DATA)
    assert people.names == load("gsm8k").names and len(measured) == 47
    assert people.curve_draws is not None and people.curve_draws.shape == (32, 38, 5)


def test_figure_one_on_measured_curves(paper: Paper) -> None:
    """The chain's order never breaks, and its catch-up effort ends far above where it began; neighbours lag in all."""
    assert [b.name for b in paper.boards] == ["gsm8k", "mmlu"]
    for board in paper.boards:
        assert np.all(board.ordered.least > 0) and board.ordered.least[-1] > 100 * board.ordered.least[0]
        assert board.all_models.least[-1] == 0
        assert len(board.ordered.witnesses) == 2 and all(w.holds for w in board.ordered.witnesses)
    text = "\n".join(line for _, lines in summary(paper) for line in lines)
    assert f"the paper's figure, of its own measurements: {PUBLISHED_END:,.0f}" in text and "assumed" in text


def test_tables_figures_and_certificates_are_written(paper: Paper, tmp_path: Path) -> None:
    written = write(paper, tmp_path / "out")
    names = {p.name for p in written}
    for figure in ("figure1_gsm8k", "figure1_mmlu", "figure1_winogrande_like", "thresholds", "agreement", "top_k"):
        assert {f"{figure}.png", f"{figure}.svg"} <= names
    for path in written:
        if path.suffix == ".png":
            assert path.read_bytes().startswith(b"\x89PNG")
        elif path.suffix == ".svg":
            assert ET.parse(path).getroot().tag.endswith("svg")
    certificates = json.loads((tmp_path / "out" / "certificates.json").read_text())
    assert len(certificates) == len(paper.witnesses()) and all(c["verified"] for c in certificates)
    with (tmp_path / "out" / "top_k.csv").open() as file:
        assert len(list(csv.DictReader(file))) == len(paper.top_k) == 16
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write(paper, tmp_path / "file")


def test_the_command_says_what_was_derived(
    paper: Paper, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("studies.paper.derive", lambda **_: paper)
    with pytest.raises(SystemExit) as stopped:
        main(["paper"])
    out = capsys.readouterr().out
    assert stopped.value.code in (0, None)
    assert "direct 0.517, tuned 0.755" in out and f"{len(paper.witnesses())} of {len(paper.witnesses())}" in out
    with pytest.raises(SystemExit):
        main(["paper", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert [c["claim"] for c in found["claims"]] == [c.name for c in paper.claims]
    assert found["mean_agreement"]["tuned"] == pytest.approx(0.755, abs=5e-4)
    assert found["verified"] == found["certificates"] == len(paper.witnesses())
