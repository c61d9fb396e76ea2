"""What hitting times say: tables by value of every quantity, the two laws beside each other, and a figure."""

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from polystep.report.charts import COLOURS, Chart, Line, Panel, Style
from polystep.report.table import Column, Table, number_column, text_column
from scripts.theory.hitting_laws import ONE_BY_ONE, QUANTITIES
from scripts.theory.study import Found, Section

Row = Mapping[str, Any]
TITLES = dict(zip(QUANTITIES, ("subspace dimension d", "hidden layers L", "units W", "probe radius"), strict=True))


def hitting_section(found: Found, steps: int, quiet: int) -> Section:
    """All of it. steps: the limit of every run. quiet: steps without a better candidate that make a local optimum."""
    rows, laws, compared = found["hitting_time"], found["laws"], found["held_out"]
    improved = [time is not None for row in rows for time in row["improved_at"]]
    never = sum(not any(time is not None for time in row["improved_at"]) for row in rows)
    held = [row | {"held_out": _left_out(row)} for row in compared]
    panels = tuple(_panel(rows, laws, quantity) for quantity in QUANTITIES)
    missed = f"in {never} of {len(rows)} settings none did, so no wall was found there"
    if not never:
        missed = f"in each of the {len(rows)} settings some run did"
    return Section(
        "Hitting times of a piecewise-constant loss",
        "How many steps and candidates does it take until the share of wrong answers of a threshold network falls, "
        "and until no probe finds anything better? Do these times grow like powers of d, L and W, or exponentially?",
        (
            Table(
                "theory_hitting_time",
                "Hitting times by value, over the settings that have it",
                _columns(steps),
                _by_value(rows, steps),
            ),
            Table("theory_hitting_laws", "Laws of the first improvement", _LAWS, [_fitted(row) for row in laws]),
            Table(
                "theory_hitting_held_out", "Log-likelihood of settings that a law was not fitted to", _HELD_OUT, held
            ),
        ),
        (Chart("theory_hitting_time", "How rarely the first step improves", "", (panels[:2], panels[2:])),),
        (
            f"{sum(improved):,} of {len(improved):,} runs improved within {steps} steps; {missed}. Of all combinations "
            "of the values every fourth is run. " + " ".join(map(_verdict, held)),
            "In both laws each run has its own chance of improving in a step, drawn from a beta law whose precision is in "
            "the table: the log odds against an improvement are linear in log d, log L, log W, or in d, L, "
            "W; in both the probe radius enters as its logarithm. A precision below 1 says that runs improve at "
            "once or hardly ever: a subspace that is kept either holds a better point in reach or not. Standard "
            "errors are over settings.",
            "What this can tell: from random starts and over these small sizes, whether times to the first "
            "improvement explode. What it cannot: confirm or refute the paper's bound, whose constants are not "
            "public and which bounds from above; speak of large networks, or of the rarer improvements late in "
            f"training. A local optimum means here that {quiet} steps in a row, each with a fresh rotation, saw "
            "nothing better; with the shortest probes many starts are such points, because no probe reaches a wall.",
        ),
    )


def _by_value(rows: Sequence[Row], steps: int) -> list[dict[str, Any]]:
    return [
        {"quantity": TITLES[quantity], "value": value, **_summary(own, steps)}
        for quantity in QUANTITIES
        for value, own in _groups(rows, quantity)
    ]


def _groups(rows: Sequence[Row], quantity: str) -> Iterator[tuple[float, list[Row]]]:
    for value in sorted({row[quantity] for row in rows}):
        yield value, [row for row in rows if row[quantity] == value]


def _summary(rows: Sequence[Row], steps: int) -> dict[str, Any]:
    improved = [_number(time) for row in rows for time in row["improved_at"]]
    settled = [_number(time) for row in rows for time in row["settled_at"]]
    candidates = [_number(time) * 2 * row["dimension"] for row in rows for time in row["improved_at"]]
    within = {f"within_{n}": sum(time <= n for time in improved) / len(improved) for n in _marks(steps)}
    return {
        "runs": len(improved),
        **within,
        "steps": _finite(median(improved)),
        "candidates": _finite(median(candidates)),
        "settled": sum(map(math.isfinite, settled)) / len(settled),
        "settled_steps": _finite(median(settled)),
    }


def _marks(steps: int) -> tuple[int, ...]:
    return (1, 10, steps)


def _number(time: int | None) -> float:
    return math.inf if time is None else time


def _finite(value: float) -> float | None:
    """None where a median lies beyond the steps that were made."""
    return value if math.isfinite(value) else None


def _fitted(row: Row) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != "mean_chances"}


def _left_out(row: Row) -> str:
    return "one setting at a time" if row["held_out"] == ONE_BY_ONE else f"all of the largest {TITLES[row['held_out']]}"


def _verdict(row: Row) -> str:
    difference, error = row["difference"], row["standard_error"]
    if error is None or abs(difference) < 2 * error:
        return f"Left out {row['held_out']}: undecided (polynomial minus exponential {difference:.0f})."
    better = "polynomial" if difference > 0 else "exponential"
    return f"Left out {row['held_out']}: the {better} law predicts better, by {abs(difference):.0f} ± {error:.0f}."


def _panel(rows: Sequence[Row], laws: Sequence[Row], quantity: str) -> Panel:
    values = [value for value, _ in _groups(rows, quantity)]
    measured = [_summary(own, 1)["within_1"] for _, own in _groups(rows, quantity)]
    lines = [
        Line("measured", Style(COLOURS[0], "o"), values, [1 / max(share, 1e-3) for share in measured], steps=False)
    ]
    for place, law in enumerate(laws, 1):
        chances = [
            [chance for row, chance in zip(rows, law["mean_chances"], strict=True) if row[quantity] == value]
            for value in values
        ]
        expected = [len(own) / sum(own) for own in chances]
        lines.append(
            Line(f"{law['law']} law", Style(COLOURS[place], "s"), values, expected, steps=False, dashed=place > 1)
        )
    return Panel("", tuple(lines), x_label=TITLES[quantity], y_label="1 / chance of a step", log_y=True)


def _columns(steps: int) -> tuple[Column, ...]:
    return (
        text_column("quantity", "Quantity"),
        number_column("value", "Value", ""),
        number_column("runs", "Runs"),
        *(number_column(f"within_{n}", f"Improved within {n}", "fraction") for n in _marks(steps)),
        number_column("steps", "Median steps"),
        number_column("candidates", "Median candidates"),
        number_column("settled", "At a local optimum", "fraction"),
        number_column("settled_steps", "Median steps to it"),
    )


_LAWS: tuple[Column, ...] = (
    text_column("law", "Law"),
    *(number_column(key, f"Slope, {title}", "") for key, title in TITLES.items()),
    number_column("precision", "Precision", ""),
    number_column("log_likelihood", "Log-likelihood"),
)
_HELD_OUT = (
    text_column("held_out", "Left out"),
    number_column("polynomial", "Polynomial"),
    number_column("exponential", "Exponential"),
    number_column("difference", "Difference"),
    number_column("standard_error", "Standard error"),
)
