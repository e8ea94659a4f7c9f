from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from followers.calibration import calibrate, fit_curve
from followers.diagnosis import held_out
from followers.embed import document
from followers.errors import InputError
from followers.importers import read_trajectories
from followers.load import EMBEDDED, load
from followers.logit_fits import points
from followers.prior import RosterPrior
from followers.spec import DeveloperSpec, build_population
from followers.trajectories import Trajectory
from studies.cli import main
from studies.files import read_population

DATA = Path(__file__).parents[2] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.exists(), reason="the measured trajectories are not beside this checkout")
STEPS = np.array([0.0, 10, 30, 100, 250, 500, 1000, 2500, 5000, 10000, 15000, 20000, 25000])


def trajectory(scores: np.ndarray, stderr: float = 0.01, steps: np.ndarray = STEPS) -> Trajectory:
    return Trajectory("m", steps, scores, np.full(len(steps), stderr), float("nan"), float("nan"))


@pytest.mark.parametrize(
    ("lower", "upper", "intercept", "slope"),
    [(0.05, 0.6, -6.0, 0.9), (0.2, 0.8, -20.0, 3.0), (0.0, 0.4, -3.0, 0.5), (0.3, 0.35, -8.0, 1.2)],
)
def test_a_curve_without_noise_is_recovered(lower: float, upper: float, intercept: float, slope: float) -> None:
    scores = lower + (upper - lower) / (1 + np.exp(-(intercept + slope * np.log1p(STEPS))))
    fit = fit_curve(trajectory(scores))
    np.testing.assert_allclose(fit.score(STEPS), scores, atol=1e-6)
    assert fit.upper == pytest.approx(upper, abs=1e-3) and not fit.poor and not fit.nonmonotone


def test_flags_say_what_is_wrong_with_a_trajectory() -> None:
    noise = np.random.default_rng(0).normal(0, 0.01, len(STEPS))
    assert fit_curve(trajectory(0.3 + noise)).flat
    collapse = np.where(STEPS > 9_000, 0.2, 0.5)
    fit = fit_curve(trajectory(collapse))
    assert fit.nonmonotone and not fit.clean and "rmse" in fit.poor
    assert fit.max_drop_z == pytest.approx(0.3 / (0.01 * np.sqrt(2)))


def test_a_poor_fit_gives_way_to_the_measured_table_and_says_so() -> None:
    saw = np.array([0.1, 0.3, 0.15, 0.35, 0.2, 0.4, 0.25, 0.45, 0.3, 0.5, 0.35, 0.55, 0.6])
    short = trajectory(np.array([0.1, 0.2]), steps=np.array([0.0, 10.0]))
    lone = trajectory(np.array([0.1]), steps=np.array([0.0]))
    named = [
        Trajectory(n, t.steps, t.scores, t.stderrs, 7.0, 0.5)
        for n, t in zip("abc", (trajectory(saw), short, lone), strict=True)
    ]
    made = calibrate(named, cost_scale=1e-5)
    assert [d["curve"]["kind"] for d in made.developers()] == ["tabulated", "tabulated"]
    assert [n.split(":")[0] for n in made.notes] == ["a", "b", "c"] and "2 points" in made.notes[1]
    assert np.all(np.diff(made.developers()[0]["curve"]["score"]) >= 0)
    people = build_population([DeveloperSpec.model_validate(d) for d in made.developers()], "here")
    assert people.n == 2 and people.parameters_b.tolist() == [7.0, 7.0]


def test_quality_is_a_stated_choice() -> None:
    scores = 0.1 + 0.5 / (1 + np.exp(-(-6.0 + 0.8 * np.log1p(STEPS))))
    t = Trajectory("m", STEPS, scores, np.full(len(STEPS), 0.01), 1.0, 0.77)
    one = {
        q: calibrate([t], quality=q, cost_scale=1.0).developers()[0]["quality"] for q in ("fitted ceiling", "column")
    }  # type: ignore[arg-type]
    assert one["fitted ceiling"] == pytest.approx(0.6, abs=1e-3) and one["column"] == 0.77
    assert calibrate([t], cost_scale=1.0).developers()[0]["quality"] == pytest.approx(scores[-1])
    with pytest.raises(InputError, match="no column 'quality'"):
        calibrate([trajectory(scores)], quality="column", cost_scale=1.0)


