"""Losses of many trees at once equal those of each tree by itself, at and beside the hyperplanes."""

import pytest
import torch
from torch import Tensor

from polystep.candidates import Candidates, DenseCandidates, ParticleCandidates
from polystep.evaluation.activations import mean_cross_entropy
from polystep.evaluation.functional import FunctionalEvaluator
from polystep.layout import ParameterLayout
from polystep.subspace import HybridSubspace, RowSubspace, Subspace
from tasks.networks.decision_tree import DecisionTree
from tasks.networks.tree_evaluation import TreeEvaluator

TREE = DecisionTree(inputs=5, classes=3, depth=3)
LAYOUT = ParameterLayout.of_module(TREE)


def numbers(*shape: int, seed: int = 0) -> Tensor:
    """Eighths, so that sums are exact and inputs lie on hyperplanes now and then."""
    return torch.randint(-8, 9, shape, generator=torch.Generator().manual_seed(seed)) / 8


BATCH = numbers(60, 5, seed=1), torch.arange(60) % 3


def row_subspace() -> RowSubspace:
    """Coordinates are parameters, so that moves are eighths, too."""
    subspace = RowSubspace(LAYOUT, particle_dimension=2, seed=0, rank=6)
    subspace.bases = [torch.eye(*basis.shape) for basis in subspace.bases]
    return subspace


def moved(subspace: Subspace) -> ParticleCandidates:
    particle = torch.arange(subspace.particles).repeat_interleave(5)
    offset = 2 * numbers(len(particle), subspace.particle_dimension, seed=2)
    return ParticleCandidates(numbers(LAYOUT.size, seed=3), subspace, particle, offset)


@pytest.mark.parametrize(
    "candidates",
    [
        moved(row_subspace()),
        moved(HybridSubspace(LAYOUT, particle_dimension=3, seed=0, rank=2)),
        DenseCandidates(numbers(20, LAYOUT.size, seed=4)),
    ],
)
@pytest.mark.parametrize("memory_bytes", [2**26, 20_000])
def test_losses_are_those_of_the_whole_tree(candidates: Candidates, memory_bytes: int) -> None:
    expected = FunctionalEvaluator(TREE, mean_cross_entropy, LAYOUT).losses(candidates, *BATCH)
    assert len(expected.unique()) > len(expected) / 3
    found = TreeEvaluator(TREE.depth, LAYOUT, memory_bytes).losses(candidates, *BATCH)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_a_part_of_the_candidates_has_the_same_losses() -> None:
    candidates, evaluator = moved(row_subspace()), TreeEvaluator(TREE.depth, LAYOUT)
    whole = evaluator.losses(candidates, *BATCH)
    assert torch.equal(evaluator.losses(candidates.part(slice(7, 40)), *BATCH), whole[7:40])
    assert evaluator.losses(candidates.part(slice(0, 0)), *BATCH).shape == (0,)
