"""From an nn.Sequential to the fastest evaluator that can take it, without writing a kernel.

A chain of nn.Linear (or TransformedLinear) and elementwise modules, built in or your own, is evaluated incrementally; anything
else functionally, and a warning says why. Kernels are compiled where each activation is known or offers `scalar`.
"""

import contextlib
import importlib.util
import math
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Protocol, TypeGuard, TypeVar, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from polystep.contracts import ExpectedError
from polystep.evaluation.activations import CrossEntropy, Identity, ReLU
from polystep.evaluation.functional import FunctionalEvaluator, evaluation_mode, outputs_at
from polystep.evaluation.incremental import IncrementalEvaluator
from polystep.evaluation.layered import Activation, CompiledActivation, Layer, LayeredNetwork, SampleLoss
from polystep.evaluation.objective import Evaluator
from polystep.layout import ParameterLayout

Kind = TypeVar("Kind", bound=nn.Module)


class NotLayered(ExpectedError):
    """A module that is no chain of linear layers and elementwise modules; the message says where."""


class OutputsOfOtherShape(ExpectedError):
    """A module whose outputs are not (B, O)."""


class TransformedLinear(nn.Linear):
    """x T(W)^T + T(b) with an elementwise T: rounded, binarised or clipped parameters."""

    def transform(self, parameter: Tensor) -> Tensor:
        """T, for the weight and for the bias."""
        raise NotImplementedError(f"{type(self).__name__} must define transform(parameter)")

    def forward(self, signal: Tensor) -> Tensor:
        """(..., I) -> (..., U)."""
        return F.linear(signal, self.transform(self.weight), self.transform(self.bias))


@runtime_checkable
class OffersActivation(Protocol):
    """An elementwise module with a form for incremental evaluation of its own."""

    def activation(self) -> Activation:
        """The same map."""
        ...


class Elementwise:
    """Any elementwise module as an activation.

    `scalar`: the same map from number to number, which numba can compile; None: there is no fused form.
    """

    channels = 1

    def __init__(self, module: nn.Module, scalar: Callable[[float], float] | None = None):
        self.module, self.scalar = module, scalar

    def apply(self, pre: Tensor) -> Tensor:
        """The module in eval mode; what it changes in place are copies."""
        with evaluation_mode(self.module):
            return outputs_at(self.module, {}, pre)

    def compiled(self) -> CompiledActivation:
        """The scalar form, applied to every unit; ValueError where it is another function than the module."""
        from polystep.evaluation import kernels

        if self.scalar is None:
            raise ValueError(f"{type(self.module).__name__} has no compiled form; give it a method scalar(z)")
        compiled = kernels.elementwise(self.scalar)
        probe = _probe().flatten()
        found = torch.empty_like(probe)
        compiled.activate(probe.numpy(), found.numpy(), len(probe))
        expected = self.apply(probe)
        differing = ~torch.isclose(found, expected, rtol=1e-4, atol=1e-5)
        # a rounding function may fall on the other side of a step now and then
        if differing.sum() > 0.01 * len(probe):
            worst = int(differing.nonzero()[0])
            raise ValueError(
                f"{type(self.module).__name__}.scalar({float(probe[worst]):.6g}) gives {float(found[worst]):.6g}, but its "
                f"forward gives {float(expected[worst]):.6g}; both must be the same function"
            )
        return compiled


