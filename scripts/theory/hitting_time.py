"""Hitting times of a piecewise-constant loss: steps until it improves, and until nothing better is in reach."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

import torch
from torch import Tensor

from polystep.contracts import ExpectedError
from polystep.dense_subspace import DenseSubspace
from polystep.processes import map_in_processes
from polystep.random import derive_seed, named_generator
from scripts.theory.copies import Copies, search_copies
from scripts.theory.hitting_laws import compare_laws
from scripts.theory.hitting_section import hitting_section
from scripts.theory.study import Found, Section
from scripts.theory.threshold_network import ThresholdProblem


class Setting(NamedTuple):
    """Dimension d of the subspace that one polytope searches, hidden layers, units of each, distance of the probes."""

    dimension: int
    depth: int
    width: int
    probe_radius: float


@dataclass(frozen=True)
class HittingTime:
    """Threshold networks from random starts; each is searched in a random orthonormal subspace of its own, kept for the run.

    Every step probes the 2d vertices of one orthoplex with a fresh rotation, jitters both radii as the theorem asks, and moves
    by the softmax over a temperature of `temperature` samples, r = the probe radius. Of all combinations of the values every
    fourth is computed, so that every triple of values occurs once.

    First improvement: the first step after which the loss is below that of the start. Local optimum: the first step from which
    on `quiet` steps in a row see no candidate below the loss of their point, or after which no answer is wrong.
    """

    dimensions: Sequence[int]
    depths: Sequence[int]
    widths: Sequence[int]
    probe_radii: Sequence[float]
    repetitions: int
    steps: int
    quiet: int
    samples: int
    temperature: float
    jitter: float
    seed: int

    def run(self) -> Found:
        """One row per setting, with the hitting times of all repetitions (null: not within the steps)."""
        if not self.temperature > 0:
            raise ExpectedError(f"hitting_time.temperature must be above 0, got {self.temperature}")
        rows = map_in_processes(self._row, list(self.settings()), 2)
        return {"hitting_time": rows, **compare_laws(rows, self.steps)}

    def settings(self) -> Iterator[Setting]:
        """Those whose places add up to a multiple of four."""
        values = (self.dimensions, self.depths, self.widths, self.probe_radii)
        for d, depth, width, radius in product(*map(enumerate, values)):
            if (d[0] + depth[0] + width[0] + radius[0]) % 4 == 0:
                yield Setting(int(d[1]), int(depth[1]), int(width[1]), radius[1])

    def _row(self, setting: Setting) -> dict[str, Any]:
        torch.set_num_threads(1)
        seed = derive_seed(self.seed, *map(str, setting))
        problem = ThresholdProblem(setting.depth, setting.width, self.samples, self.seed)
        starts = torch.stack([problem.start(named_generator(seed, "start", copy)) for copy in range(self.repetitions)])
        # a subspace for every copy, (copies, d, parameters)
        directions = torch.cat(
            [
                DenseSubspace(
                    problem.layout,
                    setting.dimension,
                    derive_seed(seed, "subspace", copy),
                    setting.dimension,
                    "orthonormal",
                ).directions
                for copy in range(self.repetitions)
            ]
        )

        def cost(copy: Tensor, position: Tensor) -> Tensor:
            # candidates come by copy, as many of each
            changes = torch.bmm(position.float().unflatten(0, (self.repetitions, -1)), directions)
            return problem.losses(starts[copy] + changes.flatten(0, 1))

        times = self._hitting_times(Copies(cost), setting, seed)
        return {**setting._asdict(), "parameters": problem.layout.size, **times}

    def _hitting_times(self, copies: Copies, setting: Setting, seed: int) -> Mapping[str, Any]:
        count, d = self.repetitions, setting.dimension
        optimizer = search_copies(
            torch.zeros(count, d, dtype=torch.float64),
            seed,
            temperature=self.temperature / self.samples,
            step_radius=setting.probe_radius,
            probe_radius=setting.probe_radius,
            probe_jitter=self.jitter,
            step_jitter=self.jitter,
        )
        every = torch.arange(count)
        at_start = loss = copies.problem(every, optimizer.solution.reshape(count, d))
        improved: list[int | None] = [None] * count
        settled: list[int | None] = [None] * count
        quiet_since = torch.zeros(count, dtype=torch.int64)
        for step in range(self.steps):
            losses = copies.losses(candidates := optimizer.ask(0.0))
            found = (losses.reshape(count, len(candidates) // count) < loss.unsqueeze(1)).any(1)
            optimizer.tell(losses)
            loss = copies.problem(every, optimizer.solution.reshape(count, d))
            quiet_since[found] = step + 1
            for copy in range(count):
                if improved[copy] is None and loss[copy] < at_start[copy]:
                    improved[copy] = step + 1
                if settled[copy] is None and loss[copy] == 0:
                    settled[copy] = step + 1
                elif settled[copy] is None and step + 1 - quiet_since[copy] >= self.quiet:
                    settled[copy] = int(quiet_since[copy])
            if None not in improved and None not in settled:
                break
        return {
            "improved_at": improved,
            "settled_at": settled,
            "loss_at_start": float(at_start.mean()),
            "loss_at_end": float(loss.mean()),
        }

    def section(self, found: Found) -> Section:
        """Times by value of every quantity, both laws, and a figure of them."""
        return hitting_section(found, self.steps, self.quiet)
