"""ParameterLayout: the trainable tensors of a module as one flat vector, shared tensors stored once."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Entry:
    """One tensor in the flat vector: its name, shape, first position and the other names it goes by."""

    name: str
    shape: tuple[int, ...]
    offset: int
    aliases: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def span(self) -> slice:
        """Where its elements are in the flat vector."""
        return slice(self.offset, self.offset + self.size)


class ParameterLayout:
    """Order and shapes of the tensors that make up a point of D numbers: definition order, shared tensors stored once."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]], aliases: Mapping[str, str] | None = None):
        """`shapes`: name -> shape in order. `aliases`: further name -> the name in `shapes` that it shares with."""
        names_of: dict[str, list[str]] = {name: [] for name in shapes}
        for alias, name in (aliases or {}).items():
            names_of[name].append(alias)
        entries, offset = [], 0
        for name, shape in shapes.items():
            entries.append(Entry(name, tuple(shape), offset, tuple(names_of[name])))
            offset += entries[-1].size
        if offset == 0:
            raise ValueError(
                "there is nothing to optimise: the layout has no parameters; give a module with at least one "
                "floating-point parameter that requires gradients"
            )
        self.entries = tuple(entries)
        self.size = offset

    @classmethod
    def of_module(cls, module: nn.Module) -> "ParameterLayout":
        """The trainable floating-point parameters of `module`.

        Frozen parameters (`requires_grad=False`, which includes all integer ones) and buffers keep their values.
        Raises ValueError where nothing is trainable, where two parameters overlap in memory without being the same
        tensor, or for complex parameters.
        """
        shapes: dict[str, tuple[int, ...]] = {}
        aliases: dict[str, str] = {}
        owners: dict[str, Tensor] = {}
        for name, parameter in module.named_parameters(remove_duplicate=False):
            if not parameter.requires_grad:
                continue
            if not parameter.is_floating_point():
                raise ValueError(
                    f"parameter {name!r} has type {parameter.dtype}; only real floating-point parameters can be "
                    "optimised: freeze it with requires_grad_(False)"
                )
            first, last = _extent(parameter)
            sharing = next((n for n, o in owners.items() if _extent(o)[0] < last and first < _extent(o)[1]), None)
            if sharing is None:
                shapes[name] = tuple(parameter.shape)
                owners[name] = parameter
            elif _same_memory(owners[sharing], parameter):
                aliases[name] = sharing
            else:
                raise ValueError(
                    f"parameter {name!r} of shape {tuple(parameter.shape)} shares memory with {sharing!r} of shape "
                    f"{tuple(owners[sharing].shape)}; tie whole tensors of equal shape, or give {name!r} its own memory"
                )
        if not shapes:
            raise ValueError(
                f"{type(module).__name__} has no trainable floating-point parameters, so there is nothing to "
                "optimise; set requires_grad_(True) on those that shall move"
            )
        return cls(shapes, aliases)

    def flatten(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """One float32 vector (D,) of the named tensors."""
        return torch.cat([tensors[entry.name].detach().reshape(-1).float() for entry in self.entries])

    def unflatten(self, points: Tensor) -> dict[str, Tensor]:
        """Named views of a point (D,) or of points (N, D): each of shape (*shape) or (N, *shape); aliases included."""
        if points.shape[-1] != self.size:
            raise ValueError(f"expected points of {self.size} numbers, got shape {tuple(points.shape)}")
        named = {}
        for entry in self.entries:
            tensor = points[..., entry.span].reshape((*points.shape[:-1], *entry.shape))
            for name in (entry.name, *entry.aliases):
                named[name] = tensor
        return named

    def point_of(self, module: nn.Module) -> Tensor:
        """The current parameters of `module` as a new vector (D,)."""
        return self.flatten(dict(module.named_parameters(remove_duplicate=False)))

    def copy_of(self, point: Tensor) -> Tensor:
        """A copy of `point` (D,) that shares neither memory nor graph with it; ValueError where its shape does not fit."""
        if point.shape != (self.size,):
            raise ValueError(f"point must have shape ({self.size},) to fit the layout, got {tuple(point.shape)}")
        return point.detach().clone()

    @torch.no_grad()
    def write(self, point: Tensor, module: nn.Module) -> None:
        """Copy `point` into the parameters of `module`."""
        parameters = dict(module.named_parameters(remove_duplicate=False))
        for name, tensor in self.unflatten(point).items():
            parameters[name].copy_(tensor)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ParameterLayout) and self.entries == other.entries

    def __hash__(self) -> int:
        return hash(self.entries)


def _extent(tensor: Tensor) -> tuple[int, int]:
    """Addresses of the first byte of a tensor and of the byte after its last one; equal for empty tensors."""
    if tensor.numel() == 0:
        return 0, 0
    steps = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return tensor.data_ptr(), tensor.data_ptr() + (steps + 1) * tensor.element_size()


def _same_memory(one: Tensor, other: Tensor) -> bool:
    return one.data_ptr() == other.data_ptr() and one.shape == other.shape and one.stride() == other.stride()
