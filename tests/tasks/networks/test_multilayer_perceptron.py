"""The multilayer perceptron of the paper's differentiable sanity check."""

import pytest
import torch
from torch import nn

from polystep.layout import ParameterLayout
from tasks.networks.multilayer_perceptron import MultilayerPerceptron


def test_network_of_the_paper_has_101770_parameters() -> None:
    assert ParameterLayout.of_module(MultilayerPerceptron()).size == 101770


def test_layers_and_starting_values_are_those_of_torch() -> None:
    network = MultilayerPerceptron(20, 5, hidden=[8, 7])
    network.initialise(torch.Generator().manual_seed(3))
    torch.manual_seed(3)
    plain = nn.Sequential(nn.Linear(20, 8), nn.ReLU(), nn.Linear(8, 7), nn.ReLU(), nn.Linear(7, 5))
    inputs = torch.randn(9, 20, generator=torch.Generator().manual_seed(1))
    assert torch.equal(network(inputs), plain(inputs))


@pytest.mark.parametrize("hidden", [[], [3, 0]])
def test_bad_sizes_are_named(hidden: list[int]) -> None:
    with pytest.raises(ValueError, match=r"hidden must list at least one layer of at least 1 unit, got \["):
        MultilayerPerceptron(hidden=hidden)
