"""Node perturbation: how the loss of each sample answers to noise on what the units of a module receive."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import vmap

from polystep.contracts import ExpectedError
from polystep.evaluation.functional import evaluation_mode, outputs_at
from polystep.layout import ParameterLayout


class NodesNotFound(ExpectedError):
    """A module without units that can be perturbed; the message says what is missing."""


def has_nodes(module: nn.Module) -> bool:
    """Whether a module has layers whose units can be perturbed."""
    return any(isinstance(part, nn.Linear) for part in module.modules())


class NodePerturber:
    """Estimates of a gradient from forward passes with noise on the outputs of a module's linear layers.

    A linear layer gives W x + b + sigma xi instead of W x + b, with xi standard normal, of its own for every sample and every
    time that the layer is called. With l the loss of a sample, l' that of a pass with noise, N passes and B samples,
        estimate of dL/dW = sum over passes, samples and calls of (l' - l)/sigma xi x^T, divided by N B
    and without x^T for the bias; x is what the layer received in the pass with noise. Its mean is the gradient of the loss
    averaged over that noise, which exists for hard networks, too. A layer that transforms its parameters, as a rounded one
    does, is moved as if it did not. Parameters of other parts have an estimate of 0.
    Source: Williams, "Simple statistical gradient-following algorithms for connectionist reinforcement learning", Machine
    Learning 8 (1992), for Gaussian units whose mean is learnt.
    """

    def __init__(self, module: nn.Module, loss: Callable[[Tensor, Tensor], Tensor], layout: ParameterLayout):
        """`loss(outputs, targets)`: a scalar, the mean over rows."""
        self.module, self.loss, self.layout = module, loss, layout
        self._has_rows: set[str] = set()

    @torch.no_grad()
    def estimate(
        self, point: Tensor, deviation: float, passes: int, generator: torch.Generator, inputs: Tensor, targets: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Mean loss without noise (a scalar) and the estimate (D,) at `point`; sigma is `deviation`, N is `passes`.

        Raises NodesNotFound where no linear layer is called, or one on what has no row for each sample.
        """
        tensors, total = self.layout.unflatten(point), torch.zeros_like(point)
        estimates = self.layout.unflatten(total)
        with evaluation_mode(self.module):
            plain = self._losses(tensors, inputs, targets)
            for _ in range(passes):
                calls, noisy = self._noisy_pass(tensors, deviation, generator, inputs, targets)
                share = (noisy - plain).unsqueeze(-1) / (deviation * passes * len(inputs))
                for name, received, noise in calls:
                    weighted = (noise * share.to(noise)).flatten(0, -2)
                    # a layer may have no bias, and parameters that are not trained
                    if (weight := estimates.get(f"{name}weight")) is not None:
                        weight += weighted.T @ received.flatten(0, -2)
                    if (bias := estimates.get(f"{name}bias")) is not None:
                        bias += weighted.sum(0)
        return plain.mean(), total

    def _losses(self, tensors: dict[str, Tensor], inputs: Tensor, targets: Tensor) -> Tensor:
        """Loss of every sample (B,): a batch of one row has that of the row."""
        outputs = outputs_at(self.module, tensors, inputs)
        return vmap(lambda output, target: self.loss(output.unsqueeze(0), target.unsqueeze(0)))(outputs, targets)

    def _noisy_pass(
        self,
        tensors: dict[str, Tensor],
        deviation: float,
        generator: torch.Generator,
        inputs: Tensor,
        targets: Tensor,
    ) -> tuple[list[tuple[str, Tensor, Tensor]], Tensor]:
        """Of every call of a linear layer the prefix of its parameters' names, what it received and the noise; the losses."""
        calls: list[tuple[str, Tensor, Tensor]] = []

        def perturbation(name: str) -> Callable[..., Tensor]:
            def perturb(_: nn.Module, received: tuple[Tensor, ...], output: Tensor) -> Tensor:
                self._check_rows(name, output, len(inputs))
                noise = torch.randn(output.shape, generator=generator, dtype=output.dtype, device=output.device)
                calls.append((name, received[0], noise))
                return output + deviation * noise

            return perturb

        handles = [
            part.register_forward_hook(perturbation(f"{name}." if name else ""))
            for name, part in self.module.named_modules()
            if isinstance(part, nn.Linear)
        ]
        try:
            losses = self._losses(tensors, inputs, targets)
        finally:
            for handle in handles:
                handle.remove()
        if not calls:
            raise NodesNotFound(
                f"{type(self.module).__name__} calls no nn.Linear, the layers that node perturbation moves; use another "
                "optimiser, such as optimizer=polystep"
            )
        return calls, losses

    def _check_rows(self, name: str, output: Tensor, samples: int) -> None:
        """NodesNotFound where the last axis but one of an output is not that of the samples, or may be another one."""
        if (
            output.ndim < 2
            or output.shape[-2] != samples
            or (name not in self._has_rows and samples in output.shape[:-2])
        ):
            raise NodesNotFound(
                f"the linear layer {name.rstrip('.') or 'itself'} gives shape {tuple(output.shape)} for {samples} samples, but "
                f"node perturbation needs (..., {samples}, units), and no other axis of that length in the first batch; change "
                "the size of the batch or use another optimiser, such as optimizer=polystep"
            )
        self._has_rows.add(name)
