"""From a module to the fastest evaluator that can take it, without writing a kernel.

An nn.Sequential of linear layers and elementwise modules, convolutions and pooling before them, is evaluated incrementally;
anything else functionally, and a warning says why. Kernels are compiled where each activation is known or offers `scalar`.
"""

import importlib.util
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch.nn.functional as F
from torch import Tensor, nn

from polystep.contracts import ExpectedError
from polystep.evaluation.activations import CrossEntropy
from polystep.evaluation.compilation import require_numba
from polystep.evaluation.convolution.incremental import ConvolutionalEvaluator
from polystep.evaluation.convolution.network import ConvolutionalNetwork
from polystep.evaluation.convolution.sequential import convolutional_network
from polystep.evaluation.elementwise import Elementwise
from polystep.evaluation.functional import FunctionalEvaluator
from polystep.evaluation.incremental import IncrementalEvaluator
from polystep.evaluation.layered import LayeredNetwork, SampleLoss
from polystep.evaluation.objective import Evaluator
from polystep.evaluation.parts import NotLayered, has_forward_of
from polystep.evaluation.sequential import layered_network
from polystep.layout import ParameterLayout


class OutputsOfOtherShape(ExpectedError):
    """A module whose outputs are not (B, O)."""


class ModuleEvaluator(Evaluator, Protocol):
    """An evaluator that knows the layout of its module."""

    layout: ParameterLayout


BatchLoss = Callable[[Tensor, Tensor], Tensor]
"""A scalar of the outputs and the targets of a whole batch."""


@dataclass(frozen=True)
class Choice:
    """An evaluator; what it does, in words; and why it does not do what is faster, None where nothing is."""

    evaluator: ModuleEvaluator
    path: str
    reason: str | None

    def __str__(self) -> str:
        return f"candidates are evaluated {self.path}" + ("" if self.reason is None else f": {self.reason}")


def choose_evaluator(module: nn.Module, loss: SampleLoss | BatchLoss | None = None) -> Choice:
    """The fused, the incremental or the functional evaluator of `module`, the first that can take it and its loss.

    `loss`: CrossEntropy where not given. Of the functions of a batch, torch's mean cross-entropy alone is taken apart into
    the losses of samples.
    """
    layout, sample_loss = ParameterLayout.of_module(module), _sample_loss(loss)
    mean_loss = loss if callable(loss) else _mean_loss(loss or CrossEntropy())
    whole = FunctionalEvaluator(module, mean_loss, layout)
    try:
        if sample_loss is None:
            raise NotLayered("the loss is a function of a whole batch, not torch's cross-entropy or a SampleLoss")
        network = _network(module, sample_loss)
    except NotLayered as reason:
        return Choice(whole, "by the whole module, which is slow", str(reason))
    on_cpu = next(module.parameters()).device.type == "cpu"
    reason_for_torch = _reason_for_torch(network) if on_cpu else None
    if on_cpu and reason_for_torch is None:
        return Choice(_fused(network, layout, whole), "by compiled kernels", None)
    if isinstance(network, ConvolutionalNetwork):
        general: ModuleEvaluator = ConvolutionalEvaluator(network, layout, whole)
    else:
        general = IncrementalEvaluator(network, layout)
    return Choice(general, "incrementally in torch", reason_for_torch)


def fastest_evaluator(module: nn.Module, loss: SampleLoss | BatchLoss | None = None) -> ModuleEvaluator:
    """The evaluator that `choose_evaluator` chooses; a warning says why it is not a faster one."""
    choice = choose_evaluator(module, loss)
    if choice.reason is not None:
        warnings.warn(str(choice), stacklevel=2)
    return choice.evaluator


def _sample_loss(loss: SampleLoss | BatchLoss | None) -> SampleLoss | None:
    """The loss of one sample of which `loss` is the mean, None where that is not known."""
    if loss is None or loss is F.cross_entropy:
        return CrossEntropy()
    if isinstance(loss, nn.Module) and has_forward_of(loss, nn.CrossEntropyLoss):
        plain = nn.CrossEntropyLoss()
        same = loss.weight is None and all(
            getattr(loss, name) == getattr(plain, name) for name in ("ignore_index", "reduction", "label_smoothing")
        )
        return CrossEntropy() if same else None
    return None if callable(loss) else loss


def _fused(
    network: LayeredNetwork | ConvolutionalNetwork, layout: ParameterLayout, whole: ModuleEvaluator
) -> ModuleEvaluator:
    # numba is needed from here on
    require_numba()
    if isinstance(network, ConvolutionalNetwork):
        from polystep.evaluation.convolution.fused import FusedConvolutionalEvaluator

        return FusedConvolutionalEvaluator(network, layout, whole)
    from polystep.evaluation.fused import FusedEvaluator

    return FusedEvaluator(network, layout)


def _network(module: nn.Module, loss: SampleLoss) -> LayeredNetwork | ConvolutionalNetwork:
    if any(isinstance(part, nn.Conv2d) for part in module.modules()):
        return convolutional_network(module, loss)
    return layered_network(module, loss)


def _reason_for_torch(network: LayeredNetwork | ConvolutionalNetwork) -> str | None:
    """Why there are no kernels for a network, and what to do; None where there are."""
    if importlib.util.find_spec("numba") is None:
        return "with numba they are faster"
    for activation in network.activations:
        if isinstance(activation, Elementwise) and activation.scalar is None:
            return f"for compiled kernels give {type(activation.module).__name__} a static method scalar(z)"
    return None


def _mean_loss(loss: SampleLoss) -> Callable[[Tensor, Tensor], Tensor]:
    def mean(outputs: Tensor, targets: Tensor) -> Tensor:
        if outputs.ndim != 2:
            raise OutputsOfOtherShape(
                f"the module must give outputs of shape (B, O), got {tuple(outputs.shape)}; let it end with as many numbers "
                "per row of the batch as the loss takes"
            )
        loss.check(targets, outputs.shape[1])
        return loss.apply(outputs, targets).mean()

    return mean
