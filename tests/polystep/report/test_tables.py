"""What the tables say, and what their files hold."""

import csv
import io
import re

import pandas
import pytest

from polystep.report import tables
from polystep.report.material import modules_of
from polystep.report.table import (
    Column,
    Table,
    number_column,
    spread_column,
    telling_columns,
    text_column,
    to_csv,
    to_latex,
    to_markdown,
)
from polystep.report.text import Spread, number_text
from tests.polystep.report.cells import cells


def test_csv_files_hold_numbers(made):
    """A column that readers sort by number holds numbers or nothing, in base units, without symbols."""
    for shown in made().values():
        content = pandas.read_csv(io.StringIO(to_csv(shown))) if shown.columns else None
        for column in shown.columns:
            for part in column.parts if column.number else ():
                # a median is exact or not
                kind = content[f"{column.number}{part}"]
                assert part == "_exact" or pandas.api.types.is_numeric_dtype(kind), (shown.name, column.number)
        assert not re.search(r"±|%|—", to_csv(shown)), shown.name


def test_csv_has_nine_digits_and_base_units():
    shown = Table("t", "T", (spread_column("s", "S", "fraction"),), [{"s": Spread(0.12345678901, None, 1)}])
    assert list(csv.reader(io.StringIO(to_csv(shown)))) == [["s_mean", "s_std", "s_n"], ["0.123456789", "", "1"]]


def test_markdown_escapes_and_highlights():
    column = Column("a|b", lambda row: row["text"], best="is_best")
    shown = to_markdown(Table("t", "T", (column,), [{"text": "*x*", "is_best": True}], ("see $x$",)))
    assert shown.splitlines() == [r"| a\|b |", "| --- |", r"| **\*x\*** |", "", r"- see \$x\$"]


def test_latex_escapes():
    shown = to_latex(Table("t", "50 % of a_b", (text_column("x", "X & Y"),), [{"x": "a_b & 5 %"}]))
    assert r"a\_b \& 5 \%" in shown
    assert r"50 \% of a\_b" in shown
    assert r"X \& Y" in shown


def test_scores_highlight_the_best_complete_run(made, make_run):
    runs = [
        make_run("snn", "polystep", test_selected=0.9),
        make_run("snn", "openai_es", test_selected=0.8),
        make_run("snn", "spsa", test_selected=0.99, step_seconds=3.0),
    ]
    shown = made(*runs)["scores_networks_equal_seconds"]
    assert {row["method"]: row["snn_best"] for row in shown.rows} == {
        "PolyStep": True,
        "OpenAI-ES": False,
        "spsa": False,
    }
    assert any("less or more than their budget, ran on a busy machine, or have" in note for note in shown.notes)
    assert any("that is no number: spsa on snn" in note for note in shown.notes)


def test_scores_that_print_alike_are_equally_good(made, make_run):
    runs = [
        make_run("cartpole", name, test_selected=value) for name, value in [("polystep", 500.0), ("spsa", 499.99999)]
    ]
    shown = made(*runs)["scores_control_equal_seconds"]
    assert [row["cartpole_best"] for row in shown.rows] == [True, True]


def test_nothing_is_highlighted_where_nobody_competes(made, make_run):
    assert not made(make_run("snn", "polystep"))["scores_networks_equal_seconds"].rows[0]["snn_best"]


def test_scores_say_which_runs_cannot_be_compared(made, make_run):
    runs = [make_run("snn", "polystep"), make_run("snn", "openai_es"), make_run("snn", "spsa", processor="other")]
    shown = made(*runs)["scores_networks_equal_seconds"]
    assert {row["method"] for row in shown.rows} == {"PolyStep", "OpenAI-ES"}
    assert any("processor" in note and "1 runs" in note for note in shown.notes)


def test_differences_are_paired_by_seed_and_have_intervals(made, make_run):
    runs = [make_run("snn", "polystep", seed, test_selected=0.9 + seed / 100) for seed in (1, 2, 3)]
    runs += [make_run("snn", "openai_es", seed, test_selected=0.8 + seed / 50) for seed in (1, 2, 4)]
    shown = made(*runs)["comparison_networks_equal_seconds"]
    assert [row["difference"].value for row in shown.rows] == [None, pytest.approx(-0.085)]
    assert cells(shown, "minus PolyStep, paired") == ["—", "-8.50 (-14.85 to -2.15) points"]
    assert [row["rank"] for row in shown.rows] == [1, 2]


def test_runs_that_diverged_are_counted_and_named(made, make_run):
    lost = {"used_share": 0.2, "step_seconds": 6.0, "ended_by": "divergence"}
    runs = [make_run("snn", "mezo", 42), make_run("snn", "mezo", 123, **lost), make_run("snn", "polystep")]
    (table,) = (found for name, found in made(*runs).items() if name.startswith("scores_networks"))
    assert any(note.endswith("the best point before: mezo on snn (1 of 2).") for note in table.notes)
    assert not any("Without rank" in note for note in table.notes)


def test_equal_scores_share_a_rank(made, make_run):
    runs = [make_run("snn", name, test_selected=score) for name, score in [("a", 0.9), ("b", 0.9), ("c", 0.5)]]
    assert [row["rank"] for row in made(*runs)["comparison_networks_equal_seconds"].rows] == [1, 1, 3]


