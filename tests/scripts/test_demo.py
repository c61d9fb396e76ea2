"""The demo: two methods on the digits, of which PolyStep passes 90 %, a figure and a page, with the settings of a study."""

from pathlib import Path

import pytest

from polystep.bench.composition import Composer
from polystep.bench.launch import altered_overrides
from scripts import demo
from scripts.console import CONFIGS


@pytest.mark.parametrize("optimizer", demo.METHODS)
def test_runs_have_the_settings_of_their_study_so_that_figures_show_them(optimizer: str) -> None:
    overrides = [*demo.SETTINGS, f"optimizer={optimizer}"]
    composer = Composer(CONFIGS)
    assert altered_overrides(composer, [item for item in overrides if not item.startswith("records=")]) == []
    budget = composer.compose(overrides).config.budget
    assert (budget.steps, budget.seconds) == (None, 8)


@pytest.mark.slow
def test_it_learns_and_names_what_it_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    # steps instead of seconds: no other load of the machine decides what is learnt
    monkeypatch.setattr(demo, "SETTINGS", [*demo.SETTINGS, "budget.seconds=null", "budget.steps=60"])
    assert demo.main([]) == 0
    shown = capsys.readouterr().out.splitlines()
    (learnt,) = (line for line in shown if line.startswith("PolyStep: test accuracy "))
    assert float(learnt.split()[3].rstrip("%,")) > 90
    assert any(line.startswith("OpenAI-ES, an evolution strategy: test accuracy ") for line in shown)
    assert f"page: {tmp_path / 'results/demo/report.html'}" in shown
    # done runs are not made again
    assert demo.main([]) == 0
    assert "already done" in capsys.readouterr().out
