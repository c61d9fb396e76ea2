"""How long planned runs take, learnt from records of earlier ones."""

import json
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any


class RecordedMinutes:
    """Median wall minutes of finished runs, by settings (whatever the seed) and by study, task and optimiser."""

    def __init__(self, *places: Path):
        """`places`: folders of bundles (*.jsonl) or of runs (*/run.json); what cannot be read tells nothing."""
        found: dict[Any, list[float]] = defaultdict(list)
        for content in (content for place in places for content in _records(place)):
            if isinstance(content, dict) and content.get("status") == "finished" and "cell_id" in content:
                for key in (content["cell_id"], _names(content["names"])):
                    found[key].append(content["wall_seconds"] / 60)
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


def _records(place: Path) -> Iterable[Any]:
    for path in sorted(place.glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            yield _parsed(line)
    for path in sorted(place.glob("*/run.json")):
        yield _parsed(path.read_text(encoding="utf-8", errors="replace"))


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
