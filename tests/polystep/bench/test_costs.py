"""What the runs spent: totals, shares per step, and until the threshold."""

import csv
import io

import pytest

from polystep.bench.costs import budget_table, normalised_budget_table, time_to_90_table
from polystep.bench.curves import read_history
from polystep.bench.groups import group_runs
from polystep.bench.rendering import Table, to_csv, to_markdown


def read_csv(table: Table) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(to_csv(table))))


def time_to_90(runs) -> Table:
    return time_to_90_table(group_runs(runs), {run.name: read_history(run.folder) for run in runs})


def normalised(runs) -> Table:
    histories = {run.name: read_history(run.folder) for run in runs if (run.folder / "history.csv").exists()}
    return normalised_budget_table(group_runs(runs), histories)


def test_budgets_are_totals(add_run) -> None:
    table = budget_table(group_runs([add_run(seed=1), add_run(seed=2, seconds=0.75)]))
    assert table.name == "budget_paper" and "protocol: paper" in table.title
    (row,) = read_csv(table)
    assert float(row["candidate_evaluations_mean"]) == 200 * 8688
    assert float(row["sample_forwards_mean"]) == 200 * 8688 * 512
    assert float(row["backward_passes_mean"]) == 0
    assert float(row["step_seconds_mean"]) == 100
    assert float(row["peak_memory_bytes_mean"]) == 500_000_000
    assert row["clause_checks_mean"] == ""
    assert "1,737,600" in to_markdown(table)


def test_shares_per_update_and_per_epoch(add_run) -> None:
    table = normalised([add_run(seed=1), add_run(seed=2, seconds=0.75)])
    (row,) = read_csv(table)
    assert float(row["updates_mean"]) == 200 and float(row["epochs_mean"]) == pytest.approx(200 / 106)
    assert float(row["candidate_evaluations_per_update_mean"]) == 8688
    assert float(row["candidate_evaluations_per_epoch_mean"]) == pytest.approx(106 * 8688)
    assert float(row["seconds_per_update_mean"]) == pytest.approx(0.5)
    assert float(row["seconds_per_epoch_mean"]) == pytest.approx(53)
    assert row["clause_checks_per_update_mean"] == row["clause_checks_per_epoch_mean"] == ""
    assert "Candidates per epoch" in to_markdown(table) and "Clause checks" not in to_markdown(table).splitlines()[0]


def test_without_a_history_there_are_no_epochs(add_run) -> None:
    (row,) = read_csv(normalised([add_run(history=False)]))
    assert row["epochs_mean"] == row["seconds_per_epoch_mean"] == "" and row["seconds_per_update_mean"]


def test_what_nobody_spent_is_not_shown(add_run) -> None:
    def header(*runs) -> str:
        return to_markdown(budget_table(group_runs(runs))).splitlines()[0]

    assert "Candidates" in header(add_run()) and "Backward passes" not in header(add_run())
    assert "Backward passes" in header(add_run("adam", candidates=0))
    assert "Candidates" not in header(add_run("adam", candidates=0))
    spent = {"spent": {"clause_checks": 7}}
    assert "Clause checks" in header(add_run(ledger=spent))


def test_unknown_amounts_are_missing_and_never_zero(add_run) -> None:
    (row,) = read_csv(budget_table(group_runs([add_run(ledger={}, metrics={})])))
    known = {"task", "metric", "unit", "method", "study", "protocol", "seeds"}
    assert {name for name, value in row.items() if value} == known


def test_the_median_is_exact_where_most_seeds_reached_the_threshold(add_run) -> None:
    def reaching(at: int):
        return lambda step: 0.95 if step >= at else 0.1

    runs = [add_run(seed=seed, validation=reaching(at)) for seed, at in ((1, 40), (2, 100), (3, 999))]
    table = time_to_90(runs)
    assert table.name == "time_to_90_paper" and "protocol: paper" in table.title
    (row,) = read_csv(table)
    assert row["reached"] == "2 of 3"
    assert (float(row["candidates_median"]), row["candidates_exact"]) == (100 * 8688, "yes")
    assert (float(row["seconds_median"]), row["seconds_exact"]) == (25.0, "yes")
    assert row["seconds_by_seed"] == "1=10 2=25 3=50" and row["seconds_unreached"] == "3"


def test_a_median_among_censored_runs_is_a_lower_bound(add_run) -> None:
    runs = [add_run(seed=1, validation=lambda step: 0.9), add_run(seed=2), add_run(seed=3)]
    runs[1:] = [add_run(seed=seed, validation=lambda step: 0.5) for seed in (2, 3)]
    table = time_to_90(runs)
    (row,) = read_csv(table)
    assert (row["reached"], row["seconds_exact"]) == ("1 of 3", "no")
    assert r"\> 50.0" in to_markdown(table) and r"\> 1,737,600" in to_markdown(table)


def test_gradient_methods_have_seconds_only(add_run) -> None:
    (row,) = read_csv(time_to_90([add_run("adam", candidates=0, validation=lambda step: 0.95 * (step > 0))]))
    assert row["candidates_median"] == "" and float(row["seconds_median"]) == 5.0


def test_only_accuracies_with_histories_have_a_threshold(add_run) -> None:
    metric = {"name": "error", "direction": "minimize", "unit": ""}
    assert time_to_90([add_run(metric=metric)]).rows == []
    assert time_to_90_table(group_runs([add_run()]), {}).rows == []
