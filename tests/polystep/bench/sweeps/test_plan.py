"""The runs that arguments stand for."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from polystep.bench.composition import add_folder, compose_config
from polystep.bench.launch import resolve_settings
from polystep.bench.schema import ConfigError
from polystep.bench.specification import specification
from polystep.bench.sweeps.plan import plan_sweep
from polystep.records import CLOCKS, write_record
from tests.polystep.conftest import MakeRecord

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
    served = sorted(path.stem for path in (CONFIGS / "settings/equal_seconds/snn").glob("*.yaml"))
    assert len(found) == 2 * len(served) > 2
    assert f"study=equal_seconds task=snn seed=1 optimizer={served[0]}" in found
    assert titles(None, "study=equal_seconds", "optimizer=probsat") == [
        "study=equal_seconds optimizer=probsat task=maxsat"
    ]
    assert "study=revised_evaluations task=argmax optimizer=openai_es" in titles(None, "study=revised_evaluations")
    assert titles(None, "study=default", "task=snn") == ["study=default task=snn"]
    with pytest.raises(ConfigError, match="study=first has no settings for optimizer=mezo on task=snn"):
        titles(None, "study=first", "task=snn", "optimizer=mezo")


def test_a_profile_is_swept_whole(tmp_path: Path) -> None:
    folder = shutil.copytree(CONFIGS, tmp_path / "configs")
    (folder / "profile" / "two.yaml").write_text(
        "runs:\n- {task: snn_digits, optimizer: spsa}\n- {task: snn, optimizer: mezo, without_data: snn_digits}\n"
    )
    first, second = "study=default task=snn_digits optimizer=spsa", "study=default task=snn optimizer=mezo"
    runs = [run.planned for run in plan_sweep(folder, "two", ["budget.steps=5,6"])]
    assert [run.title for run in runs] == [f"{run} budget.steps={steps}" for run in (first, second) for steps in (5, 6)]
    assert runs[0].without_data is None
    assert runs[2].without_data == ("study=default", "task=snn_digits", "optimizer=mezo", "budget.steps=5")


def test_profiles_and_settings_may_lie_in_a_folder_of_ones_own(tmp_path: Path) -> None:
    files = {
        "profile/mine.yaml": "runs:\n- {task: snn_digits, optimizer: mine}\n",
        "optimizer/mine.yaml": "_target_: baselines.mezo.MeZO\nseed: ${seed}\n",
        "study/own.yaml": "# @package _global_\nstudy:\n  name: own\n  title: Own\n  protocol: default\n"
        "  requires_settings: true\nevaluation:\n  _target_: polystep.bench.evaluation.Evaluation\n  validate_every: 50\n",
        "settings/own/snn_digits/mine.yaml": "# @package _global_\noptimizer:\n  epsilon: 0.1\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(text)
    own = add_folder([], tmp_path)
    (run,) = plan_sweep(CONFIGS, "mine", own)
    assert run.planned.title.startswith("study=default task=snn_digits optimizer=mine")
    (run,) = plan_sweep(CONFIGS, None, [*own, "study=own"])
    assert {"task=snn_digits", "optimizer=mine"} < set(run.planned.overrides)
    with pytest.raises(ConfigError, match=r"profile mina does not exist .did you mean mine\?.; choose one of .*quick"):
        plan_sweep(CONFIGS, "mina", own)


def test_minutes_are_learnt_from_records(tmp_path: Path, make_record: MakeRecord) -> None:
    (known,) = plan_sweep(CONFIGS, None, ["task=maxsat", "task.variables=100", "seed=1"])
    (other,) = plan_sweep(CONFIGS, None, ["task=maxsat", "task.variables=100", "seed=2"])
    assert known.minutes is None
    settings = resolve_settings(*compose_config(CONFIGS, known.planned.overrides))
    for wall_seconds in (60.0, 120.0, 240.0):
        record = make_record(specification=specification(settings), seed=1, wall_seconds=wall_seconds, cpu_seconds=None)
        write_record(tmp_path / str(wall_seconds), record)
    overrides = ["task=maxsat", "task.variables=100", "seed=1,2", f"records={tmp_path}"]
    runs = plan_sweep(CONFIGS, None, overrides)
    assert [run.minutes for run in runs] == [2.0, 2.0], "the seed does not matter"
    # nothing is known of these settings, but they are told how long their steps take; the rest is as in other runs
    (limited,) = plan_sweep(CONFIGS, None, ["task=snn_digits", "budget.seconds=90", f"records={tmp_path}"])
    assert limited.minutes == pytest.approx(1.5 + (120 - 3) / 60) and other.minutes is None
    # of the same task and optimiser where there are any
    names = {"task": "snn_digits", "optimizer": "polystep", "study": "other"}
    write_record(tmp_path / "same", make_record(names=names, wall_seconds=33.0, cpu_seconds=None))
    (limited,) = plan_sweep(CONFIGS, None, ["task=snn_digits", "budget.seconds=90", f"records={tmp_path}"])
    assert limited.minutes == pytest.approx(2.0)


def test_minutes_are_those_of_a_machine_that_does_nothing_else(tmp_path: Path, make_record: MakeRecord) -> None:
    (planned,) = plan_sweep(CONFIGS, None, ["task=maxsat", "task.variables=100"])
    settings = resolve_settings(*compose_config(CONFIGS, planned.planned.overrides))

    def minutes(cpu_seconds: float | None, **context: Any) -> float | None:
        plain = make_record()
        record = make_record(
            specification=specification(settings),
            wall_seconds=600.0,
            cpu_seconds=cpu_seconds,
            context=plain.context | context,
        )
        write_record(tmp_path / "run", record)
        (run,) = plan_sweep(CONFIGS, None, ["task=maxsat", "task.variables=100", f"records={tmp_path}"])
        return run.minutes

    assert minutes(240.0) == pytest.approx(4.0), "the rest of the time another process had its core"
    assert minutes(700.0) == pytest.approx(10.0)
    # what several threads compute says nothing about the time that they waited
    assert minutes(240.0, threads=2) == pytest.approx(10.0)
    assert minutes(None, load_after=4.0) == pytest.approx(5.0), "twice as much to do as there are cores"
    assert minutes(None, load_before=None, load_after=None) == pytest.approx(10.0)


def test_minutes_of_other_settings_go_by_what_is_spent(tmp_path: Path, make_record: MakeRecord) -> None:
    """Those of the same study; a run ends at the first limit of its budget."""
    here = ["task=maxsat", f"records={tmp_path}"]
    decisive = specification(resolve_settings(*compose_config(CONFIGS, [*here, "optimizer=polystep"])))
    decisive["optimizer"] = {"component": "polystep", "version": 0}
    names = {"task": "maxsat", "optimizer": "polystep", "study": "default"}
    # four fifths in steps
    clocks = dict.fromkeys(CLOCKS, 0.0) | {"evaluation": 48.0}
    write_record(
        tmp_path / "default",
        make_record(specification=decisive, names=names, wall_seconds=60.0, cpu_seconds=None, clocks=clocks),
    )

    def minutes(*overrides: str) -> float | None:
        (run,) = plan_sweep(CONFIGS, None, [*here, *overrides])
        return run.minutes

    # a record of 100 steps and 1600 candidates
    assert minutes("budget.steps=50") == pytest.approx(0.2 + 0.4)
    assert minutes("budget.steps=null", "budget.candidate_evaluations=3200") == pytest.approx(0.2 + 1.6)
    assert minutes("budget.steps=50", "budget.candidate_evaluations=3200") == pytest.approx(0.2 + 0.4)
    assert minutes("optimizer=spsa", "budget.steps=50") is None
    assert minutes("budget.steps=null", "budget.clause_checks=50") is None
    # a step of another study may take a hundred times as long
    assert minutes("study=first", "optimizer=polystep", "budget.steps=50") is None


def test_minutes_of_runs_that_are_alike_come_before_those_of_the_same_names(
    tmp_path: Path, make_record: MakeRecord
) -> None:
    """A formula of another size, and other components, have the same names of task and optimiser."""

    def overrides(variables: int, *others: str) -> list[str]:
        return ["task=maxsat", f"task.variables={variables}", f"records={tmp_path}", "budget.steps=50", *others]

    names = {"task": "maxsat", "optimizer": "polystep", "study": "other"}
    dear = "optimizer/weighting=greedy"
    for seconds, changes in ((6.0, ()), (60.0, (dear,))):
        settings = resolve_settings(*compose_config(CONFIGS, overrides(100, *changes)))
        decisive = specification(settings) | {"protocol": "tuning"}
        clocks = dict.fromkeys(CLOCKS, 0.0) | {"evaluation": seconds}
        record = make_record(specification=decisive, names=names, wall_seconds=seconds, cpu_seconds=None, clocks=clocks)
        write_record(tmp_path / str(seconds), record)

    def minutes(*arguments: str) -> float | None:
        (run,) = plan_sweep(CONFIGS, None, list(arguments))
        return run.minutes

    assert minutes(*overrides(100)) == pytest.approx(0.05)
    assert minutes(*overrides(100, dear)) == pytest.approx(0.5)
    # other numbers cost as much
    assert minutes(*overrides(100, dear, "optimizer.probe_radius=0.123")) == pytest.approx(0.5)
    # of another size only the names are known: so much of a run is beside its steps, its steps take nobody knows how long
    assert minutes(*overrides(500)) is None


def test_an_unknown_task_is_answered_with_the_valid_ones() -> None:
    with pytest.raises(ConfigError, match=r"task=snnn does not exist .*; choose one of .*snn"):
        titles(None, "study=first", "task=snn,snnn")
