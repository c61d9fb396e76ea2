"""Whether a device computes the losses that the CPU computes, and how fast:  python -m scripts.check_device cuda

For every network of the paper at its published size and for LeNet, with random inputs: candidates of every structure, on the
device by the evaluators that serve it, on the CPU by the compiled loops; then MAX-SAT and the simulators. A line each; exit
status 1 where losses differ by more than rounding can explain. Needs no data, and about five minutes on a GPU.
"""

import argparse
import copy
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from torch import Tensor, nn

from polystep.algorithm import PolyStep
from polystep.bench.launch import use_device
from polystep.candidates import Candidates, DenseCandidates, ParticleCandidates
from polystep.contracts import ExpectedError
from polystep.evaluation.activations import mean_cross_entropy
from polystep.evaluation.convolution.fused import FusedConvolutionalEvaluator
from polystep.evaluation.convolution.incremental import ConvolutionalEvaluator
from polystep.evaluation.convolution.sequential import convolutional_network
from polystep.evaluation.functional import FunctionalEvaluator
from polystep.evaluation.fused import FusedEvaluator
from polystep.evaluation.incremental import IncrementalEvaluator
from polystep.evaluation.objective import Evaluator
from polystep.evaluation.routing.fused import FusedRoutedEvaluator
from polystep.evaluation.routing.incremental import RoutedEvaluator
from polystep.evaluation.routing.network import RoutedNetwork
from polystep.layout import ParameterLayout
from polystep.low_rank import LowRankCandidates
from polystep.report.table import Row, Table, number_column, text_column, to_markdown, write_table
from scripts.console import explain, guarded, positive_count, say
from scripts.convolution_speed import lenet
from scripts.speed import CONTROL, NETWORKS, mirrored_noise, polystep_settings, whole_particles

INPUTS, CLASSES = 784, 10
CONVOLUTION = "lenet"
TASKS = (*NETWORKS, CONVOLUTION, "maxsat", *CONTROL)
COMPARED = 64
"""Candidates whose losses are compared, evenly spaced among those that are timed."""
TOLERANCE = 1e-4
"""Of losses, where no sample crosses a threshold."""
CROSSING = 0.05
"""Share of the candidates in which sums that round differently may move a sample across a threshold."""
CROSSED = 8.0
"""How far the losses of the samples that cross may add up, before they are divided by the number of samples."""


@dataclass(frozen=True)
class Options:
    """How much is measured."""

    device: torch.device
    batch_size: int
    candidates: int
    variables: int
    repeats: int


@dataclass(frozen=True)
class Measurement:
    """Losses of the same candidates on the device and on the CPU, and candidates per second of each.

    `crossings`: how far one loss may differ because one sample crosses a threshold; 0 where there are none.
    """

    task: str
    kind: str
    count: int
    device_losses: Tensor
    cpu_losses: Tensor
    device_rate: float
    cpu_rate: float
    crossings: float = 0.0

    @property
    def agrees(self) -> bool:
        """Whether the losses are equal up to rounding, and up to few crossings of one sample or two."""
        far = (self.device_losses - self.cpu_losses).abs() > TOLERANCE * (1 + self.cpu_losses.abs())
        if not self.crossings:
            return not far.any()
        return bool(far.float().mean() <= CROSSING and self.difference <= self.crossings)

    @property
    def difference(self) -> float:
        """The largest difference of a loss."""
        return float((self.device_losses - self.cpu_losses).abs().max())

    def row(self) -> Row:
        """As the table shows it."""
        return {
            "task": self.task,
            "kind": self.kind,
            "candidates": self.count,
            "device": round(self.device_rate),
            "cpu": round(self.cpu_rate),
            "ratio": self.device_rate / self.cpu_rate,
            "difference": self.difference,
            "verdict": "equal" if self.agrees else "DIFFERS",
        }


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.check_device", description="Compare a device with the CPU."
    )
    parser.add_argument("device", help="cuda, cuda:1 or cpu")
    parser.add_argument("tasks", nargs="*", default=TASKS, help="some of them (default: all)")
    parser.add_argument("--batch-size", type=positive_count, default=512, help="samples (default: %(default)s)")
    parser.add_argument("--candidates", type=positive_count, default=4096, help="timed at once (default: %(default)s)")
    parser.add_argument("--variables", type=positive_count, default=100_000, help="of MAX-SAT (default: %(default)s)")
    parser.add_argument(
        "--repeats", type=positive_count, default=5, help="of a timing; the median counts (default: %(default)s)"
    )
    parser.add_argument("--output", type=Path, help="folder for the table (default: it is only printed)")
    given = parser.parse_args(arguments)
    try:
        options = Options(use_device(given.device), given.batch_size, given.candidates, given.variables, given.repeats)
        if unknown := [task for task in given.tasks if task not in TASKS]:
            raise ExpectedError(f"{unknown[0]} is none of the tasks {', '.join(TASKS)}; correct its name")
        found = []
        for task in given.tasks:
            for measurement in _measure(task, options):
                found.append(measurement)
                row = measurement.row()
                say(
                    f"{row['task']}, {row['kind']}: {row['device']:,} a second on {given.device}, {row['cpu']:,} on the CPU, "
                    f"{row['verdict']}"
                )
        table = _table(found, options)
        if given.output:
            write_table(table, given.output)
    except ExpectedError as error:
        return explain(error)
    say(to_markdown(table))
    return int(not all(measurement.agrees for measurement in found))


