"""Every settings file is reached, and what a run alters of its study is told."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from polystep.bench.composition import Composer, compose_config
from polystep.bench.launch import altered_overrides, refuse_borrowed_names
from polystep.bench.profiles import read_profile
from polystep.bench.schema import ConfigError
from polystep.bench.studies import ANY_OPTIMIZER, ANY_TASK, choice_files, names_in, serving_files, settings_files
from polystep.component import component

CONFIGS = Path(__file__).resolve().parents[3] / "configs"
FILES = settings_files(CONFIGS)


def choices(group: str) -> list[str]:
    return names_in([CONFIGS], group)


def test_every_settings_file_serves_an_existing_run() -> None:
    reached = {
        path
        for study in choices("study")
        for task in choices("task")
        for optimizer in choices("optimizer")
        for path in serving_files(FILES, study, task, optimizer)[0]
    }
    assert set(FILES.values()) - reached == set()


@pytest.mark.parametrize("use", FILES, ids="/".join)
def test_every_settings_file_names_what_exists(use: tuple[str, ...]) -> None:
    """A misspelt one would be swallowed."""
    study, task, optimizer = use
    assert study in choices("study")
    assert task in (*choices("task"), ANY_TASK)
    assert optimizer in (*choices("optimizer"), ANY_OPTIMIZER)


@pytest.mark.parametrize("study", choices("study"))
def test_studies_go_by_the_names_of_their_files(study: str) -> None:
    assert OmegaConf.load(CONFIGS / "study" / f"{study}.yaml").study.name == study


def test_two_files_for_one_run_are_refused(tmp_path: Path) -> None:
    for tasks in ("a+b", "b+c"):
        (tmp_path / "settings" / "s" / tasks).mkdir(parents=True)
        (tmp_path / "settings" / "s" / tasks / "o.yaml").write_text("x: 1")
    with pytest.raises(ConfigError, match="both serve s/b/o; keep one of them"):
        settings_files(tmp_path)


FREE = ["seed=7", "threads=2", "data_dir=elsewhere", "records=elsewhere", "logger=none", "checkpoint_seconds=1"]
ALTERED = [
    "optimizer.probe_radius=0.7",
    "budget.steps=10",
    "optimizer/update=plain",
    "task.cost=fraction",
]


@pytest.mark.parametrize(
    "problem", [["task=maxsat", "task.variables=100", "task.instance_seed=7"], ["task=tree", "task.dataset=wine"]]
)
def test_where_a_run_is_computed_and_which_problem_it_solves_alter_nothing(problem: list[str]) -> None:
    assert altered_overrides(Composer(CONFIGS), [*problem, "optimizer=polystep", *FREE]) == []


@pytest.mark.parametrize("override", ALTERED)
def test_what_the_study_prescribes_is_altered(override: str) -> None:
    assert altered_overrides(Composer(CONFIGS), ["task=maxsat", "task.variables=100", override]) == [override]


def test_a_default_that_is_written_out_alters_nothing() -> None:
    assert altered_overrides(Composer(CONFIGS), ["task=maxsat", "optimizer.probe_radius=1000.0"]) == []


def test_equal_seconds_are_those_of_one_thread() -> None:
    overrides = ["study=equal_seconds", "task=snn", "optimizer=spsa"]
    assert altered_overrides(Composer(CONFIGS), [*overrides, "threads=1"]) == []
    assert altered_overrides(Composer(CONFIGS), [*overrides, "threads=16"]) == ["threads=16"]


@component("spsa", version=1)
class Borrowed:
    """A class of one's own, with the name of another one."""


class Own:
    """Known by its dotted path."""


def test_a_class_of_ones_own_cannot_bear_a_name_of_the_suite() -> None:
    composer = Composer(CONFIGS)

    def check(name: str, target: str) -> None:
        chosen = [f"optimizer={name}", f"optimizer._target_={target}"]
        refuse_borrowed_names(composer, composer.compose(chosen).config)

    with pytest.raises(
        ConfigError, match=r"declares the name 'spsa', which records know as baselines\.spsa\.SPSA; give its"
    ):
        check("mezo", f"{__name__}.Borrowed")
    check("mezo", f"{__name__}.Own")
    check("mezo", "baselines.mezo.MeZO")
    # the same class by another path
    check("polystep", "polystep.PolyStep")


