"""What Hydra composes from the configurations, and what is refused with the valid choices."""

import shutil
from pathlib import Path

import pytest

from polystep.bench.composition import Composer, add_folder, compose_config, expand_sweep
from polystep.bench.schema import ConfigError

CONFIGS = Path(__file__).resolve().parents[3] / "configs"


def test_defaults_compose_with_the_names_of_the_choices() -> None:
    composed, choices = compose_config(CONFIGS, ["task=snn_digits", "seed=7", "optimizer/update=plain"])
    assert composed.seed == 7 and composed.task.dataset == "digits" and composed.task.seed == 7
    assert "hydra" not in composed
    assert choices.items() >= {"task": "snn_digits", "optimizer": "polystep", "optimizer/update": "plain"}.items()


def test_settings_of_a_study_belong_to_its_task_and_optimizer() -> None:
    composed, choices = compose_config(CONFIGS, ["study=first", "task=snn", "optimizer=polystep"])
    assert composed.study.protocol == "published" and composed.study.edition == "first"
    assert composed.optimizer.temperature == 0.5
    # its components are chosen, and nothing is left of those that the optimiser has otherwise
    assert choices["optimizer/update"] == "plain" and choices["optimizer/subspace"] == "hybrid"
    assert dict(composed.optimizer["update"]) == {"_target_": "polystep.update.Plain"}
    composed, _ = compose_config(CONFIGS, ["study=default", "task=snn", "optimizer=polystep"])
    assert composed.study.protocol == "default" and composed.optimizer.temperature == 1.0


