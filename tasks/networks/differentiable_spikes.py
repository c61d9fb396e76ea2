"""Leaky integrate-and-fire neurons through which gradients flow.

    membrane <- decay membrane + current;  spike = s(membrane);  membrane <- membrane (1 - spike)

With a surrogate s the spikes are those of the hard neuron, bit for bit, and only the backward pass differs; with the
sigmoid they are numbers between 0 and 1, the author's smooth substitute (EDITIONS.md, networks). The reset is part of the
graph in both.
"""

from collections.abc import Callable

import torch
from torch import Tensor

LARGEST_BELOW_ONE = 1 - 2.0**-24
"""The largest float32 below 1: snnTorch fires strictly above its threshold, the hard neuron from 1 on."""
ALPHA = 1.5
"""Sharpness of the surrogate; the choice and its evidence are in configs/settings/default/snn/adam_surrogate.yaml."""


def simulate_surrogate(currents: Tensor, decay: float) -> Tensor:
    """Hard spike trains of currents (T, ...); derivative of the spike (ALPHA/2)/(1 + (pi ALPHA (membrane - 1)/2)^2).

    Source of the derivative: Fang et al., arXiv 2007.05785, as in snnTorch, which must be installed.
    """
    from snntorch import surrogate

    spike = surrogate.atan(alpha=ALPHA)
    return _simulate(currents, decay, lambda membrane: spike(membrane - LARGEST_BELOW_ONE))


def simulate_smooth(currents: Tensor, decay: float) -> Tensor:
    """Smooth spike trains of currents (T, ...): s(membrane) = sigmoid(10 (membrane - 1)). Source: EDITIONS.md, networks."""
    return _simulate(currents, decay, lambda membrane: torch.sigmoid(10 * (membrane - 1)))


def _simulate(currents: Tensor, decay: float, spike: Callable[[Tensor], Tensor]) -> Tensor:
    membrane = torch.zeros_like(currents[0])
    spikes = []
    for current in currents:
        membrane = decay * membrane + current
        spikes.append(spike(membrane))
        membrane = membrane * (1 - spikes[-1])
    return torch.stack(spikes)
