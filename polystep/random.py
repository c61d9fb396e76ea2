"""Named random generators: every random number of a run comes from one of these."""

import hashlib

import torch
from torch import Tensor


def derive_seed(seed: int, *purpose: str | int) -> int:
    """The 63-bit seed that belongs to `purpose` under the run seed `seed`.

    First eight bytes of SHA-256("seed/purpose/..."), top bit cleared; the same on every machine.
    """
    text = "/".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def named_generator(seed: int, *purpose: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """A torch generator for one purpose, independent of every other purpose and of the global state."""
    return torch.Generator(device=device).manual_seed(derive_seed(seed, *purpose))


def generator_state(generator: torch.Generator) -> Tensor:
    """The state of `generator` as a uint8 tensor, to be stored in a checkpoint."""
    return generator.get_state().clone()


def restore_generator(generator: torch.Generator, state: Tensor) -> None:
    """Put `generator` back to a state that `generator_state` returned."""
    generator.set_state(state.to("cpu", torch.uint8))
