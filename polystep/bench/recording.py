"""The record of a run: what it is, what came of it, and where it was computed."""

import datetime
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from polystep.bench.context import machine_load
from polystep.bench.schema import locate
from polystep.bench.state import Prepared
from polystep.component import component_of
from polystep.files import json_value
from polystep.records import COUNTERS, RunRecord, cell_id, history_columns
from polystep.records.record import Status


def make_record(
    run: Prepared, status: Status, scores: Mapping[str, Any], error: dict[str, str] | None, used_share: float
) -> RunRecord:
    """The record of a run that ends now; `scores`: empty where the run did not get so far."""
    config, state, summary = run.config, run.state, run.ledger.summary()
    method = component_of(locate(config["optimizer"]["_target_"], "optimizer"))
    names, study = config["names"], config["study"]
    return RunRecord(
        run_id=run.run_id,
        settings_id=run.settings_id,
        cell_id=cell_id(run.specification),
        name=run.name,
        status=status,
        seed=config["seed"],
        specification=run.specification,
        overrides=config.get("overrides"),
        altered=list(config.get("altered", ())),
        names={group: names[group] for group in ("task", "optimizer", "study")},
        study={name: study[name] for name in ("name", "edition", "protocol")},
        task=asdict(run.task.info),
        metric=asdict(run.task.metric),
        method={"name": method.name, "title": method.title, "family": method.family, "uses": summary["uses"]},
        data=run.data,
        scores=json_value(dict(scores)),
        counters={name: state.step if name == "steps" else summary["spent"][name] for name in COUNTERS},
        used_share=used_share,
        ended_by=None if status != "finished" else state.ended_by or "budget",
        clocks=summary["clocks"],
        wall_seconds=summary["wall_seconds"],
        cpu_seconds=summary["cpu_seconds"],
        context={**run.context, "load_after": machine_load(), "peak_memory_bytes": summary["peak_memory_bytes"]},
        started=state.started,
        ended=now(),
        error=error,
        history=history_columns(state.history),
    )


def now() -> str:
    """The time, as records have it."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
