"""What the tables say, and what their files hold."""

import csv
import io
import re

import pandas
import pytest

from polystep.report import tables
from polystep.report.material import Material, modules_of
from polystep.report.table import (
    Column,
    Table,
    number_column,
    spread_column,
    text_column,
    to_csv,
    to_latex,
    to_markdown,
)
from polystep.report.text import Spread, number_text


@pytest.fixture
def made(table):
    """All tables of a report by name, of the runs that are given."""

    def make(*runs, **judged):
        material = Material(table(*runs), **judged)
        return {found.name: found for module in modules_of(tables) for found in module.tables(material)}

    return make


def cells(shown, column):
    """What readers see in a column."""
    (chosen,) = [one for one in shown.columns if one.title == column]
    return [chosen.show(row) for row in shown.rows]


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
    assert any("less or more than their budget: spsa on snn" in note for note in shown.notes)


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


@pytest.fixture
def make_trial(make_run):
    """A run of a tuning grid with the rate `rate`."""

    def make(task, optimizer, rate, **columns):
        settings = {"study": "tuning_seconds", "optimizer.rate": rate, **columns}
        return make_run(task, optimizer, protocol="tuning", cell_id=str(rate), **settings)

    return make


def test_tuning_is_ranked_by_validation_and_shows_no_test_score(made, make_run, make_trial):
    trials = [
        make_trial("snn", "spsa", rate, validation_selected=score)
        for rate, score in [(1.0, 0.2), (2.0, 0.6), (3.0, 0.4)]
    ]
    shown = made(*trials, make_run("snn", "polystep"))["tuning"]
    assert [(row["rank"], row["validation"].mean) for row in shown.rows] == [(1, 0.6), (2, 0.4), (3, 0.2)]
    assert not any(key.startswith("test") for row in shown.rows for key in row)


def test_grids_of_other_budgets_have_winners_of_their_own(made, make_trial):
    trials = [
        make_trial("snn", "spsa", rate, validation_selected=score, **{"budget.seconds": seconds})
        for rate, score, seconds in [(1.0, 0.2, 24.0), (2.0, 0.6, 60.0), (3.0, 0.4, 24.0)]
    ]
    assert [(row["rank"], row["validation"].mean) for row in made(*trials)["tuning"].rows] == [
        (1, 0.4),
        (2, 0.2),
        (1, 0.6),
    ]


def test_grids_of_other_weightings_have_winners_of_their_own(made, make_trial):
    trials = [
        make_trial("snn", "polystep", rate, validation_selected=score, **{"optimizer.weighting.component": rule})
        for rate, score, rule in [(1.0, 0.2, "softmax"), (2.0, 0.6, "linear"), (3.0, 0.4, "softmax")]
    ]
    shown = [(row["rank"], row["validation"].mean) for row in made(*trials)["tuning"].rows]
    assert shown == [(1, 0.6), (1, 0.4), (2, 0.2)]


@pytest.mark.parametrize(("scores", "edges"), [((0.2, 0.6, 0.4), None), ((0.2, 0.4, 0.6), "rate")])
def test_a_winner_at_the_edge_of_its_grid_is_shown(made, make_trial, scores, edges):
    others = {"optimizer.seed": 7, "optimizer.kind": "x"}
    trials = [
        make_trial("snn", "spsa", rate, validation_selected=score, **others)
        for rate, score in zip((1.0, 2.0, 3.0), scores, strict=True)
    ]
    assert [row["edges"] or None for row in made(*trials)["tuning"].rows] == [edges, None, None]


def test_of_equal_trials_the_one_that_was_so_good_first_wins(made, make_trial):
    trials = [
        make_trial("snn", "spsa", rate, validation_selected=0.5, selected_step=step)
        for rate, step in [(1.0, 80), (2.0, 20), (3.0, 50)]
    ]
    shown = made(*trials)["tuning"]
    groups = Material(pandas.DataFrame(trials)).groups
    keys = {group["optimizer.rate"]: group.key for group in groups}
    assert [row["group"] for row in shown.rows] == [keys[2.0], keys[3.0], keys[1.0]]


def test_published_numbers_that_reruns_do_not_repeat_are_named(made, make_run):
    # the first edition has 93.36 +- 0.25 % for the SNN and 97.15 +- 0.08 % for int8
    published = {"protocol": "published", "edition": "first"}
    runs = [
        make_run(task, "polystep", seed, test_selected=score + seed * 1e-5, **published)
        for task, score in [("snn", 0.90), ("int8", 0.971)]
        for seed in (1, 2, 3)
    ]
    (row,) = made(*runs)["apart"].rows
    assert row["task"] == "snn" and row["deviations"] == pytest.approx((0.90002 - 0.93362) / 0.002508868)


