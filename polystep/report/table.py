"""Tables: rows of plain values, and how readers see them; formatting happens when a table is written, not before."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas

from polystep.files import write_text
from polystep.report.text import LONGEST, MISSING, for_markdown, interval_text, number_text, plain, spread_text

Row = Mapping[str, Any]
RUNS = "group"
"""The key of a row that names the group of runs behind it, for links."""
_LONGEST_CELL = 1000
"""Characters of a cell in the files of a table."""


@dataclass(frozen=True)
class Column:
    """A column for readers.

    show: the text of a row. number: the key of the value, or of the tuple, that is written to files; None: it holds text.
    best: the key that is true in rows whose cell is to be highlighted. parts: of a tuple, as they end the names of
    columns of the file.
    """

    title: str
    show: Callable[[Row], str]
    number: str | None = None
    best: str | None = None
    parts: tuple[str, ...] = ("",)


@dataclass(frozen=True)
class Table:
    """Rows of numbers, texts, `Spread`s, `Interval`s and None, the columns that show them, and sentences that belong to them.

    summary: shown by REPORT.md, else by the page, in `section` of either.
    """

    name: str
    title: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    notes: Sequence[str] = ()
    section: str = ""
    summary: bool = False


def text_column(key: str, title: str, longest: int = LONGEST) -> Column:
    """A column of text."""
    return Column(title, lambda row: MISSING if row.get(key) in (None, "") else plain(row[key], longest))


def number_column(key: str, title: str, unit: str | None = "count") -> Column:
    """A column of numbers; of the unit that the row names where `unit` is None."""
    return Column(title, lambda row: number_text(row.get(key), _unit(row, unit)), key)


def spread_column(key: str, title: str, unit: str | None = None, best: str | None = None) -> Column:
    """A column of `Spread`s; of the unit that the row names where `unit` is None."""
    parts = ("_mean", "_std", "_n")
    return Column(title, lambda row: spread_text(row.get(key), _unit(row, unit)), key, best, parts)


def _unit(row: Row, unit: str | None) -> Any:
    return row.get("unit") if unit is None else unit


def interval_column(key: str, title: str, sign: bool = False) -> Column:
    """A column of `Interval`s in the unit that the row names."""

    def show(row: Row) -> str:
        value, low, high = row[key]
        return interval_text(value, low, high, row.get("unit"), sign)

    return Column(title, show, key, parts=("", "_low", "_high"))


def telling_columns(table: Table) -> list[Column]:
    """Those that say something in some row."""
    return [column for column in table.columns if any(column.show(row) != MISSING for row in table.rows)]


def to_csv(table: Table) -> str:
    """All values to nine digits, in base units (fractions, seconds, bytes); unknown ones are empty cells."""
    parts: dict[str, tuple[str, ...]] = {key: ("",) for row in table.rows for key in row if key != RUNS}
    parts |= {column.number: column.parts for column in table.columns if column.number in parts}
    names = [f"{key}{part}" for key, endings in parts.items() for part in endings]
    rows = [
        [_cell(value) for key, endings in parts.items() for value in _values(row.get(key), len(endings))]
        for row in table.rows
    ]
    return str(pandas.DataFrame(rows, columns=names, dtype=object).to_csv(index=False))


def _values(value: Any, count: int) -> Sequence[Any]:
    return value[:count] if isinstance(value, tuple) else [value, *[None] * (count - 1)]


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return plain(value, _LONGEST_CELL)
    return float(f"{value:.9g}") if isinstance(value, float) else value


def to_markdown(table: Table) -> str:
    """Pipe table, with the notes as a list below it."""
    lines = [
        "| " + " | ".join(for_markdown(column.title) for column in table.columns) + " |",
        "| " + " | ".join("---:" if column.number else "---" for column in table.columns) + " |",
    ]
    for row in table.rows:
        cells = [(for_markdown(column.show(row)), is_best(column, row)) for column in table.columns]
        lines.append("| " + " | ".join(f"**{cell}**" if best else cell for cell, best in cells) + " |")
    return "\n".join([*lines, "", *(f"- {for_markdown(note)}" for note in table.notes)]).rstrip() + "\n"


def to_latex(table: Table) -> str:
    r"""The table with its title and notes as caption; needs `\usepackage{booktabs}`."""
    shown = pandas.DataFrame([[c.show(row) for c in table.columns] for row in table.rows])
    shown.columns = pandas.Index([column.title for column in table.columns])
    caption = " ".join(_LATEX.sub(r"\\\g<0>", text) for text in (f"{table.title}.", *table.notes))
    return str(
        shown.map(lambda text: plain(text, _LONGEST_CELL)).to_latex(
            index=False, escape=True, caption=caption, position="ht"
        )
    )


_LATEX = re.compile(r"[&%$#_{}]")


def is_best(column: Column, row: Row) -> bool:
    """Whether the cell is to be highlighted."""
    return column.best is not None and row.get(column.best) is True


def write_table(table: Table, folder: Path) -> list[Path]:
    """Write `<folder>/<name>.csv`, and .tex where it is part of the summary; raises StorageError where that is impossible."""
    written = {folder / f"{table.name}.csv": to_csv(table)}
    if table.summary and table.rows:
        written[folder / f"{table.name}.tex"] = to_latex(table)
    for path, text in written.items():
        write_text(path, text)
    return list(written)
