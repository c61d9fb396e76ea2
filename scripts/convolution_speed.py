"""Candidates per second on a convolutional network; part of  python -m scripts.benchmark_speed lenet"""

import time
from collections.abc import Sequence
from statistics import median

import torch
from torch import Tensor, nn

from polystep.algorithm import PolyStep
from polystep.candidates import ParticleCandidates
from polystep.evaluation.activations import mean_cross_entropy
from polystep.evaluation.convolution.fused import FusedConvolutionalEvaluator
from polystep.evaluation.convolution.incremental import ConvolutionalEvaluator
from polystep.evaluation.convolution.sequential import convolutional_network
from polystep.evaluation.functional import FunctionalEvaluator
from polystep.evaluation.objective import Evaluator
from polystep.layout import ParameterLayout
from polystep.report.table import Row, Table, text_column
from polystep.subspace import RowSubspace
from scripts.console import say
from scripts.speed import PATH_COLUMNS, THRESHOLDS


class Sign(nn.Module):
    """-1 below 0, else 1."""

    def forward(self, z: Tensor) -> Tensor:
        """Any shape."""
        return torch.where(z < 0, -1.0, 1.0)

    @staticmethod
    def scalar(z: float) -> float:
        """The same for one number."""
        return -1.0 if z < 0 else 1.0


NETWORKS: dict[str, type[nn.Module]] = {"lenet": nn.ReLU, "lenet_sign": Sign}
"""Their activations."""
SLOW = 16
"""Candidates, evenly spaced, on which the slower paths are measured."""


def lenet(activation: type[nn.Module]) -> nn.Sequential:
    """Two convolutions and three linear layers, 61,706 parameters: LeNet-5 with maxima, and with all connections. The starting
    values are the same every time.

    Source: LeCun, Bottou, Bengio and Haffner, Gradient-based learning applied to document recognition, 1998.
    """
    with torch.random.fork_rng():
        torch.manual_seed(0)
        first = [nn.Conv2d(1, 6, 5, padding=2), activation(), nn.MaxPool2d(2)]
        second = [nn.Conv2d(6, 16, 5), activation(), nn.MaxPool2d(2), nn.Flatten()]
        linear = [nn.Linear(400, 120), activation(), nn.Linear(120, 84), activation(), nn.Linear(84, 10)]
    return nn.Sequential(*first, *second, *linear)


def convolution_speed_table(networks: Sequence[str], batch_size: int, repeats: int) -> Table:
    """Medians over `repeats` evaluations of the candidates of one PolyStep step, after compilation, by network and layer."""
    rows = [row for name in networks for row in _measure(name, batch_size, repeats)]
    columns = (
        text_column("network", "Network"),
        text_column("rows", "Rows of"),
        *PATH_COLUMNS,
    )
    notes = (
        "LeNet-5 with ReLU, or with the sign of each number, on images of which a fifth is not black; the candidates of one "
        f"step of PolyStep with default settings. Functional and incremental path: {SLOW} of them, evenly spaced, once.",
        f"Medians of {repeats} evaluations, batch {batch_size}, {torch.get_num_threads()} threads, compilation excluded.",
        THRESHOLDS,
    )
    return Table("convolution_speed", "Candidates per second, convolutions", columns, rows, notes)


def _measure(name: str, batch_size: int, repeats: int) -> list[Row]:
    generator = torch.Generator().manual_seed(0)
    lit = torch.rand(batch_size, 1, 28, 28, generator=generator) < 0.2
    inputs = torch.rand(lit.shape, generator=generator) * lit
    batch = inputs, torch.randint(10, (batch_size,), generator=generator)
    module = lenet(NETWORKS[name])
    layout, network = ParameterLayout.of_module(module), convolutional_network(module)
    functional = FunctionalEvaluator(module, mean_cross_entropy, layout)
    slower: dict[str, Evaluator] = {
        "functional": functional,
        "incremental": ConvolutionalEvaluator(network, layout, functional),
    }
    fused = FusedConvolutionalEvaluator(network, layout, functional)
    candidates = PolyStep(layout, layout.point_of(module), seed=0).ask(0.0)
    assert isinstance(candidates, ParticleCandidates) and isinstance(candidates.subspace, RowSubspace)
    group = candidates.subspace.locate(candidates.particle)[0]
    kinds = {"all layers": torch.ones(len(group), dtype=torch.bool)}
    kinds |= {f"convolution {number + 1}": group == number for number in range(len(network.convolutions))}
    rows: list[Row] = []
    for kind, which in kinds.items():
        chosen = which.nonzero().squeeze(1)
        own, some = candidates.part(chosen), torch.linspace(0, len(chosen) - 1, SLOW).long()
        found, rate = _rate(fused, own, batch, repeats)
        measured = {path: _rate(evaluator, own.part(some), batch, 1) for path, evaluator in slower.items()}
        measured["fused"] = found[some], rate
        for path, (losses, each) in measured.items():
            say(f"{name}, rows of {kind}, {path}: {each:,.0f} candidates per second")
            expected, slowest = measured["functional"]
            rows.append({"network": name, "rows": kind, "path": path,
                         "candidates": len(own) if path == "fused" else SLOW, "rate": round(each),
                         "ratio": each / slowest, "difference": float((losses - expected).abs().max())})  # fmt: skip
    return rows


def _rate(
    evaluator: Evaluator, candidates: ParticleCandidates, batch: tuple[Tensor, Tensor], repeats: int
) -> tuple[Tensor, float]:
    """Losses, and candidates per second after the first call."""
    losses = evaluator.losses(candidates.part(slice(0, 1)), *batch)
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        losses = evaluator.losses(candidates, *batch)
        seconds.append(time.perf_counter() - started)
    return losses, len(candidates) / median(seconds)
