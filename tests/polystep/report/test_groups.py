"""What counts as one experiment, what may be compared, and what may not."""

import math

import pytest

from polystep.report.boards import boards_of, groups_by_method, main_boards
from polystep.report.claims.intervals import interval
from polystep.report.groups import group_runs, setting_labels, spread_of
from polystep.report.one_run import context_of
from polystep.report.rows import SHARES, cut, interval_of, score_interval
from polystep.report.text import Interval, Spread


def boards(table, *runs):
    return boards_of(group_runs(table(*runs)))


def test_runs_that_differ_by_seed_are_a_group(table, make_run):
    groups = group_runs(
        table(make_run("snn", "polystep", 2), make_run("snn", "polystep", 1), make_run("snn", "spsa", 1))
    )
    assert [[run["seed"] for run in group.runs] for group in groups] == [[1, 2], [1]]


def test_of_a_repeated_run_the_one_that_ended_last_counts(table, make_run):
    early = make_run("snn", "polystep", ended="2026-01-01T00:00:00+00:00", test_selected=0.1)
    late = make_run("snn", "polystep", ended="2026-01-02T00:00:00+00:00", test_selected=0.2)
    (group,) = group_runs(table(late, early))
    assert group.values("test_selected") == {(42, "data of snn"): 0.2}


def test_unfinished_runs_are_in_no_group(table, make_run):
    assert group_runs(table(make_run("snn", "polystep", status="failed"))) == []


def test_spread_is_that_of_a_sample():
    assert spread_of([1.0, 3.0]) == Spread(2.0, pytest.approx(2**0.5), 2)
    assert spread_of([1.0]) == Spread(1.0, None, 1)
    assert spread_of([]) is None


def test_other_data_under_the_same_name_are_another_problem(table, make_run):
    runs = [
        make_run("bw_large", name, data=data, cell_id=name + data) for name, data in [("a", "first"), ("b", "second")]
    ]
    found = boards(table, *runs)
    assert len(found) == 2
    assert all("data" in board.remark for board in found)


def test_data_that_belong_to_the_seed_are_one_problem(table, make_run):
    runs = [make_run("snn", name, seed, data=f"split {seed}") for name in ("polystep", "spsa") for seed in (1, 2)]
    (board,) = boards(table, *runs)
    assert [len(group.runs) for group in board.groups] == [2, 2]


def test_seeds_of_one_cell_on_other_data_are_not_averaged(table, make_run):
    runs = [make_run("snn", "polystep", seed, data="old") for seed in (1, 2)]
    runs += [make_run("snn", "polystep", seed, data="new") for seed in (3, 4)]
    assert sorted(len(board.groups[0].runs) for board in boards(table, *runs)) == [2, 2]


@pytest.mark.parametrize("context", [{"processor": "other"}, {"threads": 16}, {"device": "H100"}])
def test_equal_seconds_are_compared_within_one_context(table, make_run, context):
    runs = [make_run("snn", "polystep"), make_run("snn", "spsa", **context)]
    assert sorted(board.remark for board in boards(table, *runs)) == sorted(f"30 s, {context_of(run)}" for run in runs)
    by_steps = [run | {"protocol": "equal_steps"} for run in runs]
    assert len(boards(table, *by_steps)) == 1


PUBLISHED = {"protocol": "published", "edition": "revised", "steps": 100, "candidate_evaluations": 5000}
RIVALS = {
    "equal_steps": {"budget.steps": 100, "steps": 100},
    "equal_evaluations": {"budget.candidate_evaluations": 5000.0, "candidate_evaluations": 5000},
}


@pytest.mark.parametrize("protocol", RIVALS)
def test_published_runs_stand_beside_the_rivals_that_have_their_budget(table, make_run, protocol):
    runs = [make_run("snn", "polystep", seed, **PUBLISHED) for seed in (1, 2)]
    found = boards(table, *runs, make_run("snn", "spsa", protocol=protocol, edition="revised", **RIVALS[protocol]))
    assert len(found) == 2
    lent = found[-1].own if found[-1].rivals else found[0].own
    assert lent is not None and len(lent.runs) == 2 and lent["protocol"] == protocol


