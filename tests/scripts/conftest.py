"""Commands start processes."""

import pytest

from tests.processes import started_forkserver


@pytest.fixture(autouse=True, scope="session")
def server() -> None:
    """Before a test leaves the folder that modules are imported from."""
    started_forkserver()
