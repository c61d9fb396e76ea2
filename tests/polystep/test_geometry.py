"""Polytopes, Haar rotations and biased rotations."""

import math

import pytest
import torch
from torch import Tensor

from polystep.geometry import Polytope, bias_rotations, haar_rotations, polytope_vertices, turn_nearest_vertices

SAMPLES = 20_000


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def assert_rotations(matrices: Tensor) -> None:
    identity = torch.eye(matrices.shape[-1]).expand_as(matrices)
    torch.testing.assert_close(matrices.mT @ matrices, identity, rtol=0, atol=1e-5)
    torch.testing.assert_close(torch.linalg.det(matrices), torch.ones(len(matrices)), rtol=0, atol=1e-5)


@pytest.mark.parametrize("dimension", [1, 2, 3, 8])
@pytest.mark.parametrize(
    ("polytope", "count"), [("orthoplex", lambda d: 2 * d), ("simplex", lambda d: d + 1), ("cube", lambda d: 2**d)]
)
def test_polytope_is_centred_with_unit_radius_and_looks_alike_from_all_sides(polytope, count, dimension: int) -> None:
    vertices = polytope_vertices(polytope, dimension)
    assert vertices.shape == (count(dimension), dimension)
    torch.testing.assert_close(vertices.norm(dim=1), torch.ones(len(vertices)), rtol=0, atol=1e-6)
    torch.testing.assert_close(vertices.mean(0), torch.zeros(dimension), rtol=0, atol=1e-6)
    spread = vertices.T @ vertices / len(vertices)
    torch.testing.assert_close(spread, torch.eye(dimension) / dimension, rtol=0, atol=1e-6)


@pytest.mark.parametrize("polytope", ["orthoplex", "simplex", "cube"])
def test_vertices_are_distinct(polytope: Polytope) -> None:
    vertices = polytope_vertices(polytope, 4)
    assert torch.cdist(vertices, vertices).fill_diagonal_(1).min() > 0.5


def test_orthoplex_lists_positive_before_negative_axes() -> None:
    assert torch.equal(polytope_vertices("orthoplex", 3), torch.cat([torch.eye(3), -torch.eye(3)]))


def test_bits_of_a_cube_index_are_minus_signs() -> None:
    signs = polytope_vertices("cube", 2) * math.sqrt(2)
    torch.testing.assert_close(signs, torch.tensor([[1.0, 1], [-1, 1], [1, -1], [-1, -1]]))


def test_simplex_vertices_are_equally_far_apart() -> None:
    distances = torch.pdist(polytope_vertices("simplex", 5))
    torch.testing.assert_close(distances, distances[:1].expand_as(distances))


def test_polytope_errors() -> None:
    with pytest.raises(ValueError, match="at least 1, got 0"):
        polytope_vertices("cube", 0)
    with pytest.raises(ValueError, match="unknown polytope 'dodecahedron'"):
        polytope_vertices("dodecahedron", 3)  # type: ignore[arg-type]


@pytest.mark.parametrize("dimension", [1, 2, 3, 8])
def test_rotations_are_orthogonal_with_determinant_one(dimension: int) -> None:
    assert_rotations(haar_rotations(100, dimension, generator()))


@pytest.mark.parametrize("dimension", [2, 3, 5])
def test_moments_of_entries_follow_the_haar_law(dimension: int) -> None:
    entries = haar_rotations(SAMPLES, dimension, generator())
    five_deviations = 5 / math.sqrt(SAMPLES)
    for power, moment in ((1, 0.0), (2, 1 / dimension), (4, 3 / (dimension * (dimension + 2)))):
        mean = entries.pow(power).mean(0)
        torch.testing.assert_close(mean, torch.full_like(mean, moment), rtol=0, atol=five_deviations)


@pytest.mark.parametrize("dimension", [2, 3])
def test_haar_law_is_unchanged_by_a_fixed_rotation(dimension: int) -> None:
    fixed = haar_rotations(1, dimension, generator(1))[0]
    entries = fixed @ haar_rotations(SAMPLES, dimension, generator(2))
    torch.testing.assert_close(entries.mean(0), torch.zeros(dimension, dimension), rtol=0, atol=5 / math.sqrt(SAMPLES))


