"""Settings of all tests of the library."""

import os
import tempfile
from collections.abc import Iterator

import pytest
import torch

from polystep.evaluation.kernel_cache import FOLDER_VARIABLE

KERNELS = pytest.StashKey[tempfile.TemporaryDirectory[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """All workers share the kernels that one of them compiled, in a folder of this session unless one is named."""
    if FOLDER_VARIABLE not in os.environ:
        config.stash[KERNELS] = tempfile.TemporaryDirectory(prefix="kernels")
        os.environ[FOLDER_VARIABLE] = config.stash[KERNELS].name


def pytest_unconfigure(config: pytest.Config) -> None:
    """The folder goes with the session."""
    if KERNELS in config.stash:
        config.stash[KERNELS].cleanup()


@pytest.fixture(autouse=True, scope="session")
def one_torch_thread() -> Iterator[None]:
    """Tensors here are tiny: more threads cost more than they gain, above all beside other test workers."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def first_weights() -> None:
    """Modules that a test builds start from the same weights, whichever tests its worker ran before."""
    torch.manual_seed(0)
