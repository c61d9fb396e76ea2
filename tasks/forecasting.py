"""Forecasts of a series: windows of its past and its future, cut from a training, a validation and a test part."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from polystep.capabilities import GradientKind
from polystep.component import component
from polystep.contracts import Metric, State, TaskInfo
from polystep.evaluation.functional import FunctionalEvaluator, outputs_at
from polystep.evaluation.gradients import GradientEvaluator
from polystep.evaluation.objective import BatchObjective, Evaluator
from polystep.layout import ParameterLayout
from polystep.validation import SettingError, one_of
from tasks.data.series import load_series
from tasks.networks.initialisation import build_without_randomness, starting_point
from tasks.shuffled_rows import ShuffledRows

_ROWS_AT_ONCE = 500
"""Windows that are scored together."""


class ForecastingNetwork(Protocol):
    """A torch module, built as `factory(horizon=...)`, that knows how it can be evaluated and differentiated."""

    def __call__(self, inputs: Tensor) -> Tensor:
        """Forecasts (B, horizon) of histories (B, history)."""
        ...

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the starting values."""
        ...

    def differentiable(self) -> Mapping[GradientKind, nn.Module]:
        """For every kind of gradient that exists, the module to backpropagate through."""
        ...

    def evaluator(self, layout: ParameterLayout) -> Evaluator:
        """Computes the mean squared errors that the functional evaluator computes, and faster."""
        ...


@component("forecasting", version=1, inert=("title", "data_dir", "device"))
class ForecastingTask:
    """Train a network to continue a series; the score is the mean squared error over windows and horizon.

    A window is `history` numbers and the `horizon` numbers after them, all in one part of the series and standardised as the
    training part is; windows begin at every number. An objective is one shuffled mini-batch of training windows.
    Source: EDITIONS.md, forecasts.
    """

    metric = Metric("mean squared error", "minimize", "mse")

    def __init__(
        self,
        name: str,
        network: Callable[..., nn.Module],
        series: str,
        data_dir: str,
        seed: int,
        history: int = 96,
        horizon: int = 96,
        batch_size: int = 64,
        evaluation: Literal["incremental", "functional"] = "incremental",
        device: str = "cpu",
        title: str = "",
    ):
        """`name`, `title`: what records and reports call the task. `series`: etth1, or sines, which needs no file.
        `evaluation`: the path that computes losses; both agree.
        """
        one_of(("incremental", "functional"), **{"task.evaluation": evaluation})
        data = load_series(series, Path(data_dir), logging.getLogger(__name__).info)
        self.fingerprint = data.fingerprint
        self._device, self._history = torch.device(device), history
        self._train, self._validation, self._test = (
            self._windows(torch.from_numpy(part), history, horizon) for part in data.parts()
        )
        if not 1 <= batch_size <= len(self._train):
            raise SettingError(f"task.batch_size must lie in 1..{len(self._train)}, got {batch_size}")
        self._module = build_without_randomness(lambda: network(horizon=horizon)).to(self._device).eval()
        self.layout = ParameterLayout.of_module(self._module)
        self.info = TaskInfo(name, title or name, "forecasts", self.layout.size)
        self._evaluator: Evaluator = (
            self._module.evaluator(self.layout)  # type: ignore[operator]
            if evaluation == "incremental"
            else FunctionalEvaluator(self._module, F.mse_loss, self.layout)
        )
        self._differentiator = GradientEvaluator(self._module.differentiable(), F.mse_loss, self.layout)  # type: ignore[operator]
        self._batches = ShuffledRows(len(self._train), batch_size, seed, self._device)

    @property
    def steps_per_epoch(self) -> int:
        """Mini-batches per pass over the training windows."""
        return self._batches.per_epoch

    def initial_point(self, seed: int) -> Tensor:
        """The network's own starting values (D,)."""
        return starting_point(self._module, self.layout, seed, self._device)

    def next_objective(self) -> BatchObjective:
        """The next mini-batch of shuffled training windows."""
        chosen = self._train[self._batches.next()]
        return BatchObjective(self._evaluator, *self._parts_of(chosen), self._differentiator)

    def validate(self, point: Tensor) -> float:
        """Mean squared error on the validation part."""
        return self._error(self._network_at(point), self._validation)

    def test(self, point: Tensor) -> float:
        """Mean squared error on the test part."""
        return self._error(self._network_at(point), self._test)

    def persistence(self) -> tuple[float, float]:
        """Mean squared error of repeating the last number, on the validation and on the test part: what has learnt nothing."""

        def repeat_last(inputs: Tensor) -> Tensor:
            return inputs[:, -1:]

        return self._error(repeat_last, self._validation), self._error(repeat_last, self._test)

    def state_dict(self) -> State:
        """The generator at the start of this epoch and the position in the epoch."""
        return self._batches.state_dict()

    def load_state_dict(self, state: State) -> None:
        """Continue the shuffled stream where `state` was taken."""
        self._batches.load_state_dict(state)

    def _windows(self, part: Tensor, history: int, horizon: int) -> Tensor:
        """All windows (N, history + horizon) of a part (T,)."""
        if history < 1 or horizon < 1 or history + horizon > len(part):
            raise SettingError(
                f"task.history and task.horizon must be at least 1 and together at most {len(part)}, the shortest part of the "
                f"series, got {history} and {horizon}"
            )
        return part.to(self._device).unfold(0, history + horizon, 1)

    def _parts_of(self, windows: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs (B, history) and targets (B, horizon)."""
        return windows[:, : self._history], windows[:, self._history :]

    def _network_at(self, point: Tensor) -> Callable[[Tensor], Tensor]:
        tensors = self.layout.unflatten(point)
        return lambda inputs: outputs_at(self._module, tensors, inputs)

    @torch.no_grad()
    def _error(self, forecast: Callable[[Tensor], Tensor], windows: Tensor) -> float:
        total = 0.0
        for rows in windows.split(_ROWS_AT_ONCE):
            inputs, targets = self._parts_of(rows)
            total += float((forecast(inputs) - targets).double().square().sum())
        return total / windows[:, self._history :].numel()
