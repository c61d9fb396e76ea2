"""Elementwise modules as activations: whether they are what they seem is tried on random numbers."""

import contextlib
import inspect
import math
from collections.abc import Callable
from functools import partial
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from polystep.evaluation.activations import Identity, ReLU
from polystep.evaluation.functional import evaluation_mode, outputs_at
from polystep.evaluation.layered import Activation, CompiledActivation
from polystep.evaluation.parts import NotLayered, has_forward_of


@runtime_checkable
class OffersActivation(Protocol):
    """An elementwise module with a form for incremental evaluation of its own."""

    def activation(self) -> Activation:
        """The same map."""
        ...


class Transformed(Protocol):
    """A layer that uses an elementwise function of its parameters."""

    def transform(self, parameter: Tensor) -> Tensor:
        """The numbers that are used."""
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
        """The scalar form, applied to every unit.

        ValueError where numba cannot compile it, or where it is another function than the module.
        """
        from numba.core.errors import NumbaError

        from polystep.evaluation import kernels

        name = type(self.module).__name__
        if self.scalar is None:
            raise ValueError(f"{name} has no compiled form; give it a static method scalar(z)")
        compiled = kernels.elementwise(self.scalar)
        probe = _probe().flatten()
        found = torch.empty_like(probe)
        try:
            compiled.activate(probe.numpy(), found.numpy(), len(probe))
        except NumbaError as error:
            lines = map(str.strip, str(error).splitlines())
            reason = next((line for line in lines if line and not line.startswith("Failed in")), type(error).__name__)
            raise ValueError(
                f"numba cannot compile {name}.scalar ({reason}); it may use plain arithmetic, `if` and the module math"
            ) from error
        except ZeroDivisionError as error:
            raise ValueError(f"{name}.scalar divides by zero; let it return there what its forward gives") from error
        wrong = ~self._agrees(found, probe)
        # numbers at a step of a rounding function may fall on either side of it, as products are rounded
        beside = [torch.nextafter(probe, torch.full_like(probe, end)) for end in (-math.inf, math.inf)]
        unlike_neighbours = ~(self._agrees(found, beside[0]) | self._agrees(found, beside[1]))
        strict = wrong & ((probe == 0) | unlike_neighbours)
        if strict[-EXACT.numel() :].any() or strict.sum() > 0.01 * len(probe):
            worst = int(strict.nonzero()[0])
            raise ValueError(
                f"{name}.scalar({float(probe[worst]):.6g}) gives {float(found[worst]):.6g}, but its forward gives "
                f"{float(self.apply(probe)[worst]):.6g}; both must be the same function"
            )
        return compiled

    def _agrees(self, found: Tensor, numbers: Tensor) -> Tensor:
        """Where the module makes of `numbers` what was found."""
        return torch.isclose(found, self.apply(numbers), rtol=1e-4, atol=1e-5, equal_nan=True)


def activation_of(parts: list[nn.Module]) -> Activation:
    """The activation that some modules are together; NotLayered where they are none."""
    if not parts:
        return Identity()
    module = parts[0] if len(parts) == 1 else nn.Sequential(*parts)
    if has_forward_of(module, nn.ReLU):
        return ReLU()
    plain = Elementwise(module, _scalar(module))
    _check_elementwise(plain.apply, type(module).__name__)
    if not isinstance(module, OffersActivation):
        return plain
    offered, probe = module.activation(), _probe()
    if not torch.allclose(offered.apply(probe.clone()), plain.apply(probe), rtol=1e-4, atol=1e-5, equal_nan=True):
        raise NotLayered(f"{type(module).__name__}.activation() is another function than its forward")
    _check_left_alone(offered.apply, f"{type(module).__name__}.activation()")
    return offered


def _scalar(module: nn.Module) -> Callable[[float], float] | None:
    """The module as a function of one number that numba can compile, where that is known."""
    if has_forward_of(module, nn.Sigmoid):
        return _sigmoid
    if has_forward_of(module, nn.Tanh):
        return _tanh
    if has_forward_of(module, nn.Hardtanh):
        low, high = module.min_val, module.max_val
        return lambda z: low if z < low else high if z > high else z
    # an attribute of that name that is no static method, such as a number, is something else
    own = inspect.getattr_static(type(module), "scalar", None)
    return own.__func__ if isinstance(own, staticmethod) else None


def _sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z))


def _tanh(z: float) -> float:
    return math.tanh(z)


def checked_transform(layer: Transformed) -> Callable[[Tensor], Tensor]:
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
        close = partial(torch.allclose, atol=1e-5, equal_nan=True)
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


EXACT = torch.tensor([[0.0, -0.0, 0.5, -0.5], [1.0, -1.0, 2.0, -2.0], [3.0, -3.0, 100.0, -100.0]])
"""Where activations have their thresholds and bounds."""


def _probe() -> Tensor:
    """Random numbers of several sizes, then EXACT (67, 4)."""
    numbers = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
    return torch.cat([numbers * torch.tensor([0.1, 1.0, 3.0, 10.0]), EXACT])
