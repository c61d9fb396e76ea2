"""The incremental and the fused path equal the functional path, at thresholds too.

Float tolerance is tested on random networks. Dyadic numbers (small multiples of a power of two) make every sum exact in
float32, so there all paths see the same pre-activations bit for bit, whatever their order of summation.
"""

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from polystep.candidates import Candidates, DenseCandidates, ParticleCandidates, SeededCandidates
from polystep.evaluation.activations import CrossEntropy, Identity, ReLU
from polystep.evaluation.layered import Layer, LayeredNetwork
from polystep.evaluation.routing.incremental import RoutedEvaluator
from polystep.low_rank import LowRankCandidates
from polystep.sampled_space import SampledSpace
from polystep.subspace import FullSpace, HybridSubspace, RowSubspace, Subspace
from tests.exactness import (
    CLASSES,
    INPUTS,
    Case,
    DyadicCase,
    Paths,
    cases,
    dyadic_cases,
    dyadic_hybrid_subspace,
    dyadic_row_subspace,
    row_subspace,
    sampled,
)
from tests.exactness import NETWORKS as SHARED

THRESHOLD = 1.0


class Perceptron(nn.Module):
    """Linear layers with ReLU between them."""

    def __init__(self, *sizes: int):
        super().__init__()
        self.linear = nn.ModuleList(nn.Linear(inputs, outputs) for inputs, outputs in pairwise(sizes))

    def forward(self, inputs: Tensor) -> Tensor:
        for layer in self.linear[:-1]:
            inputs = torch.relu(layer(inputs))
        return self.linear[-1](inputs)

    def layered(self) -> LayeredNetwork:
        last = len(self.linear) - 1
        layers = (
            Layer(f"linear.{i}.weight", f"linear.{i}.bias", Identity() if i == last else ReLU())
            for i in range(last + 1)
        )
        return LayeredNetwork(tuple(layers), CrossEntropy())


NETWORKS = {
    "one layer": Paths(Perceptron(INPUTS, CLASSES), compiled=False),
    "three layers": Paths(Perceptron(INPUTS, 4, 5, CLASSES), compiled=False),
    **SHARED,
}


@pytest.fixture(scope="module", params=NETWORKS)
def paths(request: pytest.FixtureRequest) -> Paths:
    return NETWORKS[request.param]


@pytest.fixture
def spiking() -> Paths:
    return NETWORKS["snn"]


@pytest.fixture(params=[name for name, paths in NETWORKS.items() if paths.compiled])
def compiled(request: pytest.FixtureRequest) -> Paths:
    return NETWORKS[request.param]


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
@given(case=dyadic_cases)
def test_dyadic_row_candidates(paths: Paths, case: DyadicCase) -> None:
    candidates = case.candidates(dyadic_row_subspace(paths.layout, case))
    paths.assert_agree(candidates, *case.batch(), tolerance=1e-6)


@sampled
@given(case=dyadic_cases)
def test_dyadic_hybrid_candidates(paths: Paths, case: DyadicCase) -> None:
    candidates = case.candidates(dyadic_hybrid_subspace(paths.layout, case.seed))
    paths.assert_agree(candidates, *case.batch(), tolerance=1e-6)


