"""Peaks are those of the call alone, processes are fresh, and rows and backpropagation are told apart."""

import os
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from polystep.contracts import ExpectedError
from scripts.theory import peak
from scripts.theory.step_memory import BACKPROPAGATION, FORWARD, ROWS, Place, StepMemory


def test_the_peak_is_that_of_the_call() -> None:
    # more than the call holds, given back before it
    torch.ones(50_000_000)
    kept = []
    found = peak.peak_above(lambda: kept.append(torch.ones(5_000_000)), "cpu")
    assert 19e6 < found < 25e6


def test_what_is_given_back_within_the_call_counts() -> None:
    assert peak.peak_above(partial(torch.ones, 5_000_000), "cpu") > 19e6


def test_systems_that_do_not_tell_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(peak, "PROCESS", tmp_path / "nowhere")
    with pytest.raises(ExpectedError, match="measure it on Linux"):
        peak.peak_above(dict, "cpu")


def test_every_item_has_a_process_of_its_own() -> None:
    processes = peak.map_in_fresh_processes(os.path.realpath, ["/proc/self"] * 2)
    assert len({*processes, os.path.realpath("/proc/self")}) == 3


SMALL = StepMemory(
    task="snn_digits", time_steps=[4, 200], batch_size=512, repetitions=1, threads=1, published=[[200, 2.0, 9.0]],
    data_dir="data", seed=0,
)  # fmt: skip


def peak_of(study: StepMemory, place: Place) -> int:
    return int(study.measure(place)["bytes"][0])


@pytest.mark.parametrize(("method", "copies"), [(BACKPROPAGATION, 3), (FORWARD, 1)])
def test_memory_grows_with_the_time_steps(method: str, copies: int) -> None:
    few, many = (peak_of(SMALL, Place("cpu", time_steps, method)) for time_steps in SMALL.time_steps)
    # float32 numbers of 128 units: spikes alone, or what their derivatives need as well
    assert many - few > 0.9 * copies * 4 * SMALL.batch_size * 128 * (200 - 4)


@pytest.mark.slow
def test_memory_of_rows_is_that_of_a_training_step() -> None:
    one, other = (peak_of(replace(SMALL, batch_size=size), Place("cpu", 15, ROWS)) for size in (64, 1024))
    # spikes of the unchanged network
    assert other - one > 0.9 * 4 * (1024 - 64) * 128 * 15


def test_what_readers_see() -> None:
    rows = [
        Place("cpu", time_steps, method)._asdict() | {"bytes": [1, int(1e6 * factor * time_steps), int(1e12)]}
        for time_steps in SMALL.time_steps
        for method, factor in ((ROWS, 1), (BACKPROPAGATION, 3), (FORWARD, 0.5))
    ]
    section = SMALL.section({"step_memory": rows})
    shown = section.tables[0].rows
    assert [row["ratio"] for row in shown] == [3.0, 3.0]
    assert [row["published_ratio"] for row in shown] == [None, 4.5]
    assert "backpropagation through time 3.00 MB" in section.answer[0]


def test_growth_needs_two_numbers() -> None:
    with pytest.raises(ExpectedError, match="at least two"):
        StepMemory("snn_digits", [5, 5], 8, 1, 1, [], "data", 0).run()
