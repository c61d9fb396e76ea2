"""From an nn.Sequential with convolutions to a ConvolutionalNetwork: what is recognised, and what is refused and why."""

import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from polystep.candidates import ParticleCandidates
from polystep.evaluation.activations import ReLU
from polystep.evaluation.convolution.incremental import ConvolutionalEvaluator
from polystep.evaluation.convolution.maps import Pointwise, Pool
from polystep.evaluation.convolution.sequential import convolutional_network
from polystep.evaluation.fastest import OutputsOfOtherShape, fastest_evaluator
from polystep.evaluation.functional import FunctionalEvaluator
from polystep.evaluation.layered import Activation
from polystep.evaluation.parts import NotLayered
from tests.exactness import row_subspace
from tests.polystep.evaluation.convolution.networks import CLASSES, Drawn, Paths, RoundedConvolution


class Rounded(nn.Module):
    """Elementwise, without a scalar form."""

    def forward(self, z: Tensor) -> Tensor:
        return (4 * z).round() / 4


class Doubled(nn.Module):
    """Its form for incremental evaluation claims two channels."""

    def forward(self, z: Tensor) -> Tensor:
        return torch.relu(z)

    def activation(self) -> Activation:
        activation = ReLU()
        activation.channels = 2
        return activation


class OwnForward(nn.Conv2d):
    """A convolution and something else."""

    def forward(self, signal: Tensor) -> Tensor:
        return super().forward(signal).square()


class SquaredConvolution(RoundedConvolution):
    """A transform that couples its parameters."""

    def transform(self, parameter: Tensor) -> Tensor:
        return parameter / parameter.abs().max()


def network(*between: nn.Module, first: nn.Module | None = None, features: int = 18) -> nn.Sequential:
    """For inputs of 1 x 5 x 5."""
    return nn.Sequential(first or nn.Conv2d(1, 2, 3), *between, nn.Flatten(), nn.Linear(features, CLASSES))


def test_layers_and_operations_are_recognised() -> None:
    module = nn.Sequential(
        nn.Unflatten(1, (1, 9, 9)),
        nn.Sequential(nn.Conv2d(1, 2, (3, 2), stride=2, padding="valid"), nn.Identity(), nn.Dropout2d(), nn.ReLU()),
        nn.MaxPool2d((2, 1)),
        nn.Conv2d(2, 3, 3, padding="same", bias=False),
        nn.AvgPool2d(2, stride=1, padding=1, count_include_pad=False),
        nn.Dropout(),
        nn.Flatten(),
        nn.ReLU(),
        nn.Linear(45, 5),
        nn.Tanh(),
        nn.Linear(5, CLASSES),
    )
    found = convolutional_network(module)
    assert found.shape == (1, 9, 9)
    one, two = found.convolutions
    assert (one.weight, one.bias, one.kernel, one.stride, one.padding) == (
        "1.0.weight",
        "1.0.bias",
        (3, 2),
        (2, 2),
        (0, 0),
    )
    assert [type(operation) for operation in one.operations] == [Pointwise, Pool]
    assert one.operations[1] == Pool("maximum", (2, 1), (2, 1), (0, 0))
    assert (two.weight, two.bias, two.padding) == ("3.weight", None, (1, 1))
    assert two.operations[0] == Pool("average", (2, 2), (1, 1), (1, 1), counts_padding=False)
    assert isinstance(two.operations[1], Pointwise)
    assert [layer.weight for layer in found.head.layers] == ["8.weight", "10.weight"]


def tied() -> nn.Module:
    module = network(nn.ReLU(), nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 2, 3, padding=1))
    module[2].weight = module[3].weight
    return module


def frozen() -> nn.Module:
    module = network(nn.ReLU())
    module[0].bias.requires_grad_(False)
    return module


def hooked() -> nn.Module:
    module = network(nn.ReLU())
    module[0].register_forward_pre_hook(lambda part, arguments: None)
    return module


