"""The staircase network of the paper: activations floor(5 sigmoid(z))/5."""

import numpy as np
import pytest
import torch

from polystep.candidates import ParticleCandidates
from polystep.layout import ParameterLayout
from polystep.subspace import RowSubspace
from tasks.networks.staircase import STEPS, THRESHOLDS, SmoothStaircaseNetwork, Staircase, StaircaseNetwork, staircase
from tests.exactness import WIDE, WIDE_INPUTS


def around_thresholds() -> torch.Tensor:
    """(3, thresholds): the float32 below each threshold, the threshold, the one above."""
    exact = np.array(THRESHOLDS, np.float32)
    return torch.from_numpy(
        np.stack([np.nextafter(exact, np.float32(-99)), exact, np.nextafter(exact, np.float32(99))])
    )


def test_network_of_the_paper_has_118282_parameters() -> None:
    assert ParameterLayout.of_module(StaircaseNetwork()).size == 118282


def test_stairs_are_the_definition() -> None:
    z = torch.linspace(-20, 15, 100_001, dtype=torch.float64)
    away = torch.stack([(z - threshold).abs() > 1e-6 for threshold in THRESHOLDS]).all(0)
    expected = (STEPS * z.sigmoid()).floor() / STEPS
    assert torch.equal(staircase(z)[away], expected[away])


def test_stairs_rise_at_their_thresholds() -> None:
    below, at, above = staircase(around_thresholds())
    levels = torch.arange(STEPS + 1) / STEPS
    assert torch.equal(below, levels[:-1])
    assert torch.equal(at, levels[1:])
    assert torch.equal(above, levels[1:])
    # where the sigmoid of float32 is 1, so is the last stair
    assert torch.equal(around_thresholds()[1, -1:].sigmoid(), torch.ones(1))


def test_stairs_of_extremes() -> None:
    infinity = torch.tensor([-torch.inf, torch.inf, torch.nan])
    assert torch.equal(staircase(infinity)[:2], torch.tensor([0.0, 1.0]))
    assert staircase(infinity)[2].isnan()


def test_compiled_stairs_are_the_same() -> None:
    compiled = Staircase().activation().compiled()
    special = torch.tensor([-torch.inf, -3.0, 0.0, 9.0, torch.inf, torch.nan])
    z = torch.cat([around_thresholds().flatten(), special])
    post = np.empty(len(z), np.float32)
    compiled.activate(z.numpy(), post, len(z))
    assert torch.equal(torch.from_numpy(post).nan_to_num(nan=-1), staircase(z).nan_to_num(nan=-1))
    for number in z[:-1].tolist():
        low, high = compiled.plateau(np.float32(number))
        assert low <= np.float32(number) < high or (high == np.inf and number == np.inf)
        inside = torch.tensor([low, np.nextafter(np.float32(high), np.float32(-np.inf))])
        assert (staircase(inside) == staircase(torch.tensor(number))).all()


def test_variants_share_the_hard_network() -> None:
    network = StaircaseNetwork(inputs=20, classes=5, hidden=[8, 8])
    network.initialise(torch.Generator().manual_seed(0))
    inputs = 3 * torch.randn(16, 20, generator=torch.Generator().manual_seed(1))
    kinds = network.differentiable()
    assert torch.equal(kinds["straight_through"](inputs), network(inputs))
    substitute = SmoothStaircaseNetwork(20, 5, [8, 8])
    substitute.load_state_dict(network.state_dict())
    assert torch.equal(kinds["smooth"](inputs), substitute(inputs))
    for kind, reaches in (("exact", False), ("straight_through", True), ("smooth", True)):
        gradient = torch.autograd.grad(kinds[kind](inputs).square().sum(), network[0].weight, allow_unused=True)[0]
        assert (gradient is not None and bool(gradient.any())) == reaches, kind


def test_straight_through_gradient_has_the_slope_of_the_sigmoid() -> None:
    z = torch.linspace(-3, 3, 7, requires_grad=True)
    (stairs,) = (
        part
        for part in StaircaseNetwork(2, 2, [2]).differentiable()["straight_through"]
        if len(list(part.parameters())) == 0
    )
    (slope,) = torch.autograd.grad(stairs(z).sum(), z)
    torch.testing.assert_close(slope, (z.sigmoid() * (1 - z.sigmoid())).detach())


@pytest.mark.parametrize("layer", [0, 2])
def test_paths_agree_on_the_steps(layer: int) -> None:
    """Candidates put the pre-activation of one unit exactly on a threshold, or on the next float beside it."""
    paths = WIDE["staircase"]
    subspace = RowSubspace(paths.layout, particle_dimension=1, seed=0, rank=1)
    subspace.bases = [torch.eye(basis.shape[1])[-1:] for basis in subspace.bases]
    tensors = {entry.name: torch.zeros(entry.shape) for entry in paths.layout.entries}
    tensors["4.weight"].fill_diagonal_(1)
    if layer == 0:
        tensors["2.weight"].fill_diagonal_(3)
    moves = around_thresholds().flatten()
    number = next(i for i, group in enumerate(subspace.groups) if group.weight.name == f"{layer}.weight")
    particle = subspace.groups[number].first_particle + torch.arange(len(moves)) % 4
    candidates = ParticleCandidates(paths.layout.flatten(tensors), subspace, particle, moves.unsqueeze(1))
    inputs, targets = torch.ones(3, WIDE_INPUTS), torch.tensor([0, 1, 2])
    paths.assert_agree(candidates, inputs, targets, tolerance=1e-6)
    assert len(paths.functional.losses(candidates, inputs, targets).unique()) > 3
