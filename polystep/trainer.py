"""Trainer: an nn.Module of your own, trained by forward passes alone."""

import copy
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from polystep.ask_tell import NonFiniteLossError
from polystep.batches import Batches, TrainingError, all_of
from polystep.contracts import State, StepReport
from polystep.evaluation.fastest import choose_evaluator
from polystep.evaluation.functional import FunctionalEvaluator, evaluation_mode, outputs_at
from polystep.evaluation.layered import SampleLoss
from polystep.evaluation.objective import BatchObjective, without_tf32
from polystep.evaluation.parts import has_forward_of
from polystep.factories import Factory, build, for_models, optimizer_factory
from polystep.fitting import Fit, Fitting
from polystep.progress import Progress
from polystep.validation import first_line, name_of, whole_seed

Measure = Callable[[Tensor, Tensor], Any]
"""A number, of any type, from outputs and targets of a batch or of a whole set."""


class Trainer:
    """Trains a model on batches, without a gradient: rounding, spikes, argmax and numpy in its forward are fine.

        trainer = Trainer(model)
        trainer.fit(loader, steps=1000, validation=validation_loader)

    The model holds the current parameters after every step. Candidates are evaluated in eval mode, whatever mode the model
    is in: dropout does nothing, and batch norm uses its stored averages, which stay as they are. Parameters of any type are
    searched in float32. `evaluation` says how candidates are evaluated; where that is not the fastest way, a warning says why.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: SampleLoss | Measure = F.cross_entropy,
        optimizer: str | Factory = "polystep",
        *,
        seed: int = 0,
    ):
        """`loss`: to be minimised, of the outputs and the targets of a batch; any function that returns a number, which may be
        no mean over rows and have no gradient, as 1 - F1; or a SampleLoss. It must not grow with the number of rows. With
        torch's mean cross-entropy, or a SampleLoss, chains of layers are evaluated incrementally. `optimizer`: "polystep"; a
        name that an installed package offers in the entry point group "polystep.optimizers"; or a factory called with
        `layout`, `point` and `seed`. It starts at the parameters that the model has. `seed`: equal seeds give equal results.

        Raises TrainingError, OptimizerError, ValueError: what is wrong with the input, in a sentence.
        """
        if not isinstance(model, nn.Module):
            raise TrainingError(
                f"model must be an nn.Module, got {type(model).__name__}; polystep.minimize takes functions"
            )
        if isinstance(loss, type):
            raise TrainingError(f"loss is the class {loss.__name__}; give one of its objects, {loss.__name__}()")
        if not (callable(loss) or isinstance(loss, SampleLoss)):
            raise TrainingError(
                f"loss must be a function of outputs and targets, or a SampleLoss, got {loss!r}; torch.nn.functional has many, "
                "such as mse_loss"
            )
        if any(isinstance(parameter, nn.parameter.UninitializedParameter) for parameter in model.parameters()):
            raise TrainingError("the model has lazy layers without parameters yet; call it once on a batch")
        self.model, self._loss = model, _with_tensors(loss) if _is_own(loss) else loss
        self._loss_name = name_of(loss)
        factory = optimizer_factory(optimizer, for_models)
        self._batches, self._seed = Batches.of(model), whole_seed(seed)
        choice = choose_evaluator(model, self._loss)
        self.evaluator, self.evaluation = choice.evaluator, str(choice)
        self.layout = self.evaluator.layout
        self.optimizer = build(factory, self.layout, self.layout.point_of(model), self._seed)
        self.steps = 0
        self._written = self.layout.point_of(model)
        if choice.reason is not None:
            warnings.warn(self.evaluation, stacklevel=2)
        _warn_of_training_mode(model)

    def step(self, inputs: Any, targets: Any, used: float = 0.0) -> StepReport:
        """One step of the optimiser on one batch: inputs (B, ...) and targets (B, ...), tensors or arrays, which are brought to
        the model's device.

        used: share of the training that is behind, from 0 to 1, which schedules follow. The report's loss is the mean loss of
        the candidates. Raises TrainingError where the model or the loss cannot take the batch, where no candidate has a finite
        loss, and where the model was changed from outside.
        """
        inputs, targets = self._batches.read((inputs, targets))
        self.check_parameters()
        if self.steps == 0:
            self._check_loss(inputs, targets)
        try:
            report = self.optimizer.step(BatchObjective(self.evaluator, inputs, targets), used)
        except NonFiniteLossError:
            raise TrainingError(self._why_not_finite(inputs)) from None
        self.steps += 1
        self.write_parameters(self.optimizer.solution)
        return report

    def write_parameters(self, point: Tensor) -> None:
        """Give the model the parameters `point` (D,)."""
        self.layout.write(point, self.model)
        self._written = self.layout.point_of(self.model)

    def check_parameters(self) -> None:
        """TrainingError where someone else has changed the model since the trainer wrote it: the next step would undo that."""
        now = self.layout.point_of(self.model)
        # by their bits, since NaN differs from itself
        if now.device != self._written.device or not torch.equal(
            now.view(torch.int32), self._written.view(torch.int32)
        ):
            raise TrainingError(
                "the parameters of the model were changed since the trainer read or wrote them; build a new Trainer, which "
                "starts at them"
            )

    def fit(
        self,
        batches: Iterable[Any],
        steps: int,
        *,
        validation: Iterable[Any] | None = None,
        score: Measure | None = None,
        patience: int | None = None,
        checkpoint: str | Path | None = None,
        progress: bool = True,
    ) -> Fit:
        """Take `steps` steps and return what came of them.

        batches: pairs (inputs, targets), gone through again and again; any iterable, such as a DataLoader, so that data
        need not fit into memory. validation: pairs as well, judged at the start, at the end and 19 times between: by `score`
        of all outputs and targets, of which higher is better, else by the loss. The model then ends with the parameters that
        were best (save them with `model.state_dict()`); the trainer's state and further steps go on from the last ones.
        patience: validations in a row without a better one after which training stops. checkpoint: a file that is written at
        every validation and now and then; where it exists, training continues from it, with the data from their beginning.
        progress: whether to show it on stderr. Raises TrainingError as `step` does, and for data that are empty or no pairs;
        StorageError where the checkpoint cannot be read or written.
        """
        path = None if checkpoint is None else Path(checkpoint)
        fitting = Fitting(self, steps, validation, score, patience, path, Progress(progress))
        return fitting.run(self._batches.endless(batches))

    def evaluate(self, batches: Iterable[Any], measure: Measure | None = None) -> float:
        """`measure`, or the loss, of the outputs and targets of all batches together, in eval mode. Raises TrainingError where
        there are none, or where it gives no number.
        """
        outputs, targets = [], []
        for batch in all_of(batches):
            rows, wanted = self._batches.read(batch)
            outputs.append(self._outputs(rows))
            targets.append(wanted)
        if not outputs:
            raise TrainingError("there is nothing to evaluate: the data are empty, or a generator that is used up")
        name = "loss" if measure is None else "score"
        return float(_number(name, measure or self.batch_loss, torch.cat(outputs), torch.cat(targets)))

    def batch_loss(self, outputs: Tensor, targets: Tensor) -> Any:
        """The loss of given outputs."""
        return self._loss(outputs, targets) if callable(self._loss) else self._loss.apply(outputs, targets).mean()

    def state_dict(self) -> State:
        """Everything that the next step depends on, the parameters after the last step included."""
        kind = type(self.optimizer).__name__
        return {
            "steps": self.steps,
            "seed": self._seed,
            "loss": self._loss_name,
            "parameters": self._shapes(),
            "kind": kind,
            "optimizer": self.optimizer.state_dict(),
        }

    def load_state_dict(self, state: State) -> None:
        """Continue where `state` was taken, with the same model, loss and optimiser; raises TrainingError where the shapes of
        parameters, the seed, or the names of loss or optimiser are others. Their settings are not compared.
        """
        shapes, found = self._shapes(), state.get("parameters")
        if found != shapes:
            other = dict(found) if isinstance(found, dict) else {}
            name = next((name for name in (*shapes, *other) if shapes.get(name) != other.get(name)), "their order")
            raise TrainingError(
                f"the state belongs to a model with other parameters (see {name}); build the trainer as it was built"
            )
        for name, own, what in (
            ("kind", type(self.optimizer).__name__, "the optimizer {}"),
            ("seed", self._seed, "the seed {}"),
            ("loss", self._loss_name, "the loss {}"),
        ):
            if (found := state.get(name, None if name == "kind" else own)) != own:
                raise TrainingError(
                    f"the state belongs to {what.format(found)}, not to {what.format(own)}; build the trainer as it was built"
                )
        held = copy.deepcopy(self.optimizer.state_dict())
        try:
            self.optimizer.load_state_dict(_on_device(state["optimizer"], self._batches.device))
        except torch.OutOfMemoryError:
            raise
        except (KeyError, RuntimeError, ValueError, TypeError, AttributeError) as error:
            self.optimizer.load_state_dict(held)
            reason = f"it has no {error}" if isinstance(error, KeyError) else first_line(error)
            raise TrainingError(
                f"the state belongs to other settings of the optimizer ({reason}); build the trainer as it was built"
            ) from error
        self.steps = state["steps"]
        self.write_parameters(self.optimizer.solution)

    def _shapes(self) -> dict[str, list[int]]:
        return {entry.name: list(entry.shape) for entry in self.layout.entries}

    def _check_loss(self, inputs: Tensor, targets: Tensor) -> None:
        """TrainingError where the loss of the model's outputs is no number, or grows with the rows as a sum does."""
        outputs = self._outputs(inputs)
        if not callable(self._loss):
            return
        if not _is_own(self._loss) and not isinstance(self.evaluator, FunctionalEvaluator):
            _check_class_numbers(targets)
        once = _number("loss", self._loss, outputs, targets)
        twice = _number("loss", self._loss, torch.cat([outputs, outputs]), torch.cat([targets, targets]))
        if float(once) and torch.isfinite(once) and torch.isclose(twice, 2 * once, rtol=1e-4, atol=0.0):
            raise TrainingError(
                "the loss doubles when every row is there twice, so it is a sum; take the mean, with reduction='mean' for "
                "example"
            )

    def _outputs(self, inputs: Tensor) -> Tensor:
        """Those of the model in eval mode; TrainingError where it cannot take the inputs or gives no row for each."""
        try:
            with torch.no_grad(), evaluation_mode(self.model), without_tf32(inputs.device):
                outputs: Any = outputs_at(self.model, {}, inputs)
        except torch.OutOfMemoryError:
            raise
        except _UNSUITABLE as error:
            raise TrainingError(
                f"the model cannot take inputs of shape {tuple(inputs.shape)} and type {inputs.dtype}: {first_line(error)}"
            ) from error
        if not isinstance(outputs, Tensor) or outputs.shape[:1] != (len(inputs),):
            found = f"shape {tuple(outputs.shape)}" if isinstance(outputs, Tensor) else type(outputs).__name__
            raise TrainingError(
                f"the model must give one tensor with a row for each of its {len(inputs)} inputs, got {found}; wrap it in a "
                "module that does"
            )
        return outputs

    def _why_not_finite(self, inputs: Tensor) -> str:
        bad = (~torch.isfinite(inputs)).reshape(len(inputs), -1).any(1).nonzero()
        if len(bad):
            return f"row {int(bad[0])} of the inputs has NaN or infinite numbers; remove such rows or fill them in"
        return (
            f"every candidate's loss is NaN or infinite at step {self.steps}; check what the model and the loss make of this "
            "batch (a logarithm of 0, a division by 0), and the scale of the inputs"
        )


