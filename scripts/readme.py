"""Rewrite the block of results in README.md from the committed records:  python -m scripts.readme

Run it after  python -m scripts.report --records results/records --output results  which makes the tables and figures that the
block links to.
"""

import sys
from pathlib import Path

from polystep.bench.claims.verdicts import judge_all
from polystep.bench.groups import group_runs
from polystep.bench.headline import headline_figures, headline_table
from polystep.bench.intake import take_in
from polystep.bench.rendering import escape_markdown, to_markdown
from polystep.bench.tuning import TUNING_PROTOCOL
from polystep.contracts import ExpectedError
from polystep.files import StorageError, write_text
from scripts.console import ROOT, console, explain
from scripts.report import statements

README = ROOT / "README.md"
RECORDS = ROOT / "results" / "records"
START, END = "<!-- results: python -m scripts.readme -->", "<!-- end of results -->"


def main() -> int:
    """The command; exit status 0 when the block is up to date, 2 after an explained failure."""
    try:
        text = README.read_text(encoding="utf-8")
        updated = with_results(text, RECORDS)
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
    groups = group_runs(take_in(records).runs)
    shown = [group for group in groups if group.protocol != TUNING_PROTOCOL]
    verdicts = judge_all(statements(), [run for group in groups for run in group.runs])
    lines = ["", to_markdown(headline_table(shown)), "| Claim of the paper | Verdict here |", "| --- | --- |"]
    lines += [f"| {escape_markdown(claim.statement.statement)} | {claim.overall} |" for claim in verdicts.claims]
    for title, stem in headline_figures(shown):
        lines += ["", f"![{title}](results/figures/{stem}.png)"]
    return "\n".join([*lines, "", ""])


if __name__ == "__main__":
    sys.exit(main())
