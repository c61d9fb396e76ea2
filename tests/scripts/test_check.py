"""The command that checks a contract says what holds, a line each, and stops at what does not."""

from pathlib import Path

import pytest

from baselines.random_search import RandomSearch
from scripts import check

FAULTY = ["--config-dir", str(Path(__file__).parent / "faulty_configs"), "optimizer=faulty"]


def test_what_holds_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert check.main(["optimizer=random_search", "optimizer.population=4"]) == 0
    shown = capsys.readouterr().out
    assert "holds: its settings fit baselines.random_search.RandomSearch\n" in shown and "in place of" not in shown
    assert "holds: resuming after any of the 5 steps continues bit for bit\n" in shown and "does not hold" not in shown
    assert check.main(["task=snn_digits", "task.evaluation=functional", "task.network.hidden=4"]) == 0
    shown = capsys.readouterr().out
    assert "holds: the stream of objectives resumes exactly\n" in shown
    assert "holds: it is checked with task.batch_size=64, which is quick, in place of its own" in shown
    # a set of fewer rows than others leave for validation
    assert check.main(["task=tree", "task.dataset=iris", "task.evaluation=functional"]) == 0


def test_the_first_that_does_not_hold_ends_it(capsys: pytest.CaptureFixture[str]) -> None:
    # it goes the same way whatever its seed is
    assert check.main(FAULTY) == 1
    *before, last = capsys.readouterr().out.splitlines()
    assert last == "does not hold: seeds 0 and 1 lead to the same point after 5 steps; derive all draws from `seed`"
    assert "holds: records call it tests.scripts.faulty.Faulty, without a version" in before


def test_whatever_a_method_raises_is_told_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def tell(self: object, losses: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(RandomSearch, "tell", tell)
    assert check.main(["optimizer=random_search", "optimizer.population=4"]) == 1
    shown = capsys.readouterr().out.splitlines()[-1]
    assert shown.startswith("does not hold: ZeroDivisionError is raised by ") and shown.endswith(": division by zero")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("radius: 1", "optimizer={'radius': 1} is not valid; expected settings with a _target_"),
        ("_target_: baselines.spsa.SPSA\nseed: ${sed}", "'sed' not found"),
        ("_target_: baselines.spsa.SPSA\nseed: ???", "Missing mandatory value: seed full_key: optimizer.seed"),
    ],
)
def test_files_that_are_no_settings_are_explained(
    content: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "optimizer").mkdir()
    (tmp_path / "optimizer" / "mine.yaml").write_text(content)
    assert check.main(["--config-dir", str(tmp_path), "optimizer=mine"]) == 2
    (shown,) = capsys.readouterr().out.splitlines()
    assert shown.startswith("error: ") and message in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "say what to check: optimizer=NAME or task=NAME"),
        (["task=snn", "optimizer=spsa"], "say what to check"),
        (["optimizer=spza"], "optimizer=spza does not exist (did you mean spsa?)"),
        (["spsa"], "say what to check"),
        (["optimizer=random_search", "optimizer.population=1"], "population must be at least 2"),
        (["optimizer=random_search", "optimizer.radius=1"], "unknown setting optimizer.radius"),
        # not made smaller, which would check other settings than were asked for
        (["task=snn_digits", "task.dataset=mnits"], "choose one of: mnist, fashion_mnist"),
    ],
)
def test_wrong_arguments_give_status_2(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert check.main(arguments) == 2
    shown = capsys.readouterr().out
    assert message in shown and shown.splitlines()[-1].startswith("error: ")
