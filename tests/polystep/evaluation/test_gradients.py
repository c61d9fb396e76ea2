"""GradientEvaluator, and what an objective charges for a gradient."""

from contextlib import AbstractContextManager

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from polystep.candidates import DenseCandidates
from polystep.capabilities import Gradients
from polystep.contracts import Spent
from polystep.evaluation import objective as objective_module
from polystep.evaluation.functional import FunctionalEvaluator
from polystep.evaluation.gradients import GradientEvaluator
from polystep.evaluation.node_perturbation import NodePerturber
from polystep.evaluation.objective import BatchObjective, without_tf32
from polystep.layout import ParameterLayout


class Tied(nn.Module):
    """One weight used twice, one parameter not at all."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.second = nn.Linear(4, 4, bias=False)
        self.second.weight = self.first.weight
        self.idle = nn.Parameter(torch.ones(3))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.second(torch.tanh(self.first(inputs)))


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    return torch.randn(7, 4), torch.arange(7) % 4


def evaluator(module: nn.Module) -> GradientEvaluator:
    return GradientEvaluator({"exact": module}, F.cross_entropy, ParameterLayout.of_module(module))


def test_gradient_is_that_of_backpropagation_at_the_given_point(batch: tuple[Tensor, Tensor]) -> None:
    module = Tied()
    differentiator = evaluator(module)
    point = torch.randn(differentiator.layout.size)
    loss, gradient = differentiator.gradient(point, "exact", *batch)
    differentiator.layout.write(point, module)
    expected = F.cross_entropy(module(batch[0]), batch[1])
    expected.backward()
    assert torch.equal(loss, expected.detach())
    assert gradient.shape == point.shape
    parts = differentiator.layout.unflatten(gradient)
    torch.testing.assert_close(parts["first.weight"], module.first.weight.grad)
    torch.testing.assert_close(parts["first.bias"], module.first.bias.grad)
    assert not parts["idle"].any()


def test_gradient_is_the_slope(batch: tuple[Tensor, Tensor]) -> None:
    differentiator = evaluator(Tied().double())
    point = torch.randn(differentiator.layout.size).double()
    direction = torch.randn(len(point)).double()
    _, gradient = differentiator.gradient(point, "exact", batch[0].double(), batch[1])
    ends = [
        differentiator.gradient(point + sign * 1e-5 * direction, "exact", batch[0].double(), batch[1])[0]
        for sign in (1, -1)
    ]
    assert float(gradient @ direction) == pytest.approx(float(ends[0] - ends[1]) / 2e-5, rel=1e-6)


def test_module_and_point_are_left_as_they_were(batch: tuple[Tensor, Tensor]) -> None:
    module = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Dropout(0.5), nn.Linear(5, 4))
    module[2].eval()
    differentiator = evaluator(module)
    kept = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    point = torch.randn(differentiator.layout.size)
    before = point.clone()
    with torch.no_grad():
        first = differentiator.gradient(point, "exact", *batch)
    second = differentiator.gradient(point, "exact", *batch)
    assert torch.equal(first[1], second[1]) and not first[0].requires_grad
    assert torch.equal(point, before) and not point.requires_grad and point.grad is None
    assert all(torch.equal(tensor, kept[name]) for name, tensor in module.state_dict().items())
    assert [part.training for part in module] == [True, True, False, True]
    assert all(parameter.grad is None for parameter in module.parameters())


def test_objective_offers_and_charges_gradients(batch: tuple[Tensor, Tensor]) -> None:
    module = nn.Linear(4, 4)
    differentiator = evaluator(module)
    objective = BatchObjective(FunctionalEvaluator(module, F.cross_entropy), *batch, differentiator)
    assert isinstance(objective, Gradients) and objective.gradients == ("exact",)
    point = differentiator.layout.point_of(module)
    loss, _ = objective.gradient(point, "exact")
    assert objective.spent == Spent(sample_forwards=7, backward_passes=7)
    torch.testing.assert_close(objective.losses(DenseCandidates(point.unsqueeze(0)))[0], loss)
    assert objective.spent == Spent(candidate_evaluations=1, sample_forwards=14, backward_passes=7)


@pytest.mark.parametrize("offered", [True, False])
def test_gradients_that_are_not_offered_are_refused(batch: tuple[Tensor, Tensor], offered: bool) -> None:
    module = nn.Linear(4, 4)
    differentiator = evaluator(module)
    objective = BatchObjective(
        FunctionalEvaluator(module, F.cross_entropy), *batch, differentiator if offered else None
    )
    assert objective.gradients == (("exact",) if offered else ())
    with pytest.raises(ValueError, match=f"no smooth gradient is offered; .*: {'exact' if offered else 'none'}"):
        objective.gradient(differentiator.layout.point_of(module), "smooth")
    assert objective.spent == Spent()


def test_on_gpus_an_objective_computes_without_tf32_whatever_torch_is_set_to(batch: tuple[Tensor, Tensor]) -> None:
    def precisions() -> list[str]:
        return [torch.backends.cuda.matmul.fp32_precision, torch.backends.cudnn.conv.fp32_precision]

    before = precisions()
    torch.backends.cuda.matmul.fp32_precision = torch.backends.cudnn.conv.fp32_precision = "tf32"
    try:
        with without_tf32(torch.device("cuda")):
            assert precisions() == ["ieee", "ieee"]
        with without_tf32(torch.device("cpu")):
            assert precisions() == ["tf32", "tf32"]
    finally:
        torch.backends.cuda.matmul.fp32_precision, torch.backends.cudnn.conv.fp32_precision = before
    asked = []

    def watched(device: torch.device) -> AbstractContextManager[None]:
        asked.append(device)
        return without_tf32(device)

    module = Tied()
    layout = ParameterLayout.of_module(module)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(objective_module, "without_tf32", watched)
        objective = BatchObjective(
            FunctionalEvaluator(module, F.cross_entropy, layout),
            *batch,
            evaluator(module),
            NodePerturber(module, F.cross_entropy, layout),
        )
        objective.losses(DenseCandidates(torch.randn(2, layout.size)))
        objective.gradient(torch.randn(layout.size), "exact")
        objective.perturb_nodes(torch.randn(layout.size), 0.1, 1, torch.Generator())
    assert asked == [torch.device("cpu")] * 3
