"""The rate at which the gradient falls on piecewise-smooth functions, with the theorem's settings and with practical ones."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from polystep.contracts import ExpectedError
from polystep.processes import map_in_processes
from polystep.random import derive_seed, named_generator
from polystep.report.charts import COLOURS, Chart, Line, Panel, Style
from polystep.report.table import Table, interval_column, text_column
from polystep.report.text import MISSING
from polystep.schedule import Cosine, PowerDecay, Schedule
from polystep.update import Momentum
from scripts.theory.copies import Copies, search_copies
from scripts.theory.smoothed import FUNCTIONS, smoothed_gradient
from scripts.theory.statistics import slope_with_band
from scripts.theory.study import Found, Section

CONSTANT, DECAYING = "theorem, r ~ 1/√T", "theorem, decaying r"
FIXED, COSINE = "practical, the same r for all T", "practical, cosine r"
THEOREM = (CONSTANT, DECAYING)
"""With the theorem's settings, which bound the exponent."""
ARMS = (*THEOREM, FIXED, COSINE)
SAME_RUNS = (DECAYING, FIXED)
"""Where the length of a run does not change its radii: shorter runs are beginnings of the longest."""


@dataclass(frozen=True)
class Rate:
    """Searches of f(x) = phi(x_1) + phi(x_2) by softmax steps over an orthoplex. The loss of every step has noise xi . x of
    its own, xi standard normal.

    With a temperature far above the costs a step is -a g + noise with a = r rho/(2 eps), g the smoothed gradient; its mean
    square, weighted by the radii, is at most (f(x_0) + C sum a_t^2)/sum a_t up to constants. a is `first`/sqrt(T) for all
    steps of a run, or `first` (t + 1)^-(1/2 + gamma).

    Theorem: both radii jittered, fresh noise at every step, no memory, orthonormal coordinates. Practical: no jitter, a heavy
    ball, rotations turned towards the last step, noise shuffled in epochs of `epoch` values that sum to 0; a is that of the
    shortest run, flat or on a cosine to a tenth.
    """

    lengths: Sequence[int]
    first: float
    gamma: float
    probe_radius: float
    temperature: float
    jitter: float
    epoch: int
    repetitions: int
    draws: int
    seed: int

    def run(self) -> Found:
        """Rows of the mean squared gradient by arm, function and length, and of the fitted exponents."""
        if not self.temperature > 0:
            raise ExpectedError(f"rate.temperature must be above 0, got {self.temperature}")
        if len(set(self.lengths)) < 3:
            raise ExpectedError(f"rate.lengths must hold at least three lengths to fit an exponent, got {self.lengths}")
        tasks = list(self._tasks())
        done = map_in_processes(self._task, tasks, 2)
        squares: dict[tuple[str, int], Tensor] = {}
        for (arm, _), found in zip(tasks, done, strict=True):
            squares |= {(arm, length): values for length, values in found.items()}
        rows, fits = [], []
        for place, name in enumerate(FUNCTIONS):
            for arm in ARMS:
                own = torch.stack([squares[arm, length][place] for length in self.lengths])
                rows += [
                    {"function": name, "arm": arm, "steps": length, "mean_square": float(values.mean())}
                    for length, values in zip(self.lengths, own, strict=True)
                ]
                seed = derive_seed(self.seed, name, arm)
                slope, low, high = slope_with_band(self.lengths, own, self.draws, seed, same_runs=arm in SAME_RUNS)
                fits.append(
                    {
                        "function": name,
                        "arm": arm,
                        "exponent": slope,
                        "low": low,
                        "high": high,
                    }
                )
        return {"rate": rows, "exponents": fits}

    def _tasks(self) -> Iterator[tuple[str, int]]:
        """Arms and lengths of the runs to compute."""
        for length in sorted(self.lengths, reverse=True):
            for arm in ARMS:
                if arm not in SAME_RUNS or length == max(self.lengths):
                    yield arm, length

    def _task(self, task: tuple[str, int]) -> dict[int, Tensor]:
        """The radius-weighted mean square of g over a run, or over its beginnings: (functions, repetitions) by length."""
        torch.set_num_threads(1)
        arm, length = task
        marks = self.lengths if arm in SAME_RUNS else [length]
        starts = torch.tensor([start for _, start in FUNCTIONS.values()], dtype=torch.float64)
        start = starts.repeat_interleave(self.repetitions).unsqueeze(1).repeat(1, 2)
        radius = self._radius(arm, length)
        jitter = self.jitter if arm in THEOREM else 0.0
        seed = derive_seed(self.seed, arm, length)
        practical: dict[str, Any] = {"update": Momentum(), "biased_rotation": "nearest_vertex"}
        optimizer = search_copies(
            start,
            seed,
            temperature=self.temperature,
            step_radius=radius,
            probe_radius=self.probe_radius,
            probe_jitter=jitter,
            step_jitter=jitter,
            **({} if arm in THEOREM else practical),
        )
        functions = [function for function, _ in FUNCTIONS.values()]
        gradients = [smoothed_gradient(function, self.probe_radius, jitter) for function in functions]
        noise = self._fresh(start, seed) if arm in THEOREM else self._shuffled(start, seed)
        total, weights, found = torch.zeros(len(start), dtype=torch.float64), 0.0, {}
        for step in range(length):
            position = optimizer.solution.reshape(start.shape)
            parts = position.chunk(len(functions))
            square = torch.cat([g(part).square().sum(1) for g, part in zip(gradients, parts, strict=True)])
            drawn = next(noise)

            def cost(copy: Tensor, position: Tensor, drawn: Tensor = drawn) -> Tensor:
                # candidates come by copy, hence by function
                own = [f(part).sum(1) for f, part in zip(functions, position.chunk(len(functions)), strict=True)]
                return torch.cat(own) + (drawn[copy] * position).sum(1)

            weight = (step + 1) ** -(0.5 + self.gamma) if arm == DECAYING else 1.0
            total, weights = total + weight * square, weights + weight
            if step + 1 in marks:
                found[step + 1] = (total / weights).reshape(len(functions), self.repetitions)
            optimizer.step(Copies(cost), step / length)
        return found

    def _radius(self, arm: str, length: int) -> float | Schedule:
        """The step radius that belongs to the step size a = r rho/(2 eps)."""
        scale = self.first * 2 * self.temperature / self.probe_radius
        flat = scale / math.sqrt(min(self.lengths))
        radii: dict[str, float | Schedule] = {
            CONSTANT: scale / math.sqrt(length),
            DECAYING: PowerDecay(scale / math.sqrt(min(self.lengths)), self.gamma),
            FIXED: flat,
            COSINE: Cosine(flat, flat / 10),
        }
        return radii[arm]

    @staticmethod
    def _fresh(start: Tensor, seed: int) -> Iterator[Tensor]:
        generator = named_generator(seed, "noise")
        while True:
            yield torch.randn(start.shape, generator=generator, dtype=torch.float64)

    def _shuffled(self, start: Tensor, seed: int) -> Iterator[Tensor]:
        generator = named_generator(seed, "noise")
        values = torch.randn(self.epoch, *start.shape, generator=generator, dtype=torch.float64)
        values -= values.mean(0)
        while True:
            yield from values[torch.randperm(self.epoch, generator=generator)]

    def _terms(self, arm: str) -> tuple[float, float]:
        """Exponents of 1/sum a_t and of sum a_t^2/sum a_t over these lengths; that of the bound lies between them."""
        if arm == CONSTANT:
            return -0.5, -0.5
        radii = torch.arange(1, max(self.lengths) + 1, dtype=torch.float64) ** -(0.5 + self.gamma)
        sums, squares = (powers.cumsum(0)[torch.tensor(self.lengths) - 1] for powers in (radii, radii**2))
        first, second = (
            slope_with_band(self.lengths, term.unsqueeze(1), 1, 0)[0] for term in (1 / sums, squares / sums)
        )
        return first, second

    def _shown_terms(self, arm: str) -> str:
        if arm not in THEOREM:
            return MISSING
        return " and ".join(dict.fromkeys(f"{term:.4f}" for term in self._terms(arm)))

    def section(self, found: Found) -> Section:
        """Exponents, and the squared gradients over the length of a run."""
        rows = [
            row | {"exponent": (row["exponent"], row["low"], row["high"]), "bound": self._shown_terms(row["arm"])}
            for row in found["exponents"]
        ]
        theorem = [row for row in found["exponents"] if row["arm"] in THEOREM]
        slower = [row for row in theorem if row["low"] > max(self._terms(row["arm"]))]
        first, second = self._terms(DECAYING)
        widest = max((row["high"] - row["low"]) / 2 for row in theorem)
        panels = tuple(
            Panel(
                name,
                tuple(
                    Line(
                        arm,
                        Style(COLOURS[place], "o"),
                        self.lengths,
                        [row["mean_square"] for row in found["rate"] if (row["function"], row["arm"]) == (name, arm)],
                        steps=False,
                    )
                    for place, arm in enumerate(ARMS)
                ),
                x_label="steps T",
                y_label="mean squared gradient",
                log_y=True,
            )
            for name in FUNCTIONS
        )
        table = Table(
            "theory_rate",
            "Fitted exponent of the mean squared gradient over T, with its 95 % band",
            (
                text_column("function", "Function"),
                text_column("arm", "Settings"),
                interval_column("exponent", "Exponent"),
                text_column("bound", "Exponents of the bound's terms"),
            ),
            rows,
        )
        told = f"{len(theorem) - len(slower)} of {len(theorem)} fits with the theorem's settings are within the bound"
        if slower:
            told += "; slower, by their whole band, are " + "; ".join(
                f"{row['function']}, {row['arm']} (by {row['low'] - max(self._terms(row['arm'])):.3f})"
                for row in slower
            )
        return Section(
            "The rate on piecewise-smooth functions",
            "Does the mean squared gradient fall with the number of steps as the theorem says, with its own "
            "settings and with practical ones?",
            (table,),
            (Chart("theory_rate", "Mean squared gradient over the length of a run", "", (panels,)),),
            (
                f"The bound demands that the exponent is at most the larger one of its terms. {told}. The widest of these "
                f"bands is ± {widest:.3f}.",
                "The squared gradient is averaged over a run, weighted by the radii. The gradient is that of the function "
                "averaged over the disc that the probes span, by quadrature over the angle and eight draws of the random "
                "factor; where the loss jumps it is finite only because of that average.",
                "The bound of a decaying radius has two terms: one over the sum of the radii, and the sum of their squares "
                f"over that sum. Over these lengths their exponents are {first:.2f} and {second:.2f}; in the limit both are "
                f"{self.gamma - 0.5:.2f}. With practical settings there is no "
                "prediction: a radius that does not shrink with the length of the run ends at a floor set by the "
                "noise. The practical settings here lack one thing that published runs have, a basis that is not "
                "orthonormal, as the coordinates are searched directly.",
            ),
        )
