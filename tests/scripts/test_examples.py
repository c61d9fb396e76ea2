"""The examples run, reach what they are about, and are drawn."""

import re
import shlex
from pathlib import Path

import pytest
import torch

from polystep.records import read_record
from scripts import examples, run

REACHED = {
    "F1, optimised itself": 0.6,
    "A network of single bits": 0.75,
    "A convolutional spiking network": 0.75,
}
"""The least validation score."""


@pytest.mark.slow
def test_every_example_reaches_what_it_is_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    courses = {}

    def remembered(example: examples.Example, compute=examples.run) -> examples.Course:  # type: ignore[no-untyped-def]
        courses[example.title] = compute(example)
        return courses[example.title]

    monkeypatch.setattr(examples, "run", remembered)
    with torch.random.fork_rng(), pytest.warns(UserWarning, match="the loss is a function of a whole batch"):
        assert examples.main(["--output", str(tmp_path / "figure.svg")]) == 0
    assert courses.keys() == {*REACHED, "A simulator"}
    for title, least in REACHED.items():
        assert max(courses[title].y) > least > courses[title].y[0], title
    assert courses["A simulator"].y[-1] < 90 < courses["A simulator"].y[0]
    drawn = (tmp_path / "figure.svg").read_text(encoding="utf-8")
    for title in courses:
        assert title in drawn


def test_the_command_of_the_last_example_runs(tmp_path: Path) -> None:
    (command,) = re.findall(r"```sh\npython -m scripts.run (.*?)\n```", examples.DOCUMENT.read_text(encoding="utf-8"))
    settings = [part for part in shlex.split(command) if not part.startswith("budget")]
    assert run.main([*settings, "budget.steps=40", f"records={tmp_path}", "threads=1"]) == 0
    (record,) = map(read_record, tmp_path.iterdir())
    assert record.scores["test_selected"] > 0.95
