"""Ask and tell on plain vectors, and optimisers by name, class and entry point."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from baselines.adam import Adam
from polystep import PolyStep, Search, minimize
from polystep.ask_tell import AskTellOptimizer
from polystep.candidates import Candidates, DenseCandidates
from polystep.contracts import State, StepReport
from polystep.domain import BlackBoxError
from polystep.factories import OptimizerError


class Halving(AskTellOptimizer):
    """Coasts at every second step, halves the distance to its first candidate at the others and stops after six."""

    def __init__(self, layout: Any, point: Any, seed: int, share: float = 0.5):
        self.solution, self.share, self.count = point, share, 0

    def ask(self, used: float) -> Candidates:
        points = self.solution.repeat(0 if self.count % 2 else 3, 1)
        return DenseCandidates(points + self.share)

    def tell(self, losses: Any) -> StepReport:
        self.count += 1
        self.solution = self.solution + self.share if len(losses) else self.solution
        return StepReport(None, finished=self.count >= 6)

    def state_dict(self) -> State:
        return {}

    def load_state_dict(self, state: State) -> None: ...


def sphere(x: Any) -> Any:
    return (x**2).sum(-1)


def test_asking_and_telling_equals_minimize() -> None:
    search = Search([1.0, 2.0], budget=300, seed=3)
    while not search.finished:
        search.tell([sphere(x) for x in search.ask()])
    expected = minimize(sphere, [1.0, 2.0], budget=300, seed=3)
    np.testing.assert_array_equal(search.result.x, expected.x)
    assert search.result.history == expected.history and search.result.message == expected.message


def test_the_result_is_there_at_any_time() -> None:
    search = Search([1.0, 2.0], budget=300)
    search.tell(sphere(search.ask()))
    assert search.result.fun == 5.0 and search.result.nfev == 2 and not search.result.success
    assert search.result.message == "the search is under way"


def test_calls_out_of_order_are_errors() -> None:
    search = Search([1.0, 2.0], budget=7)
    with pytest.raises(RuntimeError, match="ask for points before"):
        search.tell([1.0])
    points = search.ask()
    with pytest.raises(RuntimeError, match="2 points wait for their values; call tell"):
        search.ask()
    with pytest.raises(BlackBoxError, match=r"shape \(3,\) for 2 points"):
        search.tell([1.0, 2.0, 3.0])
    search.tell(sphere(points))
    while not search.finished:
        search.tell(sphere(search.ask()))
    with pytest.raises(RuntimeError, match="the search is finished and has no more points; read `result`"):
        search.ask()


def test_a_budget_of_less_than_a_step_is_named_at_every_attempt() -> None:
    search = Search([1.0, 2.0], budget=3)
    search.tell(sphere(search.ask()))
    for _ in range(2):
        with pytest.raises(BlackBoxError, match="a budget of 3 evaluations is less than one step; give at least 7"):
            search.ask()


def test_any_class_with_ask_and_tell_is_an_optimizer() -> None:
    found = minimize(lambda x: -x.sum(-1), [0.0, 0.0], Halving, batch=True)
    assert found.message == "the method says that nothing better can be had" and found.success
    assert found.nfev == 2 + 3 * 3 + 1
    np.testing.assert_array_equal(found.x, [1.5, 1.5])
    assert minimize(lambda x: -x.sum(-1), [0.0, 0.0], partial(Halving, share=2.0), batch=True).fun == -12
    assert minimize(sphere, np.ones(9), partial(PolyStep, particle_dimension=3), budget=400, batch=True).fun < 9


def test_others_are_refused() -> None:
    with pytest.raises(OptimizerError, match="dict is no optimizer: it must have step; derive it"):
        minimize(sphere, [0.0, 0.0], dict)
    with pytest.raises(OptimizerError, match="Adam cannot search a black box: it must have ask and tell"):
        minimize(sphere, [0.0, 0.0], partial(Adam, learning_rate=0.1))
    with pytest.raises(OptimizerError, match="Adam is no factory of an optimizer: it must take layout, point and seed"):
        minimize(sphere, [0.0, 0.0], torch.optim.Adam)
    with pytest.raises(OptimizerError, match="a name or a factory such as the class of an optimiser, got 5"):
        minimize(sphere, [0.0, 0.0], 5)  # type: ignore[arg-type]


def test_names_come_from_entry_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "their_package.py").write_text(
        "from polystep.factories import for_black_boxes\n"
        "def ours(layout, point, seed):\n    return for_black_boxes(layout, point, seed + 1)\n"
    )
    info = tmp_path / "their_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[polystep.optimizers]\ntheirs = their_package:ours\n")
    monkeypatch.syspath_prepend(tmp_path)
    found = minimize(sphere, [1.0, 2.0], "theirs", budget=100)
    np.testing.assert_array_equal(found.x, minimize(sphere, [1.0, 2.0], budget=100, seed=1).x)
    with pytest.raises(OptimizerError, match=r"there is no optimizer 'thiers' \(did you mean theirs\?\)"):
        minimize(sphere, [1.0, 2.0], "thiers")
    with pytest.raises(OptimizerError, match=r"choose one of polystep, .*theirs"):
        minimize(sphere, [1.0, 2.0], "gradient descent")


def test_a_package_that_cannot_be_loaded_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "broken_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[polystep.optimizers]\nbroken = no_such_module:thing\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(OptimizerError, match=r"'broken' of broken-package cannot be loaded .ModuleNotFoundError: "):
        minimize(sphere, [1.0, 2.0], "broken")


def test_budgets_are_whole_numbers_of_any_kind() -> None:
    expected = minimize(sphere, [1.0, 2.0], budget=100)
    assert minimize(sphere, [1.0, 2.0], budget=np.int64(100)).fun == expected.fun  # type: ignore[arg-type]
    for budget in (True, 100.0, "100", 1, np.float64(100)):
        with pytest.raises(BlackBoxError, match="budget must be a whole number of evaluations"):
            minimize(sphere, [1.0, 2.0], budget=budget)  # type: ignore[arg-type]


def test_misspelt_names_are_corrected() -> None:
    with pytest.raises(OptimizerError, match=r"there is no optimizer 'polystpe' \(did you mean polystep\?\)"):
        minimize(sphere, [1.0, 2.0], "polystpe")
