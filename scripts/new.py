"""Write the files of a new method or task:  python -m scripts.new optimizer NAME

What is written works, so that you can change it step by step: a module, its yaml file, and a test.
"""

import argparse
import keyword
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from string import Template

from polystep.contracts import ExpectedError
from polystep.files import write_text
from scripts.console import EXIT_STATUS, ROOT, explain, guarded, say

SKELETONS = Path(__file__).with_name("skeletons")
FILES = {
    "optimizer": {
        "optimizer.py.txt": "baselines/{}.py",
        "optimizer.yaml.txt": "configs/optimizer/{}.yaml",
        "test_optimizer.py.txt": "tests/baselines/test_{}.py",
    },
    "task": {
        "task.py.txt": "tasks/{}.py",
        "task.yaml.txt": "configs/task/{}.yaml",
        "test_task.py.txt": "tests/tasks/test_{}.py",
    },
}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; exit status 0 when the files were written, 2 after an explained failure."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.new", description="Write module, yaml file and test of a new method or task."
    )
    parser.add_argument("kind", choices=FILES)
    parser.add_argument("name", help="small letters, digits and underscores, such as my_method")
    options = parser.parse_args(arguments)
    try:
        for path in write_skeleton(options.kind, options.name, ROOT):
            say(f"wrote {path.relative_to(ROOT)}")
    except ExpectedError as error:
        return explain(error)
    say(f"check it: python -m scripts.check {options.kind}={options.name}")
    on = "task=snn_digits " if options.kind == "optimizer" else ""
    say(f"run it:   python -m scripts.run {on}{options.kind}={options.name} budget.steps=200")
    return EXIT_STATUS["finished"]


def write_skeleton(kind: str, name: str, root: Path) -> list[Path]:
    """Write the files of a new `kind` called `name` below `root`; ExpectedError where the name is taken or cannot be one."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise ExpectedError(
            f"{name!r} cannot name a module; use small letters, digits and underscores, such as my_method"
        )
    paths = {root / path.format(name): SKELETONS / skeleton for skeleton, path in FILES[kind].items()}
    for path in paths:
        if path.exists():
            raise ExpectedError(f"{path.relative_to(root)} is there already; choose another name, or delete it first")
    shadowing = [path.with_suffix("") for path in paths if path.suffix == ".py" and path.with_suffix("").is_dir()]
    if shadowing:
        raise ExpectedError(
            f"{shadowing[0].relative_to(root)} is a folder, which Python would import instead; choose another name"
        )
    words = name.split("_")
    names = {"name": name, "class_name": "".join(map(str.capitalize, words)), "title": " ".join(words).capitalize()}
    for path, skeleton in paths.items():
        write_text(path, Template(skeleton.read_text(encoding="utf-8")).substitute(names))
    return list(paths)


if __name__ == "__main__":
    sys.exit(guarded(main))