_UNSUITABLE = (RuntimeError, ValueError, IndexError, TypeError)
"""What torch raises where tensors do not suit each other."""


def _number(name: str, measure: Measure, outputs: Tensor, targets: Tensor) -> Tensor:
    """The value of a loss or a score; TrainingError where it cannot take the tensors or gives no number."""
    try:
        found = measure(outputs, targets)
        value = torch.as_tensor(found) if hasattr(found, "shape") else torch.tensor(float(found), dtype=torch.float64)
    except torch.OutOfMemoryError:
        raise
    except _UNSUITABLE as error:
        raise TrainingError(
            f"the {name} cannot take outputs of shape {tuple(outputs.shape)} and targets of shape {tuple(targets.shape)} and "
            f"type {targets.dtype}, or gives no number: {first_line(error)}"
        ) from error
    if value.ndim != 0:
        raise TrainingError(
            f"the {name} must be one number for a batch, got shape {tuple(value.shape)}; take its mean over the batch"
        )
    return value


def _is_own(loss: Any) -> bool:
    """Whether `loss` is a function that is evaluated as it is."""
    return callable(loss) and loss is not F.cross_entropy and not has_forward_of(loss, nn.CrossEntropyLoss)


def _check_class_numbers(targets: Tensor) -> None:
    """TrainingError where targets are no class numbers, which layers are compiled for."""
    if targets.is_floating_point() or targets.dtype == torch.bool or targets.ndim != 1 or bool((targets < 0).any()):
        raise TrainingError(
            f"targets of cross-entropy must be class numbers of shape (B,), got {targets.dtype} of shape "
            f"{tuple(targets.shape)}{', some below 0' if targets.ndim == 1 else ''}; for shares of classes, or rows to be "
            "ignored, give loss=lambda outputs, targets: F.cross_entropy(outputs, targets), which is evaluated as it is"
        )


def _with_tensors(loss: Any) -> Callable[[Tensor, Tensor], Tensor]:
    """The loss, whose plain numbers become tensors."""

    def number(outputs: Tensor, targets: Tensor) -> Tensor:
        value = loss(outputs, targets)
        return (
            value if isinstance(value, Tensor) else torch.as_tensor(value, dtype=torch.float32, device=outputs.device)
        )

    return number


def _warn_of_training_mode(model: nn.Module) -> None:
    kinds = (nn.modules.dropout._DropoutNd, nn.modules.batchnorm._BatchNorm)
    if found := sorted({type(part).__name__ for part in model.modules() if part.training and isinstance(part, kinds)}):
        warnings.warn(
            f"the model is trained as it is in eval mode, where dropout does nothing and batch norm keeps its averages; call "
            f"model.eval() if that is meant for {', '.join(found)}",
            stacklevel=3,
        )


def _on_device(value: Any, device: torch.device) -> Any:
    """A state with its tensors on a device; states of generators, which are bytes, stay where they are."""
    if isinstance(value, dict):
        return {key: _on_device(item, device) for key, item in value.items()}
    return value.to(device) if isinstance(value, Tensor) and value.dtype != torch.uint8 else value
