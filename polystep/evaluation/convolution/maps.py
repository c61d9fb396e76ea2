"""What happens to every map by itself after a convolution: activations and pooling."""

from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from polystep.evaluation.layered import Activation

Pair = tuple[int, int]


@dataclass(frozen=True)
class Pointwise:
    """An activation of one channel."""

    activation: Activation

    def apply(self, maps: Tensor) -> Tensor:
        """Of every number."""
        return self.activation.apply(maps)

    def size(self, size: Pair) -> Pair:
        """The same."""
        return size


@dataclass(frozen=True)
class Pool:
    """Maximum or average over windows; padding is left out of maxima, and counts as zeros in averages if `counts_padding`."""

    kind: Literal["maximum", "average"]
    kernel: Pair
    stride: Pair
    padding: Pair
    counts_padding: bool = False

    def apply(self, maps: Tensor) -> Tensor:
        """(..., H, W) -> (..., H', W')."""
        whole = maps.flatten(0, -4) if maps.ndim > 4 else maps
        if self.kind == "maximum":
            pooled = F.max_pool2d(whole, self.kernel, self.stride, self.padding)
        else:
            counts = self.counts_padding
            pooled = F.avg_pool2d(whole, self.kernel, self.stride, self.padding, count_include_pad=counts)
        return pooled.reshape(*maps.shape[:-2], *pooled.shape[-2:])

    def size(self, size: Pair) -> Pair:
        """H' and W'."""
        return windows(size, self.kernel, self.stride, self.padding)


MapOperation = Pointwise | Pool
"""What happens to each map by itself between two layers."""


def windows(size: Pair, kernel: Pair, stride: Pair, padding: Pair) -> Pair:
    """How many windows fit into a padded map of H x W, down and across; less than 1 where none does."""
    down, across = (
        (length + 2 * pad - window) // step + 1
        for length, window, step, pad in zip(size, kernel, stride, padding, strict=True)
    )
    return down, across
