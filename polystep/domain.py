"""Domain: where the points of a black box lie, and the coordinates in which optimisers see them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from polystep.contracts import ExpectedError


class BlackBoxError(ExpectedError, ValueError):
    """The function, its start, its bounds or the budget cannot be used as they are."""


Bounds = Sequence[float] | Sequence[tuple[float | None, float | None]]
"""One pair (lowest, highest) for all coordinates, or a pair for each, None where there is no bound; or scipy's Bounds."""


@dataclass(frozen=True)
class Domain:
    """Points x = start + scale z, for coordinates z that start at 0 and whose natural unit is 1; all of shape (D,).

    A coordinate beyond a bound is reflected at it, as often as it takes, so every z is allowed and the function sees points
    within the bounds alone; then integer coordinates are rounded. scale: a quarter of the distance of the bounds where both
    are finite, else max(1, |start|); of integer coordinates at least 1, for steps below 1/2 are rounded away.
    """

    start: Tensor
    low: Tensor
    high: Tensor
    integers: Tensor

    @property
    def scale(self) -> Tensor:
        """The unit of every coordinate."""
        width = self.high - self.low
        scale = torch.where(torch.isfinite(width), width / 4, self.start.abs().clamp_min(1.0))
        return torch.where(self.integers, scale.clamp_min(1.0), scale)

    def points(self, coordinates: Tensor) -> Tensor:
        """The points (N, D) that coordinates (N, D) stand for."""
        x = self.start + self.scale * coordinates
        width = self.high - self.low
        both = torch.isfinite(width)
        # two reflections after each other are a shift by twice the width
        x = torch.where(both, self.low + torch.remainder(x - self.low, 2 * width), x)
        x = torch.where(x > self.high, 2 * self.high - x, x)
        x = torch.where(x < self.low, 2 * self.low - x, x)
        return torch.where(self.integers, x.round(), x).clamp(self.low, self.high)


def read_domain(start: Any, bounds: Bounds | None, integrality: bool | Sequence[bool]) -> Domain:
    """The domain of what a user wrote; BlackBoxError with the remedy where it makes no sense."""
    point = _vector(start, "start")
    if not point.is_floating_point():
        point = point.double()
    if point.dtype not in (torch.float32, torch.float64):
        raise BlackBoxError(
            f"start has type {point.dtype}, which is too coarse for small steps; give float32 or float64"
        )
    if point.ndim != 1 or len(point) == 0:
        raise BlackBoxError(
            f"start must be a vector of at least one number, got shape {tuple(point.shape)}; flatten it first"
        )
    _require(torch.isfinite(point), point, "start", "is not finite; give finite numbers")
    low, high = _read_bounds(bounds, point)
    if bool((low >= high).any()):
        place = int((low >= high).nonzero()[0])
        raise BlackBoxError(
            f"bounds[{place}] = ({float(low[place]):g}, {float(high[place]):g}): the lower bound must be below the upper one; "
            "swap them, or drop the coordinate"
        )
    inside = (low <= point) & (point <= high)
    _require(inside, point, "start", "lies outside its bounds; move the start or widen the bounds")
    try:
        integers = torch.as_tensor(integrality, dtype=torch.bool, device=point.device)
    except (TypeError, ValueError, RuntimeError):
        raise BlackBoxError(f"integrality must consist of truth values, got {integrality!r}") from None
    if integers.shape not in ((), point.shape):
        raise BlackBoxError(
            f"integrality must be one truth value or {len(point)}, one per coordinate, got shape {tuple(integers.shape)}"
        )
    integers = integers.expand(point.shape)
    for name, values in (("start", point), ("lower bounds", low), ("upper bounds", high)):
        whole = ~integers | torch.isinf(values) | (values == values.round())
        _require(whole, values, name, "must be a whole number, as integrality says; round it")
    return Domain(point, low, high, integers)


def _read_bounds(bounds: Bounds | None, point: Tensor) -> tuple[Tensor, Tensor]:
    if bounds is None:
        return torch.full_like(point, -torch.inf), torch.full_like(point, torch.inf)
    if isinstance(bounds, Tensor):
        bounds = bounds.tolist()
    pairs: list[Any] = list(bounds) if hasattr(bounds, "__iter__") else []
    if hasattr(bounds, "lb") and hasattr(bounds, "ub"):
        sides = (_vector(side, "bounds").reshape(-1).tolist() for side in (bounds.lb, bounds.ub))
        pairs = list(zip(*(side * len(point) if len(side) == 1 else side for side in sides), strict=False))
    if len(pairs) == 2 and all(map(_is_number, pairs)):
        pairs = [pairs] * len(point)
    if len(pairs) != len(point) or any(_is_number(pair) or len(pair) != 2 for pair in pairs):
        raise BlackBoxError(
            f"bounds must be one pair (lowest, highest) or {len(point)} of them, one per coordinate of start, got {bounds!r}"
        )
    filled = [
        (-torch.inf if low is None else _plain(low), torch.inf if high is None else _plain(high)) for low, high in pairs
    ]
    low, high = _vector(filled, "bounds").to(point).T
    _require(~(torch.isnan(low) | torch.isnan(high)), low, "bounds", "is not a pair of numbers; None means no bound")
    return low, high


def _is_number(bound: Any) -> bool:
    """Whether it has no length; arrays of no dimension only seem to have one."""
    return not hasattr(bound, "__len__") or getattr(bound, "ndim", 1) == 0


def _plain(bound: Any) -> Any:
    """The number in an array of no dimension, all else as it is."""
    return bound.item() if getattr(bound, "ndim", None) == 0 else bound


def _vector(values: Any, name: str) -> Tensor:
    try:
        if hasattr(values, "__array__") and not isinstance(values, Tensor):
            # torch reads neither what numpy has turned round nor what pandas wraps; who has such arrays has numpy
            import numpy

            values = numpy.array(values)
        tensor = values.detach().clone() if isinstance(values, Tensor) else torch.tensor(values, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise BlackBoxError(f"{name} must consist of real numbers, got {values!r}: {error}") from None
    if tensor.is_complex():
        raise BlackBoxError(
            f"{name} must consist of real numbers, got {tensor.dtype}; give real and imaginary parts apart"
        )
    return tensor


def _require(holds: Tensor, values: Tensor, name: str, otherwise: str) -> None:
    """BlackBoxError that names the first coordinate where `holds` is false."""
    if not bool(holds.all()):
        place = int((~holds).nonzero()[0])
        raise BlackBoxError(f"{name}[{place}] = {float(values[place]):g} {otherwise}")
