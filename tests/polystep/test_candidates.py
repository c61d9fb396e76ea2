"""Dense, seeded and particle candidates, written out as points."""

import pytest
import torch

from polystep.candidates import DenseCandidates, ParticleCandidates, SeededCandidates
from polystep.layout import ParameterLayout
from polystep.random import named_generator
from polystep.subspace import FullSpace, HybridSubspace

SLICES = [slice(None), slice(1, 3), slice(2, 100), slice(0, 0)]


@pytest.fixture
def seeded() -> SeededCandidates:
    return SeededCandidates(torch.arange(5.0), torch.tensor([7, 7, 8, 2**62]), torch.tensor([0.5, -0.5, 0.5, 2.0]))


@pytest.fixture
def space() -> FullSpace:
    return FullSpace(ParameterLayout({"tensor": (5,)}), particle_dimension=2, seed=0)


@pytest.mark.parametrize("part", SLICES)
def test_dense_candidates_are_their_points(part: slice) -> None:
    points = torch.arange(12.0).reshape(4, 3)
    candidates = DenseCandidates(points)
    assert len(candidates) == 4
    assert torch.equal(candidates.dense(part), points[part])


@pytest.mark.parametrize("part", SLICES)
def test_part_of_seeded_candidates_is_part_of_all(seeded: SeededCandidates, part: slice) -> None:
    assert len(seeded) == 4
    assert torch.equal(seeded.dense(part), seeded.dense(slice(None))[part])


def test_seeded_candidates_add_scaled_noise_to_the_base(seeded: SeededCandidates) -> None:
    moved = seeded.dense(slice(None)) - seeded.base
    torch.testing.assert_close(moved[3], 2 * seeded.noise(3))
    assert not torch.allclose(seeded.noise(0), seeded.noise(2))


def test_negative_scale_gives_the_antithetic_partner(seeded: SeededCandidates) -> None:
    moved = seeded.dense(slice(0, 2)) - seeded.base
    torch.testing.assert_close(moved[0], -moved[1])


def test_noise_is_standard_normal() -> None:
    noise = SeededCandidates(torch.zeros(20_000), torch.tensor([1]), torch.ones(1)).noise(0)
    assert noise.mean() == pytest.approx(0, abs=0.03)
    assert noise.std() == pytest.approx(1, abs=0.03)


def test_rademacher_noise_is_a_fair_sign() -> None:
    candidates = SeededCandidates(torch.zeros(20_000), torch.tensor([1, 1]), torch.tensor([0.5, -0.5]), "rademacher")
    ahead, behind = candidates.dense(slice(None))
    assert torch.equal(ahead.abs(), torch.full((20_000,), 0.5))
    assert torch.equal(ahead, -behind)
    assert ahead.mean() == pytest.approx(0, abs=0.02)


def test_neighbours_with_the_same_seed_share_the_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    candidates = SeededCandidates(torch.zeros(3), torch.tensor([5, 5, 6, 6, 5]), torch.ones(5))
    alone = [candidates.dense(slice(n, n + 1))[0] for n in range(5)]
    drawn = []
    draw = candidates.noise
    monkeypatch.setattr(candidates, "noise", lambda n: drawn.append(n) or draw(n))
    assert torch.equal(candidates.dense(slice(None)), torch.stack(alone))
    assert drawn == [0, 2, 4]


