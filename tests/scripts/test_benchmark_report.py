"""Timing reports, at a small size."""

import re

import pytest

from scripts import benchmark_report


@pytest.mark.slow
def test_a_report_is_timed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(benchmark_report, "_METHODS", {"snn": ("polystep", "spsa")})
    assert benchmark_report.main(["--runs", "3"]) == 0
    assert re.match(r"3 records: [\d.]+ s .* page of [\d.]+ MB", " ".join(capsys.readouterr().out.split()))
