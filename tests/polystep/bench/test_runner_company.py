"""Who follows a run: observers, and other processes that share its steps."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from polystep.bench import runner, state
from polystep.bench.runner import Run
from polystep.contracts import ExpectedError, State
from polystep.evaluation.sharded import Processes, ProcessLost
from tests.polystep.bench.spy_run import STEPS, SpyTask, interrupt, result


class Watcher:
    """Notes the events, and fails at one of them."""

    def __init__(self, failing: str = ""):
        self.failing, self.events = failing, []

    def _note(self, event: str, *details: Any) -> None:
        self.events.append((event, *details))
        if event == self.failing:
            raise OSError("no network")

    def started(self, name: str, config: dict[str, Any], share: float) -> None:
        self._note("started", share)

    def progressed(self, row: Any, share: float) -> None:
        self._note("progressed", row["step"], share)

    def ended(self, status: str, metrics: dict[str, Any]) -> None:
        self._note("ended", status)


def test_observers_follow_a_run_and_its_continuation(build) -> None:
    first, second = Watcher(), Watcher()
    build(SpyTask(faults={("train", 4): interrupt}), observers=[first]).execute()
    build(observers=[second]).execute()
    rows = [("progressed", step, step / STEPS) for step in range(STEPS + 1)]
    assert first.events == [("started", 0.0), *rows[:4], ("ended", "interrupted")]
    assert second.events == [("started", 0.5), *rows[4:], ("ended", "finished")]


@pytest.mark.parametrize("event", ["started", "progressed", "ended"])
def test_a_failing_observer_changes_nothing(build, tmp_path: Path, event: str) -> None:
    broken, working = Watcher(event), Watcher()
    with pytest.warns(UserWarning, match=r"Watcher failed and is left out: OSError\('no network'\)"):
        outcome = build(observers=[broken, working]).execute()
    assert result(outcome) == result(build(records=tmp_path / "whole").execute())
    assert [name for name, *_ in broken.events].count(event) == 1
    assert working.events[-1] == ("ended", "finished")


@pytest.mark.parametrize("place", [("train", 3), ("test", 1)])
def test_an_expected_failure_ends_the_run_for_those_who_follow(build, place: tuple[str, int]) -> None:
    """A progress bar that nobody stops hides the cursor."""

    def fail() -> None:
        raise ExpectedError("the disk is full")

    watcher = Watcher()
    with pytest.raises(ExpectedError):
        build(SpyTask(faults={place: fail}), observers=[watcher]).execute()
    assert watcher.events[0] == ("started", 0.0) and watcher.events[-1] == ("ended", "failed")


def test_a_record_that_cannot_be_written_ends_the_run_for_those_who_follow(
    build, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise ExpectedError("the disk is full")

    monkeypatch.setattr(runner, "write_record", fail)
    watcher = Watcher()
    with pytest.raises(ExpectedError):
        build(observers=[watcher]).execute()
    assert watcher.events[-1] == ("ended", "failed")


def test_a_run_that_cannot_resume_tells_nobody(build, monkeypatch: pytest.MonkeyPatch) -> None:
    build(SpyTask(faults={("train", 4): interrupt})).execute()

    def fail(*arguments: Any) -> State:
        raise KeyError("optimizer")

    monkeypatch.setattr(state, "load_checkpoint", fail)
    watcher = Watcher()
    assert build(observers=[watcher]).execute().status == "failed"
    assert watcher.events == []


class Told(Processes):
    """The second of two processes, told numbers by a first one that is not there."""

    def __init__(self, *numbers: float):
        super().__init__(1, 2)
        self.numbers = list(numbers)

    def broadcast(self, value: float) -> float:
        return self.numbers.pop(0)

    def all_have(self, value: float) -> bool:
        return value == self.numbers.pop(0)

    def share(self, objective: Any) -> Any:
        return objective


class Telling(Told):
    """The first of them, whose numbers are kept."""

    def __init__(self) -> None:
        super().__init__()
        self.rank = 0

    def broadcast(self, value: float) -> float:
        self.numbers.append(value)
        return value

    def all_have(self, value: float) -> bool:
        return self.broadcast(value) == value


def test_other_processes_take_the_steps_that_the_first_announces_and_judge_and_write_nothing(
    build: Callable[..., Run], tmp_path: Path
) -> None:
    telling = Telling()
    build(processes=telling).execute()
    # whether it is done already, which run it is, where it continues, the used share before every step and at the end
    assert telling.numbers[0] == 0 and telling.numbers[2:] == [0, *(step / STEPS for step in range(STEPS + 1))]
    task = SpyTask()
    build(task, processes=Told(*telling.numbers), records=tmp_path / "elsewhere").follow()
    assert task.calls == ["train"] * STEPS and not (tmp_path / "elsewhere").exists()
    # done before
    telling = Telling()
    build(processes=telling).execute()
    task = SpyTask()
    build(task, processes=Told(*telling.numbers)).follow()
    assert telling.numbers == [1] and task.calls == []


def test_a_signal_to_the_first_process_stops_all_after_the_same_step(build: Callable[..., Run]) -> None:
    telling = Telling()
    cut = build(SpyTask(faults={("train", 4): interrupt}), processes=telling).execute()
    assert cut.status == "interrupted"
    assert telling.numbers[3:] == [0, 1 / STEPS, 2 / STEPS, 3 / STEPS, 1]
    again = Telling()
    assert build(processes=again).execute().status == "finished" and again.numbers[2:4] == [4, 4 / STEPS]


def test_a_signal_to_another_process_changes_nothing(build: Callable[..., Run], tmp_path: Path) -> None:
    task = SpyTask(faults={("train", 2): interrupt})
    telling = Telling()
    build(processes=telling).execute()
    build(task, processes=Told(*telling.numbers), records=tmp_path / "elsewhere").follow()
    assert task.calls == ["train"] * STEPS


def test_processes_with_different_settings_are_refused(build: Callable[..., Run]) -> None:
    telling, other = Telling(), SpyTask()
    build(processes=telling).execute()
    with pytest.raises(ProcessLost, match="have different settings, data or code"):
        build(other, seed=4, processes=Told(*telling.numbers)).follow()
    assert other.calls == []


def test_a_process_that_does_not_see_the_checkpoint_is_refused(build: Callable[..., Run], tmp_path: Path) -> None:
    build(SpyTask(faults={("train", 4): interrupt})).execute()
    telling, other = Telling(), SpyTask()
    build(processes=telling).execute()
    with pytest.raises(
        ProcessLost, match=r"do not see the same checkpoint: in process 1, .*elsewhere.* leads to step 0"
    ):
        build(other, processes=Told(*telling.numbers), records=tmp_path / "elsewhere").follow()
    assert other.calls == []
