"""Products of a sparse matrix and a few vectors: those of torch, to the last bit."""

import pytest
import torch

from polystep.sparse_product import SparseProduct, _kernels

GENERATOR = torch.Generator().manual_seed(3)


def sparse_matrix() -> torch.Tensor:
    """Many entries a row, rows without any, and entries that fall together."""
    places = torch.stack([torch.randint(bound, (4000,), generator=GENERATOR) for bound in (90, 40)])
    values = torch.randn(4000, generator=GENERATOR)
    return torch.sparse_coo_tensor(places, values, (100, 40), check_invariants=True).coalesce()


@pytest.mark.parametrize("count", [1, 3, 4, 5, 32])
def test_every_bit_is_that_of_torch(count: int) -> None:
    assert _kernels() is not None, "torch is not compared with itself"
    matrix, vectors = sparse_matrix(), torch.randn(count, 40, generator=GENERATOR)
    found = SparseProduct(matrix)(vectors.T)
    assert torch.equal(found, matrix @ vectors.T)
    torch.testing.assert_close(found, matrix.to_dense() @ vectors.T)


def test_double_precision() -> None:
    matrix, vectors = sparse_matrix().double(), torch.randn(40, 2, generator=GENERATOR).double()
    torch.testing.assert_close(SparseProduct(matrix)(vectors), matrix.to_dense() @ vectors)


@pytest.mark.parametrize("rows", range(1, 10))
def test_every_number_of_rows(rows: int) -> None:
    """Rows are taken four at a time; the last ones, and what a row has more than its neighbours, are added apart."""
    places = torch.stack([torch.randint(bound, (3 * rows,), generator=GENERATOR) for bound in (rows, 7)])
    values = torch.randn(3 * rows, generator=GENERATOR)
    matrix = torch.sparse_coo_tensor(places, values, (rows, 7), check_invariants=True).coalesce()
    for count in (1, 2, 4, 5):
        vectors = torch.randn(7, count, generator=GENERATOR)
        assert torch.equal(SparseProduct(matrix)(vectors), matrix @ vectors)


def test_a_matrix_without_entries() -> None:
    empty = torch.sparse_coo_tensor(
        torch.zeros(2, 0, dtype=torch.int64), torch.zeros(0), (5, 3), check_invariants=True
    ).coalesce()
    assert torch.equal(SparseProduct(empty)(torch.ones(3, 1)), torch.zeros(5, 1))


def test_what_is_not_finite_stays_where_it_belongs() -> None:
    places, values = torch.tensor([[0, 2], [0, 1]]), torch.tensor([2.0, 3.0])
    matrix = torch.sparse_coo_tensor(places, values, (3, 2), check_invariants=True).coalesce()
    found = SparseProduct(matrix)(torch.tensor([[torch.nan], [1.0]]))
    assert found[0].isnan() and found[1:, 0].tolist() == [0.0, 3.0]
