"""The order in which training rows are visited."""

import torch
from torch import Tensor

from polystep.contracts import State
from polystep.random import generator_state, named_generator, restore_generator


class ShuffledRows:
    """Mini-batches of row numbers: all rows once per epoch, in an order of its own; the last one of an epoch may be smaller."""

    def __init__(self, rows: int, batch_size: int, seed: int, device: torch.device):
        """`rows`: how many there are. `seed`: decides the orders, which are equal on all devices."""
        self.rows, self.batch_size, self._device = rows, batch_size, device
        self._generator = named_generator(seed, "batches")
        self._start_epoch()

    @property
    def per_epoch(self) -> int:
        """Mini-batches per epoch."""
        return -(-self.rows // self.batch_size)

    def next(self) -> Tensor:
        """The row numbers (B,) of the next mini-batch."""
        if self._position >= self.rows:
            self._start_epoch()
        chosen = self._order[self._position : self._position + self.batch_size]
        self._position += len(chosen)
        return chosen

    def state_dict(self) -> State:
        """The generator at the start of this epoch and the position in the epoch."""
        return {"epoch_generator": self._epoch_generator, "position": self._position}

    def load_state_dict(self, state: State) -> None:
        """Continue where `state` was taken."""
        restore_generator(self._generator, state["epoch_generator"])
        self._start_epoch()
        self._position = state["position"]

    def _start_epoch(self) -> None:
        self._epoch_generator = generator_state(self._generator)
        self._order = torch.randperm(self.rows, generator=self._generator).to(self._device)
        self._position = 0
