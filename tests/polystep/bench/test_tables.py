"""Numbers, missing values and escaping in tables."""

import csv
import io
from pathlib import Path

import pytest

from polystep.bench.groups import Group, best_first, group_runs
from polystep.bench.published import published_curve
from polystep.bench.quantities import Quantity
from polystep.bench.rendering import (
    Column,
    Table,
    escape_latex,
    escape_markdown,
    to_csv,
    to_latex,
    to_markdown,
    write_table,
)
from polystep.bench.tables import early_curve_table, environments_table, results_table
from polystep.files import StorageError

SMALL = Table(
    "small",
    "A & B_1",
    (Column("name", "Name"), Column("score", "50 %", ("mean", "std", "by_seed")), Column("unit", "")),
    [
        {"name": "a|b_c*", "score": Quantity(0.5, 0.25, 2, "fraction", ((1, 0.25), (2, 0.75))), "unit": "fraction"},
        {"name": "x & y"},
    ],
    ("Note with 100 %.",),
)


def read_csv(table: Table) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(to_csv(table))))


def test_seeds_of_equal_settings_form_one_group(add_run) -> None:
    runs = [add_run(seed=seed) for seed in (456, 42)]
    runs += [add_run("spsa"), add_run(study="default"), add_run(seed=1, name="other", protocol="matched-evals")]
    runs += [add_run(seed=7, status="failed"), add_run(seed=8, status="interrupted")]
    groups = group_runs(runs)
    assert [(g.protocol, g.study, g.method, [run.labels["seed"] for run in g.runs]) for g in groups] == [
        ("matched-evals", "paper", "polystep", [1]),
        ("paper", "default", "polystep", [42]),
        ("paper", "paper", "polystep", [42, 456]),
        ("paper", "paper", "spsa", [42]),
    ]


def test_other_settings_or_data_are_never_averaged(add_run) -> None:
    add_run()
    runs = [
        add_run(seed=1),
        add_run(seed=2, config={"seed": 2, "optimizer": {"name": "polystep", "radius": 3.0}, "device": "cpu"}),
        add_run(seed=3, data_fingerprint="other data"),
        # The device does not identify a run.
        add_run(seed=4, config={"seed": 4, "optimizer": {"name": "polystep"}, "device": "cuda"}),
    ]
    groups = group_runs(runs)
    assert sorted([run.labels["seed"] for run in group.runs] for group in groups) == [[1, 4], [2], [3]]
    assert len({group.method for group in groups}) == 3


def test_of_a_repeated_seed_the_last_run_counts(add_run) -> None:
    late = add_run(name="late", ended="2026-02-01T00:00:00+00:00")
    early = add_run(name="early", ended="2026-01-01T00:00:00+00:00")
    assert [run.name for group in group_runs([late, early]) for run in group.runs] == ["late"]


def test_groups_are_ordered_by_their_scores(add_run) -> None:
    runs = [add_run("a", test=0.3), add_run("b", test=0.5), add_run("c", metrics={})]
    assert [group.method for group in best_first(group_runs(runs))] == ["b", "a", "c"]
    metric = {"name": "error", "direction": "minimize", "unit": ""}
    runs = [add_run("a", test=0.3, metric=metric), add_run("b", test=0.5, metric=metric)]
    assert [group.method for group in best_first(group_runs(runs))] == ["a", "b"]


def test_results_hold_the_numbers_of_the_records(add_run) -> None:
    table = results_table(group_runs([add_run(seed=seed, test=test) for seed, test in ((42, 0.90), (123, 0.94))]))
    (row,) = read_csv(table)
    assert (row["task"], row["method"], row["study"], row["protocol"], row["seeds"]) == (
        "snn",
        "polystep",
        "paper",
        "paper",
        "2",
    )
    assert row["unit"] == "fraction"
    assert float(row["test_selected_mean"]) == pytest.approx(0.92)
    assert float(row["test_selected_std"]) == pytest.approx(0.02)
    assert row["test_selected_by_seed"] == "42=0.9 123=0.94"
    assert float(row["test_last_mean"]) == pytest.approx(0.91)
    assert float(row["published_best_test_mean"]) == pytest.approx(0.93362)
    assert float(row["published_last_mean"]) == pytest.approx(0.93166)
    assert float(row["candidates_mean"]) == 200 * 8688
    assert float(row["step_seconds_mean"]) == 50
    assert float(row["published_seconds_mean"]) == pytest.approx(3769.08, abs=0.01)
    assert float(row["peak_memory_bytes_mean"]) == 500_000_000
    shown = to_markdown(table)
    assert "92.00 ± 2.00 % (n=2)" in shown and "93.36 ± 0.22 %" in shown and "1,737,600" in shown
    assert "protocol: paper" in table.title
    assert "Published, best test" in shown and "hence optimistic" in shown


def test_missing_values_are_missing_and_never_zero(add_run) -> None:
    metrics = {"test_selected": None, "test_last": "?"}
    run = add_run("unheard_of", ledger={"clocks": {"optimizer": 1.0}}, metrics=metrics)
    (row,) = read_csv(results_table(group_runs([run])))
    known = {"task", "metric", "unit", "method", "study", "protocol", "seeds"}
    assert {name for name, value in row.items() if value} == known
    line = to_markdown(results_table(group_runs([run]))).splitlines()[2]
    assert line.count("—") == 9
    assert " 0" not in line.replace("| 1 |", "")


