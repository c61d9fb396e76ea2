"""Runs of trees beside CART: the same rows, the same depth."""

from pathlib import Path

import pytest

from polystep.contracts import ExpectedError
from polystep.report import load_runs
from polystep.report.table import to_markdown
from scripts import trees
from scripts.console import COMMITTED, ROOT
from tests.scripts.in_process import compute


@pytest.mark.slow
def test_cart_is_a_column_beside_each_method(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = ["task=tree", "task.dataset=iris", "task.network.depth=2", "task.evaluation=functional"]
    short = "budget.candidate_evaluations=2000"
    rivals = "study=equal_evaluations", "optimizer=polystep,spsa", short
    smooth = "optimizer=adam_smooth", "budget.steps=100"
    for chosen in (rivals, smooth):
        compute(tmp_path, *settings, *chosen, "seed=1,2")
    table = trees.tree_table(load_runs(tmp_path))
    (row,) = table.rows
    assert (row["set"], row["depth"], row["seeds"]) == ("iris", 2, "2")
    methods = [f"{name}, 2,000 candidates" for name in ("polystep", "spsa")]
    assert [column.title for column in table.columns] == ["Set", "Depth", "Seeds", "CART", "adam_smooth", *methods]
    for title in ("CART", "adam_smooth", *methods):
        value, low, high = row[title]
        # of two equal accuracies there is no interval
        assert (low is None and high is None) or low <= value <= high
        # two thousand candidates are few; chance has a third
        assert value > (0.4 if title in methods else 0.6)
    assert row["CART"].value == pytest.approx(sum(trees.cart_accuracy("iris", 2, 0.25, seed) for seed in (1, 2)) / 2)
    capsys.readouterr()
    assert trees.main([str(tmp_path)]) == 0
    assert "| iris |" in capsys.readouterr().out
    # other settings have a column of their own
    other = "optimizer=spsa", "study=equal_evaluations", "optimizer.c=0.5", short
    compute(tmp_path, *settings, *other, "seed=1")
    shown = [column.title for column in trees.tree_table(load_runs(tmp_path)).columns]
    assert len(shown) == 8 and sum(title.startswith("spsa, 2,000 candidates") for title in shown) == 2


@pytest.mark.slow
def test_the_readme_shows_the_committed_runs() -> None:
    shown = (ROOT / "tasks" / "README.md").read_text(encoding="utf-8")
    studies = "default", "equal_evaluations", "tuning_evaluations"
    runs = load_runs(*(COMMITTED / f"{study}.jsonl.xz" for study in studies))
    lines = [line.split(" | ") for line in to_markdown(trees.tree_table(runs)).splitlines() if line.startswith("|")][2:]
    assert len(lines) == 5
    for name, depth, seeds, *cells in lines:
        assert (depth, seeds) == ("4", "5")
        assert " | ".join([name, *cells]) in shown


def test_without_runs_the_command_to_make_some_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert trees.main([str(tmp_path)]) == 2
    assert "make some with python -m scripts.sweep task=tree" in capsys.readouterr().out.replace("\n", " ")


def test_cart_learns_from_the_training_part_alone() -> None:
    assert trees.cart_accuracy("iris", 3, 0.25, 1) > 0.85
    assert trees.cart_accuracy("wine", 1, 0.25, 1) < 0.8
    # of which validation leaves less
    assert trees.cart_accuracy("wine", 3, 0.95, 1) < trees.cart_accuracy("wine", 3, 0.25, 1)


def test_sets_with_several_validation_sizes_are_told_apart(tmp_path: Path) -> None:
    settings = ["task=tree", "task.dataset=iris", "task.network.depth=2", "task.evaluation=functional", "seed=1"]
    for share in ("0.25", "0.5"):
        compute(tmp_path, *settings, "optimizer=spsa", "budget.steps=3", f"task.validation_size={share}")
    table = trees.tree_table(load_runs(tmp_path))
    assert "Validation size" in [column.title for column in table.columns]
    assert [row["validation"] for row in table.rows] == [0.25, 0.5]


def test_records_without_a_setting_of_trees_are_named(tmp_path: Path) -> None:
    compute(
        tmp_path, "task=tree", "task.dataset=iris", "task.network.depth=2", "optimizer=adam_smooth", "budget.steps=2"
    )
    runs, lacks = load_runs(tmp_path), r"of 1 runs have no task\.network\.depth in their records, the first one in "
    for damaged in (runs.drop(columns="task.network.depth"), runs.assign(**{"task.network.depth": None})):
        with pytest.raises(ExpectedError, match=f"1 {lacks}{tmp_path}.*; name other folders"):
            trees.tree_table(damaged)
