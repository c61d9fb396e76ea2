"""From costs to weights: how much each vertex pulls its particle."""

import math
from typing import Any, Protocol

import torch
from torch import Tensor

from polystep.component import component
from polystep.random import generator_state, named_generator, restore_generator
from polystep.validation import SettingError, at_least


class Weighting(Protocol):
    """Turns a finite cost matrix (P, V) and a temperature into row weights (P, V) that sum to 1 per row."""

    def weights(self, costs: Tensor, temperature: float) -> Tensor:
        """Row weights (P, V)."""
        ...

    def forget(self) -> None:
        """Drop whatever is carried from step to step."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """What is carried from step to step."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a state from `state_dict`."""
        ...


class Memoryless:
    """A weighting that carries nothing from step to step."""

    def forget(self) -> None:
        """Nothing is carried."""

    def state_dict(self) -> dict[str, Any]:
        """Nothing is carried."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing is carried."""


@component("softmax", version=1)
class Softmax(Memoryless):
    """W_iv = exp(-C_iv/temperature) / sum_u exp(-C_iu/temperature): one-sided entropic transport (METHOD.md, weightings)."""

    def weights(self, costs: Tensor, temperature: float) -> Tensor:
        """Row weights (P, V)."""
        # shifted before dividing, which loses least where rows lie at very different levels
        return torch.softmax((costs.amin(1, keepdim=True) - costs) / temperature, dim=1)


@component("linear_weighting", version=1)
class LinearWeighting(Memoryless):
    """W_iv = (1 - (C_iv - mean_u C_iu)/temperature)/V: the softmax to first order, hence finite differences.

    Weights may be negative.
    """

    def weights(self, costs: Tensor, temperature: float) -> Tensor:
        """Row weights (P, V)."""
        return (1 - (costs - costs.mean(1, keepdim=True)) / temperature) / costs.shape[1]


@component("exponential_rank", version=1)
class ExponentialRank(Memoryless):
    """The softmax of ranks instead of costs: 0 for the cheapest vertex of a row to 1; equal costs share their mean rank."""

    def weights(self, costs: Tensor, temperature: float) -> Tensor:
        """Row weights (P, V)."""
        others = costs.unsqueeze(1)
        below, equal = (others < costs.unsqueeze(2)).sum(2), (others == costs.unsqueeze(2)).sum(2)
        ranks = (below + (equal - 1) / 2) / max(1, costs.shape[1] - 1)
        return torch.softmax(-ranks.to(costs) / temperature, dim=1)


@component("cheapest", version=1)
class Cheapest(Memoryless):
    """Equal weights for the `count` cheapest vertices of each row; vertices that tie for the last place share it.

    count 1 is the greedy rule. The temperature has no part in it, and a row of equal costs stays where it is.
    """

    def __init__(self, count: int = 1):
        at_least(1, count=count)
        self.count = count

    def weights(self, costs: Tensor, temperature: float) -> Tensor:
        """Row weights (P, V)."""
        count = min(self.count, costs.shape[1])
        last = costs.kthvalue(count, dim=1, keepdim=True).values
        below, ties = (costs < last).to(costs), (costs == last).to(costs)
        places = count - below.sum(1, keepdim=True)
        return (below + ties * places / ties.sum(1, keepdim=True)) / count


