"""Bundles of records:  python -m scripts.records pack | unpack | check

pack      puts finished runs of a folder into bundles, one a study: results/records/STUDY.jsonl.xz
unpack    makes folders of runs of bundles
check     names every fault of records in folders and bundles; exit status 1 where there is any
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from polystep.contracts import ExpectedError
from polystep.records import RecordError, RunRecord, lean, read_places, read_record, write_bundle, write_record
from polystep.records.check import duplicates, faults, names_a_file, worth
from scripts.console import COMMITTED, EXIT_STATUS, RECORDS, ROOT, explain, guarded, say


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m scripts.records", description="Pack, unpack and check records.")
    actions = parser.add_subparsers(dest="action", required=True)
    for name, act, text, default in (
        ("pack", pack, "runs of folders and bundles into bundles, one a study", [RECORDS]),
        ("unpack", unpack, "bundles into folders of runs", [COMMITTED]),
        ("check", check, "name every fault of records", [COMMITTED]),
    ):
        action = actions.add_parser(name, help=text, description=text)
        action.add_argument(
            "places", nargs="*", type=Path, default=default, help="folders and bundles (default: %(default)s)"
        )
        if name != "check":
            target = COMMITTED if name == "pack" else RECORDS
            action.add_argument("--to", type=Path, default=target, help="folder to write into (default: %(default)s)")
        action.set_defaults(act=act)
    options = parser.parse_args(arguments)
    try:
        return int(options.act(options))
    except ExpectedError as error:
        return explain(error)


def pack(options: argparse.Namespace) -> int:
    """Add the finished runs of `places` to the bundles in `to`; of two records of a run, the one with the larger worth stays.

    Trials of tuning keep what `polystep.records.lean` leaves them.
    """
    studies: dict[str, dict[str, RunRecord]] = {}
    left_out = 0
    decided: list[str] = []
    for _, item in read_places(*([options.to] if options.to.is_dir() else []), *options.places):
        if isinstance(item, RecordError):
            raise RecordError(f"{item}; nothing was packed: remove that record or repeat the run")
        if item.status != "finished":
            left_out += 1
            continue
        runs = studies.setdefault(_file_name(item.study["name"]), {})
        other, kept = sorted((runs.get(item.run_id, item), item), key=worth)
        runs[item.run_id] = kept
        if other.scores != kept.scores:
            left, stays = (f"{record.scores.get('test_selected')} of {record.ended}" for record in (other, kept))
            decided.append(f"{item.name} has two records: test score {stays} is kept, {left} is left out")
    for study, found in studies.items():
        write_bundle(options.to / f"{study}.jsonl.xz", map(lean, found.values()))
    for sentence in decided:
        say(sentence)
    total = sum(map(len, studies.values()))
    say(f"{total} runs in {len(studies)} bundles in {options.to}; {left_out} runs that are not finished were left out")
    return EXIT_STATUS["finished"]


def unpack(options: argparse.Namespace) -> int:
    """A folder with run.json for every run of `places`; folders that are there already stay as they are."""
    made = 0
    for _, item in read_places(*options.places):
        if isinstance(item, RecordError):
            raise item
        folder = options.to / _file_name(item.name)
        if not (folder / "run.json").exists():
            write_record(folder, item)
            made += 1
        elif (there := read_record(folder)).run_id != item.run_id:
            raise RecordError(
                f"{folder} holds run {there.run_id}, so run {item.run_id} of the same name was not written; give another --to"
            )
    say(f"{made} runs in {options.to}")
    return EXIT_STATUS["finished"]


def _file_name(name: str) -> str:
    """A name from a record, which may be anybody's; RecordError where it would lead elsewhere."""
    if not names_a_file(name):
        raise RecordError(f"a record has the name {name!r}, which leads to another folder; nothing was written for it")
    return name


def check(options: argparse.Namespace) -> int:
    """Print every fault."""
    found, good = 0, []
    for place, item in read_places(*options.places):
        sentences = [str(item)] if isinstance(item, RecordError) else []
        if isinstance(item, RunRecord):
            good.append((str(place), item))
            sentences = [f"{place}, {item.name}: {fault}" for fault in faults(item, ROOT)]
        for sentence in sentences:
            say(sentence)
        found += len(sentences)
    for sentence in duplicates(good):
        say(sentence)
        found += 1
    say(f"{len(good)} records, {found} faults" if found else f"{len(good)} records without a fault")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(guarded(main))
