"""Build tables, figures and REPORT.md from records: `python -m scripts.report [--records results/records]`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from polystep.bench.files import StorageError
from polystep.bench.report import build_report


def main(arguments: Sequence[str] | None = None) -> int:
    """Builds the report and prints what was written and what is missing.

    Returns:
        Exit status: 0 when the report was written, 2 after an explained failure.
    """
    parser = argparse.ArgumentParser(prog="python -m scripts.report", description="Build the report from records.")
    parser.add_argument(
        "--records", type=Path, default=Path("results/records"), help="folder of the runs (default: %(default)s)"
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("results"),
        help="folder of tables, figures and REPORT.md (default: %(default)s)",
    )
    options = parser.parse_args(arguments)
    try:
        summary = build_report(options.records, options.output)
    except StorageError as error:
        Console(stderr=True, soft_wrap=True).print(str(error), markup=False, highlight=False)
        return 2
    console = Console(soft_wrap=True)
    console.print(f"{summary.finished} finished runs in {options.records}", style="bold", markup=False)
    for path in summary.written:
        console.print(f"  wrote {path}", markup=False, highlight=False)
    for kind, sentences in summary.gaps.items():
        if sentences:
            console.print(f"{kind}: {len(sentences)}", style="bold yellow", markup=False)
        for sentence in sentences:
            console.print(f"  {sentence}", markup=False, highlight=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
