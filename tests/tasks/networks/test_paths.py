"""The evaluation paths of the paper's networks agree, at rounding boundaries, stairs and ties too."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from polystep.candidates import DenseCandidates, SeededCandidates
from polystep.sampled_space import SampledSpace
from polystep.subspace import FullSpace, HybridSubspace
from tasks.networks.argmax_attention import ArgmaxAttentionNetwork
from tasks.networks.int8 import Int8Network
from tasks.networks.mixture_of_experts import MixtureOfExperts
from tasks.networks.multilayer_perceptron import MultilayerPerceptron
from tasks.networks.staircase import StaircaseNetwork
from tests.exactness import (
    CLASSES,
    INPUTS,
    Case,
    DyadicCase,
    Paths,
    build_without_threads,
    cases,
    dyadic_cases,
    dyadic_hybrid_subspace,
    dyadic_row_subspace,
    row_subspace,
    sampled,
)

NETWORKS = {
    "int8": Paths(Int8Network(INPUTS, CLASSES, hidden=4)),
    "staircase": Paths(StaircaseNetwork(INPUTS, CLASSES, hidden=[4, 4])),
    "argmax": Paths(ArgmaxAttentionNetwork(INPUTS, CLASSES, hidden=4, slots=4)),
    "moe": Paths(MixtureOfExperts(INPUTS, CLASSES, hidden=4, experts=4)),
    "mnist": Paths(MultilayerPerceptron(INPUTS, CLASSES, hidden=[4])),
}


@pytest.fixture(scope="module", params=NETWORKS)
def paths(request: pytest.FixtureRequest) -> Paths:
    found = NETWORKS[request.param]
    if request.param != "moe":
        build_without_threads(found.fused)
    return found


@sampled
@given(case=cases, dimension=st.integers(1, 4), rank=st.integers(1, 9))
def test_row_candidates(paths: Paths, case: Case, dimension: int, rank: int) -> None:
    candidates = case.candidates(row_subspace(paths.layout, dimension, rank, case.seed))
    paths.assert_agree(candidates, *case.batch())


@sampled
@given(
    case=cases, dimension=st.integers(1, 4), rank=st.sampled_from([1, 2, 4]), dense_bytes=st.sampled_from([0, 10**9])
)
def test_hybrid_candidates(paths: Paths, case: Case, dimension: int, rank: int, dense_bytes: int) -> None:
    subspace = HybridSubspace(paths.layout, dimension, case.seed, rank=rank, dense_bytes=dense_bytes)
    paths.assert_agree(case.candidates(subspace), *case.batch())


@sampled
@given(case=cases)
def test_candidates_of_the_whole_space(paths: Paths, case: Case) -> None:
    for subspace in (FullSpace(paths.layout, 2, case.seed), SampledSpace(paths.layout, 2, case.seed, one_in=3)):
        paths.assert_agree(case.candidates(subspace, count=6), *case.batch())


@sampled
@given(case=cases)
def test_candidates_that_move_everything(paths: Paths, case: Case) -> None:
    base, batch = case.numbers(paths.layout.size), case.batch()
    paths.assert_agree(DenseCandidates(case.numbers(5, paths.layout.size)), *batch)
    seeds, scale = torch.tensor([1, 1, 2, 3]), torch.tensor([0.5, -0.5, 1.0, 0.0])
    paths.assert_agree(SeededCandidates(base, seeds, scale), *batch)


@sampled
@given(case=dyadic_cases)
def test_dyadic_candidates(paths: Paths, case: DyadicCase) -> None:
    """Sums are exact here, and equal scores common."""
    batch = case.batch()
    for subspace in (dyadic_row_subspace(paths.layout, case), dyadic_hybrid_subspace(paths.layout, case.seed)):
        paths.assert_agree(case.candidates(subspace), *batch, tolerance=2e-6)


def test_batch_of_one_row(paths: Paths) -> None:
    case = Case(seed=3, samples=1)
    for subspace in (row_subspace(paths.layout, 2, 4), dyadic_hybrid_subspace(paths.layout, 0)):
        paths.assert_agree(case.candidates(subspace), *case.batch())


@pytest.mark.parametrize("label", [-1, CLASSES])
def test_label_out_of_range_is_named(paths: Paths, label: int) -> None:
    case = Case(seed=4, samples=3)
    inputs, targets = case.batch()
    targets[1] = label
    for subspace in (row_subspace(paths.layout, 2, 4), FullSpace(paths.layout, 2, 0)):
        for evaluator in paths.fast:
            with pytest.raises(
                ValueError, match=rf"must lie in 0\.\.3 for a network of 4 logits, got {label} in row 1"
            ):
                evaluator.losses(case.candidates(subspace, 2), inputs, targets)


def test_parameter_that_is_nan(paths: Paths) -> None:
    case = Case(seed=6, samples=5)
    for entry in paths.layout.entries:
        for subspace in (row_subspace(paths.layout, 2, 4), dyadic_hybrid_subspace(paths.layout, 0)):
            candidates = case.candidates(subspace)
            candidates.base[entry.offset + entry.size // 2] = torch.nan
            paths.assert_agree(candidates, *case.batch(), equal_nan=True)


def test_kernels_compile_once(paths: Paths) -> None:
    case = Case(seed=13, samples=5)
    for subspace in (row_subspace(paths.layout, 2, 4), dyadic_hybrid_subspace(paths.layout, 0)):
        paths.fused.losses(case.candidates(subspace), *case.batch())
        seconds = paths.fused.compilation_seconds
        assert seconds > 0
        paths.fused.losses(case.candidates(subspace), *Case(seed=14, samples=1).batch())
        assert paths.fused.compilation_seconds == seconds
