"""A hard oblique decision tree: every inner node asks on which side of a hyperplane an input lies."""

import copy
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from polystep.capabilities import GradientKind
from polystep.component import component
from polystep.evaluation.layered import LayeredNetwork
from polystep.layout import ParameterLayout
from polystep.validation import SettingError
from tasks.networks.initialisation import initialise_linear_layers
from tasks.networks.tree_evaluation import TreeEvaluator

Decision = Callable[[Tensor], Tensor]
"""The share of an input that goes to the right, (..., nodes), from the distances to the hyperplanes."""


def hard(distance: Tensor) -> Tensor:
    """1 above 0, else 0."""
    return (distance > 0).to(distance.dtype)


def hard_straight_through(distance: Tensor) -> Tensor:
    """The decisions of `hard`, bit for bit, with the derivative of the sigmoid."""
    soft = torch.sigmoid(distance)
    return hard(distance) + (soft - soft.detach())


@component("decision_tree", version=1)
class DecisionTree(nn.Module):
    """A complete tree of inner nodes w . x + b > 0 and leaves with a logit for each class.

    Nodes are numbered level by level, from left to right; an input goes to the right child where the inequality holds. The
    soft tree sends the share sigmoid(w . x + b) there and mixes the logits of the leaves; it is what gradients train.
    Source: Murthy, Kasif, Salzberg, A System for Induction of Oblique Decision Trees (1994); the soft tree: Irsoy, Yildiz,
    Alpaydin, Soft Decision Trees (2012).
    """

    def __init__(self, inputs: int, classes: int, depth: int = 4, decision: Decision = hard):
        """`depth`: decisions on the way to a leaf."""
        if not 1 <= depth <= 12:
            raise SettingError(f"the depth of the tree must lie in 1..12, got depth={depth}")
        super().__init__()
        self.depth, self.decision = depth, decision
        self.splits = nn.Linear(inputs, 2**depth - 1)
        self.leaves = nn.Parameter(torch.zeros(2**depth, classes))

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits (B, classes) of inputs (B, features)."""
        right = self.decision(self.splits(inputs))
        share = torch.ones_like(right[:, :1])
        for level in range(self.depth):
            there = share * right[:, 2**level - 1 : 2 ** (level + 1) - 1]
            share = torch.stack([share - there, there], -1).flatten(1)
        return share @ self.leaves

    @torch.no_grad()
    def initialise(self, generator: torch.Generator) -> None:
        """Hyperplanes as torch starts a linear layer, leaves from N(0, 0.1^2)."""
        initialise_linear_layers(self, generator)
        self.leaves.normal_(0.0, 0.1, generator=generator)

    def differentiable(self) -> Mapping[GradientKind, nn.Module]:
        """Itself, whose hyperplanes have no gradient; with straight-through decisions; the soft tree."""
        return {
            "exact": self,
            "straight_through": self._with(hard_straight_through),
            "smooth": self._with(torch.sigmoid),
        }

    def layered(self) -> LayeredNetwork | None:
        """None: what follows a decision is the way to the leaves."""
        return None

    def evaluator(self, layout: ParameterLayout) -> TreeEvaluator:
        """Computes the losses of many hard trees."""
        return TreeEvaluator(self.depth, layout)

    def _with(self, decision: Decision) -> "DecisionTree":
        """The same parameters, not copies of them, with other decisions."""
        twin = copy.copy(self)
        twin.decision = decision
        return twin
