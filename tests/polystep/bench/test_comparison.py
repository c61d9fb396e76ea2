"""Comparisons between methods: which numbers, against what, with which warnings."""

import csv
import io

import pytest

from polystep.bench.comparison import comparison_table, pooled_table, reference_group
from polystep.bench.groups import group_runs
from polystep.bench.rendering import Table, to_csv, to_markdown

SEEDS = (42, 123, 456, 789, 1337)


def read_csv(table: Table) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(to_csv(table))))


@pytest.fixture
def compare(add_run):
    def of(seeds=SEEDS, protocol="paper", **scores: float):
        """Records of methods whose seeds lie at a score plus 0, 1, 2, ... hundredths."""
        return group_runs(
            add_run(method, seed, test=score + 0.01 * i, protocol=protocol, name=f"{method}-{seed}-{protocol}")
            for method, score in scores.items()
            for i, seed in enumerate(seeds)
        )

    return of


def test_rows_hold_means_intervals_and_differences_to_the_papers_method(compare) -> None:
    table = comparison_table(compare(spsa=0.3, polystep=0.9, openai_es=0.5))
    assert table.name == "comparison_paper" and "protocol: paper" in table.title
    best, second, third = read_csv(table)
    assert [row["method"] for row in (best, second, third)] == ["polystep", "openai_es", "spsa"]
    assert best["difference_mean"] == best["reference"] == ""
    assert third["reference"] == "polystep"
    assert float(third["test_selected_mean"]) == pytest.approx(0.32)
    assert third["test_selected_points_by_seed"] == "42=0.3 123=0.31 456=0.32 789=0.33 1337=0.34"
    assert float(third["iqm_value"]) == pytest.approx(0.32)
    assert 0.3 < float(third["mean_interval_low"]) < 0.32 < float(third["mean_interval_high"]) < 0.34
    assert float(third["iqm_low"]) < 0.32 < float(third["iqm_high"])
    assert float(third["difference_mean"]) == pytest.approx(-0.6)
    # all five differences are equal: the smallest p-value of five pairs, times two for the family of two
    assert float(third["difference_p_value"]) == pytest.approx(0.0625)
    assert float(third["difference_p_holm"]) == pytest.approx(0.125)
    assert float(best["published_best_test_mean"]) == pytest.approx(0.93362)
    shown = to_markdown(table)
    assert "-60.00 points (p = 0.125)" in shown and "30.00, 31.00, 32.00, 33.00, 34.00 %" in shown


def test_each_task_is_a_family_of_its_own(add_run) -> None:
    runs = [
        add_run(method, seed, task=task, test=score + seed / 100)
        for task, methods in (("snn", {"polystep": 0.5, "a": 0.4}), ("other", {"polystep": 0.5, "a": 0.4, "b": 0.3}))
        for method, score in methods.items()
        for seed in range(6)
    ]
    rows = {(row["task"], row["method"]): row for row in read_csv(comparison_table(group_runs(runs)))}
    assert float(rows["snn", "a"]["difference_p_holm"]) == pytest.approx(2**-5)
    assert float(rows["other", "a"]["difference_p_holm"]) == pytest.approx(2**-4)


def test_published_scores_stand_in_the_tables_of_the_paper_alone(compare) -> None:
    table = comparison_table(compare(polystep=0.9, protocol="matched-evals"))
    assert table.name == "comparison_matched-evals"
    assert "published_best_test_mean" not in read_csv(table)[0]
    assert not any("Published" in note for note in table.notes)


def test_only_common_seeds_are_paired(add_run) -> None:
    runs = [add_run(seed=seed, test=0.5) for seed in (1, 2, 3)]
    runs += [add_run("a", seed, test=score) for seed, score in ((2, 0.6), (3, 0.7), (4, 0.99))]
    runs.append(add_run("b", 9))
    rows = {row["method"]: row for row in read_csv(comparison_table(group_runs(runs)))}
    assert (rows["a"]["difference_n"], float(rows["a"]["difference_mean"])) == ("2", pytest.approx(0.15))
    assert rows["b"]["difference_mean"] == ""


