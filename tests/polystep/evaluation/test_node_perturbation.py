"""Node perturbation: its estimates have the gradient of the averaged loss for their mean; what cannot be perturbed is told."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from polystep.contracts import Spent
from polystep.evaluation.functional import FunctionalEvaluator
from polystep.evaluation.gradients import GradientEvaluator
from polystep.evaluation.node_perturbation import NodePerturber, NodesNotFound
from polystep.evaluation.objective import BatchObjective
from polystep.evaluation.parts import TransformedLinear
from polystep.layout import ParameterLayout
from polystep.random import named_generator

ROWS = 6
COPIES = 4000
"""Of every row, each with noise of its own."""


class Tied(nn.Module):
    """One weight in two layers, and a parameter outside of them."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4, bias=False)
        self.second.weight = self.first.weight
        self.scale = nn.Parameter(torch.ones(4))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.second(torch.tanh(self.first(inputs))) * self.scale


class InTime(nn.Module):
    """Layers that are called on several time steps at once, and on one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.seen, self.recurrent = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, inputs: Tensor) -> Tensor:
        currents = self.seen(torch.stack([inputs, -0.5 * inputs, inputs.square()]))
        state = torch.zeros_like(inputs)
        for current in currents:
            state = torch.tanh(current + self.recurrent(state))
        return state


class Doubled(TransformedLinear):
    def transform(self, parameter: Tensor) -> Tensor:
        return 2 * parameter


class Threshold(nn.Module):
    def forward(self, z: Tensor) -> Tensor:
        return (z > 0).to(z.dtype)


def batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(ROWS, 4, generator=generator, dtype=torch.float64), torch.arange(ROWS) % 4


def built(kind: type[nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    return kind().double()


@pytest.mark.parametrize("kind", [Tied, InTime])
def test_small_noise_gives_the_gradient_on_average(kind: type[nn.Module]) -> None:
    module = built(kind)
    layout = ParameterLayout.of_module(module)
    point = layout.point_of(module).double()
    inputs, targets = batch()
    _, expected = GradientEvaluator({"exact": module}, F.cross_entropy, layout).gradient(
        point, "exact", inputs, targets
    )
    perturber = NodePerturber(module, F.cross_entropy, layout)
    many = inputs.repeat(COPIES, 1), targets.repeat(COPIES)
    found = torch.stack(
        [perturber.estimate(point, 1e-3, 2, named_generator(seed, "noise"), *many)[1] for seed in range(16)]
    )
    parts = layout.unflatten(expected)
    if "scale" in parts:
        assert not layout.unflatten(found)["scale"].any()
        parts["scale"].zero_()
    errors = (found.mean(0) - expected).abs()
    assert (errors <= 5 * found.std(0) / 4 + 1e-5).all()
    # and the estimates tell more than nothing
    assert errors.norm() < 0.1 * expected.norm()


def test_hard_units_have_the_gradient_of_the_averaged_loss() -> None:
    """Of a threshold at a = w x with noise sigma, P(a + sigma xi > 0) = Phi(a/sigma): its slope is x phi(a/sigma)/sigma."""
    module = nn.Sequential(nn.Linear(1, 1, bias=False), Threshold()).double()
    layout = ParameterLayout.of_module(module)
    point, x, sigma = torch.tensor([0.4], dtype=torch.float64), 0.5, 0.3
    inputs = torch.full((200_000, 1), x, dtype=torch.float64)
    perturber = NodePerturber(module, lambda outputs, targets: (outputs - targets).mean(), layout)
    loss, estimate = perturber.estimate(point, sigma, 1, named_generator(0, "noise"), inputs, torch.zeros_like(inputs))
    a = float(point) * x / sigma
    assert float(loss) == 1.0
    assert float(estimate) == pytest.approx(x * math.exp(-a * a / 2) / math.sqrt(2 * math.pi) / sigma, rel=0.03)


def test_a_transformed_layer_is_moved_as_if_it_were_plain() -> None:
    plain = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 4)).double()
    transformed = nn.Sequential(Doubled(4, 3), nn.Tanh(), nn.Linear(3, 4)).double()
    layout = ParameterLayout.of_module(plain)
    point = torch.randn(layout.size, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    doubled = point.clone()
    for name, tensor in layout.unflatten(doubled).items():
        if name.startswith("0."):
            tensor *= 2
    found = [
        NodePerturber(module, F.cross_entropy, layout).estimate(at, 0.1, 3, named_generator(0, "noise"), *batch())
        for module, at in ((transformed, point), (plain, doubled))
    ]
    torch.testing.assert_close(found[0], found[1])


def test_the_module_is_left_as_it_was_and_passes_are_charged() -> None:
    module = built(Tied).train()
    kept = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    layout = ParameterLayout.of_module(module)
    point, state = layout.point_of(module).double(), torch.get_rng_state()
    objective = BatchObjective(
        FunctionalEvaluator(module, F.cross_entropy, layout),
        *batch(),
        perturber=NodePerturber(module, F.cross_entropy, layout),
    )
    first, again = (objective.perturb_nodes(point, 0.1, 3, named_generator(5, "noise")) for _ in range(2))
    assert torch.equal(first[1], again[1])
    assert objective.spent == Spent(candidate_evaluations=8, sample_forwards=8 * ROWS)
    assert module.training and all(torch.equal(tensor, kept[name]) for name, tensor in module.state_dict().items())
    assert not any(part._forward_hooks for part in module.modules())
    assert torch.equal(torch.get_rng_state(), state)


class Tokens(nn.Module):
    """A layer that sees several tokens of each sample."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(2, 4)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.embed(inputs.reshape(len(inputs), 2, 2)).mean(1)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (
            Tokens().double(),
            "the linear layer embed gives shape (6, 2, 4) for 6 samples, but node perturbation needs (..., 6",
        ),
        (nn.Sequential(nn.PReLU(4)).double(), "Sequential calls no nn.Linear"),
    ],
)
def test_what_cannot_be_perturbed_is_told(module: nn.Module, message: str) -> None:
    layout = ParameterLayout.of_module(module)
    perturber = NodePerturber(module, F.cross_entropy, layout)
    with pytest.raises(NodesNotFound) as error:
        perturber.estimate(layout.point_of(module).double(), 0.1, 1, named_generator(0, "noise"), *batch())
    assert message in str(error.value)
    assert not any(part._forward_hooks for part in module.modules())


def test_as_many_tokens_as_samples_are_no_rows() -> None:
    module = Tokens().double()
    layout = ParameterLayout.of_module(module)
    perturber, (inputs, targets) = NodePerturber(module, F.cross_entropy, layout), batch()
    with pytest.raises(NodesNotFound, match="no other axis of that length"):
        perturber.estimate(
            layout.point_of(module).double(), 0.1, 1, named_generator(0, "noise"), inputs[:2], targets[:2]
        )


def test_later_batches_may_have_as_many_samples_as_time_steps() -> None:
    module = built(InTime)
    layout = ParameterLayout.of_module(module)
    perturber, (inputs, targets) = NodePerturber(module, F.cross_entropy, layout), batch()
    for rows in (ROWS, 3):
        point, generator = layout.point_of(module).double(), named_generator(0, "noise")
        assert perturber.estimate(point, 0.1, 1, generator, inputs[:rows], targets[:rows])[1].any()
