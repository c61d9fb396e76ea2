"""Time the report of many runs, made up from the committed ones:  python -m scripts.benchmark_report"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path

from polystep.contracts import ExpectedError
from polystep.records import RecordError, RunRecord, read_bundle, write_bundle
from polystep.records.identity import digest
from scripts.console import COMMITTED, console, explain, guarded, positive_count
from scripts.report import write_report


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; exit status 0 when the report was built, 2 after an explained failure."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.benchmark_report", description="Time a report from made-up records."
    )
    parser.add_argument("--runs", type=positive_count, default=1000, help="number of records (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory() as folder:
            bundle, output = Path(folder) / "runs.jsonl", Path(folder) / "report"
            write_bundle(bundle, (record for _, record in zip(range(options.runs), _records(), strict=False)))
            started = time.perf_counter()
            summary = write_report([bundle], output, {})
            seconds = time.perf_counter() - started
            size = sum(path.stat().st_size for path in summary.written) / 1e6
            page = (output / "report.html").stat().st_size / 1e6
    except ExpectedError as error:
        return explain(error)
    console.print(
        f"{summary.finished} runs: {seconds:.1f} s, {len(summary.written)} files of {size:.1f} MB, page of {page:.1f} MB",
    )
    return 0


def _records() -> Iterator[RunRecord]:
    """The committed records, then the same with other seeds, again and again."""
    found = [item for path in sorted(COMMITTED.glob("*.jsonl.xz")) for item in read_bundle(path)]
    records = [item for item in found if not isinstance(item, RecordError)]
    if not records:
        raise ExpectedError(f"{COMMITTED} holds no records to make others from")
    for turn in count():
        for record in records:
            yield replace(
                record,
                run_id=digest([record.run_id, turn]),
                settings_id=digest([record.settings_id, turn]),
                seed=record.seed + 10_000 * turn,
                name=f"{record.name}-{turn}",
            )


if __name__ == "__main__":
    sys.exit(guarded(main))
