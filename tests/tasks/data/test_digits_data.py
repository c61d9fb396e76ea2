"""The digits of scikit-learn."""

from pathlib import Path

import numpy as np
import pytest

from tasks.data import ImageDataset, load_dataset


@pytest.fixture(scope="module")
def digits() -> ImageDataset:
    return load_dataset("digits", Path("absent folder"))


def test_division_and_content_are_fixed(digits: ImageDataset) -> None:
    assert digits.train_images.shape == (1437, 64)
    assert digits.test_images.shape == (360, 64)
    assert digits.fingerprint == "3931d12d8d413b1606b2576ef2f582fd63ef5bf94ddb58b3ba889ce5b64d8998"


def test_parts_together_are_the_images_of_scikit_learn(digits: ImageDataset) -> None:
    from sklearn.datasets import load_digits

    values, targets = load_digits(return_X_y=True)
    pixels = np.concatenate([digits.train_images, digits.test_images])
    labels = np.concatenate([digits.train_labels, digits.test_labels])
    found = np.column_stack([np.rint(pixels / 255 * 16), labels])
    expected = np.column_stack([values, targets])
    np.testing.assert_array_equal(found[np.lexsort(found.T)], expected[np.lexsort(expected.T)])


def test_pixels_use_the_whole_range_and_every_class_is_in_both_parts(digits: ImageDataset) -> None:
    assert (digits.train_images.min(), digits.train_images.max()) == (0, 255)
    assert len(np.unique(digits.train_images)) == 17
    assert np.bincount(digits.test_labels, minlength=10).min() >= 20
    assert np.bincount(digits.train_labels, minlength=10).min() >= 100


def test_training_part_is_normalised_to_mean_0_and_deviation_1(digits: ImageDataset) -> None:
    inputs = digits.normalised(digits.train_images).astype(np.float64)
    assert inputs.mean() == pytest.approx(0, abs=1e-6)
    assert inputs.std() == pytest.approx(1, abs=1e-6)


def test_loading_leaves_the_global_random_state_alone() -> None:
    before = np.random.get_state(legacy=False)["state"]["key"].copy()
    load_dataset("digits", Path("absent folder"))
    np.testing.assert_array_equal(np.random.get_state(legacy=False)["state"]["key"], before)
