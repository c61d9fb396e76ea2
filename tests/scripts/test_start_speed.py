"""The table of compilation: the second process reads what the first has compiled."""

import pytest
from rich.console import Console

from polystep.contracts import ExpectedError
from scripts import start_speed


@pytest.mark.slow
def test_the_second_process_reads_what_the_first_has_compiled() -> None:
    table = start_speed.start_speed_table(["mnist"], Console(quiet=True))
    ((first, second),) = [(row["first"], row["second"]) for row in table.rows]
    assert first > second > 0


def test_a_run_that_fails_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start_speed, "RUN", ("optimizer=none",))
    with pytest.raises(ExpectedError, match=r"task=int8 optimizer=none .* ended with 2: .*none"):
        start_speed.start_speed_table(["int8"], Console(quiet=True))
