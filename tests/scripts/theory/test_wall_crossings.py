"""Walls of hard networks: what is discrete is seen, walls are found to the last digit, and those out of reach are reported."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from polystep.contracts import ExpectedError
from polystep.layout import ParameterLayout
from polystep.random import named_generator
from scripts.theory.discrete_states import observer_of
from scripts.theory.wall_crossings import Along, WallCrossings
from tasks.networks.argmax_attention import ArgmaxAttentionNetwork
from tasks.networks.int8 import Int8Network
from tasks.networks.mixture_of_experts import MixtureOfExperts
from tasks.networks.multilayer_perceptron import MultilayerPerceptron
from tasks.networks.snn import SpikingNetwork
from tasks.networks.staircase import StaircaseNetwork

NETWORKS = {
    "snn": lambda: SpikingNetwork(6, 3, hidden=5, steps=4),
    "int8": lambda: Int8Network(6, 3, hidden=5),
    "staircase": lambda: StaircaseNetwork(6, 3, hidden=(5, 4)),
    "argmax": lambda: ArgmaxAttentionNetwork(6, 3, hidden=5, slots=3),
    "moe": lambda: MixtureOfExperts(6, 3, hidden=5, experts=3),
}
every_network = pytest.mark.parametrize("name", NETWORKS)


def problem(name: str) -> tuple[nn.Module, ParameterLayout, Tensor, Tensor, Tensor]:
    """The network in double precision, its layout, a point, inputs and targets."""
    network = NETWORKS[name]()
    network.initialise(named_generator(0, "weights"))  # type: ignore[operator]
    network = network.double()
    layout = ParameterLayout.of_module(network)
    generator = named_generator(0, "data")
    inputs = torch.rand(8, 6, generator=generator, dtype=torch.float64) * 2
    # float32 would move the point off what the network holds
    return network, layout, layout.point_of(network).double(), inputs, torch.randint(3, (8,), generator=generator)


@every_network
def test_outputs_are_those_of_the_network(name: str) -> None:
    network, layout, point, inputs, _ = problem(name)
    observe, movable = observer_of(network, layout)
    seen = observe(layout.unflatten(point), inputs)
    layout.write(point, network)
    assert torch.equal(seen.outputs, network(inputs))
    assert len(seen.state) == (1 if name == "int8" else 8)
    assert set(movable) <= {entry.name for entry in layout.entries}


@every_network
def test_parameters_that_are_left_out_never_change_the_state(name: str) -> None:
    network, layout, point, inputs, _ = problem(name)
    observe, movable = observer_of(network, layout)
    state = observe(layout.unflatten(point), inputs).state
    for kinds, changes in (("others", False), ("movable", True)):
        change = torch.zeros_like(point)
        for entry in layout.entries:
            if (entry.name in movable) == (kinds == "movable"):
                change[entry.span] = 1.0
        noise = torch.randn(len(point), generator=named_generator(0, "noise"), dtype=torch.float64)
        other = observe(layout.unflatten(point + change * noise), inputs).state
        assert bool((other != state).any()) == changes


@every_network
def test_a_wall_is_where_it_is_said_to_be(name: str) -> None:
    network, layout, point, inputs, targets = problem(name)
    observe, movable = observer_of(network, layout)
    along = Along(observe, layout, point, inputs, targets)
    entry = next(entry for entry in layout.entries if entry.name == movable[0])
    change = torch.zeros_like(point)
    change[entry.span] = torch.randn(entry.size, generator=named_generator(0, "change"), dtype=torch.float64)
    crossing = along.crossing(change, 0.01, 12)
    assert crossing is not None
    distance, jump = crossing

    def state(at: float) -> Tensor:
        return observe(layout.unflatten(point + at * change), inputs).state

    assert torch.equal(state(distance * (1 - 1e-9)), state(0.0))
    assert not torch.equal(state(distance * (1 + 1e-9)), state(0.0))
    assert abs(jump) < 5


@pytest.mark.parametrize("build", [ArgmaxAttentionNetwork, MixtureOfExperts])
def test_both_sides_are_those_of_the_whole_batch_at_production_size(build: Any) -> None:
    """Another choice of one sample is another loss, though products of few samples round otherwise than those of many."""
    network = build(784, 10)
    network.initialise(named_generator(0, "weights"))
    network = network.double()
    layout = ParameterLayout.of_module(network)
    generator = named_generator(0, "data")
    inputs = torch.randn(300, 784, generator=generator, dtype=torch.float64)
    targets = torch.randint(10, (300,), generator=generator)
    along = Along(observer_of(network, layout)[0], layout, layout.point_of(network), inputs, targets)
    first = layout.entries[0].span
    for _ in range(3):
        change = torch.zeros(layout.size, dtype=torch.float64)
        change[first] = torch.randn(change[first].shape, generator=generator, dtype=torch.float64)
        crossing = along.crossing(change, 0.01, 12)
        assert crossing is not None and abs(crossing[1]) > 1e-7


def test_no_wall_within_reach_is_none() -> None:
    network, layout, point, inputs, targets = problem("int8")
    along = Along(observer_of(network, layout)[0], layout, point, inputs, targets)
    first = torch.zeros_like(point)
    # the first layer is not quantised
    first[0] = 1.0
    assert along.crossing(first, 0.01, 3) is None


def test_a_network_without_walls_is_refused() -> None:
    network = MultilayerPerceptron(6, 3, (4,))
    with pytest.raises(ExpectedError, match="has no spikes, levels, choices or quantised weights"):
        observer_of(network, ParameterLayout.of_module(network))


SMALL: dict[str, Any] = {
    "tasks": ["snn_digits"], "study": "default", "steps": [0], "batch_sizes": [8, 32], "directions": 4, "reach": 0.05,
    "doublings": 10, "data_dir": "data", "seed": 0,
}  # fmt: skip


def test_rows_count_walls_by_batch() -> None:
    study = WallCrossings(**SMALL)
    found = study.run()
    assert [row["batch_size"] for row in found["wall_crossings"]] == [8, 32]
    for row in found["wall_crossings"]:
        assert row["directions"] == 4 >= row["walls"] >= row["unchanged"] >= 0
    few, many = found["wall_crossings"]
    # the walls of a batch are walls of every larger one
    assert many["median_distance"] <= few["median_distance"]
    assert len(study.section(found).tables[0].rows) == 2


def test_walls_that_were_not_found_are_reported() -> None:
    study = WallCrossings(**(SMALL | {"reach": 1e-12, "doublings": 0, "batch_sizes": [8]}))
    found = study.run()
    assert found["wall_crossings"][0]["walls"] == 0
    assert "No wall was found along 4 of 4 directions" in study.section(found).answer[0]


def test_no_reach_is_refused() -> None:
    with pytest.raises(ExpectedError, match="reach above 0"):
        WallCrossings(**(SMALL | {"reach": 0.0})).run()
