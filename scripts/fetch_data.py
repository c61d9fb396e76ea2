"""Fetch and verify the data sets: `python -m scripts.fetch_data [--data-dir data] [names...]`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from scripts.console import console, guarded, say
from tasks.data import LOADERS, DataError, Dataset, UnknownDataset, find_loader
from tasks.data.series import SERIES, Series


def main(arguments: Sequence[str] | None = None) -> int:
    """Fetches what is missing and verifies what is there; a data set that cannot be had does not stop the others.

    Returns:
        Exit status: 0 when all data sets are ready, 1 when one could not be had, 2 for a name that is not known.
    """
    parser = argparse.ArgumentParser("python -m scripts.fetch_data", description="Fetch and verify data sets.")
    parser.add_argument("--data-dir", type=Path, default=Path("data"), help="where they are kept; default: data")
    everything = [*LOADERS, *SERIES]
    parser.add_argument("names", nargs="*", default=everything, help=f"default: {' '.join(everything)}")
    options = parser.parse_args(arguments)
    try:
        failures = fetch(options.names, options.data_dir)
        status = 1 if failures else 0
    except UnknownDataset as error:
        failures, status = [error], 2
    for failure in failures:
        say(str(failure))
    return status


def fetch(names: Sequence[str], data_dir: Path) -> list[DataError]:
    """Loads every named data set once and shows which source is tried; returns why some could not be made ready.

    Raises:
        UnknownDataset: a name is not known; nothing is loaded.
    """
    # All names are looked up first: a misspelt one must not show after minutes of downloading.
    loaders = {name: SERIES.get(name) or find_loader(name) for name in names}
    failures = []
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as display:

        def show(line: str) -> None:
            display.update(row, description=line)
            say(line)

        for name, load in loaders.items():
            row = display.add_task(f"{name}: looking in {data_dir}", total=None)
            try:
                dataset = load(data_dir, show)
            except DataError as failure:
                failures.append(failure)
            else:
                show(f"{name}: ready, {_content(dataset)}, fingerprint {dataset.fingerprint}")
            display.remove_task(row)
    return failures


def _content(data: Dataset | Series) -> str:
    if isinstance(data, Series):
        return f"{data.train} training, {data.validation} validation and {data.test} test numbers"
    return f"{len(data.train_labels)} training and {len(data.test_labels)} test images, {data.classes} classes"


if __name__ == "__main__":
    sys.exit(guarded(main))
