"""Verdicts on the claims of both editions, and the conditions that decide them, as `polystep.report.claims` judges them."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from polystep.report.claims.texts import bound_text, value_text
from polystep.report.material import VERDICTS, Material
from polystep.report.table import Column, Row, Table, number_column, text_column
from polystep.report.text import number_text, plain

if TYPE_CHECKING:
    from pandas import DataFrame


def tables(material: Material) -> Iterator[Table]:
    """A row per claim, edition and axis; on the page a row per condition."""
    columns: Sequence[Column]
    if material.verdicts is not None:
        columns = (
            text_column("statement", "Claim", 300),
            *_VALUES,
            text_column("verdict", "Verdict"),
            text_column("reason", "Why"),
        )
        notes = (
            "A claim holds where all of its conditions do; the one that decides is shown. Here: mean over seeds with its 95 % "
            "interval. Only complete runs of unmodified code with the settings of the study decide anything.",
        )
        yield Table("verdicts", "Verdicts", columns, condition_rows(material.verdicts), notes, VERDICTS, summary=True)
    if material.conditions is not None:
        columns = (text_column("claim", "Claim"), *CONDITION_COLUMNS)
        yield Table(
            "conditions", "Conditions of the claims", columns, condition_rows(material.conditions), (), VERDICTS
        )


def _number(value: Any, row: Row) -> str:
    return number_text(value, row["unit"], bool(row.get("difference")))


_VALUES = (
    text_column("edition", "Edition"),
    Column("Protocol", lambda row: plain(row["axis"]).replace("_", " ")),
    Column("Must be", bound_text),
    Column("Published", lambda row: _number(row["published"], row), "published"),
    Column("Here", value_text, "value"),
    text_column("source", "Runs"),
)

CONDITION_COLUMNS = (
    text_column("condition", "What is compared"),
    *_VALUES,
    number_column("seeds", "Seeds"),
    text_column("verdict", "Verdict"),
    text_column("reason", "Why"),
)


def condition_rows(frame: "DataFrame") -> list[Row]:
    """Rows of a frame of conditions or verdicts, without what readers do not see."""
    rows: list[dict[str, Any]] = frame.to_dict("records")
    for row in rows:
        row["seeds"] = len(row["seeds"]) if isinstance(row["seeds"], list | tuple) else row["seeds"]
    return [{key: value for key, value in row.items() if key not in ("run_ids", "better_known")} for row in rows]
