"""The int8 network of the paper: the parameters of its middle layer are rounded."""

import numpy as np
import pytest
import torch

from polystep.candidates import ParticleCandidates
from polystep.layout import ParameterLayout
from polystep.subspace import RowSubspace
from tasks.networks.int8 import SCALE, Int8Network, quantise
from tests.exactness import INPUTS, NETWORKS


@pytest.fixture
def network() -> Int8Network:
    module = Int8Network(inputs=20, classes=5, hidden=8)
    module.initialise(torch.Generator().manual_seed(0))
    return module


def boundaries() -> torch.Tensor:
    """Float32 parameters that are exactly halfway between two levels, and their neighbours on both sides."""
    near = np.float32(SCALE) * (np.arange(-130, 130, dtype=np.float32) + np.float32(0.5))
    below, above = np.nextafter(near, np.float32(-9)), np.nextafter(near, np.float32(9))
    return torch.from_numpy(np.concatenate([below, near, above]))


def test_network_of_the_paper_has_118282_parameters() -> None:
    assert ParameterLayout.of_module(Int8Network()).size == 118282


def test_only_the_middle_layer_is_rounded(network: Int8Network) -> None:
    inputs = torch.randn(16, 20, generator=torch.Generator().manual_seed(1))
    first, _, middle, _, last = network
    hidden = torch.relu(first(inputs))
    weight, bias = ((p / 0.01).round().clamp(-128, 127) * 0.01 for p in (middle.weight, middle.bias))
    expected = last(torch.relu(hidden @ weight.T + bias))
    torch.testing.assert_close(network(inputs), expected)
    assert not torch.allclose(network(inputs), last(torch.relu(middle.weight @ hidden.T + bias[:, None]).T), atol=1e-4)


def test_levels_are_rounded_to_even_and_clamped() -> None:
    halves = torch.tensor([0.5, 1.5, 2.5, -0.5, -1.5, 127.4, 128.0, -128.4, -129.0]) * SCALE
    expected = torch.tensor([0.0, 2.0, 2.0, -0.0, -2.0, 127.0, 127.0, -128.0, -128.0]) * SCALE
    assert torch.equal(quantise(halves), expected)
    assert (boundaries() / SCALE == (boundaries() / SCALE).floor() + 0.5).any()


def test_starting_values_are_those_of_the_paper() -> None:
    network = Int8Network()
    network.initialise(torch.Generator().manual_seed(0))
    assert network[2].weight.std().item() == pytest.approx(0.1, rel=0.02)
    assert not network[2].bias.any()
    assert network[0].weight.abs().max().item() == pytest.approx(784**-0.5, rel=1e-3)
    # building the module after torch.manual_seed draws the same numbers in the same order
    torch.manual_seed(5)
    built = Int8Network(20, 5, 8)
    drawn = Int8Network(20, 5, 8)
    drawn.initialise(torch.Generator().manual_seed(5))
    layout = ParameterLayout.of_module(built)
    assert torch.equal(layout.point_of(built), layout.point_of(drawn))


def test_straight_through_network_is_the_hard_one(network: Int8Network) -> None:
    inputs = torch.randn(16, 20, generator=torch.Generator().manual_seed(1))
    kinds = network.differentiable()
    assert torch.equal(kinds["straight_through"](inputs), network(inputs))
    assert not torch.allclose(kinds["smooth"](inputs), network(inputs))
    names = [name for name, _ in network.named_parameters()]
    for kind, reaches in (("exact", False), ("straight_through", True), ("smooth", True)):
        module = kinds[kind]
        assert [name for name, _ in module.named_parameters()] == names
        assert all(one is other for one, other in zip(module.parameters(), network.parameters(), strict=True))
        gradient = torch.autograd.grad(module(inputs).square().sum(), network[2].weight)[0]
        assert bool(gradient.any()) == reaches, kind


def test_straight_through_gradient_is_that_of_the_rounded_weights(network: Int8Network) -> None:
    with torch.no_grad():
        network[2].weight[0, 0] = 2.0
    inputs = torch.randn(16, 20, generator=torch.Generator().manual_seed(1))
    (found,) = torch.autograd.grad(network.differentiable()["straight_through"](inputs).sum(), network[2].weight)
    rounded = quantise(network[2].weight).detach().requires_grad_()
    hidden = torch.relu(network[0](inputs))
    (expected,) = torch.autograd.grad(network[4](torch.relu(hidden @ rounded.T + network[2].bias)).sum(), rounded)
    inside = (network[2].weight / SCALE).round().clamp(-128, 127) == (network[2].weight / SCALE).round()
    assert not inside[0, 0]
    torch.testing.assert_close(found[inside], expected[inside])
    assert found[0, 0] == 0


def test_paths_agree_at_rounding_boundaries() -> None:
    """Every candidate puts one parameter of the rounded layer exactly on a boundary, or on the next float beside it."""
    paths = NETWORKS["int8"]
    subspace = RowSubspace(paths.layout, particle_dimension=5, seed=0, rank=5)
    tensors = {
        entry.name: torch.rand(entry.shape, generator=torch.Generator().manual_seed(1))
        for entry in paths.layout.entries
    }
    tensors["2.weight"], tensors["2.bias"] = torch.zeros(4, 4), torch.zeros(4)
    number = next(i for i, group in enumerate(subspace.groups) if group.weight.name == "2.weight")
    subspace.bases[number] = torch.eye(5)
    values = boundaries()
    place = torch.arange(len(values))
    offset = torch.zeros(len(values), 5)
    offset[place, place % 5] = values
    particle = subspace.groups[number].first_particle + place % 4
    candidates = ParticleCandidates(paths.layout.flatten(tensors), subspace, particle, offset)
    inputs, targets = 4 * torch.ones(3, INPUTS), torch.tensor([0, 1, 2])
    paths.assert_agree(candidates, inputs, targets, tolerance=1e-6)
    # neighbours in the list are apart by a level at most, and some rounded to the other side
    losses = paths.functional.losses(candidates, inputs, targets)
    assert len(losses.unique()) > 100


def test_too_few_units_are_named() -> None:
    with pytest.raises(ValueError, match="hidden must be at least 1, got 0"):
        Int8Network(hidden=0)