@pytest.mark.parametrize("dimension", [2, 3])
def test_rotations_are_determined_by_the_generator(dimension: int) -> None:
    first = haar_rotations(4, dimension, generator(3))
    assert torch.equal(first, haar_rotations(4, dimension, generator(3)))
    assert not torch.equal(first, haar_rotations(4, dimension, generator(4)))


@pytest.fixture(params=[2, 3, 8])
def rotations(request: pytest.FixtureRequest) -> Tensor:
    return haar_rotations(50, request.param, generator(5))


def test_biased_rotation_has_column_0_along_the_direction(rotations: Tensor) -> None:
    directions = torch.randn(rotations.shape[:2], generator=generator(6)) * 10
    biased = bias_rotations(rotations, directions)
    assert_rotations(biased)
    torch.testing.assert_close(biased[:, :, 0], directions / directions.norm(dim=1, keepdim=True), rtol=0, atol=1e-5)


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("column", [0, 1])
def test_direction_along_a_column_is_no_obstacle(rotations: Tensor, column: int, sign: float) -> None:
    directions = sign * rotations[:, :, column]
    biased = bias_rotations(rotations, directions)
    assert_rotations(biased)
    torch.testing.assert_close(biased[:, :, 0], directions, rtol=0, atol=1e-5)


@pytest.mark.parametrize("useless", [0.0, math.nan, math.inf])
def test_useless_direction_leaves_its_rotation_as_it_is(rotations: Tensor, useless: float) -> None:
    directions = torch.ones(rotations.shape[:2])
    directions[3] = useless
    biased = bias_rotations(rotations, directions)
    assert torch.equal(biased[3], rotations[3])
    assert_rotations(biased)
    torch.testing.assert_close(biased[4, :, 0], directions[4] / directions[4].norm(), rtol=0, atol=1e-5)


POLYTOPES = pytest.mark.parametrize("polytope", ["orthoplex", "simplex", "cube"])


@POLYTOPES
def test_nearest_vertex_is_turned_onto_the_direction(rotations: Tensor, polytope: Polytope) -> None:
    vertices = polytope_vertices(polytope, rotations.shape[1])
    directions = torch.randn(rotations.shape[:2], generator=generator(6)) * 10
    turned = turn_nearest_vertices(rotations, vertices, directions)
    assert_rotations(turned)
    unit = directions / directions.norm(dim=1, keepdim=True)
    before = torch.einsum("pij,vj,pi->pv", rotations, vertices, unit)
    after = torch.einsum("pij,vj,pi->pv", turned, vertices, unit)
    assert torch.equal(after.argmax(1), before.argmax(1))
    torch.testing.assert_close(after.amax(1), torch.ones(len(after)), rtol=0, atol=1e-5)


@POLYTOPES
def test_the_turn_is_the_smallest(rotations: Tensor, polytope: Polytope) -> None:
    """It turns the plane of vertex and direction by their angle and nothing else: its trace is d - 2 + 2 cos."""
    dimension = rotations.shape[1]
    vertices = polytope_vertices(polytope, dimension)
    directions = torch.randn(rotations.shape[:2], generator=generator(7))
    turn = turn_nearest_vertices(rotations, vertices, directions) @ rotations.mT
    unit = directions / directions.norm(dim=1, keepdim=True)
    cosine = torch.einsum("pij,vj,pi->pv", rotations, vertices, unit).amax(1)
    trace = turn.diagonal(dim1=1, dim2=2).sum(1)
    torch.testing.assert_close(trace, dimension - 2 + 2 * cosine, rtol=0, atol=1e-4)


@pytest.mark.parametrize("useless", [0.0, math.nan, math.inf])
def test_useless_direction_turns_nothing(rotations: Tensor, useless: float) -> None:
    directions = torch.ones(rotations.shape[:2])
    directions[3] = useless
    turned = turn_nearest_vertices(rotations, polytope_vertices("simplex", rotations.shape[1]), directions)
    assert torch.equal(turned[3], rotations[3])
    assert_rotations(turned)


def test_one_dimension_cannot_be_biased() -> None:
    rotation = haar_rotations(4, 1, generator())
    assert torch.equal(bias_rotations(rotation, -torch.ones(4, 1)), rotation)