ONLY = "is evaluated incrementally"
REFUSED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "groups": (
        lambda: network(nn.Conv2d(2, 2, 1, groups=2)),
        f"part '1' is an nn.Conv2d with groups=2, but only groups=1 {ONLY}",
    ),
    "dilation": (
        lambda: network(first=nn.Conv2d(1, 2, 2, dilation=2)),
        rf"part '0' is an nn.Conv2d with dilation=\(2, 2\), but only dilation=\(1, 1\) {ONLY}",
    ),
    "padding mode": (
        lambda: network(first=nn.Conv2d(1, 2, 3, padding=1, padding_mode="circular"), features=50),
        f"padding_mode='circular', but only padding_mode='zeros' {ONLY}",
    ),
    "even kernel": (
        lambda: network(first=nn.Conv2d(1, 2, 2, padding="same"), features=50),
        "padding='same' and a kernel of even size",
    ),
    "ceiling": (
        lambda: network(nn.MaxPool2d(2, ceil_mode=True), features=8),
        f"part '1' is a MaxPool2d with ceil_mode=True, but only ceil_mode=False {ONLY}",
    ),
    "divisor": (
        lambda: network(nn.AvgPool2d(2, divisor_override=3), features=2),
        f"part '1' is a AvgPool2d with divisor_override=3, but only divisor_override=None {ONLY}",
    ),
    "batch norm": (lambda: network(nn.BatchNorm2d(2)), "BatchNorm2d does not act on each number by itself"),
    "other pool": (
        lambda: network(nn.AdaptiveAvgPool2d(1), features=2),
        "AdaptiveAvgPool2d does not act on each number by itself",
    ),
    "coupled": (lambda: network(nn.Softmax2d()), "Softmax2d does not act on each number by itself"),
    "own forward": (lambda: network(first=OwnForward(1, 2, 3)), "the first part must be an nn.Linear or an nn.Conv2d"),
    "coupled transform": (
        lambda: network(first=SquaredConvolution(1, 2, 3)),
        "SquaredConvolution.transform does not act on each number by itself",
    ),
    "pool first": (
        lambda: nn.Sequential(nn.MaxPool2d(1), network()),
        "part '0' is a MaxPool2d, but the first part must be an nn.Linear or an nn.Conv2d",
    ),
    "parameters of an activation": (
        lambda: network(nn.PReLU()),
        "parameter '1.weight' belongs to no nn.Linear or nn.Conv2d",
    ),
    "channels": (lambda: network(Doubled()), "an activation gives several channels, which maps do not have"),
    "tied": (tied, "parameter '3.weight' is shared with another part"),
    "frozen": (frozen, "parameter '0.bias' does not exist or is frozen"),
    "hooked": (hooked, "part '0' has hooks, which only a call of the whole module runs"),
    "float64": (lambda: network().double(), "parameter '0.weight' is float64, but layers are evaluated in float32"),
    "bfloat16": (lambda: network().bfloat16(), "parameter '0.weight' is bfloat16, but layers are evaluated in float32"),
}


