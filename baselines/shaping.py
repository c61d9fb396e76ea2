"""What becomes of the losses of mirrored pairs: neighbours, the first at base + sigma e, the second at base - sigma e."""

import torch
from torch import Tensor

from polystep.validation import SettingError


def centred_ranks(losses: Tensor) -> Tensor:
    """Utilities rank/(N - 1) - 1/2 in [-1/2, 1/2], the lowest loss highest; shape (N,).

    Losses that are not finite rank last. Equal losses share their mean rank, so a plateau gives no direction.
    """
    ordered = torch.where(torch.isfinite(losses), losses, torch.inf)
    _, place, counts = torch.unique(-ordered, return_inverse=True, return_counts=True)
    counts = counts.to(losses.dtype)
    ranks: Tensor = counts.cumsum(0) - (counts + 1) / 2
    return ranks[place] / (len(losses) - 1) - 0.5


def centred_ranks_by_position(losses: Tensor) -> Tensor:
    """Utilities as `centred_ranks` has them, but of equal losses the later one ranks higher, all +e before all -e; shape (N,).

    So where all candidates do equally well, each generation still moves by a sum of all its noise. As in the published
    code for networks, whose losses are hardly ever equal (EDITIONS.md, rivals).
    """
    ordered = torch.where(torch.isfinite(losses), losses, torch.inf).reshape(-1, 2).T.flatten()
    ranks = torch.empty_like(ordered)
    ranks[ordered.argsort(descending=True, stable=True)] = torch.arange(len(losses)).to(ranks)
    return ranks.reshape(2, -1).T.flatten() / (len(losses) - 1) - 0.5


def z_scores(losses: Tensor) -> Tensor:
    """Utilities (mean - loss)/std, all zero where std < 1e-8; shape (N,). Losses that are not finite count as the worst."""
    finite = torch.isfinite(losses)
    rewards = -torch.where(finite, losses, losses[finite].max())
    deviation = rewards.std(correction=0)
    return torch.zeros_like(rewards) if deviation < 1e-8 else (rewards - rewards.mean()) / deviation


def pair_signs(losses: Tensor) -> Tensor:
    """Utilities +1 for the better of each pair of neighbours, -1 for the other, 0 for both of equal ones; shape (N,). Losses
    that are not finite are worse than all others.
    """
    pairs = torch.where(torch.isfinite(losses), losses, torch.inf).reshape(-1, 2)
    better = (pairs[:, 0] < pairs[:, 1]).to(losses.dtype) - (pairs[:, 1] < pairs[:, 0]).to(losses.dtype)
    return torch.stack([better, -better], dim=1).flatten()


def pair_weights(utilities: Tensor) -> Tensor:
    """What each candidate of mirrored neighbours weighs in a sum over their directions: u+ - u- for the first of a pair and 0
    for the second; shape (N,).
    """
    weights = torch.zeros_like(utilities)
    weights[::2] = utilities[::2] - utilities[1::2]
    return weights


def check_population(population: int) -> None:
    """SettingError where candidates cannot come in mirrored pairs."""
    if population < 2 or population % 2:
        raise SettingError(
            f"population must be an even number of at least 2, as candidates come in mirrored pairs, got {population}"
        )
