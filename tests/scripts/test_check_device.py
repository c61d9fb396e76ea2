"""The comparison of a device with the CPU, here of the CPU's torch paths with its compiled loops."""

import pytest
import torch

from polystep.evaluation.incremental import IncrementalEvaluator
from scripts import check_device
from scripts.speed import polystep_settings
from tests.exactness import serial_kernels

SMALL = ["--batch-size=24", "--candidates=64", "--variables=300", "--repeats=1"]


@pytest.fixture
def shared_kernels(monkeypatch):
    """Those of `tests.exactness.WIDE`: the ReLU network gets its layers, and there are no parallel loops."""

    def settings(task, study, *overrides):
        found = polystep_settings(task, study, *overrides)
        if task == "mnist":
            found["task"]["network"]["hidden"] = [36, 36]
            if study == "first":
                # sparse for the first layer alone, as at the published size
                found["optimizer"]["subspace"]["dense_bytes"] = 10**7
        return found

    monkeypatch.setattr(check_device, "polystep_settings", settings)
    with serial_kernels():
        yield


@pytest.mark.slow
@pytest.mark.usefixtures("shared_kernels")
def test_networks_maxsat_and_simulators_agree(tmp_path, capsys):
    networks = ("mnist",)
    assert check_device.main(["cpu", *networks, "lenet", "maxsat", "cartpole", *SMALL, f"--output={tmp_path}"]) == 0
    shown = capsys.readouterr().out
    anything = ("mirrored noise", "low rank, mirrored", "few directions", "dense", "dense, any module")
    for kind in ("rows", "published directions", *anything):
        assert all(f"{name}, {kind}: " in shown for name in networks)
    assert "lenet, rows: " in shown
    assert "maxsat, pairs: " in shown and "cartpole, episodes on the CPU: " in shown and "DIFFERS" not in shown
    assert "equal" in (tmp_path / "device.csv").read_text()


@pytest.mark.slow
@pytest.mark.usefixtures("shared_kernels")
def test_other_losses_are_told(monkeypatch, capsys):
    true_losses = IncrementalEvaluator.losses

    def losses(self, *arguments):
        return true_losses(self, *arguments) * torch.tensor(1.001)

    monkeypatch.setattr(IncrementalEvaluator, "losses", losses)
    assert check_device.main(["cpu", "mnist", *SMALL]) == 1
    assert "DIFFERS" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["cuda:99"], ["gpu"], ["cpu", "snnn"]])
def test_what_there_is_not_is_named(arguments, capsys):
    assert check_device.main(arguments) == 2
    shown = capsys.readouterr()
    assert arguments[-1] in shown.out + shown.err
