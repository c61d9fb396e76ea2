"""CART in the form of an oblique tree decides as scikit-learn's does."""

from pathlib import Path

import pytest
import torch

from tasks.data import load_dataset
from tasks.networks.cart import fit_cart
from tasks.networks.decision_tree import DecisionTree


@pytest.mark.parametrize(("name", "depth"), [("iris", 1), ("wine", 5), ("breast_cancer", 3), ("digits", 6)])
def test_predictions_are_those_of_scikit_learn(name: str, depth: int) -> None:
    from sklearn.tree import DecisionTreeClassifier

    data = load_dataset(name, Path("absent folder"))
    inputs, targets = torch.from_numpy(data.train_inputs()), torch.tensor(data.train_labels)
    tree = DecisionTree(data.pixels, data.classes, depth)
    fit_cart(tree, inputs, targets, seed=3)
    theirs = DecisionTreeClassifier(max_depth=depth, random_state=3).fit(inputs.numpy(), targets.numpy())
    for rows in (inputs, torch.from_numpy(data.test_inputs())):
        assert tree(rows).argmax(1).tolist() == theirs.predict(rows.numpy()).tolist()
    if depth > 1:
        assert (tree(inputs).argmax(1) == targets).float().mean() > 0.7


def test_classes_that_are_missing_are_never_predicted() -> None:
    tree = DecisionTree(inputs=2, classes=4, depth=2)
    fit_cart(tree, torch.tensor([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]]), torch.tensor([3, 1, 3]), seed=0)
    assert tree(torch.tensor([[0.0, 5.0], [1.0, 5.0], [2.0, 5.0]])).argmax(1).tolist() == [3, 1, 3]
