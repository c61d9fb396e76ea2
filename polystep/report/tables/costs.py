"""What runs spent: every counter, in total and per step, and the clocks that budgets leave out."""

from collections.abc import Iterator
from typing import Any

from polystep.report.groups import Group
from polystep.report.material import COSTS, Material
from polystep.report.rows import AXIS, METHOD, SEEDS, TASK, mean_of
from polystep.report.table import RUNS, Column, Table, number_column

_COUNTERS = {
    "candidate_evaluations": "Candidates",
    "sample_forwards": "Sample forwards",
    "backward_passes": "Backward passes",
    "clause_checks": "Clause checks",
    "environment_steps": "Environment steps",
}
_CLOCKS = {
    "step_seconds": "Step seconds",
    "seconds_compilation": "Compilation",
    "seconds_validation": "Validation",
    "seconds_preparation": "Preparation",
    "wall_seconds": "Wall seconds",
    "cpu_seconds": "CPU seconds",
}


def tables(material: Material) -> Iterator[Table]:
    """One row per group."""
    rows = [_row(group) for group in material.groups if group["protocol"] != "tuning"]
    columns: list[Column] = [TASK, AXIS, METHOD, SEEDS, number_column("steps", "Steps")]
    for key, title in _COUNTERS.items():
        columns += [number_column(key, title), number_column(f"{key}_per_step", f"{title} per step")]
    columns += [number_column(key, title, "seconds") for key, title in _CLOCKS.items()]
    columns += [
        number_column("milliseconds_per_step", "Milliseconds per step", ""),
        number_column("peak_memory_bytes", "Peak memory", "bytes"),
    ]
    notes = (
        "Means over seeds. Sample forwards: candidates x data rows; backward passes: gradients x data rows; clause checks: "
        "candidates x clauses. Step seconds: optimiser, evaluation and data, which budgets in seconds limit; compilation, "
        "validation and preparation are off that clock.",
        "Peak memory: of the whole process, data and libraries included, plus that of the GPU where one was used.",
    )
    if rows:
        used = [column for column in columns if column.number is None or any(row[column.number] for row in rows)]
        yield Table("costs", "What the runs spent", used, rows, notes, COSTS)


def _row(group: Group) -> dict[str, Any]:
    row: dict[str, Any] = {"task": group["task"], "axis": group.axis, "method": group.label, "seeds": len(group.runs)}
    for key in ("steps", *_COUNTERS, *_CLOCKS, "peak_memory_bytes"):
        row[key] = mean_of(group, key)
    for key in _COUNTERS:
        row[f"{key}_per_step"] = row[key] / row["steps"] if row[key] and row["steps"] else None
    row["milliseconds_per_step"] = (
        1000 * row["step_seconds"] / row["steps"] if row["step_seconds"] and row["steps"] else None
    )
    return row | {RUNS: group.key}
