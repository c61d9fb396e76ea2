"""Full space, row subspace and hybrid subspace."""

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from polystep.layout import ParameterLayout
from polystep.subspace import FullSpace, HybridSubspace, RowSubspace, Subspace

Build = Callable[..., Subspace]

SPIKING = {"fc1.weight": (128, 784), "fc1.bias": (128,), "fc2.weight": (10, 128), "fc2.bias": (10,)}
INT8 = SPIKING | {"fc2.weight": (128, 128), "fc2.bias": (128,), "fc3.weight": (10, 128), "fc3.bias": (10,)}
ARGMAX = SPIKING | {"keys": (8, 128), "values.weight": (128, 128), "values.bias": (128,)}


@pytest.fixture
def layout() -> ParameterLayout:
    shapes = {"fc1.weight": (5, 6), "fc1.bias": (5,), "norm": (7,), "conv.weight": (4, 2, 3), "fc2.weight": (3, 4)}
    return ParameterLayout(shapes, aliases={"tied.weight": "fc2.weight"})


def full(layout: ParameterLayout, particle_dimension: int = 2, seed: int = 0) -> Subspace:
    return FullSpace(layout, particle_dimension, seed)


def row(layout: ParameterLayout, particle_dimension: int = 2, seed: int = 0, rank: int = 3) -> RowSubspace:
    return RowSubspace(layout, particle_dimension, seed, rank=rank)


def hybrid(layout: ParameterLayout, particle_dimension: int = 2, seed: int = 0, rank: int = 1) -> HybridSubspace:
    return HybridSubspace(layout, particle_dimension, seed, rank=rank)


def sparse(layout: ParameterLayout, particle_dimension: int = 2, seed: int = 0, rank: int = 1) -> HybridSubspace:
    return HybridSubspace(layout, particle_dimension, seed, rank=rank, dense_bytes=0)


ALL = pytest.mark.parametrize("build", [full, row, hybrid, sparse])
RANDOM = pytest.mark.parametrize("build", [row, hybrid, sparse])


def matrix(subspace: Subspace) -> Tensor:
    """The lift as a matrix: row k is the change (D,) of a unit step along coordinate k, padding included."""
    count = subspace.particles * subspace.particle_dimension
    return subspace.lift(torch.eye(count).reshape(count, subspace.particles, subspace.particle_dimension))


