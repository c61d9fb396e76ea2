"""Leaky integrate-and-fire neurons with a hard threshold and a reset to zero in the same step.

    membrane <- decay membrane + current;  spike = 1 if membrane >= 1 else 0;  membrane <- 0 where it spiked

Source: EDITIONS.md, networks. Under a constant current a neuron that first fires at step k fires at k, 2k, 3k, ..., so its
whole train follows from k, and k from comparing the current with T thresholds, (1 - decay)/(1 - decay^k) in real
arithmetic. The thresholds used here are the exact float32 ones: floating-point addition and multiplication are monotone,
so the smallest current that fires by step k exists and bisection finds it.
"""

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from polystep.evaluation.layered import CompiledActivation

FloatArray = NDArray[np.float32]


def simulate(currents: Tensor, decay: float) -> Tensor:
    """Spike trains of currents (T, ...), step by step: the definition, shape (T, ...)."""
    membrane = torch.zeros_like(currents[0])
    spikes = []
    for current in currents:
        membrane = decay * membrane + current
        spikes.append((membrane >= 1).to(currents.dtype))
        membrane = torch.where(membrane >= 1, 0.0, membrane)
    return torch.stack(spikes)


@lru_cache
def firing_thresholds(steps: int, decay: float) -> FloatArray:
    """Ascending float32 currents (T,): entry j is the smallest constant current that fires by step T - j."""
    never = np.zeros(steps, np.int32)
    always = np.full(steps, np.float32(1).view(np.int32))
    by_step = np.arange(steps, 0, -1)
    # positive floats are ordered as their bit patterns are
    while (always - never).max() > 1:
        middle = never + (always - never) // 2
        fires = _first_spike(middle.view(np.float32), steps, decay) <= by_step
        always, never = np.where(fires, middle, always), np.where(fires, never, middle)
    return always.astype(np.int32).view(np.float32)


def _first_spike(current: FloatArray, steps: int, decay: float) -> NDArray[np.int64]:
    """First step (from 1) at which each constant current fires; steps + 1 for never."""
    trains = simulate(torch.from_numpy(current).expand(steps, -1), decay).numpy()
    return np.where(trains.any(0), trains.argmax(0) + 1, steps + 1)


@lru_cache
def spike_trains(steps: int) -> FloatArray:
    """Row c: the train (T,) of a neuron whose current reaches c thresholds, so its period is T + 1 - c; row 0: silence."""
    trains = np.zeros((steps + 1, steps), np.float32)
    for reached in range(1, steps + 1):
        period = steps + 1 - reached
        trains[reached, period - 1 :: period] = 1
    return trains


class ConstantCurrentSpikes:
    """Constant current (one channel) to a spike train (T channels), by table."""

    def __init__(self, steps: int, decay: float):
        self.channels, self.decay = steps, decay

    def apply(self, pre: Tensor) -> Tensor:
        """(..., 1, U) -> (..., T, U)."""
        thresholds = torch.from_numpy(firing_thresholds(self.channels, self.decay)).to(pre.device)
        trains = torch.from_numpy(spike_trains(self.channels)).to(pre.device)
        # a NaN current never reaches a threshold in the simulation, but bucketize puts it above all
        reached = torch.bucketize(torch.nan_to_num(pre.squeeze(-2), nan=-1.0).contiguous(), thresholds, right=True)
        return trains[reached].movedim(-1, -2)

    def compiled(self) -> CompiledActivation:
        """The same map for the fused path."""
        from polystep.evaluation.jit import njit
        from polystep.evaluation.vectors import LANES, count_reached

        steps = self.channels
        thresholds, trains = firing_thresholds(steps, self.decay), spike_trains(steps)
        low = np.concatenate([[-np.inf], thresholds]).astype(np.float32)
        high = np.concatenate([thresholds, [np.inf]]).astype(np.float32)

        # nothing reaches a NaN
        padded = np.full(-(-steps // LANES) * LANES, np.nan, np.float32)
        padded[:steps] = thresholds

        @njit
        def reached(z):
            count = 0
            for j in range(0, len(padded), LANES):
                count += count_reached(z, padded, j)
            return count

        @njit
        def activate(pre, post, units):
            for unit in range(units):
                row = reached(pre[unit])
                for step in range(steps):
                    post[step * units + unit] = trains[row, step]

        @njit
        def plateau(z):
            row = reached(z)
            return low[row], high[row]

        return CompiledActivation(activate, plateau, trains, reached)


class SpikeCounts:
    """Varying currents (T channels) to the number of spikes (one channel)."""

    channels = 1

    def __init__(self, steps: int, decay: float):
        self.steps, self.decay = steps, decay

    def apply(self, pre: Tensor) -> Tensor:
        """(..., T, U) -> (..., 1, U)."""
        return simulate(pre.movedim(-2, 0), self.decay).sum(0).unsqueeze(-2)

    def compiled(self) -> CompiledActivation:
        """The same map for the fused path."""
        from polystep.evaluation.jit import njit

        steps, decay, one, zero = self.steps, np.float32(self.decay), np.float32(1), np.float32(0)

        @njit
        def activate(pre, post, units):
            for unit in range(units):
                membrane, count = zero, zero
                for step in range(steps):
                    membrane = decay * membrane + pre[step * units + unit]
                    fired = membrane >= one
                    count += one if fired else zero
                    membrane = zero if fired else membrane
                post[unit] = count

        @njit
        def plateau(z):
            return z, z

        return CompiledActivation(activate, plateau)
