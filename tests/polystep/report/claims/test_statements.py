"""Files of statements: the committed ones, and what is said about malformed ones."""

from pathlib import Path

import pytest

from polystep.report import load_runs
from polystep.report.claims.judge import judge, verdicts
from polystep.report.claims.statements import StatementError, read_statements
from polystep.report.published import published, published_curve, published_table
from tests.polystep.report.claims.table_of_runs import table

FOLDER = Path(__file__).parents[4] / "configs" / "statements"
CLAIMS = read_statements(FOLDER / "claims.yaml")
FINDINGS = read_statements(FOLDER / "published_runs.yaml")


def test_every_claim_is_not_run_without_runs():
    found = verdicts(judge(table([]), CLAIMS))
    assert set(found["verdict"]) == {"not run"} and set(found["edition"]) == {"first", "revised", "ours"}
    assert all(found["reason"])


@pytest.mark.parametrize("statement", CLAIMS, ids=lambda statement: statement.id)
def test_published_values_meet_the_claim(statement):
    found = judge(table([]), [statement])
    known = found[found["published"].notna()]
    assert (known["bound_low"] <= known["published"]).all() and (known["published"] <= known["bound_high"]).all()
    without = {"snn_ceiling", "falsifier", "policies", "policies_lead"}
    assert known.empty == (statement.id in without)


def test_findings_on_files_are_decided_without_runs():
    found = judge(table([]), FINDINGS)
    on_files = found[found["axis"] == "files"]
    assert len(on_files) == 31 and set(on_files["verdict"]) == {"holds"}
    assert all(statement.background and statement.follows for statement in FINDINGS)


def test_committed_records_are_judged():
    runs = load_runs(FOLDER.parents[1] / "results" / "records")
    conditions = judge(runs, [*CLAIMS, *FINDINGS])
    assert set(conditions["verdict"]) <= {"holds", "does not hold", "undecided", "not run"}
    used = {run for ids in conditions["run_ids"] for run in ids}
    assert used and used <= set(runs["run_id"])
    assert conditions["reason"][conditions["verdict"].isin(["undecided", "not run"])].all()


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("conditions: []", "would hold whatever was measured"),
        ("conditions: [{score: {task: t, method: m}}]", "nothing could fail"),
        ("conditions: [{score: {task: t, metod: m}, at_least: 1}]", "metod is unknown .did you mean method"),
        ("conditions: [{scor: 1, at_least: 1}]", "did you mean score"),
        (
            "conditions: [{score: {task: t, method: m, published: [t]}, at_least: 1}]",
            "expected \\[task, method, metric\\]",
        ),
        ("conditions: [{score: {task: t, method: m}, at_least: much}]", "no file of statements"),
        ("condition: []", "did you mean conditions"),
        ("", "no file of statements"),
    ],
)
def test_malformed_statements_are_explained(tmp_path, entry, message):
    path = tmp_path / "claims.yaml"
    head = "id: a, edition: first, text: b, axes: [published], seeds: 2"
    path.write_text(f"seeds: [1, 2]\nstatements:\n  - {{{head}{', ' if entry else ''}{entry}}}\n")
    with pytest.raises(StatementError, match=message) as caught:
        read_statements(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("edition: first", "edition: third"), "edition=third is none of first, revised, ours"),
        (("seeds: 2", "seeds: 3"), "seeds=3 is not between 2 and the 2"),
        (("id: a", "id: a}, {id: a"), "no file of statements"),
        (("statements", "statement"), "no file of statements"),
        (("[1, 2]", "[1, 2"), "no file of statements"),
    ],
)
def test_malformed_files_are_explained(tmp_path, change, message):
    path = tmp_path / "claims.yaml"
    condition = "{score: {task: t, method: m}, at_least: 1}"
    text = (
        "seeds: [1, 2]\nstatements: [{id: a, edition: first, text: b, axes: [published], seeds: 2, "
        f"conditions: [{condition}]}}]\n"
    )
    path.write_text(text)
    assert len(read_statements(path)) == 1
    path.write_text(text.replace(*change))
    with pytest.raises(StatementError, match=message):
        read_statements(path)
    with pytest.raises(StatementError, match="no file of statements"):
        read_statements(tmp_path / "none.yaml")


def test_two_statements_of_one_name_are_refused(tmp_path):
    entry = "{id: a, edition: first, text: b, axes: [files], conditions: [{score: {task: t, method: m}, at_least: 1}]}"
    path = tmp_path / "claims.yaml"
    path.write_text(f"seeds: []\nstatements: [{entry}, {entry}]\n")
    with pytest.raises(StatementError, match="several statements of the name a"):
        read_statements(path)


def test_published_numbers_are_found_by_our_names():
    assert published("first", "cartpole_int8", "openai_es", "test_last").mean == 500
    assert published("first", "snn", "adam", "test_best") is None, "it was trained on another network"
    assert published("first", "snn_smooth", "adam", "test_best").mean == pytest.approx(0.80496)
    assert published("first", "snn", "polystep", "test_best").std == pytest.approx(0.002244 * (5 / 4) ** 0.5, rel=1e-3)
    assert published("revised", "argmax", "openai_es", "test_selected").mean == 0.8
    assert published("revised", "argmax", "openai_es", "test_selected", "equal_evaluations").mean == 0.8695
    assert published("revised", "snn", "polystep", "test_best") is None
    curve = published_curve("first", "snn", "polystep")
    assert curve["seed"].nunique() == 5 and curve[curve["step"] == 20]["epoch"].isna().all()
    means = published_curve("revised", "snn", "polystep")
    assert means["seed"].isna().all() and means.set_index("step")["test"][20] == 0.412
    assert published_curve("revised", "moe", "polystep").empty
    for edition in ("first", "revised"):
        assert not published_table(edition).duplicated(["task", "method", "metric", "axis"]).any()
