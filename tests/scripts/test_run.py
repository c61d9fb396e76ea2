"""The command that trains: exit statuses and messages, and runs that are killed, interrupted, starved of disk or given NaN.

Every command runs in a folder of its own; all that compute, in a process of their own.
"""

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from polystep.bench.checkpoint import load_checkpoint
from polystep.records import STEP_CLOCKS, RunRecord, read_record
from scripts.run import main
from tests.processes import started_forkserver

STEPS = 6
TASK = ["task=snn_digits", "task.batch_size=32", "task.network.hidden=8", "task.evaluation=incremental"]
OPTIMIZER = [
    "optimizer.subspace.rank=8",
    "evaluation.test_every=2",
    "evaluation.test_until=4",
    "evaluation.validate_every=2",
]
SMALL = [*TASK, *OPTIMIZER, f"budget.steps={STEPS}", "threads=1", "checkpoint_seconds=0"]

COMMAND = """
import itertools, os, pkgutil, signal, sys, time
import scripts.console, scripts.run

def replace(place, expression):
    owner, name = pkgutil.resolve_name(place.rpartition(".")[0]), place.rpartition(".")[2]
    calls, names = itertools.count(1), {"original": getattr(owner, name), "os": os, "signal": signal, "time": time}
    def replacement(*a, **k):
        return eval(expression, names | {"call": next(calls), "a": a, "k": k})
    setattr(owner, name, replacement)

# a job that a shell started in the background ignores it, and so do its children
signal.signal(signal.SIGINT, signal.default_int_handler)
os.chdir(folder)
sys.stdout = sys.stderr = open("output", "w", buffering=1)
sys.argv = ["run", *arguments]
for place, expression in replacements.items():
    replace(place, expression)
sys.exit(scripts.console.guarded(scripts.run.main))
"""
STEP = "polystep.algorithm.PolyStep.tell"
LOSSES = "polystep.evaluation.incremental.IncrementalEvaluator.losses"


class Finished(NamedTuple):
    """A command that is over; negative statuses are signals."""

    status: int
    output: str


