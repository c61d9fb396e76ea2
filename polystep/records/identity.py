"""Which run is this: hashes of what decides its numbers."""

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

Specification = Mapping[str, Any]
"""Task, optimiser, budget, evaluation, protocol, edition and seed of a run (`polystep.bench.specification`)."""


def settings_id(specification: Specification) -> str:
    """What is known of a run before it starts: all its settings, its seed among them."""
    return digest(specification)


def cell_id(specification: Specification) -> str:
    """Shared by the runs that differ in their seed only: a mean over other runs would describe no experiment."""
    return digest({key: value for key, value in specification.items() if key != "seed"})


def run_id(specification: Specification, data: str, context: Mapping[str, Any]) -> str:
    """What a run computed: its settings, its data and, where its budget is in seconds, the machine that they passed on.

    data: fingerprint of the task's data. context: its threads, device and processor count where they decide the numbers.
    """
    machine = {}
    if specification["budget"].get("seconds") is not None:
        machine = {name: context[name] for name in ("threads", "device", "processor")}
    return digest({"specification": specification, "data": data, "machine": machine})


def digest(content: Any) -> str:
    """First 16 hexadecimal digits of SHA-256 over canonical JSON."""
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()[:16]


def canonical_json(content: Any) -> str:
    """JSON that is the same for equal content, whatever the order of keys."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)


def canonical_number(value: float) -> float | int | str:
    """One way to write each number: 300.0 as 300, and what JSON lacks as the texts "inf", "-inf" and "nan"."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return int(value) if float(value).is_integer() else value
