"""A labelled image data set in memory."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Progress = Callable[[str], None]
"""Receives one line per event of an acquisition, such as the source that is tried next."""

Loader = Callable[[Path, Progress], "Dataset"]
"""Takes the data folder and a progress callback, returns the data set."""


class Dataset(Protocol):
    """What a classification task needs of a data set."""

    @property
    def name(self) -> str:
        """Registered name, or names joined by ``+``."""

    @property
    def classes(self) -> int:
        """Number of classes."""

    @property
    def pixels(self) -> int:
        """Inputs per image."""

    @property
    def train_labels(self) -> NDArray[np.int64]:
        """(N,) values 0..classes-1."""

    @property
    def test_labels(self) -> NDArray[np.int64]:
        """(M,) values 0..classes-1."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 that identifies the content, as 64 hexadecimal digits."""

    def train_inputs(self) -> NDArray[np.float32]:
        """A new array (N, pixels) of normalised training images."""

    def test_inputs(self) -> NDArray[np.float32]:
        """A new array (M, pixels) of normalised test images."""


@dataclass(frozen=True, eq=False)
class ImageDataset:
    """Images and labels of a classification data set with its published division into training and test part.

    The arrays are made read-only, because the fingerprint enters the identity of a run.

    Attributes:
        name: registered name, such as ``mnist``.
        train_images: (N, rows * columns) uint8, pixel values 0..255.
        train_labels: (N,) int64, values 0..classes-1.
        test_images: (M, rows * columns) uint8.
        test_labels: (M,) int64.
        classes: number of classes.
        mean: mean of pixel / 255 over the training images, used for normalising.
        std: standard deviation of pixel / 255 over the training images, used for normalising.

    Raises:
        ValueError: an array has another type or shape, a label is not a class, or ``std`` is not positive.
    """

    name: str
    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.int64]
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.int64]
    classes: int
    mean: float
    std: float

    def __post_init__(self) -> None:
        for part, images, labels in (
            ("train", self.train_images, self.train_labels),
            ("test", self.test_images, self.test_labels),
        ):
            self._check_array(f"{part}_images", images, np.uint8, (len(labels), self.train_images.shape[-1]))
            self._check_array(f"{part}_labels", labels, np.int64, (len(images),))
            if labels.size and not 0 <= labels.min() <= labels.max() < self.classes:
                raise ValueError(
                    f"{self.name}: {part}_labels span {labels.min()}..{labels.max()}, "
                    f"expected 0..{self.classes - 1}; correct the labels or `classes`"
                )
            images.flags.writeable = False
            labels.flags.writeable = False
        if not self.std > 0:
            raise ValueError(f"{self.name}: std is {self.std}, expected a positive number; images must vary")

    def _check_array(self, field: str, array: NDArray[Any], kind: type, shape: tuple[int, ...]) -> None:
        if array.dtype != kind or array.shape != shape:
            raise ValueError(
                f"{self.name}: {field} is {array.dtype} of shape {array.shape}, "
                f"expected {np.dtype(kind)} of shape {shape}; convert it before building the data set"
            )

    @property
    def pixels(self) -> int:
        """Inputs per image."""
        return int(self.train_images.shape[-1])

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the content, as 64 hexadecimal digits."""
        return fingerprint(self.name, (self.train_images, self.train_labels, self.test_images, self.test_labels))

    def train_inputs(self) -> NDArray[np.float32]:
        """A new array (N, pixels) of normalised training images."""
        return self.normalised(self.train_images)

    def test_inputs(self) -> NDArray[np.float32]:
        """A new array (M, pixels) of normalised test images."""
        return self.normalised(self.test_images)

    def normalised(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Pixels as network inputs.

            x = (pixel / 255 - mean) / std, in float32

        Args:
            images: uint8 of any shape, pixel values 0..255.

        Returns:
            A new float32 array of the same shape.

        Raises:
            TypeError: ``images`` is not uint8, for instance because it is normalised already.
        """
        if images.dtype != np.uint8:
            raise TypeError(f"{self.name}: images are {images.dtype}, expected uint8; pass the raw pixels")
        inputs = images.astype(np.float32)
        inputs /= 255
        inputs -= self.mean
        inputs /= self.std
        return inputs


def fingerprint(name: str, arrays: Sequence[NDArray[Any]]) -> str:
    """SHA-256 over a name and the type, shape and content of arrays, as 64 hexadecimal digits.

    The arrays are hashed in row-major, little-endian order, so the value is the same on every machine.
    """
    digest = hashlib.sha256(name.encode())
    for array in arrays:
        portable = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        digest.update(f"|{array.dtype.name}{array.shape}|".encode())
        digest.update(portable.data)
    return digest.hexdigest()