def layered_network(module: nn.Module, loss: SampleLoss | None = None) -> LayeredNetwork:
    """The layers of a (nested) nn.Sequential; `loss`: of one sample, CrossEntropy where not given.

    Linear layers need a bias and their own trainable float32 parameters. An activation is any module without parameters that
    turns out to be elementwise when tried on random numbers, or one with an `activation()`. Kernels are compiled for nn.ReLU,
    Sigmoid, Tanh, Hardtanh and ReLU6, and for modules with a static method `scalar(z)`. NotLayered where the module is
    anything else, or has hooks.
    """
    linear: list[tuple[str, nn.Linear]] = []
    activations: list[list[nn.Module]] = []
    for name, part in _parts(module):
        if _has_forward_of(part, nn.Linear, exactly=True) or _has_forward_of(part, TransformedLinear):
            linear.append((name, part))
            activations.append([])
        elif not linear:
            raise NotLayered(f"part {name!r} is a {type(part).__name__}, but the first part must be an nn.Linear")
        elif not _changes_nothing(part):
            activations[-1].append(part)
    if not linear:
        raise NotLayered(f"{type(module).__name__} has no nn.Linear")
    _check_parameters(module, linear)
    layers = (
        Layer(
            f"{name}.weight",
            f"{name}.bias",
            _activation(following),
            _checked_transform(part) if isinstance(part, TransformedLinear) else None,
        )
        for (name, part), following in zip(linear, activations, strict=True)
    )
    return LayeredNetwork(tuple(layers), loss or CrossEntropy())


class ModuleEvaluator(Evaluator, Protocol):
    """An evaluator that knows the layout of its module."""

    layout: ParameterLayout


def fastest_evaluator(module: nn.Module, loss: SampleLoss | None = None) -> ModuleEvaluator:
    """The fused, the incremental or the functional evaluator of `module`, the first that can take it.

    A warning says why it is not the fused one. `loss`: of one sample, CrossEntropy where not given.
    """
    layout, loss = ParameterLayout.of_module(module), loss or CrossEntropy()
    try:
        network = layered_network(module, loss)
    except NotLayered as reason:
        warnings.warn(f"candidates are evaluated by the whole module, which is slow: {reason}", stacklevel=2)
        return FunctionalEvaluator(module, _mean_loss(loss), layout)
    if importlib.util.find_spec("numba") is None:
        warnings.warn("candidates are evaluated incrementally in torch; with numba they are faster", stacklevel=2)
        return IncrementalEvaluator(network, layout)
    for layer in network.layers:
        if isinstance(layer.activation, Elementwise) and layer.activation.scalar is None:
            warnings.warn(
                "candidates are evaluated incrementally in torch; for compiled kernels give "
                f"{type(layer.activation.module).__name__} a static method scalar(z)",
                stacklevel=2,
            )
            return IncrementalEvaluator(network, layout)
    from polystep.evaluation.fused import FusedEvaluator

    return FusedEvaluator(network, layout)


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


