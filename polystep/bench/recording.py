"""The record of a run: what it is, what came of it, and where it was computed."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from polystep.bench.ledger import Ledger
from polystep.bench.schema import locate
from polystep.bench.state import RunState
from polystep.component import component_of
from polystep.contracts import Task
from polystep.files import json_value
from polystep.records import COUNTERS, RunRecord, cell_id, history_columns, settings_id
from polystep.records.record import Status


def run_name(config: Mapping[str, Any], run_id: str) -> str:
    """task-optimizer-study-seed-identity: readable, and different for different runs."""
    names = config["names"]
    return "-".join([names["task"], names["optimizer"], names["study"], f"seed{config['seed']}", run_id])


def make_record(
    config: Mapping[str, Any],
    specification: dict[str, Any],
    run_id: str,
    data: str,
    task: Task,
    state: RunState,
    ledger: Ledger,
    *,
    status: Status,
    scores: Mapping[str, Any],
    error: dict[str, str] | None,
    used_share: float,
    context: Mapping[str, Any],
    ended: str,
) -> RunRecord:
    """The record. `config`: resolved settings; `scores`: empty where the run did not get so far."""
    summary = ledger.summary()
    method = component_of(locate(config["optimizer"]["_target_"], "optimizer"))
    names, study = config["names"], config["study"]
    return RunRecord(
        run_id=run_id,
        settings_id=settings_id(specification),
        cell_id=cell_id(specification),
        name=run_name(config, run_id),
        status=status,
        seed=config["seed"],
        specification=specification,
        overrides=config.get("overrides"),
        altered=list(config.get("altered", ())),
        names={group: names[group] for group in ("task", "optimizer", "study")},
        study={name: study[name] for name in ("name", "edition", "protocol")},
        task=asdict(task.info),
        metric=asdict(task.metric),
        method={"name": method.name, "title": method.title, "family": method.family, "uses": summary["uses"]},
        data=data,
        scores=json_value(dict(scores)),
        counters={name: state.step if name == "steps" else summary["spent"][name] for name in COUNTERS},
        used_share=used_share,
        ended_by=None if status != "finished" else "method" if state.finished else "budget",
        clocks=summary["clocks"],
        wall_seconds=summary["wall_seconds"],
        cpu_seconds=summary["cpu_seconds"],
        context={**context, "peak_memory_bytes": summary["peak_memory_bytes"]},
        started=state.started,
        ended=ended,
        error=error,
        history=history_columns(state.history),
    )
