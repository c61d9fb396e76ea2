"""Runs of trees beside CART: the same rows, the same depth."""

from pathlib import Path

import pytest

from polystep.report import load_runs
from scripts import sweep, trees


@pytest.mark.slow
def test_cart_is_a_row_beside_each_method(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = ["task=tree", "task.dataset=iris", "task.network.depth=2", "optimizer=polystep", "seed=1,2"]
    assert sweep.main([*settings, "budget.candidate_evaluations=2000", f"records={tmp_path}", "threads=1"]) == 0
    own, cart = trees.tree_table(load_runs(tmp_path)).rows
    assert (own["method"], cart["method"]) == ("polystep", "cart")
    for row in (own, cart):
        assert (row["set"], row["depth"], row["seeds"]) == ("iris", 2, 2)
        value, low, high = row["accuracy"]
        assert low <= value <= high
    assert cart["accuracy"].value == pytest.approx(sum(trees.cart_accuracy("iris", 2, seed) for seed in (1, 2)) / 2)
    capsys.readouterr()
    assert trees.main([str(tmp_path)]) == 0
    assert "| iris |" in capsys.readouterr().out


def test_without_runs_the_command_to_make_some_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert trees.main([str(tmp_path)]) == 2
    assert "make some with python -m scripts.sweep task=tree" in capsys.readouterr().out.replace("\n", " ")


def test_cart_learns_from_the_training_part_alone() -> None:
    assert trees.cart_accuracy("iris", 3, 1) > 0.85
    assert trees.cart_accuracy("wine", 1, 1) < 0.8
