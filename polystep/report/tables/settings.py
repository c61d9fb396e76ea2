"""Runs whose settings are not those of their study: shown apart, by what differs."""

from collections.abc import Iterator

from polystep.report.material import Material, family_section
from polystep.report.table import RUNS, Table, number_column, spread_column, spread_values, text_column
from polystep.report.text import file_stem


def tables(material: Material) -> Iterator[Table]:
    """One table for each family that has such runs."""
    altered = [group for group in material.groups if not group.is_own and group["protocol"] != "tuning"]
    for family in sorted({str(group["family"]) for group in altered}):
        rows = [
            {
                "task": group["task"],
                "axis": group.axis,
                "method": group.label,
                "altered": ", ".join(group["altered"]),
                "seeds": len(group.runs),
                "unit": group["unit"],
                **spread_values("test", group.spread("test_selected")),
                **spread_values("step_seconds", group.spread("step_seconds")),
                RUNS: group.key,
            }
            for group in altered
            if group["family"] == family
        ]
        columns = (
            text_column("task", "Task"),
            text_column("axis", "Protocol"),
            text_column("method", "Method"),
            text_column("altered", "Unlike the study"),
            number_column("seeds", "Seeds"),
            spread_column("test", "Test, validation-selected"),
            spread_column("step_seconds", "Step seconds", "seconds"),
        )
        title = f"{family_section(family)}: other settings than those of the study"
        note = "These runs count for no claim and no rank."
        yield Table(file_stem("settings", family), title, columns, rows, (note,), family_section(family))