@component("partly_drawn", version=1)
class PartlyDrawn(Softmax):
    """The softmax, but a few rows put all their weight on one vertex, drawn with the chances that the softmax gives.

    On average that is the same step. Small problems need its noise: a few particles that answer each other alike, step after
    step, get stuck, whereas draws at a falling temperature are simulated annealing. Large ones have enough of it, and `drawn`
    rows among many change nothing there.
    """

    def __init__(self, seed: int, drawn: int = 16):
        """`drawn`: at most so many rows of a step, and at most half of them."""
        at_least(1, drawn=drawn)
        self.drawn = drawn
        self._generator = named_generator(seed, "drawn vertices")

    def weights(self, costs: Tensor, temperature: float) -> Tensor:
        """Row weights (P, V)."""
        weights = super().weights(costs, temperature)
        count = min(self.drawn, -(-len(weights) // 2))
        # with repetitions, which costs nothing where there are many rows
        rows = torch.randint(len(weights), (count,), generator=self._generator).to(weights.device)
        level = torch.rand(count, 1, generator=self._generator).to(weights)
        vertex = (weights[rows].cumsum(1) < level).sum(1).clamp_max(weights.shape[1] - 1)
        weights[rows] = torch.nn.functional.one_hot(vertex, weights.shape[1]).to(weights)
        return weights

    def state_dict(self) -> dict[str, Any]:
        """What the next draws depend on."""
        return {"generator": generator_state(self._generator)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue the draws."""
        restore_generator(self._generator, state["generator"])


@component("sinkhorn", version=1)
class Sinkhorn:
    """Entropic transport between particles and vertex indices with uniform marginals, in the log domain.

    min_T <C, T> + eps KL(T || a x b) with T 1 = a and the column marginal either enforced (`column_penalty` infinite)
    or penalised by column_penalty x KL(T^T 1 || b), which damps the dual update by lambda/(lambda + eps); penalty 0 is the
    softmax. Alternating updates with `relaxation` omega, warm-started; every 10 iterations stop if the worst violation of a
    marginal (with a finite penalty: the largest change of a dual) is below `tolerance`. Weights are the plan divided by
    its realised row sums. Source: METHOD.md, weightings.
    """

    def __init__(
        self, iterations: int = 50, tolerance: float = 1e-6, relaxation: float = 1.0, column_penalty: float = math.inf
    ):
        at_least(1, iterations=iterations)
        if not 0.5 <= relaxation <= 1.95:
            raise SettingError(f"relaxation must lie in [0.5, 1.95], got {relaxation}")
        if not column_penalty >= 0:
            raise SettingError(f"column_penalty must be at least 0, got {column_penalty}")
        self.iterations, self.tolerance, self.relaxation = iterations, tolerance, relaxation
        self.column_penalty = column_penalty
        self._duals: tuple[Tensor, Tensor, float] | None = None

    def weights(self, costs: Tensor, temperature: float) -> Tensor:
        """Row weights (P, V)."""
        plan = self.plan(costs, temperature)
        return plan / plan.sum(1, keepdim=True).clamp_min(1e-12)

    def plan(self, costs: Tensor, temperature: float) -> Tensor:
        """The transport plan T (P, V), sum close to 1."""
        particles, vertices = costs.shape
        costs = costs - costs.min()
        log_a, log_b = -math.log(particles), -math.log(vertices)
        damping = 1.0 if math.isinf(self.column_penalty) else self.column_penalty / (self.column_penalty + temperature)
        f, g = self._warm_start(costs, temperature)
        omega = self.relaxation
        for iteration in range(1, self.iterations + 1):
            previous_g = g
            f = (1 - omega) * f + omega * temperature * (log_a - torch.logsumexp((g - costs) / temperature, dim=1))
            target = damping * temperature * (log_b - torch.logsumexp((f.unsqueeze(1) - costs) / temperature, dim=0))
            g = (1 - omega) * g + omega * target
            if iteration % 10 == 0 and self._converged(f, g, previous_g, costs, temperature):
                break
        # a last row update makes the row marginal exact, as the weights need it
        f = temperature * (log_a - torch.logsumexp((g - costs) / temperature, dim=1))
        self._duals = (f, g, temperature)
        return torch.exp((f.unsqueeze(1) + g - costs) / temperature)

    def _converged(self, f: Tensor, g: Tensor, previous_g: Tensor, costs: Tensor, temperature: float) -> bool:
        if math.isfinite(self.column_penalty):
            return bool((g - previous_g).abs().max() < self.tolerance)
        plan = torch.exp((f.unsqueeze(1) + g - costs) / temperature)
        rows = (plan.sum(1) - 1 / plan.shape[0]).abs().max()
        columns = (plan.sum(0) - 1 / plan.shape[1]).abs().max()
        return bool(torch.maximum(rows, columns) < self.tolerance)

    def _warm_start(self, costs: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        particles, vertices = costs.shape
        if self._duals is None or self._duals[0].shape != (particles,) or self._duals[1].shape != (vertices,):
            return costs.new_zeros(particles), costs.new_zeros(vertices)
        f, g, previous = self._duals
        bound = 10 * float(costs.max())
        scaled = [(dual * (temperature / previous)).clamp(-bound, bound) for dual in (f, g)]
        return scaled[0], scaled[1]

    def forget(self) -> None:
        """Drop the duals."""
        self._duals = None

    def state_dict(self) -> dict[str, Any]:
        """The duals and the temperature they belong to."""
        return {} if self._duals is None else dict(zip(("f", "g", "temperature"), self._duals, strict=True))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up the duals."""
        self._duals = (state["f"], state["g"], state["temperature"]) if state else None
