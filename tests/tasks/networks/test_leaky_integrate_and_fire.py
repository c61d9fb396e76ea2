"""Spike trains by table and by compiled functions equal the step-by-step simulation, bit for bit."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from polystep.evaluation.layered import CompiledActivation
from tasks.networks.leaky_integrate_and_fire import (
    ConstantCurrentSpikes,
    SpikeCounts,
    firing_thresholds,
    simulate,
)

NEURONS = [(15, 0.95), (6, 0.5), (7, 0.0), (10, 1.0), (40, 0.99), (1, 0.95)]
SPECIAL = [0.0, -0.0, -0.5, -1e30, 1e-45, 0.5, 1.0, 1.5, 1e30, 3.4e38, math.inf, -math.inf, math.nan]

neurons = pytest.mark.parametrize(("steps", "decay"), NEURONS)
sampled = settings(derandomize=True, deadline=None, max_examples=30)
float32 = st.floats(width=32) | st.floats(0, 1.5, width=32)


def reference(currents: NDArray[np.float32], decay: float) -> NDArray[np.float32]:
    """The recursion of one neuron, written out."""
    membrane, spikes = np.float32(0), []
    for current in currents:
        membrane = np.float32(decay) * membrane + current
        spikes.append(membrane >= 1)
        if membrane >= 1:
            membrane = np.float32(0)
    return np.array(spikes, np.float32)


def around(values: NDArray[np.float32]) -> Tensor:
    """The values and both of their float32 neighbours."""
    limit = np.float32(np.inf)
    return torch.from_numpy(np.concatenate([values, np.nextafter(values, limit), np.nextafter(values, -limit)]))


def simulated_trains(currents: Tensor, steps: int, decay: float) -> Tensor:
    """Trains (N, T) of constant currents (N,)."""
    return simulate(currents.expand(steps, -1), decay).T


def table_trains(currents: Tensor, steps: int, decay: float) -> Tensor:
    return ConstantCurrentSpikes(steps, decay).apply(currents.unsqueeze(0)).T


@sampled
@given(st.lists(float32, min_size=1, max_size=20), st.sampled_from([0.95, 0.5, 0.99]))
@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
def test_simulation_is_the_recursion(currents: list[float], decay: float) -> None:
    array = np.array(currents, np.float32)
    spikes = simulate(torch.from_numpy(array).unsqueeze(1), decay).squeeze(1)
    np.testing.assert_array_equal(spikes.numpy(), reference(array, decay))


def test_membrane_leaks_and_resets() -> None:
    spikes = simulate(torch.tensor([[0.5], [0.5], [0.5], [0.0], [1.0], [0.0], [0.999], [0.1]]), decay=0.5)
    assert spikes.squeeze(1).tolist() == [0, 0, 0, 0, 1, 0, 0, 0]
    assert simulate(torch.tensor([[0.5], [0.5], [0.25]]), decay=1.0).squeeze(1).tolist() == [0, 1, 0]


@neurons
def test_table_equals_simulation_at_every_threshold_and_beside_it(steps: int, decay: float) -> None:
    currents = around(firing_thresholds(steps, decay))
    assert torch.equal(table_trains(currents, steps, decay), simulated_trains(currents, steps, decay))


@neurons
def test_table_equals_simulation_at_special_currents(steps: int, decay: float) -> None:
    currents = torch.tensor(SPECIAL)
    assert torch.equal(table_trains(currents, steps, decay), simulated_trains(currents, steps, decay))


@neurons
@sampled
@given(st.lists(float32, min_size=1, max_size=50))
def test_table_equals_simulation(steps: int, decay: float, currents: list[float]) -> None:
    tensor = torch.tensor(currents)
    assert torch.equal(table_trains(tensor, steps, decay), simulated_trains(tensor, steps, decay))


@neurons
def test_table_equals_simulation_over_the_range_of_thresholds(steps: int, decay: float) -> None:
    currents = torch.linspace(-0.1, 1.1, 5001)
    assert torch.equal(table_trains(currents, steps, decay), simulated_trains(currents, steps, decay))


@neurons
def test_thresholds_are_those_of_real_arithmetic_to_rounding(steps: int, decay: float) -> None:
    by_step = np.arange(steps, 0, -1)
    exact = 1 / by_step if decay == 1 else (1 - decay) / (1 - decay**by_step)
    np.testing.assert_allclose(firing_thresholds(steps, decay), exact, rtol=1e-6)


@neurons
def test_thresholds_ascend(steps: int, decay: float) -> None:
    assert all(low <= high for low, high in pairwise(firing_thresholds(steps, decay)))


@pytest.mark.parametrize("shape", [(3,), (2, 3), (4, 2, 1), (2, 0)])
def test_channels_come_before_units(shape: tuple[int, ...]) -> None:
    currents = torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 1.5
    trains = ConstantCurrentSpikes(15, 0.95).apply(currents.unsqueeze(-2))
    assert torch.equal(trains, simulate(currents.expand(15, *shape), 0.95).movedim(0, -2))
    counts = SpikeCounts(15, 0.95).apply(trains)
    assert counts.shape == (*shape[:-1], 1, shape[-1])
    assert torch.equal(counts.squeeze(-2), simulate(trains.movedim(-2, 0), 0.95).sum(0))


@pytest.fixture(scope="module", params=[(15, 0.95), (6, 0.5)])
def table(request: pytest.FixtureRequest) -> tuple[ConstantCurrentSpikes, CompiledActivation]:
    activation = ConstantCurrentSpikes(*request.param)
    return activation, activation.compiled()


@pytest.fixture(scope="module")
def counter() -> tuple[SpikeCounts, CompiledActivation]:
    activation = SpikeCounts(15, 0.95)
    return activation, activation.compiled()


def run_compiled(compiled: CompiledActivation, pre: Tensor, channels: int) -> Tensor:
    """Outputs (C_out, U) of inputs (C_in, U)."""
    units = pre.shape[1]
    post = np.full(channels * units, np.nan, np.float32)
    compiled.activate(pre.flatten().numpy().copy(), post, units)
    return torch.from_numpy(post).reshape(channels, units)


def currents_of_interest(activation: ConstantCurrentSpikes) -> Tensor:
    return torch.cat(
        [
            around(firing_thresholds(activation.channels, activation.decay)),
            torch.tensor(SPECIAL),
            torch.rand(100, generator=torch.Generator().manual_seed(1)) * 1.2,
        ]
    )


def test_compiled_table_equals_the_torch_form(table: tuple[ConstantCurrentSpikes, CompiledActivation]) -> None:
    activation, compiled = table
    currents = currents_of_interest(activation).unsqueeze(0)
    assert torch.equal(run_compiled(compiled, currents, activation.channels), activation.apply(currents))


def test_output_is_constant_within_a_plateau(table: tuple[ConstantCurrentSpikes, CompiledActivation]) -> None:
    activation, compiled = table
    for current in currents_of_interest(activation).numpy():
        low, high = (np.float32(bound) for bound in compiled.plateau(current))
        if np.isfinite(current):
            assert low <= current < high
        if np.isnan(current) or not low < high:
            continue
        ends = torch.from_numpy(np.array([current, low, np.nextafter(high, -np.float32(np.inf))]))
        trains = simulated_trains(ends, activation.channels, activation.decay)
        assert torch.equal(trains[1], trains[0])
        assert torch.equal(trains[2], trains[0])


def test_cells_join_without_gaps(table: tuple[ConstantCurrentSpikes, CompiledActivation]) -> None:
    activation, compiled = table
    for threshold in firing_thresholds(activation.channels, activation.decay):
        assert compiled.plateau(threshold)[0] == threshold
        assert compiled.plateau(np.nextafter(threshold, -np.float32(np.inf)))[1] == threshold


@sampled
@given(seed=st.integers(0, 2**32 - 1), units=st.integers(1, 20), coarse=st.booleans())
def test_compiled_counts_equal_the_torch_form(
    counter: tuple[SpikeCounts, CompiledActivation], seed: int, units: int, coarse: bool
) -> None:
    activation, compiled = counter
    generator = torch.Generator().manual_seed(seed)
    pre = torch.randn(15, units, generator=generator)
    if coarse:
        pre = (pre * 4).round() / 4
    assert torch.equal(run_compiled(compiled, pre, 1), activation.apply(pre))


def test_compiled_counts_of_special_currents(counter: tuple[SpikeCounts, CompiledActivation]) -> None:
    activation, compiled = counter
    grid = torch.tensor(SPECIAL)
    pre = torch.cat([grid.expand(15, -1), torch.stack([grid.roll(shift) for shift in range(15)])], dim=1)
    assert torch.equal(run_compiled(compiled, pre, 1), activation.apply(pre))


def test_counts_have_no_plateaus(counter: tuple[SpikeCounts, CompiledActivation]) -> None:
    low, high = counter[1].plateau(np.float32(0.3))
    assert low == high
