"""The wheel that holds MNIST as a pickle: nothing but arrays is admitted."""

import gzip
import hashlib
import io
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.data import mnist_wheel
from tasks.data.errors import SourceFailed
from tasks.data.idx import decode_idx
from tasks.data.mnist_wheel import ArrayUnpickler, read_wheel


class Command:
    """Runs a command in a shell when it is unpickled without restriction."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self.command,)


def write_wheel(path: Path, content: object, monkeypatch: pytest.MonkeyPatch) -> Path:
    with zipfile.ZipFile(path, "w") as members:
        members.writestr("mnist/data/mnist.pkl.gz", gzip.compress(pickle.dumps(content, protocol=4)))
    monkeypatch.setattr(mnist_wheel, "_WHEEL_SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    return path


def part(first: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Images ``first``, ..., each filled with its own number, as the wheel holds them."""
    numbers = np.arange(first, first + count)
    return np.repeat(numbers[:, None] / 256, 784, axis=1).astype(np.float32), numbers % 10


@pytest.mark.parametrize("protocol", [3, 4])
def test_arrays_are_admitted(protocol: int) -> None:
    content = [(np.arange(3, dtype=np.float32), np.array([1, 2]))]
    loaded = ArrayUnpickler(io.BytesIO(pickle.dumps(content, protocol=protocol))).load()
    for found, expected in zip(loaded[0], content[0], strict=True):
        np.testing.assert_array_equal(found, expected)


def test_array_pickled_by_python_2_is_admitted() -> None:
    values = np.array([0.5, -2.0], dtype="<f4")
    raw = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x02\x85cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R"
        b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x08" + values.tobytes() + b"tb."
    )
    loaded = ArrayUnpickler(io.BytesIO(raw)).load()
    assert loaded.dtype == np.float32
    np.testing.assert_array_equal(loaded, values)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_commands_are_refused_and_not_run(tmp_path: Path, protocol: int) -> None:
    witness = tmp_path / "witness"
    raw = pickle.dumps(Command(f"touch {witness}"), protocol=protocol)
    with pytest.raises(pickle.UnpicklingError, match=r"asks for \w+\.system, expected numpy arrays"):
        ArrayUnpickler(io.BytesIO(raw)).load()
    assert not witness.exists()


@pytest.mark.parametrize("name", ["builtins\neval", "numpy\nload", "numpy.testing\nassert_", "numpy\nndarray.tofile"])
def test_other_functions_are_refused(name: str) -> None:
    with pytest.raises(pickle.UnpicklingError, match="expected numpy arrays"):
        ArrayUnpickler(io.BytesIO(f"c{name}\n.".encode())).load()


def test_parts_become_idx_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = (part(0, 5), part(5, 3), part(250, 6))
    files = read_wheel(write_wheel(tmp_path / "tiny.whl", content, monkeypatch))
    train = decode_idx(files["train-images-idx3-ubyte"])
    test = decode_idx(files["t10k-images-idx3-ubyte"])
    assert train.shape == (8, 28, 28)
    np.testing.assert_array_equal(train[:, 27, 27], np.arange(8))
    np.testing.assert_array_equal(test[:, 0, 0], np.arange(250, 256))
    np.testing.assert_array_equal(decode_idx(files["train-labels-idx1-ubyte"]), np.arange(8))
    np.testing.assert_array_equal(decode_idx(files["t10k-labels-idx1-ubyte"]), [0, 1, 2, 3, 4, 5])


def test_unknown_wheel_is_not_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    witness = tmp_path / "witness"
    wheel = write_wheel(tmp_path / "tiny.whl", Command(f"touch {witness}"), monkeypatch)
    monkeypatch.undo()
    with pytest.raises(SourceFailed, match=rf"tiny.whl: expected SHA-256 {mnist_wheel._WHEEL_SHA256}, found \w+"):
        read_wheel(wheel)
    assert not witness.exists()


def test_refused_pickle_is_a_failure_of_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = write_wheel(tmp_path / "tiny.whl", Command("true"), monkeypatch)
    with pytest.raises(SourceFailed, match="cannot be read: its pickle asks for"):
        read_wheel(wheel)
