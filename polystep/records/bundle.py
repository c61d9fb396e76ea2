"""Bundles: the records of many runs in one JSON Lines file, a run a line."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from polystep.files import write_text
from polystep.records.record import RecordError, RunRecord, _refuse


def write_bundle(path: Path, records: Iterable[RunRecord]) -> None:
    """Write `records` in order of their names, atomically."""
    lines = [
        json.dumps(record.content(), separators=(",", ":"), allow_nan=False)
        for record in sorted(records, key=lambda record: (record.name, record.run_id))
    ]
    write_text(path, "".join(f"{line}\n" for line in lines))


def read_bundle(path: Path) -> Iterator[RunRecord | RecordError]:
    """Each line's record, or what is wrong with that line; a line that was cut off costs that line alone.

    Raises RecordError where the file itself cannot be read.
    """
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                place = f"{path} line {number}"
                try:
                    yield RunRecord.of_content(json.loads(line, parse_constant=_refuse), place)
                except RecordError as error:
                    yield error
                except (ValueError, RecursionError) as error:
                    yield RecordError(f"{place} cannot be read as JSON ({error})")
    except OSError as error:
        raise RecordError(f"{path} cannot be read ({error.strerror})") from error