def test_returns_with_published_settings_are_shown_by_the_last_policy(made, make_run):
    published = {"protocol": "published", "edition": "first"}
    runs = [
        make_run("cartpole", method, seed, test_selected=500.0, test_last=last + seed, **published)
        for method, last in (("polystep", 150.0), ("openai_es", 300.0))
        for seed in (1, 2)
    ]
    found = made(*runs)
    (row,) = found["headline"].rows
    assert row["first_here"].mean == 151.5
    scores = found["scores_control_published_settings_first_edition"]
    assert [row["cartpole"].mean for row in scores.rows[:2]] == [301.5, 151.5]
    assert "Returns are those of the last policy" in scores.notes[0]
    (best, other) = found["comparison_control_published_settings_first_edition"].rows
    assert (best["rank"], other["rank"]) == (1, 2) and best["difference"].value == 150.0
    assert other["interval"].low < 151.5 < other["interval"].high and other["test"].mean == 500.0
    networks = [make_run("snn", "polystep", seed, test_last=0.1, **published) for seed in (1, 2)]
    shown = made(*networks)["scores_networks_published_settings_first_edition"]
    assert shown.rows[0]["snn"].mean == 0.9 and "published: the best of all looks" in shown.notes[0]


def test_returns_are_judged_by_the_last_policy(made, make_run):
    # the first edition has -79.6 +- 2.0 on Acrobot
    shown = {"protocol": "published", "edition": "first", "metric": "return", "unit": "", "best": 0.0}
    runs = [
        make_run("acrobot", "polystep", seed, test_selected=-60.0, test_last=-79.0 + seed, **shown)
        for seed in (1, 2, 3)
    ]
    assert made(*runs)["apart"].rows == []


@pytest.mark.parametrize(("task", "deviations"), [("cartpole", -98.97 / 0.0481), ("cartpole_int8", None)])
def test_returns_that_reach_the_best_one_are_judged_by_their_mean(made, make_run, task, deviations):
    # the first edition has 499.97 +- 0.05 on CartPole, and 500 +- 0 with the int8 policy
    shown = {
        "protocol": "published",
        "edition": "first",
        "metric": "return",
        "unit": "",
        "best": 500.0,
        "solved": 475.0,
    }
    lasts = [500.0] * 10 + [9.0, 150.0, 220.0, 235.0]
    runs = [make_run(task, "polystep", seed, test_last=last, **shown) for seed, last in enumerate(lasts)]
    (row,) = made(*runs)["apart"].rows
    assert row["deviations"] == pytest.approx(deviations, rel=0.01) if deviations else row["deviations"] is None
    solved = [make_run(task, "polystep", seed, test_last=500.0, **shown) for seed in range(10)]
    assert made(*solved)["apart"].rows == []


def test_rounding_of_what_is_printed_sets_nothing_apart(made, make_run):
    # the revised edition prints 98.1 +- 0.01 % for 100,000 variables, of means up to 98.15 %
    published = {"protocol": "published", "edition": "revised"}
    for score, apart in [(0.98155, 0), (0.9820, 1)]:
        runs = [
            make_run("maxsat_100000v", "polystep", seed, test_selected=score + seed * 1e-7, **published)
            for seed in (1, 2, 3)
        ]
        assert len(made(*runs)["apart"].rows) == apart


def test_what_is_to_know_of_a_published_number_stands_beside_it(made, make_run):
    published = {"protocol": "published", "edition": "revised"}
    runs = [
        make_run("maxsat_1000v", "openai_es", seed, test_selected=0.9 + seed * 1e-5, **published) for seed in (1, 2)
    ]
    (row,) = made(*runs)["apart"].rows
    assert row["note"].endswith("best noisy sample; equals first edition")


def test_one_seed_or_no_published_number_cannot_be_judged(made, make_run):
    published = {"protocol": "published", "edition": "first"}
    runs = [make_run("snn", "polystep", 1, test_selected=0.5, **published)]
    runs += [make_run("snn", "finite_differences", seed, test_selected=0.5, **published) for seed in (1, 2)]
    assert "apart" not in made(*runs)