def test_a_folder_of_ones_own_may_add_names_but_not_change_what_a_study_prescribes(tmp_path: Path) -> None:
    run, folder = ["study=equal_seconds", "task=snn", "optimizer=spsa"], f"hydra.searchpath=[file://{tmp_path}]"
    (tmp_path / "optimizer").mkdir()
    settings = tmp_path / "settings" / "equal_seconds" / "snn"
    settings.mkdir(parents=True)
    (tmp_path / "optimizer" / "mine.yaml").write_text("_target_: baselines.mezo.MeZO\n")
    (settings / "mine.yaml").write_text("# @package _global_\noptimizer:\n  epsilon: 0.1\n")
    assert altered_overrides(Composer(CONFIGS), [*run, folder]) == []
    assert altered_overrides(Composer(CONFIGS), [*run[:2], "optimizer=mine", folder]) == []
    (tmp_path / "logger").mkdir()
    (tmp_path / "logger" / "own.yaml").write_text("{}\n")
    (settings / "any_optimizer.yaml").write_text("# @package _global_\nbudget:\n  seconds: 12000\n")
    for chosen in (run, [*run[:2], "optimizer=mine"], [*run, "logger=own"]):
        assert altered_overrides(Composer(CONFIGS), [*chosen, folder]) == ["hydra.searchpath"]


@pytest.mark.parametrize("place", ["study/own.yaml", "settings/equal_seconds/snn/mine.yaml"])
def test_files_that_hydra_would_read_for_something_else_are_named(place: str, tmp_path: Path) -> None:
    (tmp_path / "optimizer").mkdir()
    (tmp_path / "optimizer" / "mine.yaml").write_text("_target_: baselines.mezo.MeZO\n")
    (tmp_path / place).parent.mkdir(parents=True)
    study = Path(place).stem if place.startswith("study") else "equal_seconds"
    run = [f"study={study}", "task=snn", "optimizer=mine", f"hydra.searchpath=[file://{tmp_path}]"]
    content = f"study:\n  name: {study}\noptimizer:\n  epsilon: 0.1\n"
    for top in ("", "# of mine\n", "# of mine\n# @package _global_\n"):
        (tmp_path / place).write_text(f"{top}{content}")
        with pytest.raises(ConfigError, match=rf"the first line of .*{place} must be # @package _global_"):
            compose_config(CONFIGS, run)
    for top in ("\n# @package _global_\n# of mine\n", "#@kind own\n#  @package   _global_\n"):
        (tmp_path / place).write_text(f"{top}{content}")
        assert compose_config(CONFIGS, run).config.optimizer.epsilon == 0.1


def test_an_override_that_needs_another_one_is_altered() -> None:
    overrides = ["task=snn_digits", "+mine=5", "budget.steps=${mine}"]
    assert set(altered_overrides(Composer(CONFIGS), overrides)) == {"+mine=5", "budget.steps=${mine}"}


@pytest.mark.parametrize("study", ["first", "revised"])
def test_an_edition_that_does_not_know_a_task_says_which_it_knows(study: str) -> None:
    with pytest.raises(
        ConfigError,
        match=rf"study={study} does not know task=snn_digits; it has settings for acrobot, argmax, .*, or stu",
    ):
        compose_config(CONFIGS, [f"study={study}", "optimizer=polystep", "task=snn_digits"])


def test_a_study_that_needs_settings_says_where_to_put_them() -> None:
    with pytest.raises(
        ConfigError, match=r"study=first has no settings for optimizer=mezo on task=snn; add configs/set"
    ):
        compose_config(CONFIGS, ["study=first", "optimizer=mezo", "task=snn"])


def test_profiles_alter_the_budget_of_no_published_policy_gradient() -> None:
    """The settings files say that a policy through which nothing is learnt gets few environment steps."""
    for activation, steps in (("float", 1_000_000), ("int8", 20_000), ("binary", 20_000)):
        overrides = ["study=first", "task=cartpole", "optimizer=dqn", f"task.activation={activation}"]
        assert compose_config(CONFIGS, overrides).config.budget.environment_steps == steps
    planned = [run.overrides for name in choice_files([CONFIGS], "profile") for run in read_profile(CONFIGS, name)]
    published = [run for run in planned if "study=first" in run and {"optimizer=ppo", "optimizer=dqn"} & {*run}]
    assert published and not any("budget" in override for run in published for override in run)
