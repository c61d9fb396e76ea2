"""From a module to the fastest evaluator that can take it, without writing a kernel.

An nn.Sequential of linear layers and elementwise modules, convolutions and pooling before them, is evaluated incrementally;
anything else functionally, and a warning says why. Kernels are compiled where each activation is known or offers `scalar`.
"""

import importlib.util
import warnings
from collections.abc import Callable
from typing import Protocol

from torch import Tensor, nn

from polystep.contracts import ExpectedError
from polystep.evaluation.activations import CrossEntropy
from polystep.evaluation.convolution.incremental import ConvolutionalEvaluator
from polystep.evaluation.convolution.network import ConvolutionalNetwork
from polystep.evaluation.convolution.sequential import convolutional_network
from polystep.evaluation.elementwise import Elementwise
from polystep.evaluation.functional import FunctionalEvaluator
from polystep.evaluation.incremental import IncrementalEvaluator
from polystep.evaluation.layered import LayeredNetwork, SampleLoss
from polystep.evaluation.objective import Evaluator
from polystep.evaluation.parts import NotLayered
from polystep.evaluation.sequential import layered_network
from polystep.layout import ParameterLayout


class OutputsOfOtherShape(ExpectedError):
    """A module whose outputs are not (B, O)."""


class ModuleEvaluator(Evaluator, Protocol):
    """An evaluator that knows the layout of its module."""

    layout: ParameterLayout


def fastest_evaluator(module: nn.Module, loss: SampleLoss | None = None) -> ModuleEvaluator:
    """The fused, the incremental or the functional evaluator of `module`, the first that can take it.

    A warning says why it is not the fused one. `loss`: of one sample, CrossEntropy where not given.
    """
    layout, loss = ParameterLayout.of_module(module), loss or CrossEntropy()
    whole = FunctionalEvaluator(module, _mean_loss(loss), layout)
    try:
        network = _network(module, loss)
    except NotLayered as reason:
        warnings.warn(f"candidates are evaluated by the whole module, which is slow: {reason}", stacklevel=2)
        return whole
    if reason_for_torch := _reason_for_torch(network):
        warnings.warn(f"candidates are evaluated incrementally in torch; {reason_for_torch}", stacklevel=2)
        if isinstance(network, ConvolutionalNetwork):
            return ConvolutionalEvaluator(network, layout, whole)
        return IncrementalEvaluator(network, layout)
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
