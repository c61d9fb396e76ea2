"""How long planned runs take, learnt from records of earlier ones."""

import statistics
from collections import defaultdict
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

from polystep.records import RunRecord, cell_id, digest, read_places

ANYTHING = ""
BESIDE = "beside steps"
"""Of a run's minutes those that are not spent in steps: compilation, validations, the test, data sets."""


class RecordedMinutes:
    """Median minutes that finished runs of equal settings (whatever the seed) take on an idle machine, and of alike runs those
    of their steps per unit that they spent, and those beside steps.

    Alike, the closest first: same task and optimiser with all settings; same settings of the task and same components of the
    optimiser, whose cost hardly depends on their radii and rates; same settings of the task, and same names of study and
    optimiser. What is beside the steps may also come from runs of the same names of task and optimiser: a step of another
    study may take a hundred times as long, reading its data does not.
    """

    def __init__(self, *places: Path):
        """`places`: folders of runs and bundles; records that cannot be read are ignored."""
        found: dict[Any, list[float]] = defaultdict(list)
        for _, record in read_places(*(place for place in places if place.exists())):
            if isinstance(record, RunRecord) and record.status == "finished":
                share = _share_of_machine(record)
                minutes = share * record.wall_seconds / 60
                found[record.cell_id].append(minutes)
                of_steps = share * record.step_seconds / 60
                alike = _alike(record.specification, record.names)
                for known_by in (*alike, _names(record.names), ANYTHING):
                    found[known_by, BESIDE].append(minutes - of_steps)
                for known_by, (unit, spent) in product(alike, record.counters.items()):
                    if spent:
                        found[known_by, unit].append(of_steps / spent)
        self._minutes = {key: statistics.median(values) for key, values in found.items()}

    def of(self, specification: Mapping[str, Any], names: Mapping[str, str], budget: Mapping[str, Any]) -> float | None:
        """Minutes that a run is expected to take; None where nothing tells.

        By records of the same settings. Else what alike runs, or any, took beside their steps; and for the steps the seconds
        of the budget, or its other limits and what alike runs took for as much.
        """
        if (minutes := self._minutes.get(cell_id(specification))) is not None:
            return minutes
        alike = _alike(specification, names)
        known = (self._minutes.get((known_by, BESIDE)) for known_by in (*alike, _names(names), ANYTHING))
        beside = next((minutes for minutes in known if minutes is not None), 0.0)
        if budget.get("seconds") is not None:
            return beside + float(budget["seconds"]) / 60
        limits = {name: limit for name, limit in budget.items() if isinstance(limit, int | float)}
        for known_by in alike:
            rates = [(self._minutes.get((known_by, unit)), limit) for unit, limit in limits.items()]
            expected = [minutes * limit for minutes, limit in rates if minutes is not None]
            if expected:
                # the run ends at the first limit
                return beside + min(expected)
        return None


def _share_of_machine(record: RunRecord) -> float:
    """The share of a run's time in which it had the cores that it asked for: of one thread that in which it computed, else
    what the load left to it.
    """
    context = record.context
    if context["threads"] == 1 and record.cpu_seconds is not None and record.wall_seconds > 0:
        return min(1.0, record.cpu_seconds / record.wall_seconds)
    loads = [load for name in ("load_before", "load_after") if (load := context.get(name)) is not None]
    cores = context.get("cores") or 1
    return float(cores / max([cores, *loads]))


def _alike(specification: Mapping[str, Any], names: Mapping[str, str]) -> tuple[str, ...]:
    """Keys of the runs that tell how long a step takes, the closest first."""
    task, optimizer = specification["task"], specification["optimizer"]
    return (
        digest([task, optimizer]),
        digest([task, _components(optimizer)]),
        digest([task, names["study"], names["optimizer"]]),
    )


def _names(names: Mapping[str, str]) -> str:
    return " ".join(names[name] for name in ("task", "optimizer"))


def _components(node: Any) -> Any:
    """A specification without its numbers."""
    if isinstance(node, Mapping):
        return {name: _components(value) for name, value in node.items()}
    return node if isinstance(node, bool | str) else None