class Command:
    """`python -m scripts.run` in a folder, with some functions replaced.

    `replacements`: by dotted path, an expression that is evaluated instead of a call; it knows `original`, the arguments `a`
    and `k`, and `call`, the number of the call.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._context = started_forkserver()

    def start(self, *arguments: str, **replacements: str) -> Any:
        """The process, started."""
        names = {"folder": str(self.folder), "arguments": arguments, "replacements": replacements}
        process = self._context.Process(target=exec, args=(COMMAND, names), daemon=True)
        process.start()
        return process

    def __call__(self, *arguments: str, **replacements: str) -> Finished:
        process = self.start(*arguments, **replacements)
        process.join()
        return Finished(process.exitcode, (self.folder / "output").read_text())

    @property
    def folders(self) -> list[Path]:
        """Those of the records that exist."""
        return [path.parent for path in sorted((self.folder / "results/reproduction/records").glob("*/run.json"))]

    @property
    def records(self) -> list[RunRecord]:
        """Those that exist."""
        return [read_record(folder) for folder in self.folders]


@pytest.fixture
def command(tmp_path: Path) -> Command:
    return Command(tmp_path)


def result(folder: Path) -> Any:
    """Everything that must not depend on how often a run was killed: all but seconds and memory."""
    record = read_record(folder)
    history = {name: column for name, column in record.history.items() if name != "seconds"}
    state = load_checkpoint(folder / "checkpoint.safetensors")
    run = state["run"]
    points = [run["selected"]["point"], state["optimizer"]["point"], *run["test_checkpoints"].values()]
    return record.status, record.scores, record.counters, history, run["step"], [point.tolist() for point in points]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Any:
    command = Command(tmp_path_factory.mktemp("uninterrupted"))
    assert command(*SMALL).status == 0
    return result(command.folders[0])


def test_a_run_is_finished_shown_and_then_skipped(command: Command) -> None:
    first = command(*SMALL)
    assert first.status == 0 and "run snn_digits-polystep-default-seed42-" in first.output
    assert f"100% step {STEPS}" in first.output and "record: results/reproduction/records/" in first.output
    again = command(*SMALL, "threads=2", "checkpoint_seconds=9", "device=cpu")
    assert again.status == 0 and again.output.startswith("already done: test 0.") and again.output.count("\n") <= 2
    (record,) = command.records
    assert record.context["threads"] == 1
    assert sorted(path.name for path in command.folder.iterdir()) == ["output", "results"]


KILL = "os.kill(os.getpid(), signal.SIGKILL) if call == {} else original(*a, **k)"
KILLED = {
    "before the first step": (STEP, KILL.format(1)),
    "in a step": (STEP, KILL.format(4)),
    "in a validation": ("tasks.classification.ClassificationTask.validate", KILL.format(3)),
    "with half a checkpoint": (
        "os.fsync",
        "(os.truncate(a[0], 99), os.kill(os.getpid(), signal.SIGKILL)) if call == 5 else original(*a)",
    ),
    "before the first checkpoint is flushed": ("os.fsync", KILL.format(1)),
    "before a checkpoint is in place": ("os.replace", KILL.format(4)),
    "in the test": ("tasks.classification.ClassificationTask.test", KILL.format(2)),
    "before the record is flushed": ("os.fsync", KILL.format(2 * STEPS + 1)),
    "before the record is in place": ("os.replace", KILL.format(STEPS + 1)),
}


@pytest.mark.parametrize("moment", KILLED)
def test_a_killed_run_resumes_bit_for_bit(command: Command, uninterrupted: Any, moment: str) -> None:
    place, expression = KILLED[moment]
    assert command(*SMALL, **{place: expression}).status == -signal.SIGKILL
    assert command.records == []
    resumed = command(*SMALL)
    assert resumed.status == 0 and ("resuming" in resumed.output) == ("first" not in moment)
    assert result(command.folders[0]) == uninterrupted


def test_an_interrupted_run_says_so_and_resumes_bit_for_bit(command: Command, uninterrupted: Any) -> None:
    cut = command(
        *SMALL, **{STEP: "(os.kill(os.getpid(), signal.SIGINT), time.sleep(9)) if call == 4 else original(*a)"}
    )
    assert cut.status == 130 and "interrupted; repeat the command to continue" in cut.output
    assert "Traceback" not in cut.output
    assert [record.status for record in command.records] == ["interrupted"]
    assert command(*SMALL).status == 0
    assert result(command.folders[0]) == uninterrupted


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
def test_a_young_run_that_is_told_to_stop_again_and_again_loses_nothing(
    command: Command, uninterrupted: Any, number: str
) -> None:
    again = f"[os.kill(os.getpid(), signal.{number}) for _ in range(3)]"
    cut = command(
        *SMALL,
        "checkpoint_seconds=1000",
        **{
            STEP: f"({again}, original(*a))[1] if call == 4 else original(*a)",
            "os.replace": f"({again}, original(*a))",
        },
    )
    assert cut.status == 130 and "interrupted; repeat the command to continue" in cut.output
    assert "Traceback" not in cut.output
    resumed = command(*SMALL)
    assert f"resuming at {4 / STEPS:.0%}" in resumed.output
    assert result(command.folders[0]) == uninterrupted


ANNOUNCE = """
import sys

class Announce:
    def find_spec(name, path=None, target=None):
        if name == {moment!r}:
            print("reached", flush=True)

sys.meta_path.insert(0, Announce)
"""
LOADING = ["omegaconf", "torch", "scripts.console"]
"""Modules that are loaded first, then with torch, and after it: nothing heeds SIGTERM yet, which ends the process."""
PREPARING = ["tasks.classification", "sklearn.datasets"]
"""Modules that are loaded while the run is prepared."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("moment", "number"),
    [
        *((moment, signal.SIGINT) for moment in LOADING),
        *itertools.product([*PREPARING, "in its steps"], [signal.SIGINT, signal.SIGTERM]),
    ],
)
def test_two_signals_at_any_moment_leave_no_traceback(tmp_path: Path, moment: str, number: signal.Signals) -> None:
    (tmp_path / "sitecustomize.py").write_text(ANNOUNCE.format(moment=moment))
    process = subprocess.Popen(
        [sys.executable, "-m", "scripts.run", *SMALL, "budget.steps=100000", f"records={tmp_path}"],
        cwd=Path(__file__).resolve().parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        text=True,
    )
    assert process.stdout is not None
    if moment in LOADING + PREPARING:
        assert "reached\n" in iter(process.stdout.readline, "")
    else:
        wait_until(lambda: bool(list(tmp_path.glob("*/checkpoint.safetensors"))))
    process.send_signal(number)
    time.sleep(0.02)
    process.send_signal(number)
    shown, _ = process.communicate(timeout=60)
    assert process.returncode in (130, -number) and "Traceback" not in shown and "Exception" not in shown, shown
    for record in map(read_record, (path.parent for path in tmp_path.glob("*/run.json"))):
        assert record.status == "interrupted"


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_second_process_on_the_same_run_leaves(command: Command, tmp_path: Path) -> None:
    reached = tmp_path / "reached"
    holder = command.start(*SMALL, **{STEP: f"(open({str(reached)!r}, 'w'), time.sleep(99))"})
    try:
        wait_until(reached.exists)
        second = command(*SMALL)
        assert second.status == 3
        assert second.output.startswith("busy: ") and f"is being computed by process {holder.pid} on " in second.output
        assert command(*SMALL, "seed=1").status == 0
    finally:
        os.kill(holder.pid, signal.SIGKILL)
        holder.join()
    assert command(*SMALL).status == 0