def losses_of(module: nn.Module) -> tuple[Tensor, Tensor, type]:
    """Losses by the fastest evaluator and by the functional one, and the type of the former."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        evaluator = fastest_evaluator(module)
        drawn = Drawn(1)
        kind = next(module.parameters()).dtype
        inputs, (_, targets) = drawn.numbers(7, 1, 5, 5).to(kind), drawn.batch(7)
        subspace = row_subspace(evaluator.layout, 2, 4)
        particle, offset = torch.arange(12) % subspace.particles, drawn.numbers(12, 2)
        candidates = ParticleCandidates(evaluator.layout.point_of(module), subspace, particle, offset)
        expected = Paths(module).functional.losses(candidates, inputs, targets)
        return evaluator.losses(candidates, inputs, targets), expected, type(evaluator)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_evaluated_as_a_whole_and_the_reason_said(name: str) -> None:
    build, reason = REFUSED[name]
    with pytest.raises(NotLayered, match=reason):
        convolutional_network(build())
    with pytest.warns(UserWarning, match="by the whole module, which is slow"):
        fastest_evaluator(build())
    losses, expected, kind = losses_of(build())
    assert kind is FunctionalEvaluator
    assert expected.std() > 0
    # means of bfloat16 losses round by where they are converted
    tolerance = 0.02 if name == "bfloat16" else 1e-5
    torch.testing.assert_close(losses, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (lambda: nn.Conv2d(1, 1, 1), "Conv2d is no nn.Sequential"),
        (lambda: nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten()), "Sequential has no nn.Linear"),
        (
            lambda: nn.Sequential(nn.Conv2d(1, 2, 3), nn.Linear(3, 3)),
            r"part '1' is an nn.Linear, but there must be an nn.Flatten\(\) before it",
        ),
        (
            lambda: nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.MaxPool2d(1), nn.Linear(18, 3)),
            "part '2' is a MaxPool2d, but comes after an nn.Flatten",
        ),
        (
            lambda: nn.Sequential(nn.Unflatten(2, (1, 5, 5)), nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(18, 3)),
            r"part '0' is an nn.Unflatten\(2, \(1, 5, 5\)\), but it must give \(B, C, H, W\)",
        ),
    ],
)
def test_other_modules_are_refused(build: Callable[[], nn.Module], reason: str) -> None:
    with pytest.raises(NotLayered, match=reason):
        convolutional_network(build())


def test_activations_without_a_scalar_form_are_evaluated_in_torch() -> None:
    with pytest.warns(UserWarning, match="incrementally in torch: for compiled kernels give Rounded a static method"):
        evaluator = fastest_evaluator(network(Rounded()))
    assert type(evaluator) is ConvolutionalEvaluator
    losses, expected, _ = losses_of(network(Rounded()))
    torch.testing.assert_close(losses, expected)


def test_without_numba_candidates_are_evaluated_in_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.warns(UserWarning, match="with numba they are faster"):
        evaluator = fastest_evaluator(network(nn.ReLU()))
    assert type(evaluator) is ConvolutionalEvaluator


def test_outputs_of_another_shape_are_refused() -> None:
    with pytest.warns(UserWarning, match="by the whole module"):
        evaluator = fastest_evaluator(nn.Sequential(nn.Conv2d(1, 1, 5), nn.Flatten(0)))
    subspace, drawn = row_subspace(evaluator.layout, 2, 4), Drawn(0)
    still = ParticleCandidates(torch.zeros(26), subspace, torch.zeros(2).long(), torch.zeros(2, 2))
    with pytest.raises(OutputsOfOtherShape, match=r"outputs of shape \(B, O\), got \(7,\)"):
        evaluator.losses(still, drawn.numbers(7, 1, 5, 5), torch.zeros(7).long())


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((7, 25), r"inputs must be float32 of shape \(B, 1, H, W\), got torch.float32 of shape \(7, 25\)"),
        ((7, 2, 5, 5), r"of shape \(B, 1, H, W\), got torch.float32 of shape \(7, 2, 5, 5\); convert them"),
        ((7, 1, 2, 5), r"inputs of shape \(7, 1, 2, 5\) are too small: after '0.weight' nothing is left of them"),
        ((7, 1, 6, 5), r"become 2 maps of 4 x 3, but the first linear layer takes 18 numbers; .* the layer 24 inputs"),
    ],
)
def test_inputs_that_do_not_suit_are_refused(shape: tuple[int, ...], message: str) -> None:
    evaluator, drawn = Paths(network(nn.ReLU())).incremental, Drawn(0)
    subspace = row_subspace(evaluator.layout, 2, 4)
    still = ParticleCandidates(torch.zeros(evaluator.layout.size), subspace, torch.zeros(2).long(), torch.zeros(2, 2))
    with pytest.raises(ValueError, match=message):
        evaluator.losses(still, drawn.numbers(*shape), torch.zeros(7).long())
    with pytest.raises(ValueError, match=r"got torch.float64 of shape \(7, 1, 5, 5\); convert them"):
        evaluator.losses(still, drawn.numbers(7, 1, 5, 5).double(), torch.zeros(7).long())
    with pytest.raises(ValueError, match=r"targets must lie in 0..3"):
        evaluator.losses(still, drawn.numbers(7, 1, 5, 5), torch.full((7,), CLASSES))
