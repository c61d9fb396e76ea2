"""The loader of published results, against values of the paper's tables."""

import pytest

from polystep.bench.published import (
    DATA_FOLDER,
    published_best_accuracy,
    published_cost,
    published_curve,
    published_last_accuracy,
    published_score,
)


def test_scores_are_those_of_the_file() -> None:
    assert published_best_accuracy("snn", "polystep") == (0.93362, 0.002244, 5)
    assert published_score("maxsat_1000000v", "probsat", "best_accuracy") == (0.989379, 0.0, 1)


def test_methods_go_by_our_labels() -> None:
    assert published_best_accuracy("snn", "cma_es") == published_best_accuracy("snn", "cmaes") == (0.16208, 0.07974, 5)


def test_last_accuracy_is_the_last_epoch_even_where_the_final_one_is_the_restored_best() -> None:
    final = published_score("argmax", "polystep", "final_accuracy")
    last = published_last_accuracy("argmax", "polystep")
    assert final is not None and last is not None
    assert final.mean == pytest.approx(0.86836)
    assert last.mean == pytest.approx(0.8319)
    baseline = published_last_accuracy("int8", "openai_es")
    assert baseline is not None and baseline.mean == pytest.approx(0.4178)


def test_what_is_not_published_is_none() -> None:
    assert published_score("snn", "polystep", "unheard_of") is None
    assert published_best_accuracy("moe", "adam") is None
    assert published_cost("snn", "unheard_of") is None
    assert published_curve("snn", "openai_es") is None


@pytest.mark.parametrize("task", ["snn", "int8", "argmax", "staircase"])
def test_adam_was_published_on_the_smooth_substitutes_alone(task: str) -> None:
    assert published_best_accuracy(task, "adam") is published_last_accuracy(task, "adam") is None
    assert published_cost(task, "adam") is published_curve(task, "adam") is None
    score = published_best_accuracy(f"{task}_smooth", "adam")
    assert score is not None and score.n_seeds == 5
    assert published_best_accuracy(f"{task}_smooth", "polystep") is None


def test_adam_on_a_network_without_substitute_is_comparable() -> None:
    assert published_best_accuracy("mnist", "adam") is not None


def test_cost_counts_candidates_only_where_the_file_does() -> None:
    cost = published_cost("snn", "polystep")
    assert cost is not None
    assert cost.candidates_per_step == 8688
    assert cost.seconds == pytest.approx(3769.08, abs=0.01)
    assert cost.hardware == "RTX 5090"
    samples = published_cost("snn_smooth", "adam")
    assert samples is not None and samples.candidates_per_step is None


def test_unrecorded_cost_is_none_and_not_zero() -> None:
    cost = published_cost("memory_scaling", "polystep_T100")
    assert cost is not None
    assert cost.seconds is None and cost.candidates_per_step is None


def test_curve_is_the_mean_over_seeds_at_marks_and_at_ends_of_epochs() -> None:
    curve = published_curve("snn", "polystep")
    assert curve is not None
    assert curve.index.is_unique and curve.index.is_monotonic_increasing
    assert (curve["n_seeds"] == 5).all()
    assert curve.loc[20, "mean"] == pytest.approx(0.4329)
    assert not curve.loc[20, "end_of_epoch"]
    assert curve.loc[3540, "end_of_epoch"]
    # Two files tell of the last epoch: its deviation must be the population one in both.
    last = published_last_accuracy("snn", "polystep")
    assert last is not None
    assert curve.loc[3540, "mean"] == pytest.approx(last.mean, abs=1e-6)
    assert curve.loc[3540, "std"] == pytest.approx(last.std, abs=1e-6)


def test_the_data_come_with_their_source() -> None:
    text = (DATA_FOLDER / "README.md").read_text(encoding="utf-8")
    assert "2605.01928" in text and "0.7.0" in text and "Test-selected" in text
