"""How the kernels want to have signals: a unit's samples side by side, padded to whole LANES."""

import torch.nn.functional as F
from torch import Tensor

from polystep.evaluation.kernels import LANES


def pad_samples(signal: Tensor) -> Tensor:
    """(..., B) with samples padded to whole LANES."""
    return F.pad(signal, (0, -signal.shape[-1] % LANES)).contiguous()


def block_major(signal: Tensor) -> Tensor:
    """(U, C, B) -> (blocks, C, U LANES) of LANES samples each, padded."""
    blocks = pad_samples(signal).reshape(*signal.shape[:2], -1, LANES)
    return blocks.permute(2, 1, 0, 3).flatten(2)


def unit_major(signal: Tensor) -> Tensor:
    """(B, C, U) -> (U, C, B), padded."""
    return pad_samples(signal.permute(2, 1, 0))
