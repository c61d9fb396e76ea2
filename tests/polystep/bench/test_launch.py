"""From settings to a run: what is wrong with them is said before any data is loaded."""

import copy
import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numba
import pytest
import torch
from omegaconf import DictConfig, OmegaConf

from polystep.bench import launch
from polystep.bench.composition import compose_config
from polystep.bench.launch import build_run
from polystep.bench.observers import WandbObserver
from polystep.bench.runner import Run
from polystep.bench.schema import ConfigError
from polystep.evaluation.sharded import Place

CONFIGS = Path(__file__).resolve().parents[3] / "configs"
SMALL = ["task=snn_digits", "task.batch_size=64", "task.network.hidden=16", "optimizer.subspace.rank=8", "threads=1"]

Build = Callable[..., Run]


@pytest.fixture
def build(tmp_path: Path) -> Build:
    return lambda *overrides: build_run(*compose_config(CONFIGS, [*SMALL, f"records={tmp_path}", *overrides]))


def test_a_run_is_built_from_its_settings(build: Build, tmp_path: Path) -> None:
    run = build(
        "budget.steps=3", "checkpoint_seconds=5", "study=default", "evaluation.test_every=2", "evaluation.test_until=4"
    )
    assert run.budget.steps == 3 and run.records == tmp_path and run.checkpoint_seconds == 5
    assert str(tmp_path) not in str(run.config)
    assert run.evaluation.validate_every == 50 and run.evaluation.test_every == 2
    assert run.config["names"] == {
        "task": "snn_digits",
        "optimizer": "polystep",
        "study": "default",
    }
    assert run.config["study"]["protocol"] == "default" and list(run.observers) == []
    task = run.build_task()
    optimizer = run.build_optimizer(task)
    assert torch.equal(optimizer.solution, task.initial_point(42))


WRONG: list[tuple[str, Any, str]] = [
    ("budget.steps", 0, "budget.steps must be a positive number, got 0"),
    ("budget.seconds", -1, "budget.seconds must be a positive number, got -1"),
    ("budget.seconds", math.inf, "budget.seconds must be a positive number, got inf"),
    ("budget.steps", 1.5, "steps=1.5 is not valid; expected a whole number"),
    ("budget.steps", "many", "steps='many' is not valid; expected a whole number"),
    ("seed", -1, "seed=-1 is not valid; expected a whole number, at least 0"),
    ("seed", True, "seed=True is not valid"),
    ("seed", 1.5, "seed=1.5 is not valid"),
    ("seed", None, "seed=None is not valid"),
    ("seed", 2**63, f"seed={2**63} is not valid; expected a whole number from 0 to 2"),
    ("seed", 2**64, f"seed={2**64} is not valid"),
    ("seed", "", "seed='' is not valid"),
    ("seed", "${nothing}", "Interpolation key 'nothing' not found"),
    ("seed", "???", "Missing mandatory value: seed"),
    ("threads", 0, "threads=0 is not valid; expected a whole number or null, at least 1"),
    ("records", "", "records='' is not valid; expected a text, not an empty one"),
    ("threads", "few", "threads='few' is not valid"),
    ("checkpoint_seconds", -1, "checkpoint_seconds=-1 is not valid; expected a number, at least 0"),
    ("checkpoint_seconds", math.nan, "checkpoint_seconds=nan is not valid"),
    ("checkpoint_seconds", None, "checkpoint_seconds=None is not valid"),
    ("records", None, "records=None is not valid; expected a text"),
    ("data_dir", 3, "data_dir=3 is not valid; expected a text"),
    ("study.protocol", 3, "study.protocol=3 is not valid; expected one of default"),
    ("device", "tpu", "device='tpu' is not valid; expected cpu or cuda"),
    ("device", "meta", "device='meta' is not valid; expected cpu or cuda"),
    ("device", None, "device=None is not valid"),
    ("task.device", "cuda", "task.device='cuda' is not where the run is computed, device='cpu'; leave task.device out"),
    ("evaluation.validate_every", 0, "validate_every must be at least 1, got 0"),
    ("evaluation.test_every", 20, "set both evaluation.test_every and evaluation.test_until"),
    ("evaluation.test_until", "a", "test_until='a' is not valid"),
    ("evaluation", 3, "evaluation=3 is not valid; expected settings with a _target_"),
    ("logger", None, "logger=None is not valid; expected settings with a _target_"),
    ("task.network", 3, "task.network=3 is not valid"),
    ("task.evaluation", "fast", "expected one of fused, incremental, functional"),
    ("task.network.hidden", "wide", "task.network.hidden='wide' is not valid; expected a whole number"),
    ("task._target_", "tasks.Nothing", "tasks.Nothing cannot be imported"),
    ("optimizer.polytope", "ball", "optimizer.polytope='ball' is not valid; expected one of"),
    ("optimizer.temperature", math.nan, "optimizer.temperature=nan is not valid"),
    ("optimizer.subspace", None, "optimizer.subspace=None is not valid"),
    ("new", 1, "unknown setting new; valid settings there: .*seed"),
    ("task.new", 1, "unknown setting task.new .*valid settings there: .*batch_size"),
    ("optimizer.update.new", 1, "unknown setting optimizer.update.new; valid settings there: beta1"),
    ("optimizer.point", 1, "unknown setting optimizer.point"),
]