def _measure(task: str, options: Options) -> Iterator[Measurement]:
    if task == "maxsat":
        yield from _maxsat(options)
    elif task in CONTROL:
        yield from _control(task, options)
    elif task == CONVOLUTION:
        yield from _convolution(options)
    else:
        yield from _network(task, options)


def _network(task: str, options: Options) -> Iterator[Measurement]:
    module = instantiate(polystep_settings(task, "default")["task"]["network"])(inputs=INPUTS, classes=CLASSES).eval()
    module.initialise(torch.Generator().manual_seed(0))
    layout = ParameterLayout.of_module(module)
    network, generator = module.layered(), torch.Generator().manual_seed(1)
    batch = (
        torch.rand(options.batch_size, INPUTS, generator=generator),
        torch.randint(CLASSES, (options.batch_size,), generator=generator),
    )
    cpu, device = _evaluators(network, layout)
    functional = FunctionalEvaluator(module.to(options.device), mean_cross_entropy, layout)
    point = layout.point_of(module)
    places = (point, point.cpu())
    compare = partial(_compare, options, task, batch, cpu, 0.0 if task == "mnist" else CROSSED / options.batch_size)
    for kind, study in (("rows", "default"), ("published directions", "first")):
        yield compare(kind, [_asked(task, study, layout, place, options) for place in places], device)
    count = min(options.candidates, 256)
    mirrored = [mirrored_noise(place, count) for place in places]
    yield compare("mirrored noise", mirrored, device)
    low_rank = [LowRankCandidates(each.base, layout, each.seeds, each.scale) for each in mirrored]
    yield compare("low rank, mirrored", low_rank, device)
    few = instantiate(polystep_settings(task, "default", "optimizer=polystep_dense")["optimizer"], _partial_=True)
    yield compare("few directions", [few(layout=layout, point=place).ask(0.0) for place in places], device)
    dense = [DenseCandidates(candidates.dense(slice(0, count))) for candidates in mirrored]
    yield compare("dense", dense, device)
    yield compare("dense, any module", dense, functional)


def _convolution(options: Options) -> Iterator[Measurement]:
    module = lenet(nn.ReLU).eval()
    layout, network = ParameterLayout.of_module(module), convolutional_network(module)
    generator = torch.Generator().manual_seed(1)
    batch = (
        torch.rand(options.batch_size, 1, 28, 28, generator=generator),
        torch.randint(CLASSES, (options.batch_size,), generator=generator),
    )
    there = FunctionalEvaluator(copy.deepcopy(module).to(options.device), mean_cross_entropy, layout)
    cpu = FusedConvolutionalEvaluator(network, layout, FunctionalEvaluator(module, mean_cross_entropy, layout))
    device = ConvolutionalEvaluator(network, layout, there)
    point = layout.point_of(module)
    asked = []
    for place in (point.to(options.device), point):
        candidates = PolyStep(layout, place, seed=0).ask(0.0)
        assert isinstance(candidates, ParticleCandidates)
        asked.append(_some_particles(candidates, options))
    yield _compare(options, CONVOLUTION, batch, cpu, 0.0, "rows", asked, device)


def _compare(
    options: Options,
    task: str,
    batch: tuple[Tensor, Tensor],
    cpu: Evaluator,
    crossings: float,
    kind: str,
    asked: Sequence[Candidates],
    evaluator: Evaluator,
) -> Measurement:
    """`asked`: the candidates on the device, whose losses are compared, and as many that are timed on the CPU. `evaluator`: of
    the device.
    """
    on_device, on_cpu = asked
    there = tuple(tensor.to(options.device) for tensor in batch)
    compared, points = _compared(on_device)
    losses, device_rate = _timed(partial(evaluator.losses, on_device, *there), len(on_device), options)
    _, cpu_rate = _timed(partial(cpu.losses, on_cpu, *batch), len(on_cpu), options)
    reference, own = cpu.losses(points, *batch), losses.cpu()[compared]
    return Measurement(task, kind, len(on_device), own, reference, device_rate, cpu_rate, crossings)


