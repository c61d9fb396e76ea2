"""Tables as CSV, Markdown and LaTeX: one renderer for each, used by all tables."""

import csv
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from polystep.bench.quantities import CensoredMedian, Difference, Estimate, Points, Quantity
from polystep.files import write_text

MISSING = "—"

Cell = str | int | Quantity | Points | Estimate | Difference | CensoredMedian | tuple[str, ...] | None


@dataclass(frozen=True)
class Column:
    """One column: its name in CSV files and its title for readers.

    `parts` are the attributes of the cells (`polystep.bench.quantities`) that the CSV file keeps, each in a column
    `<name>_<part>`; a column without parts holds text or integers. A column without a title is only in the CSV file.
    """

    name: str
    title: str
    parts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """What a table says, in no format yet; `notes` are sentences that every format for readers shows with it."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: list[dict[str, Cell]]
    notes: tuple[str, ...] = ()

    @property
    def shown(self) -> list[Column]:
        """The columns for readers."""
        return [column for column in self.columns if column.title]


def to_csv(table: Table) -> str:
    """All digits and all seeds; unscaled units; missing values are empty cells."""
    output = io.StringIO()
    writer = csv.writer(output, lineterminator="\n")
    writer.writerow(f"{c.name}_{part}" if part else c.name for c in table.columns for part in c.parts or ("",))
    for row in table.rows:
        writer.writerow(_csv_text(row.get(c.name), part) for c in table.columns for part in c.parts or ("",))
    return output.getvalue()


def to_markdown(table: Table) -> str:
    """Pipe table, with the notes as a list below it."""

    def line(cells: list[str]) -> str:
        return "| " + " | ".join(cells) + " |"

    rules = ["---:" if is_numeric(table, column) else "---" for column in table.shown]
    lines = [line([escape_markdown(c.title) for c in table.shown]), line(rules)]
    lines += [line(cells) for cells in _shown(table, escape_markdown)]
    if not table.rows:
        lines += ["", "No rows: no finished run has anything to show here."]
    return "\n".join([*lines, "", *(f"- {escape_markdown(note)}" for note in table.notes)]).rstrip() + "\n"


def to_latex(table: Table) -> str:
    r"""A `table*` with title and notes as caption; needs `\usepackage{booktabs, graphicx}`."""

    def line(cells: list[str]) -> str:
        return " & ".join(cells) + r" \\"

    caption = " ".join(escape_latex(sentence) for sentence in (f"{table.title}.", *table.notes))
    alignment = "".join("r" if is_numeric(table, column) else "l" for column in table.shown)
    lines = [
        r"\begin{table*}",
        r"\centering",
        rf"\caption{{{caption}}}",
        r"\resizebox{\textwidth}{!}{%",
        rf"\begin{{tabular}}{{{alignment}}}",
        r"\toprule",
        line([escape_latex(column.title) for column in table.shown]),
        r"\midrule",
        *(line(cells) for cells in _shown(table, escape_latex)),
        r"\bottomrule",
        r"\end{tabular}}",
        r"\end{table*}",
    ]
    return "\n".join(lines) + "\n"


RENDERERS: dict[str, Callable[[Table], str]] = {".csv": to_csv, ".md": to_markdown, ".tex": to_latex}


def write_table(table: Table, folder: Path) -> list[Path]:
    """Write `<folder>/<name>` in every format, each atomically; raises StorageError where that is impossible."""
    paths = []
    for suffix, render in RENDERERS.items():
        paths.append(folder / f"{table.name}{suffix}")
        write_text(paths[-1], render(table))
    return paths


def file_stem(*parts: str) -> str:
    """A file name without suffix that holds `parts`, with what is not a letter, digit, dot or hyphen replaced."""
    return re.sub(r"[^\w.-]", "_", "_".join(parts))


def escape_markdown(text: str) -> str:
    """`text` on one line, with every character that Markdown would interpret escaped; underscores within words stay."""
    return re.sub(r"([\\`*<>\[\]|]|(?<!\w)_|_(?!\w))", r"\\\1", " ".join(text.split()))


def escape_latex(text: str) -> str:
    """`text` with every character that LaTeX would interpret replaced by what prints it."""
    return "".join(_LATEX.get(character, character) for character in " ".join(text.split()))


_LATEX = {character: "\\" + character for character in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    MISSING: "---",
}


def _shown(table: Table, escape: Callable[[str], str]) -> list[list[str]]:
    cells = [[row.get(column.name) for column in table.shown] for row in table.rows]
    return [[escape(MISSING if cell is None else str(cell)) for cell in row] for row in cells]


def is_numeric(table: Table, column: Column) -> bool:
    """Whether a column holds numbers, which are aligned to the right."""
    return bool(column.parts) or any(isinstance(row.get(column.name), int) for row in table.rows)


def _csv_text(cell: Cell, part: str) -> str:
    value = getattr(cell, part) if part and cell is not None else cell
    if isinstance(value, tuple):
        return " ".join(f"{item[0]}={item[1]:.10g}" if isinstance(item, tuple) else str(item) for item in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.10g}"
    return "" if value is None else str(value)
