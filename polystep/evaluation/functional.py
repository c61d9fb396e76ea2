"""The general path: any module, vmap over functional_call, chunked to a memory budget."""

import contextlib
import warnings
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from polystep.candidates import Candidates
from polystep.layout import ParameterLayout


@contextlib.contextmanager
def evaluation_mode(module: nn.Module) -> Iterator[None]:
    """Eval mode for all parts of `module`, and their own modes again afterwards."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, training in modes.items():
            part.training = training


class FunctionalEvaluator:
    """Runs the whole module for every candidate.

    The module is evaluated in eval mode, with its buffers and frozen parameters shared by all candidates. Where vmap
    cannot take the module, candidates run one at a time and a warning says why, once.
    """

    compilation_seconds = 0.0

    def __init__(
        self,
        module: nn.Module,
        loss: Callable[[Tensor, Tensor], Tensor],
        layout: ParameterLayout | None = None,
        memory_bytes: int = 512 * 2**20,
    ):
        """`loss(outputs, targets)`: a scalar. `memory_bytes`: bound for the parameters and activations of a chunk, as far
        as they can be estimated from the parameters and the output of one candidate.
        """
        if memory_bytes < 1:
            raise ValueError(f"memory_bytes must be at least 1, got {memory_bytes}")
        self.module, self.loss = module, loss
        self.layout = layout or ParameterLayout.of_module(module)
        self.memory_bytes = memory_bytes
        self._vectorise = True

    def losses(self, candidates: Candidates, inputs: Tensor, targets: Tensor) -> Tensor:
        """Mean loss of every candidate on the batch, shape (N,), float32."""
        with evaluation_mode(self.module):
            chunk = self._chunk(inputs)
            parts = [
                self._part(candidates.dense(slice(first, first + chunk)), inputs, targets)
                for first in range(0, len(candidates), chunk)
            ]
        return torch.cat(parts) if parts else torch.empty(0, device=inputs.device)

    def _chunk(self, inputs: Tensor) -> int:
        """Candidates per chunk. Activations are assumed to be as large as the inputs times 16."""
        per_candidate = 4 * (2 * self.layout.size + 16 * inputs.numel())
        return max(1, self.memory_bytes // per_candidate)

    @torch.no_grad()
    def _part(self, points: Tensor, inputs: Tensor, targets: Tensor) -> Tensor:
        if self._vectorise and len(points) > 1:
            try:
                return vmap(lambda tensors: self._loss(tensors, inputs, targets))(self.layout.unflatten(points)).float()
            except (RuntimeError, ValueError) as reason:
                if isinstance(reason, torch.OutOfMemoryError):
                    raise
                failure = reason
            one_by_one = self._loop(points, inputs, targets)
            self._vectorise = False
            warnings.warn(
                f"vmap cannot take {type(self.module).__name__}, so candidates are evaluated one at a time, which is "
                f"slower; the reason: {str(failure).strip().splitlines()[0]}",
                stacklevel=5,
            )
            return one_by_one
        return self._loop(points, inputs, targets)

    def _loop(self, points: Tensor, inputs: Tensor, targets: Tensor) -> Tensor:
        return torch.stack([self._loss(self.layout.unflatten(point), inputs, targets) for point in points]).float()

    def _loss(self, tensors: dict[str, Tensor], inputs: Tensor, targets: Tensor) -> Tensor:
        loss = self.loss(functional_call(self.module, tensors, (inputs,), tie_weights=False), targets)
        if loss.ndim != 0:
            raise TypeError(f"the loss must be a scalar, got shape {tuple(loss.shape)}; take its mean over the batch")
        return loss
