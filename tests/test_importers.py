"""What people have on their disks becomes trajectories, or is refused by name with what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from followers.errors import InputError
from followers.importers import find_results, read_effort_scales, read_harness, read_measured, read_steps

DATA = Path(__file__).parents[2] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.exists(), reason="the measured trajectories are not beside this checkout")


def harness_file(
    path: Path, model: str, score: float = 0.4, *, task: str = "gsm8k", arguments: Any = None, **more: Any
) -> Path:
    """A result file as lm-evaluation-harness writes it (the parts that count)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "results": {
            task: {
                "alias": task,
                "exact_match,strict-match": score / 2,
                "exact_match_stderr,strict-match": 0.01,
                "exact_match,flexible-extract": score,
                "exact_match_stderr,flexible-extract": 0.012,
            }
        },
        "n-samples": {task: {"original": 1319, "effective": 1319}},
        "higher_is_better": {task: {"exact_match": True}},
        "config": {"model": "hf", "model_args": arguments if arguments is not None else f"pretrained={model}"},
        "model_name": model,
        **more,
    }
    path.write_text(json.dumps(document))
    return path


FLEXIBLE = "exact_match,flexible-extract"


def test_a_folder_of_harness_results_becomes_trajectories(tmp_path: Path) -> None:
    for name, rise in (("alpha", 0.1), ("beta", 0.2)):
        for step in (1000, 10, 100):  # in no order
            file = f"runs/{name}/checkpoint-{step}/results_2026-01-01T00-00-00.000000.json"
            harness_file(tmp_path / file, f"/checkpoints/{name}/checkpoint-{step}", 0.2 + rise * np.log10(step))
        harness_file(tmp_path / f"runs/{name}/base/results_2026-01-01T00-00-00.json", f"/models/{name}", 0.2)
    made = read_measured([tmp_path], metric=FLEXIBLE)
    assert {t.model for t in made.trajectories} == {"alpha", "beta"} and made.kinds == {"harness"}
    for t in made.trajectories:
        rise = {"alpha": 0.1, "beta": 0.2}[t.model]
        assert t.steps.tolist() == [0, 10, 100, 1000]
        np.testing.assert_allclose(t.scores, [0.2, 0.2 + rise, 0.2 + 2 * rise, 0.2 + 3 * rise])
        assert np.all(t.stderrs == 0.012)


@pytest.mark.parametrize(
    ("model", "folder", "arguments", "expected"),
    [
        ("EleutherAI/pythia-70m", "out", "pretrained=EleutherAI/pythia-70m,revision=step512,dtype=float16", 512),
        ("EleutherAI/pythia-70m", "out", {"pretrained": "EleutherAI/pythia-70m", "revision": "step512"}, 512),
        ("EleutherAI/pythia-70m", "out/step_512", "pretrained=EleutherAI/pythia-70m", 512),
        ("EleutherAI/pythia-70m", "out/base", "pretrained=EleutherAI/pythia-70m", 0),
    ],
)
def test_the_step_comes_from_revision_or_path(
    tmp_path: Path, model: str, folder: str, arguments: Any, expected: int
) -> None:
    file = harness_file(tmp_path / folder / "results.json", model, arguments=arguments)
    ((record,), _) = read_harness([file], metric=FLEXIBLE)
    assert (record.model, record.step, record.benchmark, record.n_items) == (model, expected, "gsm8k", 1319)


def test_the_step_comes_from_a_mapping(tmp_path: Path) -> None:
    file = harness_file(tmp_path / "results_a.json", "org/some-model")
    with pytest.raises(InputError, match=r"no step in model 'org/some-model'.*--steps"):
        read_harness([file], metric=FLEXIBLE)
    for name in ("org/some-model", "results_a.json", f"{tmp_path.name}/results_a.json"):
        (tmp_path / "steps.csv").write_text(f"name,model,step\n{name},mine,250\n")
        ((record,), _) = read_harness([file], metric=FLEXIBLE, steps=read_steps(tmp_path / "steps.csv"))
        assert (record.model, record.step) == ("mine", 250)


