"""Build tables, figures, REPORT.md and report.html from records:  python -m scripts.report results/records --output results

Takes folders of runs, folders of bundles, and bundles (.jsonl, .jsonl.xz), several of them.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pandas import concat

from polystep.contracts import ExpectedError
from polystep.report import load_runs
from polystep.report.build import ReportSummary, build_report
from polystep.report.claims.statements import Statement, read_statements
from polystep.report.claims.texts import summary_lines
from polystep.report.runs import COMMITTED as COMMITTED_RUNS
from polystep.report.runs import OWN
from scripts.console import COMMITTED, CONFIGS, RECORDS, RESULTS, console, explain, guarded, say
from scripts.sweep import plan

STATEMENTS = CONFIGS / "statements"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; exit status 0 when the report was written, 2 after an explained failure."""
    parser = argparse.ArgumentParser(prog="python -m scripts.report", description="Build the report from records.")
    parser.add_argument(
        "records", type=Path, nargs="*", default=[RECORDS], help=f"folders of runs and bundles (default: {RECORDS})"
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=RESULTS,
        help="folder of the report, its tables and figures (default: %(default)s)",
    )
    parser.add_argument("--profile", help="say which runs of this profile (configs/profile) have no finished record")
    options = parser.parse_args(arguments)
    try:
        expected = expected_runs(options.profile) if options.profile else {}
        show_summary(write_report(options.records, options.output, expected))
    except ExpectedError as error:
        return explain(error)
    return 0


def write_report(places: Sequence[Path], output: Path, expected: dict[str, str]) -> ReportSummary:
    """Build the report of all runs in `places`; raises ExpectedError where one does not exist or none holds a finished run."""
    runs, judged = load_runs(*places), None
    own = [place for place in places if place.resolve() != COMMITTED.resolve()]
    if own and len(own) < len(places):
        # a run that was repeated counts on both sides
        sides = load_runs(*own).assign(origin=OWN), load_runs(COMMITTED).assign(origin=COMMITTED_RUNS)
        judged = concat(sides, ignore_index=True)
    return build_report(runs, output, *statements(), expected, judged)


def statements() -> tuple[list[Statement], list[Statement]]:
    """What every report judges: the claims of both editions, and what the published runs really did."""
    return read_statements(STATEMENTS / "claims.yaml"), read_statements(STATEMENTS / "published_runs.yaml")


def expected_runs(profile: str) -> dict[str, str]:
    """What the runs of a profile are known by before they start, by their title."""
    _, runs = plan([f"profile={profile}"])
    return {run.planned.title: run.identity for run in runs}


def show_summary(summary: ReportSummary) -> None:
    """Print the verdicts, what is wrong or missing, and where the report is."""
    for line in summary_lines(summary.conditions) if summary.conditions is not None else ():
        say(line)
    for kind, sentences in summary.problems.items():
        console.print(f"{kind}: {len(sentences)}", style="bold yellow", markup=False)
    console.print(f"report from {summary.finished} finished runs", style="bold", markup=False)
    for path in (path for path in summary.written if path.name in ("report.html", "REPORT.md")):
        say(f"  {path}")


if __name__ == "__main__":
    sys.exit(guarded(main))
