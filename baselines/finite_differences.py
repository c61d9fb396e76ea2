"""Finite differences in PolyStep's subspaces: what is left of PolyStep without its softmax."""

from collections.abc import Callable

import torch
from torch import Tensor

from polystep.algorithm import PolyStep
from polystep.component import component
from polystep.layout import ParameterLayout
from polystep.schedule import Schedule
from polystep.subspace import RowSubspace, Subspace
from polystep.update import Update
from polystep.validation import positive_schedule


@component("finite_differences", version=1, title="Finite differences", family="particles")
class FiniteDifferences(PolyStep):
    """Probe the points that PolyStep probes, and descend the central differences between opposite ones.

    Per step t, with probe radius q, step size s and orthonormal directions u_ij, j = 1..d, of particle i:
        gradient      g_ij = (f(point + lift_i(q u_ij)) - f(point - lift_i(q u_ij)))/(2 q)
        displacement  x_i  = -s sum_j g_ij u_ij
        point        <- point + update(lift(x))
    Candidates, cost (2 P d per step), subspace and update are those of PolyStep with the orthoplex and one probe, candidate
    for candidate under the same seed; only the answer to the losses differs. PolyStep's own is this one, with
    s = step radius x probe radius/(d temperature), where losses differ little against its temperature (METHOD.md, the linear
    regime). A direction with a loss that is not finite contributes nothing.
    """

    def __init__(
        self,
        layout: ParameterLayout,
        point: Tensor,
        seed: int,
        *,
        subspace: Callable[..., Subspace] = RowSubspace,
        particle_dimension: int = 8,
        probe_radius: float | Schedule = 0.5,
        step_size: float | Schedule = 1.0,
        update: Update | None = None,
        redraw_every: int = 1,
    ):
        """`step_size`: s, which an adaptive update divides out. The rest as in PolyStep. Raises ValueError."""
        self._radius = positive_schedule(probe_radius, "probe_radius")
        self._step_size = positive_schedule(step_size, "step_size", may_vanish=True)
        super().__init__(
            layout,
            point,
            seed,
            subspace=subspace,
            particle_dimension=particle_dimension,
            probe_radius=self._radius,
            update=update,
            redraw_every=redraw_every,
        )

    def _respond(self, losses: Tensor, directions: Tensor) -> tuple[Tensor, dict[str, float]]:
        forward, backward = losses.squeeze(-1).chunk(2, dim=1)
        slopes = (forward - backward) / (2 * self._radius.at(self._now))
        slopes = torch.where(torch.isfinite(slopes), slopes, 0.0).to(directions.dtype)
        coordinates = torch.einsum("pj,pji->pi", slopes, directions[:, : slopes.shape[1]])
        coordinates *= -self._step_size.at(self._now)
        return coordinates, {"slope_norm": float(slopes.norm())}