def test_few_seeds_are_warned_about(compare) -> None:
    def warnings(**scores):
        notes = comparison_table(compare(**scores)).notes
        return [note for note in notes if "Few seeds" in note or "too narrow" in note]

    assert warnings(seeds=range(6), polystep=0.9, spsa=0.3) == []
    (few,) = warnings(seeds=range(5), polystep=0.9, spsa=0.3)
    assert "n=5, that is 0.0625" in few
    few, narrow = warnings(seeds=range(3), polystep=0.9, spsa=0.3)
    assert "2^(1-n)" in few and "n=3, that is 0.25" in few and "fewer than 5 seeds" in narrow
    (narrow,) = warnings(seeds=[1], polystep=0.9, spsa=0.3)
    assert "one seed gives none" in narrow


def test_one_seed_has_neither_interval_nor_test(compare) -> None:
    _, row = read_csv(comparison_table(compare(seeds=[1], polystep=0.9, spsa=0.3)))
    assert row["mean_interval_low"] == row["iqm_low"] == row["difference_p_value"] == row["difference_p_holm"] == ""
    assert float(row["iqm_value"]) == pytest.approx(0.3)
    shown = to_markdown(comparison_table(compare(seeds=[1], polystep=0.9, spsa=0.3)))
    assert "-60.00 points (n=1)" in shown


def test_the_reference_is_chosen_by_validation(add_run) -> None:
    def metrics(validation: float, test: float) -> dict:
        return {"validation_selected": validation, "test_selected": test}

    lucky = add_run("a", metrics=metrics(0.5, 0.9))
    better = add_run("b", metrics=metrics(0.6, 0.8))
    reference = reference_group(group_runs([lucky, better]))
    assert reference is not None and reference.method == "b"
    ours = add_run(metrics=metrics(0.1, 0.1))
    tuned = add_run(study="tuned", metrics=metrics(0.2, 0.05))
    reference = reference_group(group_runs([lucky, better, ours, tuned]))
    assert reference is not None and reference.study == "tuned"
    assert reference_group(group_runs([add_run(metrics={})])) is None


def test_of_errors_the_lowest_is_the_reference(add_run) -> None:
    metric = {"name": "error", "direction": "minimize", "unit": ""}
    runs = [add_run(method, test=score, metric=metric) for method, score in (("a", 0.4), ("b", 0.2))]
    rows = read_csv(comparison_table(group_runs(runs)))
    assert [(row["method"], row["reference"]) for row in rows] == [("b", ""), ("a", "b")]


def test_a_method_without_scores_is_listed(add_run) -> None:
    table = comparison_table(group_runs([add_run("a", metrics={}), add_run()]))
    assert [row["method"] for row in read_csv(table)] == ["polystep", "a"]
    assert to_markdown(table).splitlines()[3].count("—") == 7


def test_tasks_are_pooled_where_a_method_has_all_of_them(add_run) -> None:
    runs = [
        add_run(method, seed, task=task, test=level + 0.01 * seed)
        for method in ("polystep", "a")
        for task, level in (("snn", 0.4), ("mine", 0.8))
        for seed in (1, 2, 3)
    ]
    runs += [
        add_run("b", task="snn"),
        add_run("c", task="third", metric={"name": "e", "direction": "minimize", "unit": ""}),
    ]
    table = pooled_table(group_runs(runs))
    rows = read_csv(table)
    assert [(row["method"], row["tasks"], row["runs"]) for row in rows] == [("a", "2", "6"), ("polystep", "2", "6")]
    assert float(rows[0]["mean_value"]) == pytest.approx(0.62)
    # seeds differ by 0.02 at most: drawing across tasks would widen this to 0.3
    assert 0.6 < float(rows[0]["mean_low"]) < 0.62 < float(rows[0]["mean_high"]) < 0.64
    assert any("left out: b (study paper)" in note for note in table.notes)


def test_one_task_is_not_pooled(compare) -> None:
    assert pooled_table(compare(polystep=0.9)).rows == []


def test_equal_records_give_equal_intervals(compare) -> None:
    assert to_csv(comparison_table(compare(polystep=0.9))) == to_csv(comparison_table(compare(polystep=0.9)))
