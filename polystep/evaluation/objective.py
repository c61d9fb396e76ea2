"""BatchObjective: losses and gradients on one mini-batch, charged as they are evaluated."""

import contextlib
from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch import Tensor

from polystep.candidates import Candidates
from polystep.capabilities import GradientKind
from polystep.contracts import Spent
from polystep.evaluation.gradients import GradientEvaluator
from polystep.evaluation.node_perturbation import NodePerturber


def _precisions() -> tuple[Any, ...]:
    """What says how products in float32 are computed on GPUs."""
    cudnn: Any = torch.backends.cudnn
    return torch.backends.cuda.matmul, cudnn.conv, cudnn.rnn


def forbid_tf32() -> None:
    """Products and convolutions of GPUs in float32 as on the CPU.

    TF32, which torch uses for convolutions unless told otherwise, keeps 10 bits of a number: losses that differ by less would
    look equal.
    """
    for precision in _precisions():
        precision.fp32_precision = "ieee"


@contextlib.contextmanager
def without_tf32(device: torch.device) -> Iterator[None]:
    """As `forbid_tf32`, for a while, where the device is a GPU."""
    if device.type != "cuda":
        yield
        return
    before = [precision.fp32_precision for precision in _precisions()]
    forbid_tf32()
    try:
        yield
    finally:
        for precision, value in zip(_precisions(), before, strict=True):
            precision.fp32_precision = value


class Evaluator(Protocol):
    """Computes mean losses of candidates on a batch."""

    @property
    def compilation_seconds(self) -> float:
        """Seconds spent so far on compiling kernels; 0 where nothing is compiled."""
        ...

    def losses(self, candidates: Candidates, inputs: Tensor, targets: Tensor) -> Tensor:
        """Mean loss over the rows of the batch, shape (N,), float32."""
        ...


class BatchObjective:
    """One mini-batch; every candidate sees the same rows."""

    def __init__(
        self,
        evaluator: Evaluator,
        inputs: Tensor,
        targets: Tensor,
        differentiator: GradientEvaluator | None = None,
        perturber: NodePerturber | None = None,
    ):
        """`inputs`: (B, ...). `targets`: (B,). `differentiator`: computes the gradients that are offered, if any. `perturber`:
        perturbs the units, where that is offered.
        """
        if len(inputs) == 0 or len(inputs) != len(targets):
            raise ValueError(
                f"a batch needs at least one row and as many targets as inputs, got {len(inputs)} inputs and "
                f"{len(targets)} targets"
            )
        self.evaluator, self.inputs, self.targets = evaluator, inputs, targets
        self.spent = Spent()
        self._differentiator, self._perturber = differentiator, perturber

    @property
    def gradients(self) -> tuple[GradientKind, ...]:
        """The kinds of gradient that are offered."""
        return tuple(self._differentiator.modules) if self._differentiator else ()

    def losses(self, candidates: Candidates) -> Tensor:
        """Mean loss of every candidate, shape (N,), float32; charges N evaluations and N B sample forwards."""
        compiled_before = self.evaluator.compilation_seconds
        with without_tf32(self.inputs.device):
            losses = self.evaluator.losses(candidates, self.inputs, self.targets)
        self.spent += Spent(
            candidate_evaluations=len(candidates),
            sample_forwards=len(candidates) * len(self.inputs),
            compilation_seconds=self.evaluator.compilation_seconds - compiled_before,
        )
        return losses

    def gradient(self, point: Tensor, kind: GradientKind) -> tuple[Tensor, Tensor]:
        """Mean loss (a scalar) and gradient (D,) at `point`; charges B sample forwards and B backward passes."""
        if self._differentiator is None or kind not in self.gradients:
            raise ValueError(f"no {kind} gradient is offered; offered are: {', '.join(self.gradients) or 'none'}")
        with without_tf32(self.inputs.device):
            result = self._differentiator.gradient(point, kind, self.inputs, self.targets)
        self.spent += Spent(sample_forwards=len(self.inputs), backward_passes=len(self.inputs))
        return result

    @property
    def perturbs_nodes(self) -> bool:
        """Whether units can be perturbed."""
        return self._perturber is not None

    def perturb_nodes(
        self, point: Tensor, deviation: float, passes: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Mean loss (a scalar) and an estimate (D,) of its gradient at `point`; a pass, and the one without noise, is charged
        as a candidate is.
        """
        if self._perturber is None:
            raise ValueError("units of this objective cannot be perturbed")
        with without_tf32(self.inputs.device):
            result = self._perturber.estimate(point, deviation, passes, generator, self.inputs, self.targets)
        self.spent += Spent(candidate_evaluations=1 + passes, sample_forwards=(1 + passes) * len(self.inputs))
        return result
