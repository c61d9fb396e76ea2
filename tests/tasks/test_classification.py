"""ClassificationTask on the digits: splits, mini-batches, resuming and the three evaluation paths."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from polystep.candidates import DenseCandidates, ParticleCandidates
from polystep.contracts import Spent
from polystep.subspace import FullSpace, RowSubspace
from tasks.classification import ClassificationTask
from tasks.data import ImageDataset, load_dataset
from tasks.networks.mixture_of_experts import MixtureOfExperts
from tasks.networks.snn import SmoothSpikingNetwork, SpikingNetwork

TRAIN, VALIDATION, TEST = 1200, 237, 360
BATCHES = [500, 500, 200]

Build = Callable[..., ClassificationTask]
WIDE = partial(SpikingNetwork, hidden=36)
"""Its kernels are those of `tests.exactness.WIDE`."""


@pytest.fixture(scope="module")
def digits() -> ImageDataset:
    return load_dataset("digits", Path("absent folder"))


@pytest.fixture
def build() -> Build:
    def task(**settings: Any) -> ClassificationTask:
        network = partial(SpikingNetwork, hidden=5, steps=4)
        defaults = {"network": network, "seed": 0, "batch_size": 500, "validation_size": VALIDATION}
        return ClassificationTask("a name", dataset="digits", data_dir="absent folder", **(defaults | settings))

    return task


def rows(inputs: Tensor, targets: Tensor) -> list[tuple[bytes, int]]:
    return [(row.numpy().tobytes(), int(target)) for row, target in zip(inputs, targets, strict=True)]


def next_rows(task: ClassificationTask, batches: int) -> list[list[tuple[bytes, int]]]:
    objectives = [task.next_objective() for _ in range(batches)]
    return [rows(objective.inputs, objective.targets) for objective in objectives]


def epoch(task: ClassificationTask) -> Counter[tuple[bytes, int]]:
    return Counter(row for batch in next_rows(task, task.steps_per_epoch) for row in batch)


def all_training_rows(digits: ImageDataset) -> Counter[tuple[bytes, int]]:
    return Counter(rows(torch.from_numpy(digits.normalised(digits.train_images)), torch.tensor(digits.train_labels)))


def accuracy(task: ClassificationTask, point: Tensor, inputs: Tensor, targets: Tensor) -> float:
    network = SpikingNetwork(inputs=64, classes=10, hidden=5, steps=4)
    task.layout.write(point, network)
    return (network(inputs).argmax(1) == targets).float().mean().item()


@pytest.fixture
def lively_point() -> Callable[[ClassificationTask], Tensor]:
    """A point at which some neurons fire, so that scores and losses vary."""
    return lambda task: 3 * task.initial_point(1)


def test_epoch_is_the_training_part_once_with_a_smaller_last_batch(build: Build, digits: ImageDataset) -> None:
    task = build()
    assert task.steps_per_epoch == 3
    batches = next_rows(task, 3)
    assert [len(batch) for batch in batches] == BATCHES
    seen = Counter(row for batch in batches for row in batch)
    held_out = all_training_rows(digits) - seen
    assert seen - all_training_rows(digits) == Counter()
    assert held_out.total() == VALIDATION


def test_validation_scores_the_rows_that_training_never_sees(
    build: Build, digits: ImageDataset, lively_point: Callable[[ClassificationTask], Tensor]
) -> None:
    task = build()
    held_out = list((all_training_rows(digits) - epoch(task)).elements())
    inputs = torch.stack([torch.frombuffer(bytearray(row), dtype=torch.float32) for row, _ in held_out])
    targets = torch.tensor([target for _, target in held_out])
    point = lively_point(task)
    assert task.validate(point) == pytest.approx(accuracy(task, point, inputs, targets))


def test_test_scores_the_test_set(
    build: Build, digits: ImageDataset, lively_point: Callable[[ClassificationTask], Tensor]
) -> None:
    task = build()
    point = lively_point(task)
    inputs = torch.from_numpy(digits.normalised(digits.test_images))
    score = task.test(point)
    assert score == pytest.approx(accuracy(task, point, inputs, torch.tensor(digits.test_labels)))
    assert score != task.validate(point)


def test_seed_decides_the_split(build: Build) -> None:
    assert epoch(build(seed=0)) == epoch(build(seed=0))
    assert epoch(build(seed=0)) != epoch(build(seed=1))


def test_seed_decides_the_order(build: Build) -> None:
    assert next_rows(build(seed=0), 4) == next_rows(build(seed=0), 4)
    states = [build(seed=seed).state_dict()["epoch_generator"] for seed in (0, 1)]
    assert not torch.equal(*states)


def test_every_epoch_reshuffles_the_same_rows(build: Build) -> None:
    task = build()
    first, second = next_rows(task, 3), next_rows(task, 3)
    assert [len(batch) for batch in second] == BATCHES
    assert first != second
    assert Counter(chain(*first)) == Counter(chain(*second))


def test_independent_batches_are_drawn_from_the_training_part(build: Build) -> None:
    training = set(epoch(build()))
    task = build(sampling="independent")
    batches = next_rows(task, 40)
    assert [len(batch) for batch in batches] == [500] * 40
    assert set(chain(*batches)) == training


def test_samplings_that_do_not_exist_are_refused(build: Build) -> None:
    with pytest.raises(ValueError, match="sampling must be 'shuffled' or 'independent', got 'sorted'"):
        build(sampling="sorted")


def test_batch_size_may_be_the_whole_training_part(build: Build) -> None:
    task = build(batch_size=TRAIN)
    assert task.steps_per_epoch == 1
    first, second = next_rows(task, 2)
    assert len(first) == len(second) == TRAIN
    assert first != second


def test_last_batch_is_charged_for_its_rows(build: Build) -> None:
    task = build(evaluation="incremental")
    space = FullSpace(task.layout, particle_dimension=8, seed=0)
    candidates = ParticleCandidates(task.initial_point(0), space, torch.tensor([0, 1]), torch.ones(2, 8))
    objectives = [task.next_objective() for _ in range(3)]
    assert objectives[2].spent == Spent()
    objectives[2].losses(candidates)
    objectives[2].losses(candidates)
    assert objectives[2].spent == Spent(candidate_evaluations=4, sample_forwards=4 * 200)
    assert objectives[1].spent == Spent()


@pytest.mark.parametrize("taken_after", [0, 1, 2, 3, 4, 7])
def test_resuming_continues_the_data_exactly(build: Build, taken_after: int) -> None:
    task = build()
    next_rows(task, taken_after)
    state = task.state_dict()
    expected = next_rows(task, 5)
    resumed = build()
    next_rows(resumed, 2)
    resumed.load_state_dict(state)
    assert next_rows(resumed, 5) == expected


@pytest.mark.parametrize("size", [0, -1, 1437, 5000, 1.5])
def test_bad_validation_size_is_named(build: Build, size: float) -> None:
    message = rf"task\.validation_size must be a whole number in 1\.\.1436 for digits, got {size}"
    with pytest.raises(ValueError, match=message):
        build(validation_size=size)


@pytest.mark.parametrize("size", [0, TRAIN + 1])
def test_bad_batch_size_is_named(build: Build, size: int) -> None:
    with pytest.raises(ValueError, match=rf"task\.batch_size must lie in 1\.\.1200, got {size}"):
        build(batch_size=size)


def test_bad_evaluation_is_named(build: Build) -> None:
    with pytest.raises(ValueError, match=r"task\.evaluation must be .*, got 'magic'"):
        build(evaluation="magic")


def test_evaluation_paths_agree(build: Build, lively_point: Callable[[ClassificationTask], Tensor]) -> None:
    losses = {}
    for evaluation in ("functional", "incremental", "fused"):
        task = build(network=WIDE, evaluation=evaluation, batch_size=40)
        subspace = RowSubspace(task.layout, particle_dimension=4, seed=0, rank=8)
        particle = torch.arange(subspace.particles)
        offset = torch.randn(len(particle), 4, generator=torch.Generator().manual_seed(0))
        candidates = ParticleCandidates(lively_point(task), subspace, particle, offset)
        losses[evaluation] = task.next_objective().losses(candidates)
    assert losses["functional"].std() > 0.01
    for evaluation in ("incremental", "fused"):
        torch.testing.assert_close(losses[evaluation], losses["functional"], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("evaluation", ["fused", "incremental", "functional"])
def test_gradients_belong_to_the_losses(
    build: Build, lively_point: Callable[[ClassificationTask], Tensor], evaluation: str
) -> None:
    task = build(network=WIDE, evaluation=evaluation)
    point, objective = lively_point(task), task.next_objective()
    assert objective.gradients == ("surrogate", "smooth")
    (expected,) = objective.losses(DenseCandidates(point.unsqueeze(0)))
    before = objective.spent
    losses, gradients = zip(*(objective.gradient(point, kind) for kind in objective.gradients), strict=True)
    assert objective.spent - before == Spent(sample_forwards=1000, backward_passes=1000)
    torch.testing.assert_close(losses[0], expected)
    assert abs(losses[1] - expected) > 1e-3
    assert all(gradient.shape == point.shape and gradient.any() for gradient in gradients)
    downhill = point - 0.02 * gradients[1] / gradients[1].norm()
    assert objective.gradient(downhill, "smooth")[0] < losses[1]


@pytest.mark.parametrize("evaluation", ["fused", "incremental"])
def test_a_network_without_layers_falls_back_and_says_so_once(build: Build, evaluation: str) -> None:
    network = partial(SmoothSpikingNetwork, hidden=5, steps=4)
    with pytest.warns(UserWarning, match="does not know how SmoothSpikingNetwork is built") as caught:
        task = build(network=network, evaluation=evaluation)
        candidates = DenseCandidates(torch.stack([task.initial_point(1), task.initial_point(2)]))
        losses = [task.next_objective().losses(candidates) for _ in range(2)]
    assert len(caught) == 1
    asked_for = build(network=network, evaluation="functional")
    assert torch.equal(asked_for.next_objective().losses(candidates), losses[0])


def test_a_network_without_layers_is_evaluated_as_a_whole(build: Build) -> None:
    network = partial(SmoothSpikingNetwork, hidden=5, steps=4)
    task = build(network=network, evaluation="functional")
    point = 3 * task.initial_point(1)
    alone = network(inputs=64, classes=10)
    task.layout.write(point, alone)
    inputs, targets = task._validation
    assert task.validate(point) == pytest.approx((alone(inputs).argmax(1) == targets).float().mean().item())
    assert task.next_objective().gradients == ("exact",)


def test_initial_point_is_what_torch_gives_for_the_seed(build: Build) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(42)
        first, second = torch.nn.Linear(64, 5), torch.nn.Linear(5, 10)
    expected = torch.cat([tensor.flatten() for tensor in (first.weight, first.bias, second.weight, second.bias)])
    torch.testing.assert_close(build().initial_point(42), expected.detach(), rtol=1e-6, atol=1e-9)


def test_initial_point_is_determined_by_its_seed(build: Build) -> None:
    task = build(seed=0)
    point = task.initial_point(3)
    task.initial_point(4)
    assert torch.equal(task.initial_point(3), point)
    assert torch.equal(build(seed=1).initial_point(3), point)
    assert not torch.equal(task.initial_point(4), point)


def test_global_random_state_is_left_alone(build: Build) -> None:
    before = torch.get_rng_state()
    task = build()
    point = task.initial_point(3)
    next_rows(task, 4)
    task.validate(point)
    assert torch.equal(torch.get_rng_state(), before)


def test_description(build: Build, digits: ImageDataset) -> None:
    task = build()
    assert task.fingerprint == digits.fingerprint
    assert task.layout.size == 65 * 5 + 6 * 10
    assert (task.metric.name, task.metric.direction) == ("accuracy", "maximize")


def test_diagnostics_say_how_a_router_uses_its_routes(build: Build) -> None:
    task = build(network=partial(MixtureOfExperts, hidden=5, experts=4))
    point = task.initial_point(0)
    tensors = task.layout.unflatten(point)
    tensors["gate.weight"].zero_()
    tensors["gate.bias"].copy_(torch.tensor([0.0, 1.0, 0.0, 0.0]))
    found = task.diagnostics(task.layout.flatten(tensors))["utilisation"]
    assert found == {"shares": [0, 1, 0, 0], "entropy": 0, "collapsed": True}
    found = task.diagnostics(3 * task.initial_point(0))["utilisation"]
    inputs, _ = task._validation
    alone = MixtureOfExperts(inputs=64, classes=10, hidden=5, experts=4)
    task.layout.write(3 * task.initial_point(0), alone)
    winner = alone.gate(torch.relu(alone.hidden(inputs))).argmax(-1)
    assert found["shares"] == pytest.approx([float((winner == expert).double().mean()) for expert in range(4)])
    assert sum(found["shares"]) == pytest.approx(1) and len(set(found["shares"])) > 1


def test_diagnostics_name_the_classes_that_are_never_recognised(build: Build) -> None:
    task = build()
    point = task.initial_point(0)
    tensors = task.layout.unflatten(torch.zeros_like(point))
    # the last bias alone decides
    tensors[task.layout.entries[-1].name][3] = 1.0
    assert task.diagnostics(task.layout.flatten(tensors)) == {"lost_classes": [0, 1, 2, 4, 5, 6, 7, 8, 9]}
    inputs, targets = task._validation
    hits = [
        int(target) for row, target in zip(inputs, targets, strict=True) if task._module(row[None]).argmax() == target
    ]
    assert task.diagnostics(task.layout.point_of(task._module)) == {"lost_classes": sorted({*range(10)} - {*hits})}


def test_sizes_may_be_a_share_and_everything(build: Build) -> None:
    """1437 training images, a quarter of which are 359."""
    task = build(batch_size=None, validation_size=0.25)
    assert task.steps_per_epoch == 1
    assert len(task.next_objective().inputs) == 1437 - 359
    with pytest.raises(ValueError, match=r"got 0\.0001; below 1 it is a share, of at least one row"):
        build(validation_size=0.0001)
