"""Candidates of the paper's subspace as the kernels read them: particles, their directions, and signs."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

COORDINATES = 8
"""Coordinates are padded to a multiple of this, with directions that are 0 there: so many are multiplied at once."""


def padded_coordinates(dimension: int) -> int:
    """`dimension` with padding."""
    return -(-dimension // COORDINATES) * COORDINATES


@dataclass(frozen=True)
class Directions:
    """Candidates of R particles: candidate n moves its particle by sign[n] x offset[direction[n]].

    particle (R,); candidates first[r] .. first[r+1] move particle r, along directions first_direction[r] ..
    first_direction[r+1]; offset (directions, d), d padded. A direction and its opposite are one, so what is computed for it
    serves both; negation is exact, so a loss does not depend on whether both are there.
    """

    particle: NDArray[np.int64]
    first: NDArray[np.int64]
    direction: NDArray[np.int64]
    sign: NDArray[np.float32]
    first_direction: NDArray[np.int64]
    offset: NDArray[np.float32]

    def as_tuple(self) -> tuple[NDArray[np.int64] | NDArray[np.float32], ...]:
        """The fields in order, for a kernel."""
        return self.particle, self.first, self.direction, self.sign, self.first_direction, self.offset


def directions_of(particle: Tensor, offset: Tensor) -> Directions:
    """Of candidates that move particle[n] by offset[n] (d,), those of one particle side by side."""
    moved, count = torch.unique_consecutive(particle, return_counts=True)
    owner = torch.repeat_interleave(torch.arange(len(moved)), count)
    # the first coordinate that is not 0 is positive in every direction; + 0 makes one of both zeros
    leading = offset.gather(1, (offset != 0).int().argmax(1, keepdim=True))
    sign = torch.where(leading < 0, -1.0, 1.0)
    keys = torch.cat([owner.unsqueeze(1), (offset * sign + 0.0).view(torch.int32)], dim=1).numpy()
    rows = np.ascontiguousarray(keys).view([("", keys.dtype)] * keys.shape[1])[:, 0]
    _, example, direction = np.unique(rows, return_index=True, return_inverse=True)
    # sorted by owner first
    first_direction = np.searchsorted(owner.numpy()[example], np.arange(len(moved) + 1))
    chosen = (offset * sign)[example]
    padding = padded_coordinates(offset.shape[1]) - offset.shape[1]
    return Directions(
        moved.numpy(),
        F.pad(count.cumsum(0), (1, 0)).numpy(),
        direction,
        sign[:, 0].numpy(),
        first_direction,
        F.pad(chosen, (0, padding)).contiguous().numpy(),
    )
