"""Timing reports, at a small size."""

import re

import pytest

from scripts import benchmark_report


@pytest.mark.slow
def test_a_report_is_timed(capsys: pytest.CaptureFixture[str]) -> None:
    assert benchmark_report.main(["--runs", "3"]) == 0
    assert re.search(r"3 runs: [\d.]+ s, .* page of [\d.]+ MB", " ".join(capsys.readouterr().out.split()))
