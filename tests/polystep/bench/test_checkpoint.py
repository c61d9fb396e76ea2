"""Checkpoints come back bit for bit or are refused."""

import errno
import math
import os
import resource
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from polystep.bench.checkpoint import load_checkpoint, save_checkpoint
from polystep.files import StorageError

BASE = torch.arange(12.0).reshape(3, 4)
STATE: dict[str, Any] = {
    "tensors": {
        "float32": torch.tensor([0.1, -0.0, math.inf]),
        "float64": torch.tensor([1e-300], dtype=torch.float64),
        "bfloat16": torch.tensor([1.5, 2.5], dtype=torch.bfloat16),
        "int64": torch.tensor([[-(2**62)]]),
        "bool": torch.tensor([True, False]),
        "generator": torch.Generator().manual_seed(3).get_state(),
        "scalar": torch.tensor(3.5),
        "empty": torch.empty(0, 7),
    },
    "memory": {"transposed": BASE.T, "view": BASE[1], "same": BASE, "expanded": BASE[0].expand(5, 4)},
    "slashes": {"a/b": torch.tensor(1), "a": {"b": torch.tensor(2)}},
    "gradient": torch.ones(2, requires_grad=True),
    "json": {"text": "ä/#", "numbers": [1, 2**70, 0.1, 1e-300, math.inf], "none": None, "yes": True, "empty": {}},
    "list": [torch.tensor(7), {"nested": [torch.tensor(8)]}],
}


def equal(first: Any, second: Any) -> bool:
    if isinstance(first, torch.Tensor):
        return first.dtype == second.dtype and first.shape == second.shape and torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(equal(first[key], second[key]) for key in first)
    if isinstance(first, list):
        return len(first) == len(second) and all(map(equal, first, second))
    return bool(first == second)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "checkpoint.safetensors"


def test_a_state_comes_back_bit_for_bit(path: Path) -> None:
    save_checkpoint(path, STATE)
    assert equal(STATE, load_checkpoint(path))
    assert list(path.parent.iterdir()) == [path]


def test_nan_comes_back(path: Path) -> None:
    save_checkpoint(path, {"tensor": torch.tensor(math.nan), "number": math.nan})
    state = load_checkpoint(path)
    assert math.isnan(state["tensor"]) and math.isnan(state["number"])


@pytest.mark.parametrize("dtype", [torch.float32, torch.int32, torch.uint8, torch.bfloat16, torch.bool])
@pytest.mark.parametrize("shape", [(0,), (3, 0), ()])
def test_tensors_of_any_shape_come_back(path: Path, dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    save_checkpoint(path, {"tensor": torch.ones(shape, dtype=dtype)})
    tensor = load_checkpoint(path)["tensor"]
    assert tensor.dtype == dtype and torch.equal(tensor, torch.ones(shape, dtype=dtype))


def test_colleagues_can_read_a_checkpoint(path: Path) -> None:
    before = os.umask(0o022)
    try:
        save_checkpoint(path, {"tensor": torch.ones(3)})
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_loaded_state_does_not_depend_on_the_file(path: Path) -> None:
    save_checkpoint(path, {"tensor": torch.ones(1000)})
    state = load_checkpoint(path)
    path.write_bytes(bytes(path.stat().st_size))
    assert torch.equal(state["tensor"], torch.ones(1000))


def test_every_truncation_and_every_altered_byte_is_noticed(path: Path) -> None:
    save_checkpoint(path, {"point": torch.tensor([1.0, 2.0]), "step": 3})
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(StorageError, match="delete it and repeat the command, and the run starts anew"):
            load_checkpoint(path)
    for position in range(len(whole)):
        altered = bytearray(whole)
        altered[position] ^= 1
        path.write_bytes(altered)
        with pytest.raises(StorageError, match=str(path)):
            load_checkpoint(path)


@pytest.mark.parametrize("content", [None, b"junk", bytes(1000), b"\xff" * 1000])
def test_what_is_no_checkpoint_is_refused(path: Path, content: bytes | None) -> None:
    path.parent.mkdir()
    if content is not None:
        path.write_bytes(content)
    what = f"there is no checkpoint {path}" if content is None else f"checkpoint {path} cannot be read"
    with pytest.raises(StorageError, match=what):
        load_checkpoint(path)


def test_tensors_without_checksum_are_refused(path: Path) -> None:
    path.parent.mkdir()
    save_file({"point": torch.ones(2)}, path)
    with pytest.raises(StorageError, match="its checksum does not match"):
        load_checkpoint(path)


@pytest.mark.parametrize("fault", ["flush", "size"])
def test_a_full_disk_keeps_the_last_checkpoint(path: Path, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    save_checkpoint(path, {"step": 1})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def refuse(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if fault == "flush":
        monkeypatch.setattr("os.fsync", refuse)
    else:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1024, hard))
    try:
        with pytest.raises(StorageError, match=f"cannot write {path}: .*(No space left|File too large)"):
            save_checkpoint(path, {"step": 2, "point": torch.ones(10_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert load_checkpoint(path) == {"step": 1}
    assert list(path.parent.iterdir()) == [path]
