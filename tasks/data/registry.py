"""The data sets by name."""

import logging
from collections.abc import Mapping
from pathlib import Path

from polystep.validation import did_you_mean
from tasks.data.combination import Combination
from tasks.data.dataset import Dataset, Loader, Progress
from tasks.data.digits import load_digits_dataset
from tasks.data.errors import UnknownDataset
from tasks.data.fashion_mnist import FASHION_MNIST
from tasks.data.mnist import MNIST
from tasks.data.tabular import TABLES, tabular_loader

LOADERS: Mapping[str, Loader] = {
    "mnist": MNIST.load,
    "fashion_mnist": FASHION_MNIST.load,
    "digits": load_digits_dataset,
    **{name: tabular_loader(name) for name in TABLES},
}

_logger = logging.getLogger(__name__)


def find_loader(name: str) -> Loader:
    """The loader of ``name``: a registered name, or several joined by ``+`` for their combination.

    Raises:
        UnknownDataset: there is none; the message lists the valid names.
    """
    loaders = []
    for part in name.split("+"):
        if part not in LOADERS:
            raise UnknownDataset(
                f"Data set {part!r} is unknown{did_you_mean(part, LOADERS)}; choose one of: {', '.join(LOADERS)}, or several "
                "joined by '+'."
            )
        loaders.append(LOADERS[part])

    def load_all(data_dir: Path, progress: Progress) -> Dataset:
        return Combination([load(data_dir, progress) for load in loaders])

    return loaders[0] if len(loaders) == 1 else load_all


def load_dataset(name: str, data_dir: Path) -> Dataset:
    """The named data set; files that are not in ``data_dir`` are fetched, verified and stored there first.

    Args:
        name: a registered name, or several joined by ``+`` for their combination.
        data_dir: folder with one subfolder per data set.

    Raises:
        UnknownDataset: the name is not registered.
        DataCorrupt: a local file has another content than expected.
        DataUnavailable: a file is not there and no source delivers it, or it cannot be read or stored.
        IncompatibleDatasets: the images of a combination have different numbers of pixels.
    """
    return find_loader(name)(data_dir, _logger.info)
