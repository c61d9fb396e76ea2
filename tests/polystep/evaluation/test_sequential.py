"""From an nn.Sequential to the fastest evaluator: what is recognised, what is refused, and that all of them agree."""

import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from polystep.evaluation.activations import CrossEntropy, Identity, ReLU, mean_cross_entropy
from polystep.evaluation.functional import FunctionalEvaluator
from polystep.evaluation.fused import FusedEvaluator
from polystep.evaluation.incremental import IncrementalEvaluator
from polystep.evaluation.layered import Activation
from polystep.evaluation.sequential import (
    Elementwise,
    NotLayered,
    TransformedLinear,
    fastest_evaluator,
    layered_network,
)
from polystep.layout import ParameterLayout
from tests.exactness import CLASSES, INPUTS, Case, build_without_threads, dyadic_hybrid_subspace, row_subspace


class Ternary(nn.Module):
    """-1, 0 or 1, with a scalar form."""

    def forward(self, z: Tensor) -> Tensor:
        return (z > 0.5).float() - (z < -0.5).float()

    @staticmethod
    def scalar(z: float) -> float:
        return 1.0 if z > 0.5 else -1.0 if z < -0.5 else 0.0


class Rounded(nn.Module):
    """Elementwise, without a scalar form."""

    def forward(self, z: Tensor) -> Tensor:
        return (4 * z).round() / 4


class WrongScalar(Rounded):
    """A scalar form of another function."""

    @staticmethod
    def scalar(z: float) -> float:
        return z


class OwnActivation(nn.Module):
    """Brings its own form for incremental evaluation."""

    def forward(self, z: Tensor) -> Tensor:
        return torch.relu(z)

    def activation(self) -> Activation:
        return ReLU()


class Halved(TransformedLinear):
    """Uses half of its parameters."""

    def transform(self, parameter: Tensor) -> Tensor:
        return parameter / 2


class Shifted(nn.Module):
    """Adds a number that depends on the company."""

    def forward(self, z: Tensor) -> Tensor:
        return z - z.mean()


def perceptron(*between: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(INPUTS, 5), *between, nn.Linear(5, CLASSES))


def assert_equals_functional(module: nn.Module, kind: type, tolerance: float = 1e-5) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        evaluator = fastest_evaluator(module)
    assert type(evaluator) is kind
    if kind is FusedEvaluator:
        build_without_threads(evaluator)
    functional = FunctionalEvaluator(module, mean_cross_entropy, evaluator.layout)
    case = Case(seed=0, samples=7)
    batch = case.batch()
    for subspace in (row_subspace(evaluator.layout, 2, 4), dyadic_hybrid_subspace(evaluator.layout, 0)):
        candidates = case.candidates(subspace)
        expected = functional.losses(candidates, *batch)
        assert expected.std() > 0.01
        torch.testing.assert_close(evaluator.losses(candidates, *batch), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    "module",
    [
        perceptron(Ternary()),
        perceptron(nn.Hardtanh(-0.5, 0.7)),
        nn.Sequential(
            nn.Sequential(nn.Linear(INPUTS, 5), nn.Tanh()), Halved(5, 5), nn.Dropout(), nn.Linear(5, CLASSES)
        ),
    ],
    ids=["own", "bounds", "nested"],
)
def test_compiled_networks_equal_the_module(module: nn.Module) -> None:
    assert_equals_functional(module, FusedEvaluator)


@pytest.mark.parametrize(
    "between", [(Rounded(),), (nn.Tanh(), Rounded()), (nn.GELU(),)], ids=["own", "two", "built in"]
)
def test_networks_without_a_scalar_form_equal_the_module(between: tuple[nn.Module, ...]) -> None:
    assert_equals_functional(perceptron(*between), IncrementalEvaluator)


@pytest.mark.parametrize("module", [perceptron(nn.Softmax(-1)), perceptron(nn.LayerNorm(5))], ids=["softmax", "norm"])
def test_other_networks_are_evaluated_as_a_whole(module: nn.Module) -> None:
    assert_equals_functional(module, FunctionalEvaluator)