def test_weak_spots_are_found_in_the_runs(made, make_run, make_trial):
    runs = [
        *(make_run("snn", "polystep", seed) for seed in range(5)),
        *(make_run("int8", "polystep", seed, commit=str(seed)) for seed in range(2)),
        make_run("snn", "openai_es", commit="another"),
        make_run("int8", "openai_es", load_after=3.4, commit="0"),
        make_run("maxsat_100v", "polystep", load_before=None),
        *(make_trial("snn", "polystep", rate) for rate in (1.0, 2.0)),
        *(make_trial("snn", "spsa", rate) for rate in (1.0, 2.0, 3.0)),
        make_trial("maxsat_100v", "polystep", 1.0),
    ]
    found = {row["doubt"]: row["where"] for row in made(*runs)["doubts"].rows}
    assert [(" ".join(doubt.split()[:4]), where) for doubt, where in found.items()] == [
        ("A mean rests on", "equal seconds: 4 of 5 means (MAX-SAT 1, Networks 3)"),
        ("No trial of the", "equal seconds: 2 of 5 means (Networks 2)"),
        ("The settings of a", "equal seconds: 1 of 5 means (Networks 1)"),
        ("The settings of a", "equal seconds: 1 of 5 means (MAX-SAT 1)"),
        ("The best trial has", "tuning_seconds: 2 of 3 grids"),
        ("Methods that are compared", "tuning_seconds on snn: polystep 2, spsa 3"),
        ("A comparison has runs", "equal seconds: 4 of 5 means (Networks 4)"),
        ("The machine had more", "equal seconds: 1 of 5 means (Networks 1)"),
        ("How much the machine", "equal seconds: 1 of 5 means (MAX-SAT 1)"),
    ]


def test_comparisons_with_an_edition_s_own_settings_need_no_trials(made, make_run):
    runs = [make_run("snn", "polystep", seed, protocol="equal_steps", edition="revised") for seed in range(5)]
    assert "doubts" not in made(*runs)


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


def test_without_weak_spots_there_is_no_table_of_them(made, make_run):
    runs = [make_run("snn", "polystep", seed, protocol="default") for seed in range(5)]
    assert not {"doubts", "apart"} & made(*runs).keys()


def test_time_to_target_has_the_targets_of_the_task(made, make_run):
    targets = {
        row["target"]: row for row in made(make_run("cartpole", "polystep", test_selected=480.0))["targets"].rows
    }
    assert targets["solved"]["score"] == 475
    assert targets["0.99 of own final"]["seconds"].median == 30
    snn = {row["target"] for row in made(make_run("snn", "polystep"))["targets"].rows}
    assert {"published PolyStep, first edition", "best published rival, first edition"} <= snn


def test_the_curve_of_the_first_edition_is_compared_seed_by_seed(made, make_run):
    # published at step 20: 53.39 % of seed 42, 37.82 % of seed 123, nothing of seed 7
    runs = [
        make_run("snn", "polystep", seed, protocol="published", edition="first", test_curve={20: test})
        for seed, test in ((42, 0.54), (123, 0.40), (7, 0.90))
    ]
    (row,) = made(*runs)["early_curve"].rows
    assert row["common"] == 2
    assert row["difference"].value == pytest.approx(((0.54 - 0.5339) + (0.40 - 0.3782)) / 2)


def test_marks_of_the_revised_edition_are_beside_its_means(made, make_run):
    runs = [
        make_run(
            "snn", "polystep", seed, protocol="published", edition="revised", test_curve={20: test, 30: 0.5, 60: 0.6}
        )
        for seed, test in ((42, 0.4), (123, 0.5))
    ]
    shown = made(*runs)["revised_marks"]
    assert cells(shown, "Step") == ["20", "60"]
    assert [row["test"].mean for row in shown.rows] == pytest.approx([0.45, 0.6])
    assert [row["published"].mean for row in shown.rows] == [0.412, 0.56]
    assert "early_curve" not in made(*runs) and "revised_marks" not in made(make_run("snn", "polystep"))


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
    assert [row["name"] for row in shown.rows] == [run["name"] for run in runs]


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


def test_published_runs_with_a_gradient_are_not_said_to_have_none(made, make_run):
    settings = {"method_title": "PPO", "uses": ("gradient:straight_through",), "optimizer.quantised_heads": True}
    published = {"protocol": "published", "edition": "first", "family": "control", "unit": "", **settings}
    rows = made(*(make_run(f"cartpole{kind}", "ppo", **published) for kind in ("", "_int8")))
    titles = [row["method"] for row in rows["scores_control_published_settings_first_edition"].rows]
    assert titles == ["PPO, quantised heads, no gradient", "PPO, published"]


def test_rivals_that_had_as_many_steps_stand_beside_what_is_published_for_them(made, make_run):
    """The published OpenAI-ES of the spiking network had as many evaluations instead."""
    runs = [
        make_run("snn", name, protocol="equal_steps", edition="revised") for name in ("polystep", "spsa", "openai_es")
    ]
    rows = made(*runs)["scores_networks_equal_steps"].rows
    assert {row["method"]: row["snn"].mean for row in rows if "published" in row["method"]} == {
        "PolyStep, published": 0.93,
        "spsa, published": 0.539,
    }
