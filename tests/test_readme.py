"""The README's code runs, and its numbers come from the committed tables."""

import csv
import math
import re
from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy

from polystep.evaluation.functional import FunctionalEvaluator
from polystep.evaluation.fused import FusedEvaluator

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


PROGRAMS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize(("program", "kind"), [*zip(PROGRAMS, (FunctionalEvaluator, FusedEvaluator), strict=True)])
def test_python_examples_lower_the_loss(program, kind):
    namespace = {}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        exec(program, namespace)
    optimizer, evaluator = namespace["optimizer"], namespace["evaluator"]
    assert type(evaluator) is kind
    loss = cross_entropy(namespace["model"](namespace["inputs"]), namespace["targets"])
    assert float(loss.detach()) < 1.0 < math.log(3)
    assert len(optimizer.solution) == evaluator.layout.size


def test_commands_exist():
    for module in set(re.findall(r"python -m (scripts\.\w+)", README)):
        assert (ROOT / (module.replace(".", "/") + ".py")).is_file(), module
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for target in re.findall(r"make ([a-z-]+)", README):
        assert target in targets, target


def test_linked_files_exist():
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / link).exists(), link


def test_accuracies_of_the_result_table_are_in_the_committed_table():
    (table,) = (part for part in re.findall(r"(?:^\|.*\n)+", README, re.MULTILINE) if "validation-selected" in part)
    shown = re.findall(r"(\d+\.\d\d) ?%", table)
    assert shown
    with (ROOT / "results" / "tables" / "results.csv").open(encoding="utf-8") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    known = {f"{float(cell) * 100:.2f}" for cell in cells if re.fullmatch(r"0?\.\d+(e-\d+)?|1\.0|0", cell)}
    assert set(shown) <= known