HEADER = "model,step,score,stderr\n"
BAD_CSV = {
    "column 'score' is missing; found model, stderr, step": "model,step,stderr\na,0,0.1\n",
    "a column 'stderr' or 'n_items' is needed": "model,step,score\na,0,0.1\n",
    "line 2: score = 1.5; must lie in [0, 1]": HEADER + "a,0,1.5,0.1\n",
    "percent? divide by 100": HEADER + "a,0,35.0,0.1\n",
    "line 3: score = 'high'; must be a number": HEADER + "a,0,0.1,0.1\na,1,high,0.1\n",
    "line 2: score = nan; must be a finite number": HEADER + "a,0,nan,0.1\n",
    "line 2: step = -1; must not be negative": HEADER + "a,-1,0.5,0.1\n",
    "line 3: step 5 of model 'a' is there twice": HEADER + "a,5,0.5,0.1\na,5,0.6,0.1\n",
    "line 3: step 3 of model 'a' after 5": HEADER + "a,5,0.5,0.1\na,3,0.6,0.1\n",
    "line 2: stderr and n_items are both empty": HEADER + "a,5,0.5,\n",
    "line 2: stderr = -0.1": HEADER + "a,5,0.5,-0.1\n",
    "line 2: model is empty": HEADER + ",5,0.5,0.1\n",
    "line 2: not as many fields": HEADER + "a,5,0.5\n",
    "no rows": HEADER,
    "several benchmarks (x, y)": "benchmark,model,step,score,stderr\nx,a,0,0.1,0.1\ny,a,0,0.1,0.1\n",
}


@pytest.mark.parametrize("expected", BAD_CSV)
def test_bad_csv_gets_one_line(expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, target = tmp_path / "t.csv", tmp_path / "out.toml"
    path.write_text(BAD_CSV[expected])
    with pytest.raises(SystemExit) as stopped:
        main(["calibrate", str(path), "-o", str(target)])
    err = capsys.readouterr().err
    assert stopped.value.code == 2 and expected in err and str(path) in err and err.count("\n") == 1
    assert not target.exists()


def test_unreadable_csv(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_trajectories(tmp_path / "none.csv")
    with pytest.raises(InputError, match="cannot be read"):
        read_trajectories(tmp_path)
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="not a text file"):
        read_trajectories(tmp_path / "b.csv")
    good = tmp_path / "g.csv"
    good.write_text("benchmark,model,step,score,n_items\nx,a,0,0.5,100\nx,a,5,1.0,100\n")
    with pytest.raises(InputError, match="no benchmark 'z'; found x"):
        read_trajectories(good, benchmark="z")
    (t,) = read_trajectories(good)
    assert t.stderrs.tolist() == pytest.approx([0.05, np.sqrt(0.01 * 0.99 / 100)])  # a sure thing is not quite sure


def test_ones_own_trajectories_become_a_population(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, target = tmp_path / "mine.csv", tmp_path / "mine.toml"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["model", "step", "score", "n_items"])
        for k, name in enumerate("abc"):
            for step in STEPS:
                share = 1 / (1 + np.exp(-(-6 + 0.8 * np.log1p(step))))
                writer.writerow([name, step, 0.1 + 0.1 * k + 0.4 * share, 1000])
    main_ok = ["calibrate", str(path), "-o", str(target), "--quality", "fitted ceiling"]
    with pytest.raises(SystemExit) as stopped:
        main(main_ok)
    assert stopped.value.code in (0, None) and "3 developers" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["propose", str(target), "--trials", "4", "--draws", "4", "--json"])
    assert json.loads(capsys.readouterr().out)["population"]["developers"] == 3


def test_embedded_populations_say_where_they_come_from() -> None:
    for name, n in zip(EMBEDDED, (38, 41), strict=True):
        people = load(name)
        assert people.n == n and "c357810" in people.provenance["measurements"]
        assert people.cost.cost(np.full(n, {"gsm8k": 25_000.0, "mmlu": 4_000.0}[name])) == pytest.approx(
            np.full(n, 0.5)
        )
        assert people.parameters_b.min() > 0 and np.all(people.score_stderr > 0)
    with pytest.raises(InputError, match=r"gsm9k.*embedded are gsm8k, mmlu"):
        load("gsm9k")


def reference(benchmark: str) -> Iterator[dict[str, str]]:
    with (DATA / "fits.csv").open() as file:
        yield from (row for row in csv.DictReader(file) if row["benchmark"] == benchmark)


