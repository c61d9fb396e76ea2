"""python -m scripts.theory: evidence, tables, figures and the page; wrong arguments are explained."""

import importlib
import json
from pathlib import Path

import pytest

from scripts.theory.__main__ import main
from scripts.theory.parameters import read_parameters, study_names

SMALL = ["curved_jump", "curved_jump.frames=8", "curved_jump.curvatures=[20]"]


def test_a_study_leaves_evidence_and_a_page(tmp_path: Path) -> None:
    assert main([*SMALL, "--output", str(tmp_path)]) == 0
    evidence = json.loads((tmp_path / "theory/curved_jump.json").read_text())
    assert evidence["parameters"]["frames"] == 8
    assert {"commit", "packages", "processor"} <= evidence["context"].keys()
    assert len(evidence["found"]["curved_jump"]) == 16
    page = (tmp_path / "THEORY.md").read_text()
    assert "## A curved jump" in page and "## A planar jump" not in page
    assert (tmp_path / "tables/theory_curved_jump.csv").exists()


def test_the_page_is_written_again_from_the_evidence(tmp_path: Path) -> None:
    main([*SMALL, "--output", str(tmp_path)])
    first = (tmp_path / "THEORY.md").read_text()
    (tmp_path / "THEORY.md").unlink()
    assert main(["--draw", "--output", str(tmp_path)]) == 0
    assert (tmp_path / "THEORY.md").read_text() == first


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["curved_jum"], "did you mean curved_jump"),
        (["curved_jump.frame=3"], "did you mean frames"),
        (["curved_jump.frames=many"], "frames='many' is not valid"),
        (["--draw"], "no evidence"),
        (["planar_jump", "planar_jump.ratios=[0]"], "without a jump"),
    ],
)
def test_wrong_arguments_are_explained(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--output", str(tmp_path)]) == 2
    assert message in capsys.readouterr().out


def test_the_parameters_fit_the_studies() -> None:
    nodes = read_parameters([])
    assert tuple(nodes) == study_names()
    for node in nodes.values():
        module, _, name = node["_target_"].rpartition(".")
        assert hasattr(importlib.import_module(module), name)
