"""Series of numbers for forecasts: measured ones that are fetched, and one that needs no file."""

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from polystep.validation import did_you_mean
from tasks.data.acquisition import acquire
from tasks.data.dataset import Progress, fingerprint
from tasks.data.errors import UnknownDataset
from tasks.data.sources import Mirror
from tasks.data.verified_file import VerifiedFile

_ETTH1 = VerifiedFile("ETTh1.csv", "f18de3ad269cef59bb07b5438d79bb3042d3be49bdeecf01c1cd6d29695ee066")
_MIRRORS = (
    Mirror("https://raw.githubusercontent.com/zhouhaoyi/ETDataset/main/ETT-small/", compressed=False),
    Mirror("https://cdn.jsdelivr.net/gh/zhouhaoyi/ETDataset@main/ETT-small/", compressed=False),
)


@dataclass(frozen=True, eq=False)
class Series:
    """Consecutive numbers in three parts; each is standardised with mean and deviation (over N) of the training part.

    Attributes:
        name: registered name.
        values: (T,) as measured.
        train, validation, test: numbers in each part, one after another from the start; what is left is not used.
    """

    name: str
    values: NDArray[np.float64]
    train: int
    validation: int
    test: int

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the parts, as 64 hexadecimal digits."""
        return fingerprint(self.name, self.parts())

    def parts(self) -> tuple[NDArray[np.float32], ...]:
        """Training, validation and test part."""
        mean, deviation = self.values[: self.train].mean(), self.values[: self.train].std()
        standard = ((self.values - mean) / deviation).astype(np.float32)
        ends = np.cumsum([self.train, self.validation, self.test])
        return tuple(np.split(standard, ends)[:3])


def load_etth1(data_dir: Path, progress: Progress) -> Series:
    """Oil temperature of an electricity transformer, every hour: the first 12, the next 4 and the next 4 months of 30 days.

    Source: Zhou et al., "Informer: Beyond Efficient Transformer for Long Sequence Time-Series Forecasting" (2021), ETTh1.

    Raises:
        DataCorrupt: the local file has another content.
        DataUnavailable: it is not in ``data_dir/etth1`` and no source delivers it, or it cannot be read or stored.
    """
    content = acquire([_ETTH1], _MIRRORS, data_dir / "etth1", "task.series=sines", progress)[_ETTH1.name]
    rows = csv.DictReader(io.StringIO(content.decode()))
    return Series("etth1", np.array([float(row["OT"]) for row in rows]), 8640, 2880, 2880)


def make_sines(data_dir: Path, progress: Progress) -> Series:
    """A day and a week of hours as sines, with noise of a fifth of their size: in place of measurements, for first tries.

    ``data_dir`` and ``progress`` are not used.
    """
    hours = np.arange(1200)
    noise = np.random.default_rng(1200).normal(size=len(hours))
    return Series("sines", np.sin(hours * np.pi / 12) + np.sin(hours * np.pi / 84) + 0.2 * noise, 720, 240, 240)


SERIES: Mapping[str, Callable[[Path, Progress], Series]] = {"etth1": load_etth1, "sines": make_sines}


def load_series(name: str, data_dir: Path, progress: Progress) -> Series:
    """The named series; a file that is not in ``data_dir`` is fetched, verified and stored there first.

    Raises:
        UnknownDataset: the name is none of SERIES.
        DataCorrupt, DataUnavailable: as the loader of the series says.
    """
    if name not in SERIES:
        raise UnknownDataset(
            f"Series {name!r} is unknown{did_you_mean(name, SERIES)}; choose one of: {', '.join(SERIES)}."
        )
    return SERIES[name](data_dir, progress)
