"""Batches of a user's data: pairs of inputs and targets, checked and brought to where the model is."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from polystep.contracts import ExpectedError


class TrainingError(ExpectedError, ValueError):
    """A model, a loss or data that cannot be trained with; the message names the remedy."""


_WHOLE_NUMBERS = {torch.int8, torch.int16, torch.int32, torch.uint8, torch.uint16, torch.uint32, torch.uint64}


@dataclass(frozen=True)
class Batches:
    """Reads pairs (inputs, targets) as tensors on a model's device: floating inputs in its type, class numbers as int64."""

    device: torch.device
    dtype: torch.dtype

    @classmethod
    def of(cls, model: nn.Module) -> "Batches":
        """Those of a model, all of whose parameters are on one device."""
        dtypes = [parameter.dtype for parameter in model.parameters() if parameter.is_floating_point()]
        devices = sorted({str(tensor.device) for tensor in (*model.parameters(), *model.buffers())})
        if not dtypes:
            raise TrainingError(
                f"{type(model).__name__} has no floating-point parameters, so there is nothing to train; give it some "
                "nn.Parameter"
            )
        if len(devices) > 1:
            raise TrainingError(
                f"the model is on {' and '.join(devices)}; move all of it to one device, with model.to(...)"
            )
        return cls(torch.device(devices[0]), dtypes[0])

    def read(self, batch: Any) -> tuple[Tensor, Tensor]:
        """The pair that `batch` is; TrainingError where it is none."""
        if isinstance(batch, Mapping):
            keys = ", ".join(repr(key) for key in batch)
            raise TrainingError(
                f"batches must be pairs (inputs, targets), got a dictionary with the keys {keys}; make pairs of it, in the "
                "collate_fn of a DataLoader for example"
            )
        if not isinstance(batch, tuple | list) or len(batch) != 2:
            found = f"{len(batch)} parts" if isinstance(batch, tuple | list) else type(batch).__name__
            raise TrainingError(
                f"batches must be pairs (inputs, targets), got {found}; tensors in memory make pairs by "
                "DataLoader(TensorDataset(inputs, targets), batch_size=512, shuffle=True)"
            )
        inputs, targets = (self._tensor(part, name) for part, name in zip(batch, ("inputs", "targets"), strict=True))
        if inputs.is_floating_point():
            inputs = inputs.to(self.dtype)
        if targets.dtype in _WHOLE_NUMBERS:
            targets = targets.long()
        if inputs.ndim == 0 or targets.ndim == 0 or len(inputs) != len(targets) or len(inputs) == 0:
            raise TrainingError(
                "a batch needs at least one row and as many targets as inputs, got inputs of shape "
                f"{tuple(inputs.shape)} and targets of shape {tuple(targets.shape)}"
            )
        return inputs, targets

    def _tensor(self, part: Any, name: str) -> Tensor:
        try:
            return torch.as_tensor(part).detach().to(self.device)
        except (TypeError, ValueError, RuntimeError) as error:
            raise TrainingError(
                f"{name} must be one tensor or array, got {type(part).__name__} ({error}); let the model take one tensor"
            ) from None

    def endless(self, batches: Iterable[Any]) -> Iterator[tuple[Tensor, Tensor]]:
        """All batches, over and over."""
        count = 0
        while True:
            before = count
            for batch in all_of(batches):
                count += 1
                yield self.read(batch)
            if count == before:
                raise TrainingError(_used_up(count))


def all_of(batches: Iterable[Any]) -> Iterator[Any]:
    """An iterator over batches; TrainingError where there can be none."""
    if not (isinstance(batches, Iterable) or hasattr(type(batches), "__getitem__")):
        raise TrainingError(
            f"data must be an iterable of pairs (inputs, targets), such as a list or a DataLoader, got {batches!r}"
        )
    return iter(batches)


def _used_up(count: int) -> str:
    if not count:
        return "there are no batches: the data are empty"
    return (
        f"the data ended after {count} batches and cannot be read again; give something that can, such as a list or a "
        "DataLoader instead of a generator, or fewer steps"
    )
