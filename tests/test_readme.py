"""The README's code runs, and its numbers come from the committed tables."""

import csv
import re
from pathlib import Path

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


def test_accuracies_of_the_result_table_are_in_the_committed_table():
    (table,) = (part for part in re.findall(r"(?:^\|.*\n)+", README, re.MULTILINE) if "validation-selected" in part)
    shown = re.findall(r"(\d+\.\d\d) ?%", table)
    assert shown
    with (ROOT / "results" / "tables" / "results.csv").open(encoding="utf-8") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    known = {f"{float(cell) * 100:.2f}" for cell in cells if re.fullmatch(r"0?\.\d+(e-\d+)?|1\.0|0", cell)}
    assert set(shown) <= known
