"""Seconds of a training step of rows over the number of parameters, as a hard network becomes wider."""

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log
from typing import Any

import torch

from polystep.bench.launch import build_component, use_threads
from polystep.contracts import ExpectedError
from polystep.report.charts import COLOURS, Chart, Line, Panel, Style
from polystep.report.table import Table, interval_column, number_column, text_column
from scripts.theory.peak import map_in_fresh_processes
from scripts.theory.statistics import median_of, slope_with_band
from scripts.theory.study import Found, Section
from scripts.theory.trajectories import build_polystep, settings_of
from tasks.classification import ClassificationTask

PUBLISHED = "published, another network and subspace"


@dataclass(frozen=True)
class StepSeconds:
    """The first step of our default settings on hard networks, whose hidden layers grow wider.

    Widths take turns, so that what else the machine does falls on all of them. In its turn each repeats the step for
    `piece_seconds`, at least once, from the same point on batches of its own; the median is one repetition. One thread, and
    the seconds that it computes, not those it waits for a core that others use. `published`: pairs of parameters and
    seconds of one step that the paper's first edition gives. `target`: the largest exponent that counts as linear.
    """

    widths: Mapping[str, Sequence[int]]
    batch_size: int
    repetitions: int
    piece_seconds: float
    target: float
    published: Sequence[Sequence[float]]
    draws: int
    data_dir: str
    seed: int

    def run(self) -> Found:
        """A row per network and width with the seconds of every repetition, and the fitted exponents."""
        for task, widths in self.widths.items():
            if len(set(widths)) < 3:
                raise ExpectedError(
                    f"step_seconds.widths.{task} must hold at least three widths to fit an exponent, got {list(widths)}"
                )
        # each network in a process of its own, as the number of threads is one of the whole process
        measured = map_in_fresh_processes(self.measure, list(self.widths))
        return {
            "step_seconds": [row for rows in measured for row in rows],
            "exponents": [self.fit(task, rows) for task, rows in zip(self.widths, measured, strict=True)],
        }

    def measure(self, task: str) -> list[dict[str, Any]]:
        """The rows of one network, measured in this process."""
        use_threads(1)
        pieces = [_Piece(*self._build(task, width)) for width in sorted(self.widths[task])]
        for piece in pieces:
            # loads and compiles code
            piece.seconds(0.0)
        seconds = [[piece.seconds(self.piece_seconds) for piece in pieces] for _ in range(self.repetitions)]
        return [
            {
                "task": task,
                "width": width,
                "parameters": piece.parameters,
                "candidates": piece.candidates,
                "seconds": list(own),
            }
            for width, piece, own in zip(sorted(self.widths[task]), pieces, zip(*seconds, strict=True), strict=True)
        ]

    def _build(self, name: str, width: int) -> tuple[ClassificationTask, dict[str, Any], int]:
        settings = settings_of(
            "default",
            name,
            self.seed,
            self.data_dir,
            f"task.network.hidden={width}",
            f"task.batch_size={self.batch_size}",
        )
        return build_component(settings["task"], "task"), settings, self.seed

    def fit(self, task: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The exponent of the median seconds of a step over the parameters, and its band."""
        seconds = torch.tensor([row["seconds"] for row in rows], dtype=torch.float64)
        parameters = [row["parameters"] for row in rows]
        slope, low, high = slope_with_band(parameters, seconds, self.draws, self.seed, median_of)
        return {"task": task, "exponent": slope, "low": low, "high": high}

    def section(self, found: Found) -> Section:
        """Seconds by parameters, exponents, and whether they are linear."""
        rows = [row for task in self.widths for row in _with_exponents(task, found["step_seconds"])]
        published = torch.tensor([[seconds] for _, seconds in self.published], dtype=torch.float64)
        of_published, _, _ = slope_with_band([size for size, _ in self.published], published, 1, 0)
        fits = [
            {"task": fit["task"], "exponent": (fit["exponent"], fit["low"], fit["high"])} for fit in found["exponents"]
        ]
        lines = [
            Line(
                task,
                Style(COLOURS[colour], "o"),
                [row["parameters"] for row in rows if row["task"] == task],
                [row["seconds"] for row in rows if row["task"] == task],
                [row["fastest"] for row in rows if row["task"] == task],
                [row["slowest"] for row in rows if row["task"] == task],
                steps=False,
            )
            for colour, task in enumerate(self.widths)
        ]
        sizes, seconds = zip(*self.published, strict=True)
        lines.append(Line(PUBLISHED, Style(COLOURS[1], "s"), sizes, seconds, steps=False, dashed=True))
        panel = Panel("", tuple(lines), x_label="parameters", y_label="seconds of a step", log_y=True)
        return Section(
            "Time of a training step",
            "How do the seconds of a training step grow with the number of parameters, as a hard network becomes wider?",
            (
                Table(
                    "theory_step_seconds",
                    f"Seconds of a step of rows, medians of {self.repetitions} repetitions",
                    (
                        text_column("task", "Network"),
                        number_column("width", "Hidden units"),
                        number_column("parameters", "Parameters"),
                        number_column("candidates", "Candidates of a step"),
                        number_column("seconds", "Seconds of a step", ""),
                        number_column("fastest", "Fastest repetition", ""),
                        number_column("slowest", "Slowest", ""),
                        number_column("microseconds", "Microseconds of a candidate", ""),
                        number_column("local", "Exponent since the row above", ""),
                    ),
                    rows,
                ),
                Table(
                    "theory_step_seconds_exponents",
                    "Fitted exponent of the seconds of a step over the parameters, with its 95 % band",
                    (text_column("task", "Network"), interval_column("exponent", "Exponent")),
                    fits,
                ),
            ),
            (Chart("theory_step_seconds", "Seconds of a training step", "", ((panel,),)),),
            (
                *(self._verdict(fit, rows) for fit in found["exponents"]),
                "Every unit has as many candidates, and a candidate changes one unit. With one hidden layer (snn) the time of "
                "a candidate does not depend on the width, and candidates grow as the parameters do. With two (int8) each "
                "candidate reaches the whole next layer, so the time of a step grows as the width squared, but parameters "
                "do so only where the width is well above the number of inputs: up to there the exponent is above 1. Small "
                "networks have a fixed cost besides, which makes the exponent over all sizes smaller.",
                f"The published times of one step, on a GPU, have an exponent of {of_published:.2f} from "
                f"{min(sizes):,.0f} to {max(sizes):,.0f} parameters. They are those of multilayer perceptrons with candidates "
                "that change whole layers, so seconds must not be compared with ours, only growth.",
                f"What this does not show: deeper networks, batches other than {self.batch_size}, more threads "
                "than one, later points of a training, and how many steps a larger network needs. The band is that of "
                "the repetitions alone: it would not show that the growth is no power law, which the exponents from row to "
                "row do.",
            ),
        )

    def _verdict(self, fit: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
        own = [row for row in rows if row["task"] == fit["task"]]
        relation = (
            "at most" if fit["high"] <= self.target else "above" if fit["low"] > self.target else "not surely at most"
        )
        return (
            f"{fit['task']}: the exponent from {own[0]['parameters']:,} to {own[-1]['parameters']:,} parameters is "
            f"{fit['exponent']:.3f} ({fit['low']:.3f} to {fit['high']:.3f}), {relation} {self.target:g}, the most that we "
            f"count as about linear; between the two largest networks it is {own[-1]['local']:.2f}."
        )


class _Piece:
    """The first step of a run, as often as one likes."""

    def __init__(self, task: ClassificationTask, settings: dict[str, Any], seed: int):
        self._task = task
        self._optimizer = build_polystep(settings, task, task.initial_point(seed))
        self._start = self._optimizer.state_dict()
        self.parameters = task.layout.size
        self.candidates = len(self._optimizer.ask(0.0))

    def seconds(self, least: float) -> float:
        """Median seconds of computing of steps that together take so long, of one at least."""
        taken: list[float] = []
        while not taken or sum(taken) < least:
            self._optimizer.load_state_dict(self._start)
            objective = self._task.next_objective()
            begin = time.process_time()
            self._optimizer.step(objective, 0.0)
            taken.append(time.process_time() - begin)
        return statistics.median(taken)


def _with_exponents(task: str, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows of one network with medians of seconds, and the exponent of each against the row before."""
    found: list[dict[str, Any]] = []
    for row in rows:
        if row["task"] != task:
            continue
        seconds = statistics.median(row["seconds"])
        local = None
        if found:
            before = found[-1]
            local = log(seconds / before["seconds"]) / log(row["parameters"] / before["parameters"])
        found.append(
            dict(row)
            | {
                "seconds": seconds,
                "fastest": min(row["seconds"]),
                "slowest": max(row["seconds"]),
                "microseconds": 1e6 * seconds / row["candidates"],
                "local": local,
            }
        )
    return found