def test_layers_are_recognised() -> None:
    module = nn.Sequential(
        nn.Linear(INPUTS, 5), nn.ReLU(), Halved(5, 5), OwnActivation(), nn.Linear(5, 5), nn.Linear(5, 2)
    )
    layers = layered_network(module).layers
    assert [layer.weight for layer in layers] == ["0.weight", "2.weight", "4.weight", "5.weight"]
    assert [type(layer.activation) for layer in layers] == [ReLU, ReLU, Identity, Identity]
    assert [layer.transform is not None for layer in layers] == [False, True, False, False]
    assert isinstance(layered_network(perceptron(nn.Sigmoid())).layers[0].activation, Elementwise)
    assert isinstance(layered_network(perceptron(nn.ReLU())).loss, CrossEntropy)


def tied() -> nn.Module:
    module = nn.Sequential(nn.Linear(5, 5), nn.ReLU(), nn.Linear(5, 5))
    module[2].weight = module[0].weight
    return module


def frozen() -> nn.Module:
    module = perceptron(nn.ReLU())
    module[0].bias.requires_grad_(False)
    return module


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (lambda: nn.Linear(2, 2), "Linear is no nn.Sequential"),
        (
            lambda: nn.Sequential(nn.ReLU(), nn.Linear(2, 2)),
            "part '0' is a ReLU, but the first part must be an nn.Linear",
        ),
        (lambda: nn.Sequential(), "Sequential has no nn.Linear"),
        (lambda: nn.Sequential(nn.Conv1d(1, 1, 1)), "part '0' is a Conv1d, but the first part must be an nn.Linear"),
        (lambda: nn.Sequential(nn.Linear(2, 2, bias=False)), "parameter '0.bias' does not exist or is frozen"),
        (frozen, "parameter '0.bias' does not exist or is frozen"),
        (tied, "parameter '2.weight' is shared with another part"),
        (lambda: perceptron(nn.PReLU()), "parameter '1.weight' belongs to no nn.Linear"),
        (lambda: perceptron(nn.Softmax(-1)), "Softmax does not act on each number by itself"),
        (lambda: perceptron(Shifted()), "Shifted does not act on each number by itself"),
        (lambda: perceptron(nn.Flatten(0)), "Flatten does not act on each number by itself"),
    ],
)
def test_what_is_no_chain_of_layers_is_refused_with_the_reason(build: Callable[[], nn.Module], reason: str) -> None:
    with pytest.raises(NotLayered, match=reason):
        layered_network(build())


@pytest.mark.parametrize(
    ("module", "says"),
    [
        (
            perceptron(nn.Softmax(-1)),
            "by the whole module, which is slow: Softmax does not act on each number by itself",
        ),
        (perceptron(Rounded()), "incrementally in torch; for compiled kernels give Rounded a static method scalar"),
    ],
)
def test_a_slower_path_says_why_once(module: nn.Module, says: str) -> None:
    case = Case(seed=0, samples=3)
    with pytest.warns(UserWarning, match=says) as caught:
        evaluator = fastest_evaluator(module)
        candidates = case.candidates(row_subspace(evaluator.layout, 2, 4))
        for _ in range(2):
            evaluator.losses(candidates, *case.batch())
    assert len(caught) == 1


def test_without_numba_candidates_are_evaluated_in_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.warns(UserWarning, match="with numba they are faster"):
        evaluator = fastest_evaluator(perceptron(nn.ReLU()))
    assert type(evaluator) is IncrementalEvaluator


def test_a_scalar_form_of_another_function_is_refused() -> None:
    evaluator = fastest_evaluator(perceptron(WrongScalar()))
    case = Case(seed=0, samples=3)
    with pytest.raises(ValueError, match=r"WrongScalar\.scalar\(.*\) gives .*, but its forward gives"):
        evaluator.losses(case.candidates(row_subspace(evaluator.layout, 2, 4)), *case.batch())


def test_modes_of_the_module_are_left_alone() -> None:
    module = perceptron(nn.Dropout(), Rounded())
    layout = ParameterLayout.of_module(module)
    network = layered_network(module)
    network.logits(torch.ones(2, INPUTS), layout.unflatten(layout.point_of(module)))
    assert all(part.training for part in module.modules())
