"""Fetch and verify the data sets: `python -m scripts.fetch_data [--data-dir data] [names...]`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from tasks.data import LOADERS, DataError, find_loader


def main(arguments: Sequence[str] | None = None) -> int:
    """Fetches what is missing and verifies what is there.

    Returns:
        Exit status: 0 when all data sets are ready, 1 after an explained failure.
    """
    parser = argparse.ArgumentParser("python -m scripts.fetch_data", description="Fetch and verify data sets.")
    parser.add_argument("--data-dir", type=Path, default=Path("data"), help="where they are kept; default: data")
    parser.add_argument("names", nargs="*", default=list(LOADERS), help=f"default: {' '.join(LOADERS)}")
    options = parser.parse_args(arguments)
    try:
        fetch(options.names, options.data_dir)
    except DataError as error:
        Console(stderr=True, soft_wrap=True).print(str(error), markup=False, highlight=False)
        return 1
    return 0


def fetch(names: Sequence[str], data_dir: Path) -> None:
    """Loads every named data set once and shows which source is tried.

    Raises:
        DataError: a name is not known, or a data set cannot be made ready.
    """
    # All names are looked up first: a misspelt one must not show after minutes of downloading.
    loaders = {name: find_loader(name) for name in names}
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=Console(soft_wrap=True), transient=True) as display:

        def show(line: str) -> None:
            display.update(row, description=line)
            display.console.print(line, markup=False, highlight=False)

        for name, load in loaders.items():
            row = display.add_task(f"{name}: looking in {data_dir}", total=None)
            dataset = load(data_dir, show)
            show(
                f"{name}: ready, {len(dataset.train_labels)} training and {len(dataset.test_labels)} test "
                f"images, {dataset.classes} classes, fingerprint {dataset.fingerprint}"
            )
            display.remove_task(row)


if __name__ == "__main__":
    sys.exit(main())
