"""Data sets published as four IDX files: training and test images and labels."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tasks.data.acquisition import acquire
from tasks.data.dataset import ImageDataset, Progress
from tasks.data.idx import decode_idx
from tasks.data.sources import Source
from tasks.data.verified_file import VerifiedFile


@dataclass(frozen=True)
class IdxDataset:
    """Description of such a data set, and where to get it.

    Attributes:
        name: registered name and name of its folder inside the data folder.
        train_images, train_labels, test_images, test_labels: the four files.
        classes: number of classes.
        mean, std: of pixel / 255, used for normalising.
        sources: tried in this order when a file is not in the folder.
    """

    name: str
    train_images: VerifiedFile
    train_labels: VerifiedFile
    test_images: VerifiedFile
    test_labels: VerifiedFile
    classes: int
    mean: float
    std: float
    sources: tuple[Source, ...]

    @property
    def files(self) -> tuple[VerifiedFile, ...]:
        """The four files."""
        return self.train_images, self.train_labels, self.test_images, self.test_labels

    def load(self, data_dir: Path, progress: Progress) -> ImageDataset:
        """The data set, from ``data_dir/name``; files that are not there are fetched and stored there first.

        Raises:
            DataCorrupt: a local file has another content. It is neither used nor replaced.
            DataUnavailable: a file is not there and no source delivers it, or it cannot be read or stored.
        """
        raw = acquire(self.files, self.sources, data_dir / self.name, "task.dataset=digits", progress)
        images = {file: decode_idx(raw[file.name]) for file in (self.train_images, self.test_images)}
        labels = {file: decode_idx(raw[file.name]) for file in (self.train_labels, self.test_labels)}
        return ImageDataset(
            name=self.name,
            train_images=images[self.train_images].reshape(len(images[self.train_images]), -1),
            train_labels=labels[self.train_labels].astype(np.int64),
            test_images=images[self.test_images].reshape(len(images[self.test_images]), -1),
            test_labels=labels[self.test_labels].astype(np.int64),
            classes=self.classes,
            mean=self.mean,
            std=self.std,
        )
