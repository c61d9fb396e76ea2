"""Launchers start processes."""

from tests.processes import server as server
