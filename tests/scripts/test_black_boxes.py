"""The comparison of searches on Rosenbrock's function."""

import csv
import re
from pathlib import Path

import pytest

from scripts import black_boxes
from scripts.console import RESULTS

SMALL = ["--budget=3000", "--seeds=2"]


def test_every_search_gets_its_evaluations(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert black_boxes.main([*SMALL, f"--output={tmp_path}"]) == 0
    with open(tmp_path / "rosenbrock.csv") as file:
        rows = {row["method"]: row for row in csv.DictReader(file)}
    ours, pycma = float(rows["`polystep.minimize`"]["median"]), float(rows["CMA-ES of pycma"]["median"])
    # both are far down the valley, whose bottom begins at about 20
    assert 0 <= ours < 15 and 0 <= pycma < 15
    assert "3,000 evaluations, 2 seeds" in capsys.readouterr().out


def test_evaluations_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    for search in (black_boxes._ours, black_boxes._pycma):
        counted = []

        def function(x, counted=counted):  # type: ignore[no-untyped-def]
            counted.append(1 if x.ndim == 1 else len(x))
            return true(x)

        true = black_boxes.rosenbrock
        monkeypatch.setattr(black_boxes, "rosenbrock", function)
        search(*(["polystep"] if search is black_boxes._ours else []), [0.5] * 4, 500, 0)
        monkeypatch.setattr(black_boxes, "rosenbrock", true)
        assert 470 <= sum(counted) <= 512


def test_the_authors_package_where_there_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert black_boxes.main(["--budget=100", "--seeds=1", f"--authors-package={tmp_path}", f"--output={tmp_path}"]) == 2
    shown = " ".join(capsys.readouterr().out.split())
    assert "the author's package cannot be run from" in shown and "pip install --no-deps --target" in shown


def test_the_readme_shows_the_table() -> None:
    shown = (Path(__file__).parents[2] / "baselines" / "README.md").read_text(encoding="utf-8")
    table = (RESULTS / "tables" / "rosenbrock.md").read_text(encoding="utf-8")
    lines = [line for line in table.splitlines() if line.startswith("|")]
    assert len(lines) >= 6 and all(re.sub(r"\s+", " ", line) in shown for line in lines)
