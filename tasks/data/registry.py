"""The data sets by name."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from tasks.data.dataset import ImageDataset, Loader
from tasks.data.digits import load_digits_dataset
from tasks.data.errors import UnknownDataset
from tasks.data.mnist import MNIST

DatasetName = Literal["mnist", "digits"]

LOADERS: Mapping[str, Loader] = {"mnist": MNIST.load, "digits": load_digits_dataset}

_logger = logging.getLogger(__name__)


def find_loader(name: str) -> Loader:
    """The loader registered under ``name``.

    Raises:
        UnknownDataset: there is none; the message lists the valid names.
    """
    try:
        return LOADERS[name]
    except KeyError:
        raise UnknownDataset(f"Data set {name!r} is unknown; choose one of: {', '.join(LOADERS)}.") from None


def load_dataset(name: DatasetName, data_dir: Path) -> ImageDataset:
    """The named data set; files that are not in ``data_dir`` are fetched, verified and stored there first.

    Args:
        name: a registered name.
        data_dir: folder with one subfolder per data set.

    Raises:
        UnknownDataset: the name is not registered.
        DataCorrupt: a local file has another content than expected.
        DataUnavailable: a file is not there and no source delivers it, or it cannot be read or stored.
    """
    return find_loader(name)(data_dir, _logger.info)
