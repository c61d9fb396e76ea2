"""What a checkpoint gives back, and whose random numbers were used: checks that optimisers and tasks share."""

import pickle
import random
from typing import Any

import numpy
import torch
from torch import Tensor


def stored(state: Any, name: str = "the state") -> Any:
    """What a checkpoint gives back of a state: a deep copy, with lists for tuples."""
    if isinstance(state, Tensor):
        return state.clone()
    if isinstance(state, dict):
        assert all(isinstance(key, str) for key in state), f"{name} has keys that are no strings: {list(state)}"
        return {key: stored(value, f"{name}[{key!r}]") for key, value in state.items()}
    if isinstance(state, list | tuple):
        return [stored(value, f"{name}[{place}]") for place, value in enumerate(state)]
    assert state is None or isinstance(state, bool | int | float | str), (
        f"{name} is of type {type(state).__name__}; a checkpoint holds tensors, numbers, texts, None, and lists and "
        "dictionaries of these"
    )
    return state


def first_bad(values: Tensor) -> str:
    """Where the first value is that is not finite."""
    place = int((~torch.isfinite(values)).nonzero()[0])
    return f"{float(values[place])} at index {place}"


def global_random_states() -> dict[str, bytes]:
    """Those of torch, numpy and Python, as bytes that can be compared."""
    states = {"torch": torch.get_rng_state().numpy(), "numpy": numpy.random.get_state(), "Python": random.getstate()}
    return {library: pickle.dumps(state) for library, state in states.items()}


def check_random_states(before: dict[str, bytes]) -> None:
    used = [library for library, state in global_random_states().items() if state != before[library]]
    assert not used, (
        f"the global random state of {' and '.join(used)} was used; draw from polystep.random.named_generator(seed, ...)"
    )
