"""The parts of an nn.Sequential: which they are, and what keeps them from being evaluated incrementally."""

from collections.abc import Iterator
from typing import TypeGuard, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from polystep.contracts import ExpectedError
from polystep.layout import ParameterLayout

Kind = TypeVar("Kind", bound=nn.Module)


class NotLayered(ExpectedError):
    """A module that is no chain of linear layers and elementwise modules; the message says where."""


class Transformed:
    """A layer with an elementwise function T of its parameters: rounded, binarised or clipped ones."""

    def transform(self, parameter: Tensor) -> Tensor:
        """T, for the weight and for the bias."""
        raise NotImplementedError(f"{type(self).__name__} must define transform(parameter)")


class TransformedLinear(Transformed, nn.Linear):
    """x T(W)^T + T(b)."""

    def forward(self, signal: Tensor) -> Tensor:
        """(..., I) -> (..., U)."""
        return F.linear(signal, self.transform(self.weight), self.transform(self.bias))


def parts_of(module: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """The parts of a (nested) nn.Sequential by their names; NotLayered where the module is anything else."""
    if not has_forward_of(module, nn.Sequential):
        own = ", but has a forward of its own" if isinstance(module, nn.Sequential) else ""
        raise NotLayered(f"{type(module).__name__} is {'an' if own else 'no'} nn.Sequential{own}")
    # named_children would leave out repeated parts
    for name, part in module._modules.items():
        assert part is not None
        if isinstance(part, nn.Sequential):
            yield from parts_of(part, f"{prefix}{name}.")
        else:
            yield prefix + name, part


def has_forward_of(module: nn.Module, kind: type[Kind], exactly: bool = False) -> TypeGuard[Kind]:
    """Whether a module is a `kind` (`exactly`: no subclass) that computes what `kind` computes."""
    is_kind = type(module) is kind if exactly else isinstance(module, kind)
    return is_kind and type(module).forward is kind.forward and "forward" not in module.__dict__


def flattens(part: nn.Module) -> bool:
    """Whether a part makes (B, ...) to (B, U)."""
    return has_forward_of(part, nn.Flatten) and (part.start_dim, part.end_dim) == (1, -1)


def changes_nothing(part: nn.Module) -> bool:
    """Whether any signal passes a part unchanged in eval mode."""
    return any(has_forward_of(part, kind) for kind in (nn.Identity, nn.Dropout, nn.Dropout2d))


def check_parameters(module: nn.Module, own: list[str]) -> None:
    """No part has hooks; every trainable parameter is float32 and one of `own`, the names of those of the layers, which are all
    there and belong to one layer each.
    """
    for name, part in module.named_modules():
        if part._forward_hooks or part._forward_pre_hooks:
            raise NotLayered(f"part {name!r} has hooks, which only a call of the whole module runs")
    for name, parameter in module.named_parameters():
        if parameter.dtype != torch.float32:
            kind = str(parameter.dtype).removeprefix("torch.")
            raise NotLayered(f"parameter {name!r} is {kind}, but layers are evaluated in float32")
    layout = ParameterLayout.of_module(module)
    held = {entry.name for entry in layout.entries}
    shared = [alias for entry in layout.entries for alias in entry.aliases]
    if shared:
        raise NotLayered(f"parameter {shared[0]!r} is shared with another part")
    if missing := [name for name in own if name not in held]:
        raise NotLayered(f"parameter {missing[0]!r} does not exist or is frozen")
    if other := [name for name in held if name not in own]:
        raise NotLayered(f"parameter {sorted(other)[0]!r} belongs to no nn.Linear or nn.Conv2d")
