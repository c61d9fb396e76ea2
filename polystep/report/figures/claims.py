"""A strip of claims: how far the deciding value of each lies inside its bound, with its interval."""

from collections.abc import Iterator
from typing import Any

from polystep.report.charts import Bar, Chart, Panel
from polystep.report.material import VERDICTS, Material
from polystep.report.text import finite, plain, unit_of

COLOURS = {"holds": "#2a8f57", "does not hold": "#c23b3b", "undecided": "#b5811c"}


def charts(material: Material) -> Iterator[Chart]:
    """One chart: a panel for each unit, a line for each claim, edition and axis whose value is known."""
    if material.verdicts is None:
        return
    panels: dict[str, list[Bar]] = {}
    for row in material.verdicts.to_dict("records"):
        unit = unit_of(row["unit"])
        if bar := _bar(row, unit.scale):
            panels.setdefault(unit.difference.strip() or str(row["unit"]), []).append(bar)
    if panels:
        titles = {name: f"{name or 'score'} inside the bound" for name in panels}
        rows = tuple(
            (Panel(titles[name], bars=tuple(bars), linear_within=1.0, level=0.0),) for name, bars in panels.items()
        )
        note = (
            "The condition that decides each claim, as the distance of its value to the bound: right of zero it is met. Lines: "
            "95 % intervals over seeds. Green: holds; red: does not hold; ochre: undecided."
        )
        yield Chart("claims", "Claims: values against bounds", VERDICTS, rows, (note,), summary=True, first=True)


def _bar(row: dict[str, Any], scale: float) -> Bar | None:
    """The condition turned so that the closer bound is at zero and the allowed side on the right."""
    value, lowest, highest = finite(row["value"]), row["bound_low"], row["bound_high"]
    if value is None:
        return None
    sign, bound = (1, lowest) if value - lowest <= highest - value else (-1, highest)
    ends = sorted(sign * (end - bound) * scale for name in ("low", "high") if (end := finite(row[name])) is not None)
    label = plain(f"{row['claim']}, {row['axis']}".replace("_", " "), 60)
    colour = COLOURS.get(str(row["verdict"]), "#7a828c")
    low, high = ends if len(ends) == 2 else (None, None)
    return Bar(label, sign * (value - bound) * scale, colour, low, high)
