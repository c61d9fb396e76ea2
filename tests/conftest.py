"""Settings of all tests of the library."""

import os
import signal
from collections.abc import Iterator

import pytest
import torch

from polystep.evaluation.kernel_cache import FOLDER_VARIABLE


def pytest_configure(config: pytest.Config) -> None:
    """All workers, and the next session, share the kernels that one of them compiled, unless a folder is named."""
    if FOLDER_VARIABLE not in os.environ:
        os.environ[FOLDER_VARIABLE] = str(config.cache.mkdir("kernels"))


@pytest.fixture(autouse=True, scope="session")
def one_torch_thread() -> Iterator[None]:
    """Tensors here are tiny: more threads cost more than they gain, above all beside other test workers."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True, scope="session")
def interruptions() -> None:
    """SIGINT interrupts, as it does in a terminal; shells let it be ignored by what they start in the background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def first_weights() -> None:
    """Modules that a test builds start from the same weights, whichever tests its worker ran before."""
    torch.manual_seed(0)
