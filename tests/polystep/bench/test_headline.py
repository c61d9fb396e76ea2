"""The headline: one row per task, honest about what was cut short."""

from polystep.bench.groups import group_runs
from polystep.bench.headline import headline_figures, headline_table


def rows(*runs):
    return headline_table(group_runs(runs)).rows


def test_a_row_shows_what_is_published_and_what_is_reached_here(add_run) -> None:
    matched = {"study": "matched_time", "protocol": "matched-time"}
    timed = {"config": {"seed": 42, "optimizer": {"name": "polystep"}, "budget": {"seconds": 300.0}}}
    (row,) = rows(
        add_run(test=0.75),
        add_run(test=0.96, study="default", protocol="default"),
        add_run(test=0.95, **matched, **timed),
        add_run("spsa", test=0.8, **matched),
        add_run("openai_es", test=0.85, **matched),
        add_run("adam_surrogate", test=0.97, candidates=0, **matched),
        add_run("openai_es", test=0.99),
    )
    assert row["published"] == "93.36 ± 0.22 %"
    assert row["paper"] == "75.00 % (n=1), 200 of 3540 steps"
    assert row["default"] == "96.00 % (n=1)" and row["matched-time"] == "95.00 % (n=1), 300 s"
    assert row["rival"] == "85.00 % (n=1), openai_es" and row["gradients"] == "97.00 % (n=1), adam_surrogate"
    assert len(row["sources"]) == 5


def test_policies_stand_beside_the_last_published_one(add_run) -> None:
    (row,) = rows(add_run(task="acrobot_int8", study="default", protocol="default"))
    assert row["published"] == "-83.80 ± 3.26 (n=3)"


def test_other_instances_that_only_met_rivals_are_left_out(add_run) -> None:
    matched = {"study": "matched_time", "protocol": "matched-time"}
    shown = rows(add_run(task="maxsat_1000v", **matched), add_run(task="maxsat_1000v_seed43", **matched))
    assert [row["task"] for row in shown] == ["maxsat_1000v"]


def test_settings_are_chosen_by_validation_not_by_test(add_run) -> None:
    metrics = {"validation_selected": 0.99, "test_selected": 0.5, "test_last": 0.5, "steps": 200}
    config = {"seed": 42, "optimizer": {"name": "polystep", "rank": 2}}
    common = {"study": "default", "protocol": "default"}
    (row,) = rows(add_run(test=0.9, **common), add_run(name="other", config=config, metrics=metrics, **common))
    assert row["default"] == "50.00 % (n=1)"


def test_tasks_without_the_method_of_the_paper_are_left_out(add_run) -> None:
    assert rows(add_run("spsa", task="other")) == []


def test_figures(add_run) -> None:
    assert headline_figures([]) == []
    snn = add_run(study="default", protocol="default")
    assert [stem for _, stem in headline_figures(group_runs([snn]))] == [
        "learning_curves_snn_default",
        "scores_default",
    ]
    satisfied = add_run(task="maxsat_100v", study="matched_time", protocol="matched-time")
    assert headline_figures(group_runs([satisfied])) == [("MAX-SAT over its sizes", "maxsat_sizes")]
    policy = add_run(task="acrobot", study="default", protocol="default")
    assert [stem for _, stem in headline_figures(group_runs([policy]))] == ["return_acrobot_default"]
    stems = [stem for _, stem in headline_figures(group_runs([snn, policy, satisfied]))]
    assert stems == ["learning_curves_snn_default", "maxsat_sizes"]
