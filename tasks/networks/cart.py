"""CART as a decision tree of this package: what a greedy learner of axis-parallel splits makes of the same depth."""

from typing import Any

import torch
from torch import Tensor

from tasks.networks.decision_tree import DecisionTree


@torch.no_grad()
def fit_cart(tree: DecisionTree, inputs: Tensor, targets: Tensor, seed: int) -> None:
    """Give `tree` the splits and leaves that scikit-learn's CART learns from inputs (B, features) and classes (B,).

    A split x_f <= t becomes the hyperplane x_f - t > 0; the logits of a leaf are 1 for its class and 0 for the others.
    Where CART stops early, all leaves below have its class. Source: Breiman, Friedman, Olshen, Stone, Classification and
    Regression Trees (1984).
    """
    from sklearn.tree import DecisionTreeClassifier

    learnt: Any = DecisionTreeClassifier(max_depth=tree.depth, random_state=seed)
    learnt.fit(inputs.double().numpy(), targets.numpy())
    cart, classes = learnt.tree_, torch.as_tensor(learnt.classes_)
    tree.splits.weight.zero_()
    tree.splits.bias.zero_()
    tree.leaves.zero_()
    inner = len(tree.splits.weight)

    def place(found: int, node: int) -> None:
        ends = cart.children_left[found] < 0
        if node >= inner:
            tree.leaves[node - inner, classes[int(cart.value[found].argmax())]] = 1.0
            return
        if not ends:
            tree.splits.weight[node, int(cart.feature[found])] = 1.0
            tree.splits.bias[node] = -float(cart.threshold[found])
        place(found if ends else cart.children_left[found], 2 * node + 1)
        place(found if ends else cart.children_right[found], 2 * node + 2)

    place(0, 0)
