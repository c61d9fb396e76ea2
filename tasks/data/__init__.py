"""Data sets of the classification tasks: found or fetched, verified, loaded."""

from tasks.data.dataset import ImageDataset
from tasks.data.errors import DataCorrupt, DataError, DataUnavailable, UnknownDataset
from tasks.data.registry import LOADERS, DatasetName, find_loader, load_dataset

__all__ = [
    "LOADERS",
    "DataCorrupt",
    "DataError",
    "DataUnavailable",
    "DatasetName",
    "ImageDataset",
    "UnknownDataset",
    "find_loader",
    "load_dataset",
]
