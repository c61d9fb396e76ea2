"""The README's code runs, and its numbers come from the committed records."""

import math
import re
from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy

from polystep.evaluation.functional import FunctionalEvaluator
from polystep.evaluation.fused import FusedEvaluator
from polystep.files import StorageError
from scripts.console import COMMITTED
from scripts.readme import with_results

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


def test_two_lines_minimise_a_function(capsys):
    (program,) = re.findall(r"```py\n(from polystep import minimize\n.*?)```", README, re.DOTALL)
    exec(program, {})
    assert [float(part) for part in capsys.readouterr().out.strip(" []\n").split()] == pytest.approx([3, 3])


def test_commands_exist():
    for module in set(re.findall(r"python -m (scripts\.\w+)", README)):
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), module
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for target in re.findall(r"make ([a-z-]+)", README):
        assert target in targets, target


def test_linked_files_exist():
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / link).exists(), link


@pytest.mark.slow
def test_the_block_of_results_is_up_to_date():
    assert with_results(README, COMMITTED) == README, "run python -m scripts.readme"


def test_without_its_markers_the_block_is_refused(tmp_path):
    with pytest.raises(StorageError, match="lacks the lines"):
        with_results("# Title", tmp_path)
