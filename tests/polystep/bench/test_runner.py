"""The one loop: what it asks of a task and an optimiser, and what it records."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from polystep.bench import state
from polystep.bench.checkpoint import load_checkpoint
from polystep.bench.evaluation import Evaluation
from polystep.bench.ledger import Budget, BudgetError, MeteredObjective
from polystep.bench.runner import PreparationError
from polystep.contracts import StepReport
from polystep.records import read_record
from tests.polystep.bench.spy_run import CANDIDATES, ROWS, STEPS, RandomSearch, SpyTask


def test_a_run_leaves_a_record_and_a_checkpoint(build, tmp_path: Path) -> None:
    outcome = build().execute()
    record = read_record(outcome.folder)
    assert outcome.status == record.status == "finished" and outcome.record == record
    assert outcome.folder == tmp_path / "records" / record.name
    assert record.name == f"spy-search-default-seed3-{record.run_id}"
    assert (record.seed, record.data, record.error, record.altered, record.overrides) == (3, "data", None, [], None)
    assert record.names == {"task": "spy", "optimizer": "search", "study": "default"}
    assert record.study == {"name": "default", "edition": None, "protocol": "default"}
    assert record.task["name"] == "spy" and record.specification["optimizer"]["component"] == "search"
    assert record.metric == {
        **{"name": "distance", "direction": "minimize", "unit": "unit"},
        **{"best": None, "solved": None},
    }
    assert record.method == {"name": "search", "title": "Random search", "family": "tests", "uses": ["losses"]}
    assert record.started <= record.ended and record.used_share == 1.0 and record.ended_by == "budget"
    counters = {name: number for name, number in record.counters.items() if number}
    candidates = STEPS * CANDIDATES
    assert counters == {"steps": STEPS, "candidate_evaluations": candidates, "sample_forwards": candidates * ROWS}
    assert record.wall_seconds == pytest.approx(sum(record.clocks.values())) and record.cpu_seconds > 0
    context = record.context
    assert context["packages"]["torch"] == torch.__version__ and context["threads"] == torch.get_num_threads()
    assert context["load_before"] >= 0 and context["load_after"] >= 0 and context["peak_memory_bytes"] > 2**20
    history = record.history
    assert history["step"] == [0, 2, 4, 6] and history["epoch"] == [0, 0.5, 1, 1.5]
    assert history["candidate_evaluations"] == [step * CANDIDATES for step in (0, 2, 4, 6)]
    assert history["backward_passes"] == [0] * 4 and None not in history["validation"]
    assert [value is None for value in history["best"]] == [True, False, False, False]
    assert {path.name for path in outcome.folder.iterdir()} == {"run.json", "checkpoint.safetensors", ".lock"}


@pytest.mark.parametrize("method", ["validate", "test"])
def test_scores_that_are_no_numbers_fail_the_run(build, method: str) -> None:
    task = SpyTask()
    setattr(task, method, lambda point: torch.zeros(2))
    error = build(task).execute().record.error
    assert error["message"] == f"{method} of the task must give a number, got Tensor of shape (2,)"
    assert error["place"].startswith(str(Path(state.__file__)))


@pytest.mark.parametrize("step", [3, 6])
def test_parameters_that_are_not_finite_are_a_divergence_whatever_the_task_makes_of_them(build, step: int) -> None:
    class Diverging(RandomSearch):
        def step(self, objective: Any, used: float) -> StepReport:
            report = super().step(objective, used)
            if len(self.objectives) == step:
                self.solution = self.solution.clone()
                self.solution[2] = math.nan
            return report

    class Rounded(SpyTask):
        def validate(self, point: Tensor) -> float:
            return super().validate(point.nan_to_num(0.0))

    task = Rounded(scores=[4.0, 3.0, 2.0, 1.0])
    outcome = build(task, build_optimizer=lambda task: Diverging(task.initial_point(3))).execute()
    record = outcome.record
    validated = step if step % 2 == 0 else step + 1
    assert (outcome.status, record.ended_by, record.counters["steps"]) == ("finished", "divergence", validated)
    assert record.scores["selected_step"] == validated - 2 and record.scores["test_last"] is None
    assert len(task.tested) == 1 and bool(torch.isfinite(task.tested[0]).all())


def test_a_start_that_is_not_finite_fails(build) -> None:
    class Lost(SpyTask):
        def initial_point(self, seed: int) -> Tensor:
            return torch.full((6,), math.inf)

    error = build(Lost(), build_optimizer=lambda task: RandomSearch(task.initial_point(3))).execute().record.error
    assert error["message"] == "the starting point, initial_point(seed) of the task, is not finite"


def test_scores_may_be_tensors_of_one_number(build) -> None:
    task = SpyTask()
    judged = task.validate
    task.validate = lambda point: torch.tensor(judged(point))
    assert build(task).execute().status == "finished"


def test_what_cannot_be_built_is_an_expected_failure(build) -> None:
    class Unbuilt(SpyTask):
        @property
        def fingerprint(self) -> str:
            raise AttributeError("no file")

    with pytest.raises(PreparationError, match=rf"cannot be built: AttributeError in {__file__}, line \d+: no file"):
        build(Unbuilt()).execute()


def test_a_finished_run_is_skipped(build) -> None:
    task = SpyTask()
    first = build().execute()
    again = build(task, checkpoint_seconds=99.0).execute()
    assert again.status == "skipped" and again.record == first.record
    assert task.calls == []
    assert build(seed=4).execute().status == "finished"


def test_the_test_set_is_read_once_per_judged_point_and_after_training(build) -> None:
    task = SpyTask()
    outcome = build(task, evaluation=Evaluation(validate_every=2, test_every=2, test_until=5)).execute()
    assert task.calls == [
        *("validate", "train", "train", "validate", "train", "train", "validate", "train", "train", "validate"),
        *("test",) * 4,
    ]
    state = load_checkpoint(outcome.folder / "checkpoint.safetensors")
    kept = state["run"]["test_checkpoints"]
    judged = [state["run"]["selected"]["point"], state["optimizer"]["point"], kept["2"], kept["4"]]
    assert [point.tolist() for point in task.tested] == [point.tolist() for point in judged]
    assert outcome.record.scores["test_curve"] == [
        {"step": 2, "test": float(judged[2].abs().sum())},
        {"step": 4, "test": float(judged[3].abs().sum())},
    ]


def test_what_a_task_says_about_the_selected_point_is_recorded(build) -> None:
    class Talkative(SpyTask):
        def diagnostics(self, point: Tensor) -> dict[str, Any]:
            return {"sum": float(point.sum())}

    outcome = build(Talkative(scores=[4.0, 3.0, 1.0, 2.0])).execute()
    selected = load_checkpoint(outcome.folder / "checkpoint.safetensors")["run"]["selected"]["point"]
    assert outcome.record.scores["diagnostics"] == {"sum": float(selected.sum())}
    assert build(seed=4).execute().record.scores["diagnostics"] == {}


def test_optimizers_get_nothing_but_a_metered_objective(build) -> None:
    optimizers: list[RandomSearch] = []

    def build_optimizer(task: Any) -> RandomSearch:
        optimizers.append(RandomSearch(task.initial_point(3)))
        return optimizers[-1]

    build(build_optimizer=build_optimizer).execute()
    objectives = optimizers[0].objectives
    assert len(objectives) == STEPS and {type(objective) for objective in objectives} == {MeteredObjective}
    public = {name for name in dir(objectives[0]) if not name.startswith("_")}
    assert public == {"capability", "losses", "spent"}


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
    metrics = read_record(outcome.folder).scores
    best = scores[step // 2]
    assert metrics["selected_step"] == step
    assert metrics["validation_selected"] == (None if math.isnan(best) else best)


def test_scores_that_json_lacks_leave_a_valid_record(build) -> None:
    faults = {("test", 1): lambda: math.nan, ("test", 2): lambda: -math.inf}
    outcome = build(SpyTask(faults=faults)).execute()
    assert outcome.status == "finished"
    text = (outcome.folder / "run.json").read_text()
    json.loads(text, parse_constant=lambda constant: pytest.fail(f"{constant} is not JSON"))
    assert outcome.record.scores["test_selected"] is None and outcome.record.scores["test_last"] == "-inf"
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
    assert outcome.status == "finished" and outcome.record.counters["steps"] == steps
    # the last step is validated and stored, whatever the intervals say
    assert outcome.record.history["step"][-1] == steps
    assert load_checkpoint(outcome.folder / "checkpoint.safetensors")["run"]["step"] == steps


class GivesUp(RandomSearch):
    """Says after three steps that it is done."""

    def tell(self, losses: Tensor) -> StepReport:
        return replace(super().tell(losses), finished=len(self.objectives) == 3)


def test_an_optimiser_that_is_done_ends_the_run(build) -> None:
    run = build(build_optimizer=lambda task: GivesUp(task.initial_point(3)), evaluation=Evaluation(validate_every=2))
    outcome = run.execute()
    assert outcome.status == "finished" and outcome.record.counters["steps"] == 3 < STEPS
    assert outcome.record.history["step"] == [0, 2, 3]
    (outcome.folder / "run.json").unlink()
    # continued from its last checkpoint it has nothing left to do
    assert run.execute().record.scores == outcome.record.scores


def test_a_budget_that_no_step_uses_ends_the_run_without_a_record(build, tmp_path: Path) -> None:
    task = SpyTask()
    with pytest.raises(BudgetError, match=r"spends no backward_passes.* budget\.candidate_evaluations, "):
        build(task, budget=Budget(backward_passes=5)).execute()
    assert task.calls == ["validate", "train"]
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [".lock"]
