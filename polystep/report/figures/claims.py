"""A strip of claims: how far the deciding value of each lies inside its bound, with its interval."""

from collections.abc import Iterator
from typing import Any

from polystep.report.charts import Chart, Dot, Panel
from polystep.report.material import VERDICTS, Material
from polystep.report.text import finite, plain, unit_of

LOOKS = {"holds": ("#2a8f57", "o"), "does not hold": ("#c23b3b", "X"), "undecided": ("#b5811c", "d")}
"""Colour and marker of each verdict."""
_LINEAR_WITHIN = 1.0


def charts(material: Material) -> Iterator[Chart]:
    """One chart: a panel for each unit, a line for each claim, edition and axis whose value is known."""
    if material.verdicts is None:
        return
    panels: dict[str, list[Dot]] = {}
    for row in material.verdicts.to_dict("records"):
        unit = unit_of(row["unit"])
        if dot := _dot(row, unit.scale):
            panels.setdefault(unit.difference.strip() or str(row["unit"]) or "return", []).append(dot)
    if panels:
        rows = tuple(
            (Panel(f"{name}, beyond the bound", dots=tuple(dots), linear_within=_LINEAR_WITHIN, level=0.0),)
            for name, dots in panels.items()
        )
        shown, verdicts = sum(map(len, panels.values())), len(material.verdicts)
        left_out = f" {verdicts - shown} of {verdicts} verdicts have no value yet." if shown < verdicts else ""
        note = (
            "The condition that decides each claim (names as in the table of verdicts), as the distance of its value to the "
            "bound: right of zero it is met. Lines: 95 % intervals over seeds. Green circle: holds; red cross: does not hold; "
            f"ochre diamond: undecided. The axis is logarithmic beyond {_LINEAR_WITHIN:g}.{left_out}"
        )
        yield Chart("claims", "Claims: values against bounds", VERDICTS, rows, (note,), summary=True, first=True)


def _dot(row: dict[str, Any], scale: float) -> Dot | None:
    """The condition turned so that the closer bound is at zero and the allowed side on the right."""
    value, lowest, highest = finite(row["value"]), row["bound_low"], row["bound_high"]
    if value is None:
        return None
    sign, bound = (1, lowest) if value - lowest <= highest - value else (-1, highest)
    ends = sorted(sign * (end - bound) * scale for name in ("low", "high") if (end := finite(row[name])) is not None)
    label = plain(f"{row['edition']}: {row['claim']}, {row['axis']}".replace("_", " "), 60)
    colour, marker = LOOKS[str(row["verdict"])]
    low, high = ends if len(ends) == 2 else (None, None)
    return Dot(label, sign * (value - bound) * scale, colour, low, high, marker=marker)
