"""The table of compilation: the second process reads what the first has compiled."""

from pathlib import Path

import pytest

from polystep.contracts import ExpectedError
from scripts import start_speed

CHEAP = ("optimizer=openai_es", "task.network.hidden=[4]", "task.batch_size=32", "budget.steps=1")
DIGITS = ("task.dataset=digits", "task.validation_size=200")


@pytest.mark.slow
def test_the_second_process_reads_what_the_first_has_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds, kept = start_speed._compilation_seconds, []

    def noted(name: str, folder: Path, process: str) -> float:
        found = seconds(name, folder, process)
        kept.append({path.name: path.stat().st_ino for path in (folder / "kernels").iterdir()})
        return found

    monkeypatch.setattr(start_speed, "RUN", (*CHEAP, *DIGITS))
    monkeypatch.setattr(start_speed, "_compilation_seconds", noted)
    table = start_speed.start_speed_table(["mnist"])
    assert [(row["first"] > 0, row["second"] > 0) for row in table.rows] == [(True, True)]
    # what is compiled is written anew
    assert kept[0] and kept[0] == kept[1]


def test_a_run_that_fails_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start_speed, "RUN", ("optimizer=none",))
    with pytest.raises(ExpectedError, match=r"task=int8 optimizer=none .* ended with 2: .*none"):
        start_speed.start_speed_table(["int8"])
