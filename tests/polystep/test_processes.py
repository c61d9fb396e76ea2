"""Work in processes: the same as without, whatever it refers to."""

import os
import signal
from concurrent.futures.process import BrokenProcessPool

import pytest

from polystep import processes
from polystep.processes import map_in_processes


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "available_cores", lambda: 2)


@pytest.mark.parametrize("worth_a_process", [1, 100])
@pytest.mark.parametrize("together", [1, 3])
def test_results_come_in_the_order_of_the_items(worth_a_process: int, together: int) -> None:
    offset = 10  # a closure, which could not be sent to another process
    assert map_in_processes(lambda item: item + offset, range(7), worth_a_process, together) == list(range(10, 17))
    assert map_in_processes(lambda item: item, [], worth_a_process) == []


def test_few_items_stay_in_this_process() -> None:
    assert map_in_processes(lambda _: os.getpid(), range(3), 2) == [os.getpid()] * 3
    assert os.getpid() not in map_in_processes(lambda _: os.getpid(), range(4), 2)


@pytest.mark.parametrize("system", ["darwin", "win32"])
def test_where_processes_do_not_fork_safely_all_is_done_in_this_one(
    system: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", system)
    assert map_in_processes(lambda _: os.getpid(), range(4), 2) == [os.getpid()] * 4


@pytest.mark.parametrize("worth_a_process", [1, 100])
def test_errors_arrive(worth_a_process: int) -> None:
    def fail(item: int) -> int:
        raise ValueError(f"no {item}")

    with pytest.raises(ValueError, match="no 0"):
        map_in_processes(fail, [0, 1], worth_a_process)


def test_a_killed_process_is_an_error() -> None:
    with pytest.raises(BrokenProcessPool):
        map_in_processes(lambda _: os.kill(os.getpid(), signal.SIGKILL), range(4), 2)