REFUSED = [
    ("task=emnist", "choose one of"),
    ("optimizer/subspace=rows", "choose one of dense, full, global, hybrid, row"),
    ("study=first", "study=first does not know task=snn_digits; it has settings for acrobot, "),
    ("task.batchsize=3", "did you mean batch_size?"),
    ("task.dataset=mnits", "choose one of: mnist, fashion_mnist, digits"),
    ("+task.new=1", "valid settings there: "),
    ("budget.steps=0", "budget.steps must be a positive number, got 0"),
    ("seed=-1", "seed=-1 is not valid; expected a whole number, at least 0"),
    ("seed=one", "seed='one' is not valid; expected a whole number, at least 0"),
    ("optimizer.polytope=[ball", "'[ball'"),
    (
        "records=mïne",
        "records=mïne cannot be read: it has a character that has no place there; if that is one value, quote it",
    ),
    ("spsa", "spsa is not of the form setting=value; did you mean optimizer=spsa?"),
    ("seed=1,2", "seed=1,2 asks for several runs, which python -m scripts.sweep makes"),
    ("~task", "task"),
    ("~threads", "the configuration lacks threads"),
    ("threads=${nothing}", "nothing"),
    ("task.device=cuda", "task.device='cuda' is not where the run is computed, device='cpu'"),
]


@pytest.mark.parametrize(("argument", "message"), REFUSED)
def test_wrong_arguments_give_status_2_and_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    argument: str,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*SMALL, argument]) == 2
    shown, errors = capfd.readouterr()
    assert shown.startswith("error: ") and shown.count("\n") == 1 and message in shown and not errors
    assert not list(tmp_path.iterdir())


REFUSED_IN_A_PROCESS = [
    ("optimizer=polystp", "optimizer=polystp does not exist (did you mean polystep?); choose one of"),
    ("optimizer.particle_dimension=16", "particle_dimension must lie in 1..8, the rank of each row, got 16"),
    ("records=/proc/none", "cannot write /proc/none/"),
    ("records=output/inside", "cannot write output/inside/"),
]


@pytest.mark.parametrize(("argument", "message"), REFUSED_IN_A_PROCESS)
def test_a_command_that_is_refused_ends_with_status_2_and_one_line(
    command: Command, argument: str, message: str
) -> None:
    refused = command(*SMALL, argument)
    assert refused.status == 2
    assert refused.output.startswith("error: ") and refused.output.count("\n") == 1 and message in refused.output
    assert command.records == []


def test_a_budget_without_limit_gives_status_2(command: Command) -> None:
    refused = command(*SMALL, "optimizer/update=plain", "budget.steps=null")
    assert refused.status == 2 and "set one of steps, candidate_evaluations, sample_forwards, " in refused.output


def test_data_that_cannot_be_had_gives_status_2(command: Command) -> None:
    unavailable = "original('mnits', a[1])"
    refused = command(*SMALL, **{"tasks.classification.load_dataset": unavailable})
    assert refused.status == 2
    assert refused.output.startswith("error: Data set 'mnits' is unknown (did you mean mnist?); choose")


def test_a_gradient_that_the_task_lacks_is_refused_before_training_without_a_record(command: Command) -> None:
    refused = command(*TASK, "optimizer=adam", "budget.steps=4", "threads=1")
    assert refused.status == 2 and refused.output.splitlines()[-1] == (
        "error: the task offers no exact gradient; use optimizer=adam_surrogate or optimizer=adam_smooth or a gradient-free "
        "optimiser such as optimizer=polystep"
    )
    assert command.records == [] and "Traceback" not in refused.output


NO_SPACE = "(_ for _ in ()).throw(OSError(28, 'No space left on device'))"