def test_old_files_without_filters_and_with_stderr_not_available(tmp_path: Path) -> None:
    path = tmp_path / "step-5" / "results.json"
    path.parent.mkdir()
    table = {"acc": 0.5, "acc_stderr": "N/A"}
    path.write_text(json.dumps({"results": {"arc": table}, "config": {"model_args": "pretrained=m"}}))
    with pytest.raises(InputError, match="neither acc_stderr nor n-samples"):
        read_harness([path])
    table = {"acc": 0.5, "acc_stderr": 0.02}
    path.write_text(json.dumps({"results": {"arc": table}, "config": {"model_args": "pretrained=m"}}))
    ((record,), _) = read_harness([path])
    assert (record.metric, record.score, record.stderr, record.model) == ("acc", 0.5, 0.02, "m")


BAD_HARNESS: dict[str, tuple[Any, str | None]] = {
    "not valid JSON": ("{", None),
    "a list; not a result file": ("[]", None),
    "no field 'results'": ({"model_name": "m"}, None),
    "has 2 metrics (acc,none, acc_norm,none); choose one: --metric": (
        {"results": {"t": {"acc,none": 0.5, "acc_norm,none": 0.6}}},
        None,
    ),
    "no metric 'f1'; found acc,none": ({"results": {"t": {"acc,none": 0.5}}}, "f1"),
    "percent? divide by 100": ({"results": {"t": {"acc,none": 45.0, "acc_stderr,none": 1.0}}}, None),
    "better the lower it is": (
        {"results": {"t": {"ppl,none": 0.5, "ppl_stderr,none": 0.1}}, "higher_is_better": {"t": {"ppl": False}}},
        None,
    ),
}


@pytest.mark.parametrize("expected", BAD_HARNESS)
def test_a_bad_result_file_is_named(expected: str, tmp_path: Path) -> None:
    content, metric = BAD_HARNESS[expected]
    path = tmp_path / "step-3" / "results.json"
    path.parent.mkdir()
    path.write_text(content if isinstance(content, str) else json.dumps({"model_name": "m", **content}))
    with pytest.raises(InputError) as stopped:
        read_harness([path], metric=metric)
    assert expected in str(stopped.value) and str(path) in str(stopped.value)


def test_a_bad_file_stops_or_is_skipped_by_name(tmp_path: Path) -> None:
    for step in (10, 100):
        harness_file(tmp_path / f"m/step-{step}/results_1.json", "m")
    bad = tmp_path / "m/step-1000/results_1.json"
    bad.parent.mkdir()
    bad.write_text('{"results": ')
    again = harness_file(tmp_path / "m/step-100/results_2.json", "m", 0.7)
    other = harness_file(tmp_path / "m/step-7/results_1.json", "m", task="arc")
    with pytest.raises(InputError, match="not valid JSON"):
        read_harness([bad], metric=FLEXIBLE)
    made = read_measured([tmp_path], benchmark="gsm8k", metric=FLEXIBLE, on_bad="skip")
    assert made.trajectories[0].steps.tolist() == [10, 100] and made.trajectories[0].scores.tolist() == [0.4, 0.4]
    text = "\n".join(made.notes)
    assert str(bad) in text and f"{again}: step 100 of model 'm' is also in" in text and "1 of 5 files" in text
    other.unlink()
    with pytest.raises(InputError, match=r"is also in .*keep one"):
        read_measured([tmp_path / "m/step-100"], metric=FLEXIBLE)


def test_folders_without_results_and_unknown_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no results\*\.json in this folder"):
        find_results(tmp_path)
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(InputError, match=r"a\.txt: unknown format; must be a \.csv table"):
        read_measured([tmp_path / "a.txt"])
    with pytest.raises(InputError, match="no such file"):
        read_measured([tmp_path / "b.csv"])
    harness_file(tmp_path / "r" / "results.json", "m")
    with pytest.raises(InputError, match=r"none of 1 result files is usable; the first: .*no step"):
        read_measured([tmp_path / "r"], metric=FLEXIBLE, on_bad="skip")


