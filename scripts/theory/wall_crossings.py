"""Walls of hard networks: how often the loss of a batch does not change at all where something discrete does."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from polystep.bench.launch import build_component
from polystep.contracts import ExpectedError
from polystep.evaluation.activations import mean_cross_entropy
from polystep.layout import ParameterLayout
from polystep.random import named_generator
from polystep.report.table import Table, interval_column, number_column, text_column
from polystep.subspace import Subspace
from scripts.theory.discrete_states import Observation, Observer, observer_of
from scripts.theory.statistics import share_of
from scripts.theory.study import Found, Section
from scripts.theory.trajectories import build_polystep, settings_of, training_points
from tasks.classification import ClassificationTask

ZERO = 1e-9
"""A smaller difference of the loss is rounding, or what it changes by without a wall: the two sides are that near."""


@dataclass(frozen=True)
class WallCrossings:
    """From points along a training with our settings, along random coordinates of the subspace of `study`, of those that
    can change what is discrete in the network. The first change within `reach`, which is doubled up to `doublings` times until
    there is one, is bisected in double precision as far as rounding allows; the loss of the batch is taken on both sides.
    """

    tasks: Sequence[str]
    study: str
    steps: Sequence[int]
    batch_sizes: Sequence[int]
    directions: int
    reach: float
    doublings: int
    data_dir: str
    seed: int

    def run(self) -> Found:
        """One row per network, point and batch size."""
        if not (self.reach > 0 and self.doublings >= 0 and self.directions > 0):
            raise ExpectedError(
                "wall_crossings needs reach above 0, doublings of at least 0 and directions above 0, got "
                f"{self.reach}, {self.doublings} and {self.directions}"
            )
        return {"wall_crossings": [row for task in self.tasks for row in self._rows(task)]}

    def _rows(self, name: str) -> Iterator[dict[str, Any]]:
        task, points = training_points(name, self.steps, self.seed, self.data_dir)
        settings = settings_of(self.study, name, self.seed, self.data_dir)
        subspace = build_polystep(settings, task, points[0].point).subspace
        inputs, targets = _samples(task, max(self.batch_sizes))
        classes = task.layout.entries[-1].size
        build = build_component(settings["task"]["network"], "task.network")
        network: nn.Module = build(inputs=inputs.shape[1], classes=classes).double().eval()
        observe, movable = observer_of(network, task.layout)
        changes = self._directions(subspace, movable, name)
        for trained in points:
            for size in self.batch_sizes:
                along = Along(observe, task.layout, trained.point, inputs[:size].double(), targets[:size])
                crossings = [along.crossing(change, self.reach, self.doublings) for change in changes]
                found = [crossing for crossing in crossings if crossing is not None]
                jumps = [abs(jump) for _, jump in found if abs(jump) > ZERO]
                yield {
                    "task": name,
                    "point": trained.step,
                    "accuracy": trained.accuracy,
                    "batch_size": size,
                    "directions": len(crossings),
                    "walls": len(found),
                    "unchanged": len(found) - len(jumps),
                    "median_jump": median(jumps) if jumps else None,
                    "median_distance": median(distance for distance, _ in found) if found else None,
                }

    def _directions(self, subspace: Subspace, movable: Sequence[str], name: str) -> list[Tensor]:
        """Lifts of unit coordinates, drawn without replacement of those that move `movable` parameters."""
        spans = [entry.span for entry in subspace.layout.entries if entry.name in movable]
        order = torch.randperm(subspace.coordinates, generator=named_generator(self.seed, "walls", name)).tolist()
        found: list[Tensor] = []
        for coordinate in order:
            unit = torch.zeros(subspace.particles * subspace.particle_dimension)
            unit[coordinate] = 1.0
            change = subspace.lift(unit.reshape(subspace.particles, subspace.particle_dimension)).double()
            if any(bool(change[span].any()) for span in spans):
                found.append(change)
            if len(found) == self.directions:
                break
        return found

    def section(self, found: Found) -> Section:
        """The table, beside what is published."""
        rows = [
            row
            | share_of(row["unchanged"], row["walls"])
            | dict(zip(("published", "published_jump"), PUBLISHED.get(row["task"], (None, None)), strict=True))
            for row in found["wall_crossings"]
        ]
        missing = sum(row["directions"] - row["walls"] for row in rows)
        total = sum(row["directions"] for row in rows)
        table = Table(
            "theory_wall_crossings",
            "Crossings of walls",
            (
                text_column("task", "Network"),
                number_column("point", "Trained steps"),
                number_column("accuracy", "Validation accuracy", "fraction"),
                number_column("batch_size", "Batch"),
                number_column("walls", "Walls found"),
                number_column("directions", "of directions"),
                interval_column("share", "Without any change of the loss"),
                number_column("published", "Published", "fraction"),
                number_column("median_jump", "Median jump of the others", "difference"),
                number_column("published_jump", "Published", "difference"),
                number_column("median_distance", "Median distance", ""),
            ),
            rows,
        )
        return Section(
            "Walls without a jump",
            "When a spike, a level, a choice or a quantised weight of a hard network changes, how often does the "
            "loss of the batch not change at all, and by how much does it change otherwise?",
            (table,),
            (),
            (
                f"No wall was found along {missing} of {total} directions within {self.doublings} doublings of "
                f"{self.reach}. Shares come with exact 95 % intervals over directions.",
                "The published shares come without the point, the directions, their number and the batch, so the "
                "two agree or not for reasons that cannot be separated. The first wall of a large batch is nearer "
                "than that of a small one and belongs to fewer of its samples, so jumps fall with the size of the "
                "batch.",
            ),
        )


PUBLISHED = {
    "snn": (0.69, 4.1e-7),
    "int8": (0.11, 1.6e-5),
    "moe": (0.0, 1.2e-3),
    "staircase": (0.0, 2.9e-6),
    "argmax": (0.0, 1.5e-5),
}
"""Share of wall crossings without a change of the loss, median jump of the others. Source: revised edition, table of jumps."""


class Along:
    """Loss and discrete state of one batch along directions from one point."""

    def __init__(self, observe: Observer, layout: ParameterLayout, point: Tensor, inputs: Tensor, targets: Tensor):
        self._observe, self._layout, self._point = observe, layout, point.double()
        self._inputs, self._targets = inputs, targets
        with torch.no_grad():
            self._state = self._observe(self._layout.unflatten(self._point), inputs).state

    @torch.no_grad()
    def crossing(self, change: Tensor, reach: float, doublings: int) -> tuple[float, float] | None:
        """Distance of a wall along `change` and the difference of the loss across it; None where none is found."""
        low, high = 0.0, reach
        every = torch.arange(len(self._inputs))
        for _ in range(doublings + 1):
            if len(rows := self._changed(change, high, every)):
                break
            low, high = high, 2 * high
        else:
            return None
        while low < (middle := (low + high) / 2) < high:
            changed = self._changed(change, middle, rows)
            if len(changed):
                high, rows = middle, changed
            else:
                low = middle
        # products of the whole batch round otherwise than those of a few samples, so their walls are a little elsewhere
        while True:
            before, after = (self._at(change, distance, self._inputs) for distance in (low, high))
            if not torch.equal(before.state, after.state):
                return high, self._loss(after) - self._loss(before)
            gap = high - low
            low, high = low - gap, high + gap

    def _changed(self, change: Tensor, distance: float, rows: Tensor) -> Tensor:
        """Which of the samples `rows` have another state at `distance`; one of them where the state is that of the weights."""
        shared = len(self._state) == 1
        rows = rows[:1] if shared else rows
        state = self._at(change, distance, self._inputs[rows]).state
        return rows[(state != (self._state if shared else self._state[rows])).any(1)]

    def _at(self, change: Tensor, distance: float, inputs: Tensor) -> Observation:
        return self._observe(self._layout.unflatten(self._point + distance * change), inputs)

    def _loss(self, seen: Observation) -> float:
        return float(mean_cross_entropy(seen.outputs, self._targets))


def _samples(task: ClassificationTask, count: int) -> tuple[Tensor, Tensor]:
    """So many different samples of the training part, from its next batches."""
    objectives = [task.next_objective() for _ in range(-(-count // task.batch_size) + 1)]
    inputs, targets = ([getattr(objective, part) for objective in objectives] for part in ("inputs", "targets"))
    return torch.cat(inputs)[:count], torch.cat(targets)[:count]
