"""The bookkeeping that ask/tell methods share."""

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from polystep.ask_tell import NonFiniteLossError, PointOptimizer, all_finite, replace_non_finite
from polystep.candidates import DenseCandidates
from polystep.contracts import StepReport
from polystep.layout import ParameterLayout


class Follower(PointOptimizer):
    """Moves to its cheapest candidate; every third step has none."""

    def _propose(self) -> DenseCandidates:
        count = 0 if self._step % 3 == 2 else 4
        self._points = self._point + torch.arange(2 * count).reshape(count, 2)
        return DenseCandidates(self._points)

    def _learn(self, losses: Tensor) -> dict[str, float]:
        if len(losses) == 0:
            return {}
        self._point = self._points[replace_non_finite(losses).argmin()]
        return {"seen": float(len(losses))}


@pytest.fixture
def follower() -> Follower:
    return Follower(ParameterLayout({"x": (2,)}), torch.zeros(2))


@pytest.mark.parametrize("method", ["_propose", "_learn"])
def test_methods_that_return_nothing_are_told_what_to_return(follower: Follower, method: str) -> None:
    setattr(follower, method, lambda *_: None)
    with pytest.raises(TypeError, match=rf"Follower\.{method} must return .*, got NoneType"):
        follower.tell(torch.zeros(len(follower.ask(0.0))))


def test_calls_out_of_order_are_errors(follower: Follower) -> None:
    with pytest.raises(RuntimeError, match="without ask"):
        follower.tell(torch.zeros(4))
    follower.ask(0.0)
    for call in (lambda: follower.ask(0.0), follower.state_dict):
        with pytest.raises(RuntimeError):
            call()
    with pytest.raises(ValueError, match=r"shape \(4,\), one per candidate, got \(3,\)"):
        follower.tell(torch.zeros(3))
    follower.tell(torch.zeros(4))
    with pytest.raises(RuntimeError, match="without ask"):
        follower.tell(torch.zeros(4))


@pytest.mark.parametrize("failure", [KeyboardInterrupt, ValueError])
def test_a_step_that_fails_can_be_repeated(follower: Follower, failure: type[BaseException]) -> None:
    class Fails:
        def losses(self, candidates: Any) -> Tensor:
            raise failure

    class Works:
        def losses(self, candidates: Any) -> Tensor:
            return torch.arange(4.0)

    before = follower.state_dict()
    with pytest.raises(failure):
        follower.step(Fails(), 0.0)
    assert str(follower.state_dict()) == str(before)
    assert follower.step(Works(), 0.0).loss == 1.5


def test_report_counts_and_leaves_out_what_is_not_finite(follower: Follower) -> None:
    follower.ask(0.0)
    report = follower.tell(torch.tensor([math.nan, 3.0, 1.0, -math.inf]))
    assert report.loss == 2.0
    assert report.diagnostics == {"non_finite": 2.0, "seen": 4.0}
    assert torch.equal(follower.solution, torch.tensor([4.0, 5.0]))


def test_step_without_candidates_has_no_loss(follower: Follower) -> None:
    for _ in range(2):
        follower.ask(0.0)
        follower.tell(torch.zeros(4))
    assert len(follower.ask(0.0)) == 0
    report = follower.tell(torch.empty(0))
    assert report.loss is None
    assert report.diagnostics == {}


def test_failed_step_can_be_told_again(follower: Follower) -> None:
    follower.ask(0.0)
    with pytest.raises(NonFiniteLossError, match="all 4 candidate losses of step 0 are NaN or infinite"):
        follower.tell(torch.full((4,), math.nan))
    follower.tell(torch.tensor([2.0, 1, 2, 2]))
    assert torch.equal(follower.solution, torch.tensor([2.0, 3.0]))


def test_state_continues_and_abandons_the_step_begun(follower: Follower) -> None:
    follower.ask(0.0)
    follower.tell(torch.tensor([2.0, 1, 2, 2]))
    state: Any = follower.state_dict()
    follower.ask(0.0)
    follower.load_state_dict(state)
    assert torch.equal(follower.ask(0.0).dense(slice(0, 1)), torch.tensor([[2.0, 4.0]]))


def test_start_must_fit_and_is_not_changed() -> None:
    with pytest.raises(ValueError, match=r"point must have shape \(2,\) to fit the layout, got \(3,\)"):
        Follower(ParameterLayout({"x": (2,)}), torch.zeros(3))
    start = torch.zeros(2)
    follower = Follower(ParameterLayout({"x": (2,)}), start)
    follower.solution.add_(1)
    assert torch.equal(start, torch.zeros(2))


def test_replacements_exceed_every_finite_loss() -> None:
    losses = torch.tensor([math.nan, -3e6, 2.0, math.inf])
    assert replace_non_finite(losses).tolist() == [6e6 + 1, -3e6, 2.0, 6e6 + 1]
    assert replace_non_finite(torch.tensor([1.0, -math.inf])).tolist() == [1.0, 1e6]


def test_finite_values_are_told_from_others_even_where_their_sum_overflows() -> None:
    assert all_finite(torch.tensor([1.0, -2.0])) and all_finite(torch.empty(0))
    assert all_finite(torch.full((3,), 3e38)) and all_finite(torch.tensor([3e38, 3e38, -3e38]))
    for bad in (math.nan, math.inf, -math.inf):
        assert not all_finite(torch.tensor([1.0, bad]))
    assert not all_finite(torch.tensor([math.inf, -math.inf]))


@pytest.mark.parametrize("number", [np.float32(1.5), np.float64(1.5), torch.tensor(1.5), torch.tensor([1.5])])
def test_a_report_holds_plain_numbers_whatever_it_is_given(number: Any) -> None:
    report = StepReport(number, {"norm": number}, finished=np.bool_(False))  # type: ignore[arg-type]
    assert json.loads(json.dumps(vars(report))) == {"loss": 1.5, "diagnostics": {"norm": 1.5}, "finished": False}
    assert StepReport(None).loss is None


@pytest.mark.parametrize("value", [torch.ones(2), "much", object()])
def test_what_is_no_number_is_refused_at_the_step_that_reports_it(value: Any) -> None:
    with pytest.raises((TypeError, ValueError, RuntimeError)):
        StepReport(value)
