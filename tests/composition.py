"""Configurations of the suite, composed for tests: one composer, so that files that they share are read once a process."""

from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from polystep.bench.composition import Composer

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
COMPOSER = Composer(CONFIGS)


def composed(*overrides: str) -> Any:
    """All settings of a run, as plain values."""
    return OmegaConf.to_container(COMPOSER.compose(overrides).config, resolve=True)