def test_arguments_win_over_settings() -> None:
    overrides = ["study=first", "task=snn", "optimizer/update=momentum", "optimizer.temperature=2"]
    composed, choices = compose_config(CONFIGS, overrides)
    assert choices["optimizer/update"] == "momentum" and composed.optimizer.temperature == 2


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A copy of the configurations, to be added to."""
    return shutil.copytree(CONFIGS, tmp_path / "configs")


def write_settings(folder: Path, path: str, content: str) -> None:
    file = folder / "settings" / f"{path}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"# @package _global_\n{content}\n")


def test_a_tasks_own_settings_replace_those_of_any_task_and_those_of_any_optimizer_go_on_top(own: Path) -> None:
    write_settings(own, "first/any_task/random_search", "optimizer: {population: 6}\nseed: 5")
    write_settings(own, "first/int8+moe/random_search", "optimizer: {sigma: 3}")
    write_settings(own, "first/moe/any_optimizer", "optimizer: {sigma: 4}")

    def found(task: str) -> tuple[int, float, int]:
        composed, _ = compose_config(own, ["study=first", f"task={task}", "optimizer=random_search"])
        return composed.optimizer.population, composed.optimizer.sigma, composed.seed

    assert (found("snn"), found("int8"), found("moe")) == ((6, 0.005, 5), (50, 3, 42), (50, 4, 42))


def test_two_files_for_the_same_run_are_refused(own: Path) -> None:
    for tasks in ("mine+other", "other+yours"):
        write_settings(own, f"first/{tasks}/polystep", "seed: 5")
    with pytest.raises(
        ConfigError,
        match=r"first/mine\+other/polystep\.yaml and .*first/other\+yours/polystep\.yaml both serve first/other",
    ):
        compose_config(own, ["study=first", "task=snn"])


def test_a_tasks_own_file_counts_before_one_of_several(own: Path) -> None:
    before = compose_config(own, ["study=first", "task=snn"])[0].seed
    write_settings(own, "first/snn+mnist/polystep", "seed: 5")
    assert compose_config(own, ["study=first", "task=snn"])[0].seed == before != 5


def test_settings_depend_on_sizes_and_names() -> None:
    def steps(variables: int) -> int:
        overrides = ["study=first", "task=maxsat", "optimizer=probsat", f"task.variables={variables}"]
        return int(compose_config(CONFIGS, overrides)[0].budget.steps)

    assert [steps(variables) for variables in (100, 999_999, 1_000_000, 2_000_000)] == [100, 100, 50, 50]
    composed, _ = compose_config(CONFIGS, ["study=first", "task=cartpole", "optimizer=ppo", "task.activation=int8"])
    assert composed.optimizer.quantised_heads is True


REFUSED = [
    ("task=snnn", r"task=snnn does not exist \(did you mean snn\?\); choose one of .*snn, snn_digits"),
    ("task=", "task= does not exist; choose one of .*snn"),
    ("task=[snn,int8]", r"task=\[snn,int8\] is not valid; name one choice of task"),
    ("task=null", "task=null is not valid; name one choice of task"),
    ("optimizer=sgdd", "optimizer=sgdd does not exist; choose one of .*polystep"),
    ("optimizer/subspace=foo", "optimizer/subspace=foo does not exist; choose one of dense, full, global, hybrid, row"),
    (
        "study=foo",
        "study=foo does not exist; choose one of default, equal_evaluations, equal_seconds, equal_steps, first, revised, ",
    ),
    ("budget=foo", "budget=foo does not exist; choose one of full, quick"),
    ("logger=foo", "logger=foo does not exist; choose one of none, wandb"),
    ("seed=[1,", r"no viable alternative at input '\[1,'"),
    ("seed==3", "Error parsing override 'seed==3'"),
    ("seed", r"seed is not of the form setting=value; did you mean seed=VALUE\?"),
    ("perceptron", "perceptron is not of the form setting=value; python -m scripts.list shows tasks, optimizers"),
    ("snn", r"snn is not of the form setting=value; did you mean task=snn\?"),
    ("polystpe", r"did you mean optimizer=polystep\?"),
    ("adaptive", r"did you mean optimizer/update=adaptive\?"),
    ("full", r"did you mean budget=full or optimizer/subspace=full\?"),
    ("seed=1,2", "seed=1,2 asks for several runs, which python -m scripts.sweep makes"),
    ("optimizer=polystep,foo", "optimizer=polystep,foo asks for several runs"),
    ("~nothing", "cannot delete nothing: unknown setting nothing; valid settings there: budget, "),
    ("~seed.nothing", "cannot delete seed.nothing: unknown setting seed.nothing; valid settings there: none"),
    ("hydra.nothing=1", "Could not override 'hydra.nothing'"),
    ("hydra.searchpath=[file:///nowhere]", "the folder /nowhere does not exist; name one that holds task/, optimizer/"),
]


@pytest.mark.parametrize("value", ["uf20 (1).cnf", "a,b.cnf", "it's.cnf", "a=b", "[a", "{a}"])
def test_a_value_is_quoted_as_the_message_says(value: str) -> None:
    with pytest.raises(ConfigError, match="if that is one value, quote it twice: ") as caught:
        compose_config(CONFIGS, ["task=maxsat", f"task.instance={value}"])
    advised = str(caught.value).partition("quote it twice: ")[2]
    assert compose_config(CONFIGS, ["task=maxsat", advised.strip('"')]).config.task.instance == value


@pytest.mark.parametrize(("override", "message"), REFUSED)
def test_wrong_overrides_are_refused_in_one_line(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        compose_config(CONFIGS, [override])
    assert "\n" not in str(caught.value)


def test_a_word_that_yaml_reads_as_false_is_explained(own: Path) -> None:
    (own / "optimizer" / "norway.yaml").write_text("defaults:\n- polystep\n- override coasting: off\n- _self_\n")
    with pytest.raises(ConfigError, match=r"bool.*; quote on, off, yes and no in lists of defaults"):
        compose_config(own, ["optimizer=norway"])


def test_values_are_added_changed_and_deleted() -> None:
    overrides = ["+new=1", "++seed=2", "~optimizer.update.beta1", "task.batch_size=3", "hydra.sweep.dir=elsewhere"]
    composed, _ = compose_config(CONFIGS, overrides)
    assert (composed.new, composed.seed, composed.task.batch_size) == (1, 2, 3)
    assert "beta1" not in composed.optimizer["update"] and "beta2" in composed.optimizer["update"]


def test_a_sweep_is_expanded_as_hydra_does_the_last_one_fastest() -> None:
    assert expand_sweep(CONFIGS, ["seed=range(1,3)", "budget=quick", "optimizer=spsa,mezo"]) == [
        ("seed=1", "budget=quick", "optimizer=spsa"),
        ("seed=1", "budget=quick", "optimizer=mezo"),
        ("seed=2", "budget=quick", "optimizer=spsa"),
        ("seed=2", "budget=quick", "optimizer=mezo"),
    ]
    assert expand_sweep(CONFIGS, ["study=default,first"]) == [("study=default",), ("study=first",)]
    assert ("logger=wandb",) in expand_sweep(CONFIGS, ["logger=glob(*)"])
    assert expand_sweep(CONFIGS, []) == [()]
    with pytest.raises(ConfigError, match=r"did you mean budget=quick or profile=quick\?"):
        expand_sweep(CONFIGS, ["quick"])


def test_files_that_change_are_read_anew(tmp_path: Path) -> None:
    (tmp_path / "optimizer").mkdir()
    file = tmp_path / "optimizer" / "mine.yaml"
    # as editors leave them beside a file that is being written
    (tmp_path / "optimizer" / ".#mine.yaml").symlink_to(tmp_path / "nothing")
    run = ["task=snn", "optimizer=mine", f"hydra.searchpath=[file://{tmp_path}]"]
    for sigma in (0.1, 0.25):
        file.write_text(f"_target_: mine.Walk\nsigma: {sigma}\n")
        for _ in range(2):
            found, choices = compose_config(CONFIGS, run)
            assert found.optimizer == {"_target_": "mine.Walk", "sigma": sigma} and choices["task"] == "snn"
            # what one caller changes is not what the next one gets
            found.optimizer.sigma = choices["task"] = 0.3


def test_patterns_match_choices_of_added_folders_too(tmp_path: Path) -> None:
    (tmp_path / "optimizer").mkdir()
    (tmp_path / "optimizer" / "spsa_mine.yaml").write_text("_target_: baselines.spsa.SPSA\n")
    added = f"hydra.searchpath=[file://{tmp_path}]"
    for pattern, names in (
        ("glob(spsa*)", ["spsa", "spsa_mine"]),
        ("glob([me*,spsa_*],exclude=spsa)", ["mezo", "spsa_mine"]),
    ):
        assert expand_sweep(CONFIGS, [f"optimizer={pattern}", added]) == [
            (f"optimizer={name}", added) for name in names
        ]


def test_a_composer_mixes_up_no_runs() -> None:
    composer = Composer(CONFIGS)
    first = composer.compose(["task=snn", "seed=3", "optimizer.probe_radius=2", "budget.steps=${seed}"]).config
    second = composer.compose(["task=snn", "optimizer.probe_radius=4", "+extra=1"]).config
    assert (first.seed, first.optimizer.seed, first.optimizer.probe_radius, first.budget.steps) == (3, 3, 2, 3)
    assert (second.seed, second.optimizer.seed, second.optimizer.probe_radius) == (42, 42, 4)
    assert "extra" in second and "extra" not in composer.compose(["task=snn"]).config


@pytest.mark.parametrize(
    "name", ["plain", "conf (v2)", "a,b", "a=b", "Über größe", "it's", "a[1]{2}", "${seed}", "100%", 'say "x"', "a:b"]
)
def test_another_folder_of_any_name_adds_choices(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    (folder / "task").mkdir(parents=True)
    (folder / "task" / "mine.yaml").write_text("# a task\n_target_: mine.Task\nsize: 3\n")
    write_settings(folder, "first/mine/polystep", "task: {size: 5}")
    composed, _ = compose_config(CONFIGS, add_folder(["task=mine", "task.other=4"], folder))
    assert composed.task == {"_target_": "mine.Task", "size": 3, "other": 4}
    composed, _ = compose_config(CONFIGS, add_folder(["task=mine", "study=first"], folder))
    assert composed.task.size == 5


@pytest.mark.parametrize(
    ("file", "text", "chosen", "message"),
    [
        (
            "optimizer/spsa.yaml",
            "_target_: mine.Method\n",
            "optimizer=spsa",
            "have one name, so the second would be ignored; rename",
        ),
        (
            "optimizer/sub/mine.yaml",
            "_target_: mine.Method\n",
            "optimizer=sub/mine",
            "optimizer=sub/mine is not valid; folders of runs",
        ),
        (
            "study/mine.yaml",
            "# @package _global_\nstudy:\n  name: first\n",
            "study=mine",
            "mine.yaml calls itself first; its study",
        ),
        ("study/mine.yaml", "x: [", "study=mine", "while parsing a flow node"),
        ("study/mine.yaml", "5", "study=mine", "Invalid loaded object type: int"),
    ],
)
def test_files_of_ones_own_that_cannot_serve_are_named(
    tmp_path: Path, file: str, text: str, chosen: str, message: str
) -> None:
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        compose_config(CONFIGS, add_folder([chosen], tmp_path))
    assert "\n" not in str(caught.value)


def test_folders_add_up_and_a_missing_one_is_named(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name / "task").mkdir(parents=True)
        (tmp_path / name / "task" / f"{name}.yaml").write_text("size: 3\n")
    for task in ("a", "b"):
        searched = [f"hydra.searchpath=[file://{tmp_path / 'a'}]", f"task={task}"]
        assert compose_config(CONFIGS, add_folder(searched, tmp_path / "b")).config.task.size == 3
    with pytest.raises(ConfigError, match="task=a does not exist"):
        compose_config(CONFIGS, ["task=a"])
    with pytest.raises(ConfigError, match=f"the folder {tmp_path / 'c'} does not exist"):
        add_folder([], tmp_path / "c")