def test_published_scores_stand_only_beside_the_same_metric(add_run) -> None:
    (group,) = group_runs([add_run(metric={"name": "loss", "direction": "minimize", "unit": ""})])
    assert group.published_best is None
    assert early_curve_table([group]).rows == []


@pytest.mark.parametrize("task", ["int8", "argmax", "staircase", "moe", "mnist"])
def test_the_early_curve_covers_every_network(add_run, task: str) -> None:
    (group,) = group_runs([add_run(task=task)])
    published = published_curve(task, "polystep")
    rows = {int(row["step"]): row for row in read_csv(early_curve_table([group]))}
    assert rows.keys() == {20, 100}
    for step, row in rows.items():
        assert float(row["published_test_mean"]) == pytest.approx(published.loc[step, "mean"])


def test_published_adam_is_marked_as_substitute(add_run) -> None:
    assert any(
        "smooth substitute" in note for note in results_table(group_runs([add_run("adam", task="snn_smooth")])).notes
    )
    assert not any("smooth substitute" in note for note in results_table(group_runs([add_run("adam")])).notes)
    assert not any("smooth substitute" in note for note in results_table(group_runs([add_run("spsa")])).notes)


def test_early_curve_is_judged_by_two_published_deviations(add_run) -> None:
    # Published: 43.29 ± 7.17 at step 20 and 61.05 ± 7.86 at step 100.
    groups = group_runs([add_run(test=0.93), add_run("openai_es")])
    rows = read_csv(early_curve_table(groups))
    assert [(row["method"], row["step"], row["within"]) for row in rows] == [
        ("polystep", "20", "yes"),
        ("polystep", "100", "yes"),
    ]
    assert float(rows[0]["published_test_mean"]) == pytest.approx(0.4329)
    assert float(rows[0]["difference_mean"]) == pytest.approx(0.43 - 0.4329)
    rows = read_csv(early_curve_table(group_runs([add_run(test=0.70)])))
    assert [row["within"] for row in rows] == ["no", "no"]


def test_a_mark_without_published_value_is_not_judged(add_run) -> None:
    (row,) = read_csv(early_curve_table(group_runs([add_run(metrics={"test_curve": [{"step": 21, "test": 0.5}]})])))
    assert row["test_mean"] == "0.5"
    assert row["published_test_mean"] == row["difference_mean"] == row["within"] == ""


def test_environments_count_runs(add_run) -> None:
    rows = read_csv(
        environments_table([add_run(), add_run(seed=2), add_run(seed=3, environment={"processor": "another"})])
    )
    assert [tuple(row.values()) for row in rows] == [
        ("packages.torch", "2.13.0", "2"),
        ("processor", "another", "1"),
        ("processor", "some processor", "2"),
    ]


def test_renderers() -> None:
    assert (
        to_csv(SMALL)
        == "name,score_mean,score_std,score_by_seed,unit\na|b_c*,0.5,0.25,1=0.25 2=0.75,fraction\nx & y,,,,\n"
    )
    assert to_markdown(SMALL).splitlines() == [
        "| Name | 50 % |",
        "| --- | ---: |",
        r"| a\|b_c\* | 50.00 ± 25.00 % (n=2) |",
        "| x & y | — |",
        "",
        "- Note with 100 %.",
    ]
    latex = to_latex(SMALL)
    assert r"\caption{A \& B\_1. Note with 100 \%.}" in latex
    assert r"Name & 50 \% \\" in latex
    assert r"a\textbar{}b\_c* & 50.00 $\pm$ 25.00 \% (n=2) \\" in latex
    assert r"x \& y & --- \\" in latex
    assert r"\begin{tabular}{lr}" in latex
    assert latex.index(r"\toprule") < latex.index(r"\midrule") < latex.index(r"\bottomrule")


def test_escaping() -> None:
    assert (
        escape_markdown("_x_ openai_es <b> [l](u)\nnext `c` \\ |") == r"\_x\_ openai_es \<b\> \[l\](u) next \`c\` \\ \|"
    )
    assert escape_latex(r"\a {b} ~^ $5 #1 50% a_b") == (
        r"\textbackslash{}a \{b\} \textasciitilde{}\textasciicircum{} \$5 \#1 50\% a\_b"
    )


def test_an_empty_table_says_so() -> None:
    assert "No rows" in to_markdown(results_table([]))
    assert to_csv(results_table([])).count("\n") == 1
    assert r"\bottomrule" in to_latex(results_table([]))


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = write_table(SMALL, tmp_path)
    before = {path: path.read_bytes() for path in paths}

    def full_disk(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(StorageError, match=r"small\.csv"):
        write_table(Table("small", "Other", SMALL.columns, []), tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_group_needs_no_published_counterpart(add_run) -> None:
    (group,) = group_runs([add_run(task="my_task")])
    assert isinstance(group, Group)
    assert group.published_best is None and group.published_last is None