@needs_data
@pytest.mark.parametrize("benchmark", EMBEDDED)
def test_our_fits_are_no_worse_than_the_reference_fits(benchmark: str) -> None:
    """fits.csv, made by other code: same clean models, same scores on the measured steps, chi-square no worse.

    Its MMLU fits weight by the binomial standard error, ours by the (smaller, stratified) one that was measured.
    """
    measured = {t.model: t for t in read_trajectories(DATA / "trajectories.csv", benchmark=benchmark)}
    clean = set()
    for row in reference(benchmark):
        t = measured[row["model"]]
        fit = fit_curve(t)
        if fit.clean:
            clean.add(t.model)
        lower, upper, alpha, beta = (float(row[k]) for k in ("L", "U", "alpha", "beta"))
        theirs = lower + (upper - lower) / (1 + np.exp(-(alpha + beta * np.log1p(t.steps))))
        ours_chi2, their_chi2 = (float((((s - t.scores) / t.stderrs) ** 2).sum()) for s in (fit.score(t.steps), theirs))
        assert ours_chi2 <= their_chi2 * (1 + 1e-4) + 1e-6, t.model
    assert clean == {row["model"] for row in reference(benchmark) if row["clean"] == "1"}


@needs_data
@pytest.mark.parametrize("benchmark", EMBEDDED)
def test_embedded_parameters_are_what_calibration_makes_of_the_data(benchmark: str) -> None:
    fresh: dict[str, Any] = document(DATA / "trajectories.csv", benchmark)
    people = load(benchmark)
    assert [d["name"] for d in fresh["developers"]] == list(people.names)
    again = build_population([DeveloperSpec.model_validate(d) for d in fresh["developers"]], "fresh")
    steps = STEPS[:, None]
    np.testing.assert_allclose(people.curve.score(steps), again.curve.score(steps), atol=1e-4)
    np.testing.assert_allclose(people.quality, again.quality, atol=1e-8)


@needs_data
def test_orientation_on_the_measured_gsm8k_population() -> None:
    """Harmonic prizes, 25,000 steps costing half the first prize: direct evaluation tempts 33 of 38, tuning nobody."""
    from designer import Protocol, play

    people = load("gsm8k")
    direct, tuned = (play(Protocol(tune_steps=steps), people).values for steps in (0.0, 25_000.0))
    assert direct["tempted"][0] == 33 and direct["face_value_tau"][0] == pytest.approx(0.64, abs=0.005)
    assert tuned["tempted"][0] == 0 and tuned["kendall_tau"][0] > 0.995
    margins = [
        float(play(Protocol(tune_steps=s), people).values["margin"][0]) for s in (20_000, 25_000, 30_000, 50_000)
    ]
    assert margins[0] > margins[1] < margins[2] > margins[3]  # not monotone in the tuning budget


def sigmoid_scores(curve: tuple[float, float, float, float], steps: np.ndarray = STEPS) -> np.ndarray:
    lower, upper, intercept, slope = curve
    return np.asarray(lower + (upper - lower) / (1 + np.exp(-(intercept + slope * np.log1p(steps)))))


def family_of(rng: np.random.Generator, n: int, family: str = "f", items: int = 2000) -> list[Trajectory]:
    made = []
    for k in range(n):
        upper = rng.uniform(0.4, 0.8)
        true = sigmoid_scores((0.2 * upper, upper, -6.0 + 0.3 * rng.standard_normal(), 0.9))
        stderr = np.sqrt(true * (1 - true) / items)
        noisy = np.clip(true + stderr * rng.standard_normal(len(true)), 0, 1)
        made.append(Trajectory(f"{family}{k}", STEPS, noisy, stderr, 7.0, family=family))
    return made


def few(t: Trajectory, keep: list[int], name: str) -> Trajectory:
    return replace(t, model=name, steps=t.steps[keep], scores=t.scores[keep], stderrs=t.stderrs[keep])


def test_a_model_of_few_steps_borrows_from_its_family_and_says_so() -> None:
    every = family_of(np.random.default_rng(1), 12)
    short = few(every[-1], [0, 4, 7], "short")
    made = calibrate([*every[:-1], short], cost_scale=1e-5)
    fit = made.fits[-1]
    assert fit.source == "pooled fit" and made.notes == ("short: fit pooled with its family, 3 points, fewer than 6",)
    assert made.developers()[-1]["curve"]["kind"] == "generalized-logit"
    assert np.abs(fit.score(STEPS) - every[-1].scores).max() < 0.1
    ceiling = fit.intervals[1]
    assert ceiling[0] <= fit.upper <= ceiling[1] < 0.99  # alone, its ceiling would be anybody's guess
    assert fit_curve(short).poor and 0 < ceiling[1] - ceiling[0] < 0.5
    alone = calibrate([*every[:3], short], cost_scale=1e-5)  # too few to borrow from
    assert alone.pool is None and alone.fits[-1].source == "table"


