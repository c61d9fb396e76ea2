"""The best candidate so far, which some published runs report instead of the point that a method is at."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from polystep.contracts import State


@dataclass
class BestEver:
    """The candidate (D,) with the lowest loss so far, whichever batch it was on; before any, the start."""

    point: Tensor
    loss: float = math.inf

    def take(self, losses: Tensor, candidate: Callable[[int], Tensor]) -> None:
        """Keep the best of a step's candidates if it is better; `candidate`: gives one by its place in `losses` (N,)."""
        lowest = int(torch.where(torch.isfinite(losses), losses, torch.inf).argmin())
        if losses[lowest] < self.loss:
            self.loss, self.point = float(losses[lowest]), candidate(lowest)

    def state_dict(self) -> State:
        """Both; a checkpoint holds no infinity."""
        return {"point": self.point, "loss": None if self.loss == math.inf else self.loss}

    def load_state_dict(self, state: State) -> None:
        """Continue where `state` was taken."""
        self.point, self.loss = state["point"].clone(), math.inf if state["loss"] is None else state["loss"]
