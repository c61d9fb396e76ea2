"""What Hydra composes from the configurations, and what is refused with the valid choices."""

import shutil
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from polystep.bench.composition import check_overrides, compose_config, expand_sweep, search_path_override
from polystep.bench.schema import ConfigError

CONFIGS = Path(__file__).resolve().parents[3] / "configs"


def test_defaults_compose_with_the_names_of_the_choices() -> None:
    composed, choices = compose_config(CONFIGS, ["task=snn_digits", "seed=7", "optimizer/update=plain"])
    assert composed.seed == 7 and composed.task.dataset == "digits" and composed.task.seed == 7
    assert "hydra" not in composed
    assert choices.items() >= {"task": "snn_digits", "optimizer": "polystep", "optimizer/update": "plain"}.items()


def test_settings_of_a_study_belong_to_its_task_and_optimizer() -> None:
    composed, _ = compose_config(CONFIGS, ["study=first", "task=snn", "optimizer=polystep"])
    assert composed.protocol == "paper" and composed.optimizer.temperature == 0.5
    composed, _ = compose_config(CONFIGS, ["study=default", "task=snn", "optimizer=polystep"])
    assert composed.protocol == "default"


def test_settings_without_a_task_serve_every_task_and_those_with_one_go_on_top(tmp_path: Path) -> None:
    shutil.copytree(CONFIGS, tmp_path / "configs")
    settings = tmp_path / "configs" / "settings"
    every = "# @package _global_\nprotocol: paper\nseed: 5\noptimizer: {population: 6}\n"
    (settings / "paper_random_search.yaml").write_text(every)
    (settings / "paper_int8_random_search.yaml").write_text("# @package _global_\nseed: 8\n")
    for task, seed in (("snn", 5), ("int8", 8)):
        overrides = ["study=first", f"task={task}", "optimizer=random_search"]
        composed, _ = compose_config(tmp_path / "configs", overrides)
        assert (composed.protocol, composed.seed, composed.optimizer.population) == ("paper", seed, 6)


REFUSED = [
    ("task=snnn", "task=snnn does not exist; choose one of .*snn, snn_digits"),
    ("task=", "task= does not exist; choose one of .*snn"),
    ("optimizer=sgdd", "optimizer=sgdd does not exist; choose one of .*polystep"),
    ("optimizer/subspace=foo", "optimizer/subspace=foo does not exist; choose one of full, hybrid, row"),
    ("study=foo", "study=foo does not exist; choose one of default, matched_evals, matched_time, paper, tuning, "),
    ("budget=foo", "budget=foo does not exist; choose one of full, quick"),
    ("logger=foo", "logger=foo does not exist; choose one of none, wandb"),
    ("sede=1", r"unknown setting sede \(did you mean seed\?\); valid settings there: .*optimizer/subspace.*seed"),
    ("task.batchsize=1", r"unknown setting task.batchsize \(did you mean batch_size\?\)"),
    ("optimizer.tempeature=1", r"did you mean temperature\?"),
    ("seed.more=1", "unknown setting seed.more"),
    ("profile=quick", "unknown setting profile"),
    ("seed=[1,", r"no viable alternative at input '\[1,'"),
    ("seed==3", "Error parsing override 'seed==3'"),
    ("seed", "Error parsing override 'seed' missing EQUAL"),
    ("seed=1,2", "seed=1,2 asks for several runs, which python -m scripts.sweep makes"),
    ("~nothing", "Could not delete from config. 'nothing' does not exist"),
    ("hydra.nothing=1", "Could not override 'hydra.nothing'"),
]


@pytest.mark.parametrize(("override", "message"), REFUSED)
def test_wrong_overrides_are_refused_in_one_line(override: str, message: str) -> None:
    for refuse in (check_overrides, compose_config):
        with pytest.raises(ConfigError, match=message) as caught:
            refuse(CONFIGS, [override])
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "arguments",
    [
        ["seed=1", "task.batch_size=2", "+new=1", "++seed=2", "optimizer/update=plain"],
        ["--cfg", "job", "seed=1"],
        ["-c", "job"],
        ["--help"],
        ["hydra.sweep.dir=elsewhere"],
        ["~optimizer.subspace"],
    ],
)
def test_flags_and_additions_pass(arguments: list[str]) -> None:
    check_overrides(CONFIGS, arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["optimizer=polystep,foo"], "optimizer=foo does not exist; choose one of"),
        (["sede=1,2"], "unknown setting sede"),
        (["seed=1,2"], "seed=1,2 asks for several runs, which python -m scripts.sweep makes"),
    ],
)
def test_several_runs_are_refused_and_their_names_checked(arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_overrides(CONFIGS, arguments)


def test_a_sweep_is_expanded_as_hydra_does_the_last_one_fastest() -> None:
    assert expand_sweep(CONFIGS, ["seed=range(1,3)", "budget=quick", "optimizer=spsa,mezo"]) == [
        ("seed=1", "budget=quick", "optimizer=spsa"),
        ("seed=1", "budget=quick", "optimizer=mezo"),
        ("seed=2", "budget=quick", "optimizer=spsa"),
        ("seed=2", "budget=quick", "optimizer=mezo"),
    ]
    assert expand_sweep(CONFIGS, ["study=tuning,paper"]) == [("study=tuning",), ("study=first",)]
    assert ("logger=wandb",) in expand_sweep(CONFIGS, ["logger=glob(*)"])
    assert expand_sweep(CONFIGS, []) == [()]
    with pytest.raises(ConfigError, match="missing EQUAL"):
        expand_sweep(CONFIGS, ["seed"])


def test_runs_that_share_their_choices_are_composed_as_hydra_does() -> None:
    choices = ["task=snn", "study=first", "optimizer=polystep"]
    settings = ["seed=3", "optimizer.probe_radius=2", "budget.steps=${seed}", "evaluation.test_every=2"]
    quick, _ = compose_config(CONFIGS, [*choices, *settings])
    # an addition leaves the short cut
    whole, _ = compose_config(CONFIGS, [*choices, *settings, "+data_dir2=x"])
    found, expected = (OmegaConf.to_container(config, resolve=True) for config in (quick, whole))
    assert found | {"data_dir2": "x"} == expected
    assert compose_config(CONFIGS, choices)[0].seed == 42


@pytest.mark.parametrize("flag", ["--config-dir", "-cd"])
def test_another_folder_adds_choices(tmp_path: Path, flag: str) -> None:
    (tmp_path / "task").mkdir()
    (tmp_path / "task" / "mine.yaml").write_text("# a task\n_target_: mine.Task\nsize: 3\n")
    check_overrides(CONFIGS, [flag, str(tmp_path), "task=mine", "task.size=4"])
    with pytest.raises(ConfigError, match=r"unknown setting task\.sizes"):
        check_overrides(CONFIGS, [flag, str(tmp_path), "task=mine", "task.sizes=4"])
    with pytest.raises(ConfigError, match="task=mine does not exist"):
        check_overrides(CONFIGS, ["task=mine"])
    composed, _ = compose_config(CONFIGS, [search_path_override([tmp_path]), "task=mine", "task.size=4"])
    assert composed.task.size == 4
