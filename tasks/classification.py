"""Image classification: mini-batches for training, a validation split for selection, a test set for the end."""

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor

from polystep.capabilities import GradientKind
from polystep.component import component
from polystep.contracts import Metric, State, TaskInfo
from polystep.evaluation.activations import mean_cross_entropy
from polystep.evaluation.convolution.fused import FusedConvolutionalEvaluator
from polystep.evaluation.convolution.incremental import ConvolutionalEvaluator
from polystep.evaluation.convolution.network import ConvolutionalNetwork
from polystep.evaluation.functional import FunctionalEvaluator, outputs_at
from polystep.evaluation.fused import FusedEvaluator
from polystep.evaluation.gradients import GradientEvaluator
from polystep.evaluation.incremental import IncrementalEvaluator
from polystep.evaluation.layered import LayeredNetwork
from polystep.evaluation.node_perturbation import NodePerturber, has_nodes
from polystep.evaluation.objective import BatchObjective, Evaluator
from polystep.evaluation.routing.fused import FusedRoutedEvaluator
from polystep.evaluation.routing.incremental import RoutedEvaluator
from polystep.evaluation.routing.network import RoutedNetwork, utilisation
from polystep.layout import ParameterLayout
from polystep.random import named_generator
from polystep.validation import SettingError, one_of
from tasks.data import Dataset, load_dataset
from tasks.independent_rows import IndependentRows
from tasks.networks.initialisation import build_without_randomness, starting_point
from tasks.shuffled_rows import ShuffledRows

SAMPLINGS: Mapping[str, type[ShuffledRows] | type[IndependentRows]] = {
    "shuffled": ShuffledRows,
    "independent": IndependentRows,
}


