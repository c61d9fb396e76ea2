"""The comparison of searches on Rosenbrock's function."""

import csv
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scripts import black_boxes
from scripts.console import ROOT

SMALL = ["--budget=3000", "--seeds=2"]


def test_every_search_gets_its_evaluations(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert black_boxes.main([*SMALL, f"--output={tmp_path}"]) == 0
    with open(tmp_path / "rosenbrock.csv") as file:
        rows = {row["method"]: row for row in csv.DictReader(file)}
    ours, pycma = float(rows["polystep.minimize"]["median"]), float(rows["CMA-ES, pycma itself"]["median"])
    # both are far down the valley, which begins at about 20
    assert 0 <= ours < 19 and 0 <= pycma < 19
    assert "3,000 evaluations, 2 seeds" in capsys.readouterr().out


@pytest.mark.parametrize("search", [partial(black_boxes._ours, "polystep"), black_boxes._pycma], ids=["ours", "pycma"])
def test_evaluations_are_counted(search: Callable[..., float], monkeypatch: pytest.MonkeyPatch) -> None:
    counted, true = [], black_boxes.rosenbrock

    def function(x: black_boxes.Array) -> Any:
        counted.append(1 if x.ndim == 1 else len(x))
        return true(x)

    monkeypatch.setattr(black_boxes, "rosenbrock", function)
    search(np.full(4, 0.5), 500, 0)
    assert 470 <= sum(counted) <= 512


def test_the_authors_package_where_there_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert black_boxes.main(["--budget=100", "--seeds=1", f"--authors-package={tmp_path}", f"--output={tmp_path}"]) == 2
    shown = " ".join(capsys.readouterr().out.split())
    assert "the author's package cannot be run from" in shown and "pip install --no-deps --target" in shown


def test_the_readme_shows_the_table() -> None:
    shown = (ROOT / "baselines" / "README.md").read_text(encoding="utf-8")
    table = (ROOT / "results" / "tables" / "rosenbrock.md").read_text(encoding="utf-8")
    assert table.count("|") > 30 and table.strip() in shown
