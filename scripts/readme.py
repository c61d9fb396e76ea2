"""Rewrite the block of results in README.md from the committed records:  python -m scripts.readme

Run it after  python -m scripts.report results/records --output results --profile claims
which draws the figures that the block links to.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from polystep.contracts import ExpectedError
from polystep.files import StorageError, write_text
from polystep.report import load_runs
from polystep.report.claims.judge import FAILS, HOLDS, NOT_RUN, UNDECIDED, judge, verdicts
from polystep.report.figures import claims, five_networks
from polystep.report.material import Material
from polystep.report.published import EDITIONS
from polystep.report.table import Table, number_column, spread_column, text_column, to_markdown
from polystep.report.tables import headline
from polystep.report.text import for_markdown
from scripts.console import COMMITTED, ROOT, console, explain, guarded
from scripts.report import statements

README = ROOT / "README.md"
START, END = "<!-- results: python -m scripts.readme -->", "<!-- end of results -->"
_VERDICTS = (HOLDS, FAILS, UNDECIDED, NOT_RUN)
_COLUMNS = (
    text_column("task", "Task"),
    *(spread_column(edition, f"published, {title}") for edition, title in EDITIONS.items()),
    spread_column("default", "default settings"),
    spread_column("equal_seconds", "equal seconds"),
    number_column("seconds", "seconds each", "seconds"),
    headline.method_column("rival", "best black-box rival, equal seconds"),
    headline.method_column("gradients", "gradients, equal seconds"),
)
_CLAIMANTS = {"first": "the first edition", "revised": "the revised edition", "ours": "this project"}
_NOTES = (
    "Scores of PolyStep; the last two columns are of other methods. Test accuracy, share of satisfied clauses, or return: mean "
    "± standard deviation over seeds, n if there are fewer than five. Default settings: ours, study=default. Equal seconds: "
    "every method gets the seconds named, on one core. Best black-box rival: of the methods that use losses alone, the one "
    "with the best validation score; here finite differences count, too. The task maxsat_100v is task=maxsat "
    "task.variables=100, cartpole_int8 is task=cartpole task.activation=int8.",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; exit status 0 when the block is up to date, 2 after an explained failure."""
    argparse.ArgumentParser(
        prog="python -m scripts.readme", description="Rewrite the block of results in README.md."
    ).parse_args(arguments)
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
    """The figures of networks and of claims, a table of scores, and each edition's number of verdicts, in Markdown."""
    runs = load_runs(records)
    conditions = judge(runs, statements()[0])
    material = Material(runs, conditions)
    counts = (
        verdicts(conditions)
        .groupby("edition", sort=False)["verdict"]
        .value_counts()
        .unstack()
        .reindex(columns=_VERDICTS)
    )
    rows = [
        {"edition": _CLAIMANTS.get(edition, edition), **found}
        for edition, found in counts.fillna(0).astype(int).to_dict("index").items()
    ]
    columns = [text_column("edition", "Claims of"), *(number_column(verdict, verdict) for verdict in _VERDICTS)]
    figures = [
        f"![{for_markdown(chart.title)}](results/figures/{chart.name}.svg)<br>{for_markdown(' '.join(chart.notes))}\n"
        for chart in (*five_networks.charts(material), *claims.charts(material))
    ]
    scores = [replace(table, columns=_COLUMNS, notes=_NOTES) for table in headline.tables(material)]
    tables = [*scores, Table("verdicts", "", columns, rows)]
    return "\n" + "\n".join([*figures, *map(to_markdown, tables)]) + "\n"


if __name__ == "__main__":
    sys.exit(guarded(main))