@pytest.mark.parametrize(("place", "call"), [("os.fsync", 1), ("os.fsync", 7), ("os.replace", 4)])
def test_a_full_disk_gives_status_2_and_loses_nothing(
    command: Command, uninterrupted: Any, place: str, call: int
) -> None:
    full = command(*SMALL, **{place: f"{NO_SPACE} if call >= {call} else original(*a, **k)"})
    assert full.status == 2 and "Traceback" not in full.output
    assert full.output.splitlines()[-1].startswith(
        "error: cannot write results/reproduction/records/snn_digits-polystep-default-seed42-"
    )
    assert "checkpoint.safetensors: No space left on device; free space there" in full.output
    (folder,) = (command.folder / "results/reproduction/records").iterdir()
    kept = {".lock"} if call == 1 else {".lock", "checkpoint.safetensors"}
    assert {path.name for path in folder.iterdir()} == kept
    assert command(*SMALL).status == 0
    assert result(folder) == uninterrupted


@pytest.mark.parametrize("name", ["checkpoint.safetensors", "run.json"])
def test_a_damaged_file_gives_status_2_and_is_named(command: Command, name: str) -> None:
    command(*SMALL, **{STEP: "(os.kill(os.getpid(), signal.SIGINT), original(*a))[1] if call == 3 else original(*a)"})
    (path,) = command.folder.glob(f"results/reproduction/records/*/{name}")
    path.write_bytes(path.read_bytes()[:-3])
    refused = command(*SMALL)
    assert refused.status == 2 and refused.output.count("\n") == 1
    assert f"{path.relative_to(command.folder)} " in refused.output and "delete it" in refused.output


SOME_NAN = (
    '[x.__setitem__(slice(0, 3), float(f\'{["nan", "inf", "-inf"][call % 3]}\')) or x for x in [original(*a)]][0]'
)


def test_some_losses_without_number_are_counted_and_survived(command: Command) -> None:
    assert command(*SMALL, **{LOSSES: SOME_NAN}).status == 0
    history = command.records[0].history
    assert history["non_finite"] == [None, 3, 3, 3]
    assert all(loss < 100 for loss in history["loss"][1:])


def test_a_run_that_diverges_counts_by_its_best_point_before(command: Command) -> None:
    lost = command(*SMALL, **{LOSSES: "original(*a) * (float('nan') if call == 3 else 1)"})
    assert lost.status == 0 and "diverged after step 2: the best point before counts" in lost.output
    (record,) = command.records
    assert (record.status, record.ended_by, record.counters["steps"]) == ("finished", "divergence", 2)
    assert record.scores["validation_selected"] == max(record.history["validation"])
    assert "already done" in command(*SMALL).output


def test_only_losses_without_number_from_the_first_step_on_fail_the_run(command: Command, uninterrupted: Any) -> None:
    failed = command(*SMALL, **{LOSSES: "original(*a) * float('nan')"})
    assert failed.status == 1 and "Traceback" not in failed.output
    assert re.search(r"failed: NonFiniteLossError in .*ask_tell\.py, line \d+: all ", failed.output)
    assert "repeat the command to try again" in failed.output
    (record,) = command.records
    assert record.status == "failed" and record.error["traceback"].startswith("Traceback")
    assert command(*SMALL).status == 0
    assert result(command.folders[0]) == uninterrupted


def test_scores_without_number_leave_a_valid_record(command: Command) -> None:
    for judge in ("validate", "test"):
        replaced = {f"tasks.classification.ClassificationTask.{judge}": "float('nan')"}
        assert command(*SMALL, f"seed={len(judge)}", **replaced).status == 0
    for folder, record in zip(command.folders, command.records, strict=True):
        nothing = "test_last" if record.seed == len("test") else "validation_selected"
        text = (folder / "run.json").read_text()
        assert json.loads(text, parse_constant=pytest.fail)["scores"][nothing] is None
    assert "test not a finite number" in command(*SMALL, f"seed={len('test')}").output


def test_a_message_that_looks_like_markup_is_shown_as_it_is(command: Command) -> None:
    message = "loss [/red] of [bold]x[/bold]"
    failed = command(*SMALL, **{STEP: f"(_ for _ in ()).throw(RuntimeError({message!r}))"})
    assert failed.status == 1 and "failed: RuntimeError in " in failed.output and f": {message}\n" in failed.output


LIMITS = {"candidate_evaluations": 1000, "sample_forwards": 20_000, "seconds": 1e-6}


@pytest.mark.parametrize("currency", LIMITS)
def test_each_currency_ends_a_run(command: Command, currency: str) -> None:
    limit = LIMITS[currency]
    limits = ["optimizer/update=plain", "budget.steps=null", f"budget.{currency}={limit}"]
    assert command(*SMALL, *limits).status == 0
    (record,) = command.records
    spent = {**record.counters, "seconds": sum(record.clocks[clock] for clock in STEP_CLOCKS)}
    steps = record.counters["steps"]
    assert spent[currency] >= limit > spent[currency] * (steps - 1) / steps
