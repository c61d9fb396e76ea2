"""Studies: what is held equal in a comparison, and the files that hold their settings.

A study's settings are files settings/STUDY/TASK/OPTIMIZER.yaml. TASK is one task, several joined by "+", or any_task; OPTIMIZER
is one, or any_optimizer. The file of a task is used instead of that of several, and this instead of that of any task; what
holds for any optimiser goes on top, such as the seconds that all of them get.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product, takewhile
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
    protocol: Literal[
        "default", "published", "equal_seconds", "equal_evaluations", "equal_steps", "controlled", "theory", "tuning"
    ]
    edition: Literal["first", "revised"] | None = None
    requires_settings: bool = False


def files_by_use(folders: Iterable[Path], layout: str) -> dict[tuple[str, ...], Path]:
    """The yaml files of folders, by the parts of their paths; a part "a+b" stands for a and for b.

    `layout`: those parts in words, such as "TASK/OPTIMIZER". Of files with the same use, the one with the fewest uses counts.
    Raises ConfigError for a file that lies elsewhere, and where two have the same use and as many uses.
    """
    found: dict[tuple[str, ...], Path] = {}
    uses: dict[Path, int] = {}
    for folder in folders:
        for path in sorted(folder.rglob("*.yaml")):
            parts = path.relative_to(folder).with_suffix("").parts
            if len(parts) != len(layout.split("/")):
                place = "/".join((folder.name, *parts))
                raise ConfigError(f"{place}.yaml serves no run; {folder.name} are files {folder.name}/{layout}.yaml")
            served = list(product(*(part.split("+") for part in parts)))
            uses[path] = len(served)
            for use in served:
                earlier = found.get(use)
                if earlier is None or uses[path] < uses[earlier]:
                    found[use] = path
                elif uses[path] == uses[earlier]:
                    raise ConfigError(f"{earlier} and {path} both serve {'/'.join(use)}; keep one of them")
    return found


def check_package(path: Path) -> None:
    """ConfigError where Hydra would not take the contents of a study's file, or of settings, for those of the run."""
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    header = takewhile(lambda line: re.match(r"#\s*@", line), lines)
    if not any(line.lstrip("#").split() == ["@package", "_global_"] for line in header) and any(
        not line.startswith("#") for line in lines
    ):
        raise ConfigError(
            f"the first line of {path} must be # @package _global_; else its settings are not those of the run"
        )


def names_in(folders: Iterable[Path], group: str) -> list[str]:
    """The choices of a group that folders of configurations have."""
    return sorted({path.stem for folder in folders for path in (folder / group).glob("*.yaml") if path.exists()})


def chosen_file(folders: Sequence[Path], group: str, name: str) -> Path | None:
    """The file of a choice; None without any, ConfigError where several folders have one of this name."""
    found = [path for folder in folders if (path := folder / group / f"{name}.yaml").exists()]
    if len(found) > 1:
        raise ConfigError(f"{found[0]} and {found[1]} have one name, so the second would be ignored; rename it")
    return found[0] if found else None


def choice_files(folders: Sequence[Path], group: str) -> dict[str, Path]:
    """The files of all choices of a group, by name, as `chosen_file`."""
    return {name: path for name in names_in(folders, group) if (path := chosen_file(folders, group, name))}


def settings_files(*folders: Path) -> dict[tuple[str, ...], Path]:
    """The settings files of folders of configurations, by study, task and optimiser; raises ConfigError."""
    return files_by_use([folder / "settings" for folder in folders], "STUDY/TASK/OPTIMIZER")


def serving_files(
    files: Mapping[tuple[str, ...], Path], study: str, task: str, optimizer: str
) -> tuple[list[Path], bool]:
    """The files that serve a run, in the order they apply, and whether one is for its optimiser."""
    own = files.get((study, task, optimizer)) or files.get((study, ANY_TASK, optimizer))
    return [path for path in (own, files.get((study, task, ANY_OPTIMIZER))) if path], own is not None


def name_of_settings(path: Path) -> str:
    """What Hydra calls a settings file."""
    return "/".join(path.with_suffix("").parts[-3:])
