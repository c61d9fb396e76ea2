"""States of Trainer continue where they were taken; parameters that someone else changes are not thrown away."""

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from baselines.openai_es import OpenAIES
from polystep.algorithm import PolyStep
from polystep.batches import TrainingError
from polystep.weighting import PartlyDrawn
from tests.polystep.trainer.models import Hard, quiet


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
    with pytest.raises(TrainingError, match="the loss cross_entropy, not to the loss CrossEntropyLoss"):
        quiet(Hard(), loss=nn.CrossEntropyLoss()).load_state_dict(state)


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
