"""Statements hold where complete data says so, and never for want of data."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polystep.bench.claims.conditions import Condition, Verdict, mean_with_interval
from polystep.bench.claims.evidence import Evidence, Score
from polystep.bench.claims.statements import Statement, complete_profiles, judge_statement, read_statements
from polystep.bench.schema import ConfigError

SEEDS = (1, 2, 3)
ABOVE = Condition(Score("snn", "polystep"), at_least=0.9, tolerance=0.01)
LEADS = Condition(Score("snn", "polystep"), Score("snn", "spsa"), at_least=0.1)


def statement(*conditions: Condition, studies=None, seeds=SEEDS) -> Statement:
    return Statement("name", "text", conditions, studies or {"published settings": "paper"}, seeds)


def judge(runs, claim, planned=None):
    """`planned`: the runs whose configurations are complete; by default all of them."""
    evidence = Evidence(runs, [run.config for run in (runs if planned is None else planned)])
    return judge_statement(claim, evidence)


def runs_of(make_run, *values, **labels):
    return [make_run(seed=seed, test=value, **labels) for seed, value in enumerate(values, 1)]


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ((0.93, 0.93, 0.93), Verdict.HOLDS),
        ((0.89, 0.89, 0.89), Verdict.HOLDS),  # exactly the bound with its tolerance
        ((0.88, 0.881, 0.882), Verdict.FAILS),
        ((0.86, 0.90, 0.94), Verdict.UNDECIDED),  # mean above the bound, interval around it
        ((0.93, 0.93), Verdict.UNDECIDED),
        ((), Verdict.NOT_RUN),
    ],
)
def test_verdicts(make_run, values, verdict) -> None:
    judgement = judge(runs_of(make_run, *values), statement(ABOVE))
    assert judgement.overall is verdict
    assert bool(judgement.reasons()) == (verdict in (Verdict.UNDECIDED, Verdict.NOT_RUN))


def test_an_upper_bound_counts_too(make_run) -> None:
    between = Condition(Score("snn", "polystep"), at_least=0.1, at_most=0.5)
    assert judge(runs_of(make_run, 0.3, 0.3, 0.3), statement(between)).overall is Verdict.HOLDS
    assert judge(runs_of(make_run, 0.6, 0.6, 0.6), statement(between)).overall is Verdict.FAILS


def test_part_of_a_budget_decides_nothing_and_is_named(make_run) -> None:
    planned = runs_of(make_run, 0.0, 0.0, 0.0)
    for shorter in (runs_of(make_run, 0.99, 0.99, 0.99, steps=40), runs_of(make_run, 0.1, 0.1, 0.1, steps=40)):
        judgement = judge(shorter, statement(ABOVE), planned)
        assert judgement.overall is Verdict.UNDECIDED
        assert "complete runs of 0 of 3 seeds" in judgement.reasons()[0]
        assert "budget.steps=40 instead of 100" in judgement.reasons()[0]
        assert judgement.decisive("published settings").value is None


def test_other_seeds_do_not_count(make_run) -> None:
    good = [*runs_of(make_run, 0.95, 0.95), make_run(seed=7, test=0.95)]
    assert judge(good, statement(ABOVE)).overall is Verdict.UNDECIDED
    bad_extra = [*runs_of(make_run, 0.95, 0.95, 0.95), make_run(seed=7, test=0.1)]
    assert judge(bad_extra, statement(ABOVE)).overall is Verdict.HOLDS


def test_one_seed_gives_no_interval(make_run) -> None:
    judgement = judge([make_run(seed=1, test=0.99)], statement(ABOVE, seeds=(1,)))
    assert judgement.overall is Verdict.UNDECIDED
    assert "one seed gives no interval" in judgement.reasons()[0]


def test_differences_are_taken_seed_by_seed(make_run) -> None:
    # the spread over seeds is common to both, so that the difference is certain although neither score is
    runs = runs_of(make_run, 0.5, 0.7, 0.9) + runs_of(make_run, 0.35, 0.56, 0.74, method="spsa")
    outcome = judge(runs, statement(LEADS)).decisive("published settings")
    assert outcome.verdict is Verdict.HOLDS
    assert dict(outcome.by_seed) == pytest.approx({1: 0.15, 2: 0.14, 3: 0.16})
    assert outcome.value.unit == "difference of fraction"


def test_a_missing_rival_leaves_a_lead_undecided(make_run) -> None:
    judgement = judge(runs_of(make_run, 0.9, 0.9, 0.9), statement(LEADS))
    assert judgement.overall is Verdict.UNDECIDED
    assert judgement.reasons() == ["no finished run of spsa on snn, study paper"]


def test_a_condition_that_fails_decides_whatever_is_missing(make_run) -> None:
    assert judge(runs_of(make_run, 0.1, 0.1, 0.1), statement(ABOVE, LEADS)).overall is Verdict.FAILS


def test_a_statement_that_fails_under_one_protocol_does_not_hold(make_run) -> None:
    both = {"published settings": "paper", "equal budgets": "matched_time"}
    runs = runs_of(make_run, 0.95, 0.95, 0.95) + runs_of(make_run, 0.5, 0.5, 0.5, study="matched_time")
    judgement = judge(runs, statement(ABOVE, studies=both))
    assert judgement.verdict("published settings") is Verdict.HOLDS
    assert judgement.verdict("equal budgets") is Verdict.FAILS
    assert judgement.overall is Verdict.FAILS


def test_variants_are_told_apart_by_their_settings(make_run) -> None:
    runs = runs_of(make_run, 0.9, 0.9, 0.9, setting="mean") + runs_of(make_run, 0.6, 0.6, 0.6, setting="best")
    mean, best = (Score("snn", "polystep", where={"optimizer.setting": name}) for name in ("mean", "best"))
    assert judge(runs, statement(Condition(mean, best, at_least=0.2))).overall is Verdict.HOLDS
    ambiguous = judge(runs, statement(ABOVE))
    assert ambiguous.overall is Verdict.UNDECIDED and "2 different settings" in ambiguous.reasons()[0]


def test_marked_steps_and_other_metrics(make_run) -> None:
    runs = runs_of(make_run, 0.8, 0.8, 0.8)
    early, last = Score("snn", "polystep", step=20), Score("snn", "polystep", metric="test_last")
    assert judge(runs, statement(Condition(last, early, at_least=0.3))).overall is Verdict.HOLDS
    assert judge(runs, statement(Condition(Score("snn", "polystep", step=40), at_least=0))).overall is Verdict.UNDECIDED


def test_published_scores_of_the_same_seeds(make_run) -> None:
    published = {42: 0.5339, 123: 0.3281}
    condition = Condition(Score("snn", "polystep", step=20), None, True, at_least=0.01)
    runs = [make_run(seed=seed, test=2 * (score + 0.02)) for seed, score in published.items()]
    outcome = judge(runs, statement(condition, seeds=tuple(published))).decisive("published settings")
    assert dict(outcome.by_seed)[42] == pytest.approx(0.02)
    unpublished = judge([make_run(seed=seed) for seed in SEEDS], statement(condition))
    assert unpublished.overall is Verdict.UNDECIDED and "not all of these seeds" in unpublished.reasons()[0]


def test_different_metrics_are_not_compared(make_run) -> None:
    metric = {"name": "return", "direction": "maximize", "unit": ""}
    runs = runs_of(make_run, 0.9, 0.9, 0.9) + runs_of(make_run, 0.1, 0.1, 0.1, method="spsa", metric=metric)
    assert judge(runs, statement(LEADS)).overall is Verdict.UNDECIDED


def test_failed_runs_say_nothing(make_run) -> None:
    assert judge(runs_of(make_run, 0.9, 0.9, 0.9, status="failed"), statement(ABOVE)).overall is Verdict.NOT_RUN


def test_of_repetitions_the_last_counts(make_run) -> None:
    runs = runs_of(make_run, 0.1, 0.1, 0.1) + runs_of(make_run, 0.95, 0.95, 0.95, ended="2026-02-01T00:00:00+00:00")
    assert judge(runs[::-1], statement(ABOVE)).overall is Verdict.HOLDS


def test_the_interval_is_that_of_students_t() -> None:
    estimate = mean_with_interval([1.0, 2.0, 3.0], "")
    # t(0.975, 2) = 4.302653, s = 1
    assert estimate.value == 2 and estimate.high - 2 == pytest.approx(4.302653 / 3**0.5, rel=1e-6)
    assert mean_with_interval([1.0], "").low is None


SCORES = st.sampled_from([0.3, 0.5, 0.89, 0.9, 0.91, 0.95])
LABELS = st.tuples(
    st.sampled_from(["polystep", "spsa"]), st.sampled_from(["paper", "matched_time"]), st.integers(1, 4), st.booleans()
)
"""Method, study, seed, and whether the run is complete."""


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(LABELS, SCORES), st.sets(LABELS), st.lists(st.sampled_from([ABOVE, LEADS]), min_size=1), st.data()
)
def test_removing_records_never_makes_a_statement_hold(make_run, scores, removed, conditions, data) -> None:
    runs = {
        labels: make_run(labels[0], labels[2], score, study=labels[1], steps=100 if labels[3] else 40)
        for labels, score in scores.items()
    }
    planned = [
        make_run(method, seed, study=study)
        for method in ("polystep", "spsa")
        for study in ("paper", "matched_time")
        for seed in SEEDS
    ]
    studies = data.draw(st.sampled_from([{"a": "paper"}, {"a": "paper", "b": "matched_time"}]))
    claim = statement(*conditions, studies=studies)
    fewer = [run for labels, run in runs.items() if labels not in removed]
    if judge(fewer, claim, planned).overall is Verdict.HOLDS:
        assert judge(list(runs.values()), claim, planned).overall is Verdict.HOLDS


def test_every_record_that_a_claim_rests_on_is_needed(make_run) -> None:
    """The converse of the above: the property test would pass if nothing ever held."""
    runs = runs_of(make_run, 0.95, 0.95, 0.95) + runs_of(make_run, 0.5, 0.5, 0.5, method="spsa")
    claim = statement(ABOVE, LEADS)
    assert judge(runs, claim, runs).overall is Verdict.HOLDS
    for left_out in runs:
        assert judge([run for run in runs if run is not left_out], claim, runs).overall is Verdict.UNDECIDED


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("statements: [{name: a, statement: b, conditions: []}]", "would hold whatever was measured"),
        ("statements: [{name: a, statement: b, conditions: [{score: {task: t, method: m}}]}]", "nothing could fail"),
        ("statements: [{name: a, statement: b, conditions: [{score: {task: t, metod: m}, at_least: 1}]}]", "method"),
        ("statements: [{name: a, statement: b, conditions: [{scor: 1, at_least: 1}]}]", "did you mean score"),
        ("statements: [{name: a}]", "not a list of statements"),
        ("statements: 3", "not a list of statements"),
        ("a: [", "not a list of statements"),
    ],
)
def test_malformed_statements_are_explained(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "claims.yaml"
    path.write_text(f"studies: {{a: paper}}\nseeds: [1, 2]\n{text}\n" if text.startswith("st") else text)
    with pytest.raises(ConfigError, match=message) as caught:
        read_statements(path)
    assert str(path) in str(caught.value)


def test_files_must_name_profiles(tmp_path: Path) -> None:
    path = tmp_path / "claims.yaml"
    path.write_text("statements: []")
    with pytest.raises(ConfigError, match="names no profiles"):
        complete_profiles(path)
    path.write_text("profiles: [paper]")
    assert complete_profiles(path) == ["paper"]


def test_a_missing_file_is_explained(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not a list of statements"):
        read_statements(tmp_path / "none.yaml")
