"""The one loop: what it asks of a task and an optimiser, what it records, and that it resumes bit for bit."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas
import pytest
import torch
from torch import Tensor

from polystep.bench import runner
from polystep.bench.checkpoint import load_checkpoint, save_checkpoint
from polystep.bench.curves import read_history
from polystep.bench.files import StorageError
from polystep.bench.ledger import Budget, BudgetError, MeteredObjective
from polystep.bench.lock import RunBusyError, exclusive
from polystep.bench.records import read_record
from polystep.bench.runner import Evaluation, Run, RunOutcome
from polystep.candidates import Candidates, DenseCandidates
from polystep.contracts import AskTellOptimizer, ExpectedError, Metric, Spent, State, StepReport
from polystep.evaluation.sharded import Processes, ProcessLost
from polystep.layout import ParameterLayout
from polystep.random import generator_state, named_generator, restore_generator

STEPS = 6
CANDIDATES = 4
ROWS = 10


class Target:
    """Squared distance to a point that differs from step to step."""

    def __init__(self, center: Tensor):
        self.center, self.spent = center, Spent()

    def losses(self, candidates: Candidates) -> Tensor:
        self.spent += Spent(len(candidates), ROWS * len(candidates))
        return (candidates.dense(slice(None)) - self.center).square().sum(1)


@dataclass
class SpyTask:
    """Writes down how it is used; `faults` are called by the name of the call and its number, counted from one."""

    calls: list[str] = field(default_factory=list)
    faults: dict[tuple[str, int], Callable[[], Any]] = field(default_factory=dict)
    scores: list[float] | None = None
    direction: str = "minimize"

    layout = ParameterLayout({"weight": (2, 3)})
    fingerprint = "data"
    steps_per_epoch = 4

    def __post_init__(self) -> None:
        self.metric = Metric("distance", self.direction, "unit")  # type: ignore[arg-type]
        self.tested: list[Tensor] = []
        self._generator = named_generator(0, "stream")

    def _called(self, name: str) -> Any:
        self.calls.append(name)
        return self.faults.get((name, self.calls.count(name)), lambda: None)()

    def initial_point(self, seed: int) -> Tensor:
        return torch.full((6,), float(seed))

    def next_objective(self) -> Target:
        self._called("train")
        return Target(torch.randn(6, generator=self._generator))

    def validate(self, point: Tensor) -> float:
        fault = self._called("validate")
        if self.scores is not None:
            return self.scores[self.calls.count("validate") - 1]
        return float(point.square().sum()) if fault is None else fault

    def test(self, point: Tensor) -> float:
        self.tested.append(point.clone())
        fault = self._called("test")
        return float(point.abs().sum()) if fault is None else fault

    def state_dict(self) -> State:
        return {"stream": generator_state(self._generator)}

    def load_state_dict(self, state: State) -> None:
        restore_generator(self._generator, state["stream"])


class RandomSearch(AskTellOptimizer):
    """Moves to the best of a few random neighbours."""

    def __init__(self, point: Tensor):
        self.solution = point
        self.objectives: list[Any] = []
        self._generator = named_generator(1, "search")

    def step(self, objective: Any) -> StepReport:
        self.objectives.append(objective)
        return super().step(objective)

    def ask(self) -> Candidates:
        noise = torch.randn(CANDIDATES, 6, generator=self._generator)
        self._candidates = DenseCandidates(self.solution + 0.1 * noise)
        return self._candidates

    def tell(self, losses: Tensor) -> StepReport:
        self.solution = self._candidates.dense(slice(None))[losses.argmin()]
        return StepReport(float(losses.mean()), {"best": float(losses.min())})

    def state_dict(self) -> State:
        return {"point": self.solution, "generator": generator_state(self._generator)}

    def load_state_dict(self, state: State) -> None:
        self.solution = state["point"]
        restore_generator(self._generator, state["generator"])


@pytest.fixture
def build(tmp_path: Path) -> Callable[..., Run]:
    """Builds a run of the spy task; what is given replaces fields of `Run`."""

    def build(task: SpyTask | None = None, seed: int = 3, **changes: Any) -> Run:
        names = {"task": "spy", "optimizer": "search", "study": "default", "protocol": "default"}
        run = Run(
            config={"names": names, "seed": seed, "device": "cpu"},
            build_task=lambda: task or SpyTask(),
            build_optimizer=lambda task: RandomSearch(task.initial_point(seed)),
            budget=Budget(steps=STEPS),
            evaluation=Evaluation(validate_every=2),
            records=tmp_path / "records",
            checkpoint_seconds=0.0,
        )
        return replace(run, **changes)

    return build


def result(outcome: RunOutcome) -> Any:
    """Everything that must not depend on how often a run was interrupted: all but seconds and memory."""
    record = read_record(outcome.folder)
    history = read_history(outcome.folder).drop(columns="seconds")
    state = load_checkpoint(outcome.folder / "checkpoint.safetensors")
    tensors = [
        state["selected"]["point"],
        *state["marked"].values(),
        *state["optimizer"].values(),
        *state["task"].values(),
    ]
    return (
        record.metrics,
        record.ledger["spent"],
        history.to_csv(),
        [tensor.tolist() for tensor in tensors],
        state["step"],
    )


def test_a_run_leaves_record_history_and_checkpoint(build, tmp_path: Path) -> None:
    outcome = build().execute()
    record = read_record(outcome.folder)
    assert outcome.status == record.status == "finished" and outcome.record == record
    assert outcome.folder == tmp_path / "records" / record.name
    assert record.name == f"spy-search-default-seed3-{record.run_id}"
    assert record.labels == {"task": "spy", "optimizer": "search", "study": "default", "seed": 3}
    assert (record.protocol, record.data_fingerprint, record.error) == ("default", "data", None)
    assert record.metric == {"name": "distance", "direction": "minimize", "unit": "unit"}
    assert record.metrics["steps"] == STEPS and record.started <= record.ended
    spent = record.ledger["spent"]
    assert (spent["candidate_evaluations"], spent["sample_forwards"]) == (STEPS * CANDIDATES, STEPS * CANDIDATES * ROWS)
    assert record.ledger["wall_seconds"] == pytest.approx(sum(record.ledger["clocks"].values()))
    history = read_history(outcome.folder)
    assert history["step"].tolist() == list(range(STEPS + 1))
    assert history["epoch"].tolist() == [step / 4 for step in range(STEPS + 1)]
    assert history["candidate_evaluations"].tolist() == [step * CANDIDATES for step in range(STEPS + 1)]
    assert history["backward_passes"].tolist() == [0] * (STEPS + 1)
    assert history["validation"].notna().tolist() == [True, False, True, False, True, False, True]
    assert history["best"].notna().tolist() == [False] + [True] * STEPS
    assert {path.name for path in outcome.folder.iterdir()} == {
        *("run.json", "history.csv", "checkpoint.safetensors", ".lock"),
    }


def test_a_finished_run_is_skipped(build) -> None:
    task = SpyTask()
    first = build().execute()
    again = build(task, checkpoint_seconds=99.0).execute()
    assert again.status == "skipped" and again.record == first.record
    assert task.calls == []
    assert build(seed=4).execute().status == "finished"


def test_the_test_set_is_read_once_per_judged_point_and_after_training(build) -> None:
    task = SpyTask()
    outcome = build(task, evaluation=Evaluation(validate_every=2, test_steps=[1, 4, 99])).execute()
    assert task.calls == [
        *("validate", "train", "train", "validate", "train", "train", "validate", "train", "train", "validate"),
        *("test",) * 4,
    ]
    state = load_checkpoint(outcome.folder / "checkpoint.safetensors")
    judged = [state["selected"]["point"], state["optimizer"]["point"], state["marked"]["1"], state["marked"]["4"]]
    assert [point.tolist() for point in task.tested] == [point.tolist() for point in judged]
    assert outcome.record.metrics["test_curve"] == [
        {"step": 1, "test": float(judged[2].abs().sum())},
        {"step": 4, "test": float(judged[3].abs().sum())},
    ]


def test_what_a_task_says_about_the_selected_point_is_recorded(build) -> None:
    class Talkative(SpyTask):
        def diagnostics(self, point: Tensor) -> dict[str, Any]:
            return {"sum": float(point.sum())}

    outcome = build(Talkative(scores=[4.0, 3.0, 1.0, 2.0])).execute()
    selected = load_checkpoint(outcome.folder / "checkpoint.safetensors")["selected"]["point"]
    assert outcome.record.metrics["diagnostics"] == {"sum": float(selected.sum())}
    assert "diagnostics" not in build(seed=4).execute().record.metrics


def test_optimizers_get_nothing_but_a_metered_objective(build) -> None:
    optimizers: list[RandomSearch] = []

    def build_optimizer(task: Any) -> RandomSearch:
        optimizers.append(RandomSearch(task.initial_point(3)))
        return optimizers[-1]

    build(build_optimizer=build_optimizer).execute()
    objectives = optimizers[0].objectives
    assert len(objectives) == STEPS and {type(objective) for objective in objectives} == {MeteredObjective}
    public = {name for name in dir(objectives[0]) if not name.startswith("_")}
    assert public == {"gradient", "gradients", "interact", "losses", "search", "spent"}


@pytest.mark.parametrize(
    ("direction", "scores", "step"),
    [
        ("maximize", [1, 3, 2, 1], 2),
        ("maximize", [1, 2, 2, 1], 2),
        ("maximize", [2, 2, 2, 2], 0),
        ("minimize", [1, 2, 3, 0.5], 6),
        ("minimize", [3, 2, 2, 3], 2),
        ("maximize", [math.nan, 1, 2, math.nan], 4),
        ("maximize", [1, math.nan, 0, math.nan], 0),
        ("minimize", [math.nan, math.inf, 5, 6], 4),
        ("maximize", [math.nan] * 4, 0),
    ],
)
def test_the_first_of_the_best_validated_points_is_selected(build, direction: str, scores: list, step: int) -> None:
    outcome = build(SpyTask(scores=scores, direction=direction)).execute()
    metrics = read_record(outcome.folder).metrics
    best = scores[step // 2]
    assert metrics["selected_step"] == step
    assert metrics["validation_selected"] == (None if math.isnan(best) else best)


def test_scores_that_json_lacks_leave_a_valid_record(build) -> None:
    faults = {("test", 1): lambda: math.nan, ("test", 2): lambda: -math.inf}
    outcome = build(SpyTask(faults=faults)).execute()
    assert outcome.status == "finished"
    text = (outcome.folder / "run.json").read_text()
    json.loads(text, parse_constant=lambda constant: pytest.fail(f"{constant} is not JSON"))
    assert outcome.record.metrics["test_selected"] is None and outcome.record.metrics["test_last"] == "-inf"
    assert read_record(outcome.folder) == outcome.record
    assert build().execute().status == "skipped"


@pytest.mark.parametrize(
    ("budget", "steps"),
    [
        (Budget(steps=3), 3),
        (Budget(candidate_evaluations=3 * CANDIDATES), 3),
        (Budget(candidate_evaluations=3 * CANDIDATES + 1), 4),
        (Budget(sample_forwards=2 * CANDIDATES * ROWS), 2),
        (Budget(steps=5, candidate_evaluations=10**9, sample_forwards=2 * CANDIDATES * ROWS, seconds=1e9), 2),
        (Budget(seconds=1e-9), 1),
    ],
)
def test_each_currency_ends_the_run(build, budget: Budget, steps: int) -> None:
    outcome = build(budget=budget).execute()
    assert outcome.status == "finished" and outcome.record.metrics["steps"] == steps
    # the last step is validated and stored, whatever the intervals say
    assert read_history(outcome.folder)["validation"].notna().iloc[-1]
    assert load_checkpoint(outcome.folder / "checkpoint.safetensors")["step"] == steps


class GivesUp(RandomSearch):
    """Says after three steps that it is done."""

    def tell(self, losses: Tensor) -> StepReport:
        return replace(super().tell(losses), finished=len(self.objectives) == 3)


def test_an_optimiser_that_is_done_ends_the_run(build) -> None:
    run = build(build_optimizer=lambda task: GivesUp(task.initial_point(3)), evaluation=Evaluation(validate_every=2))
    outcome = run.execute()
    assert outcome.status == "finished" and outcome.record.metrics["steps"] == 3 < STEPS
    assert read_history(outcome.folder)["validation"].dropna().index[-1] == len(read_history(outcome.folder)) - 1
    (outcome.folder / "run.json").unlink()
    # continued from its last checkpoint it has nothing left to do
    assert run.execute().record.metrics == outcome.record.metrics


def test_a_budget_that_no_step_uses_ends_the_run_without_a_record(build, tmp_path: Path) -> None:
    task = SpyTask()
    with pytest.raises(BudgetError, match=r"spends no backward_passes.* budget\.candidate_evaluations, "):
        build(task, budget=Budget(backward_passes=5)).execute()
    assert task.calls == ["validate", "train"]
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [".lock"]


def interrupt() -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("checkpoint_seconds", [0.0, 1e9])
def test_an_interrupted_run_resumes_bit_for_bit(build, tmp_path: Path, checkpoint_seconds: float) -> None:
    settings: dict[str, Any] = {
        "evaluation": Evaluation(validate_every=2, test_steps=[1, 4]),
        "checkpoint_seconds": checkpoint_seconds,
    }
    whole = build(records=tmp_path / "whole", **settings).execute()
    places = [
        (name, number)
        for name, count in (("train", STEPS), ("validate", 4), ("test", 4))
        for number in range(1, count + 1)
    ]
    for name, number in places:
        records = tmp_path / f"{name}{number}"
        cut = build(SpyTask(faults={(name, number): interrupt}), records=records, **settings).execute()
        assert cut.status == "interrupted" == read_record(cut.folder).status
        assert cut.record.metrics == {}
        task = SpyTask()
        resumed = build(task, records=records, **settings).execute()
        assert resumed.status == "finished" and result(resumed) == result(whole)
        # what the checkpoint holds is not repeated
        done = 0 if checkpoint_seconds and name != "test" else {"train": number - 1, "test": STEPS}.get(name)
        assert done is None or task.calls.count("train") == STEPS - done


def test_a_run_that_is_interrupted_again_and_again_finishes(build, tmp_path: Path) -> None:
    whole = build(records=tmp_path / "whole").execute()
    for _ in range(STEPS - 1):
        for step in (1, 2):
            assert build(SpyTask(faults={("train", step): interrupt})).execute().status == "interrupted"
    outcome = build(SpyTask(faults={("train", 2): interrupt})).execute()
    assert outcome.status == "finished" and result(outcome) == result(whole)


def test_seconds_of_all_processes_of_a_run_add_up(build) -> None:
    cut = build(SpyTask(faults={("train", STEPS): interrupt})).execute()
    stored = load_checkpoint(cut.folder / "checkpoint.safetensors")["ledger"]["clocks"]
    clocks = build().execute().record.ledger["clocks"]
    assert all(clocks[name] >= stored[name] for name in clocks)
    assert clocks["validation"] > stored["validation"] and clocks["test"] > 0 == stored["test"]


@pytest.mark.parametrize(
    "place", [("train", 1), ("train", 3), ("validate", 1), ("validate", 3), ("test", 1), ("test", 2)]
)
def test_a_failure_is_recorded_and_tried_again(build, tmp_path: Path, place: tuple[str, int]) -> None:
    def fail() -> None:
        raise ArithmeticError("all losses are NaN")

    failed = build(SpyTask(faults={place: fail})).execute()
    record = read_record(failed.folder)
    assert failed.status == record.status == "failed" and record == failed.record
    assert record.error["type"] == "ArithmeticError" and record.error["message"] == "all losses are NaN"
    assert "in fail" in record.error["traceback"] and record.metrics == {}
    assert result(build().execute()) == result(build(records=tmp_path / "whole").execute())


@pytest.mark.parametrize("place", [("train", 3), ("test", 1)])
def test_expected_failures_are_passed_on(build, place: tuple[str, int]) -> None:
    def fail() -> None:
        raise ExpectedError("the disk is full")

    with pytest.raises(ExpectedError, match="the disk is full"):
        build(SpyTask(faults={place: fail})).execute()
    assert build().execute().status == "finished"


def test_a_run_under_way_is_busy(build) -> None:
    folder = build().execute().folder
    with exclusive(folder), pytest.raises(RunBusyError):
        build().execute()


@pytest.mark.parametrize("damage", ["truncated", "altered", "empty"])
def test_a_damaged_checkpoint_is_refused_and_kept(build, damage: str) -> None:
    folder = build(SpyTask(faults={("train", 4): interrupt})).execute().folder
    path = folder / "checkpoint.safetensors"
    whole = path.read_bytes()
    content = {"truncated": whole[:-1], "altered": whole[:-1] + bytes([whole[-1] ^ 1]), "empty": b""}[damage]
    path.write_bytes(content)
    before = (folder / "run.json").read_bytes()
    with pytest.raises(StorageError, match=f"checkpoint {path} .*delete it and repeat the command"):
        build().execute()
    assert path.read_bytes() == content and (folder / "run.json").read_bytes() == before
    path.unlink()
    assert build().execute().status == "finished"


def test_files_of_another_run_are_refused(build) -> None:
    other = build(seed=4).execute().folder
    folder = build(SpyTask(faults={("train", 4): interrupt})).execute().folder
    for name in ("checkpoint.safetensors", "run.json"):
        own = (folder / name).read_bytes()
        (folder / name).write_bytes((other / name).read_bytes())
        with pytest.raises(
            StorageError, match=rf"{folder / name} belongs to run {other.name[-16:]}, not to {folder.name[-16:]}"
        ):
            build().execute()
        (folder / name).write_bytes(own)
    assert build().execute().status == "finished"


def test_a_damaged_record_is_refused_and_kept(build) -> None:
    path = build().execute().folder / "run.json"
    path.write_text(path.read_text()[:-20])
    damaged = path.read_text()
    with pytest.raises(StorageError, match=f"{path} cannot be read as JSON"):
        build().execute()
    assert path.read_text() == damaged


def test_left_over_partial_files_are_harmless(build) -> None:
    folder = build(SpyTask(faults={("train", 4): interrupt})).execute().folder
    for name in ("checkpoint.safetensors", "run.json", "history.csv"):
        (folder / f".{name}.abc.partial").write_text("half")
    assert build().execute().status == "finished"


@pytest.mark.parametrize("interval", [0, -1])
def test_the_validation_interval_must_be_positive(interval: int) -> None:
    with pytest.raises(ValueError, match=f"validate_every must be at least 1, got {interval}"):
        Evaluation(validate_every=interval)
    with pytest.raises(ValueError, match=f"validations must be at least 1, got {interval}"):
        Evaluation(validations=interval)


def test_one_way_to_say_when_to_validate() -> None:
    with pytest.raises(ValueError, match=r"evaluation\.validations, got none"):
        Evaluation()
    with pytest.raises(ValueError, match=r"set one of .* got {'validate_every': 2, 'validations': 3}"):
        Evaluation(validate_every=2, validations=3)


@pytest.mark.parametrize(
    ("validations", "steps"),
    [(1, [0, 20]), (2, [0, 10, 20]), (3, [0, 7, 14, 20]), (20, list(range(21))), (100, list(range(21)))],
)
def test_validations_are_spread_evenly_over_the_budget(build, validations: int, steps: list[int]) -> None:
    outcome = build(budget=Budget(steps=20), evaluation=Evaluation(validations=validations)).execute()
    history = pandas.read_csv(outcome.folder / "history.csv")
    assert history.step[history.validation.notna()].tolist() == steps


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


def test_a_run_that_cannot_resume_tells_nobody(build, monkeypatch: pytest.MonkeyPatch) -> None:
    build(SpyTask(faults={("train", 4): interrupt})).execute()

    def fail(*arguments: Any) -> State:
        raise KeyError("optimizer")

    monkeypatch.setattr(runner, "load_checkpoint", fail)
    watcher = Watcher()
    assert build(observers=[watcher]).execute().status == "failed"
    assert watcher.events == []


def test_a_checkpoint_without_a_run_is_refused(build) -> None:
    folder = build(SpyTask(faults={("train", 4): interrupt})).execute().folder
    save_checkpoint(folder / "checkpoint.safetensors", {"point": torch.ones(2)})
    with pytest.raises(StorageError, match="belongs to run None"):
        build().execute()


class Told(Processes):
    """The second of two processes, told numbers by a first one that is not there."""

    def __init__(self, *numbers: float):
        super().__init__(1, 2)
        self.numbers = list(numbers)

    def agree(self, value: float) -> float:
        return self.numbers.pop(0)

    def share(self, objective: Any) -> Any:
        return objective


class Telling(Told):
    """The first of them, whose numbers are kept."""

    def agree(self, value: float) -> float:
        self.numbers.append(value)
        return value


def test_other_processes_take_the_steps_that_the_first_announces_and_judge_and_write_nothing(
    build: Callable[..., Run], tmp_path: Path
) -> None:
    first = build(processes=Telling())
    first.execute()
    numbers = first.processes.numbers  # type: ignore[attr-defined]
    assert len(numbers) == STEPS + 2 and numbers[-1] >= 1
    task = SpyTask()
    build(task, processes=Told(*numbers), records=tmp_path / "elsewhere").assist()
    assert task.calls == ["train"] * STEPS and not (tmp_path / "elsewhere").exists()
    # done before
    first.execute()
    task = SpyTask()
    build(task, processes=Told(numbers[-1])).assist()
    assert numbers[-1] == -1 and task.calls == []


def test_processes_with_different_settings_are_refused(build: Callable[..., Run]) -> None:
    first, other = build(processes=Telling()), SpyTask()
    first.execute()
    number = first.processes.numbers[0]  # type: ignore[attr-defined]
    with pytest.raises(ProcessLost, match="have different settings, data or code"):
        build(other, seed=4, processes=Told(number)).assist()
    assert other.calls == []
