"""The recurrent network is torch's, number by number, and all ways to evaluate it agree."""

from functools import cache

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from polystep.candidates import Candidates, DenseCandidates, ParticleCandidates
from polystep.evaluation.functional import FunctionalEvaluator
from polystep.layout import ParameterLayout
from polystep.subspace import FullSpace, HybridSubspace, RowSubspace
from tasks.networks.long_short_term_memory import LongShortTermMemory
from tasks.networks.recurrent_evaluation import RecurrentEvaluator

HISTORY, HORIZON, HIDDEN = 6, 3, 4


@cache
def network() -> LongShortTermMemory:
    built = LongShortTermMemory(HORIZON, HIDDEN)
    built.initialise(torch.Generator().manual_seed(3))
    return built


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def evaluators() -> tuple[FunctionalEvaluator, RecurrentEvaluator]:
    layout = ParameterLayout.of_module(network())
    return FunctionalEvaluator(network(), F.mse_loss, layout), network().evaluator(layout)


def candidates(kind: str, count: int = 40) -> Candidates:
    layout = ParameterLayout.of_module(network())
    base = layout.point_of(network())
    if kind == "dense":
        return DenseCandidates(base + 0.5 * numbers(count, layout.size))
    build = {"row": RowSubspace, "hybrid": HybridSubspace, "full": FullSpace}[kind]
    subspace = build(layout, 2, seed=0)
    particle = torch.linspace(0, subspace.particles - 1, count).long()
    return ParticleCandidates(base, subspace, particle, 2 * numbers(count, 2, seed=1))


def test_forecasts_are_those_of_torchs_module() -> None:
    theirs = nn.LSTM(1, HIDDEN, batch_first=True)
    ours = network()
    with torch.no_grad():
        theirs.weight_ih_l0.copy_(ours.input_gates.weight)
        theirs.weight_hh_l0.copy_(ours.state_gates.weight)
        theirs.bias_ih_l0.copy_(ours.input_gates.bias)
        theirs.bias_hh_l0.copy_(ours.state_gates.bias)
        inputs = numbers(5, HISTORY)
        _, (state, _) = theirs(inputs.unsqueeze(-1))
        torch.testing.assert_close(ours(inputs), ours.readout(state[0]))


def test_a_seed_starts_where_torch_starts() -> None:
    torch.manual_seed(5)
    expected = LongShortTermMemory(HORIZON, HIDDEN).state_dict()
    ours = LongShortTermMemory(HORIZON, HIDDEN)
    ours.initialise(torch.Generator().manual_seed(5))
    for name, tensor in ours.state_dict().items():
        assert torch.equal(tensor, expected[name]), name


@pytest.mark.parametrize("kind", ["dense", "row", "hybrid", "full"])
@pytest.mark.parametrize("memory_bytes", [1, 2000, None])
def test_losses_are_those_of_the_whole_network(kind: str, memory_bytes: int | None) -> None:
    functional, fast = evaluators()
    fast.memory_bytes = memory_bytes
    batch = numbers(7, HISTORY, seed=2), numbers(7, HORIZON, seed=3)
    losses = fast.losses(candidates(kind), *batch)
    assert losses.dtype == torch.float32
    torch.testing.assert_close(losses, functional.losses(candidates(kind), *batch), rtol=1e-5, atol=1e-6)
    assert len(set(losses.tolist())) == len(losses)


@pytest.mark.parametrize("kind", ["dense", "row"])
def test_losses_of_a_part_are_that_part_of_the_losses(kind: str) -> None:
    _, fast = evaluators()
    batch = numbers(7, HISTORY, seed=2), numbers(7, HORIZON, seed=3)
    moved = candidates(kind)
    for part in (slice(3, 4), slice(5, 30)):
        assert torch.equal(fast.losses(moved.part(part), *batch), fast.losses(moved, *batch)[part])


def test_saturated_gates_are_exact() -> None:
    functional, fast = evaluators()
    batch = 100 * numbers(3, HISTORY, seed=2), numbers(3, HORIZON, seed=3)
    moved = candidates("dense")
    torch.testing.assert_close(fast.losses(moved, *batch), functional.losses(moved, *batch), rtol=1e-5, atol=1e-6)


def test_one_pass_serves_all_that_differ_in_the_readout_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    _, fast = evaluators()
    passes = []
    whole = RecurrentEvaluator._last_states

    def counted(self: RecurrentEvaluator, weights: Tensor, inputs: Tensor) -> Tensor:
        passes.append(len(weights))
        return whole(self, weights, inputs)

    monkeypatch.setattr(RecurrentEvaluator, "_last_states", counted)
    base = fast.layout.point_of(network())
    first = next(entry.offset for entry in fast.layout.entries if entry.name == "readout.weight")
    points = base.repeat(9, 1)
    points[:, first:] += numbers(9, fast.layout.size - first)
    fast.losses(DenseCandidates(points), numbers(2, HISTORY), numbers(2, HORIZON))
    assert passes == [1]


def test_no_candidates_have_no_losses() -> None:
    _, fast = evaluators()
    none = DenseCandidates(torch.empty(0, fast.layout.size))
    assert fast.losses(none, numbers(2, HISTORY), numbers(2, HORIZON)).shape == (0,)


def test_a_state_needs_a_number() -> None:
    with pytest.raises(ValueError, match="hidden must be at least 1, got 0"):
        LongShortTermMemory(HORIZON, hidden=0)
