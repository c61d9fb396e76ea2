"""The hard-LIF spiking network of the paper."""

import math

import pytest
import torch

from polystep.layout import ParameterLayout
from tasks.networks.snn import SmoothSpikingNetwork, SpikingNetwork


@pytest.fixture
def network() -> SpikingNetwork:
    module = SpikingNetwork(inputs=20, classes=5, hidden=8)
    module.initialise(torch.Generator().manual_seed(0))
    return module


@pytest.fixture
def inputs() -> torch.Tensor:
    return 3 * torch.randn(64, 20, generator=torch.Generator().manual_seed(1))


def test_network_of_the_paper_has_101770_parameters() -> None:
    layout = ParameterLayout.of_module(SpikingNetwork())
    assert layout.size == 101770
    assert [entry.shape for entry in layout.entries] == [(128, 784), (128,), (10, 128), (10,)]


def test_logits_are_spike_counts(network: SpikingNetwork, inputs: torch.Tensor) -> None:
    with torch.no_grad():
        network.fc2.weight *= 4
        logits = network(inputs)
    assert logits.shape == (64, 5)
    assert torch.equal(logits, logits.round())
    assert logits.min() == 0
    assert 1 < logits.max() <= 15


def test_neurons_follow_the_recursion() -> None:
    network = SpikingNetwork(inputs=1, classes=1, hidden=1, steps=6, decay=0.5)
    ParameterLayout.of_module(network).write(torch.tensor([1.0, 0.0, 1.0, 0.25]), network)
    # hidden: 0.75, 1.125 (fires), 0.75, ...; output: 0.25, 1.375 (fires), 0.25, ...
    assert network(torch.tensor([[0.75]])).item() == 3
    # hidden: 0.5, 0.75, 0.875, ... never reaches 1; neither does the output
    assert network(torch.tensor([[0.5]])).item() == 0
    assert network(torch.tensor([[1.0]])).item() == 6


def test_layered_network_equals_the_module(network: SpikingNetwork, inputs: torch.Tensor) -> None:
    layout = ParameterLayout.of_module(network)
    for scale in (0.1, 1.0, 3.0):
        point = scale * layout.point_of(network)
        layout.write(point, network)
        assert torch.equal(network.layered().logits(inputs, layout.unflatten(point)), network(inputs))


@pytest.mark.parametrize("scale", [0.3, 1.0, 3.0])
def test_surrogate_network_is_the_hard_one(network: SpikingNetwork, inputs: torch.Tensor, scale: float) -> None:
    with torch.no_grad():
        network.fc1.weight *= scale
        network.fc2.weight *= 2
    surrogate = network.differentiable()["surrogate"]
    logits = surrogate(inputs)
    assert torch.equal(logits, network(inputs)) and logits.any()
    logits.std().backward()
    assert network.fc1.weight.grad is not None and network.fc1.weight.grad.abs().max() > 0


def test_smooth_gradients_are_those_of_the_smooth_network(network: SpikingNetwork, inputs: torch.Tensor) -> None:
    alone = SmoothSpikingNetwork(inputs=20, classes=5, hidden=8)
    alone.load_state_dict(network.state_dict())
    assert set(alone.differentiable()) == {"exact"} and alone.differentiable()["exact"] is alone
    logits = network.differentiable()["smooth"](inputs)
    assert torch.equal(logits, alone(inputs))
    assert not torch.equal(logits, network(inputs))


@pytest.mark.parametrize("network_class", [SpikingNetwork, SmoothSpikingNetwork])
def test_differentiable_networks_share_the_parameters(network_class: type[SpikingNetwork]) -> None:
    network = network_class(inputs=20, classes=5, hidden=8)
    for variant in network.differentiable().values():
        for (name, own), (other_name, other) in zip(
            network.named_parameters(), variant.named_parameters(), strict=True
        ):
            assert name == other_name and own is other


def test_trace_ends_in_logits_and_losses(network: SpikingNetwork, inputs: torch.Tensor) -> None:
    layout = ParameterLayout.of_module(network)
    targets = torch.arange(64) % 5
    trace = network.layered().trace(inputs, layout.unflatten(layout.point_of(network)), targets)
    assert torch.equal(trace.logits, network(inputs))
    torch.testing.assert_close(trace.losses, torch.nn.functional.cross_entropy(trace.logits, targets, reduction="none"))


def test_starting_values_are_uniform_up_to_the_inverse_root_of_the_inputs() -> None:
    network = SpikingNetwork(hidden=400)
    network.initialise(torch.Generator().manual_seed(0))
    for layer, inputs in ((network.fc1, 784), (network.fc2, 400)):
        weight, bias = (math.sqrt(inputs) * tensor.detach() for tensor in (layer.weight, layer.bias))
        assert 0.99 < weight.max() <= 1
        assert -1 <= weight.min() < -0.99
        assert weight.std() == pytest.approx(1 / math.sqrt(3), rel=0.03)
        assert weight.mean() == pytest.approx(0, abs=0.03)
        assert 0.5 < bias.abs().max() <= 1


def test_starting_values_come_from_the_generator_alone(network: SpikingNetwork) -> None:
    before = torch.get_rng_state()
    layout = ParameterLayout.of_module(network)
    points = []
    for seed in (3, 3, 4):
        network.initialise(torch.Generator().manual_seed(seed))
        points.append(layout.point_of(network))
    assert torch.equal(points[0], points[1])
    assert not torch.equal(points[0], points[2])
    assert torch.equal(torch.get_rng_state(), before)
