"""Every scalar of every yaml file, given a list, settings or null, is refused by its name, or is of a kind that it may be."""

import copy
import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from polystep.bench.composition import Composer
from polystep.bench.launch import SETTINGS, resolve_settings
from polystep.bench.profiles import read_profile
from polystep.bench.schema import ConfigError, check_node, locate
from polystep.bench.studies import ANY_OPTIMIZER, ANY_TASK, Study, settings_files
from polystep.contracts import ExpectedError
from polystep.report.claims.statements import read_statements

CONFIGS = Path(__file__).resolve().parents[3] / "configs"
WRONG: list[Any] = [[1], {"start": 1}, None]
COMPOSERS = {name: Composer(CONFIGS, name) for name in ("config", "sweep")}


def served(study: str) -> str:
    """An optimiser that a study has settings for."""
    names = {optimizer for found, _, optimizer in settings_files(CONFIGS) if found == study} - {ANY_OPTIMIZER}
    return "polystep" if "polystep" in names or not names else min(names)


def files() -> Iterator[tuple[str, list[str]]]:
    """Every yaml file that runs or sweeps are composed of, and overrides that choose it."""
    yield "config.yaml", []
    yield "sweep.yaml", []
    for group in ("task", "optimizer", "study", "budget", "logger", "launcher"):
        for path in sorted((CONFIGS / group).rglob("*.yaml")):
            choice = f"{path.parent.relative_to(CONFIGS)}={path.stem}"
            name, others = str(path.relative_to(CONFIGS)), []
            if group == "study":
                others = [f"optimizer={served(path.stem)}"]
            elif path.parent.name == "noise":
                # it is no default of the only optimiser that takes it
                choice, others = f"+{choice}", ["optimizer=openai_es"]
            yield name, [*others, choice]
    # of the tasks that a file serves the first
    uses = {path: use for use, path in reversed(settings_files(CONFIGS).items())}
    for path, (study, task, optimizer) in reversed(uses.items()):
        task = "snn" if task == ANY_TASK else task
        optimizer = served(study) if optimizer == ANY_OPTIMIZER else optimizer
        yield str(path.relative_to(CONFIGS)), [f"study={study}", f"task={task}", f"optimizer={optimizer}"]


FILES = dict(files())


def scalars(node: Any, path: str) -> Iterator[str]:
    for key, value in node.items():
        place = f"{path}.{key}" if path else str(key)
        if isinstance(value, dict):
            yield from scalars(value, place)
        elif not isinstance(value, list):
            yield place


def check(config: DictConfig, choices: Any, name: str) -> None:
    if name == "config":
        resolve_settings(config, choices)
        return
    check_node(OmegaConf.to_container(config.launcher, resolve=True), "launcher")
    if config.profile is not None:
        read_profile(CONFIGS, config.profile)


def hint_of(config: Any, place: str) -> str:
    """How the signature of what is built writes the kind of a setting."""
    *parents, key = place.split(".")
    node = OmegaConf.select(config, ".".join(parents)) if parents else None
    if node is None:
        return "None" if place == "profile" else str(SETTINGS[key])
    target = Study if parents == ["study"] else locate(node["_target_"], place)
    hint = str(inspect.signature(target).parameters[key].annotation)
    return hint.replace("Optional", "None")


@pytest.mark.parametrize("file", FILES)
def test_a_scalar_of_another_kind_is_refused_by_its_name(file: str) -> None:
    text = (CONFIGS / file).read_text()
    name = "sweep" if file.startswith(("sweep", "launcher")) else "config"
    package = "" if "@package _global_" in text or "/" not in file else str(Path(file).parent).replace("/", ".")
    content: Any = OmegaConf.to_container(OmegaConf.create(text))
    content.pop("defaults", None)
    composed, choices = COMPOSERS[name].compose(FILES[file])
    check(composed, choices, name)
    written = OmegaConf.create(OmegaConf.to_container(composed))
    for place in scalars(content, package):
        for wrong in WRONG:
            OmegaConf.update(composed, place, wrong, merge=False)
            try:
                check(composed, choices, name)
            except ConfigError as error:
                assert place.rpartition(".")[2] in str(error), f"{place}={wrong}: {error}"
            else:
                assert "Any" in (hint := hint_of(composed, place)) or (wrong is None and "None" in hint), place
        OmegaConf.update(composed, place, OmegaConf.select(written, place), merge=False)


def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of the scalars in a file of lists of entries."""
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        if isinstance(value, dict | list):
            yield from places(value, (*path, key))
        else:
            yield (*path, key)


ENTRIES = [*sorted(CONFIGS.glob("profile/*.yaml")), *sorted(CONFIGS.glob("statements/*.yaml"))]


@pytest.mark.parametrize("file", ENTRIES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_file_of_entries_with_a_wrong_scalar_is_read_or_explained(file: Path, tmp_path: Path) -> None:
    """Every kind of place in it; what a run refuses of an override, composing says."""
    (tmp_path / file.parent.name).mkdir()
    copied = tmp_path / file.parent.name / file.name
    key = "runs" if file.parent.name == "profile" else "statements"
    content: Any = OmegaConf.to_container(OmegaConf.load(file))
    kinds = {tuple(part for part in place if isinstance(part, str)): place for place in places(content)}
    refused = 0
    for place in kinds.values():
        one = content | {key: [content[key][place[1] if place[0] == key else 0]]}
        for wrong in WRONG:
            made = copy.deepcopy(one)
            node, path = made, [*place[:1], 0, *place[2:]] if place[0] == key else place
            for part in path[:-1]:
                node = node[part]
            node[path[-1]] = wrong
            copied.write_text(json.dumps(made))
            try:
                assert read_profile(tmp_path, file.stem) if key == "runs" else read_statements(copied)
            except ExpectedError as error:
                assert str(copied) in str(error)
                refused += 1
    assert refused, "some of the wrong values are refused"
