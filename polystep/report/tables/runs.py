"""Every run with all of its numbers, for those who want to compute something else: only a file, readers see no column."""

from collections.abc import Iterator

from polystep.report.material import CONTEXTS, Material
from polystep.report.table import Table

_LEFT_OUT = ("history", "test_curve", "diagnostics", "packages", "error", "uses", "altered", "overrides")


def tables(material: Material) -> Iterator[Table]:
    """One row per run, with the columns of `polystep.report.load_runs` but for settings and what is no number or text."""
    kept = [column for column in material.runs.columns if "." not in column and column not in _LEFT_OUT]
    yield Table("runs", "Every run", (), material.runs[kept].to_dict("records"), (), CONTEXTS)
