"""Rewrite the block of results in README.md from the committed records:  python -m scripts.readme

Run it after  python -m scripts.report results/records --output results  which draws the figures that the block links to.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from polystep.contracts import ExpectedError
from polystep.files import StorageError, write_text
from polystep.report import load_runs
from polystep.report.claims import judge, verdicts
from polystep.report.figures import claims, five_networks
from polystep.report.material import Material
from polystep.report.table import Table, text_column, to_markdown
from polystep.report.tables import headline
from polystep.report.text import for_markdown
from scripts.console import COMMITTED, ROOT, console, explain
from scripts.report import statements

if TYPE_CHECKING:
    from pandas import DataFrame

README = ROOT / "README.md"
START, END = "<!-- results: python -m scripts.readme -->", "<!-- end of results -->"
_COLUMNS = (
    text_column("statement", "Claim", 300),
    text_column("edition", "Edition"),
    text_column("verdict", "Verdict here", 300),
)


def main() -> int:
    """The command; exit status 0 when the block is up to date, 2 after an explained failure."""
    try:
        text = README.read_text(encoding="utf-8")
        updated = with_results(text, COMMITTED)
        write_text(README, updated)
    except ExpectedError as error:
        return explain(error)
    console.print(f"{README.name}: {'unchanged' if updated == text else 'results rewritten'}", highlight=False)
    return 0


def with_results(text: str, records: Path) -> str:
    """`text` with what stands between its two markers replaced; raises StorageError where it lacks them."""
    before, start, rest = text.partition(START)
    _, end, after = rest.partition(END)
    if not start or not end:
        raise StorageError(f"{README} lacks the lines {START} and {END}; put them back around the results")
    return f"{before}{start}\n{results_block(records)}{end}{after}"


def results_block(records: Path) -> str:
    """Headline table, verdicts on the claims and two figures, in Markdown."""
    runs = load_runs(records)
    conditions = judge(runs, statements()[0])
    judged = verdicts(conditions)
    material = Material(runs, conditions, judged)
    lines = [to_markdown(table) for table in headline.tables(material)]
    rows = [
        {"statement": statement, "edition": edition, "verdict": _under_each(found)}
        for (_, statement, edition), found in judged.groupby(["claim", "statement", "edition"], sort=False)
    ]
    lines.append(to_markdown(Table("verdicts", "", _COLUMNS, rows)))
    for module in (five_networks, claims):
        lines += [
            f"![{for_markdown(chart.title)}](results/figures/{chart.name}.svg)\n" for chart in module.charts(material)
        ]
    return "\n" + "\n".join(lines) + "\n"


def _under_each(found: "DataFrame") -> str:
    """The verdicts under the axes of a claim, said once where they agree."""
    verdicts_of = {str(row["axis"]).replace("_", " "): str(row["verdict"]) for row in found.to_dict("records")}
    if len(set(verdicts_of.values())) == 1:
        return next(iter(verdicts_of.values()))
    return ", ".join(f"{axis}: {verdict}" for axis, verdict in verdicts_of.items())


if __name__ == "__main__":
    sys.exit(main())
