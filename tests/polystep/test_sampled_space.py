"""The subspace that lets a share of the particles move."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from polystep.layout import ParameterLayout
from polystep.sampled_space import SampledSpace


def space(size: int, dimension: int = 2, seed: int = 0, one_in: int = 3) -> SampledSpace:
    return SampledSpace(ParameterLayout({"point": (size,)}), dimension, seed, one_in)


@given(st.integers(2, 60), st.integers(1, 5), st.integers(1, 7), st.integers(0, 20))
def test_one_particle_of_every_group_is_chosen(size: int, dimension: int, one_in: int, draw: int) -> None:
    dimension = min(dimension, size)
    sampled = space(size, dimension, one_in=one_in)
    sampled.redraw(draw)
    particles = -(-size // dimension)
    assert sampled.particles == len(sampled.active) == -(-particles // one_in)
    assert torch.equal(sampled.active // one_in, torch.arange(sampled.particles))
    assert sampled.active.max() < particles


def test_lift_moves_chosen_particles_only() -> None:
    sampled = space(7, one_in=2)
    coordinates = torch.arange(1.0, 5.0).reshape(2, 2)
    change = sampled.lift(coordinates)
    assert change.shape == (7,)
    whole = torch.zeros(8)
    for particle, values in zip(sampled.active.tolist(), coordinates, strict=True):
        whole[2 * particle : 2 * particle + 2] = values
    assert torch.equal(change, whole[:7])
    several = sampled.lift(torch.stack([coordinates, 2 * coordinates]))
    assert torch.equal(several, torch.stack([change, 2 * change]))
    each = sampled.lift_each(torch.tensor([0, 1]), coordinates)
    assert torch.equal(each.sum(0), change)


def test_choices_follow_the_seed_and_the_draw_and_are_fair() -> None:
    one, other = space(300), space(300, seed=1)
    first = one.active
    assert not torch.equal(first, other.active)
    counts = torch.zeros(150)
    for draw in range(300):
        one.redraw(draw)
        counts[one.active] += 1
    # 100 expected each, standard deviation 8
    assert counts.min() > 60 and counts.max() < 140
    one.redraw(0)
    assert torch.equal(one.active, first)


def test_one_in_one_is_the_full_space() -> None:
    assert torch.equal(space(10, one_in=1).lift(torch.ones(5, 2)), torch.ones(10))


def test_one_in_must_be_positive() -> None:
    with pytest.raises(ValueError, match="one_in must be at least 1, got 0"):
        space(10, one_in=0)