class ClassificationNetwork(Protocol):
    """A torch module, built as `factory(inputs=..., classes=...)`, that knows how it can be evaluated and differentiated."""

    def __call__(self, inputs: Tensor) -> Tensor:
        """Logits (B, classes) of inputs (B, inputs)."""
        ...

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the starting values."""
        ...

    def differentiable(self) -> Mapping[GradientKind, torch.nn.Module]:
        """For every kind of gradient that exists, the module to backpropagate through: with the same parameter names, and
        for all but smooth gradients with the same outputs.
        """
        ...

    def layered(self) -> LayeredNetwork | RoutedNetwork | ConvolutionalNetwork | None:
        """The same network for incremental evaluation; None where it is neither a chain of layers and unit-wise activations,
        with convolutions before them or without, nor routed.
        """
        ...


@runtime_checkable
class OffersEvaluator(Protocol):
    """A network with an evaluator of its own, where its structure is none that `layered` could describe."""

    def evaluator(self, layout: ParameterLayout) -> Evaluator:
        """Computes the losses that the functional evaluator computes."""
        ...


@component("classification", version=1, inert=("title", "data_dir", "device"), added=("sampling",))
class ClassificationTask:
    """Train a network on a data set; the score is accuracy.

    The training images are split into training and validation part by the run seed; an objective is one mini-batch, of a
    shuffled epoch, whose last one may be smaller, or drawn anew. Source: EDITIONS.md, networks.
    """

    metric = Metric("accuracy", "maximize", "fraction", best=1.0)
    family = "networks"

    def __init__(
        self,
        name: str,
        network: Callable[..., torch.nn.Module],
        dataset: str,
        data_dir: str,
        seed: int,
        batch_size: int | None = 512,
        validation_size: float = 6000,
        evaluation: Literal["fused", "incremental", "functional"] = "fused",
        device: str = "cpu",
        title: str = "",
        sampling: Literal["shuffled", "independent"] = "shuffled",
    ):
        """`name`, `title`: what records and reports call the task. `batch_size`: None means all training rows.
        `validation_size`: rows held out of the training set, their share of it where it is below 1. `evaluation`: the path
        that computes losses; all agree, "fused" runs on the CPU only and falls back to "incremental" elsewhere, and both fall
        back to "functional", with a warning, where the network has no form for them. `sampling`: batches of shuffled epochs,
        or each drawn from all rows with replacement.
        """
        data = load_dataset(dataset, Path(data_dir))
        available = len(data.train_labels)
        held_out = round(validation_size * available) if 0 < validation_size < 1 else int(validation_size)
        if not 1 <= held_out < available or (validation_size >= 1 and held_out != validation_size):
            raise SettingError(
                f"task.validation_size must be a whole number in 1..{available - 1} for {dataset}, got {validation_size:g}; "
                "below 1 it is a share, of at least one row"
            )
        batch_size = available - held_out if batch_size is None else batch_size
        if not 1 <= batch_size <= available - held_out:
            raise SettingError(f"task.batch_size must lie in 1..{available - held_out}, got {batch_size}")
        self.fingerprint = data.fingerprint
        self.batch_size = batch_size
        self._device = torch.device(device)
        module = build_without_randomness(lambda: network(inputs=data.pixels, classes=data.classes))
        self._module = module.to(self._device).eval()
        self.layout = ParameterLayout.of_module(self._module)
        self.info = TaskInfo(name, title or name, self.family, self.layout.size)
        self._layered: LayeredNetwork | RoutedNetwork | ConvolutionalNetwork | None = self._module.layered()  # type: ignore[operator]
        self._evaluator = self._build_evaluator(evaluation)
        self._differentiator = GradientEvaluator(
            self._module.differentiable(),  # type: ignore[operator]
            mean_cross_entropy,
            self.layout,
        )
        self._perturber = (
            NodePerturber(self._module, mean_cross_entropy, self.layout) if has_nodes(self._module) else None
        )
        self._split(data, held_out, seed)
        one_of((*SAMPLINGS,), **{"task.sampling": sampling})
        self._batches = SAMPLINGS[sampling](len(self._train[1]), batch_size, seed, self._device)

    @property
    def steps_per_epoch(self) -> int:
        """Mini-batches per pass over the training part."""
        return self._batches.per_epoch

    def initial_point(self, seed: int) -> Tensor:
        """The network's own starting values (D,)."""
        return starting_point(self._module, self.layout, seed, self._device)

    def next_objective(self) -> BatchObjective:
        """The next mini-batch of the training part."""
        chosen = self._batches.next()
        inputs, targets = self._train
        return BatchObjective(self._evaluator, inputs[chosen], targets[chosen], self._differentiator, self._perturber)

    def validate(self, point: Tensor) -> float:
        """Accuracy on the validation part."""
        return self._accuracy(point, *self._validation)

    def test(self, point: Tensor) -> float:
        """Accuracy on the test set."""
        return self._accuracy(point, *self._test)

    def diagnostics(self, point: Tensor) -> dict[str, Any]:
        """On the validation part: `lost_classes`, of which no row is recognised, as where an output unit never fires; and how a
        routed network distributes the rows over its routes.
        """
        inputs, targets = self._validation
        recognised = targets[self._predicted(point, inputs) == targets]
        found: dict[str, Any] = {"lost_classes": sorted({*targets.tolist()} - {*recognised.tolist()})}
        if isinstance(self._layered, RoutedNetwork):
            winner = self._layered.winners(inputs, self.layout.unflatten(point))
            found["utilisation"] = utilisation(winner, len(self._layered.routes))
        return found

    def state_dict(self) -> State:
        """Where the stream of batches is."""
        return self._batches.state_dict()

    def load_state_dict(self, state: State) -> None:
        """Continue the stream of batches where `state` was taken."""
        self._batches.load_state_dict(state)

    def _build_evaluator(self, evaluation: str) -> Evaluator:
        one_of(("fused", "incremental", "functional"), **{"task.evaluation": evaluation})
        if isinstance(self._module, OffersEvaluator) and evaluation != "functional":
            return self._module.evaluator(self.layout)
        if self._layered is None and evaluation != "functional":
            warnings.warn(
                f"task.evaluation={evaluation} does not know how {type(self._module).__name__} is built, so the whole "
                "network is run for every candidate, which is slow; task.evaluation=functional asks for that",
                stacklevel=3,
            )
        whole = FunctionalEvaluator(self._module, mean_cross_entropy, self.layout)
        if self._layered is None or evaluation == "functional":
            return whole
        if isinstance(self._layered, ConvolutionalNetwork):
            convolutional = FusedConvolutionalEvaluator if evaluation == "fused" else ConvolutionalEvaluator
            return convolutional(self._layered, self.layout, whole)
        if isinstance(self._layered, RoutedNetwork):
            return (FusedRoutedEvaluator if evaluation == "fused" else RoutedEvaluator)(self._layered, self.layout)
        return (FusedEvaluator if evaluation == "fused" else IncrementalEvaluator)(self._layered, self.layout)

    def _split(self, data: Dataset, validation_size: int, seed: int) -> None:
        generator = named_generator(seed, "validation split")
        order = torch.randperm(len(data.train_labels), generator=generator)
        inputs = torch.from_numpy(data.train_inputs()).to(self._device)
        targets = torch.tensor(data.train_labels).to(self._device)
        train, validation = order[validation_size:].to(self._device), order[:validation_size].to(self._device)
        self._train = inputs[train], targets[train]
        self._validation = inputs[validation], targets[validation]
        self._test = (
            torch.from_numpy(data.test_inputs()).to(self._device),
            torch.tensor(data.test_labels).to(self._device),
        )

    def _accuracy(self, point: Tensor, inputs: Tensor, targets: Tensor) -> float:
        return int((self._predicted(point, inputs) == targets).sum()) / len(targets)

    @torch.no_grad()
    def _predicted(self, point: Tensor, inputs: Tensor) -> Tensor:
        """Classes (B,) of inputs (B, D)."""
        tensors = self.layout.unflatten(point)
        return torch.cat([self._logits(part, tensors).argmax(-1) for part in inputs.split(2000)])

    def _logits(self, inputs: Tensor, tensors: dict[str, Tensor]) -> Tensor:
        if self._layered is not None:
            return self._layered.logits(inputs, tensors)
        logits: Tensor = outputs_at(self._module, tensors, inputs)
        return logits
