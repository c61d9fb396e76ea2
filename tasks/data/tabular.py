"""Small tables of measurements that scikit-learn carries; they need no network and no file.

Sources: UCI Machine Learning Repository (breast_cancer: Wolberg, Street, Mangasarian; wine: Forina; iris: Fisher); diabetes:
Efron, Hastie, Johnstone, Tibshirani, Least Angle Regression (2004).
"""

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.data.dataset import Loader, Progress, fingerprint

TABLES = ("breast_cancer", "wine", "iris", "diabetes")
_TEST_SHARE = 0.3
_SPLIT_SEED = 4


class TabularDataset:
    """Rows of numbers with a class each, divided at random into training and test part.

    Every column is shifted and scaled to mean 0 and deviation 1 over the training rows. A target that is a number becomes
    two classes: whether it is above its median over all rows.
    """

    def __init__(self, name: str, values: NDArray[np.float64], targets: NDArray[Any]):
        """`values`: (N, features). `targets`: (N,) class numbers from 0, or numbers."""
        self.name = name
        labels = (targets > np.median(targets) if targets.dtype.kind == "f" else targets).astype(np.int64)
        order = np.random.default_rng(_SPLIT_SEED).permutation(len(labels))
        count = round(_TEST_SHARE * len(labels))
        test, train = order[:count], order[count:]
        mean, deviation = values[train].mean(0), values[train].std(0)
        rows = ((values - mean) / np.where(deviation > 0, deviation, 1)).astype(np.float32)
        self.train_labels, self.test_labels = labels[train], labels[test]
        self._train: NDArray[np.float32] = rows[train]
        self._test: NDArray[np.float32] = rows[test]
        self.classes, self.pixels = int(labels.max()) + 1, rows.shape[1]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the content."""
        return fingerprint(self.name, (self._train, self.train_labels, self._test, self.test_labels))

    def train_inputs(self) -> NDArray[np.float32]:
        """A new array (N, features)."""
        return self._train.copy()

    def test_inputs(self) -> NDArray[np.float32]:
        """A new array (M, features)."""
        return self._test.copy()


def tabular_loader(name: str) -> Loader:
    """Loads one of TABLES."""

    def load(data_dir: Path, progress: Progress) -> TabularDataset:
        from sklearn import datasets

        values, targets = getattr(datasets, f"load_{name}")(return_X_y=True)
        return TabularDataset(name, values, targets)

    return load
