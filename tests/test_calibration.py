from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from followers.calibration import calibrate, fit_curve
from followers.embed import document
from followers.errors import InputError
from followers.importers import read_trajectories
from followers.load import EMBEDDED, load
from followers.spec import DeveloperSpec, build_population
from followers.trajectories import Trajectory
from studies.cli import main

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
