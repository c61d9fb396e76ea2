"""Several data sets as one: their images together, their classes one after another."""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tasks.data.dataset import Dataset
from tasks.data.errors import IncompatibleDatasets


class Combination:
    """Data sets one after another; each keeps its own normalisation, and its labels follow those of the sets before it.

    The hard mixture of experts is trained on MNIST and Fashion-MNIST together. Source: EDITIONS.md, networks.

    Raises:
        IncompatibleDatasets: images have different numbers of pixels.
    """

    def __init__(self, parts: Sequence[Dataset]):
        self._parts = tuple(parts)
        self.name = "+".join(part.name for part in self._parts)
        self.pixels = self._parts[0].pixels
        if any(part.pixels != self.pixels for part in self._parts):
            sizes = ", ".join(f"{part.name} {part.pixels}" for part in self._parts)
            raise IncompatibleDatasets(f"{self.name} cannot be combined: their images differ in pixels ({sizes}).")
        firsts = np.cumsum([0, *(part.classes for part in self._parts)])
        self.classes = int(firsts[-1])
        self.train_labels = _join([part.train_labels + first for part, first in zip(self._parts, firsts, strict=False)])
        self.test_labels = _join([part.test_labels + first for part, first in zip(self._parts, firsts, strict=False)])

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the fingerprints of the parts in order."""
        return hashlib.sha256("+".join(part.fingerprint for part in self._parts).encode()).hexdigest()

    def train_inputs(self) -> NDArray[np.float32]:
        """A new array (N, pixels) of normalised training images."""
        return np.concatenate([part.train_inputs() for part in self._parts])

    def test_inputs(self) -> NDArray[np.float32]:
        """A new array (M, pixels) of normalised test images."""
        return np.concatenate([part.test_inputs() for part in self._parts])


def _join(labels: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    joined = np.concatenate(labels)
    joined.flags.writeable = False
    return joined
