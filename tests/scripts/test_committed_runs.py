"""Short committed runs, one of every family of tasks, give the same numbers when they are made again."""

from itertools import groupby
from pathlib import Path

import pytest
import torch

from polystep.records import RunRecord, read_places
from polystep.report import load_runs
from polystep.report.repeats import repetitions
from polystep.report.tables.best_known import best_known
from scripts.console import COMMITTED, ROOT, prepare
from tasks.data import DataUnavailable

PACKAGES = ("torch", "numpy", "numba")
"""Those whose versions change the last digits."""
TOLERANCE = 0.05
"""Relative, of the last test score, where the last digits differ and no other seeds say how much that changes."""


def shortest() -> dict[str, RunRecord]:
    """Of each family, the run that took least, of those that say how to make them again and end after a number of steps."""
    records = [item for _, item in read_places(COMMITTED) if isinstance(item, RunRecord)]
    known = [record for record in records if record.overrides and not record.specification["budget"].get("seconds")]
    known.sort(key=lambda record: (record.task["family"], record.wall_seconds))
    return {family: next(members) for family, members in groupby(known, key=lambda record: record.task["family"])}


COMMITTED_RUNS = shortest()


def test_every_family_has_a_run_to_repeat() -> None:
    families = {record.task["family"] for _, record in read_places(COMMITTED) if isinstance(record, RunRecord)}
    assert COMMITTED_RUNS.keys() == families


@pytest.mark.slow
@pytest.mark.parametrize("family", COMMITTED_RUNS)
def test_a_committed_run_gives_the_same_numbers_again(family: str, tmp_path: Path) -> None:
    """Bit for bit on the same kind of processor with the same packages, else nearly."""
    committed = COMMITTED_RUNS[family]
    threads = torch.get_num_threads()
    try:
        run = prepare([*(committed.overrides or ()), f"records={tmp_path}", f"data_dir={ROOT / 'data'}"])
        own = run.execute().record
    except DataUnavailable as error:
        pytest.skip(str(error))
    finally:
        torch.set_num_threads(threads)
    [row] = repetitions(load_runs(tmp_path), load_runs(COMMITTED))
    kinds = [
        (c["processor"], *(c["packages"].get(name) for name in PACKAGES)) for c in (own.context, committed.context)
    ]
    if kinds[0] == kinds[1]:
        assert row["verdict"] == "bit for bit", row
    elif row["verdict"] == "unknown":
        assert row["own"] == pytest.approx(row["committed"], rel=TOLERANCE)
    else:
        assert row["verdict"] != "differs", row


def test_best_known_costs_are_those_of_committed_runs() -> None:
    """Each is what the run named as its source left, and no committed run left less."""
    runs = load_runs(COMMITTED)
    for task, (broken, source) in best_known().items():
        found = runs[(runs["status"] == "finished") & (runs["task"] == task)]
        clauses = [cost["clause_checks"] for cost in found["evaluation_cost"]]
        left = ((1 - found["test_selected"]) * clauses).round()
        assert left.min() == broken
        assert list(left[found["name"] == source.partition(" ")[0]]) == [broken]


def test_the_ladder_of_theory_mode_is_that_of_the_committed_runs() -> None:
    runs = load_runs(COMMITTED / "theory_mode.jsonl.xz")
    ladder = {altered: group["test_selected"] for altered, group in runs.groupby(runs["altered"].map(frozenset))}
    steps = "~optimizer.step_radius=null"
    shown = [
        (),
        ("optimizer.probe_jitter=0", "optimizer.step_jitter=0"),
        ("optimizer.polytope=simplex",),
        ("optimizer.biased_rotation=nearest_vertex",),
        (steps, "optimizer.step_radius=94.9"),
        ("optimizer/update=momentum",),
        (steps, "optimizer.step_radius=3000"),
    ]
    scores = [ladder.pop(frozenset(altered)) for altered in shown]
    assert not ladder and all(len(found) == 3 for found in scores)
    expected = [f"{100 * found.mean():.2f} ± {100 * found.std():.2f} %" for found in scores]
    _, table = (ROOT / "results" / "EDITIONS.md").read_text(encoding="utf-8").split("| Theory mode on MAX-SAT")
    rows = [line.split(" | ")[1].removesuffix(" |") for line in table.splitlines()[2:9]]
    assert rows == expected
