"""The hard oblique decision tree: every input reaches the leaf that its decisions lead to."""

import pytest
import torch
from torch import Tensor

from polystep.layout import ParameterLayout
from tasks.networks.decision_tree import DecisionTree


@pytest.fixture
def tree() -> DecisionTree:
    tree = DecisionTree(inputs=5, classes=3, depth=3)
    tree.initialise(torch.Generator().manual_seed(0))
    return tree


@pytest.fixture
def inputs() -> Tensor:
    return 3 * torch.randn(200, 5, generator=torch.Generator().manual_seed(1))


def leaf_of(tree: DecisionTree, row: Tensor) -> int:
    """By walking from node to node: the children of node n are 2 n + 1 and 2 n + 2."""
    node = 0
    for _ in range(tree.depth):
        node = 2 * node + 1 + int(tree.splits.weight[node] @ row + tree.splits.bias[node] > 0)
    return node - (2**tree.depth - 1)


def test_every_input_reaches_its_leaf(tree: DecisionTree, inputs: Tensor) -> None:
    reached = [leaf_of(tree, row) for row in inputs]
    assert len(set(reached)) > 4
    torch.testing.assert_close(tree(inputs), tree.leaves[reached])


def test_an_input_on_the_hyperplane_goes_left() -> None:
    tree = DecisionTree(inputs=2, classes=2, depth=1)
    with torch.no_grad():
        tree.splits.weight.zero_()
        tree.splits.bias.zero_()
        tree.leaves.copy_(torch.eye(2))
    assert tree(torch.ones(1, 2)).tolist() == [[1.0, 0.0]]


def test_straight_through_is_the_hard_tree_and_soft_becomes_it(tree: DecisionTree, inputs: Tensor) -> None:
    kinds = tree.differentiable()
    assert torch.equal(kinds["straight_through"](inputs), tree(inputs))
    assert not torch.allclose(kinds["smooth"](inputs), tree(inputs), atol=1e-3)
    for kind, reaches in (("exact", False), ("straight_through", True), ("smooth", True)):
        outputs = kinds[kind](inputs).square().sum()
        (gradient,) = torch.autograd.grad(outputs, tree.splits.weight, allow_unused=True)
        assert (gradient is not None and bool(gradient.any())) == reaches, kind
    with torch.no_grad():
        tree.splits.weight.mul_(1e5)
        tree.splits.bias.mul_(1e5)
    torch.testing.assert_close(kinds["smooth"](inputs), tree(inputs), atol=1e-3, rtol=0)


def test_parameters_of_the_soft_tree_are_those_of_the_hard_one(tree: DecisionTree) -> None:
    assert ParameterLayout.of_module(tree).size == 7 * 6 + 8 * 3
    for other in tree.differentiable().values():
        assert all(one is two for one, two in zip(other.parameters(), tree.parameters(), strict=True))


@pytest.mark.parametrize("depth", [0, 13])
def test_useless_depths_are_named(depth: int) -> None:
    with pytest.raises(ValueError, match=rf"must lie in 1\.\.12, got depth={depth}"):
        DecisionTree(5, 3, depth)
