"""Products of a sparse matrix and a few vectors.

Torch calls a function for each entry, which took most of the time of methods with two candidates a step.
"""

import importlib.util
from contextlib import suppress
from functools import cache
from typing import Any

import torch
from torch import Tensor

from polystep.contracts import ExpectedError
from polystep.evaluation.compilation import require_numba


def sparse_product(matrix: Tensor, vectors: Tensor) -> Tensor:
    """matrix (n, k), sparse COO and coalesced, times vectors (k, m): (n, m), to the last bit the sums of torch.

    On the CPU in single precision by compiled loops, where numba is installed.
    """
    kernel = _kernel()
    plain = kernel is None or vectors.device.type != "cpu" or vectors.requires_grad or matrix.requires_grad
    if plain or (matrix.dtype, vectors.dtype) != (torch.float32,) * 2:
        product: Tensor = matrix @ vectors
        return product
    rows, columns = matrix.indices()
    result = torch.zeros(matrix.shape[0], vectors.shape[1])
    arrays = (rows, columns, matrix.values(), vectors.contiguous(), result)
    kernel(*(array.numpy() for array in arrays))
    return result


@cache
def _kernel() -> Any:
    """The loops; None where numba is missing or cannot start."""
    if importlib.util.find_spec("numba") is None:
        return None
    try:
        require_numba()
    except ExpectedError:
        return None
    from polystep.evaluation.jit import njit

    # products are not rounded before they are added, as in torch
    kernel = njit(fastmath={"contract"})(_add_products)
    # the cache uses parts of numba that other versions may not have; then every process compiles
    with suppress(ImportError, AttributeError, TypeError):
        from polystep.evaluation.kernel_cache import keep

        keep(kernel)
    return kernel


def _add_products(rows: Any, columns: Any, values: Any, vectors: Any, result: Any) -> None:
    for entry in range(len(rows)):
        row, column, value = rows[entry], columns[entry], values[entry]
        for n in range(vectors.shape[1]):
            result[row, n] += value * vectors[column, n]