@pytest.fixture(scope="module")
def composed() -> tuple[DictConfig, Mapping[str, str]]:
    """Settings whose data would have to be fetched, but from nowhere."""
    return compose_config(CONFIGS, ["task=snn", "data_dir=/proc/none", "threads=1"])


@pytest.mark.parametrize(("path", "value", "message"), WRONG)
def test_wrong_settings_are_named_before_data_is_loaded(composed, path: str, value: Any, message: str) -> None:
    config = copy.deepcopy(composed[0])
    OmegaConf.update(config, path, value, force_add=True)
    with pytest.raises(ConfigError, match=message) as caught:
        build_run(config, composed[1])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["evaluation", "logger", "seed", "study"])
def test_settings_that_were_deleted_are_named(composed, name: str) -> None:
    config = OmegaConf.masked_copy(composed[0], [key for key in composed[0] if key != name])
    with pytest.raises(ConfigError, match=f"lacks {name}|key '{name}' not found"):
        build_run(config, composed[1])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("task.batch_size=0", r"task: task.batch_size must lie in 1..1237, got 0"),
        (
            "task.validation_size=9999",
            r"task: task.validation_size must be a whole number in 1..1436 for digits, got 9999",
        ),
    ],
)
def test_values_that_the_data_refuses_are_named(build: Build, override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(override).build_task()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "optimizer.particle_dimension=16",
            "optimizer: particle_dimension must lie in 1..8, the rank of each row, got 16",
        ),
        ("optimizer.particle_dimension=0", "optimizer: particle_dimension must lie in 1..8"),
        ("optimizer.probes=0", "optimizer: probes must be at least 1, got 0"),
        ("optimizer.redraw_every=-1", "optimizer: redraw_every must be at least 0, got -1"),
    ],
)
def test_values_that_the_optimizer_refuses_are_named(build: Build, override: str, message: str) -> None:
    run = build(override)
    with pytest.raises(ConfigError, match=message):
        run.build_optimizer(run.build_task())


def test_other_errors_keep_their_type(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise LookupError("broken") from OSError("deep")

    monkeypatch.setattr("tasks.classification.load_dataset", fail)
    with pytest.raises(LookupError, match="broken"):
        build().build_task()


def test_a_budget_without_limit_is_refused(build: Build) -> None:
    with pytest.raises(ConfigError, match="the budget has no limit, so the run would never end; set one of steps, "):
        build("budget.steps=null", "~optimizer.update")


def test_a_study_without_settings_names_the_file_to_add(build: Build) -> None:
    with pytest.raises(
        ConfigError, match="study=tuning_steps has no settings for optimizer=polystep on task=snn; add "
    ):
        build("study=tuning_steps", "task=snn")
    with pytest.raises(ConfigError, match="study=first does not know task=snn_digits; it has settings for acrobot, "):
        build("study=first")


def test_a_gpu_that_is_missing_is_said(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="device=cuda is not available on this machine; use device=cpu"):
        build("device=cuda")


def test_infinite_settings_build_and_have_an_identity(build: Build) -> None:
    run = build("optimizer/weighting=sinkhorn")
    assert run.config["optimizer"]["weighting"]["column_penalty"] == "inf"
    assert run.build_optimizer(run.build_task()) is not None


def test_wandb_is_an_observer_offline_by_default(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", object())
    run = build("logger=wandb")
    assert [type(observer) for observer in run.observers] == [WandbObserver]
    assert run.config["logger"]["mode"] == "offline"


def test_a_missing_wandb_names_the_install_command(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ConfigError, match=r"needs the package wandb; install it with: pip install .*'\.\[wandb\]'"):
        build("logger=wandb")


def test_threads_are_set(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    try:
        for threads in (2, 1):
            build(f"threads={threads}")
            assert torch.get_num_threads() == threads
            assert numba.get_num_threads() == min(threads, numba.config.NUMBA_NUM_THREADS)
        # processes of one machine share its cores
        monkeypatch.setattr(launch, "available_cores", lambda: 4)
        monkeypatch.setattr(
            launch, "place_among_processes", lambda: Place(rank=0, count=4, local_rank=0, local_count=2)
        )
        launch.use_threads(None)
        assert torch.get_num_threads() == 2
    finally:
        launch.use_threads(before)


def test_seconds_are_those_of_one_process(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": 0, "LOCAL_RANK": 0, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("MASTER_ADDR", "localhost")
    monkeypatch.setenv("MASTER_PORT", "1")
    assert build("budget.steps=3").budget.steps == 3
    with pytest.raises(ConfigError, match=r"budget.seconds=5 limits runs of one process, and these are 2: .*torchrun"):
        build("budget.seconds=5")
