"""What tables say of trials, and of comparisons that are not to be trusted."""

import math

import pandas
import pytest

from polystep.report.material import Material


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


def test_weak_spots_are_found_in_the_runs(made, make_run, make_trial):
    chosen = {"optimizer.rate": 1.0}
    runs = [
        *(make_run("snn", "polystep", seed, **chosen) for seed in range(5)),
        *(make_run("int8", "polystep", seed, commit=str(seed), **chosen) for seed in range(2)),
        make_run("snn", "openai_es", commit="another", started="2026-01-09T10:00:00+00:00"),
        make_run("snn", "spsa", **chosen),
        make_run("int8", "openai_es", load_after=3.4, commit="0"),
        make_run("maxsat_100v", "polystep", load_before=None, **chosen),
        *(make_trial("snn", "polystep", rate) for rate in (1.0, 2.0)),
        *(make_trial("snn", "spsa", rate) for rate in (1.0, 2.0, 3.0)),
        make_trial("maxsat_100v", "polystep", 1.0),
    ]
    found = {row["doubt"]: row["where"] for row in made(*runs)["doubts"].rows}
    assert [(" ".join(doubt.split()[:4]), where) for doubt, where in found.items()] == [
        ("A mean rests on", "equal seconds: 5 of 6 means (MAX-SAT 1, Networks 4)"),
        ("No trial of the", "equal seconds: 2 of 6 means (Networks 2)"),
        ("The settings of a", "equal seconds: 1 of 6 means (Networks 1)"),
        ("The settings of a", "equal seconds: 1 of 6 means (MAX-SAT 1)"),
        ("The best trial has", "tuning_seconds: 2 of 3 grids"),
        ("Methods that are compared", "equal seconds, snn: PolyStep 2, spsa 3"),
        ("A comparison has runs", "equal seconds: 5 of 6 means (Networks 5)"),
        ("The machine had more", "equal seconds: 1 of 6 means (Networks 1)"),
        ("Runs against the clock", "equal seconds: 1 of 6 means (Networks 1)"),
        ("How much the machine", "equal seconds: 1 of 6 means (MAX-SAT 1)"),
    ]


def test_trials_on_another_formula_of_the_same_size_are_no_loan(made, make_run, make_trial):
    doubt = "The settings of a mean were chosen on another task of its family."
    runs = [make_run("maxsat_100v", "polystep", seed) for seed in range(5)]

    def loans(task):
        trials = [make_trial(task, "polystep", rate, family="maxsat") for rate in (1.0, 2.0)]
        shown = made(*runs, *trials)["doubts"]
        return doubt in {row["doubt"] for row in shown.rows}

    assert not loans("maxsat_100v_seed7") and loans("maxsat_1000v_seed7") and loans("maxsat_1000v")


def test_a_winner_between_values_that_diverged_is_at_no_edge(made, make_trial):
    trials = [
        make_trial("snn", "spsa", rate, validation_selected=score, ended_by=end)
        for rate, score, end in [(1.0, 0.2, "budget"), (2.0, 0.6, "budget"), (3.0, 0.9, "divergence")]
    ]
    shown = made(*trials)["tuning"].rows
    assert [(row["validation"].mean, row["edges"] or None) for row in shown] == [(0.6, None), (0.2, None)]


def test_a_trial_that_fails_with_one_seed_of_several_wins_nothing(made, make_trial):
    trials = [make_trial("snn", "spsa", 1.0, seed=seed, validation_selected=0.2) for seed in (7, 8)]
    trials += [make_trial("snn", "spsa", 2.0, seed=7, validation_selected=0.9)]
    trials += [make_trial("snn", "spsa", 2.0, seed=8, validation_selected=math.nan)]
    assert [row["validation"].mean for row in made(*trials)["tuning"].rows] == [0.2]


def test_only_settings_that_an_edition_published_need_no_trials(made, make_run):
    columns = {"protocol": "equal_steps", "edition": "revised", "budget.steps": 100, "steps": 100}

    def doubts(study):
        runs = [make_run("snn", "polystep", seed, study=study, **columns) for seed in range(5)]
        shown = made(*runs)
        return [row["doubt"] for row in shown["doubts"].rows] if "doubts" in shown else []

    assert doubts("revised") == []
    assert doubts("equal_steps") == ["No trial of the method is on record for this kind of budget and task."]


def test_settings_that_no_trial_had_are_told(made, make_run, make_trial):
    trials = [make_trial("snn", "spsa", rate) for rate in (1.0, 2.0)]

    def doubts(rate):
        runs = [make_run("snn", "spsa", seed, **{"optimizer.rate": rate}) for seed in range(5)]
        return {row["doubt"] for row in made(*runs, *trials)["doubts"].rows}

    doubt = "The method has trials, but none with the settings of a mean."
    assert doubt in doubts(3.0) and doubt not in doubts(2.0)


def test_without_weak_spots_there_is_no_table_of_them(made, make_run):
    runs = [make_run("snn", "polystep", seed, protocol="default") for seed in range(5)]
    assert not {"doubts", "apart"} & made(*runs).keys()
