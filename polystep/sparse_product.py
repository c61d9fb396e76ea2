"""Products of a sparse matrix and a few vectors.

Torch calls a function for each entry, which took most of the time of methods with two candidates a step.
"""

import importlib.util
from contextlib import suppress
from functools import cache, cached_property
from typing import Any

import torch
from torch import Tensor

from polystep.contracts import ExpectedError
from polystep.evaluation.compilation import require_numba

_FEW = 4
"""Up to as many vectors are multiplied one after the other: sums then stay in registers, and four rows hide each other's
latency. More share what is read of the matrix."""


class SparseProduct:
    """matrix (n, k), sparse COO and coalesced, times vectors (k, m): (n, m), to the last bit the sums of torch.

    On the CPU in single precision by compiled loops, where numba is installed.
    """

    def __init__(self, matrix: Tensor):
        self._matrix = matrix

    def __call__(self, vectors: Tensor) -> Tensor:
        """The product, (n, m), in the precision of `vectors`."""
        kernels = _kernels()
        plain = kernels is None or vectors.device.type != "cpu" or vectors.requires_grad or self._matrix.requires_grad
        if plain or (self._matrix.dtype, vectors.dtype) != (torch.float32,) * 2:
            product: Tensor = self._matrix.to(vectors.dtype) @ vectors
            return product
        few, sizes = vectors.shape[1] <= _FEW, (len(self), vectors.shape[1])
        result = torch.zeros(sizes[::-1]).T if few else torch.zeros(sizes)
        kernels[few](*self._rows, vectors.contiguous().numpy(), result.numpy())
        return result

    def __len__(self) -> int:
        """n."""
        return self._matrix.shape[0]

    @cached_property
    def _rows(self) -> tuple[Any, ...]:
        """Where each row starts, and one past the end; the columns and values of its entries."""
        rows, columns = self._matrix.indices()
        starts = torch.zeros(len(self) + 1, dtype=torch.int64)
        torch.cumsum(torch.bincount(rows, minlength=len(self)), 0, out=starts[1:])
        return starts.numpy(), columns.int().numpy(), self._matrix.values().numpy()


@cache
def _kernels() -> Any:
    """The loops for many and for few vectors; None where numba is missing or cannot start."""
    if importlib.util.find_spec("numba") is None:
        return None
    try:
        require_numba()
    except ExpectedError:
        return None
    from polystep.evaluation.jit import njit

    # products are not rounded before they are added, as in torch
    kernels = [njit(fastmath={"contract"})(loops) for loops in (_all_at_once, _one_by_one)]
    # the cache uses parts of numba that other versions may not have; then every process compiles
    with suppress(ImportError, AttributeError, TypeError):
        from polystep.evaluation.kernel_cache import keep

        for kernel in kernels:
            keep(kernel)
    return kernels


def _all_at_once(starts: Any, columns: Any, values: Any, vectors: Any, result: Any) -> None:
    for row in range(len(starts) - 1):
        for entry in range(starts[row], starts[row + 1]):
            column, value = columns[entry], values[entry]
            for n in range(vectors.shape[1]):
                result[row, n] += value * vectors[column, n]


def _one_by_one(starts: Any, columns: Any, values: Any, vectors: Any, result: Any) -> None:
    rows = len(starts) - 1
    for n in range(vectors.shape[1]):
        for row in range(0, rows - 3, 4):
            a, b, c, d, end = starts[row], starts[row + 1], starts[row + 2], starts[row + 3], starts[row + 4]
            shortest = min(min(b - a, c - b), min(d - c, end - d))
            sum_a = sum_b = sum_c = sum_d = result[row, n]
            for entry in range(shortest):
                sum_a += values[a + entry] * vectors[columns[a + entry], n]
                sum_b += values[b + entry] * vectors[columns[b + entry], n]
                sum_c += values[c + entry] * vectors[columns[c + entry], n]
                sum_d += values[d + entry] * vectors[columns[d + entry], n]
            result[row, n], result[row + 1, n], result[row + 2, n], result[row + 3, n] = sum_a, sum_b, sum_c, sum_d
            for later in range(row, row + 4):
                for entry in range(starts[later] + shortest, starts[later + 1]):
                    result[later, n] += values[entry] * vectors[columns[entry], n]
        for row in range(rows // 4 * 4, rows):
            for entry in range(starts[row], starts[row + 1]):
                result[row, n] += values[entry] * vectors[columns[entry], n]
