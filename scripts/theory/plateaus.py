"""Plateaus: which weightings leave a particle alone where all its costs are equal, and how far Sinkhorn's duals carry it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from polystep.contracts import ExpectedError
from polystep.geometry import Polytope, polytope_vertices
from polystep.random import derive_seed
from polystep.report.charts import COLOURS, Chart, Line, Panel, Style
from polystep.report.table import Table, number_column, text_column
from polystep.weighting import Cheapest, ExponentialRank, LinearWeighting, PartlyDrawn, Sinkhorn, Softmax, Weighting
from scripts.theory.copies import Copies, search_copies
from scripts.theory.frames import TOLERANCE, require_tight_frame
from scripts.theory.study import Found, Section

WEIGHTINGS: Mapping[str, Callable[[], Weighting]] = {
    "softmax": Softmax,
    "linear": LinearWeighting,
    "exponential rank": ExponentialRank,
    "cheapest": Cheapest,
    "cheapest three": partial(Cheapest, 3),
    "partly drawn": partial(PartlyDrawn, seed=0),
    "Sinkhorn, penalty 0": partial(Sinkhorn, column_penalty=0.0),
    "Sinkhorn, penalty ε": partial(Sinkhorn, column_penalty=1.0),
    "Sinkhorn": Sinkhorn,
}
"""All that there are, at eps = 1."""


@dataclass(frozen=True)
class Plateaus:
    """One step of particles of which some have equal costs everywhere, alone or beside others that see a slope; r = eps = 1.

    The slope makes costs range over up to 2 `slope` temperatures. `column_penalties`: lambda of Sinkhorn in the second table,
    in which one particle on a plateau stands beside `companions` on a slope, `repeats` times.
    """

    polytopes: Mapping[Polytope, Sequence[int]]
    particles: int
    slope: float
    column_penalties: Sequence[float]
    companions: Sequence[int]
    repeats: int
    seed: int

    def run(self) -> Found:
        """Rows of the freeze by weighting and polytope, and of the ghost drift by column penalty and companions."""
        if self.slope == 0:
            raise ExpectedError("plateaus.slope is 0: then no particle sees anything; give a slope above 0")
        for polytope, dimensions in self.polytopes.items():
            for d in dimensions:
                require_tight_frame(polytope_vertices(polytope, d), f"the {polytope} in {d} dimensions")
        return {
            "freeze": [
                {"weighting": name, "polytope": polytope, "dimension": d} | self._freeze(build, polytope, d)
                for name, build in WEIGHTINGS.items()
                for polytope, dimensions in self.polytopes.items()
                for d in dimensions
            ],
            "ghost_drift": [
                self._ghost(penalty, companions) for companions in self.companions for penalty in self.column_penalties
            ],
        }

    def _freeze(self, build: Callable[[], Weighting], polytope: Polytope, dimension: int) -> dict[str, float]:
        """The largest displacement of a particle on a plateau."""
        longest = {}
        for key, slope in (("alone", 0.0), ("beside_others", self.slope)):
            moved = self._step(build(), self.particles, self.particles, slope, self.seed, polytope, dimension)
            longest[key] = float(moved.norm(dim=1).max())
        return longest

    def _ghost(self, penalty: float, companions: int) -> dict[str, Any]:
        """How far the one particle on a plateau moves."""
        moved = torch.cat(
            [
                self._step(Sinkhorn(column_penalty=penalty), 1, companions, self.slope, derive_seed(self.seed, repeat))
                for repeat in range(self.repeats)
            ]
        )
        mean, error = moved.mean(0), moved.std(0) / self.repeats**0.5
        return {
            "column_penalty": penalty,
            "companions": companions,
            "repeats": self.repeats,
            "mean_distance": float(moved.norm(dim=1).mean()),
            "longest": float(moved.norm(dim=1).max()),
            "mean_in_standard_errors": float((mean / error).abs().max()) if float(error.min()) > 0 else 0.0,
        }

    @staticmethod
    def _step(
        weighting: Weighting,
        still: int,
        others: int,
        slope: float,
        seed: int,
        polytope: Polytope = "orthoplex",
        dimension: int = 8,
    ) -> Tensor:
        """Displacements (still, d) of the particles on plateaus, each at a level of its own."""

        def cost(copy: Tensor, position: Tensor) -> Tensor:
            return torch.where(copy < still, 0.1 * copy, slope * position[:, 0])

        start = torch.zeros(still + others, dimension, dtype=torch.float64)
        optimizer = search_copies(
            start, seed, polytope=polytope, temperature=1.0, step_radius=1.0, probe_radius=1.0, weighting=weighting
        )
        optimizer.step(Copies(cost), 0.0)
        return optimizer.solution.reshape(start.shape)[:still]

    def section(self, found: Found) -> Section:
        """Both tables."""
        freeze = Table(
            "theory_plateau_freeze",
            "Displacement of a particle on a plateau, longest of all, in step radii",
            (
                text_column("weighting", "Weighting"),
                number_column("alone", "All particles on plateaus", "difference"),
                number_column("beside_others", "Beside particles on a slope", "difference"),
            ),
            [
                {"weighting": name}
                | {
                    key: max(row[key] for row in found["freeze"] if row["weighting"] == name)
                    for key in ("alone", "beside_others")
                }
                for name in WEIGHTINGS
            ],
        )
        moving = [row["weighting"] for row in freeze.rows if row["beside_others"] > TOLERANCE]
        rows = found["ghost_drift"]
        ghost = Table(
            "theory_ghost_drift",
            "Sinkhorn: displacement of one particle on a plateau, in step radii",
            (
                number_column("companions", "Particles on a slope"),
                number_column("column_penalty", "Column penalty λ/ε", ""),
                number_column("mean_distance", "Mean length", ""),
                number_column("longest", "Longest", ""),
                number_column(
                    "mean_in_standard_errors", "Mean displacement, in standard errors, largest coordinate", "ratio"
                ),
            ),
            rows,
        )
        penalised = [row for row in rows if row["column_penalty"] > 0]
        lines = tuple(
            Line(
                f"{companions} particles on a slope",
                Style(COLOURS[place], "o"),
                [row["column_penalty"] for row in penalised if row["companions"] == companions],
                [row["mean_distance"] for row in penalised if row["companions"] == companions],
                steps=False,
            )
            for place, companions in enumerate(self.companions)
        )
        panel = Panel("", lines, x_label="column penalty λ / ε", y_label="mean length / r", log_y=True)
        return Section(
            "Plateaus",
            "Does a particle stay where it is when all its costs are equal?",
            (freeze, ghost),
            (Chart("theory_ghost_drift", "Ghost drift on a plateau under Sinkhorn", "", ((panel,),)),),
            (
                f"Up to rounding, these leave it alone: {'; '.join(name for name in WEIGHTINGS if name not in moving)}. "
                f"These do not: {'; '.join(moving)}. The partly drawn weighting does so at random, on purpose.",
                "Under Sinkhorn with a column penalty it moves as soon as other particles see a slope: the dual variables of "
                "the columns are shared. The length grows with the penalty and falls with the number of companions, "
                "because their frames are turned independently and cancel out. For the same reason the displacement "
                "shows no preferred direction.",
            ),
        )
