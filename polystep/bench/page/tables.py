"""Tables of the report as HTML: sortable, every cell a link to the runs behind it."""

from collections.abc import Mapping, Sequence, Set
from typing import Any

from polystep.bench.page.markup import Markup, element, join
from polystep.bench.rendering import MISSING, Cell, Column, Table, is_numeric

_LONG_TABLE = 12
_SORT_BY = ("mean", "median", "value")
_BELOW = {"metric": "task", "study": "method", "protocol": "method"}
"""Columns that stand in small print below another one, so that scores come into sight on narrow screens."""


class RunLinks:
    """Where on the page the runs behind a cell are: anchors of groups, by the names of their runs."""

    def __init__(self, groups: Sequence[Sequence[str]]) -> None:
        self._places = {name: place for place, names in enumerate(groups) for name in names}

    def anchor(self, place: int) -> str:
        """The identifier of a group."""
        return f"g{place}"

    def target(self, names: Sequence[str]) -> str | None:
        """The fragment that shows the groups of these runs; None where none of them is on the page."""
        places = dict.fromkeys(self._places[name] for name in names if name in self._places)
        return "#" + ",".join(self.anchor(place) for place in places) if places else None


def html_table(table: Table, links: RunLinks, verdicts: bool = False) -> Markup:
    """The table with its notes; `verdicts` shows columns named like that as badges."""
    present = {column.name for column in table.shown}
    columns = [column for column in table.shown if _BELOW.get(column.name) not in present]
    below = [column for column in table.shown if column not in columns]
    numeric = {column.name for column in columns if is_numeric(table, column)}
    head = element("tr", *(_heading(column, column.name in numeric) for column in columns))
    rows = [_row(row, columns, below, numeric, links, verdicts) for row in table.rows]
    empty = element("p", "No finished run has anything to show here.", class_="quiet") if not rows else None
    search = element("input", type="search", placeholder="filter rows", aria_label=f"Filter rows of {table.title}")
    body = element("table", element("thead", head), element("tbody", *rows))
    return element(
        "section",
        element(
            "div",
            element("h3", table.title),
            search if len(rows) > _LONG_TABLE else None,
            class_="title",
        ),
        empty or element("div", body, class_="scroll", tabindex="0", role="region", aria_label=table.title),
        notes(table.notes),
        class_="table",
        id=f"table-{table.name}",
    )


def notes(sentences: Sequence[str]) -> Markup | None:
    """Sentences below a table, folded away."""
    if not sentences:
        return None
    items = element("ul", *(element("li", sentence) for sentence in sentences))
    return element("details", element("summary", "How to read this"), items, class_="notes")


def badge(verdict: str) -> Markup:
    """A verdict in its colour, which its words say too."""
    return element("span", verdict, class_=f"badge {verdict.replace(' ', '-')}")


def _heading(column: Column, right: bool) -> Markup:
    return element(
        "th", element("button", column.title, type="button"), scope="col", class_="number" if right else None
    )


def _row(
    row: Mapping[str, Cell],
    columns: Sequence[Column],
    below: Sequence[Column],
    numeric: Set[str],
    links: RunLinks,
    verdicts: bool,
) -> Markup:
    sources = row.get("sources")
    target = links.target(sources) if isinstance(sources, tuple) else None
    cells = []
    for column in columns:
        cell = row.get(column.name)
        content: Any = MISSING if cell is None or cell == "" else str(cell)
        if verdicts and "verdict" in column.name and cell:
            content = badge(content)
        if target and content != MISSING:
            content = element("a", content, href=target)
        small = _small_print(row, [other for other in below if _BELOW[other.name] == column.name])
        more = element("small", small) if small else None
        kind = "number" if column.name in numeric else None
        cells.append(element("td", content, more, class_=kind, data_v=_sort_key(cell)))
    return element("tr", join(*cells))


def _small_print(row: Mapping[str, Cell], columns: Sequence[Column]) -> str:
    """The values of columns that stand below another, with their names, and a study of the name of its protocol once."""
    values = {column.name: str(row.get(column.name) or MISSING) for column in columns}
    if values.get("study", "").replace("_", "-") == values.get("protocol"):
        del values["study"]
    return ", ".join(value if name == "metric" else f"{name} {value}" for name, value in values.items())


def _sort_key(cell: Cell) -> str | None:
    """What the cell is sorted by; None: its text."""
    if isinstance(cell, int):
        return str(cell)
    for name in _SORT_BY:
        value = getattr(cell, name, None)
        if isinstance(value, float | int):
            return f"{value:.10g}"
    return None
