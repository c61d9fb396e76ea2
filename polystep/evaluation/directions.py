"""Candidates of the paper's subspace as the kernels read them: particles, their directions, and signs."""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from polystep.candidates import leading_signs

Count = TypeVar("Count", int, NDArray[np.int64])
ROWS = 8
"""Rows of a matrix that kernels multiply at once."""


def whole_rows(count: Count) -> Count:
    """`count` with padding to whole ROWS, of one number or of each."""
    return -(-count // ROWS) * ROWS


@dataclass(frozen=True)
class Directions:
    """Candidates of R particles: candidate n moves its particle by sign[n] x offset[direction[n]].

    particle (R,); candidates first[r] .. first[r+1] move particle r, along count[r] directions from first_direction[r] on;
    offset (directions, d), padded with zeros to whole ROWS of every particle. A direction and its opposite are one, so what
    is computed for it serves both; negation is exact, so a loss does not depend on whether both are there.
    """

    particle: NDArray[np.int64]
    first: NDArray[np.int64]
    direction: NDArray[np.int64]
    sign: NDArray[np.float32]
    first_direction: NDArray[np.int64]
    count: NDArray[np.int64]
    offset: NDArray[np.float32]

    def as_tuple(self) -> tuple[NDArray[np.int64] | NDArray[np.float32], ...]:
        """What kernels read: all but `particle`."""
        return self.first, self.direction, self.sign, self.first_direction, self.count, self.offset


def directions_of(particle: Tensor, offset: Tensor) -> Directions:
    """Of candidates that move particle[n] by offset[n] (d,), those of one particle side by side."""
    moved, candidates = torch.unique_consecutive(particle, return_counts=True)
    owner = torch.repeat_interleave(torch.arange(len(moved)), candidates)
    # the first coordinate that is not 0 is positive in every direction; + 0 makes one of both zeros
    sign = leading_signs(offset).unsqueeze(1)
    keys = torch.cat([owner.unsqueeze(1), (offset * sign + 0.0).view(torch.int32)], dim=1).numpy()
    rows = np.ascontiguousarray(keys).view([("", keys.dtype)] * keys.shape[1])[:, 0]
    # sorted by owner first
    _, example, number = np.unique(rows, return_index=True, return_inverse=True)
    owner_of = owner.numpy()[example]
    count = np.bincount(owner_of, minlength=len(moved))
    padded = np.concatenate([[0], np.cumsum(whole_rows(count))])
    place = padded[owner_of] + np.arange(len(example)) - np.searchsorted(owner_of, owner_of)
    directions = np.zeros((padded[-1], offset.shape[1]), np.float32)
    directions[place] = (offset * sign).numpy()[example]
    first = F.pad(candidates.cumsum(0), (1, 0)).numpy()
    return Directions(moved.numpy(), first, place[number], sign[:, 0].numpy(), padded[:-1], count, directions)


def dense_rows(change: Tensor) -> NDArray[np.float32]:
    """What each coordinate of R particles adds to weights and bias, (R, d, U, I + 1), as kernels read it: (R, U d, I + 1),
    padded with zeros to whole ROWS.
    """
    rows = change.transpose(1, 2).flatten(1, 2)
    padded: NDArray[np.float32] = F.pad(rows, (0, 0, 0, whole_rows(rows.shape[1]) - rows.shape[1])).contiguous().numpy()
    return padded
