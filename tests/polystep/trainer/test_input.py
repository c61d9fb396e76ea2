"""Losses, data and models that Trainer cannot use are named."""

from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from polystep import Trainer
from polystep.batches import TrainingError
from tests.polystep.trainer.models import Hard, perceptron, quiet


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


@pytest.mark.parametrize("loss", ["mse", None, 2.0])
def test_what_is_no_loss_is_named(loss: Any) -> None:
    with pytest.raises(TrainingError, match=f"loss must be a function .* got {loss!r}; torch.nn.functional has many"):
        Trainer(perceptron(), loss)


def test_a_class_in_place_of_a_loss_is_named() -> None:
    with pytest.raises(TrainingError, match=r"loss is the class MSELoss; give one of its objects, MSELoss\(\)"):
        Trainer(perceptron(), nn.MSELoss)
    with pytest.raises(ValueError, match="seed must be a whole number, got 'a'"):
        Trainer(perceptron(), seed="a")  # type: ignore[arg-type]


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


def test_data_that_cannot_be_gone_through_are_named(data: tuple[Tensor, Tensor]) -> None:
    trainer = Trainer(perceptron(nn.ReLU()))
    for useless in (
        lambda: trainer.fit(5, steps=1),
        lambda: trainer.fit([data], 1, validation=5),
        lambda: trainer.evaluate(5),
    ):
        with pytest.raises(TrainingError, match=r"data must be an iterable of pairs .* got 5"):
            useless()


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