def test_several_files_are_one_set_of_measurements(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("model,step,score,n_items\na,0,0.2,100\nb,0,0.3,100\n")
    (tmp_path / "b.csv").write_text("model,step,score,n_items\na,50,0.4,100\nb,50,0.5,100\n")
    made = read_measured([tmp_path / "b.csv", tmp_path / "a.csv"])
    assert [t.steps.tolist() for t in made.trajectories] == [[0, 50], [0, 50]]
    with pytest.raises(InputError, match=r"a\.csv: line 2: step 0 of model 'a' is there twice \(also in .*keep one"):
        read_measured([tmp_path / "a.csv", tmp_path / "a.csv"])


def test_mixed_metrics_are_refused_and_can_be_chosen(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("model,step,score,n_items,metric\na,0,0.2,100,acc\na,5,0.9,100,f1\na,5,0.3,100,acc\n")
    with pytest.raises(InputError, match=r"line 3: metric 'f1' after 'acc'.*--metric: acc, f1"):
        read_measured([path])
    (t,) = read_measured([path], metric="acc").trajectories
    assert t.scores.tolist() == [0.2, 0.3]


def test_direct_and_tuned_tables(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    path.write_text(
        "task,model,direct,direct_stderr,tbt,tbt_stderr,metric,higher_is_better\n"
        "x,a,0.2,0.01,0.6,0.02,acc,1\nx,b,0.3,0.01,0.5,0.02,acc,1\ny,a,-0.1,0.01,0.6,0.02,mcc,1\nz,a,3,,2,,bpb,0\n"
    )
    with pytest.raises(InputError, match="--tuned-steps"):
        read_measured([path], benchmark="x")
    made = read_measured([path], benchmark="x", tuned_steps=500).trajectories
    assert [t.scores.tolist() for t in made] == [[0.2, 0.6], [0.3, 0.5]] and made[0].steps.tolist() == [0, 500]
    with pytest.raises(InputError, match=r"line 4: score = -0\.1; must lie in \[0, 1\]"):
        read_measured([path], benchmark="y", tuned_steps=500)
    with pytest.raises(InputError, match="several benchmarks"):
        read_measured([path], tuned_steps=500)
    with pytest.raises(InputError, match="no benchmark 'z'"):
        read_measured([path], benchmark="z", tuned_steps=500)


def test_leaderboards(tmp_path: Path) -> None:
    path = tmp_path / "l.csv"
    path.write_text("model,team,arc,gsm8k,notes\na,x,0.5,0.2,hi\nb,y,51.0,,\n")
    (t,) = read_measured([path], benchmark="gsm8k", n_items=100).trajectories
    assert (t.model, t.scores.tolist(), t.stderrs.tolist()) == ("a", [0.2], pytest.approx([0.04]))
    with pytest.raises(InputError, match=r"line 3: score = 51; .*percent"):
        read_measured([path], benchmark="arc")
    path.write_text("model,arc\na,0.5\na,0.6\n")
    with pytest.raises(InputError, match=r"line 3: model 'a' is there twice \(line 2\)"):
        read_measured([path])


def test_effort_scales(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("model,declared_lr\na,2e-5\nb,2e-5\nc,2e-6\n")
    assert read_effort_scales(path) == pytest.approx({"a": 1.0, "b": 1.0, "c": 0.1})
    table = tmp_path / "t.csv"
    table.write_text("model,step,score,n_items\nc,0,0.2,100\nc,10,0.3,100\n")
    (t,) = read_measured([table], effort_scales=read_effort_scales(path)).trajectories
    assert t.efforts == pytest.approx([0.0, 1.0])
    table.write_text("model,step,score,n_items\nd,0,0.2,100\nd,10,0.3,100\n")
    with pytest.raises(InputError, match="none for d"):
        read_measured([table], effort_scales=read_effort_scales(path))
    path.write_text("model,declared_lr\nd,\nb,2e-5\n")
    made = read_measured([table], effort_scales=read_effort_scales(path))
    assert made.trajectories[0].effort_scale == 1.0 and made.notes[0].startswith("d: no effort scale given")
    path.write_text("model,declared_lr\nd,\n")
    with pytest.raises(InputError, match="'declared_lr' is empty in every row"):
        read_effort_scales(path)
    path.write_text("model,effort_scale\na,-1\n")
    with pytest.raises(InputError, match="line 2: effort_scale = -1; must be positive"):
        read_effort_scales(path)


@needs_data
def test_every_measured_table_is_read() -> None:
    for benchmark, models in (("gsm8k", 47), ("mmlu", 55)):
        assert len(read_measured([DATA / "trajectories.csv"], benchmark=benchmark).trajectories) == models
    made = read_measured([DATA / "direct_vs_tbt.csv"], benchmark="gsm8k", tuned_steps=1000)
    assert len(made.trajectories) == 61 and made.kinds == {"direct and tuned"}
    for board, task, models in (("openllm_v1", "gsm8k", 100), ("helm_accuracy", "mmlu_em", 67)):
        found = read_measured([DATA / "leaderboards" / f"{board}.csv"], benchmark=task).trajectories
        assert 0.9 * models <= len(found) <= models
