"""Processes that tests start, forked from a server that has imported what they need."""

import multiprocessing
from multiprocessing import forkserver
from typing import Any

import pytest

_IMPORTED = (
    "numba",
    "sklearn.datasets",
    "polystep.bench.launch",
    "scripts.jobs",
    "scripts.run",
    "tasks.classification",
    "tasks.networks.snn",
)


def started_forkserver() -> Any:
    """The context of the server. A process has one server, and what its first user asks for is imported, so that all tests use
    this one: also those of what starts a server of its own.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*_IMPORTED])
    forkserver.ensure_running()
    return context


@pytest.fixture(autouse=True, scope="session")
def server() -> None:
    """Before a test leaves the folder that modules are imported from."""
    started_forkserver()
