"""Subspaces of directions without structure."""

import math

import pytest
import torch

from polystep.dense_subspace import DenseSubspace
from polystep.layout import ParameterLayout


def subspace(size: int = 3000, dimension: int = 4, seed: int = 0, **settings: object) -> DenseSubspace:
    return DenseSubspace(ParameterLayout({"point": (size,)}), dimension, seed, **settings)  # type: ignore[arg-type]


def rows(found: DenseSubspace) -> torch.Tensor:
    """What each coordinate changes, padding included."""
    count = found.particles * found.particle_dimension
    return found.lift(torch.eye(count).reshape(count, found.particles, found.particle_dimension))


def test_gaussian_directions_are_as_long_as_noise() -> None:
    basis = rows(subspace(coordinates=12))
    assert float(basis.mean()) == pytest.approx(0, abs=5 / math.sqrt(36_000))
    assert float(basis.square().mean()) == pytest.approx(1, abs=5 * math.sqrt(2 / 36_000))


def test_orthonormal_directions() -> None:
    basis = rows(subspace(coordinates=12, basis="orthonormal"))
    torch.testing.assert_close(basis @ basis.T, torch.eye(12), rtol=0, atol=1e-5)


def test_coordinates_keep_their_precision() -> None:
    found = subspace(coordinates=12)
    assert found.lift(torch.ones(found.particles, 4, dtype=torch.float64)).dtype == torch.float64


def test_the_last_particle_is_padded_with_what_changes_nothing() -> None:
    found = subspace(coordinates=10)
    assert (found.particles, found.coordinates) == (3, 10)
    lengths = rows(found).norm(dim=1)
    assert (lengths[:10] > 0).all() and (lengths[10:] == 0).all()


def test_moving_one_particle_alone_is_part_of_moving_all() -> None:
    found = subspace(coordinates=10)
    generator = torch.Generator().manual_seed(1)
    offset, particle = torch.randn(5, 4, generator=generator), torch.tensor([2, 0, 0, 1, 2])
    z = torch.zeros(5, 3, 4)
    z[torch.arange(5), particle] = offset
    torch.testing.assert_close(found.lift_each(particle, offset), found.lift(z), rtol=1e-5, atol=1e-5)


def test_draws_follow_the_seed_and_come_back() -> None:
    one, other = subspace(coordinates=8), subspace(coordinates=8, seed=1)
    first = rows(one)
    assert not torch.equal(first, rows(other))
    one.redraw(3)
    assert one.draw == 3 and not torch.equal(first, rows(one))
    one.redraw(0)
    assert torch.equal(first, rows(one))


@pytest.mark.parametrize(("size", "coordinates"), [(50, 50), (1000, 64), (4000, 200), (100_000, 4096)])
def test_default_number_of_the_global_projection(monkeypatch: pytest.MonkeyPatch, size: int, coordinates: int) -> None:
    monkeypatch.setattr(DenseSubspace, "redraw", lambda self, draw: None)
    assert subspace(size, coordinates=None).coordinates == coordinates


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"coordinates": 0}, r"coordinates must lie in 1..3000, the number of parameters, got 0"),
        ({"coordinates": 3001}, "coordinates must lie in"),
        ({"coordinates": 3}, "particle_dimension 4 is larger than the 3 coordinates"),
        ({"basis": "haar"}, "basis must be 'gaussian' or 'orthonormal', got 'haar'"),
    ],
    ids=str,
)
def test_invalid_settings_are_named(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        subspace(**settings)  # type: ignore[arg-type]
