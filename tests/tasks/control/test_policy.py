"""Policies: sizes, starting values, activations, and what an action may depend on."""

import pytest
import torch
from torch import nn

from tasks.control.policy import Policy

ACTIVATIONS = ("float", "int8", "binary")


def drawn(policy, candidates=3, episodes=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(candidates, policy.layout.size, generator=generator)
    return points, torch.randn(candidates, episodes, policy.observations, generator=generator)


@pytest.mark.parametrize(("observations", "outputs", "size"), [(4, 2, 114), (6, 3, 163)])
def test_sizes_are_the_published_ones(observations, outputs, size):
    assert Policy(observations, outputs).layout.size == size


def test_starting_values_are_those_of_torch():
    policy = Policy(4, 2)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(42)
        layers = nn.Linear(4, 16), nn.Linear(16, 2)
    expected = torch.cat([parameter.detach().flatten() for layer in layers for parameter in layer.parameters()])
    assert torch.equal(policy.initial_point(42), expected)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_outputs_are_those_of_one_network_after_the_other(activation):
    act = {
        "float": torch.tanh,
        "int8": lambda x: torch.fake_quantize_per_tensor_affine(x, float(x.abs().max()) / 127, 0, -127, 127),
        "binary": torch.sign,
    }[activation]
    policy = Policy(4, 2, hidden=7, activation=activation)
    points, observations = drawn(policy)
    outputs = policy.respond(points, observations)
    for point, rows, found in zip(points, observations, outputs, strict=True):
        named = policy.layout.unflatten(point)
        for row, output in zip(rows, found, strict=True):
            hidden = act(named["hidden.weight"] @ row + named["hidden.bias"])
            expected = named["output.weight"] @ hidden + named["output.bias"]
            assert torch.allclose(output, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_outputs_do_not_depend_on_other_episodes(activation):
    policy = Policy(4, 2, activation=activation)
    points, observations = drawn(policy)
    changed = observations.clone()
    changed[:, 1:] *= 100
    assert torch.equal(policy.respond(points, observations)[:, 0], policy.respond(points, changed)[:, 0])


def test_outputs_depend_on_other_episodes_where_the_int8_scale_is_shared_as_published():
    policy = Policy(4, 2, activation="int8", int8_scale="candidate")
    assert policy.couples_episodes and not Policy(4, 2, int8_scale="candidate").couples_episodes
    points, observations = drawn(policy)
    changed = observations.clone()
    changed[0, 1:] *= 100
    before, after = policy.respond(points, observations), policy.respond(points, changed)
    assert not torch.allclose(before[0, 0], after[0, 0], atol=1e-3)
    assert torch.equal(before[1:], after[1:])


def test_a_hidden_vector_of_zeros_stays_zero():
    for activation in ACTIVATIONS:
        policy = Policy(4, 2, activation=activation)
        point = torch.zeros(policy.layout.size)
        point[policy.layout.entries[-1].span] = torch.tensor([3.0, 4.0])
        assert policy.respond(point.unsqueeze(0), torch.ones(1, 1, 4)).flatten().tolist() == [3, 4]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden": 0}, "task.hidden must be at least 1, got 0"),
        ({"activation": "int4"}, "task.activation must be 'float', 'int8' or 'binary', got 'int4'"),
        ({"int8_scale": "batch"}, "task.int8_scale must be 'row' or 'candidate'"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Policy(4, 2, **settings)
