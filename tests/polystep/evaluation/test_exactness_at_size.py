"""All paths agree where batches are several blocks of samples, layers several blocks of units, and threads share the work."""

import pytest
import torch
from torch import Tensor

from polystep.candidates import Candidates, DenseCandidates, ParticleCandidates, SeededCandidates
from polystep.dense_subspace import DenseSubspace
from polystep.evaluation import low_rank
from polystep.evaluation.kernels import LANES
from polystep.low_rank import LowRankCandidates
from polystep.subspace import HybridSubspace, RowSubspace
from tasks.networks.multilayer_perceptron import MultilayerPerceptron
from tests.exactness import (
    CLASSES,
    INPUTS,
    NETWORKS,
    WIDE,
    WIDE_CLASSES,
    WIDE_INPUTS,
    Case,
    Paths,
    assert_threads_change_nothing,
    row_subspace,
    seeded,
)

DIMENSION = 8
RANKS = {"low rank": 3, "rank one": 1}
"""Directions are taken eight columns at a time, so that some of rank three are in two of those groups."""
COUNT = 70
"""Candidates that move everything: more than any kernel takes at a time."""


def candidates_of(kind: str, paths: Paths, case: Case, scale: float = 0.3) -> Candidates:
    """Over a hundred candidates: of one row and of others, of whole particles of fixed directions, or of everything."""
    module = paths.module
    base = paths.layout.point_of(module) * 1.5
    if kind == "dense":
        return DenseCandidates(base + scale * 0.1 * case.numbers(COUNT, paths.layout.size))
    if kind == "mirrored":
        return SeededCandidates(base, torch.arange(COUNT) // 2, torch.tensor([0.05, -0.05]).repeat(COUNT // 2))
    if kind == "few directions":
        few = DenseSubspace(paths.layout, DIMENSION, seed=case.seed, coordinates=20)
        turned = torch.linalg.qr(case.numbers(few.particles, DIMENSION, DIMENSION)).Q
        offset = torch.cat([turned, -turned], dim=1).flatten(0, 1) * scale * 0.1
        return ParticleCandidates(base, few, torch.arange(few.particles).repeat_interleave(2 * DIMENSION), offset)
    if kind in RANKS:
        scale_by_pairs = torch.tensor([0.05, -0.05]).repeat(COUNT // 2)
        return LowRankCandidates(base, paths.layout, torch.arange(COUNT) // 2, scale_by_pairs, rank=RANKS[kind])
    if kind == "rows":
        subspace = RowSubspace(paths.layout, particle_dimension=2, seed=case.seed, rank=4)
        one, others = torch.full((LANES * 5 + 3,), 3), torch.arange(subspace.particles)
        particle = torch.cat([one, others])
        return ParticleCandidates(base, subspace, particle, case.numbers(len(particle), 2) * scale * 3)
    dense_bytes = 10**9 if kind == "dense directions" else 0
    hybrid = HybridSubspace(paths.layout, DIMENSION, seed=case.seed, rank=2, dense_bytes=dense_bytes)
    particle = torch.linspace(0, hybrid.particles - 1, 9).long()
    directions = torch.linalg.qr(case.numbers(len(particle), DIMENSION, DIMENSION)).Q
    if kind == "simplex":
        # no opposites, and an odd number of them
        offset = torch.cat([directions, -directions.mean(1, keepdim=True)], dim=1)
    else:
        offset = torch.cat([directions, -directions], dim=1)
    offset = offset * scale
    return ParticleCandidates(base, hybrid, particle.repeat_interleave(offset.shape[1]), offset.flatten(0, 1))


def batch_of(case: Case, inputs: int, classes: int) -> tuple[Tensor, Tensor]:
    return case.numbers(case.samples, inputs), torch.randint(classes, (case.samples,), generator=case.generator)


def assert_agree(paths: Paths, kind: str, samples: int, scale: float = 0.3) -> None:
    case = Case(seed=samples, samples=samples)
    inputs, classes = paths.module_sizes
    candidates, batch = candidates_of(kind, paths, case, scale), batch_of(case, inputs, classes)
    expected = paths.functional.losses(candidates, *batch)
    assert expected.std() > 1e-4
    for evaluator in paths.fast:
        losses = evaluator.losses(candidates, *batch)
        differing = ~torch.isclose(losses, expected, rtol=1e-5, atol=1e-5)
        if isinstance(paths.module, MultilayerPerceptron):
            assert not differing.any()
        # sums that are ordered differently may move a sample across a threshold; then its loss differs, seldom
        assert differing.sum() <= len(losses) * 0.05
        assert (losses - expected).abs().max() <= 8 / samples


KINDS = ["rows", "directions", "dense directions", "simplex", "dense", "mirrored", "few directions", "low rank"]


@pytest.mark.parametrize("kind", KINDS[:4])
@pytest.mark.parametrize("name", [name for name, paths in NETWORKS.items() if paths.compiled])
def test_several_blocks_of_samples(name: str, kind: str) -> None:
    for samples in (LANES - 1, 2 * LANES + 1, 512):
        assert_agree(NETWORKS[name], kind, samples)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*KINDS, "rank one"])
@pytest.mark.parametrize("name", WIDE)
def test_several_blocks_of_units_and_samples(name: str, kind: str) -> None:
    for samples in (LANES - 1, 2 * LANES + 1, 77):
        assert_agree(WIDE[name], kind, samples)


@pytest.mark.slow
def test_rows_of_four_layers() -> None:
    paths = Paths(seeded(MultilayerPerceptron, INPUTS, CLASSES, hidden=[4, 5, 3]))
    for seed in range(10):
        case = Case(seed, samples=2 * LANES + 1)
        paths.assert_agree(case.candidates(row_subspace(paths.layout, 2, 4)), *case.batch())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["rows", "directions"])
