"""How long planned runs take, learnt from records of earlier ones."""

import statistics
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from polystep.records import RunRecord, read_places


class RecordedMinutes:
    """Median wall minutes of finished runs, by settings (whatever the seed) and by study, task and optimiser."""

    def __init__(self, *places: Path):
        """`places`: folders of runs and bundles; what cannot be read tells nothing."""
        found: dict[Any, list[float]] = defaultdict(list)
        for _, record in read_places(*(place for place in places if place.exists())):
            if isinstance(record, RunRecord) and record.status == "finished":
                for key in (record.cell_id, _names(record.names)):
                    found[key].append(record.wall_seconds / 60)
        self._minutes = {key: statistics.median(values) for key, values in found.items()}

    def of(self, cell: str, names: Mapping[str, str], seconds: float | None) -> float | None:
        """Minutes that a run is expected to take; None where nothing tells.

        By records of the same settings (`cell_id`), else by the seconds of its budget, else by records of the same names.
        """
        if cell not in self._minutes and seconds is not None:
            return seconds / 60
        return self._minutes.get(cell, self._minutes.get(_names(names)))


def _names(names: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(names[group] for group in ("study", "task", "optimizer"))
