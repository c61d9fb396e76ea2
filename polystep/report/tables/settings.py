"""Runs whose settings are not those of their study: shown apart, by what differs."""

from collections.abc import Iterator

from polystep.report.material import Material, family_section
from polystep.report.rows import AXIS, METHOD, SEEDS, STEP_SECONDS, TASK, TEST, group_row
from polystep.report.table import Table, text_column
from polystep.report.text import file_stem


def tables(material: Material) -> Iterator[Table]:
    """One table for each family that has such runs."""
    altered = [group for group in material.groups if not group.is_own and group["protocol"] != "tuning"]
    for family in sorted({str(group["family"]) for group in altered}):
        rows = [
            {**group_row(group, test="test_selected"), "altered": ", ".join(group["altered"])}
            for group in altered
            if group["family"] == family
        ]
        columns = (TASK, AXIS, METHOD, text_column("altered", "Unlike the study"), SEEDS, TEST, STEP_SECONDS)
        title = f"{family_section(family)}: other settings than those of the study"
        note = "These runs count for no claim and no rank."
        yield Table(file_stem("settings", family), title, columns, rows, (note,), family_section(family))