def test_held_out_steps_choose_the_table_where_it_predicts_clearly_better() -> None:
    """Two rises with a plateau between, which no logit follows, measured finely: the neighbours of a step tell it."""
    steps = np.concatenate([[0.0], np.geomspace(1, 25_000, 30)])
    stairs = 0.25 + sigmoid_scores((0, 0.05, -8, 4), steps) + sigmoid_scores((0, 0.05, -32, 4), steps)
    rng = np.random.default_rng(2)
    jagged = Trajectory("stairs", steps, stairs + 0.0003 * rng.standard_normal(31), np.full(31, 0.001))
    smooth = Trajectory("smooth", steps, sigmoid_scores((0.1, 0.6, -6, 0.9), steps), np.full(31, 0.005))
    made = calibrate([jagged, smooth], cost_scale=1e-5)
    assert [f.source for f in made.fits] == ["table", "fit"]
    assert "stairs: measured table instead of the fit, which misses steps left out by" in made.notes[0]
    kept = calibrate([jagged, smooth], cost_scale=1e-5, choose="fit")
    assert [f.source for f in kept.fits] == ["fit", "fit"]


def test_an_effort_scale_moves_the_curve_and_the_price() -> None:
    slow = Trajectory(
        "slow", STEPS, sigmoid_scores((0.1, 0.6, -6, 0.9), STEPS * 0.1), np.full(13, 0.01), effort_scale=0.1
    )
    fit = fit_curve(slow)
    np.testing.assert_allclose(fit.score(STEPS), slow.scores, atol=1e-6)
    assert fit.intercept == pytest.approx(-6, abs=0.01) and fit.slope == pytest.approx(0.9, abs=0.01)
    made = calibrate([slow, slow], cost_scale=1e-5, choose="fit")
    assert made.developers()[0]["cost"]["scale"] == pytest.approx(1e-4)
    # ten thousand steps of this training are a thousand of effort, at the same price
    assert made.developers()[0]["cost"]["scale"] * 1_000 == pytest.approx(1e-5 * 10_000)


def test_populations_carry_the_errors_of_their_curves(tmp_path: Path) -> None:
    """Draws of a calibrated population scatter as simulated refits do: levels at every step, and qualities."""
    made = calibrate(family_of(np.random.default_rng(3), 10, items=800), cost_scale=1e-5, choose="fit", draws=60)
    specs = [DeveloperSpec.model_validate(d) for d in made.developers()]
    people = build_population(specs, "here")
    assert people.curve_draws is not None and people.curve_draws.shape == (60, 10, 5)
    drawn = RosterPrior(cost_spread=0.0).draw(people, 2_000, np.random.default_rng(4))
    for step in (0.0, 500.0, 25_000.0):
        spread = drawn.curve.score(np.full((2_000, 10), step)).std(axis=0)
        refits = np.array([[sigmoid_scores(tuple(row), np.array(step)) for row in f.draws] for f in made.fits])
        np.testing.assert_allclose(spread, refits.std(axis=1), rtol=0.15)
    last = drawn.curve.score(np.full((2_000, 10), 25_000.0)) - people.curve.score(np.full((1, 10), 25_000.0))
    np.testing.assert_allclose(drawn.quality - people.quality, last, atol=2e-4)  # five digits in the file
    still = RosterPrior(cost_spread=0.0, level_errors=False).draw(people, 3, np.random.default_rng(4))
    np.testing.assert_array_equal(still.quality, np.repeat(people.quality, 3, axis=0))
    bad = {**made.developers()[0], "curve_draws": [[0.5, 0.4, -6.0, 0.9, 0.4]]}
    with pytest.raises(ValueError, match=r"curve_draws\[0\].*lower <= upper"):
        DeveloperSpec.model_validate(bad)
    assert replace(made.fits[0], draws=np.zeros((0, 4))).draws.size == 0


def test_the_report_has_a_row_per_model_and_residuals_that_scatter_by_one() -> None:
    made = calibrate(family_of(np.random.default_rng(5), 20), cost_scale=1e-5)
    rows, residuals = made.table(), made.residuals()
    assert [r["model"] for r in rows] == [f"f{k}" for k in range(20)] and len(residuals) == 20 * 13
    for row in rows:
        for name in ("lower", "upper", "intercept", "slope"):
            assert row[f"{name}_low"] <= row[name] <= row[f"{name}_high"]
    assert np.std([r["standardized"] for r in residuals]) == pytest.approx(0.8, abs=0.15)  # 13 points, 4 parameters


