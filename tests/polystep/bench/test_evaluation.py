"""When a run is judged."""

from collections.abc import Iterator
from typing import Any

import pytest

from polystep.bench.evaluation import Evaluation
from polystep.bench.ledger import Budget, Ledger
from polystep.contracts import Spent


def validated(evaluation: Evaluation, shares: Iterator[float]) -> list[int]:
    """The steps, from 1, that are validated where `shares` of the budget are used after them; the last one always is."""
    found, before = [], 0.0
    for step, after in enumerate(shares, 1):
        if after >= 1 or evaluation.validation_is_due(step, before, after):
            found.append(step)
        before = after
    return found


def shares_of(steps: int) -> Iterator[float]:
    budget, ledger = Budget(steps=steps), Ledger()
    return (budget.used(step, ledger) for step in range(1, steps + 1))


def shares_of_candidates(steps: int, each: int) -> Iterator[float]:
    budget, ledger = Budget(candidate_evaluations=steps * each, steps=10 * steps), Ledger()
    for step in range(1, steps + 1):
        ledger.spent = Spent(candidate_evaluations=step * each)
        yield budget.used(step, ledger)


def test_there_are_as_many_validations_as_asked() -> None:
    for steps in (1, 2, 3, 7, 10, 28, 29, 49, 50, 57, 99, 100, 101, 181, 300, 1000, 3540):
        for validations in {1, 2, 3, 7, 10, 28, 29, 49, 50, 58, 99, 100, 101, steps // 2, steps - 1, steps, 2 * steps}:
            if validations:
                evaluation = Evaluation(validations=validations)
                for shares in (shares_of(steps), shares_of_candidates(steps, 48), shares_of_candidates(steps, 7)):
                    found = validated(evaluation, shares)
                    assert len(found) == min(validations, steps), (steps, validations)
                    assert found[-1] == steps
                    gaps = [b - a for a, b in zip([0, *found], found, strict=False)]
                    assert max(gaps) - min(gaps) <= 1, (steps, validations)


def test_a_step_that_passes_several_marks_is_validated_once() -> None:
    assert validated(Evaluation(validations=10), iter([0.15, 0.45, 0.49, 1.2])) == [1, 2, 4]


def test_intervals_in_steps() -> None:
    assert validated(Evaluation(validate_every=3), shares_of(8)) == [3, 6, 8]


def test_steps_are_shown_ten_times_as_often() -> None:
    shown = [step for step in range(1, 101) if Evaluation(validate_every=50).display_is_due(step, 0.0, 0.0)]
    assert shown == list(range(5, 101, 5))
    evaluation, before, shown = Evaluation(validations=2), 0.0, 0
    for after in shares_of(100):
        shown += evaluation.display_is_due(0, before, after)
        before = after
    assert shown == 20


def test_points_for_the_test_set() -> None:
    evaluation = Evaluation(validations=1, test_every=20, test_until=70)
    assert [step for step in range(1, 200) if evaluation.test_is_due(step)] == [20, 40, 60]
    assert not any(Evaluation(validations=1).test_is_due(step) for step in range(100))


@pytest.mark.parametrize("value", [0, -1])
@pytest.mark.parametrize("name", ["validate_every", "validations", "test_every", "test_until"])
def test_intervals_must_be_positive(name: str, value: int) -> None:
    with pytest.raises(ValueError, match=rf"evaluation\.{name} must be at least 1, got {value}"):
        Evaluation(**{name: value})


@pytest.mark.parametrize("settings", [{"test_every": 20}, {"test_until": 100}])
def test_points_for_the_test_set_need_an_interval_and_an_end(settings: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"set both evaluation\.test_every and evaluation\.test_until"):
        Evaluation(validations=1, **settings)


def test_one_way_to_say_when_to_validate() -> None:
    with pytest.raises(ValueError, match=r"evaluation\.validations, got none"):
        Evaluation()
    with pytest.raises(ValueError, match=r"set one of .* got {'validate_every': 2, 'validations': 3}"):
        Evaluation(validate_every=2, validations=3)


@pytest.mark.parametrize(
    ("validations", "steps"),
    [(1, [0, 20]), (2, [0, 10, 20]), (3, [0, 7, 14, 20]), (20, list(range(21))), (100, list(range(21)))],
)
def test_a_run_spreads_its_validations_evenly_over_the_budget(build: Any, validations: int, steps: list[int]) -> None:
    outcome = build(budget=Budget(steps=20), evaluation=Evaluation(validations=validations)).execute()
    assert outcome.record.history["step"] == steps
