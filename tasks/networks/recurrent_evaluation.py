"""Squared errors of many recurrent networks at once: those that differ in the readout alone share one pass over the history."""

import torch
from torch import Tensor

from polystep.candidates import Candidates
from polystep.layout import ParameterLayout


class RecurrentEvaluator:
    """Mean squared error of the networks of `LongShortTermMemory`, in torch.

    A gate that changes changes every later state, so a candidate with other gates runs through the whole history; a chunk of
    them is one product of matrices per time step. Candidates whose gates are those of the first of their chunk take its last
    state, and only their readout is computed.
    """

    compilation_seconds = 0.0

    def __init__(self, hidden: int, layout: ParameterLayout, memory_bytes: int | None = None):
        """`hidden`: numbers in the state. `memory_bytes`: bound for the gates of a chunk; where not given, what stays in the
        caches of a CPU, and 256 MiB elsewhere.
        """
        self.hidden, self.layout, self.memory_bytes = hidden, layout, memory_bytes

    @torch.no_grad()
    def losses(self, candidates: Candidates, inputs: Tensor, targets: Tensor) -> Tensor:
        """Mean squared error of every candidate over the rows of the batch and the horizon, shape (N,), float32."""
        memory_bytes = self.memory_bytes or (2**21 if inputs.device.type == "cpu" else 2**28)
        chunk = max(1, memory_bytes // (4 * len(inputs) * 4 * self.hidden))
        parts = [
            self.forecasts(candidates.dense(slice(first, first + chunk)), inputs).sub_(targets).square_().mean((1, 2))
            for first in range(0, len(candidates), chunk)
        ]
        return torch.cat(parts) if parts else inputs.new_empty(0)

    def forecasts(self, points: Tensor, inputs: Tensor) -> Tensor:
        """Forecasts (n, B, horizon) at points (n, D) of histories (B, T)."""
        tensors = self.layout.unflatten(points)
        bias = tensors["input_gates.bias"] + tensors["state_gates.bias"]
        gates = [tensors["state_gates.weight"], tensors["input_gates.weight"], bias.unsqueeze(-1)]
        weights = torch.cat(gates, dim=-1)
        own = (weights != weights[:1]).flatten(1).any(1)
        own[0] = True
        states = self._last_states(weights[own], inputs)[torch.where(own, own.cumsum(0) - 1, 0)]
        return torch.baddbmm(tensors["readout.bias"].unsqueeze(1), states, tensors["readout.weight"].mT)

    def _last_states(self, weights: Tensor, inputs: Tensor) -> Tensor:
        """States (n, B, hidden) after histories (B, T); weights (n, 4 hidden, hidden + 2) of the state, the number and 1."""
        hidden, shape = self.hidden, (len(weights), len(inputs))
        # tanh(z) = 2 sigmoid(2 z) - 1, since sigmoids take torch a quarter of the time
        weights = weights.mT.contiguous()
        weights[..., 2 * hidden : 3 * hidden] *= 2
        signal, cell = inputs.new_ones(*shape, hidden + 2), inputs.new_zeros(*shape, hidden)
        state, gates = signal[..., :hidden].zero_(), inputs.new_empty(*shape, 4 * hidden)
        i, f, g, o = gates.chunk(4, dim=-1)
        for number in inputs.T:
            signal[..., hidden] = number
            torch.bmm(signal, weights, out=gates).sigmoid_()
            cell.mul_(f).addcmul_(i, g, value=2).sub_(i)
            torch.addcmul(-o, o, torch.sigmoid(2 * cell), value=2, out=state)
        return state
