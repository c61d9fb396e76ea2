"""A curved jump: how often one step from a curved wall ends lower, with noisy costs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from polystep.contracts import ExpectedError
from polystep.random import derive_seed, named_generator
from polystep.report.table import Table, interval_column, number_column
from scripts.theory.copies import Copies, search_copies
from scripts.theory.statistics import binomial_interval, share_of
from scripts.theory.study import Found, Section


@dataclass(frozen=True)
class CurvedJump:
    """Step after step from the point 0 on the wall psi = x + curvature y^2/2 = 0 of
        F = 0.02 y where psi < 0,  2 + 0.03 x + 0.06 y elsewhere,
    with probes at distance rho, uniform noise of +-noise on every cost, eps = 1, and a step radius; a step decreases F if F is
    below F(0) = 2 afterwards. Source: the revised edition's simulation of curved jumps, which reports its decreases.
    """

    curvatures: Sequence[float]
    probe_distances: Sequence[float]
    noises: Sequence[float]
    frames: int
    step_radius: float
    published_decreases: int
    published_frames: int
    seed: int

    def run(self) -> Found:
        """One row per curvature, probe distance and noise."""
        if self.frames < 1:
            raise ExpectedError(f"curved_jump.frames must be at least 1, got {self.frames}")
        return {
            "curved_jump": [
                self._row(curvature, distance, noise)
                for curvature in self.curvatures
                for distance in self.probe_distances
                for noise in self.noises
            ]
        }

    def _row(self, curvature: float, distance: float, noise: float) -> dict[str, Any]:
        seed = derive_seed(self.seed, str((curvature, distance, noise)))
        generator = named_generator(seed, "noise")

        def cost(copy: Tensor, position: Tensor) -> Tensor:
            disturbance = 2 * torch.rand(len(copy), generator=generator, dtype=torch.float64) - 1
            return curved_loss(position, curvature) + noise * disturbance

        start = torch.zeros(self.frames, 2, dtype=torch.float64)
        optimizer = search_copies(start, seed, temperature=1.0, step_radius=self.step_radius, probe_radius=distance)
        optimizer.step(Copies(cost), 0.0)
        reached = curved_loss(optimizer.solution.reshape(self.frames, 2), curvature)
        return {
            "curvature": curvature,
            "probe_distance": distance,
            "noise": noise,
            "frames": self.frames,
            "decreases": int((reached < curved_loss(start[:1], curvature)).sum()),
        }

    def section(self, found: Found) -> Section:
        """Where steps fail, and all together beside the published count."""
        rows = found["curved_jump"]
        decreases, frames = (sum(row[key] for row in rows) for key in ("decreases", "frames"))
        low, high = binomial_interval(decreases, frames)
        published = self.published_decreases / self.published_frames
        inside = low <= published <= high
        failing = [row for row in rows if row["decreases"] < row["frames"]]
        shown = [row | share_of(row["decreases"], row["frames"]) for row in failing]
        shown.append({"decreases": decreases, "frames": frames} | share_of(decreases, frames))
        table = Table(
            "theory_curved_jump",
            "Steps from a curved wall that lower the loss",
            (
                number_column("curvature", "Curvature", ""),
                number_column("probe_distance", "Probe distance", ""),
                number_column("noise", "Noise", ""),
                number_column("decreases", "Decreases"),
                number_column("frames", "Frames"),
                interval_column("share", "Share with exact 95 % interval"),
            ),
            shown,
            ("Settings without a failure are left out; the last row is all settings together.",),
        )
        return Section(
            "A curved jump",
            "How often does one step from a point on a curved wall end lower, when costs are noisy?",
            (table,),
            (),
            (
                f"In our run {decreases:,} of {frames:,} steps lower the loss. The paper reports "
                f"{self.published_decreases:,} of {self.published_frames:,}, which is "
                f"{'inside' if inside else 'outside'} our exact 95 % interval ({low * frames:,.0f} to {high * frames:,.0f}).",
                "Failures need a wall that curves within the length of a step. The published count "
                "of 173,274 steps under sufficient conditions is not checked: the conditions are not public.",
            ),
        )


def curved_loss(position: Tensor, curvature: float) -> Tensor:
    """F at positions (N, 2); on the wall it has the higher value."""
    x, y = position.unbind(-1)
    below = x + curvature * y.square() / 2 < 0
    return torch.where(below, 0.02 * y, 2 + 0.03 * x + 0.06 * y)
