"""Settings of all tests of the library."""

import os
import signal

import pytest
import torch

from polystep.bench import launch
from polystep.evaluation.kernel_cache import FOLDER_VARIABLE


def pytest_configure(config: pytest.Config) -> None:
    """All workers, and the next session, share the kernels that one of them compiled, unless a folder is named.

    Threads of commands in processes of their own sleep while they wait: others need the cores.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    if FOLDER_VARIABLE not in os.environ:
        os.environ[FOLDER_VARIABLE] = str(config.cache.mkdir("kernels"))


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tensors here are tiny: more threads cost more than they gain, above all beside other test workers. Runs, too, take one
    where their settings leave the number open; it would stay for the tests that follow.
    """
    torch.set_num_threads(1)
    monkeypatch.setattr(launch, "available_cores", lambda: 1)


@pytest.fixture(autouse=True, scope="session")
def interruptions() -> None:
    """SIGINT interrupts, as it does in a terminal; shells let it be ignored by what they start in the background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def first_weights() -> None:
    """Modules that a test builds start from the same weights, whichever tests its worker ran before."""
    torch.manual_seed(0)
