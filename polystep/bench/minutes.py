"""How long planned runs take, learnt from records of earlier ones."""

import statistics
from collections import defaultdict
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

from polystep.records import STEP_CLOCKS, RunRecord, read_places

ANYTHING: tuple[str, ...] = ()
BESIDE = "beside steps"
"""Of a run's minutes those that no budget in seconds limits: compilation, validations, the test, data sets."""


class RecordedMinutes:
    """Median wall minutes of finished runs by settings (whatever the seed), and per unit that they spent by study, task and
    optimiser, and by task and optimiser.
    """

    def __init__(self, *places: Path):
        """`places`: folders of runs and bundles; records that cannot be read are ignored."""
        found: dict[Any, list[float]] = defaultdict(list)
        for _, record in read_places(*(place for place in places if place.exists())):
            if isinstance(record, RunRecord) and record.status == "finished":
                minutes = record.wall_seconds / 60
                found[record.cell_id].append(minutes)
                beside = minutes - sum(record.clocks[clock] for clock in STEP_CLOCKS) / 60
                for names in (*_names(record.names), ANYTHING):
                    found[names, BESIDE].append(beside)
                for names, (unit, spent) in product(_names(record.names), record.counters.items()):
                    if spent:
                        found[names, unit].append(minutes / spent)
        self._minutes = {key: statistics.median(values) for key, values in found.items()}

    def of(self, cell: str, names: Mapping[str, str], budget: Mapping[str, Any]) -> float | None:
        """Minutes that a run is expected to take; None where nothing tells.

        By records of the same settings (`cell_id`), else by the seconds of its budget and what records of the same study, task
        and optimiser, or else of other studies or of anything, took beside their steps; else by its other limits and records
        of the same study, task and optimiser, or else of other studies.
        """
        if cell in self._minutes:
            return self._minutes[cell]
        if budget.get("seconds") is not None:
            beside = (self._minutes.get((known_by, BESIDE)) for known_by in (*_names(names), ANYTHING))
            return float(budget["seconds"]) / 60 + next((minutes for minutes in beside if minutes is not None), 0.0)
        limits = {name: limit for name, limit in budget.items() if isinstance(limit, int | float)}
        for known_by in _names(names):
            known = [(self._minutes.get((known_by, unit)), limit) for unit, limit in limits.items()]
            expected = [minutes * limit for minutes, limit in known if minutes is not None]
            if expected:
                # the run ends at the first limit
                return min(expected)
        return None


def _names(names: Mapping[str, str]) -> tuple[tuple[str, ...], ...]:
    """What records know a run by besides its settings, the closest first."""
    of_task = (names["task"], names["optimizer"])
    return (names["study"], *of_task), of_task
