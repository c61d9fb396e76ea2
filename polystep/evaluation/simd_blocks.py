"""How the kernels want to have signals: a unit's samples side by side, padded to whole LANES."""

import torch.nn.functional as F
from torch import Tensor

from polystep.evaluation.kernels import LANES


def pad_samples(signal: Tensor) -> Tensor:
    """(..., B) with samples padded to whole LANES."""
    return F.pad(signal, (0, -signal.shape[-1] % LANES)).contiguous()


def block_major(signal: Tensor) -> Tensor:
    """(U, B) -> (blocks, U LANES) of LANES samples each, padded."""
    blocks = pad_samples(signal).reshape(len(signal), -1, LANES)
    return blocks.transpose(0, 1).flatten(1)


def unit_major(signal: Tensor) -> Tensor:
    """(B, C, U) -> (U, C, B), padded."""
    return pad_samples(signal.permute(2, 1, 0))
