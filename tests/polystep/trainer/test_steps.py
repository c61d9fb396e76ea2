"""Trainer: models of one's own learn by a few lines and are evaluated the fastest exact way."""

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
from polystep.evaluation.activations import CrossEntropy
from polystep.evaluation.fused import FusedEvaluator
from polystep.evaluation.incremental import IncrementalEvaluator
from polystep.factories import OptimizerError
from tests.polystep.trainer.models import Hard, InNumpy, perceptron, quiet


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


@pytest.mark.parametrize("value", [0.9, Fraction(9, 10), np.float64(0.9)])
def test_scores_of_any_type_keep_their_digits(value: Any, data: tuple[Tensor, Tensor]) -> None:
    assert quiet(Hard()).evaluate([data], lambda outputs, targets: value) == 0.9


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


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_batches_come_to_the_models_device(data: tuple[Tensor, Tensor]) -> None:
    model = perceptron(nn.ReLU()).cuda()
    trainer = Trainer(model)
    assert trainer.evaluation == "candidates are evaluated incrementally in torch"
    trainer.fit([data], steps=150, progress=False)
    assert accuracy(model(data[0].cuda()), data[1].cuda()) > 0.9
