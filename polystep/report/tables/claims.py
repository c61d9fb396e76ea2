"""Verdicts on the claims of both editions, and the conditions that decide them, as `polystep.report.claims` judges them."""

from collections.abc import Iterator

from pandas import DataFrame

from polystep.report.claims.texts import bound_text, value_text
from polystep.report.material import VERDICTS, Material
from polystep.report.table import Column, Row, Table, number_column, text_column
from polystep.report.text import number_text, plain

_NAME = Column("Claim", lambda row: plain(row["claim"]).replace("_", " "))
_PROTOCOL = text_column("edition", "Edition"), Column("Protocol", lambda row: plain(row["axis"]).replace("_", " "))
_VALUES = (
    Column("Must be", bound_text),
    Column("Published", lambda row: number_text(row["published"], row["unit"], row["difference"]), "published"),
    Column("Here", value_text, "value"),
    number_column("seeds", "Seeds"),
)
_MET = Column("Conditions met", lambda row: f"{row['met']} of {row['conditions']}", "met")
_VERDICT, _REASON = text_column("verdict", "Verdict"), text_column("reason", "Why")


def tables(material: Material) -> Iterator[Table]:
    """A row per claim, edition and axis; on the page a row per condition."""
    if material.verdicts is not None:
        said, decisive = text_column("statement", "It says", 300), text_column("condition", "Decided by")
        columns = (_NAME, said, *_PROTOCOL, _VERDICT, _MET, decisive, *_VALUES, *_source(material.verdicts), _REASON)
        notes = (
            "A claim holds where all of its conditions do; the one that decides is shown. Here: mean over the seeds that the "
            "claim names, which may be fewer than other tables have, differences paired by seed; with its 95 % interval "
            "(Student's t, which cannot know of failures that no seed shows). Where seeds reach the best possible "
            "score, the interval runs from the lower end of the median to the largest mean that the scores leave possible. A "
            "claim of k conditions fails if one is outside with an interval of 100 - 5/k %, which corrects for k "
            "tests. Only complete runs of unmodified code with the settings of the study decide anything; others are altered. "
            "Reasons in full: verdicts.csv.",
            "Must be: the bound, widened by the tolerance of the claim (configs/statements/claims.yaml), so that a method that "
            "matches another may be slightly behind it.",
        )
        yield Table("verdicts", "Verdicts", columns, _rows(material.verdicts), notes, VERDICTS, summary=True)
    if material.conditions is not None:
        compared = text_column("condition", "What is compared")
        shown = (_NAME, *_PROTOCOL, compared, *_VALUES, *_source(material.conditions), _VERDICT, _REASON)
        yield Table("conditions", "Conditions of the claims", shown, _rows(material.conditions), (), VERDICTS)


def _source(frame: DataFrame) -> list[Column]:
    """Whose runs decide, where own ones are judged beside committed ones."""
    return [text_column("source", "Runs")] if any(frame["source"]) else []


def _rows(frame: DataFrame) -> list[Row]:
    """Rows of a frame of conditions or verdicts, with the number of seeds, without what readers do not see."""
    rows = frame.drop(columns=["run_ids"]).to_dict("records")
    return [{**row, "seeds": len(row["seeds"])} for row in rows]
