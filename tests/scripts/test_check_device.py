"""The comparison of a device with the CPU, here of the CPU's torch paths with its compiled loops."""

import pytest
import torch

from polystep.evaluation.incremental import IncrementalEvaluator
from scripts import check_device

SMALL = ["--batch-size=24", "--candidates=64", "--variables=300", "--repeats=1"]


@pytest.mark.slow
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
