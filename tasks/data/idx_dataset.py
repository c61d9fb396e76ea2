"""Data sets published as four IDX files: training and test images and labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tasks.data.dataset import ImageDataset, Progress
from tasks.data.errors import DataUnavailable, SourceFailed
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
        raw = self._acquire(data_dir / self.name, progress)
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

    def _acquire(self, folder: Path, progress: Progress) -> dict[str, bytes]:
        present = {file: path for file in self.files if (path := file.find(folder))}
        raw = {file.name: file.read(path) for file, path in present.items()}
        missing = [file for file in self.files if file not in present]
        if missing:
            fetched = self._fetch(missing, folder, progress)
            for file in missing:
                file.store(folder, fetched[file.name])
            raw |= fetched
        progress(f"{self.name}: {len(self.files)} files verified by SHA-256 in {folder}")
        return raw

    def _fetch(self, missing: Sequence[VerifiedFile], folder: Path, progress: Progress) -> dict[str, bytes]:
        reasons = []
        for source in self.sources:
            progress(f"{self.name}: trying {source.description}")
            try:
                fetched = source.fetch([file.name for file in missing])
                for file in missing:
                    if problem := file.mismatch(fetched[file.name]):
                        raise SourceFailed(f"{file.name}: {problem}")
            except SourceFailed as failure:
                reasons.append(f"{source.description}: {failure}")
                progress(f"{self.name}: {reasons[-1]}")
            else:
                return fetched
        names = ", ".join(file.name for file in missing)
        listing = "".join(f"\n  - {reason}" for reason in reasons)
        raise DataUnavailable(
            f"{self.name}: {len(missing)} of {len(self.files)} files are not in {folder} ({names}), "
            f"and none of {len(reasons)} sources delivered them:{listing}\n"
            f"Put these files in {folder}, raw or with .gz, or choose task.dataset=digits, which needs no files."
        )
