from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from polystep.bench.grids import SIZE, Grid, grid_files, read_grid
from polystep.bench.launch import build_component, resolve_settings
from polystep.bench.schema import ConfigError
from polystep.layout import ParameterLayout
from tests.composition import COMPOSER, CONFIGS

SQUARE = Grid({"a": (1.0, 2.0, 8.0), "b": (10, 30, 90)})
LINE = Grid({"a": tuple(float(2**power) for power in range(9))})


@pytest.mark.parametrize("grid", [SQUARE, LINE], ids=["two settings", "one setting"])
def test_the_stages_share_the_best_of_the_first_alone(grid: Grid) -> None:
    for best in grid.points:
        second = grid.around(best).points
        assert len(second) == SIZE
        assert [point for point in second if point in grid.points] == [best]


def test_the_second_stage_lies_between_the_neighbours_of_the_best() -> None:
    around = SQUARE.around({"a": 2.0, "b": 30}).axes
    # halfway to 1 and to 8 on a log scale; whole numbers stay whole
    assert around == {"a": (1.414, 2.0, 4.0), "b": (17, 30, 52)}
    fine = LINE.around({"a": 16.0}).axes["a"]
    assert fine[4] == 16.0 and all(8 < value < 32 for value in fine) and list(fine) == sorted(fine)


def test_at_an_edge_the_second_stage_goes_on_beyond_it() -> None:
    around = SQUARE.around({"a": 8.0, "b": 10}).axes
    assert around == {"a": (8.0, 32.0, 128.0), "b": (1, 3, 10)}


def grid_of(path: Path, study: str, task: str, optimizer: str) -> Grid:
    """A grid of the suite."""
    overrides = [f"study={study.replace('equal', 'tuning')}", f"task={task}", f"optimizer={optimizer}"]
    return read_grid(path, lambda name: OmegaConf.select(COMPOSER.compose(overrides).config, name))


def test_second_stages_hold_nothing_that_their_method_refuses() -> None:
    """Beyond the smallest and the largest corner of every grid of the suite."""
    layout = ParameterLayout({"weight": (6, 7), "bias": (6,)})
    # a grid for several tasks is one file
    for path, names in {path: names for names, path in grid_files(CONFIGS).items()}.items():
        _, task, optimizer = names
        grid = grid_of(path, *names)
        for corner in (grid.points[0], grid.points[-1]):
            second = grid.around(corner).points
            for point in (second[0], second[-1]):
                overrides = [
                    f"task={task}",
                    f"optimizer={optimizer}",
                    *(f"{key}={value}" for key, value in point.items()),
                ]
                node = OmegaConf.to_container(COMPOSER.compose(overrides).config.optimizer, resolve=True)
                assert isinstance(node, dict)
                node.pop("seed", None)
                build_component(node, "optimizer", layout=layout, point=torch.zeros(layout.size), seed=0)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "must have 9 combinations"),
        ("[1, 2]", "is not a grid"),
        ("optimizer.sigma: []", r"sigma must hold rising positive values, got \[\]"),
        ("optimizer.sigma: 3", "sigma must be a list of numbers, got 3"),
        ("optimizer.sigma: [1, two, 3]", "sigma must be a list of numbers"),
        ("optimizer.sigma: [1, 2, 3]", "must have 9 combinations"),
        ("optimizer.sigma: [3, 2, 1]\noptimizer.a: [1, 2, 3]", "rising positive"),
        ("optimizer.sigma: [0, 2, 3]\noptimizer.a: [1, 2, 3]", "rising positive"),
        ("optimizer.sigma: [1, 2]\noptimizer.a: [1, 2, 3]", "three or nine values"),
        ("optimizer.sigma: [1", "is not a grid"),
        ("5", "is not a grid"),
        ("budget.steps: [10, 40, 160]\noptimizer.a: [1.0, 2.0, 3.0]", "budget.steps is what trials have in common"),
        ("optimizer.sigma: {by: [1, 2, 3]}\noptimizer.a: [1, 2, 3]", "sigma must be a list of numbers"),
        ("optimizer.sigma: {times: 3}\noptimizer.a: [1, 2, 3]", "sigma must be a list of numbers, got 3"),
        ("optimizer.sigma: {times: [1, 2, 0]}\noptimizer.a: [1, 2, 3]", "rising positive"),
        (
            "optimizer.sigma: [1, 2, 4]\noptimizer.a: [0.1, 0.2, 0.3]",
            "around optimizer.sigma=1 there are no 3 different",
        ),
        (
            "optimizer.sigma: [6, 7, 8]\noptimizer.a: [0.1, 0.2, 0.3]",
            "further apart, whole ones also larger, got .6, 7, 8.",
        ),
    ],
)
def test_a_malformed_grid_is_refused(tmp_path: Path, text: str, fault: str) -> None:
    path = tmp_path / "spsa.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=fault) as caught:
        read_grid(path, lambda name: 1.0)
    assert str(path) in str(caught.value)


def test_of_two_grids_of_a_method_on_a_task_its_own_counts(tmp_path: Path) -> None:
    def written(tasks: str) -> Path:
        path = tmp_path / "grid" / "equal_seconds" / tasks / "spsa.yaml"
        path.parent.mkdir(parents=True)
        path.write_text("")
        return path

    own, shared = written("snn"), written("int8+snn")
    names = ("equal_seconds", "snn", "spsa"), ("equal_seconds", "int8", "spsa")
    assert [grid_files(tmp_path)[use] for use in names] == [own, shared]
    written("argmax+int8")
    with pytest.raises(ConfigError, match="both serve equal_seconds/int8/spsa"):
        grid_files(tmp_path)


def test_the_settings_of_every_grid_exist() -> None:
    checked = set()
    for (study, task, optimizer), path in grid_files(CONFIGS).items():
        # of the tasks that a file serves the first
        if path.parent.name.split("+")[0] == task:
            checked.add(path)
            grid = grid_of(path, study, task, optimizer)
            chosen = f"study={study.replace('equal', 'tuning')}", f"task={task}", f"optimizer={optimizer}"
            for point in (grid.points[0], grid.points[-1]):
                resolve_settings(*COMPOSER.compose([*chosen, *(f"{name}={value}" for name, value in point.items())]))
    assert checked == {*(CONFIGS / "grid").rglob("*.yaml")}


@pytest.mark.parametrize("task", ["snn", "int8", "argmax", "maxsat", "cartpole", "acrobot"])
def test_trials_get_a_fifth_of_the_seconds_that_results_get(task: str) -> None:
    seconds = [
        resolve_settings(*COMPOSER.compose([f"study={study}", f"task={task}", "optimizer=polystep"]))["budget"][
            "seconds"
        ]
        for study in ("tuning_seconds", "equal_seconds")
    ]
    assert 5 * seconds[0] == seconds[1]
