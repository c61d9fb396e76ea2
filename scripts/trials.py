"""A method that `scripts.tune` chooses settings for, its trials, and the file of settings that they lead to."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import OmegaConf

from polystep.bench.grids import Grid, Point
from polystep.bench.profiles import PlannedRun
from polystep.bench.schema import ConfigError
from scripts.console import PLACES

RESULTS, TRIALS = "equal_", "tuning_"
"""How studies of results and those of their trials begin."""


def study_of_trials(study: str) -> str:
    """The study whose runs are the trials for a study of results."""
    return TRIALS + study.removeprefix(RESULTS)


def trial_overrides(study: str, task: str, optimizer: str, variant: str, settings: Sequence[str]) -> tuple[str, ...]:
    """Of a trial for a study of results, without what its grid sets; variant: empty where there is one alone."""
    names = (f"study={study_of_trials(study)}", f"task={task}", f"optimizer={optimizer}")
    return (*names, *settings, *filter(None, [variant]))


@dataclass(frozen=True, eq=False)
class Method:
    """An optimiser on a task, the grid of its settings, and the folder of configurations that they are written into.

    study: of the results. variant: the value of the setting of the task that tells it apart, where several are given, as
    task.variables=100. settings: what trials are run with beside it and the grid. seeds: of every trial. base: the settings
    file of the trials, as Hydra names it, if they have one.
    """

    study: str
    task: str
    optimizer: str
    variant: str
    settings: tuple[str, ...]
    grid: Grid
    seeds: Sequence[int]
    base: str | None
    folder: Path

    def runs(self, point: Point) -> list[PlannedRun]:
        """One trial, a run for each seed."""
        without_grid = trial_overrides(self.study, self.task, self.optimizer, self.variant, self.settings)
        settings = (*without_grid, *(f"{name}={value}" for name, value in point.items()))
        return [PlannedRun((*settings, f"seed={seed}")) for seed in self.seeds]

    @property
    def file(self) -> Path:
        """Where its settings are written."""
        return self.folder / "settings" / self.study / self.task / f"{self.optimizer}.yaml"

    def __str__(self) -> str:
        return f"{self.optimizer} on {self.task}{self.variant and f' ({self.variant})'}"


@dataclass(frozen=True)
class Trial:
    """A trial that came to its end: its settings, its best validation, and what makes one trial better than another.

    validation: the mean over seeds. worth: that, so that larger is better; then, among equal ones, how early it came: minus its
    share of all steps, of the slowest seed. Settings that lead to losses that are not finite with any seed have no validation,
    which is the worst.
    """

    point: Point
    validation: float
    worth: tuple[float, float]


@dataclass(frozen=True)
class Choice:
    """The best trial of a method, among all of its trials."""

    method: Method
    best: Trial
    trials: Sequence[Trial]

    def __str__(self) -> str:
        """How it came about, with the settings whose best value sits at the edge of what was tried."""
        edges = [
            name
            for name, value in self.best.point.items()
            if value in (min(tried := [trial.point[name] for trial in self.trials]), max(tried))
        ]
        at_edge = f"; at the edge of what was tried: {', '.join(edges)}" if edges else ""
        seeds = f", mean of {len(self.method.seeds)} seeds" if len(self.method.seeds) > 1 else ""
        return f"The best of {len(self.trials)} trials, {self.best.validation:.4f} on validation data{seeds}{at_edge}"


def settings_text(choices: Sequence[Choice]) -> str:
    """The settings file: the grid's settings with the best values, by variant where there are several, on top of what the
    trials were run with.
    """
    method, variants = choices[0].method, [choice.method.variant for choice in choices]
    command = f"study={method.study} task={method.task} optimizer={method.optimizer}"
    settings = [item for item in method.settings if not item.startswith(PLACES)]
    name, values = variants[0].partition("=")[0], [variant.partition("=")[2] for variant in variants]
    seeds = [f"--seeds {len(method.seeds)}"] if len(method.seeds) > 1 else []
    arguments = " ".join([command, *settings, *([f"{name}={','.join(values)}"] if name else []), *seeds])
    content = OmegaConf.create({"defaults": [f"/settings/{method.base}", "_self_"]} if method.base else {})
    for setting in choices[0].best.point:
        found = [choice.best.point[setting] for choice in choices]
        OmegaConf.update(content, setting, _by_variant(name, values, found) if name else found[0], force_add=True)
    lines = [
        "# @package _global_",
        f"# python -m scripts.run {command}",
        f"# Written by: python -m scripts.tune {arguments}",
        *(f"# {choice.method.variant and choice.method.variant + ': '}{choice}" for choice in choices),
        "# All trials: results/tables/tuning.csv.",
        OmegaConf.to_yaml(content),
    ]
    return "\n".join(lines)


def refuse_loss(file: Path, variants: Sequence[str]) -> None:
    """ConfigError where a file of settings tells values of a setting of the task apart that are not among `variants`."""
    found = re.search(r"\$\{by_(?:size|name):\$\{([\w.]+)\},\{([^}]*)\}\}", file.read_text() if file.exists() else "")
    if found is None:
        return
    name, named = found[1], {variant.removeprefix(f"{found[1]}=") for variant in variants}
    known = [item.partition(":")[0] for item in found[2].split(",")]
    # 0 stands for the smallest size
    if {*known} - {"0", *named} or len(named) < len(known):
        listed = ",".join("SMALLEST" if value == "0" else value for value in known)
        raise ConfigError(
            f"{file} holds settings for {len(known)} values of {name}, and those that are not named would be lost; name all of "
            f"them: {name}={listed}"
        )


def _by_variant(name: str, values: Sequence[str], found: Sequence[float]) -> str:
    """The value of a setting by a setting of the task: of a size, that of the largest tuned size that is not above it."""
    if all(value.isdecimal() for value in values):
        pairs = sorted(zip(map(int, values), found, strict=True))
        # sizes below the smallest tuned one have its settings
        listed = ",".join(f"{size if place else 0}:{value}" for place, (size, value) in enumerate(pairs))
        return f"${{by_size:${{{name}}},{{{listed}}}}}"
    listed = ",".join(f"{value}:{setting}" for value, setting in zip(values, found, strict=True))
    return f"${{by_name:${{{name}}},{{{listed}}}}}"
