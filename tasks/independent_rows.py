"""Mini-batches that are drawn anew every time, as theorems ask."""

import torch
from torch import Tensor

from polystep.contracts import State
from polystep.random import generator_state, named_generator, restore_generator


class IndependentRows:
    """Mini-batches of row numbers, each drawn with replacement from all rows, whatever was drawn before.

    So the mean loss of a batch is that of all rows on average, given all earlier batches. In a shuffled epoch it is not: the
    last batches are known from those before.
    """

    def __init__(self, rows: int, batch_size: int, seed: int, device: torch.device):
        """`rows`: how many there are. `seed`: decides the batches, which are equal on all devices."""
        self.rows, self.batch_size, self._device = rows, batch_size, device
        self._generator = named_generator(seed, "independent batches")

    @property
    def per_epoch(self) -> int:
        """Mini-batches that have as many rows as there are."""
        return -(-self.rows // self.batch_size)

    def next(self) -> Tensor:
        """The row numbers (B,) of the next mini-batch."""
        return torch.randint(self.rows, (self.batch_size,), generator=self._generator).to(self._device)

    def state_dict(self) -> State:
        """The generator."""
        return {"generator": generator_state(self._generator)}

    def load_state_dict(self, state: State) -> None:
        """Continue where `state` was taken."""
        restore_generator(self._generator, state["generator"])