@pytest.mark.parametrize("name", WIDE)
def test_one_sample_an_input_that_is_nan_and_candidates_that_stay(name: str, kind: str) -> None:
    paths, case = WIDE[name], Case(seed=3, samples=5)
    candidates, (inputs, targets) = candidates_of(kind, paths, case), batch_of(case, WIDE_INPUTS, WIDE_CLASSES)
    paths.assert_agree(candidates, inputs[:1], targets[:1])
    damaged = inputs.clone()
    damaged[2, 3] = torch.nan
    paths.assert_agree(candidates, damaged, targets, equal_nan=True)
    assert isinstance(candidates, ParticleCandidates)
    candidates.offset.zero_()
    paths.assert_agree(candidates, inputs, targets)
    if kind == "rows":
        for evaluator in paths.fast:
            losses = evaluator.losses(candidates, inputs, targets)
            assert (losses == losses[0]).all()


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", WIDE)
def test_small_and_large_steps(name: str, kind: str) -> None:
    assert_agree(WIDE[name], kind, 45, scale=0.02)
    assert_agree(WIDE[name], kind, 45, scale=3.0)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", [name for name, paths in WIDE.items() if paths.threads])
def test_threads_change_nothing(name: str, kind: str) -> None:
    paths, case = WIDE[name], Case(seed=1, samples=45)
    candidates, batch = candidates_of(kind, paths, case), batch_of(case, WIDE_INPUTS, WIDE_CLASSES)
    assert_threads_change_nothing(paths.fused, candidates, *batch)


@pytest.mark.slow
def test_threads_change_nothing_before_a_relu() -> None:
    module = seeded(MultilayerPerceptron, WIDE_INPUTS, WIDE_CLASSES, hidden=[36, 17])
    paths, case = Paths(module, threads=True), Case(seed=1, samples=45)
    hybrid = HybridSubspace(paths.layout, DIMENSION, seed=1, rank=2, dense_bytes=0)
    # all of the first layer
    moved = ParticleCandidates(
        paths.layout.point_of(module), hybrid, torch.arange(8) // 2, 0.3 * case.numbers(8, DIMENSION)
    )
    assert_threads_change_nothing(paths.fused, moved, *batch_of(case, WIDE_INPUTS, WIDE_CLASSES))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", WIDE)
def test_losses_of_parts_are_parts_of_the_losses(name: str, kind: str) -> None:
    paths, case = WIDE[name], Case(seed=2, samples=45)
    candidates, batch = candidates_of(kind, paths, case), batch_of(case, WIDE_INPUTS, WIDE_CLASSES)
    whole, third = paths.fused.losses(candidates, *batch), len(candidates) // 3 | 1
    for part in (slice(0, third), slice(third, 2 * third + 1), slice(2 * third + 1, None), slice(2, 3)):
        assert len(whole[part])
        assert torch.equal(paths.fused.losses(candidates.part(part), *batch), whole[part])


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", WIDE)
def test_losses_do_not_depend_on_the_memory(name: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    paths, case = WIDE[name], Case(seed=4, samples=45)
    candidates, batch = candidates_of(kind, paths, case), batch_of(case, WIDE_INPUTS, WIDE_CLASSES)
    whole = [evaluator.losses(candidates, *batch) for evaluator in paths.fast]
    monkeypatch.setattr(low_rank, "CHUNK_BYTES", 1)
    for evaluator in paths.fast:
        monkeypatch.setattr(getattr(evaluator, "_compiled", evaluator), "memory_bytes", 1)
    for evaluator, losses in zip(paths.fast, whole, strict=True):
        torch.testing.assert_close(evaluator.losses(candidates, *batch), losses, rtol=1e-5, atol=1e-5)
