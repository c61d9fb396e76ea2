"""Combination: data sets one after another."""

from pathlib import Path

import numpy as np
import pytest

from tasks.data import DataError, ImageDataset, IncompatibleDatasets, UnknownDataset, load_dataset
from tasks.data.combination import Combination


def small(name: str, classes: int, pixels: int = 4, mean: float = 0.5) -> ImageDataset:
    random = np.random.default_rng(classes)
    return ImageDataset(
        name=name,
        train_images=random.integers(0, 256, (6, pixels), dtype=np.uint8),
        train_labels=np.arange(6) % classes,
        test_images=random.integers(0, 256, (3, pixels), dtype=np.uint8),
        test_labels=np.arange(3) % classes,
        classes=classes,
        mean=mean,
        std=mean / 2,
    )


def test_labels_follow_those_of_the_parts_before() -> None:
    both = Combination([small("one", classes=2), small("other", classes=3)])
    assert (both.name, both.classes, both.pixels) == ("one+other", 5, 4)
    assert both.train_labels.tolist() == [0, 1, 0, 1, 0, 1, 2, 3, 4, 2, 3, 4]
    assert both.test_labels.tolist() == [0, 1, 0, 2, 3, 4]
    with pytest.raises(ValueError, match="read-only"):
        both.train_labels[0] = 1


def test_each_part_keeps_its_normalisation() -> None:
    parts = small("one", classes=2, mean=0.5), small("other", classes=3, mean=0.25)
    both = Combination(parts)
    for inputs, own in ((both.train_inputs(), "train_images"), (both.test_inputs(), "test_images")):
        expected = np.concatenate([part.normalised(getattr(part, own)) for part in parts])
        assert inputs.dtype == np.float32
        np.testing.assert_array_equal(inputs, expected)


def test_fingerprint_depends_on_every_part_and_their_order() -> None:
    one, other, third = small("one", 2), small("other", 3), small("third", 3)
    fingerprints = {Combination(parts).fingerprint for parts in ([one, other], [other, one], [one, third], [one])}
    assert len(fingerprints | {one.fingerprint}) == 5


def test_parts_of_different_size_are_refused() -> None:
    with pytest.raises(IncompatibleDatasets, match=r"differ in pixels \(one 4, other 9\)"):
        Combination([small("one", 2), small("other", 3, pixels=9)])
    assert issubclass(IncompatibleDatasets, DataError)


def test_names_joined_by_plus_load_a_combination() -> None:
    digits = load_dataset("digits", Path("absent folder"))
    twice = load_dataset("digits+digits", Path("absent folder"))
    assert (twice.name, twice.classes, twice.pixels) == ("digits+digits", 20, 64)
    np.testing.assert_array_equal(twice.test_labels[360:], digits.test_labels + 10)
    np.testing.assert_array_equal(twice.test_inputs()[:360], digits.test_inputs())


@pytest.mark.parametrize("name", ["digits+mnits", "digits+", "+"])
def test_unknown_part_is_named(name: str) -> None:
    with pytest.raises(UnknownDataset, match="choose one of: mnist, fashion_mnist, digits"):
        load_dataset(name, Path("absent folder"))
