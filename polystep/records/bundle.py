"""Many records: bundles, which are JSON Lines files with a run a line, compressed or not, and folders of runs and bundles."""

import json
import lzma
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from polystep.contracts import ExpectedError
from polystep.files import atomic_write
from polystep.records.record import RecordError, RunRecord, json_of, read_record

KEPT_OF_TRIALS = ("step", "seconds", "candidate_evaluations", "loss", "validation")
"""Columns of a trial's history that bundles keep: how its validation went over what it spent."""


def lean(record: RunRecord) -> RunRecord:
    """The record as bundles hold it: a trial of tuning without the diagnostics of its steps, any other unchanged.

    Trials choose settings by their validation alone, and a study has 17 of them for each method and task.
    """
    if record.study["protocol"] != "tuning":
        return record
    return replace(record, history={name: column for name, column in record.history.items() if name in KEPT_OF_TRIALS})


def write_bundle(path: Path, records: Iterable[RunRecord]) -> None:
    """Write `records` in order of their names, atomically; equal records give equal files. Compressed if `path` ends in .xz."""
    lines = [
        json.dumps(record.content(), separators=(",", ":"), allow_nan=False)
        for record in sorted(records, key=lambda record: (record.name, record.run_id))
    ]
    content = "".join(f"{line}\n" for line in lines).encode()
    with atomic_write(path) as file:
        file.write(lzma.compress(content, preset=9) if path.suffix == ".xz" else content)


def read_bundle(path: Path) -> Iterator[RunRecord | RecordError]:
    """Each line's record, or what is wrong with that line; a line that was cut off costs that line alone.

    Raises RecordError where the file itself cannot be read.
    """
    try:
        with lzma.open(path) if path.suffix == ".xz" else path.open("rb") as file:
            for number, line in enumerate(file, 1):
                place = f"{path} line {number}"
                try:
                    yield RunRecord.of_content(json_of(line), place)
                except RecordError as error:
                    yield error
                except (ValueError, RecursionError) as error:
                    yield RecordError(f"{place} cannot be read as JSON ({error})")
    except (EOFError, lzma.LZMAError) as error:
        yield RecordError(f"{path} is damaged: what follows cannot be decompressed ({error})")
    except OSError as error:
        raise RecordError(f"{path} cannot be read ({error.strerror})") from error


def read_places(*places: Path) -> Iterator[tuple[Path, RunRecord | RecordError]]:
    """Every record in bundles, folders of runs and folders of one run, or what is wrong with it, with its file.

    Raises ExpectedError where a place does not exist.
    """
    for place in places:
        if not place.exists():
            raise ExpectedError(
                f"{place} does not exist; give a folder of runs, or bundles (.jsonl, .jsonl.xz) of them"
            )
        for bundle in [place] if place.is_file() else sorted([*place.glob("*.jsonl"), *place.glob("*.jsonl.xz")]):
            yield from ((bundle, item) for item in read_bundle(bundle))
        for file in sorted([*place.glob("run.json"), *place.glob("*/run.json")]):
            try:
                yield file, read_record(file.parent)
            except RecordError as error:
                yield file, error
