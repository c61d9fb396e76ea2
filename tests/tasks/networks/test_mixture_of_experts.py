"""The hard mixture of experts of the paper."""

import pytest
import torch

from polystep.candidates import ParticleCandidates
from polystep.layout import ParameterLayout
from polystep.subspace import RowSubspace
from tasks.networks.mixture_of_experts import MixtureOfExperts, SmoothMixtureOfExperts
from tests.exactness import NETWORKS, Case, Paths, dyadic_hybrid_subspace, row_subspace


@pytest.fixture
def network() -> MixtureOfExperts:
    module = MixtureOfExperts(inputs=20, classes=5, hidden=8, experts=3)
    module.initialise(torch.Generator().manual_seed(0))
    return module


@pytest.fixture
def inputs() -> torch.Tensor:
    return 3 * torch.randn(16, 20, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def paths() -> Paths:
    return NETWORKS["moe"]


def test_network_of_the_paper_has_235672_parameters() -> None:
    assert ParameterLayout.of_module(MixtureOfExperts()).size == 235672


def test_network_is_its_definition(network: MixtureOfExperts, inputs: torch.Tensor) -> None:
    served = set()
    for row, logits in zip(inputs, network(inputs), strict=True):
        hidden = torch.relu(network.hidden(row))
        expert = int(network.gate(hidden).argmax())
        served.add(expert)
        torch.testing.assert_close(logits, network.output(network.experts[expert](hidden)))
    assert len(served) > 1


def test_network_for_incremental_evaluation_is_the_same(network: MixtureOfExperts, inputs: torch.Tensor) -> None:
    layout = ParameterLayout.of_module(network)
    tensors = layout.unflatten(layout.point_of(network))
    torch.testing.assert_close(network.layered().logits(inputs, tensors), network(inputs))


def test_starting_values_are_those_of_the_constructor() -> None:
    torch.manual_seed(5)
    built = MixtureOfExperts(20, 5, 8, 3)
    drawn = MixtureOfExperts(20, 5, 8, 3)
    drawn.initialise(torch.Generator().manual_seed(5))
    layout = ParameterLayout.of_module(built)
    assert torch.equal(layout.point_of(built), layout.point_of(drawn))


def test_variants_share_the_hard_network(network: MixtureOfExperts, inputs: torch.Tensor) -> None:
    kinds = network.differentiable()
    assert torch.equal(kinds["straight_through"](inputs), network(inputs))
    substitute = SmoothMixtureOfExperts(20, 5, 8, 3)
    substitute.load_state_dict(network.state_dict())
    assert torch.equal(kinds["smooth"](inputs), substitute(inputs))
    for kind, reaches in (("exact", False), ("straight_through", True), ("smooth", True)):
        gradient = torch.autograd.grad(kinds[kind](inputs).square().sum(), network.gate.weight, allow_unused=True)[0]
        assert (gradient is not None and bool(gradient.any())) == reaches, kind


def still_expert(paths: Paths, bias: float) -> torch.Tensor:
    """A point whose gate only looks at its bias: expert 3 has `bias`, the others 0."""
    tensors = {
        entry.name: torch.randn(entry.shape, generator=torch.Generator().manual_seed(entry.offset))
        for entry in paths.layout.entries
    }
    tensors["gate.weight"], tensors["gate.bias"] = torch.zeros(4, 4), torch.tensor([0.0, 0.0, 0.0, bias])
    return paths.layout.flatten(tensors)


def test_rows_of_an_expert_that_never_wins_change_nothing(paths: Paths) -> None:
    case = Case(seed=1, samples=6)
    for subspace in (row_subspace(paths.layout, 2, 4), dyadic_hybrid_subspace(paths.layout, 0)):
        candidates = case.candidates(subspace, count=60)
        base = still_expert(paths, bias=-1e6)
        moved = ParticleCandidates(base, subspace, candidates.particle, candidates.offset)
        batch = case.batch()
        paths.assert_agree(moved, *batch)
        lifted = paths.layout.unflatten(subspace.lift_each(moved.particle, moved.offset))
        idle = torch.stack(
            [change.flatten(1).any(1) for name, change in lifted.items() if name.startswith("experts.3")]
        )
        other = torch.stack([c.flatten(1).any(1) for name, c in lifted.items() if not name.startswith("experts.3")])
        only = idle.any(0) & ~other.any(0)
        assert only.any()
        still = paths.functional.losses(ParticleCandidates(base, subspace, moved.particle, 0 * moved.offset), *batch)
        for evaluator in paths.fast:
            torch.testing.assert_close(evaluator.losses(moved, *batch)[only], still[only], rtol=1e-6, atol=0)


@pytest.mark.parametrize("bias", [-1.0, 0.0, 1.0])
def test_ties_go_to_the_first_expert(paths: Paths, bias: float) -> None:
    """Candidates lift the bias of each expert in turn just below, onto and just above that of expert 3."""
    subspace = RowSubspace(paths.layout, particle_dimension=1, seed=0, rank=1)
    subspace.bases = [torch.eye(basis.shape[1])[-1:] for basis in subspace.bases]
    number = next(i for i, group in enumerate(subspace.groups) if group.weight.name == "gate.weight")
    offset = torch.tensor([bias - 2**-10, bias, bias + 2**-10]).repeat(4)
    particle = subspace.groups[number].first_particle + torch.arange(4).repeat_interleave(3)
    candidates = ParticleCandidates(still_expert(paths, bias), subspace, particle, offset.unsqueeze(1))
    inputs, targets = Case(seed=2, samples=5).batch()
    paths.assert_agree(candidates, inputs, targets)
    winners = [
        int(paths.network.winners(inputs[:1], paths.layout.unflatten(point))) for point in candidates.dense(slice(None))
    ]
    scores = [(torch.tensor([0.0, 0, 0, bias]) + offset[n] * torch.eye(4)[n // 3]).tolist() for n in range(12)]
    assert winners == [score.index(max(score)) for score in scores]


@pytest.mark.parametrize("size", ["hidden", "experts"])
def test_bad_sizes_are_named(size: str) -> None:
    with pytest.raises(ValueError, match=f"{size} must be at least 1, got 0"):
        MixtureOfExperts(**{size: 0})