@pytest.mark.parametrize("changed", [{"edition": None}, {"budget.steps": 90, "steps": 90}, {"optimizer": "polystep"}])
def test_published_runs_are_not_lent_to_others(table, make_run, changed):
    """Rivals of no edition, of another budget; and where PolyStep has run itself, it stands there once."""
    columns = {"edition": "revised", "optimizer": "spsa"} | RIVALS["equal_steps"] | changed
    rival = make_run("snn", protocol="equal_steps", **columns)
    (board,) = [
        b for b in boards(table, make_run("snn", "polystep", **PUBLISHED), rival) if b["protocol"] == "equal_steps"
    ]
    assert [group["study"] for group in board.groups] == ["equal_steps"]


def test_altered_runs_are_not_lent(table, make_run):
    rival = make_run("snn", "spsa", protocol="equal_steps", edition="revised", **RIVALS["equal_steps"])
    (board,) = boards(table, make_run("snn", "polystep", **PUBLISHED, altered=("seed=1",)), rival)
    assert board.own is None


def test_controlled_comparisons_and_trials_are_no_boards(table, make_run):
    assert not boards(table, *(make_run("snn", "polystep", protocol=name) for name in ("controlled", "tuning")))


def test_other_budgets_are_compared_apart(table, make_run):
    runs = [make_run("snn", "polystep"), make_run("snn", "spsa", **{"budget.seconds": 300.0})]
    assert [board.remark for board in boards(table, *runs)] == ["30 s", "300 s"]


def test_only_complete_runs_are_ranked(table, make_run):
    runs = [make_run("snn", "polystep"), make_run("snn", "spsa", step_seconds=15.0, test_selected=0.99)]
    runs.append(make_run("snn", "mezo", step_seconds=33.0, test_selected=0.99))
    (board,) = boards(table, *runs)
    assert [group["optimizer"] for group in board.ranked] == ["polystep"]
    by_default = make_run("snn", "spsa", protocol="default", used_share=0.5)
    assert not boards(table, by_default)[0].ranked
    solved = make_run("maxsat_100v", "walksat", used_share=0.2, ended_by="method")
    assert boards(table, solved)[0].ranked, "the method had nothing left to find"
    diverged = make_run("snn", "mezo", used_share=0.2, step_seconds=6.0, ended_by="divergence")
    assert [group["optimizer"] for group in boards(table, diverged)[0].ranked] == ["mezo"], "it counts as it ended"


def test_altered_settings_are_on_no_board(table, make_run):
    altered = make_run("snn", "polystep", 2, altered=("budget.seconds=60",), cell_id="other")
    (board,) = boards(table, make_run("snn", "polystep"), altered)
    assert [run["seed"] for group in board.groups for run in group.runs] == [42]


def test_best_is_chosen_by_validation(table, make_run):
    lucky = make_run("snn", "lucky", test_selected=0.99, validation_selected=0.5)
    good = make_run("snn", "good", test_selected=0.9, validation_selected=0.95)
    (board,) = boards(table, lucky, good)
    assert board.best(board.ranked)["optimizer"] == "good"


def test_test_scores_choose_nothing(table, make_run):
    runs = [
        make_run("snn", name, validation_selected=0.9, test_selected=score, cell_id=cell)
        for name, score, cell in [("spsa", 0.8, "b"), ("mezo", 0.9, "a")]
    ]
    (board,) = boards(table, *runs)
    assert board.groups[0]["optimizer"] == "mezo" and board.best(board.groups)["optimizer"] == "spsa"
    turned = [run | {"test_selected": 1.7 - run["test_selected"]} for run in runs]
    (board,) = boards(table, *turned)
    assert board.groups[0]["optimizer"] == "spsa" == board.best(board.groups)["optimizer"]


