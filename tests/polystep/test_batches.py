"""Batches of a user's data: what is read, and what is refused with a remedy."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from polystep.batches import Batches, TrainingError

READER = Batches.of(nn.Linear(2, 2))


def test_arrays_lists_and_tensors_are_read() -> None:
    for inputs in (np.ones((3, 2)), [[1, 1.0]] * 3, torch.ones(3, 2, dtype=torch.float16)):
        found, targets = READER.read((inputs, [0, 1, 2]))
        assert found.dtype == torch.float32 and torch.equal(found, torch.ones(3, 2))
        assert targets.tolist() == [0, 1, 2]
    # numbers of tokens stay whole
    assert READER.read([torch.ones(3, 2).long(), torch.zeros(3)])[0].dtype == torch.int64


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ({"image": 1, "label": 2}, r"a dictionary with the keys 'image', 'label'; make pairs of it, in the collate_fn"),
        ((1, 2, 3), r"pairs \(inputs, targets\), got 3 parts"),
        (torch.ones(3, 2), r"got Tensor; tensors in memory make pairs by DataLoader\(TensorDataset"),
        (({"ids": 1}, torch.ones(3)), "inputs must be one tensor or array, got dict"),
        ((torch.ones(3, 2), ["cat", "dog", "cat"]), "targets must be one tensor or array, got list"),
        (
            (torch.ones(3, 2), torch.ones(4)),
            r"as many targets as inputs, got inputs of shape \(3, 2\) and targets of shape \(4,\)",
        ),
        ((torch.ones(0, 2), torch.ones(0)), "at least one row"),
        ((torch.ones(3, 2), torch.tensor(1)), r"targets of shape \(\)"),
    ],
)
def test_others_are_refused(batch: Any, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        READER.read(batch)


def pairs(count: int) -> Iterator[Any]:
    for number in range(count):
        yield torch.full((1, 2), float(number)), torch.zeros(1)


def test_data_are_gone_through_again() -> None:
    seen = [int(inputs[0, 0]) for inputs, _ in islice(READER.endless(list(pairs(3))), 8)]
    assert seen == [0, 1, 2, 0, 1, 2, 0, 1]


def test_data_that_end_are_named() -> None:
    batches = READER.endless(pairs(3))
    for _ in range(3):
        next(batches)
    with pytest.raises(TrainingError, match=r"ended after 3 batches and cannot be read again.*a list or a DataLoader"):
        next(batches)
    with pytest.raises(TrainingError, match="the data are empty"):
        next(READER.endless([]))
