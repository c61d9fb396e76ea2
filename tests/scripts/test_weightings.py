"""Weighting rules side by side: paired differences, exact tests, and the runs that the profile makes."""

from collections import Counter
from itertools import product
from pathlib import Path
from typing import Any

import numpy
import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polystep.bench.profiles import read_profile
from polystep.report import load_runs
from polystep.report.table import to_markdown
from scripts import weightings
from scripts.console import COMMITTED, CONFIGS, ROOT
from tests.scripts.in_process import compute


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
        runs = read_profile(CONFIGS, profile)
        assert len({run.overrides for run in runs}) == len(runs)
        chosen = [dict(item.split("=", 1) for item in run.overrides) for run in runs]
        return [names.get("optimizer/weighting", "softmax") for names in chosen]

    wanted = {"softmax", "linear", "exponential_rank", "greedy", "top_k", "sinkhorn"}
    for profile, each in (("weighting", 10), ("weighting_further", 10), ("tuning_weighting", 9)):
        assert Counter(rules(profile)) == dict.fromkeys(wanted, each)


COMPONENTS = {"greedy": "cheapest", "top_k": "cheapest", "linear": "linear_weighting"}
SELECTED = {
    "softmax": (),
    "linear": ("optimizer/weighting=linear",),
    "greedy": ("optimizer/weighting=greedy", "optimizer.step_radius=0.0178"),
    "top_k": ("optimizer/weighting=top_k", "optimizer.weighting.count=4", "optimizer.step_radius=0.0178"),
}
FURTHER = ("optimizer.probe_radius=0.3", "optimizer.step_radius=0.03")


def runs_of(rule: str, scores: dict[int, float], **columns: Any) -> list[dict[str, Any]]:
    """Complete runs of the study as the table of runs has them."""
    row = {
        "status": "finished", "study": "weighting", "protocol": "controlled", "ended_by": "budget", "used_share": 1.0,
        "altered": SELECTED[rule], "cell_id": f"{rule} {columns}",
        "optimizer.weighting.component": COMPONENTS.get(rule, rule),
        "optimizer.weighting.count": {"greedy": 1, "top_k": 4}.get(rule), "optimizer.probe_radius": 0.1,
        "optimizer.step_radius": 0.01, "optimizer.temperature": 0.01, "ended": "2026-01-01",
    }  # fmt: skip
    return [row | {"seed": seed, "test_selected": score} | columns for seed, score in scores.items()]


def test_rules_are_compared_seed_by_seed() -> None:
    softmax = {1000: 0.80, 1001: 0.70, 1002: 0.75}
    runs = runs_of("softmax", softmax)
    for rule, change in (("linear", -0.02), ("greedy", 0.01), ("top_k", -0.03)):
        runs += runs_of(rule, {seed: score + change for seed, score in softmax.items()})
    # what is no run of the study's task and budget
    runs += runs_of("greedy", {1000: 0.1}, altered=(*SELECTED["greedy"], "task.dataset=digits"))
    runs += runs_of("softmax", {1000: 0.1}, altered=("optimizer.step_radius=0.3",))
    runs += runs_of("linear", {1000: 0.1}, used_share=0.5)
    table = weightings.weighting_table(pandas.DataFrame(runs))
    assert [row["rule"] for row in table.rows] == ["greedy", "softmax", "linear", "top_k"]
    found = {row["rule"]: row for row in table.rows}
    assert found["softmax"]["p"] is None and found["softmax"]["published"].mean == 0.7449
    assert found["top_k"]["published"] is None and found["greedy"]["published"].mean == 0.7589
    assert found["linear"]["ahead"].value == pytest.approx(0.02) and found["greedy"]["ahead"].value == pytest.approx(
        -0.01
    )
    assert [found[rule]["p"] for rule in ("linear", "greedy", "top_k")] == pytest.approx([0.25] * 3)
    assert [found[rule]["holm"] for rule in ("linear", "greedy", "top_k")] == pytest.approx([0.75] * 3)
    assert "| greedy | 0.1" in to_markdown(table)


def test_each_stage_has_its_own_softmax() -> None:
    runs = runs_of("softmax", {1: 0.8, 2: 0.8}) + runs_of("linear", {1: 0.7, 2: 0.7})
    runs += runs_of("softmax", {1: 0.9, 2: 0.9}, altered=FURTHER)
    runs += runs_of("linear", {1: 0.6, 2: 0.7, 3: 0.7}, altered=("optimizer/weighting=linear", *FURTHER))
    rows = weightings.weighting_table(pandas.DataFrame(runs)).rows
    assert [(row["stage"], row["rule"]) for row in rows] == list(
        product(weightings.STAGES.values(), ["softmax", "linear"])
    )
    assert [row["ahead"].value for row in rows] == [None, pytest.approx(0.1), None, pytest.approx(0.25)]
    assert [row["published"] is None for row in rows] == [False, False, True, True]
    # an accuracy is at most 1, a difference may be more
    assert (rows[3]["test"].high, rows[3]["ahead"].high > 0.8) == (pytest.approx(0.81009, abs=1e-5), True)
    assert weightings.weighting_table(pandas.DataFrame(runs_of("softmax", {1: 0.4, 2: 0.9}))).rows[0]["test"].high == 1


@pytest.mark.slow
def test_runs_of_another_size_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = ["task.dataset=digits", "task.validation_size=200", "task.network.hidden=4", "task.network.steps=5"]
    short = ["task.evaluation=functional", "budget.candidate_evaluations=600", "seed=1"]
    compute(tmp_path, "study=weighting", "task=snn", "optimizer=polystep", *small, *short)
    (run,) = load_runs(tmp_path).to_dict("records")
    assert run["protocol"] == "controlled" and run["optimizer.weighting.component"] == "softmax"
    capsys.readouterr()
    assert weightings.main([str(tmp_path)]) == 2
    assert "no complete runs of study=weighting with the settings of its profiles" in capsys.readouterr().out


def test_the_method_shows_the_committed_runs() -> None:
    table = weightings.weighting_table(load_runs(COMMITTED / "weighting.jsonl.xz"))
    assert len(table.rows) == 12
    lines = [line for line in to_markdown(table).splitlines() if line.startswith("|")]
    assert "\n".join(lines) in (ROOT / "polystep" / "METHOD.md").read_text(encoding="utf-8")


def test_no_runs_are_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert weightings.main([str(tmp_path)]) == 2
    assert capsys.readouterr().out.startswith("error: ")
