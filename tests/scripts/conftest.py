"""Commands start processes."""

from tests.processes import server as server
