"""Studies: what is held equal in a comparison, and the files that hold their settings.

A study's settings are files settings/STUDY/TASK/OPTIMIZER.yaml. TASK is one task, several joined by "+", or any_task; OPTIMIZER
is one, or any_optimizer. The file of a task is used instead of that of any task; what holds for any optimiser goes on top, such
as the seconds that all of them get.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from polystep.bench.schema import ConfigError

ANY_TASK, ANY_OPTIMIZER = "any_task", "any_optimizer"


@dataclass(frozen=True)
class Study:
    """A study, as configs/study/NAME.yaml describes it.

    protocol: what is equal for all methods. edition: of the paper, where its settings are meant. title: for readers.
    requires_settings: whether an optimiser on a task without a settings file is refused.
    """

    name: str
    title: str
    protocol: Literal["default", "published", "equal_seconds", "equal_evaluations", "equal_steps", "tuning"]
    edition: Literal["first", "revised"] | None = None
    requires_settings: bool = False


@dataclass(frozen=True)
class SettingsFile:
    """One settings file: its path below settings/, without suffix, and what it serves."""

    path: str
    study: str
    tasks: tuple[str, ...]
    optimizer: str


def settings_files(folder: Path) -> list[SettingsFile]:
    """The settings files of a folder of configurations; raises ConfigError for one that lies elsewhere than it should."""
    root = folder / "settings"
    return [_settings_file(path.relative_to(root).with_suffix("")) for path in sorted(root.rglob("*.yaml"))]


def _settings_file(path: Path) -> SettingsFile:
    if len(path.parts) != 3:
        raise ConfigError(f"settings/{path}.yaml serves no run; settings are files settings/STUDY/TASK/OPTIMIZER.yaml")
    study, tasks, optimizer = path.parts
    return SettingsFile(path.as_posix(), study, tuple(tasks.split("+")), optimizer)


def find_settings(files: Sequence[SettingsFile], study: str, task: str, optimizer: str) -> tuple[list[str], bool]:
    """The paths of the files that serve a run, in the order in which they apply, and whether one is for its optimiser.

    Raises ConfigError where two files claim the same task and optimiser.
    """

    def serving(task: str, optimizer: str) -> Iterator[str]:
        found = [
            file.path for file in files if (file.study, file.optimizer) == (study, optimizer) and task in file.tasks
        ]
        if len(found) > 1:
            raise ConfigError(
                f"settings/{found[0]}.yaml and settings/{found[1]}.yaml both serve {task}; keep one of them"
            )
        yield from found

    own = list(serving(task, optimizer)) or list(serving(ANY_TASK, optimizer))
    return [*own, *serving(task, ANY_OPTIMIZER)], bool(own)