def _parts(module: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    if not _has_forward_of(module, nn.Sequential):
        own = ", but has a forward of its own" if isinstance(module, nn.Sequential) else ""
        raise NotLayered(f"{type(module).__name__} is {'an' if own else 'no'} nn.Sequential{own}")
    # named_children would leave out repeated parts
    for name, part in module._modules.items():
        assert part is not None
        if isinstance(part, nn.Sequential):
            yield from _parts(part, f"{prefix}{name}.")
        else:
            yield prefix + name, part


def _has_forward_of(module: nn.Module, kind: type[Kind], exactly: bool = False) -> TypeGuard[Kind]:
    """Whether a module is a `kind` (`exactly`: no subclass) that computes what `kind` computes."""
    is_kind = type(module) is kind if exactly else isinstance(module, kind)
    return is_kind and type(module).forward is kind.forward and "forward" not in module.__dict__


def _changes_nothing(part: nn.Module) -> bool:
    """Whether a signal (B, U) passes a part unchanged in eval mode."""
    flattens = _has_forward_of(part, nn.Flatten) and (part.start_dim, part.end_dim) == (1, -1)
    return flattens or _has_forward_of(part, nn.Identity) or _has_forward_of(part, nn.Dropout)


def _check_parameters(module: nn.Module, linear: list[tuple[str, nn.Linear]]) -> None:
    """No part has hooks; every trainable parameter is float32 and belongs to exactly one linear layer, which has no others."""
    for name, part in module.named_modules():
        if part._forward_hooks or part._forward_pre_hooks:
            raise NotLayered(f"part {name!r} has hooks, which only a call of the whole module runs")
    for name, parameter in module.named_parameters():
        if parameter.dtype != torch.float32:
            kind = str(parameter.dtype).removeprefix("torch.")
            raise NotLayered(f"parameter {name!r} is {kind}, but layers are evaluated in float32")
    own = [f"{name}.{kind}" for name, part in linear for kind in ("weight", "bias")]
    layout = ParameterLayout.of_module(module)
    held = {entry.name for entry in layout.entries}
    shared = [alias for entry in layout.entries for alias in entry.aliases]
    if shared:
        raise NotLayered(f"parameter {shared[0]!r} is shared with another part")
    if missing := [name for name in own if name not in held]:
        raise NotLayered(f"parameter {missing[0]!r} does not exist or is frozen")
    if other := [name for name in held if name not in own]:
        raise NotLayered(f"parameter {sorted(other)[0]!r} belongs to no nn.Linear")


def _activation(parts: list[nn.Module]) -> Activation:
    if not parts:
        return Identity()
    module = parts[0] if len(parts) == 1 else nn.Sequential(*parts)
    if _has_forward_of(module, nn.ReLU):
        return ReLU()
    plain = Elementwise(module, _scalar(module))
    _check_elementwise(plain.apply, type(module).__name__)
    if not isinstance(module, OffersActivation):
        return plain
    offered, probe = module.activation(), _probe()
    if not torch.allclose(offered.apply(probe.clone()), plain.apply(probe), rtol=1e-4, atol=1e-5):
        raise NotLayered(f"{type(module).__name__}.activation() is another function than its forward")
    _check_left_alone(offered.apply, f"{type(module).__name__}.activation()")
    return offered


def _scalar(module: nn.Module) -> Callable[[float], float] | None:
    """The module as a function of one number that numba can compile, where that is known."""
    if _has_forward_of(module, nn.Sigmoid):
        return lambda z: 1 / (1 + math.exp(-z))
    if _has_forward_of(module, nn.Tanh):
        # numba compiles Python functions only
        return lambda z: math.tanh(z)
    if _has_forward_of(module, nn.Hardtanh):
        low, high = module.min_val, module.max_val
        return lambda z: low if z < low else high if z > high else z
    return getattr(module, "scalar", None)


def _checked_transform(layer: TransformedLinear) -> Callable[[Tensor], Tensor]:
    """The transform of a layer; NotLayered where it is not elementwise or works in place."""
    name = f"{type(layer).__name__}.transform"
    _check_elementwise(lambda numbers: layer.transform(numbers.clone()), name)
    _check_left_alone(layer.transform, name)
    return layer.transform


@torch.no_grad()
def _check_elementwise(function: Callable[[Tensor], Tensor], name: str) -> None:
    """Every number has the same image alone, in company, at another place and in more dimensions."""
    probe = _probe()
    with contextlib.suppress(RuntimeError, ValueError, IndexError):
        together = function(probe)
        alone = torch.stack([function(number.reshape(1, 1)).reshape(()) for number in probe[:4].flatten()])
        # not bit for bit: vector instructions round otherwise
        close = partial(torch.allclose, atol=1e-5)
        moved = close(function(probe.mT), together.mT) and close(function(probe.unsqueeze(1)), together.unsqueeze(1))
        if moved and close(alone, together[:4].flatten()):
            return
    raise NotLayered(f"{name} does not act on each number by itself")


@torch.no_grad()
def _check_left_alone(function: Callable[[Tensor], Tensor], name: str) -> None:
    """A function computes on a copy of its argument."""
    probe = _probe()
    function(probe)
    if not torch.equal(probe, _probe()):
        raise NotLayered(f"{name} changes its argument; let it compute on a copy")


def _probe() -> Tensor:
    """Random numbers of several sizes (64, 4)."""
    numbers = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
    return numbers * torch.tensor([0.1, 1.0, 3.0, 10.0])
