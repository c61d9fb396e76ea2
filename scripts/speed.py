"""What the measurements of speed share: settings, candidates, and columns of their tables."""

from typing import Any

import torch
from omegaconf import OmegaConf
from torch import Tensor

from polystep.bench.composition import compose_config
from polystep.candidates import ParticleCandidates, SeededCandidates
from polystep.report.table import number_column, text_column
from scripts.console import CONFIGS

NETWORKS = ("snn", "int8", "argmax", "staircase", "moe", "mnist")
CONTROL = ("cartpole", "acrobot")
DENSE_SCALE = 0.01
PATH_COLUMNS = (
    text_column("path", "Evaluation path"),
    number_column("candidates", "Number"),
    number_column("rate", "Candidates per second"),
    number_column("ratio", "Times the functional path", "ratio"),
    number_column("difference", "Largest difference in loss", "difference"),
)
THRESHOLDS = "A sum that rounds differently can move a sample across a threshold; then its whole loss differs."


def polystep_settings(task: str, study: str, *overrides: str) -> dict[str, Any]:
    """The settings of PolyStep on a task in a study."""
    composed = compose_config(CONFIGS, [f"task={task}", "optimizer=polystep", f"study={study}", *overrides]).config
    settings = OmegaConf.to_container(composed, resolve=True)
    assert isinstance(settings, dict)
    return {str(name): value for name, value in settings.items()}


def whole_particles(asked: ParticleCandidates, count: int) -> ParticleCandidates:
    """The candidates of `count` particles, evenly spaced; whole ones, since the candidates of one share work."""
    particles = asked.subspace.particles
    chosen = torch.linspace(0, particles - 1, min(count, particles)).long().to(asked.particle.device)
    return asked.part(torch.isin(asked.particle, chosen).nonzero().squeeze(1))


def mirrored_noise(base: Tensor, count: int) -> SeededCandidates:
    """Two candidates of opposite sign per seed, as evolution strategies ask for them."""
    some = torch.arange(count)
    return SeededCandidates(base, some // 2, torch.where(some % 2 == 0, DENSE_SCALE, -DENSE_SCALE))
