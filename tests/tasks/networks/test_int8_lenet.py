"""The int8 LeNet: all parameters are rounded, and every evaluation path computes the same losses."""

import copy

import pytest
import torch
from torch import Tensor

from polystep.candidates import ParticleCandidates
from polystep.contracts import Objective
from polystep.layout import ParameterLayout
from polystep.subspace import RowSubspace
from tasks.classification import ClassificationTask
from tasks.networks.int8_lenet import Int8LeNet


@pytest.fixture
def network() -> Int8LeNet:
    module = Int8LeNet(inputs=64, classes=5)
    module.initialise(torch.Generator().manual_seed(0))
    return module


@pytest.fixture
def inputs() -> Tensor:
    return torch.randn(12, 64, generator=torch.Generator().manual_seed(1))


def test_layers_are_those_of_lenet_5() -> None:
    shapes = [tuple(parameter.shape) for parameter in Int8LeNet().parameters() if parameter.ndim > 1]
    assert shapes == [(6, 1, 5, 5), (16, 6, 5, 5), (120, 400), (84, 120), (10, 84)]
    assert ParameterLayout.of_module(Int8LeNet()).size == 61706


def test_all_parameters_are_rounded(network: Int8LeNet, inputs: Tensor) -> None:
    rounded = copy.deepcopy(network)
    with torch.no_grad():
        for parameter in rounded.parameters():
            parameter.copy_((parameter / 0.01).round().clamp(-128, 127) * 0.01)
    torch.testing.assert_close(network(inputs), rounded.differentiable()["smooth"](inputs))
    assert not torch.allclose(network(inputs), network.differentiable()["smooth"](inputs), atol=1e-4)


def test_straight_through_network_is_the_hard_one(network: Int8LeNet, inputs: Tensor) -> None:
    kinds = network.differentiable()
    assert torch.equal(kinds["straight_through"](inputs), network(inputs))
    for kind, reaches in (("exact", False), ("straight_through", True), ("smooth", True)):
        gradients = torch.autograd.grad(kinds[kind](inputs).square().sum(), list(network.parameters()))
        assert all(bool(gradient.any()) == reaches for gradient in gradients), kind


def losses(evaluation: str) -> Tensor:
    task = ClassificationTask("a name", Int8LeNet, "digits", "absent", 0, 32, 200, evaluation)  # type: ignore[arg-type]
    subspace = RowSubspace(task.layout, particle_dimension=2, seed=0, rank=4)
    particle = torch.arange(0, subspace.particles, 7)
    offset = torch.randn(len(particle), 2, generator=torch.Generator().manual_seed(2))
    objective: Objective = task.next_objective()
    return objective.losses(ParticleCandidates(task.initial_point(0), subspace, particle, offset))


def test_every_path_computes_the_same_losses() -> None:
    expected = losses("functional")
    assert expected.std() > 0.01
    for evaluation in ("fused", "incremental"):
        torch.testing.assert_close(losses(evaluation), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("inputs", [63, 49])
def test_images_that_do_not_suit_are_named(inputs: int) -> None:
    with pytest.raises(ValueError, match=rf"square images of at least 8 x 8 pixels, got {inputs} inputs"):
        Int8LeNet(inputs)