def _maxsat(options: Options) -> Iterator[Measurement]:
    node = polystep_settings("maxsat", "default")["task"] | {"variables": options.variables}
    device = instantiate(node | {"device": str(options.device), "evaluation": "torch"})
    cpu = instantiate(node | {"device": "cpu"})
    point = cpu.initial_point(0)
    there, here = (
        _asked("maxsat", "default", cpu.layout, place, options) for place in (point.to(options.device), point)
    )
    losses, device_rate = _timed(lambda: device.next_objective().losses(there), len(there), options)
    _, cpu_rate = _timed(lambda: cpu.next_objective().losses(here), len(here), options)
    compared, points = _compared(there)
    reference = cpu.next_objective().losses(points)
    yield Measurement("maxsat", "pairs", len(there), losses.cpu()[compared], reference, device_rate, cpu_rate)


def _control(task: str, options: Options) -> Iterator[Measurement]:
    node = polystep_settings(task, "default")["task"]
    device, cpu = (instantiate(node | {"device": place}) for place in (str(options.device), "cpu"))
    count = min(options.candidates, 256)
    point = cpu.initial_point(0)
    here = mirrored_noise(point, count)
    there = DenseCandidates(here.dense(slice(0, count)).to(options.device))
    # every evaluation plays episodes of its own, so the compared ones come first
    own, reference = device.next_objective().losses(there), cpu.next_objective().losses(here)
    _, device_rate = _timed(lambda: device.next_objective().losses(there), count, options)
    _, cpu_rate = _timed(lambda: cpu.next_objective().losses(here), count, options)
    yield Measurement(task, "episodes on the CPU", count, own.cpu(), reference, device_rate, cpu_rate)


def _evaluators(network: Any, layout: ParameterLayout) -> tuple[Evaluator, Evaluator]:
    """The evaluator of the CPU and that of any device."""
    if isinstance(network, RoutedNetwork):
        return FusedRoutedEvaluator(network, layout), RoutedEvaluator(network, layout)
    return FusedEvaluator(network, layout), IncrementalEvaluator(network, layout)


def _asked(task: str, study: str, layout: ParameterLayout, point: Tensor, options: Options) -> Candidates:
    """Evenly spaced particles of one step of PolyStep, whole."""
    optimizer = instantiate(polystep_settings(task, study)["optimizer"], layout=layout, point=point)
    asked = optimizer.ask(0.0)
    return _some_particles(asked, options)


def _some_particles(asked: ParticleCandidates, options: Options) -> ParticleCandidates:
    return whole_particles(asked, max(1, options.candidates * asked.subspace.particles // len(asked)))


def _compared(candidates: Candidates) -> tuple[list[int], DenseCandidates]:
    """Numbers of some candidates, and their points on the CPU."""
    chosen = torch.linspace(0, len(candidates) - 1, min(COMPARED, len(candidates))).long().tolist()
    return chosen, DenseCandidates(torch.cat([candidates.dense(slice(n, n + 1)) for n in chosen]).cpu())


def _timed(action: Callable[[], Tensor], count: int, options: Options) -> tuple[Tensor, float]:
    """What an action finds, and `count` over the median of its seconds; the first call is not timed."""
    found, seconds = action(), []
    for _ in range(options.repeats):
        _wait(options.device)
        started = time.perf_counter()
        action()
        _wait(options.device)
        seconds.append(time.perf_counter() - started)
    return found, count / statistics.median(seconds)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _table(found: Sequence[Measurement], options: Options) -> Table:
    device = torch.cuda.get_device_name(options.device) if options.device.type == "cuda" else str(options.device)
    columns = (
        text_column("task", "Task"),
        text_column("kind", "Candidates"),
        number_column("candidates", "Number"),
        number_column("device", f"A second on {device}"),
        number_column("cpu", "A second on the CPU"),
        number_column("ratio", "Times the CPU", "ratio"),
        number_column("difference", "Largest difference in loss", "difference"),
        text_column("verdict", "Losses"),
    )
    notes = (
        f"Medians of {options.repeats} evaluations, batch {options.batch_size}, MAX-SAT with {options.variables:,} variables, "
        f"{torch.get_num_threads()} threads of the CPU; compilation excluded. On the device by torch, in float32 without TF32.",
        f"Equal: {COMPARED} losses agree to {TOLERANCE:g}; of networks with thresholds, where sums that round differently may "
        f"move a sample across one, at most {CROSSING:.0%} differ by more.",
    )
    return Table("device", f"{device} against the CPU", columns, [measurement.row() for measurement in found], notes)


if __name__ == "__main__":
    sys.exit(guarded(main))
