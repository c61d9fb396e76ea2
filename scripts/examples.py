"""Run the examples of polystep/EXAMPLES.md and draw their course:  python -m scripts.examples"""

import argparse
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from polystep.contracts import ExpectedError
from polystep.files import atomic_write
from polystep.report.charts import Chart, Line, Panel, rows_of, styles_of
from polystep.report.drawing import render
from scripts.console import ROOT, explain, guarded, say

DOCUMENT = ROOT / "polystep" / "EXAMPLES.md"
FIGURE = ROOT / "results" / "figures" / "examples.svg"


class Example(NamedTuple):
    """A section of the document with a program, which leaves a `fit` of a Trainer or what minimize has `found`."""

    title: str
    program: str


class Course(NamedTuple):
    """Steps or evaluations, what was reached by then, and what that is."""

    x: list[float]
    y: list[float]
    x_label: str
    y_label: str


def examples() -> list[Example]:
    """Those in Python, in their order."""
    text = DOCUMENT.read_text(encoding="utf-8")
    return [
        Example(*found) for found in re.findall(r"^## ([^\n]+)\n(?:(?!^## ).)*?```python\n(.*?)```", text, re.M | re.S)
    ]


def run(example: Example) -> Course:
    """The course of an example, computed now."""
    names: dict[str, Any] = {}
    exec(compile(example.program, example.title, "exec"), names)
    if "found" in names:
        evaluations, lowest = zip(*names["found"].history, strict=True)
        return Course(list(evaluations), list(lowest), "evaluations", "lowest value")
    rows = [row for row in names["fit"].history if row.validation is not None]
    return Course([row.step for row in rows], [row.validation for row in rows], "steps", "validation score")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.examples", description="Run the examples, draw their course."
    )
    parser.add_argument("--output", type=Path, default=FIGURE, help="the figure (default: %(default)s)")
    options = parser.parse_args(arguments)
    panels = []
    try:
        for example in examples():
            started = time.monotonic()
            course = run(example)
            say(f"{example.title}: {course.y_label} {course.y[-1]:.4g}, {time.monotonic() - started:.0f} s")
            line = Line("PolyStep", styles_of(["polystep"])["polystep"], course.x, course.y)
            panels.append(Panel(example.title, (line,), x_label=course.x_label, y_label=course.y_label, log_x=False))
        with atomic_write(options.output) as file:
            file.write(render(Chart("examples", "Examples", "", rows_of(panels, 2)))["svg"])
    except ExpectedError as error:
        return explain(error)
    say(f"wrote {options.output}")
    return 0


if __name__ == "__main__":
    sys.exit(guarded(main))
