"""Trainer: models of one's own learn by a few lines, are evaluated the fastest exact way, and bad input is named."""

import warnings
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.openai_es import OpenAIES
from polystep import FunctionalEvaluator, Trainer
from polystep.algorithm import PolyStep
from polystep.batches import TrainingError
from polystep.evaluation.activations import CrossEntropy
from polystep.evaluation.fused import FusedEvaluator
from polystep.evaluation.incremental import IncrementalEvaluator
from polystep.factories import OptimizerError
from polystep.weighting import PartlyDrawn


class Hard(nn.Module):
    """Signs between two layers, and no chain of modules."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(2, 12), nn.Linear(12, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.second(torch.sign(self.first(inputs)))


class InNumpy(Hard):
    """A forward pass that torch cannot look into."""

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = np.sign(self.first(inputs).detach().numpy())
        return self.second(torch.from_numpy(hidden))


def perceptron(*activations: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(2, 12), *activations, nn.Linear(12, 2))


@pytest.fixture
def data() -> tuple[Tensor, Tensor]:
    """Two classes that no straight line parts: inside and outside of a circle."""
    inputs = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    return inputs, (inputs.norm(dim=1) > 1.1).long()


def quiet(*arguments: Any, **settings: Any) -> Trainer:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Trainer(*arguments, **settings)


def accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs.argmax(1) == targets).float().mean()


@pytest.mark.filterwarnings("ignore:candidates are evaluated:UserWarning", "ignore:vmap cannot take:UserWarning")
@pytest.mark.parametrize("model", [Hard, InNumpy, partial(perceptron, nn.ReLU())])
def test_models_without_gradients_learn_in_a_few_lines(model: Any, data: tuple[Tensor, Tensor]) -> None:
    model = model()
    trainer = Trainer(model)
    trainer.fit([data], steps=40, progress=False)
    assert accuracy(model(data[0]), data[1]) > 0.8


class Doubled(nn.CrossEntropyLoss):
    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return 2 * super().forward(outputs, targets)


def test_the_fastest_exact_evaluator_is_chosen_and_named() -> None:
    for loss in (F.cross_entropy, nn.CrossEntropyLoss(), CrossEntropy()):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            trainer = Trainer(perceptron(nn.ReLU()), loss)
        assert type(trainer.evaluator) is FusedEvaluator
        assert trainer.evaluation == "candidates are evaluated by compiled kernels"
    with pytest.warns(
        UserWarning, match="incrementally in torch: for compiled kernels give GELU a static method"
    ) as caught:
        assert type(Trainer(perceptron(nn.GELU())).evaluator) is IncrementalEvaluator
    assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match="by the whole module, which is slow: Hard is no nn.Sequential"):
        assert type(Trainer(Hard()).evaluator) is FunctionalEvaluator
    weighted, smoothed = nn.CrossEntropyLoss(weight=torch.ones(2)), nn.CrossEntropyLoss(label_smoothing=0.1)
    for own in (smoothed, weighted, Doubled(), F.mse_loss):
        with pytest.warns(UserWarning, match="the loss is a function of a whole batch"):
            assert type(Trainer(perceptron(nn.ReLU()), own).evaluator) is FunctionalEvaluator


def test_every_evaluator_gives_the_same_step(data: tuple[Tensor, Tensor]) -> None:
    model = perceptron(nn.ReLU())
    reports = []
    for loss in (F.cross_entropy, lambda outputs, targets: F.cross_entropy(outputs, targets)):
        copy = perceptron(nn.ReLU())
        copy.load_state_dict(model.state_dict())
        reports.append(quiet(copy, loss).step(*data).loss)
    assert reports[0] == pytest.approx(reports[1], rel=1e-5)


def test_a_step_moves_the_model_and_takes_arrays(data: tuple[Tensor, Tensor]) -> None:
    model = perceptron(nn.ReLU())
    before = model[0].weight.clone()
    trainer = Trainer(model)
    report = trainer.step(data[0].double().numpy(), data[1].int().numpy(), used=0.5)
    assert report.loss is not None and trainer.steps == 1
    assert not torch.equal(model[0].weight, before)
    assert torch.equal(trainer.layout.point_of(model), trainer.optimizer.solution)


def test_later_shares_of_the_training_move_less(data: tuple[Tensor, Tensor]) -> None:
    early, late = (quiet(Hard(), seed=1).step(*data, used=used).diagnostics["movement"] for used in (0.0, 0.9))
    assert late < 0.1 * early


def test_equal_seeds_give_equal_results(data: tuple[Tensor, Tensor]) -> None:
    def points(seed: int) -> Tensor:
        torch.manual_seed(3)
        trainer = quiet(Hard(), seed=seed)
        before = torch.get_rng_state()
        trainer.fit([data], steps=3, progress=False)
        assert torch.equal(torch.get_rng_state(), before)
        return trainer.optimizer.solution

    assert torch.equal(points(5), points(5))
    assert not torch.equal(points(5), points(6))


def one_minus_f1(outputs: Tensor, targets: Tensor) -> Tensor:
    """Of class 1: no mean over rows."""
    found = outputs.argmax(1)
    hits = (found * targets).sum()
    return 1 - 2 * hits / (found.sum() + targets.sum())


def test_losses_that_are_no_mean_are_exact(data: tuple[Tensor, Tensor]) -> None:
    model = Hard()
    trainer = quiet(model, one_minus_f1)
    batches = [(data[0][part], data[1][part]) for part in (slice(0, 7), slice(7, 200))]
    whole = float(one_minus_f1(model(data[0]), data[1]))
    assert trainer.evaluate(batches) == pytest.approx(whole, abs=1e-6)
    assert trainer.evaluate(batches) != pytest.approx(sum(trainer.evaluate([batch]) for batch in batches) / 2, abs=1e-3)
    trainer.fit([data], steps=40, progress=False)
    assert trainer.evaluate([data]) < 0.7 * whole


def test_a_loss_may_return_a_plain_number(data: tuple[Tensor, Tensor]) -> None:
    def outside_of_torch(outputs: Tensor, targets: Tensor) -> float:
        return float(np.mean(outputs.detach().numpy().argmax(1) != targets.numpy()))

    trainer = quiet(Hard(), outside_of_torch)
    with pytest.warns(UserWarning, match="one at a time"):
        trainer.fit([data], steps=20, progress=False)
    assert trainer.evaluate([data]) < 0.35


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (partial(F.cross_entropy, reduction="sum"), "so it is a sum; take the mean"),
        (partial(F.cross_entropy, reduction="none"), r"one number for a batch, got shape \(200,\); take its mean"),
        (
            lambda outputs, targets: outputs.sum() * 0 + torch.inf,
            "every candidate's loss is NaN or infinite at step 0; check",
        ),
        (
            lambda outputs, targets: outputs.sum() * torch.nan,
            "every candidate's loss is NaN or infinite at step 0; check",
        ),
    ],
)
def test_useless_losses_are_refused(loss: Any, message: str, data: tuple[Tensor, Tensor]) -> None:
    with pytest.raises(TrainingError, match=message):
        quiet(Hard(), loss).step(*data)


@pytest.mark.parametrize(
    ("loss", "targets", "message"),
    [
        (
            F.cross_entropy,
            lambda t: t + 5,
            r"cannot take outputs of shape \(200, 2\) and targets.*Target \d is out of bounds",
        ),
        (
            F.mse_loss,
            lambda t: t.float()[:, None, None].expand(-1, 3, 3),
            "cannot take outputs of shape .*size of tensor",
        ),
        (lambda outputs, targets: None, lambda t: t, "or gives no number"),
        (lambda outputs, targets: outputs[:, 0], lambda t: t, r"one number for a batch, got shape \(200,\)"),
    ],
)
@pytest.mark.parametrize("validates", [False, True])
@pytest.mark.filterwarnings("ignore:Using a target size")
def test_losses_and_targets_that_do_not_suit_are_named(
    loss: Any, targets: Any, message: str, validates: bool, data: tuple[Tensor, Tensor]
) -> None:
    batch = data[0], targets(data[1])
    with pytest.raises(TrainingError, match=message):
        quiet(Hard(), loss).fit([batch], steps=1, validation=[batch] if validates else None, progress=False)


@pytest.mark.parametrize("value", [0.9, Fraction(9, 10), np.float64(0.9)])
def test_scores_of_any_type_keep_their_digits(value: Any, data: tuple[Tensor, Tensor]) -> None:
    assert quiet(Hard()).evaluate([data], lambda outputs, targets: value) == 0.9


def test_scores_that_are_no_number_are_named(data: tuple[Tensor, Tensor]) -> None:
    with pytest.raises(TrainingError, match=r"the score must be one number for a batch, got shape \(200,\)"):
        quiet(Hard()).fit([data], steps=1, validation=[data], score=lambda o, t: o[:, 0], progress=False)


def test_bad_rows_are_named(data: tuple[Tensor, Tensor]) -> None:
    data[0][17, 1] = torch.nan
    trainer = Trainer(perceptron(nn.ReLU()))
    with pytest.raises(TrainingError, match="row 17 of the inputs has NaN or infinite numbers"):
        trainer.step(*data)
    assert trainer.state_dict()["steps"] == 0
    trainer.step(data[0][:17], data[1][:17])
    assert trainer.steps == 1


def test_losses_without_a_finite_one_are_explained_for_class_numbers_too() -> None:
    trainer = quiet(nn.Embedding(3, 2), lambda outputs, targets: outputs.sum() * torch.nan)
    with pytest.raises(TrainingError, match="every candidate's loss is NaN or infinite at step 0"):
        trainer.step(torch.tensor([0, 1, 2]), torch.tensor([0, 1, 0]))


def test_validation_leaves_data_and_buffers_alone(data: tuple[Tensor, Tensor]) -> None:
    class Careless(Hard):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mean", torch.zeros(2))

        def forward(self, inputs: Tensor) -> Tensor:
            self.mean += inputs.mean(0)
            inputs -= self.mean
            return super().forward(inputs)

    trainer, before = quiet(Careless()), data[0].clone()
    first = trainer.evaluate([data])
    assert trainer.evaluate([data]) == first
    trainer.step(*data)
    assert torch.equal(data[0], before) and not trainer.model.mean.any()


@pytest.mark.parametrize("kind", [torch.uint8, torch.int16, torch.int64])
def test_class_numbers_of_any_type(kind: torch.dtype, data: tuple[Tensor, Tensor]) -> None:
    torch.manual_seed(0)
    trainer = Trainer(perceptron(nn.ReLU()))
    assert not isinstance(trainer.evaluator, FunctionalEvaluator)
    trainer.step(data[0], data[1].to(kind))
    torch.manual_seed(0)
    expected = Trainer(perceptron(nn.ReLU()))
    expected.step(*data)
    assert torch.equal(trainer.optimizer.solution, expected.optimizer.solution)


def test_targets_that_compiled_layers_cannot_take_have_a_way(data: tuple[Tensor, Tensor]) -> None:
    shares = F.one_hot(data[1], 2).float()
    ignored = data[1].clone()
    ignored[0] = -100
    for targets in (shares, ignored):
        with pytest.raises(TrainingError, match=r"give loss=lambda outputs, targets: F\.cross_entropy"):
            Trainer(perceptron(nn.ReLU())).step(data[0], targets)
        trainer = quiet(perceptron(nn.ReLU()), lambda o, t: F.cross_entropy(o, t))
        trainer.step(data[0], targets)
        assert trainer.steps == 1


def on_two_devices() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2, device="meta"))


@pytest.mark.parametrize("loss", ["mse", None, 2.0])
def test_what_is_no_loss_is_named(loss: Any) -> None:
    with pytest.raises(TrainingError, match=f"loss must be a function .* got {loss!r}; torch.nn.functional has many"):
        Trainer(perceptron(), loss)


def test_data_that_cannot_be_gone_through_are_named(data: tuple[Tensor, Tensor]) -> None:
    trainer = Trainer(perceptron(nn.ReLU()))
    for useless in (
        lambda: trainer.fit(5, steps=1),
        lambda: trainer.fit([data], 1, validation=5),
        lambda: trainer.evaluate(5),
    ):
        with pytest.raises(TrainingError, match=r"data must be an iterable of pairs .* got 5"):
            useless()


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (nn.ReLU, TrainingError, "ReLU has no floating-point parameters, so there is nothing to train"),
        (lambda: nn.Linear(2, 2).requires_grad_(False), ValueError, r"set requires_grad_\(True\)"),
        (lambda: nn.LazyLinear(2), TrainingError, "lazy layers without parameters yet; call it once on a batch"),
        (lambda: torch.sigmoid, TrainingError, "model must be an nn.Module, got builtin_function_or_method"),
        (on_two_devices, TrainingError, "the model is on cpu and meta; move all of it to one device"),
    ],
)
@pytest.mark.filterwarnings("ignore:Lazy modules")
def test_useless_models_are_refused(model: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Trainer(model())


def test_inputs_that_do_not_suit_are_named(data: tuple[Tensor, Tensor]) -> None:
    with pytest.raises(
        TrainingError, match=r"cannot take inputs of shape \(200, 3\) and type torch.float32: mat1 and mat2"
    ):
        quiet(Hard()).step(torch.zeros(200, 3), data[1])


@pytest.mark.parametrize(
    ("outputs", "found"),
    [(lambda z: (z, z), "tuple"), (lambda z: z.sum(), r"shape \(\)"), (lambda z: z[:3], r"shape \(3, 2\)")],
)
def test_outputs_must_have_a_row_for_each_input(outputs: Any, found: str, data: tuple[Tensor, Tensor]) -> None:
    class Other(Hard):
        def forward(self, inputs: Tensor) -> Any:
            return outputs(super().forward(inputs))

    with pytest.raises(TrainingError, match=rf"a row for each of its 200 inputs, got {found}"):
        quiet(Other()).step(*data)
    with pytest.raises(TrainingError, match=rf"a row for each of its 200 inputs, got {found}"):
        quiet(Other()).fit([data], steps=1, validation=[data], progress=False)


@pytest.mark.filterwarnings("ignore:candidates are evaluated:UserWarning")
def test_dropout_and_batch_norm_are_as_in_eval_mode(data: tuple[Tensor, Tensor]) -> None:
    model = perceptron(nn.BatchNorm1d(12), nn.ReLU(), nn.Dropout(0.5))
    with pytest.warns(
        UserWarning, match=r"in eval mode.*call model\.eval\(\) if that is meant for BatchNorm1d, Dropout"
    ):
        trainer = Trainer(model)
    trainer.fit([data], steps=2, validation=[data], progress=False)
    assert all(part.training for part in model.modules())
    assert model[1].num_batches_tracked == 0 and not model[1].running_mean.any()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Trainer(perceptron(nn.Dropout(0.5), nn.ReLU()).eval())


def test_other_optimisers_by_name_and_factory(data: tuple[Tensor, Tensor]) -> None:
    trainer = quiet(Hard(), optimizer=partial(OpenAIES, sigma=0.1, learning_rate=0.1))
    before = trainer.evaluate([data])
    trainer.fit([data], steps=30, progress=False)
    assert trainer.evaluate([data]) < before
    with pytest.raises(OptimizerError, match=r"there is no optimizer 'polystpe' \(did you mean polystep\?\)"):
        quiet(Hard(), optimizer="polystpe")
    with pytest.raises(OptimizerError, match="Adam is no factory of an optimizer: it must take layout, point and seed"):
        quiet(Hard(), optimizer=torch.optim.Adam)
    with pytest.raises(OptimizerError, match="dict is no optimizer: it must have step"):
        quiet(Hard(), optimizer=dict)


def test_a_model_of_few_parameters(data: tuple[Tensor, Tensor]) -> None:
    trainer = quiet(nn.Linear(2, 1), lambda outputs, targets: F.mse_loss(outputs[:, 0], targets.float()))
    before = trainer.evaluate([data])
    trainer.fit([data], steps=100, progress=False)
    assert trainer.evaluate([data]) < before


@pytest.mark.parametrize("optimizer", ["polystep", OpenAIES])
def test_a_state_continues_where_it_was_taken(optimizer: Any, data: tuple[Tensor, Tensor], tmp_path: Any) -> None:
    model = Hard()
    start = model.state_dict()
    trainer = quiet(model, optimizer=optimizer)
    trainer.step(*data)
    torch.save(trainer.state_dict(), tmp_path / "state.pt")
    trainer.step(*data)
    other = Hard()
    assert not torch.equal(other.first.weight, start["first.weight"])
    continued = quiet(other, optimizer=optimizer)
    continued.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    continued.step(*data)
    assert continued.steps == 2
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]), name


def test_a_state_of_something_else_is_refused() -> None:
    state = quiet(Hard()).state_dict()
    with pytest.raises(TrainingError, match=r"a model with other parameters .see weight."):
        quiet(nn.Linear(2, 2)).load_state_dict(state)
    # as many parameters, of other shapes
    chain = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 3))
    with pytest.raises(TrainingError, match=r"a model with other parameters .see weight."):
        quiet(nn.Linear(8, 3)).load_state_dict(quiet(chain).state_dict())
    with pytest.raises(TrainingError, match="the optimizer PolyStep, not to the optimizer OpenAIES"):
        quiet(Hard(), optimizer=OpenAIES).load_state_dict(state)
    with pytest.raises(TrainingError, match="the seed 0, not to the seed 1"):
        quiet(Hard(), seed=1).load_state_dict(state)


def test_a_state_of_other_settings_is_refused_and_changes_nothing(data: tuple[Tensor, Tensor]) -> None:
    other, trainer = quiet(Hard()), quiet(Hard(), optimizer=partial(PolyStep, weighting=PartlyDrawn(0)))
    other.step(*data)
    before = trainer.optimizer.solution.clone()
    with pytest.raises(TrainingError, match=r"belongs to other settings of the optimizer \(it has no 'generator'\)"):
        trainer.load_state_dict(other.state_dict())
    assert torch.equal(trainer.optimizer.solution, before)


def test_seeds_of_numpy_leave_checkpoints_that_can_be_read(data: tuple[Tensor, Tensor], tmp_path: Any) -> None:
    for steps in (1, 2):
        trainer = quiet(Hard(), seed=np.int64(1))
        trainer.fit([data], steps=steps, checkpoint=tmp_path / "state.pt", progress=False)
    assert trainer.steps == 2


def test_parameters_that_are_no_numbers_are_not_taken_for_changed(data: tuple[Tensor, Tensor]) -> None:
    model = Hard()
    nn.init.constant_(model.second.bias, torch.nan)
    with pytest.raises(TrainingError, match="every candidate's loss is NaN or infinite at step 0"):
        quiet(model).step(*data)


def test_parameters_that_someone_else_changes_are_not_thrown_away(data: tuple[Tensor, Tensor]) -> None:
    model = Hard()
    trainer = quiet(model)
    trainer.step(*data)
    pretrained = {name: torch.ones_like(tensor) for name, tensor in model.state_dict().items()}
    model.load_state_dict(pretrained)
    for train in (lambda: trainer.step(*data), lambda: trainer.fit([data], steps=1, progress=False)):
        with pytest.raises(
            TrainingError, match="were changed since the trainer read or wrote them; build a new Trainer"
        ):
            train()
    assert torch.equal(model.first.weight, torch.ones_like(model.first.weight))
    trainer.load_state_dict(trainer.state_dict())
    trainer.step(*data)


@pytest.mark.parametrize("kind", [torch.float64, torch.bfloat16])
def test_parameters_of_other_types_are_not_taken_for_changed(kind: torch.dtype, data: tuple[Tensor, Tensor]) -> None:
    trainer = quiet(Hard().to(kind))
    for _ in range(2):
        trainer.step(data[0].to(kind), data[1])
    assert trainer.steps == 2


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_batches_come_to_the_models_device(data: tuple[Tensor, Tensor]) -> None:
    model = perceptron(nn.ReLU()).cuda()
    trainer = Trainer(model)
    assert trainer.evaluation == "candidates are evaluated incrementally in torch"
    trainer.fit([data], steps=150, progress=False)
    assert accuracy(model(data[0].cuda()), data[1].cuda()) > 0.9
