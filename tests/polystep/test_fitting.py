"""Trainer.fit: validation selects and stops, checkpoints continue, progress is shown and never in the way."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from polystep import Trainer
from polystep.batches import TrainingError
from polystep.contracts import StepReport
from polystep.files import StorageError
from polystep.fitting import Row
from polystep.layout import ParameterLayout

DATA = torch.eye(4), torch.tensor([0, 1, 0, 1])


class Walk:
    """Moves every parameter by 1 a step, and stops by itself after `last` steps."""

    last = 10**9

    def __init__(self, layout: ParameterLayout, point: Tensor, seed: int):
        self.solution, self.count = torch.zeros_like(point), 0

    def step(self, objective: Any, used: float) -> StepReport:
        self.solution, self.count = self.solution + 1, self.count + 1
        return StepReport(float(self.count), finished=self.count >= self.last)

    def state_dict(self) -> dict[str, Any]:
        return {"point": self.solution, "count": self.count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.solution, self.count = state["point"], state["count"]


class WalkOf5(Walk):
    last = 5


def trainer(optimizer: Any = Walk) -> Trainer:
    return Trainer(nn.Sequential(nn.Linear(4, 2)), optimizer=optimizer)


def place(model: nn.Module) -> float:
    return float(next(model.parameters()).detach().flatten()[0])


def near(step: int) -> Any:
    """A score that is best after some steps: every output is 2 steps there."""
    return lambda outputs, targets: -abs(outputs[0, 0] - 2 * step)


def test_the_model_ends_where_the_validation_was_best() -> None:
    walking = trainer()
    found = walking.fit([DATA], steps=40, validation=[DATA], score=near(13), progress=False)
    # validated after every second step
    assert found.best_step in (12, 14) and found.best == -2 and place(walking.model) == found.best_step
    assert found.steps == 40 and found.message == "all 40 steps are taken"
    assert [row.step for row in found.history] == list(range(0, 41, 2))
    assert found.history[0].loss is None and found.history[1] == Row(2, 1.5, -22.0)
    assert walking.optimizer.solution[0] == 40


def test_without_validation_the_last_parameters_stay() -> None:
    walking = trainer()
    found = walking.fit([DATA], steps=3, progress=False)
    assert found.best is None and place(walking.model) == 3 and [row.validation for row in found.history] == [None] * 4


def test_without_a_score_the_loss_is_validated() -> None:
    learning = trainer("polystep")
    found = learning.fit([DATA], steps=30, validation=[DATA], progress=False)
    assert found.best == min(row.validation for row in found.history if row.validation is not None)
    assert found.best == pytest.approx(learning.evaluate([DATA])) and found.best < 0.6


def test_patience_stops() -> None:
    found = trainer().fit([DATA], steps=40, validation=[DATA], score=near(12), patience=3, progress=False)
    assert found.steps == 18 and found.best_step == 12 and found.message == "the last 3 validations were not better"


def test_validations_that_are_nan_are_never_best() -> None:
    found = trainer().fit([DATA], steps=4, validation=[DATA], score=lambda o, t: torch.nan, progress=False)
    assert found.best is None and found.steps == 4


def test_a_method_may_end_by_itself() -> None:
    found = trainer(WalkOf5).fit([DATA], steps=40, progress=False)
    assert found.steps == 5 and found.message == "the method says that nothing better can be had"
    assert found.history[-1].step == 5


def test_what_ended_by_itself_is_not_taken_up_again(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"steps": 40, "checkpoint": tmp_path / "training.pt", "progress": False}
    found = trainer(WalkOf5).fit([DATA], **settings)
    assert trainer(WalkOf5).fit(iter([]), **settings) == found


def test_another_fit_takes_further_steps() -> None:
    walking = trainer()
    walking.fit([DATA], steps=3, progress=False)
    assert walking.fit([DATA], steps=2, progress=False).steps == 2
    assert walking.steps == 5 and place(walking.model) == 5


def test_another_fit_begins_where_the_optimiser_is() -> None:
    """Its first validation is of the point that it goes on from, not of the best one of the fit before."""
    walking, values = trainer(), iter([3.0, 1.0, 2.0, 4.0, 5.0, 6.0, 7.0])
    validated: list[int] = []

    def score(outputs: Tensor, targets: Tensor) -> float:
        validated.append(place(walking.model))
        return -next(values)

    settings: dict[str, Any] = {"validation": [DATA], "score": score, "progress": False}
    assert walking.fit([DATA], steps=2, **settings).best_step == 1 and place(walking.model) == 1
    assert walking.fit([DATA], steps=2, **settings).best_step == 0 and place(walking.model) == 2
    assert validated == [0, 1, 2, 2, 3, 4]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "steps must be a whole number above 0, got 0"),
        ({"steps": 2.5}, "got 2.5"),
        ({"steps": 5, "patience": 0, "validation": [DATA]}, "patience must be a whole number above 0, got 0"),
        ({"steps": 5, "patience": 2}, "give validation data, too"),
        ({"steps": 5, "validation": []}, "there is nothing to evaluate: the data are empty"),
        ({"steps": 5, "validation": iter([DATA])}, "or a generator that is used up"),
    ],
)
def test_useless_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        trainer().fit([DATA], progress=False, **settings)


def interrupted_after(count: int) -> Iterator[Any]:
    for _ in range(count):
        yield DATA
    raise KeyboardInterrupt


@pytest.mark.parametrize("optimizer", [Walk, "polystep"])
def test_a_checkpoint_continues_as_if_nothing_had_happened(optimizer: Any, tmp_path: Path) -> None:
    def built() -> Trainer:
        torch.manual_seed(0)
        return trainer(optimizer)

    settings: dict[str, Any] = {"steps": 20, "validation": [DATA], "progress": False}
    whole = built()
    expected = whole.fit([DATA], **settings)
    path = tmp_path / "folder" / "training.pt"
    with pytest.raises(KeyboardInterrupt):
        built().fit(interrupted_after(7), checkpoint=path, **settings)
    continued = built()
    assert continued.fit([DATA], checkpoint=path, **settings) == expected
    assert torch.equal(continued.optimizer.solution, whole.optimizer.solution)
    # a finished training is not taken up again
    again = built()
    assert again.fit(iter([]), checkpoint=str(path), **settings) == expected
    assert place(again.model) == place(whole.model)


def test_damaged_and_foreign_checkpoints_are_named(tmp_path: Path) -> None:
    path = tmp_path / "training.pt"
    trainer().fit([DATA], steps=2, checkpoint=path, progress=False)
    with pytest.raises(TrainingError, match="the optimizer Walk, not to the optimizer WalkOf5"):
        trainer(WalkOf5).fit([DATA], steps=2, checkpoint=path, progress=False)
    sound = torch.load(path, weights_only=True)
    for name, value in (
        ("history", 5),
        ("history", [[1]]),
        ("losses", 5),
        ("best", 5),
        ("done", 2.5),
        ("finished", "no"),
    ):
        torch.save(sound | {name: value}, path)
        with pytest.raises(
            StorageError, match=r"training\.pt cannot be read as a checkpoint \(.+\); name another file, or delete it"
        ):
            trainer().fit([DATA], steps=2, checkpoint=path, progress=False)
    torch.save(sound, path)
    for content in (b"", b"something else", path.read_bytes()[:500]):
        path.write_bytes(content)
        with pytest.raises(
            StorageError, match=r"training\.pt cannot be read as a checkpoint \(.+\); name another file, or delete it"
        ):
            trainer().fit([DATA], steps=2, checkpoint=path, progress=False)
    torch.save({"some": "weights"}, path)
    with pytest.raises(StorageError, match="cannot be read"):
        trainer().fit([DATA], steps=2, checkpoint=path, progress=False)


def test_a_training_that_is_longer_already_says_how_long(tmp_path: Path) -> None:
    path = tmp_path / "training.pt"
    trainer().fit([DATA], steps=4, checkpoint=path, progress=False)
    fit = trainer().fit([DATA], steps=np.int64(2), checkpoint=path, progress=False)
    assert (fit.steps, fit.message) == (4, "4 steps were taken before, more than the 2 asked for")


def test_a_checkpoint_of_another_score_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "training.pt"

    def accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs.argmax(1) == targets).float().mean()

    trainer().fit([DATA], steps=2, validation=[DATA], score=accuracy, checkpoint=path, progress=False)
    with pytest.raises(TrainingError, match=r"was judged by accuracy, and this training is by the loss; give the same"):
        trainer().fit([DATA], steps=4, validation=[DATA], checkpoint=path, progress=False)
    fit = trainer().fit([DATA], steps=4, validation=[DATA], score=accuracy, checkpoint=path, progress=False)
    assert fit.steps == 4


@pytest.mark.parametrize("validates", [True, False])
def test_parameters_that_are_not_finite_end_the_training_and_are_never_the_best(validates: bool) -> None:
    class Lost(Walk):
        def step(self, objective: Any, used: float) -> StepReport:
            report = super().step(objective, used)
            if self.count == 20:
                self.solution = self.solution * torch.nan
            return report

    class Spiking(nn.Linear):
        """Its units make a number of NaN."""

        def forward(self, inputs: Tensor) -> Tensor:
            return (super().forward(inputs) > 0).float()

    walking = Trainer(nn.Sequential(Spiking(4, 2)), optimizer=Lost)
    validation: Any = {"validation": [DATA], "score": lambda outputs, targets: 1 - outputs.mean()} if validates else {}
    fit = walking.fit([DATA], steps=40, progress=False, **validation)
    assert (fit.steps, fit.message) == (20, "the parameters are not finite any more after step 20")
    if validates:
        assert fit.best_step == 0 and fit.history[-1].validation != fit.history[-1].validation
        assert np.isfinite(place(walking.model))


def test_progress_is_a_line_for_each_validation(capsys: pytest.CaptureFixture[str]) -> None:
    trainer().fit([DATA], steps=40, validation=[DATA], score=near(12))
    shown = capsys.readouterr()
    lines = shown.err.splitlines()
    assert len(lines) == 21 and not shown.out
    assert lines[8].startswith("step 16/40  loss 15.5  validation -8  best -0 at 12  0:0")


class Broken:
    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> None:
        raise BrokenPipeError

    def flush(self) -> None: ...


@pytest.mark.parametrize("stderr", [None, Broken()])
def test_progress_never_stops_training(stderr: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", stderr)
    assert trainer().fit([DATA], steps=5).steps == 5


def test_on_a_terminal_one_line_is_written_over(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    trainer().fit([DATA], steps=100)
    written = capsys.readouterr().err
    assert written.count("\n") == 21 and written.count("\r") >= 21
