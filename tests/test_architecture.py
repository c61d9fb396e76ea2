"""Who may import whom, and what the core needs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FORBIDDEN = {
    "polystep": {"tasks", "baselines", "scripts"},
    "tasks": {"baselines", "scripts"},
    "baselines": {"tasks", "scripts"},
}


def imported_packages(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


@pytest.mark.parametrize("package", FORBIDDEN)
def test_arrows(package):
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    for path in files:
        found = {name.partition(".")[0] for name in imported_packages(path)}
        assert not found & FORBIDDEN[package], f"{path} imports {found & FORBIDDEN[package]}"


def test_core_does_not_know_the_harness():
    for path in (ROOT / "polystep").rglob("*.py"):
        if "bench" not in path.relative_to(ROOT).parts:
            assert not [name for name in imported_packages(path) if name.startswith("polystep.bench")], path


def test_running_and_reading_know_records_alone():
    for package, other in (("bench", "polystep.report"), ("report", "polystep.bench")):
        for path in (ROOT / "polystep" / package).rglob("*.py"):
            assert not [name for name in imported_packages(path) if name.startswith(other)], path


def test_core_needs_torch_alone():
    """The optimiser and the functional evaluator run where none of the other packages is installed."""
    program = """
import sys
for name in ("numba", "numpy", "pandas", "hydra", "omegaconf", "rich", "safetensors", "sklearn", "matplotlib"):
    sys.modules[name] = None
import torch
from polystep import BatchObjective, FunctionalEvaluator, PolyStep, Trainer
model = torch.nn.Linear(3, 2)
evaluator = FunctionalEvaluator(model, torch.nn.functional.mse_loss)
optimizer = PolyStep(evaluator.layout, evaluator.layout.point_of(model), seed=0, particle_dimension=2)
objective = BatchObjective(evaluator, torch.ones(4, 3), torch.zeros(4, 2))
losses = [optimizer.step(objective, step / 30).loss for step in range(30)]
assert losses[-1] < losses[0], losses
trainer = Trainer(torch.nn.Sequential(torch.nn.Linear(3, 2)))
batch = torch.eye(3), torch.tensor([0, 1, 0])
fit = trainer.fit([batch], steps=20, validation=[batch], progress=False)
assert fit.best < fit.history[0].validation, fit
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
