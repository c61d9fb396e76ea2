"""FunctionalEvaluator: any module, all candidates at once or one at a time."""

import warnings
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from polystep.candidates import Candidates, DenseCandidates, ParticleCandidates, SeededCandidates
from polystep.evaluation.functional import FunctionalEvaluator
from polystep.layout import ParameterLayout
from polystep.subspace import FullSpace


class DataDependent(nn.Module):
    """Branches on a value, which vmap cannot take."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        outputs = self.linear(inputs)
        return outputs if outputs.sum() > 0 else 2 * outputs


class TiedAutoencoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(4, 4)
        self.decoder = nn.Linear(4, 4, bias=False)
        self.decoder.weight = self.encoder.weight

    def forward(self, inputs: Tensor) -> Tensor:
        return self.decoder(self.encoder(inputs))


def normalised_network() -> nn.Module:
    network = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Dropout(0.5), nn.ReLU(), nn.Linear(5, 3))
    network[1].running_mean.uniform_(-1, 1)
    network[1].running_var.uniform_(0.5, 2)
    return network


def frozen_network() -> nn.Module:
    network = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))
    network[0].weight.requires_grad_(False)
    return network


NETWORKS = pytest.mark.parametrize("build", [normalised_network, frozen_network, TiedAutoencoder, DataDependent])


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    return torch.randn(6, 4), torch.tensor([0, 1, 2, 2, 1, 0])


def points_around(module: nn.Module, count: int) -> Tensor:
    point = ParameterLayout.of_module(module).point_of(module)
    return point + torch.randn(count, len(point))


def plain_loop(module: nn.Module, points: Tensor, inputs: Tensor, targets: Tensor) -> Tensor:
    """Write each point into the module and run it in eval mode; parameters are put back."""
    layout = ParameterLayout.of_module(module)
    start, was_training = layout.point_of(module), module.training
    module.eval()
    losses = []
    for point in points:
        layout.write(point, module)
        losses.append(F.cross_entropy(module(inputs), targets).detach())
    layout.write(start, module)
    module.train(was_training)
    return torch.stack(losses)


@NETWORKS
@pytest.mark.filterwarnings("ignore:vmap cannot take")
def test_losses_equal_a_plain_loop(build: Callable[[], nn.Module], batch: tuple[Tensor, Tensor]) -> None:
    module = build()
    points = points_around(module, 7)
    losses = FunctionalEvaluator(module, F.cross_entropy).losses(DenseCandidates(points), *batch)
    assert losses.dtype == torch.float32
    torch.testing.assert_close(losses, plain_loop(module, points, *batch))


def test_structured_candidates_equal_their_points(batch: tuple[Tensor, Tensor]) -> None:
    module = frozen_network()
    evaluator = FunctionalEvaluator(module, F.cross_entropy)
    base, space = evaluator.layout.point_of(module), FullSpace(evaluator.layout, particle_dimension=2, seed=0)
    structured: list[Candidates] = [
        ParticleCandidates(base, space, torch.tensor([3, 0]), torch.randn(2, 2)),
        SeededCandidates(base, torch.tensor([1, 1]), torch.tensor([0.5, -0.5])),
    ]
    for candidates in structured:
        dense = DenseCandidates(candidates.dense(slice(None)))
        torch.testing.assert_close(evaluator.losses(candidates, *batch), evaluator.losses(dense, *batch))


def test_what_a_pass_stores_in_attributes_does_not_reach_the_next() -> None:
    """Also not from the pass that only tells how much memory is needed."""

    class Leaky(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear, self.charge = nn.Linear(4, 2), torch.zeros(())

        def forward(self, inputs: Tensor) -> Tensor:
            self.charge = 0.5 * self.charge + self.linear(inputs)
            return self.charge

    module = Leaky()
    evaluator = FunctionalEvaluator(module, F.cross_entropy)
    candidates = DenseCandidates(points_around(module, 4))
    batch = torch.randn(6, 4), torch.tensor([0, 1, 1, 0, 1, 0])
    first = evaluator.losses(candidates, *batch)
    assert torch.equal(evaluator.losses(candidates, *batch), first)
    expected = [
        F.cross_entropy(batch[0] @ w.reshape(2, 4).T + b, batch[1])
        for w, b in (p.split([8, 2]) for p in candidates.points)
    ]
    torch.testing.assert_close(first, torch.stack(expected))


def test_chunks_are_small_where_a_part_gives_many_numbers() -> None:
    inputs = torch.randn(64, 4)
    narrow, wide = (
        FunctionalEvaluator(nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 2)), F.cross_entropy)
        for width in (8, 20_000)
    )
    assert narrow._chunk(inputs) > 20_000
    assert wide._chunk(inputs) == wide.memory_bytes // (4 * 2 * (wide.layout.size + 64 * 20_000))
    assert not any(part._forward_hooks for part in wide.module.modules())


@pytest.mark.parametrize("candidates_per_chunk", [1, 2, 3, 7, 100])
def test_chunking_does_not_matter(candidates_per_chunk: int, batch: tuple[Tensor, Tensor]) -> None:
    module = normalised_network()
    points = points_around(module, 7)
    sizes = []
    whole = FunctionalEvaluator(module, F.cross_entropy)
    per_candidate = whole.memory_bytes // whole._chunk(batch[0])
    chunked = FunctionalEvaluator(module, F.cross_entropy, memory_bytes=candidates_per_chunk * (per_candidate + 8))

    class Recording(DenseCandidates):
        def dense(self, part: slice) -> Tensor:
            sizes.append(len(super().dense(part)))
            return super().dense(part)

    losses = chunked.losses(Recording(points), *batch)
    assert max(sizes) == min(candidates_per_chunk, 7)
    assert sum(sizes) == 7
    torch.testing.assert_close(losses, whole.losses(DenseCandidates(points), *batch))


def test_no_candidates_have_no_losses(batch: tuple[Tensor, Tensor]) -> None:
    module = frozen_network()
    losses = FunctionalEvaluator(module, F.cross_entropy).losses(DenseCandidates(points_around(module, 0)), *batch)
    assert losses.shape == (0,)


def test_module_that_vmap_cannot_take_is_run_in_a_loop_with_one_warning(batch: tuple[Tensor, Tensor]) -> None:
    module = DataDependent()
    points = points_around(module, 5)
    evaluator = FunctionalEvaluator(module, F.cross_entropy)
    with pytest.warns(UserWarning, match="vmap cannot take DataDependent") as caught:
        first = evaluator.losses(DenseCandidates(points), *batch)
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        second = evaluator.losses(DenseCandidates(points), *batch)
    expected = plain_loop(module, points, *batch)
    torch.testing.assert_close(first, expected)
    torch.testing.assert_close(second, expected)


def test_module_that_vmap_can_take_gives_no_warning(batch: tuple[Tensor, Tensor]) -> None:
    module = normalised_network()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        FunctionalEvaluator(module, F.cross_entropy).losses(DenseCandidates(points_around(module, 5)), *batch)


@pytest.mark.parametrize("training", [True, False])
def test_module_is_left_as_it_was(training: bool, batch: tuple[Tensor, Tensor]) -> None:
    module = normalised_network().train(training)
    tensors = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    FunctionalEvaluator(module, F.cross_entropy).losses(DenseCandidates(points_around(module, 5)), *batch)
    assert all(part.training == training for part in module.modules())
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, tensors[name])


def test_mode_of_each_part_is_restored(batch: tuple[Tensor, Tensor]) -> None:
    module = normalised_network().train()
    module[1].eval()
    FunctionalEvaluator(module, F.cross_entropy).losses(DenseCandidates(points_around(module, 5)), *batch)
    assert module.training
    assert module[2].training
    assert not module[1].training


def test_mode_is_restored_after_an_error(batch: tuple[Tensor, Tensor]) -> None:
    module = normalised_network().train()
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        FunctionalEvaluator(module, F.cross_entropy).losses(
            DenseCandidates(points_around(module, 5)), batch[0][:, :3], batch[1]
        )
    assert module.training


@pytest.mark.parametrize("count", [1, 5])
def test_loss_that_is_not_a_scalar_is_an_error(count: int, batch: tuple[Tensor, Tensor]) -> None:
    module = frozen_network()
    evaluator = FunctionalEvaluator(module, lambda outputs, targets: outputs.sum(1))
    with pytest.raises(TypeError, match=r"the loss must be a scalar, got shape \(6,\)"):
        evaluator.losses(DenseCandidates(points_around(module, count)), *batch)


def test_memory_bound_below_one_byte_is_an_error() -> None:
    with pytest.raises(ValueError, match="memory_bytes must be at least 1, got 0"):
        FunctionalEvaluator(frozen_network(), F.cross_entropy, memory_bytes=0)