def test_direction_decides_who_is_first(table, make_run):
    runs = [
        make_run("loss", name, test_selected=score, direction="minimize") for name, score in [("a", 0.3), ("b", 0.1)]
    ]
    (board,) = boards(table, *runs)
    assert [group["optimizer"] for group in board.groups] == ["b", "a"]


def test_kinds_of_methods_are_told_by_what_they_were_seen_to_use(table, make_run):
    runs = [
        make_run("snn", "polystep"),
        make_run("snn", "mine"),
        make_run("snn", "walksat"),
        make_run("snn", "adam_surrogate"),
    ]
    (board,) = boards(table, *runs)
    assert [group["optimizer"] for group in board.rivals] == ["mine"]
    assert [group.label for group in board.groups if group.uses_gradients] == ["Adam, surrogate gradient"]


def test_variants_of_a_method_are_told_by_the_names_of_their_settings(table, make_run):
    runs = [
        make_run("snn", "openai_es_few_rows", method="openai_es", method_title="OpenAI-ES"),
        make_run("snn", "mine", method="openai_es", method_title="OpenAI-ES"),
        make_run("snn", "adam_surrogate", method="adam"),
    ]
    (board,) = boards(table, *runs)
    assert {group.label for group in board.groups} == {"OpenAI-ES, few rows", "OpenAI-ES", "Adam, surrogate gradient"}


def test_heads_that_stop_gradients_are_told(table, make_run):
    settings = {"method_title": "PPO", "uses": ("gradient:straight_through",), "optimizer.quantised_heads": True}
    ((group,),) = (board.groups for board in boards(table, make_run("cartpole", "ppo", **settings)))
    assert group.label == "PPO, quantised heads, no gradient"


def test_gradients_of_policies_go_by_the_kind_that_was_asked_for(table, make_run):
    settings = {"method_title": "PPO", "optimizer.gradient": "straight_through"}
    runs = [
        make_run("cartpole", "ppo", seed, uses=(f"gradient:{kind}",), **settings)
        for seed, kind in enumerate(("straight_through", "policy"))
    ]
    ((group,),) = (board.groups for board in boards(table, *runs))
    assert group.label == "PPO, straight-through gradient"
    assert len(group.runs) == 2


def test_a_method_with_a_score_that_is_no_number_is_not_ranked_by_the_others(table, make_run):
    runs = [make_run("snn", "spsa", seed, test_selected=math.nan if seed == 1 else 0.99) for seed in (1, 2, 3)]
    (board,) = boards(table, *runs, make_run("snn", "polystep", test_selected=0.5))
    assert [group["optimizer"] for group in board.ranked] == ["polystep"]


def test_figures_show_the_settings_with_most_evidence_not_those_with_the_best_test(table, make_run):
    earlier = make_run("snn", "spsa", cell_id="a", test_selected=0.9, ended="2026-01-01T00:00:00+00:00")
    later = make_run("snn", "spsa", cell_id="b", test_selected=0.8, ended="2026-01-02T00:00:00+00:00")
    for first, second in ((earlier, later), (later | {"ended": earlier["ended"]}, earlier | {"ended": later["ended"]})):
        (groups,) = groups_by_method(boards(table, first, second)).values()
        assert [group["cell_id"] for group in groups] == [second["cell_id"]]


def test_returns_with_published_settings_are_those_of_the_last_policy(table, make_run):
    lost, kept = ({"test_selected": 500.0, "test_last": last} for last in (150.0, 400.0))

    def first(task, **columns):
        runs = [make_run(task, "polystep", **lost, **columns), make_run(task, "openai_es", **kept, **columns)]
        (board,) = boards(table, *runs)
        return board.groups[0]

    published = {"protocol": "published", "edition": "first"}
    group = first("cartpole", **published)
    assert (group.score, group["optimizer"], group.spread(group.score).mean) == ("test_last", "openai_es", 400.0)
    assert first("cartpole").score == first("snn", **published).score == "test_selected"