@needs_data
@pytest.mark.parametrize(("benchmark", "bound", "steady"), [("gsm8k", 0.012, 38), ("mmlu", 0.008, 43)])
def test_held_out_steps_are_predicted(benchmark: str, bound: float, steady: int, tmp_path: Path) -> None:
    """Each step predicted from the others of its trajectory; over those that do not collapse, and over all."""
    measured = read_trajectories(DATA / "trajectories.csv", benchmark=benchmark)
    enough = [t for t in measured if len(t.steps) >= 6]
    fits = [fit_curve(t) for t in enough]
    errors = held_out(enough, points(enough), np.array([f.parameters() for f in fits]))
    kept = [np.abs(e.curve) for e, f in zip(errors, fits, strict=True) if not f.nonmonotone]
    assert len(kept) == steady
    assert np.median(np.concatenate(kept)) <= bound
    assert np.median(np.concatenate([np.abs(e.curve) for e in errors])) <= bound  # with the collapsed ones too


@needs_data
def test_calibrating_a_benchmark_writes_population_and_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target, report = tmp_path / "mmlu.toml", tmp_path / "report"
    options = ["--report", str(report), "--draws", "4", "--effort-scales", str(DATA / "models.csv")]
    with pytest.raises(SystemExit) as stopped:
        main(["calibrate", str(DATA / "trajectories.csv"), "--benchmark", "mmlu", "-o", str(target), *options])
    out = capsys.readouterr().out
    assert stopped.value.code in (0, None) and "55 developers" in out
    assert "without those that fall by more than 3 joint standard errors: baichuan2-7b, gemma-7b" in out
    with (report / "fits.csv").open() as file:
        rows = {r["model"]: r for r in csv.DictReader(file)}
    assert len(rows) == 55 and float(rows["llama-65b"]["effort_scale"]) == pytest.approx(0.1)
    assert "falls" in rows["stablelm-2-1.6b"]["flags"] and rows["stablelm-2-1.6b"]["source"] == "table"
    with (report / "residuals.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 548


def test_a_leaderboard_borrows_its_curves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    board, target = tmp_path / "board.csv", tmp_path / "board.toml"
    board.write_text("model,gsm8k,arc\n" + "".join(f"m{k},{0.05 + 0.03 * k:.2f},0.5\n" for k in range(12)))
    common = ["calibrate", str(board), "--benchmark", "gsm8k", "-o", str(target)]
    with pytest.raises(SystemExit) as stopped:
        main(common)
    assert stopped.value.code == 2 and "borrow them with --like gsm8k or mmlu" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stopped:
        main([*common, "--like", "gsm8k", "--n-items", "1319"])
    assert stopped.value.code in (0, None) and "12 developers" in capsys.readouterr().out
    people = read_population(str(target))
    np.testing.assert_allclose(people.curve.score(np.zeros((1, 12)))[0], 0.05 + 0.03 * np.arange(12), atol=0.02)
    with pytest.raises(SystemExit):
        main([*common, "--like", "gsm9k"])
    assert "--like gsm9k: must be one of the embedded populations" in capsys.readouterr().err


def test_direct_and_tuned_scores_become_curves_or_exposures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, target = tmp_path / "d.csv", tmp_path / "d.toml"
    lines = [f"m{k},{0.1 + 0.01 * k:.3f},{0.5 + 0.02 * k:.3f},1000" for k in range(10)]
    path.write_text("model,direct,tuned,n_items\n" + "\n".join([*lines, "early,0.45,0.55,1000"]) + "\n")
    common = ["calibrate", str(path), "--tuned-steps", "1000", "--like", "gsm8k", "-o", str(target)]
    with pytest.raises(SystemExit):
        main(common)
    assert "m0: fit pooled with its family, 2 points" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main([*common, "--exposure"])
    assert "early: prior exposure" in capsys.readouterr().out
    people = read_population(str(target))
    exposure = dict(zip(people.names, people.prior_exposure[0], strict=True))
    assert max(exposure, key=lambda n: exposure[n]) == "early"
    score = people.curve.score(people.prior_exposure)[0]
    assert score[-1] == pytest.approx(0.45, abs=0.01)  # the exposed curve starts at the direct score
    tuned = people.curve.score(people.prior_exposure + 1000.0)[0]
    np.testing.assert_allclose(tuned[:10], 0.5 + 0.02 * np.arange(10), atol=1e-6)


def test_a_model_with_one_point_is_named_with_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, target = tmp_path / "t.csv", tmp_path / "t.toml"
    path.write_text("model,step,score,n_items\na,0,0.2,100\nb,0,0.2,100\nb,9,0.3,100\n")
    with pytest.raises(SystemExit) as stopped:
        main(["calibrate", str(path), "-o", str(target)])
    err = capsys.readouterr().err
    assert stopped.value.code == 2 and "a: left out, 1 point (step 0); measure it at a second step" in err
