"""The README's code runs, and its numbers come from the committed records."""

import re
from pathlib import Path

import pytest

from polystep.bench.files import StorageError
from scripts.readme import RECORDS, with_results

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_python_example_lowers_the_loss():
    (program,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    namespace = {}
    exec(program, namespace)
    optimizer, evaluator = namespace["optimizer"], namespace["evaluator"]
    loss = evaluator.loss(namespace["model"](namespace["inputs"]), namespace["targets"])
    assert float(loss) < 1.0 < float(namespace["torch"].tensor(3.0).log())
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


@pytest.mark.slow
def test_the_block_of_results_is_up_to_date():
    assert with_results(README, RECORDS) == README, "run python -m scripts.readme"


def test_without_its_markers_the_block_is_refused(tmp_path):
    with pytest.raises(StorageError, match="lacks the lines"):
        with_results("# Title", tmp_path)
