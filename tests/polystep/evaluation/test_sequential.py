"""From an nn.Sequential to the fastest evaluator: what is recognised, what is refused, and that all of them agree."""

import copy
import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from polystep.candidates import Candidates
from polystep.evaluation.activations import CrossEntropy, Identity, ReLU, mean_cross_entropy
from polystep.evaluation.elementwise import Elementwise
from polystep.evaluation.fastest import OutputsOfOtherShape, fastest_evaluator
from polystep.evaluation.functional import FunctionalEvaluator, RandomForward
from polystep.evaluation.fused import FusedEvaluator
from polystep.evaluation.incremental import IncrementalEvaluator
from polystep.evaluation.layered import Activation
from polystep.evaluation.parts import NotLayered, TransformedLinear
from polystep.evaluation.sequential import layered_network
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


class InPlace(nn.Module):
    """Own code that works in place, and counts its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, z: Tensor) -> Tensor:
        self.calls += 1
        return z.abs_().mul_(0.5)


class OwnActivationInPlace(OwnActivation):
    """Its form for incremental evaluation changes its argument."""

    def activation(self) -> Activation:
        activation = ReLU()
        activation.apply = lambda pre: pre.relu_()  # type: ignore[method-assign]
        return activation


class OtherActivation(OwnActivation):
    """Its form for incremental evaluation is another function."""

    def activation(self) -> Activation:
        return Identity()


class SkipsSequential(nn.Sequential):
    """A forward of its own."""

    def forward(self, signal: Tensor) -> Tensor:
        return super().forward(signal) + super().forward(0.5 * signal).square()


class SkipsHalved(Halved):
    """A transformed layer with a forward of its own."""

    def forward(self, signal: Tensor) -> Tensor:
        return super().forward(signal).square()


class Normed(TransformedLinear):
    """A transform that couples its parameters."""

    def transform(self, parameter: Tensor) -> Tensor:
        return parameter / parameter.abs().max()


class ClippedInPlace(TransformedLinear):
    """A transform that works in place."""

    def transform(self, parameter: Tensor) -> Tensor:
        return parameter.clamp_(-0.5, 0.5)


class ForgetsItsMode(nn.Module):
    """Drops numbers in eval mode, too."""

    def forward(self, z: Tensor) -> Tensor:
        return nn.functional.dropout(z, 0.5)


HIDDEN = 4
"""As in `tests.exactness.NETWORKS`: three layers with ReLU have the kernels of the int8 network there."""


def perceptron(*between: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(INPUTS, HIDDEN), *between, nn.Linear(HIDDEN, CLASSES))


def assert_equals_functional(module: nn.Module, kind: type, tolerance: float = 1e-5) -> None:
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    parameters = [id(parameter) for parameter in module.parameters()]
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
        torch.testing.assert_close(expected, loop_losses(module, candidates, *batch), rtol=tolerance, atol=tolerance)
    assert [id(parameter) for parameter in module.parameters()] == parameters
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, before[name])


def loop_losses(module: nn.Module, candidates: Candidates, inputs: Tensor, targets: Tensor) -> Tensor:
    """Losses of plain calls of copies of the module."""
    losses = []
    for point in candidates.dense(slice(None)):
        twin = copy.deepcopy(module).eval()
        ParameterLayout.of_module(twin).write(point, twin)
        with torch.no_grad():
            losses.append(mean_cross_entropy(twin(inputs.clone()), targets))
    return torch.stack(losses)


@pytest.mark.parametrize(
    "build",
    [
        lambda: perceptron(Ternary()),
        lambda: perceptron(nn.Hardtanh(-0.5, 0.7)),
        lambda: nn.Sequential(
            nn.Sequential(nn.Linear(INPUTS, HIDDEN), nn.Tanh()), nn.Dropout(), Halved(HIDDEN, CLASSES)
        ),
    ],
    ids=["own", "bounds", "nested"],
)
def test_compiled_networks_equal_the_module(build: Callable[[], nn.Module]) -> None:
    assert_equals_functional(build(), FusedEvaluator)


@pytest.mark.parametrize(
    "between", [(Rounded(),), (nn.Tanh(), Rounded()), (nn.GELU(),)], ids=["own", "two", "built in"]
)
def test_networks_without_a_scalar_form_equal_the_module(between: tuple[nn.Module, ...]) -> None:
    assert_equals_functional(perceptron(*between), IncrementalEvaluator)


IN_PLACE = {
    "leaky": nn.LeakyReLU(0.3, inplace=True),
    "elu": nn.ELU(inplace=True),
    "silu": nn.SiLU(inplace=True),
    "swish": nn.Hardswish(inplace=True),
    "threshold": nn.Threshold(0.1, 0.3, inplace=True),
    "mish": nn.Mish(inplace=True),
    "rrelu": nn.RReLU(inplace=True),
    "own": InPlace(),
}


@pytest.mark.parametrize("name", IN_PLACE)
def test_modules_that_work_in_place(name: str) -> None:
    assert_equals_functional(perceptron(IN_PLACE[name]), IncrementalEvaluator)


@pytest.mark.parametrize(
    "between",
    [
        (nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU(inplace=True)),
        (nn.Hardtanh(-0.5, 0.7, True),),
    ],
    ids=["relu", "bounds"],
)
def test_compiled_modules_that_work_in_place(between: tuple[nn.Module, ...]) -> None:
    assert_equals_functional(perceptron(*between), FusedEvaluator)


def test_networks_that_flatten_their_inputs_first_equal_the_module() -> None:
    case = Case(seed=0, samples=7)
    inputs, targets = case.batch()
    compiled = perceptron(nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU())
    for layers, kind in ((compiled, FusedEvaluator), (perceptron(nn.GELU()), IncrementalEvaluator)):
        module = nn.Sequential(nn.Flatten(), nn.Dropout(), *layers)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            evaluator = fastest_evaluator(module)
        assert type(evaluator) is kind
        if kind is FusedEvaluator:
            build_without_threads(evaluator)
        candidates = case.candidates(row_subspace(evaluator.layout, 2, 4))
        images = inputs.reshape(-1, 2, 1, INPUTS // 2)
        expected = loop_losses(module, candidates, images, targets)
        assert expected.std() > 0.01
        torch.testing.assert_close(evaluator.losses(candidates, images, targets), expected, rtol=1e-5, atol=1e-5)
        for wrong in (images[..., 1:], images[:, 0, 0, 0], images.double()):
            with pytest.raises(ValueError, match=rf"must be float32 of shape \(B, ...\) with {INPUTS} numbers per row"):
                evaluator.losses(candidates, wrong, targets)


def test_a_bounded_relu_that_works_in_place_is_compiled() -> None:
    module = perceptron(nn.ReLU6(inplace=True))
    assert type(fastest_evaluator(module)) is FusedEvaluator
    numbers = torch.linspace(-9, 9, 41)
    found = torch.empty_like(numbers)
    activation = layered_network(module).layers[0].activation
    activation.compiled().activate(numbers.numpy(), found.numpy(), len(numbers))
    assert torch.equal(found, numbers.clamp(0, 6)) and torch.equal(activation.apply(numbers), found)


def hooked() -> nn.Module:
    module = perceptron(nn.ReLU())
    module[1].register_forward_hook(lambda part, arguments, output: 2 * output)
    return module


def used_twice() -> nn.Module:
    layer = nn.Linear(HIDDEN, HIDDEN)
    return nn.Sequential(nn.Linear(INPUTS, HIDDEN), layer, nn.Tanh(), layer, nn.Linear(HIDDEN, CLASSES))


def normed(norm: Callable[[nn.Module], nn.Module]) -> nn.Module:
    return nn.Sequential(nn.Linear(INPUTS, HIDDEN), norm(nn.Linear(HIDDEN, CLASSES)))


WHOLE = {
    "own forward": lambda: SkipsSequential(*perceptron(nn.ReLU())),
    "own forward inside": lambda: nn.Sequential(
        SkipsSequential(nn.Linear(INPUTS, HIDDEN), nn.ReLU()), nn.Linear(HIDDEN, CLASSES)
    ),
    "own forward of a layer": lambda: nn.Sequential(nn.Linear(INPUTS, HIDDEN), SkipsHalved(HIDDEN, CLASSES)),
    "coupled transform": lambda: nn.Sequential(nn.Linear(INPUTS, HIDDEN), nn.ReLU(), Normed(HIDDEN, CLASSES)),
    "transform in place": lambda: nn.Sequential(nn.Linear(INPUTS, HIDDEN), nn.ReLU(), ClippedInPlace(HIDDEN, CLASSES)),
    "hook": hooked,
    "twice": used_twice,
    "tied": lambda: nn.Sequential(nn.Linear(INPUTS, HIDDEN), tied(), nn.Linear(HIDDEN, CLASSES)),
    "activation in place": lambda: perceptron(OwnActivationInPlace()),
    "other activation": lambda: perceptron(OtherActivation()),
    "weight norm": lambda: normed(nn.utils.parametrizations.weight_norm),
    "spectral norm": lambda: normed(nn.utils.parametrizations.spectral_norm),
    "batch norm": lambda: perceptron(nn.BatchNorm1d(HIDDEN, momentum=0.9)),
}


@pytest.mark.parametrize("name", WHOLE)
def test_what_only_the_whole_module_computes_is_left_to_it(name: str) -> None:
    assert_equals_functional(WHOLE[name](), FunctionalEvaluator)


@pytest.mark.parametrize(("kind", "tolerance"), [(torch.float64, 1e-6), (torch.bfloat16, 0.05), (torch.float16, 0.005)])
def test_modules_of_another_type_are_evaluated_as_a_whole(kind: torch.dtype, tolerance: float) -> None:
    module = perceptron(nn.ReLU()).to(kind)
    with pytest.warns(UserWarning, match=r"parameter '0.weight' is .*, but layers are evaluated in float32"):
        evaluator = fastest_evaluator(module)
    case = Case(seed=0, samples=7)
    inputs, targets = case.batch()
    candidates = case.candidates(row_subspace(evaluator.layout, 2, 4))
    losses = evaluator.losses(candidates, inputs.to(kind), targets)
    assert losses.dtype == torch.float32
    expected = loop_losses(module, candidates, inputs.to(kind), targets).float()
    torch.testing.assert_close(losses, expected, rtol=tolerance, atol=tolerance)
    assert all(parameter.dtype == kind for parameter in module.parameters())


def test_a_module_that_is_random_in_eval_mode_is_refused() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        evaluator = fastest_evaluator(perceptron(ForgetsItsMode()))
        case = Case(seed=0, samples=7)
        for count in (1, 5):
            candidates = case.candidates(row_subspace(evaluator.layout, 2, 4), count)
            with pytest.raises(RandomForward, match=r"draws random numbers in eval mode.*training=self\.training"):
                evaluator.losses(candidates, *case.batch())


def test_outputs_of_another_shape_are_refused() -> None:
    with pytest.warns(UserWarning, match="by the whole module"):
        evaluator = fastest_evaluator(nn.Sequential(nn.Linear(INPUTS, 1), nn.Flatten(0)))
    case = Case(seed=0, samples=7)
    with pytest.raises(OutputsOfOtherShape, match=r"outputs of shape \(B, O\), got \(7,\)"):
        evaluator.losses(case.candidates(row_subspace(evaluator.layout, 2, 4)), *case.batch())


@pytest.mark.parametrize("shape", [(7, INPUTS, 1), (7, INPUTS + 1)])
def test_inputs_that_do_not_suit_are_refused(shape: tuple[int, ...]) -> None:
    evaluator, case = fastest_evaluator(perceptron(nn.ReLU())), Case(seed=0, samples=7)
    candidates, targets = case.candidates(row_subspace(evaluator.layout, 2, 4)), case.batch()[1]
    with pytest.raises(ValueError, match=r"inputs must be float32 of shape \(B, 6\), got torch.float32 of shape"):
        evaluator.losses(candidates, case.numbers(*shape), targets)
    with pytest.raises(ValueError, match=r"got torch.float64 of shape \(7, 6\); convert them"):
        evaluator.losses(candidates, case.numbers(7, INPUTS).double(), targets)


@pytest.mark.parametrize("part", [nn.Softmax(-1), nn.LayerNorm(HIDDEN)], ids=["softmax", "norm"])
def test_other_networks_are_evaluated_as_a_whole(part: nn.Module) -> None:
    assert_equals_functional(perceptron(part), FunctionalEvaluator)


def test_layers_are_recognised() -> None:
    module = nn.Sequential(
        nn.Linear(INPUTS, HIDDEN),
        nn.ReLU(),
        Halved(HIDDEN, HIDDEN),
        OwnActivation(),
        nn.Linear(HIDDEN, HIDDEN),
        nn.Linear(HIDDEN, 2),
    )
    layers = layered_network(module).layers
    assert [layer.weight for layer in layers] == ["0.weight", "2.weight", "4.weight", "5.weight"]
    assert [type(layer.activation) for layer in layers] == [ReLU, ReLU, Identity, Identity]
    assert [layer.transform is not None for layer in layers] == [False, True, False, False]
    assert isinstance(layered_network(perceptron(nn.Sigmoid())).layers[0].activation, Elementwise)
    assert isinstance(layered_network(perceptron(nn.ReLU())).loss, CrossEntropy)


def tied() -> nn.Module:
    module = nn.Sequential(nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN))
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
        (WHOLE["own forward"], "SkipsSequential is an nn.Sequential, but has a forward of its own"),
        (hooked, "part '1' has hooks, which only a call of the whole module runs"),
        (WHOLE["coupled transform"], "Normed.transform does not act on each number by itself"),
        (WHOLE["transform in place"], "ClippedInPlace.transform changes its argument; let it compute on a copy"),
        (WHOLE["activation in place"], r"OwnActivationInPlace.activation\(\) changes its argument"),
        (WHOLE["other activation"], r"OtherActivation.activation\(\) is another function than its forward"),
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
        (perceptron(Rounded()), "incrementally in torch: for compiled kernels give Rounded a static method scalar"),
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


def test_layers_that_a_flatten_joins_are_no_chain() -> None:
    module = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Flatten(), nn.Linear(12, 2))
    with pytest.raises(NotLayered, match="part '3' takes 12 numbers, but part '0' gives 4 to each row"):
        layered_network(module)


def test_modes_of_the_module_are_left_alone() -> None:
    module = perceptron(nn.Dropout(), Rounded())
    layout = ParameterLayout.of_module(module)
    network = layered_network(module)
    network.logits(torch.ones(2, INPUTS), layout.unflatten(layout.point_of(module)))
    assert all(part.training for part in module.modules())