def test_no_rank_and_no_difference_across_contexts(made, make_run):
    runs = [make_run("snn", "polystep", threads=1), make_run("snn", "openai_es", threads=16)]
    shown = made(*runs)["comparison_networks_equal_seconds"]
    assert [row["rank"] for row in shown.rows] == [None, None]
    assert cells(shown, "minus PolyStep, paired") == ["—", "—"]
    assert ["16 threads" in text for text in cells(shown, "Compared within")] == [False, True]


def test_headline_names_the_best_rival_and_gradients(made):
    row = next(row for row in made()["headline"].rows if row["task"] == "snn")
    assert row["rival_method"] == "Finite differences"
    assert row["gradients_method"] == "Adam, surrogate gradient"
    assert row["equal_seconds"].mean == pytest.approx(0.9207)
    assert row["seconds"] == 30


def test_the_headline_has_every_task_of_a_family(made, make_run):
    """Other summaries show the fullest eight."""
    tasks = [f"network{chr(letter)}" for letter in range(ord("a"), ord("a") + 12)]
    rows = made(*(make_run(task, "polystep") for task in tasks))["headline"].rows
    assert sorted(row["task"] for row in rows) == tasks


def test_altered_settings_are_shown_apart(made, make_run):
    altered = make_run("snn", "polystep", altered=("budget.steps=60",), cell_id="other", **{"budget.steps": 60})
    shown = made(make_run("snn", "polystep"), altered)["settings_networks"]
    assert cells(shown, "Unlike the study") == ["budget.steps=60"]


def test_broken_clauses_are_scored_against_the_fewest_known(made, make_run):
    # one broken clause of the published formula with 100 variables is proved to be the fewest
    costs = {"evaluation_cost": {"clause_checks": 426}}
    shares = [(1, 425 / 426), (2, 423 / 426)]
    runs = [make_run("maxsat_100v", "walksat", seed, test_selected=share, **costs) for seed, share in shares]
    (row,) = made(*runs, make_run("snn", "polystep", **costs))["best_known"].rows
    assert row["task"] == "maxsat_100v" and row["best"] == 1 and row["broken"].mean == 2
    assert row["score"].mean == pytest.approx((2 / 2 + 2 / 4) / 2)


@pytest.mark.parametrize("costs", [None, {}, {"clause_checks": "many"}, 7])
def test_runs_that_do_not_say_how_many_clauses_there_are_have_no_such_row(made, make_run, costs):
    assert "best_known" not in made(make_run("maxsat_100v", "walksat", evaluation_cost=costs))


def test_time_to_target_has_the_targets_of_the_task(made, make_run):
    targets = {
        row["target"]: row for row in made(make_run("cartpole", "polystep", test_selected=480.0))["targets"].rows
    }
    assert targets["solved"]["score"] == 475
    assert targets["0.99 of own final"]["seconds"].median == 30
    snn = {row["target"] for row in made(make_run("snn", "polystep"))["targets"].rows}
    assert {"published PolyStep, first edition", "best published rival, first edition"} <= snn


def test_costs_leave_out_what_nobody_spent(made, make_run):
    shown = made(make_run("snn", "polystep"))["costs"]
    titles = [column.title for column in shown.columns]
    assert "Candidates per step" in titles
    assert "Clause checks" not in titles
    assert cells(shown, "Candidates per step") == ["10"]


def test_contexts_say_what_is_mixed(made, make_run):
    runs = [make_run("snn", "polystep", commit="a" * 40), make_run("snn", "spsa", commit="b" * 40, clean=False)]
    shown = made(*runs)
    assert sorted(cells(shown["contexts"], "Uncommitted changes")) == ["no", "yes"]
    assert cells(shown["mixed_contexts"], "Commits") == ["aaaaaaaaa (1); bbbbbbbbb (1)"]


def test_every_run_but_trials_is_in_a_file(made, make_run, make_trial):
    runs = [make_run("snn", "polystep", 1), make_run("snn", "polystep", 2), make_run("int8", "spsa", status="failed")]
    shown = made(*runs, make_trial("snn", "spsa", 1.0))["runs"]
    assert [row["run_id"] for row in shown.rows] == [run["run_id"] for run in runs]
    assert [row["wall_seconds"] for row in shown.rows] == [round(run["wall_seconds"], 3) for run in runs]


def test_a_new_table_is_one_module(tmp_path, monkeypatch, table):
    (tmp_path / "mine.py").write_text("def tables(material):\n    yield 'mine'\n")
    monkeypatch.setattr(tables, "__path__", [*tables.__path__, str(tmp_path)])
    assert "polystep.report.tables.mine" in [module.__name__ for module in modules_of(tables)]


def test_a_column_without_a_unit_takes_none_from_the_row():
    row = {"unit": "fraction", "curvature": 20.0, "spread": Spread(20.0, 1.0, 5)}
    assert number_column("curvature", "C", "").show(row) == number_text(20.0, "")
    assert "%" in number_column("curvature", "C", None).show(row)
    assert "%" not in spread_column("spread", "S", "").show(row)
    assert "%" in spread_column("spread", "S").show(row)


def test_columns_that_say_nothing_in_any_row_are_not_shown():
    columns = text_column("a", "A"), number_column("b", "B"), number_column("c", "C")
    rows = [{"a": "x", "b": None, "c": None}, {"a": "", "b": None, "c": 0}]
    assert [column.title for column in telling_columns(Table("t", "T", columns, rows))] == ["A", "C"]
