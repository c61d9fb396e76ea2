"""Runs that are computed in the process of a test, which is not about sweeps."""

from pathlib import Path

from polystep.bench.composition import expand_sweep
from scripts.console import CONFIGS, prepare


def compute(records: Path, *settings: str) -> None:
    """Every run that the settings, several values with commas, stand for; recorded in a folder."""
    for overrides in expand_sweep(CONFIGS, [*settings, "threads=1", f"records={records}"]):
        assert prepare(overrides).execute().status == "finished"
