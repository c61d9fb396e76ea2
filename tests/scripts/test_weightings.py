"""Weighting rules side by side: paired differences, exact tests, and the runs that the profile makes."""

from itertools import product
from pathlib import Path

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polystep.bench.profiles import read_profile
from polystep.report import load_runs
from scripts import sweep, weightings
from scripts.console import CONFIGS


@given(st.lists(st.floats(-1, 1, allow_subnormal=False).filter(lambda x: abs(x) > 1e-3), min_size=2, max_size=8))
def test_the_test_counts_all_signs(differences: list[float]) -> None:
    values = numpy.array(differences)
    means = [float(numpy.mean(values * numpy.array(signs))) for signs in product((-1, 1), repeat=len(values))]
    observed = float(values.mean())
    tails = [sum(mean <= observed + 1e-12 for mean in means), sum(mean >= observed - 1e-12 for mean in means)]
    assert weightings.sign_flip(values) == pytest.approx(min(1.0, 2 * min(tails) / len(means)))


def test_three_equal_signs_have_a_p_value_of_a_quarter() -> None:
    assert weightings.sign_flip(numpy.array([0.1, 0.2, 0.3])) == pytest.approx(0.25)


def test_holm_corrects_as_published() -> None:
    """By hand: 0.01 times 4, 0.02 times 3, 0.03 times 2; 0.04 is raised to the one before it."""
    assert weightings.holm([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert weightings.holm([0.9, 0.8]) == [1.0, 1.0] and weightings.holm([]) == []


def test_the_profiles_have_all_rules_and_equally_many_trials_of_each() -> None:
    def rules(profile: str) -> list[str]:
        chosen = [dict(item.split("=", 1) for item in run.overrides) for run in read_profile(CONFIGS, profile)]
        assert len({run.overrides for run in read_profile(CONFIGS, profile)}) == len(chosen)
        return [names.get("optimizer/weighting", "softmax") for names in chosen]

    wanted = {"softmax", "linear", "exponential_rank", "greedy", "top_k", "sinkhorn"}
    for profile, each in (("weighting", 3), ("tuning_weighting", 9)):
        assert {rule: rules(profile).count(rule) for rule in rules(profile)} == dict.fromkeys(wanted, each)


@pytest.mark.slow
def test_runs_of_the_study_are_compared_seed_by_seed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    small = ["task.dataset=digits", "task.validation_size=200", "task.network.hidden=8", "task.network.steps=5"]
    short = ["budget.candidate_evaluations=6000", "threads=1", f"records={tmp_path}", "seed=1,2"]
    for rule in ("softmax", "greedy", "top_k"):
        rules = f"optimizer/weighting={rule}"
        assert sweep.main(["study=weighting", "task=snn", "optimizer=polystep", rules, *small, *short]) == 0
    table = weightings.weighting_table(load_runs(tmp_path))
    found = {row["rule"]: row for row in table.rows}
    assert set(found) == {"softmax", "greedy", "top_k"}
    assert found["softmax"]["p"] is None and found["softmax"]["published"].mean == 0.7449
    greedy = found["greedy"]
    assert greedy["ahead"].value == pytest.approx(found["softmax"]["test"].value - greedy["test"].value)
    assert greedy["p"] in (0.5, 1.0) and greedy["p"] <= greedy["holm"] <= 1
    capsys.readouterr()
    assert weightings.main([str(tmp_path)]) == 0
    assert "| greedy | 0.1" in capsys.readouterr().out


def test_no_runs_are_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert weightings.main([str(tmp_path)]) == 2
    assert "Traceback" not in capsys.readouterr().err
