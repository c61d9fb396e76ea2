"""Peak memory of a whole training step over the number of time steps: rows against backpropagation through time."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch

from polystep.bench.launch import build_component, use_threads
from polystep.candidates import DenseCandidates
from polystep.contracts import ExpectedError
from polystep.report.charts import COLOURS, Chart, Line, Panel, Style
from polystep.report.table import Table, number_column, text_column
from scripts.theory.peak import map_in_fresh_processes, peak_above
from scripts.theory.study import Found, Section
from scripts.theory.trajectories import settings_of

ROWS, BACKPROPAGATION, FORWARD = "rows", "backpropagation", "forward"
TITLES = {ROWS: "PolyStep, rows", BACKPROPAGATION: "backpropagation through time", FORWARD: "one forward pass alone"}


class Place(NamedTuple):
    """What is measured where."""

    device: str
    time_steps: int
    method: str


@dataclass(frozen=True)
class StepMemory:
    """The first step of our default settings on a spiking network of T time steps, in a fresh process per method and T.

    A step that is not measured loads and compiles code; then `repetitions` runs begin anew. What the process holds before a
    step does not count: code, data, parameters. `published`: triples of T and the MiB of an inference and of a training step
    that the paper's first edition gives.
    """

    task: str
    time_steps: Sequence[int]
    batch_size: int
    repetitions: int
    threads: int
    published: Sequence[Sequence[float]]
    data_dir: str
    seed: int

    def run(self) -> Found:
        """A row per device, T and method, with the bytes of every repetition."""
        if len(set(self.time_steps)) < 2:
            raise ExpectedError(
                f"step_memory.time_steps must hold at least two numbers to tell growth, got {list(self.time_steps)}"
            )
        devices = ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)
        places = [Place(d, time_steps, m) for d in devices for time_steps in self.time_steps for m in TITLES]
        return {"step_memory": map_in_fresh_processes(self.measure, places)}

    def measure(self, place: Place) -> dict[str, Any]:
        """The row of one place, measured in this process."""
        use_threads(self.threads)
        self._step(place)()
        return place._asdict() | {
            "bytes": [peak_above(self._step(place), place.device) for _ in range(self.repetitions)]
        }

    def _step(self, place: Place) -> Callable[[], object]:
        settings = settings_of(
            "default",
            self.task,
            self.seed,
            self.data_dir,
            f"task.network.steps={place.time_steps}",
            f"task.batch_size={self.batch_size}",
            f"task.evaluation={'functional' if place.method == FORWARD else 'fused'}",
            f"device={place.device}",
            optimizer="adam_surrogate" if place.method == BACKPROPAGATION else "polystep",
        )
        task = build_component(settings["task"], "task")
        point, objective = task.initial_point(self.seed), task.next_objective()
        if place.method == FORWARD:
            return partial(objective.losses, DenseCandidates(point.unsqueeze(0)))
        optimizer = build_component(settings["optimizer"], "optimizer", layout=task.layout, point=point)
        return partial(optimizer.step, objective, 0.0)

    def section(self, found: Found) -> Section:
        """Memory by time steps, and how it grows."""
        rows = self._rows(found)
        devices = sorted({row["device"] for row in rows})
        table = Table(
            "theory_step_memory",
            f"Peak memory of a step, medians of {self.repetitions} repetitions",
            (
                text_column("device", "Device"),
                number_column("time_steps", "Time steps T"),
                *(number_column(method, title, "bytes") for method, title in TITLES.items()),
                number_column("ratio", "Backpropagation / rows", "ratio"),
                number_column("forward_ratio", "Backpropagation / one forward pass", "ratio"),
                number_column("published_ratio", "The same, published", "ratio"),
            ),
            rows,
        )
        panels = tuple(
            Panel(
                device,
                tuple(
                    Line(
                        title,
                        Style(COLOURS[colour], "o"),
                        [row["time_steps"] for row in rows if row["device"] == device],
                        [row[method] / 1e6 for row in rows if row["device"] == device],
                        steps=False,
                    )
                    for colour, (method, title) in enumerate(TITLES.items())
                ),
                x_label="time steps T",
                y_label="peak memory, MB",
                log_y=True,
            )
            for device in devices
        )
        return Section(
            "Memory of a training step",
            "How much memory does a whole step of training need, and how does it grow with the steps of a spiking network?",
            (table,),
            (Chart("theory_step_memory", "Peak memory of a step", "", (panels,)),),
            (
                *(_growth([row for row in rows if row["device"] == device]) for device in devices),
                "The published ratios do not compare two ways of training: they set a forward pass alone against a step of "
                "backpropagation, on a network whose definition is not public. Training by forward passes needs more than "
                "one of them, since the incremental evaluator keeps all spikes of the unchanged network, and these grow with "
                "T, too.",
                f"What this does not show: other networks than {self.task}, other batches than {self.batch_size} "
                f"(memory grows with the batch), other numbers of threads than {self.threads}, and backpropagation that "
                "computes activations twice in order to keep fewer. What the process holds before the step, such as "
                "parameters and data, is left out.",
            ),
        )

    def _rows(self, found: Found) -> list[dict[str, Any]]:
        medians: dict[tuple[str, int], dict[str, float]] = {}
        for row in found["step_memory"]:
            medians.setdefault((row["device"], row["time_steps"]), {})[row["method"]] = statistics.median(row["bytes"])
        published = {int(time_steps): training / inference for time_steps, inference, training in self.published}
        return [
            {"device": device, "time_steps": time_steps}
            | own
            | {
                "ratio": own[BACKPROPAGATION] / own[ROWS],
                "forward_ratio": own[BACKPROPAGATION] / own[FORWARD],
                "published_ratio": published.get(time_steps),
            }
            for (device, time_steps), own in medians.items()
        ]


def _growth(rows: Sequence[Mapping[str, Any]]) -> str:
    """What the rows of one device say, in a sentence or two."""
    first, last = rows[0], rows[-1]
    more = last["time_steps"] - first["time_steps"]
    told = ", ".join(
        f"{title} {(last[method] - first[method]) / 1e6 / more:.2f} MB" for method, title in TITLES.items()
    )
    return (
        f"On {first['device']}, backpropagation through time needs {first['ratio']:.1f} times the memory of a step of rows at "
        f"T = {first['time_steps']} and {last['ratio']:.1f} times at T = {last['time_steps']}. A further time step costs: "
        f"{told}."
    )
