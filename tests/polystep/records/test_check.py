import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from polystep.records import COUNTERS, RunRecord, cell_id, run_id, settings_id
from polystep.records.check import duplicates, faults
from tests.polystep.conftest import CONTEXT, SPECIFICATION, MakeRecord

MINIMIZE = {"metric": {"name": "loss", "direction": "minimize", "unit": "", "best": 0.0, "solved": None}}

SCORES = {
    "validation_selected": 0.99,
    "selected_step": 50,
    "test_selected": 0.99,
    "test_last": 0.98,
    "test_curve": [],
    "diagnostics": {},
}
COUNTED = dict.fromkeys(COUNTERS, 0)
HISTORY = {"step": [0, 50, 100], "validation": [0.9, 0.99, 0.98]}


def with_budget(budget: dict[str, Any]) -> dict[str, Any]:
    """The specification of a record with another budget, and what it is known by."""
    specification = SPECIFICATION | {"budget": budget, "seed": 42}
    ids = {"settings_id": settings_id(specification), "cell_id": cell_id(specification)}
    return {"specification": specification, **ids, "run_id": run_id(specification, "data", CONTEXT)}


def test_a_sound_record_has_no_fault(make_record: MakeRecord) -> None:
    assert list(faults(make_record())) == []
    falling = {"step": [0, 50, 100], "validation": [1.5, 0.99, 1.2]}
    assert list(faults(make_record(**MINIMIZE, history=falling))) == []


CASES: dict[str, tuple[dict[str, Any], str]] = {
    "settings": ({"settings_id": "0" * 16}, "settings_id is 0000000000000000"),
    "cell": ({"cell_id": "0" * 16}, "cell_id is 0000000000000000"),
    "run": ({"run_id": "0" * 16}, "run_id is 0000000000000000"),
    "seed": ({"seed": 7}, "seed is 7, in its specification 42"),
    "protocol": ({"study": {"name": "x", "edition": None, "protocol": "tuning"}}, "protocol is tuning"),
    "edition": ({"study": {"name": "x", "edition": "first", "protocol": "default"}}, "edition is first"),
    "clocks": ({"wall_seconds": 2.0}, "clocks sum to 3.500 s, its wall time is 2.000 s"),
    "order": ({"ended": "2025-01-01T10:00:00+00:00"}, "before it started"),
    "no scores": ({"scores": {}}, "finished and has no scores"),
    "no history": ({"history": {}}, "holds no validation"),
    "a falling clock": (
        {"history": {"step": [0, 50, 100], "validation": [0.9, 0.99, 0.98], "seconds": [0.0, 3.0, 2.5]}},
        "seconds of its history falls from 3.0 to 2.5",
    ),
    "falling steps": (
        {"history": {"step": [0, 100, 50], "validation": [0.9, 0.98, 0.99]}},
        "step of its history falls from 100 to 50",
    ),
    "a falling counter": (
        {
            "counters": COUNTED | {"steps": 100, "sample_forwards": 9},
            "history": HISTORY | {"sample_forwards": [0, 9, 8]},
        },
        "sample_forwards of its history falls from 9 to 8",
    ),
    "the largest where less is better": (
        MINIMIZE,
        "validation_selected is 0.99, the best validation of its history is 0.9",
    ),
    "another best": (
        {"history": {"step": [0, 50, 100], "validation": [0.9, 0.95, 0.98]}},
        "validation_selected is 0.99, the best validation of its history is 0.98",
    ),
    "another step": (
        {"history": {"step": [0, 51, 100], "validation": [0.9, 0.99, 0.98]}},
        "selected_step 50 is no step",
    ),
    "the best at another step": (
        {"history": {"step": [0, 50, 100], "validation": [0.99, 0.9, 0.98]}},
        "validation_selected is 0.99, at its selected_step 50 its history has 0.9",
    ),
    "a time that is none": (
        {"history": {"step": [0, 50, 100], "validation": [0.9, 0.99, 0.98], "seconds": [0.0, "inf", 3.0]}},
        "seconds of its history holds 'inf'",
    ),
    "no step": ({"history": {"validation": [0.9, 0.99]}}, "does not tell the step of every validation"),
    "an unknown step": (
        {"history": {"step": [0, 50, None], "validation": [0.9, 0.99, 0.98]}},
        "does not tell the step of every validation",
    ),
    "two scores of the last step": (
        {"history": {"step": [0, 50, 100], "validation": [0.9, 0.98, 0.99]}, "scores": SCORES | {"selected_step": 100}},
        "its last step was selected, but test_selected is 0.99, test_last 0.98",
    ),
    "fewer steps than it used": (
        {"counters": COUNTED | {"steps": 100}, "used_share": 0.5},
        "used_share is 0.5, its counters and clocks give 1.0000",
    ),
    "steps beyond the budget": (
        {"counters": COUNTED | {"steps": 101}, "used_share": 1.01},
        "it went on after its budget, of which",
    ),
    "far beyond the budget": (
        {**with_budget({"candidate_evaluations": 100}), "used_share": 16.0},
        "it went on after its budget, of which it used 16.00",
    ),
    "a share beyond the budget": ({"used_share": 40.0}, "used_share is 40.0, its counters and clocks give 1.0000"),
    "no budget": (
        with_budget({"steps": "x"}),
        "its budget {'steps': 'x'} does not consist of numbers above 0",
    ),
    "no times": ({"started": "2026-13-99T99:99:99+00:00"}, "started 2026-13-99T99:99:99+00:00 and ended "),
    "less time than its clocks": ({"ended": "2026-01-01T10:00:01+00:00"}, "it took 3.5 s, from 2026-01-01T10:00:00"),
    "more on the way than at the end": (
        {"counters": COUNTED | {"steps": 100}, "history": HISTORY | {"candidate_evaluations": [0, 5, 9]}},
        "candidate_evaluations of its history ends at 9, its counters and clocks at 0",
    ),
    "seconds on the way": ({"history": HISTORY | {"seconds": [0.0, 3.0, 99.0]}}, "seconds of its history ends at 99.0"),
    "a curve of its own": (
        {"scores": SCORES | {"test_curve": [{"step": 50, "test": 0.1}]}},
        "its test curve has 0.1 at step 50, test_selected is 0.99",
    ),
    "the end of the curve": (
        {"scores": SCORES | {"test_curve": [{"step": 100, "test": 0.1}]}},
        "its test curve has 0.1 at step 100, test_last is 0.98",
    ),
    "better than possible": (
        {"scores": SCORES | {"test_last": 7.5}},
        "test_last is 7.5, which is better than the best possible 1.0",
    ),
    "finished with an error": (
        {"error": {"type": "a", "message": "b", "traceback": "c"}},
        "it is finished, and has an error",
    ),
    "finished by nothing": ({"ended_by": None}, "it is finished, and ended by None"),
    "interrupted with scores": ({"status": "interrupted", "ended_by": None}, "it is interrupted and has scores"),
    "failed without an error": ({"status": "failed", "ended_by": None, "scores": {}}, "it is failed, and has no error"),
    "another method": (
        {"method": {"name": "openai_es", "title": "OpenAI-ES", "family": "", "uses": ["losses"]}},
        "its method is openai_es, in its specification polystep",
    ),
    "steps that are left": (
        {"counters": COUNTED | {"steps": 60}, "used_share": 0.6, "history": {"step": [50], "validation": [0.99]}},
        "it ended by its budget, of which it used 0.6000",
    ),
    "too long": ({"history": {"step": [0, 50, 101], "validation": [0.9, 0.99, 0.98]}}, "ends at step 101"),
}