@pytest.mark.parametrize("name", ["argmax", "moe"])
@pytest.mark.parametrize("at_once", [1, 7, 1000])
def test_hybrid_candidates_of_several_particles_at_once(
    name: str, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As routed networks are evaluated off the CPU; particles with different numbers of candidates among them."""
    monkeypatch.setattr(RoutedEvaluator, "_at_once", lambda self, trace, columns: at_once)
    paths = Paths(NETWORKS[name].module, compiled=False)
    for seed in range(20):
        case = DyadicCase(seed, samples=5)
        candidates = case.candidates(dyadic_hybrid_subspace(paths.layout, seed), count=60)
        paths.assert_agree(candidates, *case.batch(), tolerance=1e-6)


@pytest.mark.parametrize("build", [dyadic_row_subspace, lambda layout, case: dyadic_hybrid_subspace(layout, case.seed)])
def test_dyadic_cases_put_currents_on_the_threshold(spiking: Paths, build) -> None:
    """Guards the tests above: currents of both layers hit the threshold, for base points and for candidates."""
    hits = torch.zeros(2, 2, dtype=torch.int64)
    for seed in range(40):
        case = DyadicCase(seed, samples=8)
        candidates = case.candidates(build(spiking.layout, case), count=5)
        inputs, targets = case.batch()
        for column, points in enumerate((candidates.base.unsqueeze(0), candidates.dense(slice(None)))):
            for point in points:
                trace = spiking.network.trace(inputs, spiking.layout.unflatten(point), targets)
                hits[:, column] += torch.tensor([int((pre == THRESHOLD).sum()) for pre in trace.pre_activations])
    assert (hits >= 10).all()


@pytest.mark.parametrize("offset", [-(2.0**-20), 0.0, 2.0**-20])
@pytest.mark.parametrize("start", [THRESHOLD - 0.5, THRESHOLD, THRESHOLD + 0.5])
def test_row_candidates_around_the_threshold(spiking: Paths, start: float, offset: float) -> None:
    subspace = RowSubspace(spiking.layout, particle_dimension=1, seed=0, rank=1)
    subspace.bases = [torch.eye(INPUTS + 1)[-1:], torch.eye(5)[-1:]]
    tensors = {entry.name: torch.zeros(entry.shape) for entry in spiking.layout.entries}
    tensors["fc1.bias"][:] = start
    tensors["fc2.weight"][:] = 0.5 * torch.eye(4)
    base = spiking.layout.flatten(tensors)
    moved = torch.full((subspace.particles, 1), THRESHOLD - start + offset)
    candidates = ParticleCandidates(base, subspace, torch.arange(subspace.particles), moved)
    spiking.assert_agree(candidates, torch.ones(3, INPUTS), torch.tensor([0, 1, 2]), tolerance=1e-6)


@pytest.mark.parametrize("name", ["three layers", "snn", "mnist", "int8", "staircase"])
def test_particle_that_straddles_two_layers(name: str) -> None:
    paths = NETWORKS[name]
    subspace = dyadic_hybrid_subspace(paths.layout, seed=0)
    change = paths.layout.unflatten(subspace.lift_each(torch.tensor([3]), torch.ones(1, 4))[0])
    first, second = paths.network.layers[:2]
    assert change[first.bias].any()
    assert change[second.weight].any()
    case = DyadicCase(seed=0, samples=5)
    offset = case.numbers(8, 4)
    base = case.numbers(paths.layout.size)
    for particle in (torch.full((8,), 3), torch.tensor([3, 0, 3, 3, 4, 3, 0, 5])):
        paths.assert_agree(ParticleCandidates(base, subspace, particle, offset), *case.batch(), tolerance=1e-6)


def test_hybrid_candidates_after_a_redraw(paths: Paths) -> None:
    case = Case(seed=1, samples=5)
    subspace = dyadic_hybrid_subspace(paths.layout, seed=0)
    for draw in (0, 1):
        subspace.redraw(draw)
        paths.assert_agree(case.candidates(subspace), *case.batch())


def test_hybrid_candidates_of_another_subspace(paths: Paths) -> None:
    case = Case(seed=2, samples=5)
    for seed in (0, 1):
        paths.assert_agree(case.candidates(dyadic_hybrid_subspace(paths.layout, seed)), *case.batch())


@pytest.mark.parametrize("kind", ["row", "hybrid"])
def test_batch_of_one_row(paths: Paths, kind: str) -> None:
    case = Case(seed=3, samples=1)
    build = {"row": lambda: row_subspace(paths.layout, 2, 4), "hybrid": lambda: dyadic_hybrid_subspace(paths.layout, 0)}
    paths.assert_agree(case.candidates(build[kind]()), *case.batch())


def test_zero_offsets_give_exactly_the_base_loss(paths: Paths) -> None:
    case = Case(seed=4, samples=7)
    subspace = row_subspace(paths.layout, 2, 4)
    base, (inputs, targets) = case.candidates(subspace).base, case.batch()
    still = torch.zeros(subspace.particles, 2)
    candidates = ParticleCandidates(base, subspace, torch.arange(subspace.particles), still)
    logits = paths.network.logits(inputs, paths.layout.unflatten(base))
    exact = paths.network.loss.apply(logits, targets).double().mean().float()
    assert (paths.incremental.losses(candidates, inputs, targets) == exact).all()
    for evaluator in paths.fast:
        losses = evaluator.losses(candidates, inputs, targets)
        assert (losses == losses[0]).all()
    paths.assert_agree(candidates, inputs, targets, tolerance=1e-6)


def test_zero_offsets_of_hybrid_particles(paths: Paths) -> None:
    case = Case(seed=5, samples=7)
    subspace = dyadic_hybrid_subspace(paths.layout, 0)
    base = case.candidates(subspace).base
    still = torch.zeros(subspace.particles, 4)
    candidates = ParticleCandidates(base, subspace, torch.arange(subspace.particles), still)
    paths.assert_agree(candidates, *case.batch(), tolerance=1e-6)


@pytest.mark.parametrize("label", [-1, CLASSES])
def test_label_out_of_range_is_named(paths: Paths, label: int) -> None:
    case = Case(seed=16, samples=3)
    inputs, targets = case.batch()
    targets[1] = label
    for subspace in (row_subspace(paths.layout, 2, 4), FullSpace(paths.layout, 2, seed=0)):
        for evaluator in paths.fast:
            with pytest.raises(
                ValueError, match=rf"must lie in 0\.\.3 for a network of 4 logits, got {label} in row 1"
            ):
                evaluator.losses(case.candidates(subspace, 2), inputs, targets)


@pytest.mark.parametrize("kind", ["row", "hybrid"])
def test_parameter_that_is_nan(paths: Paths, kind: str) -> None:
    case = Case(seed=6, samples=5)
    for entry in paths.layout.entries:
        subspace: Subspace
        subspace = row_subspace(paths.layout, 2, 4) if kind == "row" else dyadic_hybrid_subspace(paths.layout, 0)
        candidates = case.candidates(subspace)
        candidates.base[entry.offset + entry.size // 2] = torch.nan
        paths.assert_agree(candidates, *case.batch(), equal_nan=True)


def test_input_that_is_nan(paths: Paths) -> None:
    case = Case(seed=7, samples=5)
    inputs, targets = case.batch()
    inputs[2, 3] = torch.nan
    paths.assert_agree(case.candidates(row_subspace(paths.layout, 2, 4)), inputs, targets, equal_nan=True)


def test_candidates_without_particles_of_one_layer(paths: Paths) -> None:
    case = Case(seed=8, samples=5)
    base, offset = case.numbers(paths.layout.size), case.numbers(8, 2)
    for subspace in (row_subspace(paths.layout, 2, 4), dyadic_hybrid_subspace(paths.layout, 0)):
        for particle in (0, 1, subspace.particles - 1):
            moved = offset.repeat(1, subspace.particle_dimension // 2)
            candidates = ParticleCandidates(base, subspace, torch.full((8,), particle), moved)
            paths.assert_agree(candidates, *case.batch())


def test_parameters_outside_the_layers_do_not_matter() -> None:
    module = Perceptron(INPUTS, 4, CLASSES)
    module.unused = nn.Parameter(torch.zeros(3, 2))
    paths = Paths(module, compiled=False)
    case = Case(seed=15, samples=5)
    for subspace in (row_subspace(paths.layout, 2, 4), HybridSubspace(paths.layout, 2, seed=0, rank=1)):
        paths.assert_agree(case.candidates(subspace), *case.batch())


def test_other_candidates_take_the_general_path(paths: Paths) -> None:
    case = Case(seed=9, samples=5)
    base = case.numbers(paths.layout.size)
    for candidates in (
        DenseCandidates(case.numbers(4, paths.layout.size)),
        SeededCandidates(base, torch.tensor([1, 1, 2]), torch.tensor([0.5, -0.5, 1.0])),
        case.candidates(FullSpace(paths.layout, particle_dimension=2, seed=0), count=6),
        case.candidates(SampledSpace(paths.layout, particle_dimension=2, seed=0, one_in=3), count=6),
    ):
        paths.assert_agree(candidates, *case.batch())


def test_low_rank_candidates_of_the_incremental_path(paths: Paths) -> None:
    """The compiled one takes them in `test_exactness_at_size`."""
    case = Case(seed=9, samples=5)
    base, batch = case.numbers(paths.layout.size), case.batch()
    candidates = LowRankCandidates(base, paths.layout, torch.tensor([1, 1, 2]), torch.tensor([0.5, -0.5, 1.0]))
    expected = paths.functional.losses(candidates, *batch)
    torch.testing.assert_close(paths.incremental.losses(candidates, *batch), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["row", "hybrid", "dense", "low rank"])
def test_no_candidates_have_no_losses(paths: Paths, kind: str) -> None:
    case = Case(seed=10, samples=5)
    batch = case.batch()
    candidates: Candidates
    if kind == "dense":
        candidates = DenseCandidates(torch.zeros(0, paths.layout.size))
    elif kind == "low rank":
        candidates = LowRankCandidates(
            torch.zeros(paths.layout.size), paths.layout, torch.zeros(0).long(), torch.zeros(0)
        )
    else:
        row = kind == "row"
        subspace = row_subspace(paths.layout, 2, 4) if row else dyadic_hybrid_subspace(paths.layout, 0)
        candidates = case.candidates(subspace, count=0)
    for evaluator in (paths.functional, *paths.fast):
        assert evaluator.losses(candidates, *batch).shape == (0,)


def test_chunking_of_the_incremental_path_does_not_matter(paths: Paths) -> None:
    case = Case(seed=11, samples=5)
    batch = case.batch()
    chunked = type(paths.incremental)(paths.network, paths.layout, memory_bytes=1)
    for subspace in (row_subspace(paths.layout, 2, 4), dyadic_hybrid_subspace(paths.layout, 0)):
        candidates = case.candidates(subspace)
        torch.testing.assert_close(chunked.losses(candidates, *batch), paths.incremental.losses(candidates, *batch))


def test_evaluating_does_not_change_its_arguments(paths: Paths) -> None:
    case = Case(seed=12, samples=5)
    inputs, targets = case.batch()
    candidates = case.candidates(row_subspace(paths.layout, 2, 4))
    arguments = [inputs, targets, candidates.base, candidates.offset, candidates.particle]
    before = [argument.clone() for argument in arguments]
    for _ in range(2):
        paths.assert_agree(candidates, inputs, targets)
    for argument, old in zip(arguments, before, strict=True):
        assert torch.equal(argument, old)


def test_kernels_compile_once(compiled: Paths) -> None:
    case = Case(seed=13, samples=5)
    for subspace in (row_subspace(compiled.layout, 2, 4), dyadic_hybrid_subspace(compiled.layout, 0)):
        compiled.fused.losses(case.candidates(subspace), *case.batch())
        seconds = compiled.fused.compilation_seconds
        assert seconds > 0
        compiled.fused.losses(case.candidates(subspace), *Case(seed=14, samples=1).batch())
        assert compiled.fused.compilation_seconds == seconds
