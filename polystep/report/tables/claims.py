"""Verdicts on the claims of both editions, and the conditions that decide them, as `polystep.report.claims` judges them."""

from collections.abc import Iterator

from pandas import DataFrame

from polystep.report.claims.texts import bound_text, value_text
from polystep.report.material import VERDICTS, Material
from polystep.report.table import Column, Row, Table, number_column, text_column
from polystep.report.text import number_text, plain

_VALUES = (
    text_column("edition", "Edition"),
    Column("Protocol", lambda row: plain(row["axis"]).replace("_", " ")),
    Column("Must be", bound_text),
    Column("Published", lambda row: number_text(row["published"], row["unit"], row["difference"]), "published"),
    Column("Here", value_text, "value"),
    text_column("source", "Runs"),
)
_SEEDS, _JUDGED = number_column("seeds", "Seeds"), (text_column("verdict", "Verdict"), text_column("reason", "Why"))


def tables(material: Material) -> Iterator[Table]:
    """A row per claim, edition and axis; on the page a row per condition."""
    if material.verdicts is not None:
        columns = (text_column("statement", "Claim", 300), *_VALUES, *_JUDGED)
        notes = (
            "A claim holds where all of its conditions do; the one that decides is shown. Here: mean over seeds with its 95 % "
            "interval (Student's t, which cannot know of failures that no seed shows). Where seeds reach the best possible "
            "score, the interval runs from the lower end of the median to the largest mean that the scores leave possible. A "
            "claim of k conditions fails if one is outside with an interval of 100 - 5/k %, which corrects for k "
            "tests. Only complete runs of unmodified code with the settings of the study decide anything; others are altered. "
            "Reasons in full: verdicts.csv.",
            "Must be: the bound, widened by the tolerance of the claim (configs/statements/claims.yaml), so that a method that "
            "matches another may be slightly behind it.",
        )
        yield Table("verdicts", "Verdicts", columns, _rows(material.verdicts), notes, VERDICTS, summary=True)
    if material.conditions is not None:
        names = text_column("claim", "Claim"), text_column("condition", "What is compared")
        shown = (*names, *_VALUES, _SEEDS, *_JUDGED)
        yield Table("conditions", "Conditions of the claims", shown, _rows(material.conditions), (), VERDICTS)


def _rows(frame: DataFrame) -> list[Row]:
    """Rows of a frame of conditions or verdicts, with the number of seeds, without what readers do not see."""
    rows = frame.drop(columns=["run_ids"]).to_dict("records")
    return [{**row, "seeds": len(row["seeds"])} for row in rows]
