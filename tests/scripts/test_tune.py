"""The command that chooses settings; its trials are computed in this process."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from polystep.bench.composition import Composer, add_folder
from polystep.bench.schema import ConfigError
from polystep.bench.sweeps.plan import SweepRun
from polystep.records import RunRecord, read_places
from scripts import tune
from scripts.console import CONFIGS, EXIT_STATUS, console, prepare
from scripts.trials import _by_variant, refuse_loss
from tests.polystep.conftest import MakeRecord, make_record  # noqa: F401

FAULTY = Path(__file__).with_name("faulty_configs")
SMALL = [
    "study=equal_evaluations",
    "task=snn_digits",
    "task.evaluation=functional",
    "task.batch_size=32",
    "task.network.hidden=4",
    "budget.candidate_evaluations=8",
]
Command = Callable[..., tuple[int, str]]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """Calls the command in a folder of its own, with grids of its own; returns the exit status and what was shown."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(console, "width", 200)
    # reading what is committed takes longer than these runs
    monkeypatch.setattr(tune, "COMMITTED", tmp_path / "none")
    shutil.copytree(FAULTY, "own")
    for optimizer, axes in {
        "spsa": "optimizer.c: [0.01, 0.1, 1.0]\noptimizer.a: [0.001, 0.01, 0.1]",
        "faulty": "evaluation.validations: [100, 150, 225, 338, 506, 759, 1139, 1709, 2563]",
    }.items():
        path = Path(f"own/grid/equal_evaluations/snn_digits/{optimizer}.yaml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(axes)

    def launch(_: Any, runs: Sequence[SweepRun], statuses: Mapping[str, Any]) -> int:
        todo = [run for run in runs if statuses[run.identity].state != "done"]
        return max((EXIT_STATUS[prepare(run.planned.overrides).execute().status] for run in todo), default=0)

    monkeypatch.setattr(tune, "launch", launch)

    def call(*arguments: str) -> tuple[int, str]:
        found = tune.main(["--config-dir", "own", *SMALL, *arguments])
        return found, capfd.readouterr().out

    return call


def trials() -> list[RunRecord]:
    records = [item for _, item in read_places(Path("results/reproduction/records"))]
    return [record for record in records if isinstance(record, RunRecord)]


@pytest.mark.slow
def test_the_best_of_two_stages_is_written_and_used(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    base = Path("own/settings/tuning_evaluations/snn_digits/spsa.yaml")
    base.parent.mkdir(parents=True)
    base.write_text("# @package _global_\noptimizer:\n  alpha: 0.7\n")
    code, shown = command("optimizer=spsa", "data_dir=elsewhere")
    assert code == 0 and len(trials()) == 17
    assert {(record.study["name"], record.seed) for record in trials()} == {("tuning_evaluations", 7)}
    best = max(record.scores["validation_selected"] for record in trials())
    assert f"spsa on snn_digits: {best:.4f} on validation" in shown
    path = Path("own/settings/equal_evaluations/snn_digits/spsa.yaml")
    written = path.read_text()
    assert f"# The best of 17 trials, {best:.4f} on validation data" in written
    assert "hydra" not in written and "elsewhere" not in written

    overrides = add_folder([item for item in SMALL if "candidate" not in item], Path("own"))
    chosen = Composer(CONFIGS).compose([*overrides, "optimizer=spsa"]).config.optimizer
    assert chosen.alpha == 0.7  # what the trials were run with, beside the grid
    winners = [record for record in trials() if record.scores["validation_selected"] == best]
    shares = [record.scores["selected_step"] / record.counters["steps"] for record in winners]
    assert (chosen.c, chosen.a) in [
        tuple(record.specification["optimizer"][name] for name in "ca")
        for record, share in zip(winners, shares, strict=True)
        if share == min(shares)
    ]

    # what is finished is not repeated, and the choice is the same
    started = [record.started for record in trials()]
    assert command("optimizer=spsa")[0] == 0
    assert path.read_text() == written and [record.started for record in trials()] == started

    # a method that fails in every trial stops no other
    Path("faults").mkdir()
    Path("faults/7").write_text("raise")
    path.unlink()
    shutil.rmtree("results")
    code, shown = command("optimizer=faulty,spsa")
    assert (
        code == 1
        and "9 of 9 trials of faulty on snn_digits failed, do not count, or are under way elsewhere: nothing is chosen"
        in " ".join(shown.split())
    )
    assert [*Path("own/settings/equal_evaluations").rglob("*.yaml")] == [path] and path.read_text() == written

    # fewer trials than other methods have, of the first stage and of the second
    all_trials, stages = tune._trials, []
    path.unlink()
    for lacking in (1, 2):
        stages.clear()

        def some(grids: Any, lacking: int = lacking) -> Any:
            stages.append(len(grids))
            return {m: found[len(stages) == lacking :] for m, found in all_trials(grids).items()}

        monkeypatch.setattr(tune, "_trials", some)
        code, shown = command("optimizer=spsa")
        assert (
            code == 1
            and "1 of 9 trials of spsa on snn_digits failed, do not count, or are under way elsewhere: nothing is chosen"
            in " ".join(shown.split())
        )
        assert stages == [1, lacking - 1] and not path.exists()


def test_values_of_a_setting_of_the_task_are_tuned_apart(command: Command) -> None:
    code, shown = command("optimizer=faulty", "task.decay_of=1,2")
    assert code == 2 and "unknown setting task.decay_of" in shown
    code, shown = command("optimizer=faulty", "threads=1,2")
    assert code == 2 and "threads=1,2 has several values; one setting of the task may" in " ".join(shown.split())
    assert command("optimizer=faulty", "task.validation_size=50,100")[0] == 0
    assert len(trials()) == 2 * 17
    written = Path("own/settings/equal_evaluations/snn_digits/faulty.yaml").read_text()
    assert "task.batch_size=32" in written and "task.validation_size=50,100\n" in written
    best = {
        size: max(record.scores["validation_selected"] for record in trials() if size in _size_of(record))
        for size in (50, 100)
    }
    for size, score in best.items():
        assert f"# task.validation_size={size}: The best of 17 trials, {score:.4f} on validation data" in written
    overrides = add_folder(["study=equal_evaluations", "task=snn_digits", "optimizer=faulty"], Path("own"))

    def chosen(size: int) -> int:
        config = Composer(CONFIGS).compose([*overrides, f"task.validation_size={size}"]).config
        return int(config.evaluation.validations)

    of_trials = {
        size: {r.specification["evaluation"]["validations"] for r in trials() if size in _size_of(r)} for size in best
    }
    for size in best:
        assert chosen(size) in of_trials[size]
    assert chosen(10) == chosen(50) == chosen(99) and chosen(1000) == chosen(100)


def _size_of(record: RunRecord) -> tuple[int]:
    return (record.specification["task"]["validation_size"],)


def test_settings_go_by_the_size_or_the_name_of_what_they_were_tuned_on() -> None:
    assert _by_variant("task.n", ["500", "100"], [0.3, 0.1]) == "${by_size:${task.n},{0:0.1,500:0.3}}"
    assert _by_variant("task.kind", ["int8", "float"], [2, 3]) == "${by_name:${task.kind},{int8:2,float:3}}"


def test_trials_that_diverged_are_not_tried_again(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("faults").mkdir()
    Path("faults/7").write_text("diverge")
    code, shown = command("optimizer=faulty")
    assert code == 1 and "no trial of faulty on snn_digits has finite losses: nothing is chosen" in " ".join(
        shown.split()
    )
    monkeypatch.setattr(tune, "launch", lambda *_: pytest.fail("a trial was tried again"))
    code, again = command("optimizer=faulty")
    assert code == 1 and again.splitlines()[-1] == shown.splitlines()[-1]


def test_the_plan_computes_nothing(command: Command) -> None:
    code, shown = command("optimizer=spsa", "--dry-run")
    assert code == 0 and "First of two equal stages: 9 runs" in shown and not Path("results").exists()


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (
            ["optimizer=mezo"],
            "optimizer=mezo has no grid on task=snn_digits for study=equal_evaluations; add "
            "configs/grid/equal_evaluations/snn_digits/mezo.yaml",
        ),
        (
            ["optimizer=spsa", "optimizer.alpha=0.5"],
            "optimizer.alpha=0.5 would hold for the trials alone; write it into",
        ),
        (["study=default", "optimizer=spsa"], "study=default cannot be tuned for; choose one of equal_evaluations"),
        ([], "optimizer must be chosen"),
        (["optimizer=spsa", "seed=42"], "seed=42 is the seed of results; trials have their own, from that of"),
    ],
)
def test_what_cannot_be_tuned_is_named(command: Command, arguments: list[str], fault: str) -> None:
    code, shown = command(*arguments)
    assert code == 2 and fault in " ".join(shown.split())


def test_settings_of_several_tasks_stay_and_give_way_to_a_tasks_own(command: Command) -> None:
    shared = Path("own/settings/equal_evaluations/snn_digits+int8/faulty.yaml")
    shared.parent.mkdir(parents=True)
    shared.write_text("# @package _global_\nevaluation:\n  validations: 77777\n")

    def used(task: str) -> int:
        overrides = add_folder(["study=equal_evaluations", f"task={task}", "optimizer=faulty"], Path("own"))
        return int(Composer(CONFIGS).compose(overrides).config.evaluation.validations)

    assert used("snn_digits") == used("int8") == 77777
    assert command("optimizer=faulty")[0] == 0
    assert used("snn_digits") < 77777 and used("int8") == 77777 and "77777" in shared.read_text()


def test_multiples_are_of_what_trials_have_without_them(command: Command) -> None:
    grid = Path("own/grid/equal_evaluations/snn_digits/spsa.yaml")
    grid.write_text("optimizer.c: {times: [0.5, 1, 2]}\noptimizer.a: [0.001, 0.01, 0.1]\n")
    base = Path("own/settings/tuning_evaluations/snn_digits/spsa.yaml")
    base.parent.mkdir(parents=True)
    base.write_text("# @package _global_\noptimizer:\n  c: 0.3\n")
    overrides = add_folder([*SMALL, "optimizer=spsa"], Path("own"))
    (method,) = tune.find_methods(overrides, [Path("own"), CONFIGS])
    assert method.grid.axes == {"optimizer.c": (0.15, 0.3, 0.6), "optimizer.a": (0.001, 0.01, 0.1)}
    for setting, message in (
        ("nothing", "optimizer.nothing is no setting of optimizer=spsa"),
        ("A", "optimizer.A is None without a grid, of which there are no multiples"),
    ):
        grid.write_text(f"optimizer.{setting}: {{times: [0.5, 1, 2]}}\noptimizer.a: [0.001, 0.01, 0.1]\n")
        code, shown = command("optimizer=spsa")
        assert code == 2 and message in " ".join(shown.split())


def test_a_misspelt_setting_of_a_grid_is_named_with_its_file(command: Command) -> None:
    grid = Path("own/grid/equal_evaluations/snn_digits/spsa.yaml")
    grid.write_text("optimizer.cc: [0.1, 0.2, 0.4]\noptimizer.a: [0.001, 0.01, 0.1]\n")
    code, shown = command("optimizer=spsa")
    assert code == 2 and f"{grid}: optimizer.cc is no setting of optimizer=spsa" in " ".join(shown.split())
    assert not Path("results").exists()


def test_patterns_match_methods_of_ones_own(command: Command) -> None:
    overrides = add_folder([*SMALL, "optimizer=glob([fault*,sps*])"], Path("own"))
    assert [method.optimizer for method in tune.find_methods(overrides, [Path("own"), CONFIGS])] == ["faulty", "spsa"]


def test_a_folder_of_ones_own_cannot_hide_settings_of_the_suite(command: Command) -> None:
    code, shown = command("study=equal_seconds", "task=acrobot", "optimizer=polystep")
    assert code == 2 and "leave out --config-dir to choose them anew" in " ".join(shown.split())


def test_trials_with_another_budget_than_those_of_other_methods_do_not_count(make_record: MakeRecord) -> None:  # noqa: F811
    method = tune.Method("equal_evaluations", "snn", "spsa", "", (), tune.Grid({}), [7], None, Path())
    plain = make_record()

    def inequality(budget: dict[str, float], **changes: Any) -> str:
        return tune._inequality(method, make_record(specification=plain.specification | {"budget": budget}, **changes))

    def spent(candidates: int) -> str:
        counters = plain.counters | {"candidate_evaluations": candidates}
        return inequality({"candidate_evaluations": 10_000}, counters=counters)

    assert spent(10_400) == "" and tune._inequality(method, plain) == ""
    assert "a trial of spsa on snn took 12,288 candidate_evaluations of 10,000, more than other methods" in spent(
        12_288
    )
    seconds = round(plain.step_seconds, 3)
    wall = plain.wall_seconds
    assert inequality({"seconds": seconds}, cpu_seconds=wall) == ""
    assert "seconds of" in inequality({"seconds": seconds / 1.1}, cpu_seconds=wall)
    assert "had a processor for" in inequality({"seconds": seconds}, cpu_seconds=0.8 * wall)


def test_a_method_whose_trials_do_not_count_stops_no_other(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def judged(method: Any, _: Any) -> str:
        return f"a trial of {method} took too much" if method.optimizer == "spsa" else ""

    monkeypatch.setattr(tune, "_inequality", judged)
    code, shown = command("optimizer=faulty,spsa")
    assert code == 1 and "9 of 9 trials of spsa on snn_digits failed, do not count, or" in " ".join(shown.split())
    assert [path.stem for path in Path("own/settings/equal_evaluations/snn_digits").iterdir()] == ["faulty"]


def test_two_names_of_one_run_are_refused(command: Command) -> None:
    for folder in ("optimizer", "grid/equal_evaluations/snn_digits"):
        shutil.copy(f"own/{folder}/faulty.yaml", f"own/{folder}/twin.yaml")
    code, shown = command("optimizer=faulty,twin")
    assert code == 2 and "is the same run as another trial; name one of the methods" in " ".join(shown.split())


@pytest.mark.parametrize(("values", "is_refused"), [("100", True), ("100,1000", True), ("100,500,1000", False)])
def test_settings_of_sizes_that_are_not_named_are_not_lost(tmp_path: Path, values: str, is_refused: bool) -> None:
    file = tmp_path / "spsa.yaml"
    file.write_text("optimizer:\n  c: ${by_size:${task.variables},{0:0.3,500:1.0,1000:0.027}}\n")
    variants = [f"task.variables={value}" for value in values.split(",")] if "," in values else [""]
    if is_refused:
        with pytest.raises(ConfigError, match=r"for 3 values of task\.variables.*=SMALLEST,500,1000"):
            refuse_loss(file, variants)
    else:
        refuse_loss(file, variants)
    refuse_loss(tmp_path / "none.yaml", variants)


def test_settings_that_diverge_are_trials_and_the_worst(make_record: MakeRecord) -> None:  # noqa: F811
    error = {"type": "NonFiniteLossError", "message": "", "traceback": ""}
    diverged = make_record(status="failed", scores={}, error=error)
    killed = make_record(status="failed", scores={}, error=error | {"type": "OSError"})
    later = make_record(ended_by="divergence", scores=make_record().scores | {"validation_selected": 1.0})
    assert not tune._diverged(killed) and not tune._diverged(make_record())
    other = tune._trial({"optimizer.c": 2.0}, [make_record()])
    for lost in (diverged, later):
        assert tune._diverged(lost)
        worst = tune._trial({"optimizer.c": 1.0}, [make_record(), lost])
        assert tune._best([worst, other]) is other


def test_a_trial_of_several_seeds_counts_by_their_mean_and_the_slowest(make_record: MakeRecord) -> None:  # noqa: F811
    def record(validation: float, step: int) -> RunRecord:
        scores = {"validation_selected": validation, "selected_step": step}
        return make_record(scores=scores, counters=make_record().counters | {"steps": 10})

    trial = tune._trial({"optimizer.c": 1.0}, [record(0.9, 2), record(0.5, 8)])
    assert trial.validation == pytest.approx(0.7) and trial.worth == pytest.approx((0.7, -0.8))


def test_trials_of_several_seeds_begin_at_that_of_the_study(command: Command) -> None:
    assert command("optimizer=faulty", "--seeds", "2")[0] == 0
    assert len(trials()) == 2 * 17 and {record.seed for record in trials()} == {7, 8}
    written = Path("own/settings/equal_evaluations/snn_digits/faulty.yaml").read_text()
    assert "optimizer=faulty" in written and " --seeds 2\n" in written
    assert "# The best of 17 trials, " in written and " on validation data, mean of 2 seeds" in written


def test_of_equally_good_trials_the_one_that_was_so_good_first_is_chosen() -> None:
    late, early, worse = (
        tune.Trial({"optimizer.c": c}, score, (score, -share))
        for c, score, share in [(1, 0.9, 0.8), (2, 0.9, 0.2), (3, 0.8, 0.1)]
    )
    assert tune._best([late, early, worse]) is early