@pytest.mark.parametrize(("changes", "fault"), CASES.values(), ids=CASES)
def test_each_contradiction_is_named_alone(make_record: MakeRecord, changes: dict[str, Any], fault: str) -> None:
    [sentence] = faults(replace(make_record(), **changes))
    assert fault in sentence


@pytest.mark.parametrize(
    ("context", "fault"),
    [
        ({"commit": None}, "commit of its code is not known"),
        ({"modified": None}, "not known whether its code was modified"),
        ({"modified": ["polystep/a.py"]}, "modified files when it ran: polystep/a.py"),
        ({"untracked": ["tasks/b.py"]}, "untracked files when it ran: tasks/b.py"),
        (
            {"untracked": ["configs/settings/equal_seconds/int8/spsa.yaml", "configs/settings/default/int8/spsa.yaml"]},
            "untracked files when it ran: configs/settings/default/int8/spsa.yaml",
        ),
    ],
)
def test_code_that_nobody_can_look_up_is_named(make_record: MakeRecord, context: dict[str, Any], fault: str) -> None:
    [sentence] = faults(make_record(context=CONTEXT | context))
    assert fault in sentence


def test_another_machine_is_another_run_where_seconds_count(make_record: MakeRecord) -> None:
    record = make_record(specification=SPECIFICATION | {"budget": {"seconds": 3}})
    assert list(faults(record)) == []
    [sentence] = faults(replace(record, context=CONTEXT | {"threads": 16}))
    assert "run_id" in sentence


def test_a_commit_of_another_history_is_named(make_record: MakeRecord, tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=n", "-c", "user.email=e"]
        command = ["git", "-C", str(tmp_path), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "first")
    known = make_record(context=CONTEXT | {"commit": git("rev-parse", "HEAD")})
    assert list(faults(known, tmp_path)) == []
    [sentence] = faults(make_record(), tmp_path)
    assert "not in the history" in sentence


def test_a_study_is_that_of_the_repository(make_record: MakeRecord, tmp_path: Path) -> None:
    study = tmp_path / "configs" / "study" / "default.yaml"
    study.parent.mkdir(parents=True)
    study.write_text("# @package _global_\nstudy:\n  name: default\n  protocol: published\n  edition: first\n")
    found = list(faults(make_record(), tmp_path))
    assert "protocol is default, that of study default is published" in found
    assert "edition is None, that of study default is first" in found


def test_a_run_at_two_places_is_named(make_record: MakeRecord) -> None:
    records: list[tuple[str, RunRecord]] = [("a", make_record()), ("b", make_record(seed=7)), ("c", make_record())]
    [sentence] = duplicates(records)
    assert "a and in c" in sentence
