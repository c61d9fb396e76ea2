"""One run over several processes (torch.distributed): each evaluates its share of every step's candidates.

All processes hold the same optimiser and the same data and take the same steps; what they exchange are the losses. A candidate
is evaluated by one process, alone or among others as the path does it, and its loss is copied, never summed with another's.
"""

import contextlib
import datetime
import os
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import torch
import torch.distributed as distributed
from torch import Tensor

from polystep.candidates import Candidates
from polystep.capabilities import Offered, capability
from polystep.contracts import ExpectedError, Objective, Spent, loss_dtype
from polystep.validation import first_line

TIMEOUT_SECONDS = 1800.0
"""How long a process waits for the others: longer than any validation, test or compilation of the first one takes."""


class ProcessLost(ExpectedError):
    """Another process of the run has ended or does not answer."""


class Processes:
    """The processes that share one run; outside of torchrun there is this one."""

    def __init__(self, rank: int = 0, count: int = 1):
        self.rank, self.count = rank, count

    @property
    def is_first(self) -> bool:
        """Whether this is the process that judges, prints and writes."""
        return self.rank == 0

    def broadcast(self, value: float) -> float:
        """The first process's `value`, in all of them, once all have asked. Raises ProcessLost."""
        if self.count == 1:
            return value
        told = torch.tensor([value if self.is_first else 0.0], dtype=torch.float64, device=_device())
        _combine(told)
        return float(told)

    def all_have(self, value: float) -> bool:
        """Whether `value` is the same in all processes; all get the same answer. Raises ProcessLost."""
        if self.count == 1:
            return True
        ends = torch.tensor([value, -value], dtype=torch.float64, device=_device())
        _combine(ends, distributed.ReduceOp.MAX)
        return float(ends[0]) == -float(ends[1])

    def share(self, objective: Objective) -> Objective:
        """`objective`, its candidates divided among the processes."""
        return objective if self.count == 1 else ShardedObjective(objective, self)


class ShardedObjective:
    """An objective whose candidates are divided among the processes, in stretches of equal length."""

    def __init__(self, objective: Objective, processes: Processes):
        self._objective, self._processes = objective, processes
        self._elsewhere = Spent()

    @property
    def spent(self) -> Spent:
        """What all processes have spent together; seconds of compilation are those of this one."""
        return self._objective.spent + self._elsewhere

    def losses(self, candidates: Candidates) -> Tensor:
        """Loss of every candidate, shape (N,), the same in all processes. Raises ProcessLost."""
        own = share_of(len(candidates), self._processes.rank, self._processes.count)
        before = self._objective.spent
        device = _device()
        losses = torch.zeros(len(candidates), device=device, dtype=loss_dtype(self._objective))
        if own.start < own.stop:
            losses[own] = self._objective.losses(candidates.part(own)).to(device)
        # adding zeros is exact
        _combine(losses)
        self._charge(self._objective.spent - before)
        return losses

    def capability(self, kind: type[Offered]) -> Offered | None:
        """What the objective offers of a kind, computed in every process."""
        return capability(self._objective, kind)

    def _charge(self, own: Spent) -> None:
        counted = [field.name for field in fields(Spent) if field.name != "compilation_seconds"]
        here = torch.tensor([getattr(own, name) for name in counted], dtype=torch.int64, device=_device())
        everywhere = here.clone()
        _combine(everywhere)
        self._elsewhere += Spent(**dict(zip(counted, (everywhere - here).tolist(), strict=True)))


def share_of(candidates: int, rank: int, count: int) -> slice:
    """The candidates of one process; shares begin at even numbers, so that antithetic pairs stay together."""
    pairs = -(-candidates // 2)
    return slice(min(candidates, 2 * (pairs * rank // count)), min(candidates, 2 * (pairs * (rank + 1) // count)))


SET_BY_TORCHRUN = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Place:
    """Where this process stands among those of one run: its rank and their number, of all and on this machine."""

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    local_count: int = 1


def place_among_processes() -> Place:
    """As torchrun's variables say. Some of them alone, left over from another program, say nothing: the run has one process.

    Raises ExpectedError where their numbers make no sense.
    """
    found = {name: os.environ[name] for name in SET_BY_TORCHRUN if name in os.environ}
    if len(found) < len(SET_BY_TORCHRUN):
        return Place()
    try:
        place = Place(*(int(found[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")))
    except ValueError:
        place = Place(count=0)
    if not (0 <= place.rank < place.count and 0 <= place.local_rank < place.local_count):
        told = ", ".join(f"{name}={value}" for name, value in found.items())
        raise ExpectedError(
            f"the environment describes no processes of torchrun ({told}); use torchrun, or unset these"
        )
    return place


@contextlib.contextmanager
def joined_processes(device: str, timeout_seconds: float = TIMEOUT_SECONDS) -> Iterator[Processes]:
    """The processes that torchrun started, connected (gloo on CPU, NCCL on GPUs, one for each).

    Raises ProcessLost, and ExpectedError where they do not find each other.
    """
    place = place_among_processes()
    if place.count == 1:
        yield Processes()
        return
    on_gpu = torch.device(device).type == "cuda"
    if on_gpu:
        torch.cuda.set_device(place.local_rank)
    try:
        timeout = datetime.timedelta(seconds=timeout_seconds)
        distributed.init_process_group("nccl" if on_gpu else "gloo", timeout=timeout)
    except (RuntimeError, ValueError) as error:
        raise ExpectedError(
            f"the {place.count} processes of this run did not find each other ({first_line(error)}); start them with "
            "torchrun, or unset WORLD_SIZE for a run in one process"
        ) from error
    try:
        yield Processes(distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()


LOST = (
    "another process of this run has ended or does not answer; the run is kept up to its last checkpoint, repeat the command "
    "to continue"
)


def _device() -> str:
    return "cuda" if distributed.get_backend() == "nccl" else "cpu"


def _combine(tensor: Tensor, operation: Any = distributed.ReduceOp.SUM) -> None:
    """Add up `tensor` over the processes, or combine it otherwise, in place."""
    try:
        distributed.all_reduce(tensor, operation)
    except RuntimeError as error:
        raise ProcessLost(f"{LOST} ({first_line(error)})") from error
