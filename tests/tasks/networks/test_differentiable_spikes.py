"""Neurons with gradients: the surrogate's spikes are the hard ones bit for bit, its gradients those of snnTorch."""

import math

import pytest
import snntorch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tasks.networks.differentiable_spikes import ALPHA, LARGEST_BELOW_ONE, simulate_smooth, simulate_surrogate
from tasks.networks.leaky_integrate_and_fire import firing_thresholds, simulate

sampled = settings(derandomize=True, deadline=None, max_examples=50)
decays = st.sampled_from([0.95, 0.5, 0.99, 1.0])


def currents_of(seed: int, scale: float, coarse: bool) -> Tensor:
    currents = scale * torch.randn(15, 40, generator=torch.Generator().manual_seed(seed))
    return (currents * 4).round() / 4 if coarse else currents


def leaky(currents: Tensor, decay: float) -> Tensor:
    """snnTorch's neuron with the paper's threshold and reset."""
    neuron = snntorch.Leaky(
        beta=decay,
        threshold=LARGEST_BELOW_ONE,
        spike_grad=snntorch.surrogate.atan(alpha=ALPHA),
        reset_mechanism="zero",
        reset_delay=False,
    )
    membrane, spikes = torch.zeros_like(currents[0]), []
    for current in currents:
        spike, membrane = neuron(current, membrane)
        spikes.append(spike)
    return torch.stack(spikes)


@sampled
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.1, 0.5, 1.0, 10.0]), st.booleans(), decays)
def test_surrogate_spikes_are_the_hard_ones(seed: int, scale: float, coarse: bool, decay: float) -> None:
    currents = currents_of(seed, scale, coarse)
    assert torch.equal(simulate_surrogate(currents, decay), simulate(currents, decay))


@sampled
@given(
    st.lists(
        st.floats(width=32, allow_nan=False, allow_infinity=False, min_value=-(2.0**99), max_value=2.0**99), min_size=1
    )
)
def test_surrogate_spikes_are_the_hard_ones_under_constant_currents(values: list[float]) -> None:
    currents = torch.tensor(values).expand(15, -1)
    assert torch.equal(simulate_surrogate(currents, 0.95), simulate(currents, 0.95))


def test_surrogate_spikes_are_the_hard_ones_at_every_threshold_and_beside_it() -> None:
    thresholds = torch.from_numpy(firing_thresholds(15, 0.95))
    infinity = torch.tensor(math.inf)
    around = torch.cat([thresholds, thresholds.nextafter(infinity), thresholds.nextafter(-infinity)])
    currents = around.expand(15, -1)
    assert torch.equal(simulate_surrogate(currents, 0.95), simulate(currents, 0.95))


@pytest.mark.parametrize("decay", [0.95, 0.5])
def test_surrogate_is_the_neuron_of_snntorch(decay: float) -> None:
    weights = torch.randn(15, 40, generator=torch.Generator().manual_seed(1))
    gradients = []
    for neurons in (simulate_surrogate, leaky):
        currents = currents_of(0, 0.5, coarse=False).requires_grad_()
        spikes = neurons(currents, decay)
        assert torch.equal(spikes, simulate(currents.detach(), decay))
        (spikes * weights).sum().backward()
        gradients.append(currents.grad)
    assert gradients[0] is not None and gradients[0].abs().max() > 0.1
    torch.testing.assert_close(*gradients)


def test_surrogate_derivative_of_one_step() -> None:
    currents = torch.tensor([[0.5, 1.0, 1.5]], requires_grad=True)
    simulate_surrogate(currents, 0.95).sum().backward()
    beside = ALPHA / 2 / (1 + (math.pi / 2 * ALPHA * 0.5) ** 2)
    expected = torch.tensor([[beside, ALPHA / 2, beside]])
    torch.testing.assert_close(currents.grad, expected, rtol=1e-5, atol=0)


def test_smooth_neurons_follow_their_recursion() -> None:
    def sigmoid(membrane: float) -> float:
        return 1 / (1 + math.exp(-10 * (membrane - 1)))

    first = sigmoid(0.9)
    second = sigmoid(0.5 * 0.9 * (1 - first) + 0.7)
    third = sigmoid(0.5 * (0.5 * 0.9 * (1 - first) + 0.7) * (1 - second) + 0.8)
    spikes = simulate_smooth(torch.tensor([[0.9], [0.7], [0.8]]), 0.5)
    assert spikes.squeeze(1).tolist() == pytest.approx([first, second, third], rel=1e-5)


def test_smooth_gradient_is_the_slope() -> None:
    currents = currents_of(3, 0.5, coarse=False)[:6, :4].double().requires_grad_()
    assert torch.autograd.gradcheck(lambda values: simulate_smooth(values, 0.95), (currents,))