def test_settings_are_labelled_by_what_differs_from_the_study(make_run):
    own = (make_run("snn", "spsa", **{"optimizer.rate": 0.1, "optimizer.decay": 0.6}),)
    altered = (
        make_run(
            "snn",
            "spsa",
            cell_id="other",
            altered=("optimizer.rate=1",),
            **{"optimizer.rate": 1.0, "optimizer.decay": 0.6},
        ),
    )
    assert setting_labels([own, altered]) == ["", "rate=1"]


def test_equal_settings_on_several_machines_have_one_label(table, make_run):
    runs = [make_run("snn", "spsa", seed, processor=name) for seed in (1, 2) for name in ("one", "another")]
    assert [group.label for group in group_runs(table(*runs))] == ["spsa", "spsa"]
    other = make_run("snn", "spsa", 3, cell_id="other", altered=("optimizer.rate=1",), **{"optimizer.rate": 1.0})
    assert {group.label for group in group_runs(table(*runs, other))} == {"spsa", "spsa (rate=1)"}


def test_labels_that_are_too_long_are_replaced_by_the_identity(make_run):
    runs = [(make_run("snn", "spsa", cell_id=f"{n}abcdefg", **{"optimizer.text": str(n) * 90}),) for n in (1, 2, 3)]
    assert setting_labels(runs) == ["", "2abcde", "3abcde"]


def test_summaries_show_one_task_per_size(table, make_run):
    tasks = ("maxsat_100v", "maxsat_1000v", "maxsat_100000v", "maxsat_1000v_seed43")
    runs = [make_run(task, "polystep") for task in tasks] + [make_run("maxsat_1000v", "walksat")]
    for run in runs:
        run |= {"family": "maxsat", "size": int(run["task"].split("_")[1][:-1])}
    (shown,) = main_boards(boards(table, *runs)).values()
    assert [board.task for board in shown] == ["maxsat_100v", "maxsat_1000v", "maxsat_100000v"]


def test_intervals_of_shares_are_cut_to_what_shares_can_be():
    found = interval_of([0.9, 1.0, 1.0])
    assert found.high > 1.05 and cut(found, SHARES) == (found.value, found.low, 1.0) and found.low > 0.8
    assert cut(Interval(0.5, None, None), SHARES) == (0.5, None, None)


def test_intervals_of_tables_are_those_of_verdicts(table, make_run):
    scores = [1.0, 1.0, 1.0, 1.0, 1.0, 0.2]
    runs = [make_run("snn", "spsa", seed, test_selected=score, best=1.0) for seed, score in enumerate(scores)]
    found = score_interval(group_runs(table(*runs))[0], "test_selected")
    assert found[1:] == tuple(map(float, interval(scores, True, (-math.inf, 1.0)))) and found.high < 1.0


def test_intervals_of_returns_do_not_pass_the_best_one_and_the_lower_end_of_equal_ones_needs_six(table, make_run):
    def group(*scores):
        runs = [
            make_run("cartpole", "spsa", seed, test_selected=score, unit="", best=500.0, data="d")
            for seed, score in enumerate(scores)
        ]
        return group_runs(table(*runs))[0]

    assert score_interval(group(450.0, 499.0, 480.0), "test_selected").high == 500.0
    assert score_interval(group(*[500.0] * 5), "test_selected") == (500.0, None, 500.0)
    assert score_interval(group(*[500.0] * 6), "test_selected") == (500.0, 500.0, 500.0)
    # a score as good as the best one says nothing about the spread
    for scores in ([450.0, 500.0, 480.0], [450.0] * 5):
        value, low, high = score_interval(group(*scores), "test_selected")
        assert low is None and value < high < 500.0


def test_equal_shares_of_few_seeds_have_no_lower_end(table, make_run):
    runs = [make_run("snn", "spsa", seed, test_selected=0.5) for seed in range(5)]
    value, low, high = score_interval(group_runs(table(*runs))[0], "test_selected")
    assert (value, low) == (0.5, None) and 0.5 < high < 1.0
