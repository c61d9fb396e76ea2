"""The record of one run, and its file run.json.

`record.schema.json` beside this file is the JSON Schema of the format; every field is explained in `RunRecord`.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from polystep.contracts import ExpectedError
from polystep.files import write_text
from polystep.records.identity import digest

FORMAT = 2
Status = Literal["finished", "failed", "interrupted"]
Clock = Literal[
    "preparation",
    "optimizer",
    "evaluation",
    "data",
    "compilation",
    "validation",
    "test",
    "logging",
    "checkpoint",
    "other",
]
CLOCKS: tuple[Clock, ...] = get_args(Clock)
STEP_CLOCKS: tuple[Clock, ...] = ("optimizer", "evaluation", "data")
"""What budgets in seconds limit: everything that a step needs."""
COUNTERS = (
    "steps",
    "candidate_evaluations",
    "sample_forwards",
    "backward_passes",
    "clause_checks",
    "environment_steps",
)
TOO_MUCH = 1.05
"""The share of its budget that a run may not pass where budgets are equal: the last step may end a little after it."""
_BUSY = 0.9
"""The least share of its time for which a run on a core of its own computes."""
Row = Mapping[str, float | int | None]


class RecordError(ExpectedError):
    """A record is damaged, incomplete or of another format; the message names the file and the fault."""


@dataclass(frozen=True)
class RunRecord:
    """One run, told so that a stranger can judge it.

    run_id, settings_id, cell_id: see `polystep.records.identity`. name: of the run's folder. specification: everything that
    decides the numbers, every parameter with its value (`polystep.bench.specification`). overrides: the arguments of
    `python -m scripts.run` that make this run again; None where they are unknown. altered: those of them that differ from
    what the study prescribes; a run with any is not the study's. names: chosen yaml files, by group. study: name, edition,
    protocol. task: name, title, family, size, variant, evaluation_cost. metric: name, direction, unit, best possible value
    and the value that counts as solved, where known. method: name, title, family, and uses, what the run asked of its
    objectives: losses, clauses, environment, gradient:KIND. data: fingerprint. scores: validation_selected (the best
    validation), selected_step (its step), test_selected and test_last (test scores there and at the end), test_curve (list of
    step and test), diagnostics. counters, clocks: COUNTERS, and seconds by CLOCKS. used_share: of the budget, at the
    end. ended_by: the budget; the method, which has nothing left to find; a divergence, where no loss or not all parameters
    are finite, so that the best point before it counts; None where the run did not finish.
    context: where and with which code. history: columns of equal length, a row per validation.
    checksum: SHA-256 of all else.
    """

    run_id: str
    settings_id: str
    cell_id: str
    name: str
    status: Status
    seed: int
    specification: dict[str, Any]
    overrides: list[str] | None
    altered: list[str]
    names: dict[str, str]
    study: dict[str, Any]
    task: dict[str, Any]
    metric: dict[str, Any]
    method: dict[str, Any]
    data: str
    scores: dict[str, Any]
    counters: dict[str, int]
    used_share: float
    ended_by: Literal["budget", "method", "divergence"] | None
    clocks: dict[str, float]
    wall_seconds: float
    cpu_seconds: float | None
    context: dict[str, Any]
    started: str
    ended: str
    error: dict[str, str] | None = None
    history: dict[str, list[Any]] = field(default_factory=dict)
    format: int = FORMAT

    @property
    def step_seconds(self) -> float:
        """What budgets in seconds limit."""
        return sum(self.clocks[clock] for clock in STEP_CLOCKS)

    @property
    def spent(self) -> dict[str, float]:
        """What it used, by the names of the limits of budgets."""
        return {**self.counters, "seconds": self.step_seconds}

    def content(self) -> dict[str, Any]:
        """The record as JSON values, with its checksum."""
        content = asdict(self)
        return content | {"checksum": _checksum(content)}

    @staticmethod
    def of_content(content: Any, place: str) -> "RunRecord":
        """The record that JSON values hold.

        Raises RecordError, naming `place` and the fault, for values of another format, against the schema or altered.
        """
        if not isinstance(content, dict):
            raise RecordError(f"{place} holds no record but a {type(content).__name__}")
        if "record_version" in content:
            raise RecordError(f"{place} is a record of the first format, which is no longer read; repeat the run")
        if fault := schema_fault(content):
            raise RecordError(f"{place} is no valid record: {fault}")
        if content["checksum"] != _checksum(content):
            raise RecordError(f"{place} was altered after it was written: its checksum does not match")
        return RunRecord(**{f.name: content[f.name] for f in fields(RunRecord)})


def shared_its_core(cpu_seconds: float | None, wall_seconds: float | None) -> bool:
    """Whether a run is known to have computed for so little of its time that, against the clock, it had fewer seconds than it
    says.
    """
    return cpu_seconds is not None and wall_seconds is not None and cpu_seconds < _BUSY * wall_seconds


def schema_fault(content: Mapping[str, Any]) -> str | None:
    """What is wrong with JSON values by the schema; None where they are a record."""
    from fastjsonschema import JsonSchemaValueException

    try:
        _validator()(content)
    except JsonSchemaValueException as error:
        return str(error.message).removeprefix("data.")
    lengths = {len(column) for column in content["history"].values()}
    return f"columns of its history have {sorted(lengths)} rows" if len(lengths) > 1 else None


def write_record(folder: Path, record: RunRecord) -> None:
    """Write run.json atomically."""
    write_text(folder / "run.json", json.dumps(record.content(), indent=1, allow_nan=False) + "\n")


def json_of(text: str | bytes) -> Any:
    """What a JSON text holds; ValueError also for numbers that are not finite, or larger than a float can be."""
    return json.loads(text, parse_constant=refuse_constant, parse_float=_finite, parse_int=_countable)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is too large")
    return value


def _countable(text: str) -> int:
    _finite(text)
    return int(text)


def read_record(folder: Path) -> RunRecord:
    """The record in `folder`; RecordError, naming the file, where it is damaged or of another format."""
    path = folder / "run.json"
    try:
        content = json_of(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RecordError(f"{path} cannot be read as JSON ({error})") from error
    return RunRecord.of_content(content, str(path))


def history_columns(rows: Sequence[Row]) -> dict[str, list[Any]]:
    """The rows that hold a validation, as columns; measurements to seven digits, columns without any value left out."""
    kept = [row for row in rows if row.get("validation") is not None]
    names = dict.fromkeys(name for row in kept for name in row)
    columns = {name: [_short(row.get(name)) for row in kept] for name in names}
    return {name: column for name, column in columns.items() if any(value is not None for value in column)}


def _short(value: float | int | None) -> float | int | str | None:
    if value is None or isinstance(value, int):
        return value
    if not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return float(f"{value:.7g}")


def _checksum(content: Mapping[str, Any]) -> str:
    return digest({key: value for key, value in content.items() if key != "checksum"})


@cache
def _validator() -> Callable[[Any], Any]:
    import fastjsonschema

    schema = json.loads(Path(__file__).with_name("record.schema.json").read_text(encoding="utf-8"))
    validate: Callable[[Any], Any] = fastjsonschema.compile(schema)
    return validate


def refuse_constant(constant: str) -> None:
    """What a JSON parser calls for NaN and Infinity."""
    raise ValueError(f"{constant} is not JSON")
