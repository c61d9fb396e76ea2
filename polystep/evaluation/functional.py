"""The general path: any module, vmap over functional_call, chunked to a memory budget."""

import contextlib
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.utils._pytree import tree_leaves

from polystep.candidates import Candidates
from polystep.contracts import ExpectedError
from polystep.layout import ParameterLayout
from polystep.validation import first_line


class RandomForward(ExpectedError):
    """A module that draws random numbers in eval mode, so that losses of candidates cannot be compared."""


@contextlib.contextmanager
def evaluation_mode(module: nn.Module) -> Iterator[None]:
    """Eval mode for all parts of `module`; afterwards every part has its own mode and attributes again.

    What a forward pass stores in attributes is dropped: under vmap it would not outlive the pass.
    """
    held = [(part, part.__dict__.copy()) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, attributes in held:
            part.__dict__.clear()
            part.__dict__.update(attributes)


def outputs_at(module: nn.Module, tensors: Mapping[str, Tensor], inputs: Tensor) -> Tensor:
    """Outputs of `module` with the named `tensors` as its parameters, each in the type of the parameter that it replaces.

    Parameters, buffers and inputs are copies, so that a module that works in place changes nothing outside of the pass.
    """
    replaced = {}
    # named_modules gives a part that is used twice once: a slot that were replaced twice would not be restored
    for prefix, part in module.named_modules():
        dot = f"{prefix}." if prefix else ""
        for name, parameter in part.named_parameters(recurse=False, remove_duplicate=False):
            if (tensor := tensors.get(dot + name)) is not None:
                replaced[dot + name] = tensor.to(parameter.dtype, copy=True)
        for name, buffer in part.named_buffers(recurse=False, remove_duplicate=False):
            replaced[dot + name] = buffer.clone()
    outputs: Tensor = functional_call(module, replaced, (inputs.clone(),), tie_weights=False)
    return outputs


def _random_states(device: torch.device) -> list[Tensor]:
    """Of the generators that a module on `device` can draw from."""
    own = [torch.cuda.get_rng_state(device)] if device.type == "cuda" else []
    return [torch.get_rng_state(), *own]


class FunctionalEvaluator:
    """Runs the whole module for every candidate.

    The module is evaluated in eval mode and in the types of its parameters, with its buffers and frozen parameters shared by
    all candidates, and is afterwards as it was. Where vmap cannot take the module, candidates run one at a time and a warning
    says why, once.
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
        as they can be estimated from the inputs and from what the parts of the module give.
        """
        if memory_bytes < 1:
            raise ValueError(f"memory_bytes must be at least 1, got {memory_bytes}")
        self.module, self.loss = module, loss
        self.layout = layout or ParameterLayout.of_module(module)
        self.memory_bytes = memory_bytes
        self._vectorise = True
        self._largest: dict[torch.Size, int] = {}

    def losses(self, candidates: Candidates, inputs: Tensor, targets: Tensor) -> Tensor:
        """Mean loss of every candidate on the batch, shape (N,), float32. Raises RandomForward."""
        random = _random_states(inputs.device)
        with evaluation_mode(self.module):
            chunk = self._chunk(inputs)
            parts = [
                self._part(candidates.dense(slice(first, first + chunk)), inputs, targets)
                for first in range(0, len(candidates), chunk)
            ]
        if not all(map(torch.equal, _random_states(inputs.device), random)):
            raise RandomForward(
                f"{type(self.module).__name__} draws random numbers in eval mode, so losses of candidates cannot be compared; "
                "draw them in training mode only, as F.dropout(..., training=self.training) does"
            )
        return torch.cat(parts) if parts else torch.empty(0, device=inputs.device)

    def _chunk(self, inputs: Tensor) -> int:
        """Candidates per chunk. Activations are assumed to be as large as the inputs times 16, or twice the largest output."""
        held = max(16 * inputs.numel(), 2 * self._largest_output(inputs))
        return max(1, self.memory_bytes // (4 * (2 * self.layout.size + held)))

    @torch.no_grad()
    def _largest_output(self, inputs: Tensor) -> int:
        """Numbers in the largest output of a part of the module; one pass for each shape of inputs tells."""
        if inputs.shape not in self._largest:
            sizes = [0]

            def note(part: nn.Module, arguments: Any, output: Any) -> None:
                sizes.append(sum(leaf.numel() for leaf in tree_leaves(output) if isinstance(leaf, Tensor)))

            hooks = [part.register_forward_hook(note) for part in self.module.modules()]
            try:
                # of its own, so that what this pass stores in attributes is gone before candidates are evaluated
                with evaluation_mode(self.module):
                    outputs_at(self.module, {}, inputs)
            finally:
                for hook in hooks:
                    hook.remove()
            self._largest[inputs.shape] = max(sizes)
        return self._largest[inputs.shape]

    @torch.no_grad()
    def _part(self, points: Tensor, inputs: Tensor, targets: Tensor) -> Tensor:
        if self._vectorise:
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
                f"slower; the reason: {first_line(failure)}",
                stacklevel=5,
            )
            return one_by_one
        return self._loop(points, inputs, targets)

    def _loop(self, points: Tensor, inputs: Tensor, targets: Tensor) -> Tensor:
        return torch.stack([self._loss(self.layout.unflatten(point), inputs, targets) for point in points]).float()

    def _loss(self, tensors: dict[str, Tensor], inputs: Tensor, targets: Tensor) -> Tensor:
        loss = self.loss(outputs_at(self.module, tensors, inputs), targets)
        if loss.ndim != 0:
            raise TypeError(f"the loss must be a scalar, got shape {tuple(loss.shape)}; take its mean over the batch")
        return loss
