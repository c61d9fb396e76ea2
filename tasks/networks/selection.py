"""Which of K alternatives a network takes, as weights (..., K) from scores (..., K).

One definition of a network serves the hard choice, its straight-through version and its smooth substitute: each is a sum
over the alternatives with other weights.
"""

from collections.abc import Callable

import torch
from torch import Tensor

Selection = Callable[[Tensor], Tensor]


def largest(scores: Tensor) -> Tensor:
    """1 for the largest score, the first of equal ones, and 0 for the others."""
    winner = scores.argmax(-1, keepdim=True)
    return (torch.arange(scores.shape[-1], device=scores.device) == winner).to(scores.dtype)


def largest_straight_through(scores: Tensor) -> Tensor:
    """The weights of `largest`, bit for bit, with the derivative of `softmax`."""
    soft = softmax(scores)
    return largest(scores) + (soft - soft.detach())


def softmax(scores: Tensor) -> Tensor:
    """exp(score) / sum of exp(score): the author's smooth substitute (EDITIONS.md, networks)."""
    return scores.softmax(-1)
