"""The network with discrete attention of the paper."""

import pytest
import torch

from polystep.layout import ParameterLayout
from tasks.networks.argmax_attention import ArgmaxAttentionNetwork, SmoothAttentionNetwork


@pytest.fixture
def network() -> ArgmaxAttentionNetwork:
    module = ArgmaxAttentionNetwork(inputs=20, classes=5, hidden=8, slots=3)
    module.initialise(torch.Generator().manual_seed(0))
    return module


@pytest.fixture
def inputs() -> torch.Tensor:
    return torch.randn(16, 20, generator=torch.Generator().manual_seed(1))


def test_network_of_the_paper_has_119306_parameters() -> None:
    assert ParameterLayout.of_module(ArgmaxAttentionNetwork()).size == 119306


def test_network_is_its_definition(network: ArgmaxAttentionNetwork, inputs: torch.Tensor) -> None:
    keys, value = network.attention.keys, network.attention.value
    for row, logits in zip(inputs, network(inputs), strict=True):
        hidden = torch.relu(network.hidden(row))
        slot = torch.stack([hidden @ key for key in keys]).argmax()
        torch.testing.assert_close(logits, network.output(value(hidden) * keys[slot].sigmoid()))


def test_network_for_incremental_evaluation_is_the_same(network: ArgmaxAttentionNetwork, inputs: torch.Tensor) -> None:
    tensors = ParameterLayout.of_module(network).unflatten(ParameterLayout.of_module(network).point_of(network))
    torch.testing.assert_close(network.layered().logits(inputs, tensors), network(inputs))
    winner = network.layered().winners(inputs, tensors)
    assert torch.equal(winner, (torch.relu(network.hidden(inputs)) @ network.attention.keys.T).argmax(-1))
    assert len(winner.unique()) > 1


def test_starting_values_are_those_of_the_constructor() -> None:
    torch.manual_seed(5)
    built = ArgmaxAttentionNetwork(20, 5, 8, 3)
    drawn = ArgmaxAttentionNetwork(20, 5, 8, 3)
    drawn.initialise(torch.Generator().manual_seed(5))
    layout = ParameterLayout.of_module(built)
    assert torch.equal(layout.point_of(built), layout.point_of(drawn))
    assert ArgmaxAttentionNetwork().attention.keys.std().item() == pytest.approx(0.5, rel=0.1)


def test_variants_share_the_hard_network(network: ArgmaxAttentionNetwork, inputs: torch.Tensor) -> None:
    kinds = network.differentiable()
    assert torch.equal(kinds["straight_through"](inputs), network(inputs))
    substitute = SmoothAttentionNetwork(20, 5, 8, 3)
    substitute.load_state_dict(network.state_dict())
    assert torch.equal(kinds["smooth"](inputs), substitute(inputs))
    scores = torch.relu(network.hidden(inputs)) @ network.attention.keys.T
    key = scores.softmax(-1) @ network.attention.keys
    attended = network.attention.value(torch.relu(network.hidden(inputs))) * key.sigmoid()
    torch.testing.assert_close(substitute(inputs), network.output(attended))
    for kind in kinds:
        gradient = torch.autograd.grad(kinds[kind](inputs).square().sum(), network.attention.keys)[0]
        assert gradient.any(), kind


def test_a_batch_of_one_and_a_single_slot() -> None:
    network = ArgmaxAttentionNetwork(inputs=20, classes=5, hidden=8, slots=1)
    assert network(torch.zeros(1, 20)).shape == (1, 5)


@pytest.mark.parametrize("size", ["hidden", "slots"])
def test_bad_sizes_are_named(size: str) -> None:
    with pytest.raises(ValueError, match=f"{size} must be at least 1, got 0"):
        ArgmaxAttentionNetwork(**{size: 0})
