"""Activations and losses that many networks share."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from polystep.evaluation.layered import CompiledActivation


class Identity:
    """a = z: what follows the last layer of a network whose logits are its pre-activations."""

    channels = 1

    def apply(self, pre: Tensor) -> Tensor:
        """z"""
        return pre

    def compiled(self) -> CompiledActivation:
        """The same map for the fused path."""
        from polystep.evaluation import kernels

        return CompiledActivation(kernels.identity, kernels.identity_plateau)


class ReLU:
    """a = max(z, 0)."""

    channels = 1

    def apply(self, pre: Tensor) -> Tensor:
        """max(z, 0)"""
        return torch.relu(pre)

    def compiled(self) -> CompiledActivation:
        """The same map for the fused path."""
        from polystep.evaluation import kernels

        return CompiledActivation(kernels.relu, kernels.relu_plateau)


class CrossEntropy:
    """log sum_o exp(logit_o) - logit_target."""

    def check(self, targets: Tensor, outputs: int) -> None:
        """Targets are the numbers of classes."""
        if targets.is_floating_point() or targets.ndim != 1:
            raise ValueError(
                f"targets must be class numbers of shape (B,), got {targets.dtype} of shape {tuple(targets.shape)}"
            )
        if len(targets) and not (targets.min() >= 0 and targets.max() < outputs):
            row = int(((targets < 0) | (targets >= outputs)).nonzero()[0])
            raise ValueError(
                f"targets must lie in 0..{outputs - 1} for a network of {outputs} logits, got {int(targets[row])} in row "
                f"{row}; correct the labels or give the network more outputs"
            )

    def apply(self, logits: Tensor, targets: Tensor) -> Tensor:
        """(..., B, O) logits, (B,) targets -> (..., B)."""
        picked = logits.gather(-1, targets.expand(logits.shape[:-1]).unsqueeze(-1)).squeeze(-1)
        return torch.logsumexp(logits, dim=-1) - picked

    def compiled(self, outputs: int) -> Any:
        """The same loss for the fused path."""
        from polystep.evaluation import kernels

        return kernels.cross_entropy(outputs)


def mean_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy of logits (B, O), a scalar."""
    return F.cross_entropy(logits, targets)
