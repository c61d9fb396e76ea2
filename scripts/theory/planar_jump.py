"""A planar jump: how far a step moves away from a wall between two levels of the loss, in closed form."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from polystep.contracts import ExpectedError
from polystep.random import derive_seed, named_generator
from polystep.report.charts import COLOURS, Chart, Line, Panel, Style
from polystep.report.table import Table, number_column
from scripts.theory.copies import Copies, search_copies
from scripts.theory.study import Found, Section


@dataclass(frozen=True)
class PlanarJump:
    """The loss is 0 on one side of a plane through the point and J on the other; one step per frame, r = 1.

    Along the unit normal n, which points to the higher side, an orthoplex with rotation R moves by
        -(r/d) tanh(J/(2 eps)) |R^T n|_1,
    on average over rotations by -r tanh(J/(2 eps)) Gamma(d/2)/(sqrt(pi) Gamma((d + 1)/2)). Of every antipodal pair of vertices
    one is on either side, so all weights are one of two values.
    """

    dimensions: Sequence[int]
    ratios: Sequence[float]
    frames: int
    seed: int

    def run(self) -> Found:
        """One row per dimension and ratio J/eps."""
        for ratio in self.ratios:
            if ratio == 0:
                raise ExpectedError("planar_jump.ratios holds 0: a function without a jump has no wall; leave it out")
            if not (math.isfinite(ratio) and ratio > 0):
                raise ExpectedError(
                    f"planar_jump.ratios holds {ratio}; J/eps must be finite and above 0, so give a temperature above 0"
                )
        return {"planar_jump": [self._row(d, ratio) for d in self.dimensions for ratio in self.ratios]}

    def _row(self, dimension: int, ratio: float) -> dict[str, Any]:
        seed = derive_seed(self.seed, dimension, str(ratio))
        generator = named_generator(seed, "normals")
        normal = torch.randn(self.frames, dimension, generator=generator, dtype=torch.float64)
        normal /= normal.norm(dim=1, keepdim=True)
        copies = Copies(lambda copy, position: ratio * ((position * normal[copy]).sum(1) > 0).double())
        start = torch.zeros(self.frames, dimension, dtype=torch.float64)
        optimizer = search_copies(start, seed, temperature=1.0, step_radius=1.0, probe_radius=1.0)
        # the first half of a particle's probes are the columns of its rotation
        candidates = optimizer.ask(0.0)
        columns = candidates.offset.reshape(self.frames, 2 * dimension, dimension)[:, :dimension]  # type: ignore[attr-defined]
        optimizer.tell(copies.losses(candidates))
        drift = (optimizer.solution.reshape(self.frames, dimension) * normal).sum(1)
        size = torch.einsum("pji,pi->pj", columns, normal).abs().sum(1)
        predicted = -math.tanh(ratio / 2) / dimension * size
        mean = -math.tanh(ratio / 2) * math.exp(math.lgamma(dimension / 2) - math.lgamma((dimension + 1) / 2))
        return {
            "dimension": dimension,
            "ratio": ratio,
            "frames": self.frames,
            "largest_difference": float((drift - predicted).abs().max()),
            "mean_drift": float(drift.mean()),
            "standard_error": float(drift.std()) / math.sqrt(self.frames),
            "predicted_mean_drift": mean / math.sqrt(math.pi),
        }

    def section(self, found: Found) -> Section:
        """The largest difference per dimension, and the mean drift over the ratio."""
        rows = found["planar_jump"]
        by_dimension = {d: [row for row in rows if row["dimension"] == d] for d in self.dimensions}
        summary = [
            {
                "dimension": d,
                "ratios": len(own),
                "frames": sum(row["frames"] for row in own),
                "largest_difference": max(row["largest_difference"] for row in own),
                "largest_deviation": max(
                    abs(row["mean_drift"] - row["predicted_mean_drift"]) / row["standard_error"] for row in own
                ),
                "saturated": own[-1]["mean_drift"],
            }
            for d, own in by_dimension.items()
        ]
        table = Table(
            "theory_planar_jump",
            "One step beside a planar wall",
            (
                number_column("dimension", "d"),
                number_column("ratios", "Ratios J/ε"),
                number_column("frames", "Frames"),
                number_column("largest_difference", "Largest difference to the formula", "difference"),
                number_column(
                    "largest_deviation",
                    "Mean drift: standard errors from the mean over rotations, largest of the ratios",
                    "ratio",
                ),
                number_column("saturated", "Mean drift / r at the largest J/ε", ""),
            ),
            summary,
        )
        lines = tuple(
            Line(
                f"d = {d}",
                Style(COLOURS[place], "o"),
                [row["ratio"] for row in own],
                [-row["mean_drift"] for row in own],
                steps=False,
            )
            for place, (d, own) in enumerate(by_dimension.items())
        )
        panel = Panel("", lines, x_label="jump J / temperature ε", y_label="mean drift / r", log_y=True)
        worst = max(row["largest_difference"] for row in summary)
        return Section(
            "A planar jump",
            "Does one step of the softmax over an orthoplex move away from a planar wall by exactly "
            "-(r/d) tanh(J/(2ε)) ‖Rᵀn‖₁, for every frame R?",
            (table,),
            (Chart("theory_planar_jump", "Drift away from a planar jump", "", ((panel,),)),),
            (
                f"{'Yes' if worst <= 1e-12 else 'No'}: the largest difference is {worst:.1e}. The drift needs no gradient and "
                "grows with J only until J ≫ ε, where it saturates at r ‖Rᵀn‖₁/d: it falls like 1/√d. The step "
                "costs 2d candidates, so a candidate buys less in higher dimensions.",
                "It says nothing of walls that do not pass through the point, of curved ones (below), nor of "
                "polytopes without antipodal vertices.",
            ),
        )
