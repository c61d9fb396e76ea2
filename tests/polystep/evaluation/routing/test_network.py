"""Routed networks: which map a particle moves, and how samples spread over the routes."""

import math

import pytest
import torch

from polystep.evaluation.activations import CrossEntropy, Identity, ReLU
from polystep.evaluation.routing.network import Linear, Route, RoutedNetwork, parts_by_tensors, utilisation
from polystep.layout import ParameterLayout


def network(**changes: object) -> RoutedNetwork:
    route = Route(Linear("inner.weight", "inner.bias"))
    parts = {
        "trunk": Linear("trunk.weight", "trunk.bias"),
        "activation": ReLU(),
        "router": Linear("keys"),
        "routes": (route, route),
        "route_activation": Identity(),
        "output": Linear("output.weight", "output.bias"),
        "loss": CrossEntropy(),
        "gated": True,
    }
    return RoutedNetwork(**parts | changes)


SHAPES = {
    "trunk.weight": (4, 6),
    "trunk.bias": (4,),
    "keys": (2, 4),
    "inner.weight": (4, 4),
    "inner.bias": (4,),
    "output.weight": (3, 4),
    "output.bias": (3,),
}


def test_every_map_is_found_by_its_tensors() -> None:
    parts = parts_by_tensors(network(), ParameterLayout(SHAPES))
    roles = {names[0]: part.role for names, part in parts.items()}
    expected = {"trunk.weight": "trunk", "keys": "router", "inner.weight": "inner", "output.weight": "output"}
    assert roles == expected


def test_maps_that_share_a_tensor_have_no_patch_of_their_own() -> None:
    tied = network(output=Linear("inner.weight", "output.bias"))
    assert {part.role for part in parts_by_tensors(tied, ParameterLayout(SHAPES)).values()} == {"trunk", "router"}
    shapes = {name: shape for name, shape in SHAPES.items() if name != "output.weight"}
    aliased = ParameterLayout(shapes, {"output.weight": "inner.weight"})
    assert {part.role for part in parts_by_tensors(network(), aliased).values()} == {"trunk", "router"}


@pytest.mark.parametrize(
    ("winner", "shares", "entropy", "collapsed"),
    [
        ([0, 1, 2, 3], [0.25] * 4, math.log(4), False),
        ([2, 2, 2], [0, 0, 1, 0], 0.0, True),
        # a share of exactly 40% is not a collapse
        ([0, 0, 1, 2, 3], [0.4, 0.2, 0.2, 0.2], None, False),
        ([0, 0, 0, 1, 1, 2, 3], [3 / 7, 2 / 7, 1 / 7, 1 / 7], None, True),
    ],
)
def test_utilisation(winner: list[int], shares: list[float], entropy: float | None, collapsed: bool) -> None:
    found = utilisation(torch.tensor(winner), 4)
    assert found["shares"] == pytest.approx(shares)
    assert found["collapsed"] is collapsed
    wanted = -sum(share * math.log(share) for share in shares if share) if entropy is None else entropy
    assert found["entropy"] == pytest.approx(wanted)
