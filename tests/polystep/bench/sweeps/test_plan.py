"""The runs that arguments stand for."""

import shutil
from pathlib import Path

import pytest

from polystep.bench.profiles import PlannedRun
from polystep.bench.schema import ConfigError
from polystep.bench.sweeps.plan import plan_sweep

CONFIGS = Path(__file__).resolve().parents[4] / "configs"


def titles(profile: str | None, *overrides: str) -> list[str]:
    return [run.planned.title for run in plan_sweep(CONFIGS, profile, overrides)]


def test_sweeps_are_combined_and_equal_runs_are_one() -> None:
    assert titles(None, "task=snn_digits", "seed=1,2", "threads=1,2") == [
        "task=snn_digits seed=1 threads=1",
        "task=snn_digits seed=2 threads=1",
    ]
    # the default, written out
    assert len(titles(None, "task=snn_digits", "optimizer.probe_radius=0.5,0.7,0.5")) == 2


def test_resources_and_group_of_a_run() -> None:
    runs = plan_sweep(CONFIGS, None, ["task=snn_digits", "threads=null,2", "seed=1", "records=some/where"])
    assert [(run.cores, run.gpus, run.group) for run in runs] == [(None, 0, ("snn_digits", "default"))]
    (run,) = plan_sweep(CONFIGS, None, ["threads=3", "device=cuda"])
    assert (run.cores, run.gpus, run.records) == (3, 1, Path("results/reproduction/records"))


def test_a_study_that_needs_settings_has_the_runs_that_it_has_settings_for() -> None:
    found = titles(None, "study=equal_seconds", "task=snn", "seed=1,2")
    optimizers = [path.stem for path in (CONFIGS / "optimizer").glob("*.yaml")]
    served = [name for name in optimizers if (CONFIGS / "settings" / f"matched_time_{name}.yaml").exists()]
    assert len(found) == 2 * len(served) > 2
    assert f"study=equal_seconds task=snn seed=1 optimizer={served[0]}" in found
    assert "study=equal_seconds task=maxsat seed=1 optimizer=probsat" in titles(
        None, "study=equal_seconds", "task=maxsat", "seed=1"
    )
    assert "study=first seed=1 task=snn_smooth optimizer=adam" in titles(None, "study=first", "seed=1")
    assert titles(None, "study=default", "task=snn") == ["study=default task=snn"]
    with pytest.raises(ConfigError, match="study=first has no settings for optimizer=mezo on task=snn"):
        titles(None, "study=first", "task=snn", "optimizer=mezo")


def test_a_profile_is_swept_whole(tmp_path: Path) -> None:
    folder = shutil.copytree(CONFIGS, tmp_path / "configs")
    (folder / "profile" / "two.yaml").write_text(
        "runs:\n- {overrides: [task=snn_digits], minutes: 2}\n- {overrides: [seed=1], minutes: 1, without_data: [seed=2]}\n"
    )
    assert [run.planned for run in plan_sweep(folder, "two", ["budget.steps=5,6"])] == [
        PlannedRun(("task=snn_digits", "budget.steps=5"), 2.0),
        PlannedRun(("task=snn_digits", "budget.steps=6"), 2.0),
        PlannedRun(("seed=1", "budget.steps=5"), 1.0, ("seed=2", "budget.steps=5")),
        PlannedRun(("seed=1", "budget.steps=6"), 1.0, ("seed=2", "budget.steps=6")),
    ]


def test_an_unknown_task_is_answered_with_the_valid_ones() -> None:
    with pytest.raises(ConfigError, match=r"task=snnn does not exist; choose one of .*snn"):
        titles(None, "study=first", "task=snn,snnn")
