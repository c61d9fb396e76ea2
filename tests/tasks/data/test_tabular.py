"""Tables of scikit-learn: a fixed division, columns of deviation 1, classes from 0."""

from pathlib import Path

import numpy as np
import pytest

from tasks.data import Dataset, load_dataset
from tasks.data.tabular import TABLES

SHAPES = {"breast_cancer": (569, 30, 2), "wine": (178, 13, 3), "iris": (150, 4, 3), "diabetes": (442, 10, 2)}


@pytest.fixture(params=TABLES)
def table(request: pytest.FixtureRequest) -> Dataset:
    return load_dataset(request.param, Path("absent folder"))


def test_rows_and_classes(table: Dataset) -> None:
    rows, columns, classes = SHAPES[table.name]
    train, test = table.train_inputs(), table.test_inputs()
    assert len(train) + len(test) == rows and len(test) == round(0.3 * rows)
    assert train.dtype == test.dtype == np.float32 and train.shape[1] == test.shape[1] == columns == table.pixels
    assert table.classes == classes
    for labels, inputs in ((table.train_labels, train), (table.test_labels, test)):
        assert labels.dtype == np.int64 and len(labels) == len(inputs)
        assert np.bincount(labels, minlength=classes).min() > 5


def test_columns_have_mean_0_and_deviation_1_in_the_training_part(table: Dataset) -> None:
    np.testing.assert_allclose(table.train_inputs().mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(table.train_inputs().std(0), 1, atol=1e-5)
    assert abs(table.test_inputs().mean(0)).max() > 1e-3


def test_the_division_is_fixed(table: Dataset) -> None:
    again = load_dataset(table.name, Path("another folder"))
    assert again.fingerprint == table.fingerprint
    np.testing.assert_array_equal(again.test_inputs(), table.test_inputs())
    assert len({load_dataset(name, Path("absent")).fingerprint for name in TABLES}) == len(TABLES)


def test_a_number_becomes_two_classes_at_its_median() -> None:
    from sklearn.datasets import load_diabetes

    _, targets = load_diabetes(return_X_y=True)
    table = load_dataset("diabetes", Path("absent folder"))
    assert table.train_labels.sum() + table.test_labels.sum() == (targets > np.median(targets)).sum()


def test_arrays_are_new(table: Dataset) -> None:
    table.train_inputs()[:] = 7
    assert not (table.train_inputs() == 7).all()
