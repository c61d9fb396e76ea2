"""Checkpoints: one file, written atomically, without pickle, verified when read back.

A nested state of tensors and JSON values is stored as a safetensors file: tensors by path, everything else as JSON in the
metadata, together with a checksum of both.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from polystep.contracts import State
from polystep.files import StorageError, atomic_write


def save_checkpoint(path: Path, state: State) -> None:
    """Write `state` (string keys; tensors, JSON values, dictionaries of those); StorageError if it cannot be written."""
    tensors: dict[str, Tensor] = {}
    skeleton = json.dumps(_detach(state, "", tensors))
    # safetensors refuses views that share memory
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    with atomic_write(path) as file:
        file.write(save(tensors, metadata={"state": skeleton, "checksum": _checksum(skeleton, tensors)}))


def load_checkpoint(path: Path, device: torch.device | str = "cpu") -> State:
    """The state in `path`; raises StorageError, naming the file, where there is none, and where it is truncated or altered."""
    if not path.exists():
        raise StorageError(f"there is no checkpoint {path}: records hold no points; repeat the run to have one")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            # clones: the mapped file may be replaced while the tensors are in use
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise StorageError(f"checkpoint {path} cannot be read ({error}); {_REMEDY}") from error
    if metadata.get("checksum") != _checksum(metadata.get("state", ""), tensors):
        raise StorageError(f"checkpoint {path} is damaged: its checksum does not match; {_REMEDY}")
    state: State = _attach(json.loads(metadata["state"]), tensors, device)
    return state


_REMEDY = "delete it and repeat the command, and the run starts anew"
_TENSOR = "__tensor__"


def _detach(value: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, Tensor):
        # the keys "a/b" and "a", "b" make the same path
        name = path if path not in tensors else f"{path}#{len(tensors)}"
        tensors[name] = value
        return {_TENSOR: name}
    if isinstance(value, dict):
        return {key: _detach(item, f"{path}/{key}", tensors) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_detach(item, f"{path}/{index}", tensors) for index, item in enumerate(value)]
    return value


def _attach(value: Any, tensors: dict[str, Tensor], device: torch.device | str) -> Any:
    if isinstance(value, dict):
        if set(value) == {_TENSOR}:
            tensor = tensors[value[_TENSOR]]
            # generator states are bytes and stay on the CPU
            return tensor if tensor.dtype == torch.uint8 else tensor.to(device)
        return {key: _attach(item, tensors, device) for key, item in value.items()}
    if isinstance(value, list):
        return [_attach(item, tensors, device) for item in value]
    return value


def _checksum(skeleton: str, tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256(skeleton.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name}{tensor.dtype}{tuple(tensor.shape)}".encode())
        # an empty tensor has no bytes to view
        if tensor.numel():
            digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
