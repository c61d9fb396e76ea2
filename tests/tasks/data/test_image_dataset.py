"""ImageDataset: validation, fingerprint, normalising."""

from typing import Any

import numpy as np
import pytest

from tasks.data import ImageDataset


def build(**changes: Any) -> ImageDataset:
    fields: dict[str, Any] = {
        "name": "tiny",
        "train_images": np.arange(12, dtype=np.uint8).reshape(3, 4),
        "train_labels": np.array([0, 1, 1], dtype=np.int64),
        "test_images": np.full((2, 4), 255, dtype=np.uint8),
        "test_labels": np.array([1, 0], dtype=np.int64),
        "classes": 2,
        "mean": 0.5,
        "std": 0.25,
    }
    return ImageDataset(**(fields | changes))


def test_fingerprint_has_a_fixed_value() -> None:
    assert build().fingerprint == "b9b0355cf0f9536f00a9a4d4e287199e7287b5375f877179399584d12e78c2d4"


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "other"},
        {"train_images": np.zeros((3, 4), dtype=np.uint8)},
        {"train_labels": np.array([0, 1, 0], dtype=np.int64)},
        {"test_images": np.zeros((2, 4), dtype=np.uint8)},
        {"test_labels": np.array([0, 1], dtype=np.int64)},
    ],
)
def test_fingerprint_depends_on_name_and_every_array(changes: dict[str, Any]) -> None:
    assert build(**changes).fingerprint != build().fingerprint


def test_fingerprint_ignores_memory_order_but_not_shape() -> None:
    images = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert build(train_images=np.asfortranarray(images)).fingerprint == build().fingerprint
    wide = build(train_images=images.reshape(3, 2, 2)[:, 0], test_images=np.zeros((2, 2), dtype=np.uint8))
    assert wide.fingerprint != build().fingerprint


def test_arrays_cannot_be_changed() -> None:
    dataset = build()
    for array in (dataset.train_images, dataset.train_labels, dataset.test_images, dataset.test_labels):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_normalised_is_pixel_over_255_minus_mean_over_std() -> None:
    inputs = build().normalised(np.array([[0, 51, 255]], dtype=np.uint8))
    assert inputs.dtype == np.float32
    np.testing.assert_allclose(inputs, [[-2.0, -1.2, 2.0]], rtol=1e-6)


def test_normalised_refuses_pixels_that_are_not_raw() -> None:
    with pytest.raises(TypeError, match="tiny: images are float32, expected uint8"):
        build().normalised(np.zeros((1, 4), dtype=np.float32))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_images": np.zeros((3, 4))}, "train_images is float64"),
        ({"train_images": np.zeros((3, 2, 2), dtype=np.uint8)}, r"train_images .* \(3, 2, 2\)"),
        (
            {"train_labels": np.array([0, 1], dtype=np.int64)},
            r"train_images .* expected uint8 of shape \(2, 4\)",
        ),
        ({"test_labels": np.array([0, 1], dtype=np.uint8)}, "test_labels is uint8"),
        ({"test_images": np.zeros((2, 5), dtype=np.uint8)}, r"test_images .* \(2, 5\)"),
        ({"test_labels": np.array([0, 2], dtype=np.int64)}, r"test_labels span 0\.\.2, expected 0\.\.1"),
        ({"test_labels": np.array([-1, 0], dtype=np.int64)}, r"test_labels span -1\.\.0"),
        ({"std": 0.0}, r"std is 0\.0"),
        ({"std": float("nan")}, "std is nan"),
    ],
)
def test_inconsistent_data_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(**changes)
