"""Statements hold where complete and comparable runs say so, and never for want of data."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polystep.report.claims.judge import judge, judge_own_first, verdicts
from polystep.report.claims.statements import Condition, Score
from polystep.report.one_run import budget_fault
from tests.polystep.report.claims.table_of_runs import (
    ABOVE,
    BAD,
    GOOD,
    LEADS,
    POLYSTEP,
    make_row,
    runs_of,
    statement,
    table,
)

BETTER = (0.95, 0.965, 0.955, 0.97, 0.96, 0.952)
"""Than GOOD, seed by seed."""
HOLDS, FAILS, UNDECIDED, NOT_RUN = "holds", "does not hold", "undecided", "not run"


def outcome(rows, claim):
    """The row of the claim that decides, under its first axis."""
    return verdicts(judge(table(rows), [claim])).iloc[0]


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        (GOOD, HOLDS),
        ((0.88, 0.881, 0.882, 0.88, 0.881, 0.88), FAILS),
        ((0.80, 0.90, 0.94, 0.95, 0.96, 0.94), UNDECIDED),
        (GOOD[:5], UNDECIDED),
        ((), NOT_RUN),
    ],
)
def test_verdicts(values, verdict):
    row = outcome(runs_of(values), statement(ABOVE))
    assert row["verdict"] == verdict
    assert bool(row["reason"]) == (verdict in (UNDECIDED, NOT_RUN))
    assert len(row["run_ids"]) == len(values)


def test_an_interval_that_ends_on_the_bound_does_not_hold():
    at_bound = Condition(POLYSTEP, at_least=0.93)
    assert outcome(runs_of([0.93] * 6), statement(at_bound))["verdict"] == UNDECIDED


def test_both_bounds_count():
    between = statement(Condition(POLYSTEP, at_least=0.1, at_most=0.6))
    assert outcome(runs_of(BAD), between)["verdict"] == HOLDS
    assert outcome(runs_of(GOOD), between)["verdict"] == FAILS


def test_differences_are_taken_seed_by_seed():
    # the spread over seeds is common to both, so that the difference is certain although neither score is
    common = (0.5, 0.7, 0.9, 0.6, 0.8, 0.55)
    rivals = [value - lead for value, lead in zip(common, (0.15, 0.14, 0.16, 0.15, 0.14, 0.16), strict=True)]
    row = outcome(runs_of(common) + runs_of(rivals, method="spsa"), statement(LEADS))
    assert row["verdict"] == HOLDS and row["value"] == pytest.approx(0.15) and row["difference"]


def test_a_difference_is_positive_where_smaller_scores_are_better():
    error = {"metric": "mse", "direction": "minimize", "unit": "mse", "best": 0.0}
    rows = runs_of([0.2, 0.21, 0.2, 0.22, 0.21, 0.2], **error) + runs_of(BAD, method="spsa", **error)
    row = outcome(rows, statement(LEADS))
    assert row["verdict"] == HOLDS and row["value"] == pytest.approx(0.3, abs=0.01)


def test_a_missing_rival_leaves_a_lead_undecided():
    row = outcome(runs_of(GOOD), statement(LEADS))
    assert row["verdict"] == UNDECIDED and row["reason"] == "no finished run of spsa on snn, equal_seconds"


def test_another_method_without_gradients_is_a_rival_too():
    rows = runs_of(GOOD) + runs_of(BAD, method="spsa")
    assert outcome(rows, statement(LEADS))["verdict"] == HOLDS
    beaten = rows + runs_of(BETTER, method="finite_differences")
    assert outcome(beaten, statement(LEADS))["verdict"] == FAILS


def test_what_a_run_uses_decides_who_is_a_rival_whatever_its_name():
    rows = runs_of(GOOD) + runs_of(BAD, method="spsa")
    learner = runs_of([0.99] * 6, method="ppo", uses=("environment", "gradient:backpropagation"))
    assert outcome(rows + learner, statement(LEADS))["verdict"] == HOLDS
    named_like_one = runs_of(BETTER, method="adam_without_gradients")
    assert outcome(rows + named_like_one, statement(LEADS))["verdict"] == FAILS
    rival = runs_of(BAD, method="spsa", uses=("losses", "gradient:surrogate"))
    row = outcome(runs_of(GOOD) + rival, statement(LEADS))
    assert row["verdict"] == UNDECIDED and "uses gradients" in row["reason"]


# every way in which a lead could hold wrongly: a change to the runs of the method, or to those of the rival
WRONG = {
    "on 64 threads": ({"threads": 64}, {}),
    "on another processor": ({"processor": "Xeon"}, {}),
    "on a GPU": ({"device": "cuda"}, {}),
    "modified code": ({"clean": False}, {}),
    "unknown code": ({"clean": None}, {}),
    "no commit": ({"commit": None}, {}),
    "rival of modified code": ({}, {"clean": False}),
    "other data": ({"data": "other"}, {}),
    "altered settings": ({"altered": ("optimizer.probe_radius=2",)}, {}),
    "altered rival": ({}, {"altered": ("optimizer.sigma=1",)}),
    "rival had 0.2 of 300 s": ({}, {"step_seconds": 0.2}),
    "rival had 270 of 300 s by a limit of steps": ({}, {"step_seconds": 270.0, "used_share": 1.0}),
    "330 of 300 s": ({"step_seconds": 330.0}, {}),
    "rival had a smaller limit": ({}, {"step_seconds": 30.0, "budget.seconds": 30.0}),
    "rival had no limit of seconds": ({}, {"budget.seconds": None}),
    "failed": ({"status": "failed"}, {}),
    "interrupted rival": ({}, {"status": "interrupted"}),
    "tuning runs": ({"protocol": "tuning"}, {}),
    "another metric": ({"metric": "return", "unit": ""}, {}),
}


@pytest.mark.parametrize("case", WRONG)
def test_no_lead_holds_wrongly(case):
    ours, theirs = WRONG[case]
    assert outcome(runs_of(GOOD) + runs_of(BAD, method="spsa"), statement(LEADS))["verdict"] == HOLDS
    rows = runs_of(GOOD, **ours) + runs_of(BAD, method="spsa", **theirs)
    row = outcome(rows, statement(LEADS))
    assert row["verdict"] == UNDECIDED and row["reason"]


def test_every_seed_on_other_data_decides_nothing():
    rows = [make_row(seed=seed, test=test, data=f"split {seed}") for seed, test in enumerate(GOOD, 1)]
    row = outcome(rows, statement(ABOVE))
    assert row["verdict"] == UNDECIDED and "different data" in row["reason"]


def test_the_context_matters_for_seconds_only():
    rows = runs_of(GOOD, axis="equal_evaluations", threads=64) + runs_of(BAD, method="spsa", axis="equal_evaluations")
    assert outcome(rows, statement(LEADS, axes=("equal_evaluations",)))["verdict"] == HOLDS
    fewer = rows[:6] + runs_of(BAD, method="spsa", axis="equal_evaluations", candidate_evaluations=100)
    assert outcome(fewer, statement(LEADS, axes=("equal_evaluations",)))["verdict"] == UNDECIDED


def test_of_several_contexts_one_that_has_all_of_it_counts():
    complete = runs_of(GOOD) + runs_of(BAD, method="spsa")
    elsewhere = runs_of(BAD, processor="Xeon", ended="2027-01-01T00:00:00+00:00")
    assert outcome(complete + elsewhere, statement(LEADS))["verdict"] == HOLDS


def test_a_score_under_an_axis_of_its_own_needs_one_machine_and_limit_there():
    timed = Condition(POLYSTEP, Score("snn", "spsa", axis="equal_seconds"), at_least=0.1)
    published = runs_of(GOOD, axis="published", processor="Xeon")
    assert (
        outcome([*published, *runs_of(BAD, method="spsa")], statement(timed, axes=("published",)))["verdict"] == HOLDS
    )
    for changed in ({"processor": "Xeon"}, {"budget.seconds": 290.0}):
        rivals = [*runs_of(BAD[:5], method="spsa"), make_row(method="spsa", seed=6, test=0.5, **changed)]
        row = outcome([*published, *rivals], statement(timed, axes=("published",)))
        assert row["verdict"] == UNDECIDED and ("machines" in row["reason"] or "limits" in row["reason"])


def test_other_seeds_do_not_count():
    rows = [*runs_of(GOOD[:5]), make_row(seed=99, test=0.95)]
    assert outcome(rows, statement(ABOVE))["verdict"] == UNDECIDED
    rows = [*runs_of(GOOD), make_row(seed=99, test=0.1)]
    assert outcome(rows, statement(ABOVE))["verdict"] == HOLDS


def test_seconds_that_another_process_took_are_none() -> None:
    busy = [make_row(seed=1, test=0.93, cpu_seconds=280.0), *runs_of(GOOD)[1:]]
    row = outcome(busy, statement(ABOVE))
    assert row["verdict"] == UNDECIDED and "left out: on a busy machine (1 run)" in row["reason"]
    for known in ({"cpu_seconds": 300.0}, {"cpu_seconds": None}, {"axis": "equal_evaluations", "cpu_seconds": 280.0}):
        assert not budget_fault(make_row(**known))


def test_saturated_scores_have_no_interval_of_no_width():
    solved = Condition(Score("cartpole_int8", "polystep"), at_least=490.0)
    cartpole = {"task": "cartpole_int8", "metric": "return", "unit": "", "best": 500.0}
    for few in ((500.0, 500.0, 500.0), (500.0, 499.6, 500.0, 500.0, 499.9)):
        row = outcome(runs_of(few, **cartpole), statement(solved, seeds=len(few)))
        assert row["verdict"] == UNDECIDED and "six seeds" in row["reason"]
    assert outcome(runs_of([500.0] * 6, **cartpole), statement(solved))["verdict"] == HOLDS
    one_fails = (500.0, 499.5, 500.0, 368.7, 500.0, 499.9)
    assert outcome(runs_of(one_fails, **cartpole), statement(solved))["verdict"] == UNDECIDED
    many = (500.0,) * 9 + (100.0,)
    assert outcome(runs_of(many, **cartpole), statement(solved, seeds=10))["verdict"] == UNDECIDED


def test_an_interval_ends_where_no_score_can_go():
    row = outcome(runs_of([0.99, 0.98, 0.9, 0.97, 0.99, 0.98]), statement(Condition(POLYSTEP, at_least=0.5)))
    assert row["high"] == 1.0 and row["low"] < 0.97
    perfect = statement(Condition(POLYSTEP, at_least=1.0))
    assert outcome(runs_of([1.0] * 6), perfect)["verdict"] == HOLDS, "nothing can be better"


def test_of_several_settings_the_latest_counts_and_is_named():
    old = runs_of(BAD, cell_id="old", ended="2025-01-01T00:00:00+00:00")
    row = outcome(old + runs_of(GOOD), statement(ABOVE))
    assert row["verdict"] == HOLDS and "latest of 2 settings" in row["reason"]


def test_variants_are_told_apart_by_settings_that_may_differ_from_the_study():
    mean, best = (Score("snn", "polystep", where={"optimizer.setting": name}) for name in ("mean", "best"))
    rows = [
        run | {"optimizer.setting": name, "altered": (f"optimizer.setting={name}",), "cell_id": name}
        for name, values in (("mean", GOOD), ("best", BAD))
        for run in runs_of(values)
    ]
    assert outcome(rows, statement(Condition(mean, best, at_least=0.2)))["verdict"] == HOLDS
    assert outcome(rows, statement(ABOVE))["verdict"] == UNDECIDED, "altered, and not named"
    path = "optimizer.temperature.component"
    of_component = ("optimizer.temperature._target_=Cosine", "optimizer.temperature.steps=9")
    component = [run | {"altered": of_component, path: "cosine"} for run in runs_of(GOOD)]
    either = Score("snn", "polystep", where={path: ["cosine", "linear"]})
    assert outcome(component, statement(Condition(either, at_least=0.89)))["verdict"] == HOLDS
    longer = [run | {"altered": ("optimizer.setting_too=1",), "optimizer.setting": "mean"} for run in runs_of(GOOD)]
    assert outcome(longer, statement(Condition(mean, at_least=0.89)))["verdict"] == UNDECIDED
    elsewhere = Score("snn", "polystep", where={"optimizer.unknown": 1})
    assert outcome(rows, statement(Condition(elsewhere, at_least=0)))["verdict"] == NOT_RUN


def test_marked_steps_and_published_scores_of_the_same_seeds():
    published = {42: 0.5339, 123: 0.3782}
    early = Condition(Score("snn", "polystep", step=20), minus_published=True, at_least=-0.1, at_most=0.1)
    claim = replace(statement(early, axes=("published",)), seeds=tuple(published))
    rows = [make_row(seed=seed, test=2 * (test + 0.02), axis="published") for seed, test in published.items()]
    row = outcome(rows, claim)
    assert row["verdict"] == UNDECIDED and row["value"] == pytest.approx(0.02), "all equal: two seeds are too few"
    # repeated without looks at the test set, which takes none away
    repeated = [make_row(seed=42, test=0.5, axis="published", test_curve={}, ended="2027-01-01T00:00:00+00:00")]
    assert outcome([*rows, *repeated], claim)["value"] == row["value"]
    other = outcome(runs_of(GOOD, axis="published"), statement(early, axes=("published",)))
    assert other["verdict"] == UNDECIDED and "not published for all of these seeds" in other["reason"]
    assert outcome(rows, statement(Condition(Score("snn", "polystep", step=40), at_least=0)))["verdict"] == NOT_RUN


def test_settings_of_the_claims_edition_come_before_those_of_none():
    axis = {"axis": "equal_evaluations"}
    ours = runs_of(BAD, **axis)
    revised = runs_of(GOOD, edition="revised", **axis)
    for edition, verdict in (("revised", HOLDS), ("first", FAILS), ("ours", FAILS)):
        claim = statement(ABOVE, axes=("equal_evaluations",), edition=edition)
        assert outcome(ours + revised, claim)["verdict"] == verdict
    assert outcome(revised, statement(ABOVE, axes=("equal_evaluations",), edition="first"))["verdict"] == NOT_RUN


def test_budgets_of_ours_do_not_judge_an_edition_that_has_its_own():
    for axis, verdict in (("equal_evaluations", NOT_RUN), ("equal_steps", NOT_RUN), ("equal_seconds", FAILS)):
        claim = statement(ABOVE, axes=(axis,), edition="revised")
        assert outcome(runs_of(BAD, axis=axis), claim)["verdict"] == verdict


@pytest.mark.parametrize("axis", ["equal_steps", "equal_evaluations"])
def test_published_runs_of_polystep_are_compared_with_rivals_that_have_their_budget(axis: str) -> None:
    lead = Condition(Score("snn", "polystep"), Score("snn", "openai_es"), at_least=0.0)
    ours = [
        run | {"steps": 100, "candidate_evaluations": 100, "budget.candidate_evaluations": None, "budget.steps": None}
        for run in runs_of(GOOD, axis="published", edition="revised")
    ]
    # as in a table with gaps
    spent = {"budget.steps": 100.0, "budget.candidate_evaluations": 100.0, "steps": 100, "candidate_evaluations": 100}
    rivals = [run | spent for run in runs_of(BAD, method="openai_es", axis=axis, edition="revised")]
    claim = statement(lead, axes=(axis,), edition="revised")
    assert outcome(ours + rivals, claim)["verdict"] == HOLDS
    other = [run | {"steps": 90, "candidate_evaluations": 90} for run in ours]
    assert "different limits" in outcome(other + rivals, claim)["reason"]


def test_editions_are_told_apart():
    rows = runs_of(GOOD, axis="published")
    assert outcome(rows, statement(ABOVE, axes=("published",)))["verdict"] == HOLDS
    assert outcome(rows, statement(ABOVE, axes=("published",), edition="revised"))["verdict"] == NOT_RUN


def test_a_condition_on_files_needs_no_runs():
    ahead = Condition(Score("snn", "polystep"), Score("snn", "openai_es"), files=True, at_least=0.6)
    row = outcome([], statement(ahead, axes=("files",)))
    assert row["verdict"] == HOLDS and row["value"] == pytest.approx(0.93362 - 0.3312)
    assert outcome([], statement(replace(ahead, at_least=0.7), axes=("files",)))["verdict"] == FAILS


def test_one_that_fails_decides_whatever_is_missing():
    row = outcome(runs_of(BAD), statement(ABOVE, LEADS))
    assert row["verdict"] == FAILS and row["condition"] == "polystep on snn" and not row["reason"]
    assert (row["conditions"], row["met"]) == (2, 0)


def test_axes_have_verdicts_of_their_own():
    rows = runs_of(GOOD, axis="published") + runs_of(BAD)
    found = verdicts(judge(table(rows), [statement(ABOVE, axes=("published", "equal_seconds"))]))
    assert dict(zip(found["axis"], found["verdict"], strict=True)) == {"published": HOLDS, "equal_seconds": FAILS}


@pytest.mark.parametrize(
    ("own", "verdict", "source"),
    [((), HOLDS, "committed"), (GOOD[:3], HOLDS, "committed"), (BAD, FAILS, "own"), (GOOD, HOLDS, "own")],
)
def test_own_runs_decide_where_they_can_else_the_committed_ones(own, verdict, source):
    rows = runs_of(GOOD, origin="committed") + runs_of(own, origin="own", ended="2027-01-01T00:00:00+00:00")
    row = verdicts(judge_own_first(table(rows), [statement(ABOVE)])).iloc[0]
    assert (row["verdict"], row["source"]) == (verdict, source)


def test_own_runs_are_shown_where_nothing_is_committed():
    row = verdicts(judge_own_first(table(runs_of(GOOD[:3], origin="own")), [statement(ABOVE)])).iloc[0]
    assert (row["verdict"], row["source"]) == (UNDECIDED, "own")


SCORES = st.sampled_from([0.3, 0.5, 0.88, 0.9, 0.91, 0.95])
LABELS = st.tuples(st.sampled_from(["polystep", "spsa"]), st.integers(1, 7), st.booleans())
"""Method, seed, and whether the run is complete."""


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(LABELS, SCORES), st.sets(LABELS), st.lists(st.sampled_from([ABOVE, LEADS]), min_size=1))
def test_removing_runs_never_makes_a_statement_hold(scores, removed, conditions):
    rows = {
        labels: make_row(labels[0], labels[1], score, step_seconds=300.0 if labels[2] else 40.0)
        for labels, score in scores.items()
    }
    claim = statement(*conditions)
    fewer = [row for labels, row in rows.items() if labels not in removed]
    if outcome(fewer, claim)["verdict"] == HOLDS:
        assert outcome(list(rows.values()), claim)["verdict"] == HOLDS


def test_every_run_that_a_claim_rests_on_is_needed():
    """The converse of the above: the property test would pass if nothing ever held."""
    rows = runs_of(GOOD) + runs_of(BAD, method="spsa")
    claim = statement(ABOVE, LEADS)
    assert outcome(rows, claim)["verdict"] == HOLDS
    for left_out in rows:
        assert outcome([row for row in rows if row is not left_out], claim)["verdict"] == UNDECIDED


def test_a_method_that_has_nothing_left_to_find_has_used_its_budget():
    finished = runs_of(GOOD, used_share=0.1, step_seconds=30.0, ended_by="method")
    stopped = runs_of(GOOD, used_share=0.1, step_seconds=30.0)
    assert list(judge(table(finished), [statement(ABOVE)]).verdict) == ["holds"]
    assert list(judge(table(stopped), [statement(ABOVE)]).verdict) == ["undecided"]
    late = runs_of(GOOD, used_share=12.0, step_seconds=12 * 300.0, ended_by="method")
    assert {budget_fault(run) for run in late} == {"more than its budget"}


def test_methods_that_look_at_single_units_are_no_rivals():
    claim = statement(LEADS)
    rows = runs_of(GOOD) + runs_of(BAD, method="spsa")
    units = runs_of([1.0] * len(GOOD), method="node_perturbation", uses=("perturbednodes",))
    assert outcome(rows, claim)["verdict"] == outcome(rows + units, claim)["verdict"] == HOLDS
    black_box = runs_of([1.0] * len(GOOD), method="node_perturbation")
    assert outcome(rows + black_box, claim)["verdict"] != HOLDS


def test_other_settings_of_a_method_are_no_rivals_of_it():
    rows = runs_of(GOOD) + runs_of(BAD, method="spsa")
    dense = runs_of(BETTER, method="polystep_dense", component="polystep")
    assert outcome(rows + dense, statement(LEADS))["verdict"] == HOLDS
    other = runs_of(BETTER, method="polystep_dense")
    assert outcome(rows + other, statement(LEADS))["verdict"] == FAILS


def test_one_of_many_conditions_does_not_fail_by_chance():
    """A point below the bound, which the interval of 95 % does not hold: alone that decides, among twelve it does not."""
    values = (0.88, 0.89, 0.87, 0.885, 0.88, 0.89)
    below = Condition(POLYSTEP, at_least=0.892)
    assert outcome(runs_of(values), statement(below))["verdict"] == FAILS
    rivals = [row for n in range(11) for row in runs_of(BAD, method=f"rival{n}")]
    many = [Condition(POLYSTEP, Score("snn", f"rival{n}"), at_least=0.1) for n in range(11)]
    row = outcome(runs_of(values) + rivals, statement(below, *many))
    assert row["verdict"] == UNDECIDED and "so few seeds may be so by chance among so many conditions" in row["reason"]
    # a rival that is ahead by the same amount on six seeds: the exact rule needs seven of two conditions
    for seeds in (6, 7):
        ours = [0.9 + seed / 100 for seed in range(seeds)]
        rows = runs_of(ours) + runs_of([score + 0.02 for score in ours], method="finite_differences")
        rows += runs_of([score - 0.3 for score in ours], method="spsa")
        verdict = outcome(rows, statement(LEADS, seeds=seeds))["verdict"]
        assert verdict == (UNDECIDED if seeds == 6 else FAILS)
    clear = [value - 0.3 for value in values]
    assert outcome(runs_of(clear) + rivals, statement(below, *many))["verdict"] == FAILS
