"""What there is:  python -m scripts.list [tasks] [optimizers] [studies] [profiles] [--config-dir DIR]

Each with a line, and the command that uses it.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from polystep.bench.composition import add_folder, config_folders
from polystep.bench.studies import choice_files
from polystep.contracts import ExpectedError
from scripts.console import CONFIGS, EXIT_STATUS, add_config_dir, console, explain, guarded

KINDS = {
    "tasks": ("task", "python -m scripts.run task=NAME"),
    "optimizers": ("optimizer", "python -m scripts.run optimizer=NAME"),
    "studies": ("study", "python -m scripts.run study=NAME"),
    "profiles": ("profile", "make reproduce-paper PROFILE=NAME"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m scripts.list", description="Show what can be run.")
    parser.add_argument("kinds", nargs="*", metavar="kind", help=f"any of {', '.join(KINDS)} (default: all)")
    add_config_dir(parser)
    options = parser.parse_args(arguments)
    if unknown := [kind for kind in options.kinds if kind not in KINDS]:
        parser.error(f"{unknown[0]} is none of {', '.join(KINDS)}")
    try:
        folders = config_folders(CONFIGS, add_folder([], options.config_dir) if options.config_dir else [])
        for kind in options.kinds or KINDS:
            folder, command = KINDS[kind]
            if options.config_dir:
                # make knows no other folder
                command = command.replace("make reproduce-paper PROFILE=", "python -m scripts.sweep profile=")
                command += f" --config-dir {options.config_dir}"
            table = Table(title=escape(f"{kind}: {command}"), title_justify="left", box=None, show_header=False)
            table.add_column(style="bold", no_wrap=True)
            table.add_column()
            for name, path in choice_files(folders, folder).items():
                table.add_row(name, escape(first_sentence(path)))
            console.print(table)
    except ExpectedError as error:
        return explain(error)
    return EXIT_STATUS["finished"]


def first_sentence(path: Path) -> str:
    """What the comments at the top of a yaml file say first, commands left out."""
    said: list[str] = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("# @package"):
            continue
        if not line.startswith("#"):
            break
        text = line.lstrip("# ").strip()
        if not text.startswith(("python -m", "make ")):
            said.append(text)
    sentence = " ".join(said).partition(". ")[0].rstrip(".:")
    return f"{sentence}." if sentence else ""


if __name__ == "__main__":
    sys.exit(guarded(main))
