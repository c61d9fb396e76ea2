"""Kernels are compiled once for each types of arguments, and only that is timed."""

import os
import subprocess
import sys

import numpy as np
import pytest
from numba import njit

from polystep.evaluation.compilation import CompilationClock


def test_only_new_types_are_compiled() -> None:
    @njit
    def double(number):
        return 2 * number

    clock = CompilationClock()
    assert clock.call(double, 3) == 6
    seconds = clock.seconds
    assert seconds > 0
    assert clock.call(double, 4) == 8
    assert clock.seconds == seconds
    assert clock.call(double, np.float32(1.5)) == 3
    assert clock.seconds > seconds
    assert len(double.signatures) == 2


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("NUMBA_THREADING_LAYER", "unheard_of", "numba cannot start ("),
        ("NUMBA_NUM_THREADS", "0", "numba cannot start (Number of threads specified must be > 0.)"),
        ("NUMBA_DISABLE_JIT", "1", "NUMBA_DISABLE_JIT is set"),
    ],
)
def test_variables_that_keep_numba_from_working_are_named(name, value, message):
    command = [sys.executable, "-m", "scripts.run", "task=snn_digits", "budget.steps=1"]
    done = subprocess.run(command, env=os.environ | {name: value}, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    shown = " ".join(done.stdout.split())
    assert message in shown and "unset" in shown
    assert "Traceback" not in done.stdout + done.stderr


def test_without_compiled_code_a_trainer_says_so_and_sparse_products_are_torchs():
    program = """
import torch
from polystep import Trainer
from polystep.contracts import ExpectedError
from polystep.sparse_product import SparseProduct
matrix = torch.eye(3).to_sparse().coalesce()
assert torch.equal(SparseProduct(matrix)(torch.ones(3, 2)), torch.ones(3, 2))
try:
    Trainer(torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2)))
except ExpectedError as error:
    print(error)
"""
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert "NUMBA_DISABLE_JIT is set" in done.stdout
