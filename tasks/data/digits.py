"""The handwritten digits that scikit-learn carries: 1797 images, 8 x 8 pixels; needs no network and no file.

Source: test part of "Optical Recognition of Handwritten Digits" (Alpaydin, Kaynak), UCI Machine Learning
Repository.
"""

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks.data.dataset import ImageDataset, Progress

_TEST_IMAGES = 360
_SPLIT_SEED = 1797


def load_digits_dataset(data_dir: Path, progress: Progress) -> ImageDataset:
    """The data set with a fixed random division into 1437 training and 360 test images.

        pixel = round(255 / 16 * value), value = 0..16

    ``mean`` and ``std`` are those of the training images. ``data_dir`` and ``progress`` are not used.
    """
    from sklearn.datasets import load_digits

    values, targets = load_digits(return_X_y=True)
    images = np.rint(values * (255 / 16)).astype(np.uint8)
    labels = targets.astype(np.int64)
    order = np.random.default_rng(_SPLIT_SEED).permutation(len(images))
    test, train = order[:_TEST_IMAGES], order[_TEST_IMAGES:]
    mean, std = _pixel_moments(images[train])
    return ImageDataset(
        name="digits",
        train_images=images[train],
        train_labels=labels[train],
        test_images=images[test],
        test_labels=labels[test],
        classes=10,
        mean=mean,
        std=std,
    )


def _pixel_moments(images: NDArray[np.uint8]) -> tuple[float, float]:
    # Integer sums are exact, so both numbers are the same on every machine.
    pixels = images.astype(np.int64)
    count, total, squares = pixels.size, int(pixels.sum()), int((pixels * pixels).sum())
    return total / (255 * count), math.sqrt(count * squares - total * total) / (255 * count)