@pytest.mark.parametrize("kept_bytes", [0, 2 * 20, 1000])
def test_kept_drawings_are_drawn_once_and_change_nothing(kept_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def candidates(kept: int) -> SeededCandidates:
        seeds, scale = torch.tensor([7, 7, 8, 9]), torch.tensor([0.5, -0.5, 0.5, 2.0])
        return SeededCandidates(torch.arange(5.0), seeds, scale, kept_bytes=kept)

    drawn = []

    def counted(seed: int, name: str, device: torch.device) -> torch.Generator:
        drawn.append(seed)
        return named_generator(seed, name, device=device)

    monkeypatch.setattr("polystep.candidates.named_generator", counted)
    plain, keeping = candidates(0), candidates(kept_bytes)
    weights = torch.tensor([1.0, 0.0, -2.0, 0.5])
    expected, combined = plain.dense(slice(None)), plain.combine(weights)
    drawn.clear()
    parts = torch.cat([keeping.part(slice(0, 2)).dense(slice(None)), keeping.part(slice(2, 4)).dense(slice(None))])
    assert torch.equal(parts, expected) and torch.equal(keeping.combine(weights), combined)
    assert torch.equal(keeping.dense(slice(None)), expected)
    assert len(drawn) == {0: 9, 40: 5, 1000: 3}[kept_bytes]


def test_combination_weighs_the_directions(seeded: SeededCandidates) -> None:
    weights = torch.tensor([0.5, 0.0, -2.0, 1.0])
    expected = 0.5 * seeded.noise(0) - 2 * seeded.noise(2) + seeded.noise(3)
    torch.testing.assert_close(seeded.combine(weights), expected)


def test_noise_in_a_subspace_is_lifted_from_its_coordinates() -> None:
    layout = ParameterLayout({"weight": (4, 5), "bias": (4,)})
    space = HybridSubspace(layout, particle_dimension=1, seed=0, rank=1)
    seeds, scale = torch.tensor([3, 3, 4]), torch.tensor([0.5, -0.5, 2.0])
    candidates = SeededCandidates(torch.ones(24), seeds, scale, subspace=space)
    drawn = torch.randn(13, 1, generator=named_generator(3, "noise"))
    assert space.coordinates == 13
    torch.testing.assert_close(candidates.noise(0), space.lift(drawn))
    torch.testing.assert_close(candidates.part(slice(1, 3)).dense(slice(0, 1))[0], 1 - 0.5 * space.lift(drawn))
    directions, which = candidates.distinct(slice(None))
    torch.testing.assert_close(directions[which[1]], candidates.noise(1))
    weights = torch.tensor([1.0, 0.0, -3.0])
    torch.testing.assert_close(candidates.combine(weights), candidates.noise(0) - 3 * candidates.noise(2))


@pytest.mark.parametrize("seeds", [[3, 3], [3, 3, 4, 4]])
def test_the_latest_direction_in_a_subspace_is_lifted_once(seeds: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Evaluation wants the directions, or the points, and the step wants the direction of both points again."""
    space = HybridSubspace(ParameterLayout({"weight": (4, 5)}), particle_dimension=1, seed=0, rank=1)

    def candidates() -> SeededCandidates:
        scale = torch.tensor([0.5, -0.5]).repeat(len(seeds) // 2)
        return SeededCandidates(torch.ones(20), torch.tensor(seeds), scale, subspace=space)

    plain = [space.lift(torch.randn(9, 1, generator=named_generator(seed, "noise"))) for seed in seeds]
    lifted = []
    lift = space.lift
    monkeypatch.setattr(space, "lift", lambda coordinates: lifted.append(len(coordinates)) or lift(coordinates))
    ours = candidates()
    points = torch.cat([ours.part(slice(n, n + 1)).dense(slice(None)) for n in range(len(seeds))])
    expected = torch.stack([1 + (0.5 - n % 2) * direction for n, direction in enumerate(plain)])
    torch.testing.assert_close(points, expected)
    assert torch.equal(ours.noise(len(seeds) - 1), plain[-1])
    assert len(lifted) == len(set(seeds))
    ours, two = candidates(), slice(len(seeds) - 2, len(seeds))
    directions, which = ours.distinct(two)
    assert torch.equal(directions[which[0]], plain[-1]) and torch.equal(ours.noise(len(seeds) - 2), plain[-1])
    assert len(lifted) == len(set(seeds)) + 1


def test_noise_leaves_the_global_random_state_alone(seeded: SeededCandidates) -> None:
    before = torch.get_rng_state()
    seeded.dense(slice(None))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("part", SLICES)
def test_particle_candidates_move_one_particle_each(space: FullSpace, part: slice) -> None:
    base = torch.arange(5.0)
    offset = torch.tensor([[10.0, 20], [30, 40], [50, 60], [70, 80]])
    candidates = ParticleCandidates(base, space, torch.tensor([1, 0, 2, 1]), offset)
    changes = torch.tensor([[0.0, 0, 10, 20, 0], [30, 40, 0, 0, 0], [0, 0, 0, 0, 50], [0, 0, 70, 80, 0]])
    assert len(candidates) == 4
    assert torch.equal(candidates.dense(part), (base + changes)[part])


def test_opposite_moves_share_their_change(space: FullSpace) -> None:
    offset = torch.tensor([[0.0, 2.0], [1.0, 3.0], [0.0, -2.0], [-1.0, -3.0], [1.0, 3.0], [0.0, 2.0]])
    candidates = ParticleCandidates(torch.arange(5.0), space, torch.tensor([0, 0, 0, 0, 0, 1]), offset)
    assert candidates.scale.tolist() == [1, 1, -1, -1, 1, 1]
    for part in SLICES:
        changes, which = candidates.distinct(part)
        points = candidates.base + candidates.scale[part].unsqueeze(1) * changes[which]
        assert torch.equal(points, candidates.dense(part))
    assert len(candidates.distinct(slice(None))[0]) == 3


def test_arguments_are_checked(space: FullSpace) -> None:
    with pytest.raises(ValueError, match=r"points must have shape \(N, D\), got \(3,\)"):
        DenseCandidates(torch.zeros(3))
    with pytest.raises(ValueError, match=r"seeds and scale must both have shape \(N,\)"):
        SeededCandidates(torch.zeros(3), torch.tensor([1, 2]), torch.ones(3))
    with pytest.raises(ValueError, match=r"distribution must be 'normal' or 'rademacher', got 'uniform'"):
        SeededCandidates(torch.zeros(3), torch.tensor([1]), torch.ones(1), "uniform")
    with pytest.raises(ValueError, match=r"offset must have shape \(2, 2\), got \(2, 3\)"):
        ParticleCandidates(torch.zeros(5), space, torch.tensor([0, 1]), torch.zeros(2, 3))


def test_every_candidate_needs_a_weight() -> None:
    candidates = SeededCandidates(torch.zeros(3), torch.arange(4), torch.ones(4))
    with pytest.raises(ValueError, match=r"a weight for each of the 4 candidates, shape \(4,\), got \(3,\)"):
        candidates.combine(torch.ones(3))