def coordinates(subspace: Subspace, *lead: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(*lead, subspace.particles, subspace.particle_dimension, generator=generator)


@ALL
def test_lift_is_linear(build: Build, layout: ParameterLayout) -> None:
    subspace = build(layout)
    z = coordinates(subspace, 2)
    torch.testing.assert_close(subspace.lift(z), z.flatten(1) @ matrix(subspace), rtol=1e-5, atol=1e-6)


@ALL
def test_lift_takes_any_number_of_leading_dimensions(build: Build, layout: ParameterLayout) -> None:
    subspace = build(layout)
    z = coordinates(subspace, 2, 3)
    lifted = subspace.lift(z)
    assert lifted.shape == (2, 3, layout.size)
    torch.testing.assert_close(lifted[1, 2], subspace.lift(z[1, 2]))


@ALL
def test_no_coordinates_lift_to_no_changes(build: Build, layout: ParameterLayout) -> None:
    subspace = build(layout)
    assert subspace.lift(coordinates(subspace, 0, 3)).shape == (0, 3, layout.size)
    offset = torch.zeros(0, subspace.particle_dimension)
    assert subspace.lift_each(torch.zeros(0, dtype=torch.int64), offset).shape == (0, layout.size)


@ALL
def test_lift_each_moves_one_particle_per_candidate(build: Build, layout: ParameterLayout) -> None:
    subspace = build(layout)
    particle = torch.tensor([3, 0, subspace.particles - 1, 3])
    offset = torch.randn(4, subspace.particle_dimension, generator=torch.Generator().manual_seed(2))
    z = torch.zeros(4, subspace.particles, subspace.particle_dimension)
    for n in range(4):
        z[n, particle[n]] = offset[n]
    torch.testing.assert_close(subspace.lift_each(particle, offset), subspace.lift(z))


@ALL
def test_particles_hold_all_coordinates_and_padding_changes_nothing(build: Build, layout: ParameterLayout) -> None:
    subspace = build(layout, particle_dimension=3)
    assert subspace.particles * 3 >= subspace.coordinates
    assert int((matrix(subspace) != 0).any(1).sum()) == subspace.coordinates


@RANDOM
def test_redraw_changes_the_projections_and_reproduces_them(build: Build, layout: ParameterLayout) -> None:
    subspace = build(layout)
    first = matrix(subspace)
    subspace.redraw(1)
    assert subspace.draw == 1
    second = matrix(subspace)
    assert not torch.equal(second, first)
    subspace.redraw(0)
    assert torch.equal(matrix(subspace), first)
    other = build(layout)
    other.redraw(1)
    assert torch.equal(matrix(other), second)


@RANDOM
def test_seed_determines_the_projections(build: Build, layout: ParameterLayout) -> None:
    assert torch.equal(matrix(build(layout, seed=3)), matrix(build(layout, seed=3)))
    assert not torch.equal(matrix(build(layout, seed=3)), matrix(build(layout, seed=4)))


@RANDOM
def test_projections_leave_the_global_random_state_alone(build: Build, layout: ParameterLayout) -> None:
    before = torch.get_rng_state()
    build(layout).redraw(1)
    assert torch.equal(torch.get_rng_state(), before)


@ALL
def test_tied_weights_move_together(build: Build, layout: ParameterLayout) -> None:
    subspace = build(layout)
    tensors = layout.unflatten(subspace.lift(coordinates(subspace)))
    assert torch.equal(tensors["tied.weight"], tensors["fc2.weight"])


@ALL
def test_particle_dimension_beyond_the_coordinates_is_an_error(build: Build) -> None:
    with pytest.raises(ValueError, match=r"particle_dimension.* 9"):
        build(ParameterLayout({"bias": (8,)}), particle_dimension=9)


@pytest.mark.parametrize("build", [full, row, hybrid])
def test_particle_dimension_below_one_is_an_error(build: Build, layout: ParameterLayout) -> None:
    with pytest.raises(ValueError, match="particle_dimension"):
        build(layout, particle_dimension=0)


@ALL
def test_scalar_and_empty_tensors_are_allowed(build: Build) -> None:
    subspace = build(ParameterLayout({"scale": (), "fc.weight": (2, 3), "empty": (0, 3)}))
    assert matrix(subspace).shape[1] == 7
    assert (matrix(subspace)[:, 0] != 0).any()


def test_full_space_coordinates_are_the_parameters() -> None:
    subspace = full(ParameterLayout({"weight": (5,)}))
    assert (subspace.coordinates, subspace.particles) == (5, 3)
    assert torch.equal(matrix(subspace), torch.eye(6)[:, :5])


def elements_of_row(layout: ParameterLayout, subspace: RowSubspace, group: int, row: int) -> Tensor:
    chosen = subspace.groups[group]
    mask = torch.zeros(layout.size, dtype=torch.bool)
    first = chosen.weight.offset + row * chosen.inputs
    mask[first : first + chosen.inputs] = True
    if chosen.bias is not None:
        mask[chosen.bias.offset + row] = True
    return mask


def test_row_groups_are_weights_with_their_biases(layout: ParameterLayout) -> None:
    groups = [(g.weight.name, g.bias and g.bias.name, g.rows, g.inputs, g.rank) for g in row(layout, rank=5).groups]
    assert groups == [
        ("fc1.weight", "fc1.bias", 5, 6, 5),
        ("norm", None, 1, 7, 5),
        ("conv.weight", None, 4, 6, 5),
        ("fc2.weight", None, 3, 4, 4),
    ]


def test_bias_of_another_length_is_a_row_of_its_own() -> None:
    subspace = row(ParameterLayout({"up.weight": (2, 3), "up.bias": (3,)}))
    assert [(group.weight.name, group.rows) for group in subspace.groups] == [("up.weight", 2), ("up.bias", 1)]


@settings(derandomize=True, deadline=None, max_examples=15)
@given(rank=st.integers(1, 9), particle_dimension=st.integers(1, 4))
def test_row_particle_touches_its_row_only(rank: int, particle_dimension: int) -> None:
    layout = ParameterLayout({"norm": (6,), "fc.weight": (4, 2, 3), "fc.bias": (4,), "out.weight": (2, 4)})
    subspace = row(layout, min(particle_dimension, rank), rank=rank)
    particles = torch.arange(subspace.particles)
    changes = subspace.lift_each(particles, torch.ones(len(particles), subspace.particle_dimension))
    for change, group, number in zip(changes, *subspace.locate(particles)[:2], strict=True):
        touched = elements_of_row(layout, subspace, int(group), int(number))
        assert (change[touched] != 0).any()
        assert (change[~touched] == 0).all()


@pytest.mark.parametrize(("particle_dimension", "rank"), [(1, 1), (2, 5), (3, 32)])
def test_locate_counts_blocks_within_rows_within_groups(
    layout: ParameterLayout, particle_dimension: int, rank: int
) -> None:
    subspace = row(layout, particle_dimension, rank=rank)
    located = list(zip(*(part.tolist() for part in subspace.locate(torch.arange(subspace.particles))), strict=True))
    expected = [
        (number, r, b)
        for number, group in enumerate(subspace.groups)
        for r in range(group.rows)
        for b in range(group.blocks)
    ]
    assert located == expected


def test_row_bases_are_orthonormal_then_padded_with_zeros(layout: ParameterLayout) -> None:
    subspace = row(layout, particle_dimension=2, rank=5)
    for group, basis in zip(subspace.groups, subspace.bases, strict=True):
        used, padding = basis[: group.rank], basis[group.rank :]
        torch.testing.assert_close(used @ used.T, torch.eye(group.rank), rtol=0, atol=1e-6)
        assert len(basis) == 2 * group.blocks
        assert (padding == 0).all()


def test_rows_of_a_tensor_share_their_basis(layout: ParameterLayout) -> None:
    subspace = row(layout, particle_dimension=3)
    first, second = subspace.lift_each(torch.tensor([0, 1]), torch.ones(2, 3))
    assert torch.equal(layout.unflatten(first)["fc1.weight"][0], layout.unflatten(second)["fc1.weight"][1])


def test_row_subspace_of_full_rank_reaches_every_parameter() -> None:
    layout = ParameterLayout({"fc.weight": (2, 3), "fc.bias": (2,)})
    assert torch.linalg.matrix_rank(matrix(row(layout, rank=32))) == layout.size


def test_row_particle_dimension_beyond_the_rank_is_an_error(layout: ParameterLayout) -> None:
    with pytest.raises(ValueError, match=r"particle_dimension must lie in 1\.\.3"):
        row(layout, particle_dimension=4, rank=3)


@pytest.mark.parametrize(
    ("shapes", "rank", "count"), [(SPIKING, 4, 4338), (SPIKING, 8, 8538), (INT8, 8, 10714), (ARGMAX, 8, 11802)]
)
def test_hybrid_coordinate_counts_of_the_paper(
    shapes: dict[str, tuple[int, ...]], rank: int, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HybridSubspace, "redraw", lambda self, draw: None)
    subspace = HybridSubspace(ParameterLayout(shapes), particle_dimension=8, seed=0, rank=rank)
    assert (subspace.coordinates, subspace.particles) == (count, math.ceil(count / 8))


CART_POLE = {"hidden.weight": (16, 4), "hidden.bias": (16,), "output.weight": (2, 16), "output.bias": (2,)}
ACROBOT = {"hidden.weight": (16, 6), "hidden.bias": (16,), "output.weight": (3, 16), "output.bias": (3,)}


@pytest.mark.parametrize(
    ("shapes", "cap", "counts"),
    [
        (CART_POLE, 24, [4, 16, 2, 2]),
        (ACROBOT, 24, [3, 16, 2, 3]),
        (CART_POLE, 18, [1, 16, 1, 2]),
        (CART_POLE, 134, [80, 16, 36, 2]),
        (CART_POLE, None, [80, 16, 36, 2]),
    ],
)
def test_a_cap_shrinks_the_projections_and_keeps_the_vectors(
    shapes: dict[str, tuple[int, ...]], cap: int | None, counts: list[int]
) -> None:
    """24 is that of the published policies (EDITIONS.md, control)."""
    layout = ParameterLayout(shapes)
    subspace = HybridSubspace(layout, particle_dimension=1, seed=0, rank=4, cap=cap)
    lifted = matrix(subspace)
    moved = [int(lifted[:, entry.span].abs().amax(1).count_nonzero()) for entry in layout.entries]
    assert moved == counts and sum(counts) == subspace.coordinates
    for entry, count in zip(layout.entries, counts, strict=True):
        rows = lifted[:, entry.span]
        rows = rows[rows.abs().amax(1) > 0]
        if count < entry.size:
            assert torch.allclose(rows @ rows.T, torch.eye(count), atol=1e-5)


@pytest.mark.parametrize(
    ("shapes", "rank", "cap", "counts"),
    [
        ({"keys": (8, 128), "gate": (4, 128), "gate.bias": (4,)}, 8, None, [1024, 512, 4]),
        ({"keys": (8, 128), "gate": (4, 128), "gate.bias": (4,)}, 4, None, [544, 512, 4]),
        (CART_POLE, 4, None, [64, 16, 32, 2]),
        (CART_POLE, 4, 24, [4, 16, 2, 2]),
        (ACROBOT, 4, 24, [3, 16, 2, 3]),
    ],
)
def test_no_more_coordinates_than_elements(
    shapes: dict[str, tuple[int, ...]], rank: int, cap: int | None, counts: list[int]
) -> None:
    """The revised edition's rule; where a tensor has as many as elements, its own elements are its coordinates."""
    layout = ParameterLayout(shapes)
    subspace = HybridSubspace(layout, particle_dimension=1, seed=0, rank=rank, cap=cap, at_most_elements=True)
    assert subspace.coordinates == sum(counts)
    for (entry, first, projection), count in zip(subspace.projections(), counts, strict=True):
        assert projection.shape == (entry.size, count)
        if count == entry.size:
            lifted = subspace.lift(torch.eye(subspace.coordinates)[first : first + count].unsqueeze(2))
            assert torch.equal(lifted[:, entry.span], torch.eye(count))


def test_a_cap_below_the_vectors_is_an_error() -> None:
    with pytest.raises(ValueError, match="cap must be at least 18, the coordinates of the 1-D tensors, got 17"):
        HybridSubspace(ParameterLayout(CART_POLE), particle_dimension=1, seed=0, cap=17)


def projection(shape: tuple[int, ...], rank: int, seed: int = 0, dense_bytes: int = 10**9) -> Tensor:
    """The projection (elements, coordinates) of one tensor."""
    layout = ParameterLayout({"weight": shape})
    return matrix(HybridSubspace(layout, 1, seed, rank=rank, dense_bytes=dense_bytes)).T


def test_vectors_and_full_counts_are_moved_directly() -> None:
    assert torch.equal(projection((7,), rank=1), torch.eye(7))
    assert torch.equal(projection((4, 4), rank=2), torch.eye(16))
    assert torch.equal(projection((4, 2, 2), rank=2, dense_bytes=0), torch.eye(16))


def test_dense_projection_has_orthonormal_columns() -> None:
    dense = projection((8, 9), rank=2)
    assert dense.shape == (72, 34)
    torch.testing.assert_close(dense.T @ dense, torch.eye(34), rtol=0, atol=1e-5)


def test_wide_projection_is_gaussian_with_rows_of_unit_length() -> None:
    wide = projection((20, 30), rank=15)
    assert wide.shape == (600, 750)
    assert wide.norm(dim=1).square().mean() == pytest.approx(1, abs=0.01)
    assert wide.mean() == pytest.approx(0, abs=3e-4)
    assert wide.pow(4).mean() == pytest.approx(3 / 750**2, rel=0.03)


def test_sparse_projection_adds_rademacher_entries() -> None:
    columns = projection((30, 40), rank=3, dense_bytes=0).T
    assert columns.shape == (210, 1200)
    entries = math.isqrt(1200)
    counts = columns * math.sqrt(entries)
    torch.testing.assert_close(counts, counts.round(), rtol=0, atol=1e-5)
    sizes = counts.round().abs().sum(1)
    assert sizes.max() == entries
    # two entries on one element cancel or add up, so the number of entries changes by an even number
    assert ((entries - sizes) % 2 == 0).all()
    assert columns.square().sum(1).mean() == pytest.approx(1, abs=0.05)
    assert columns.sum() / columns.abs().sum() == pytest.approx(0, abs=0.06)


def test_memory_bound_decides_between_dense_and_sparse() -> None:
    bytes_of_matrix = 4 * (8 * 9) * (2 * (8 + 9))
    assert torch.equal(projection((8, 9), 2, dense_bytes=bytes_of_matrix), projection((8, 9), 2))
    assert torch.equal(projection((8, 9), 2, dense_bytes=bytes_of_matrix - 1), projection((8, 9), 2, dense_bytes=0))


def test_tensors_of_equal_shape_have_projections_of_their_own() -> None:
    subspace = hybrid(ParameterLayout({"a": (4, 5), "b": (4, 5)}), particle_dimension=1)
    lift = matrix(subspace)
    assert not torch.allclose(lift[:9, :20], lift[9:, 20:])
    assert (lift[:9, 20:] == 0).all()
    assert (lift[9:, :20] == 0).all()


def test_projection_seed_is_shared_across_run_seeds(layout: ParameterLayout) -> None:
    lifts = [matrix(HybridSubspace(layout, 2, seed, rank=1, projection_seed=0)) for seed in (0, 1, 2)]
    assert all(torch.equal(first, second) for first, second in pairwise(lifts))
    assert not torch.equal(matrix(hybrid(layout, seed=1)), lifts[0])


@pytest.mark.parametrize("rank", [1, 2, 4])
@pytest.mark.parametrize("dense_bytes", [0, 10**9])
def test_columns_are_the_lift(layout: ParameterLayout, rank: int, dense_bytes: int) -> None:
    subspace = HybridSubspace(layout, 1, 0, rank=rank, dense_bytes=dense_bytes)
    columns = subspace.columns()
    written = torch.zeros(subspace.coordinates, layout.size)
    written[columns.coordinates, columns.elements] = columns.values
    assert torch.equal(written, matrix(subspace))
    assert (columns.coordinates.diff() >= 0).all()


def test_rank_below_one_is_an_error(layout: ParameterLayout) -> None:
    with pytest.raises(ValueError, match="rank must be at least 1, got 0"):
        hybrid(layout, rank=0)
