"""Data sets of the classification tasks: found or fetched, verified, loaded."""

from tasks.data.dataset import Dataset, ImageDataset
from tasks.data.errors import DataCorrupt, DataError, DataUnavailable, IncompatibleDatasets, UnknownDataset
from tasks.data.registry import LOADERS, find_loader, load_dataset

__all__ = [
    "LOADERS",
    "DataCorrupt",
    "DataError",
    "DataUnavailable",
    "Dataset",
    "ImageDataset",
    "IncompatibleDatasets",
    "UnknownDataset",
    "find_loader",
    "load_dataset",
]
