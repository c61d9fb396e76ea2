"""The documents' code runs, their commands are understood, what they name exists, and the headline follows from the records."""

import argparse
import importlib
import math
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy

from polystep.bench.composition import compose_config
from polystep.bench.studies import choice_files
from polystep.evaluation.fused import FusedEvaluator
from polystep.files import StorageError
from scripts.console import COMMITTED, CONFIGS
from scripts.readme import with_results

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = "polystep/EXAMPLES.md"
FOLDERS = ("configs", "polystep", "tasks", "baselines", "scripts", "results", "tests")
DOCUMENTS = {
    name: (ROOT / name).read_text(encoding="utf-8")
    for name in (
        "README.md",
        "CONTRIBUTING.md",
        EXAMPLES,
        "polystep/METHOD.md",
        "polystep/report/published/README.md",
        "results/EDITIONS.md",
        *(f"{folder}/README.md" for folder in FOLDERS),
    )
}
README = DOCUMENTS["README.md"]
TARGETS = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
OWN = {"my_method", "my_task"}
"""Names that stand for a reader's own."""


def blocks(*languages: str) -> dict[str, str]:
    """Blocks of code in these languages, by document and place."""
    pattern = rf"^```(?:{'|'.join(languages)})\n(.*?)^```"
    return {
        f"{name}-{place}": code
        for name, text in DOCUMENTS.items()
        for place, code in enumerate(re.findall(pattern, text, re.DOTALL | re.MULTILINE))
    }


def test_the_readme_is_short_and_every_folder_has_one() -> None:
    assert README.count("\n") <= 150
    tracked = {path.parent.name for path in ROOT.glob("*/*") if path.suffix in (".py", ".yaml", ".md")}
    assert {name for name in tracked if not name.startswith(".") and name not in ("data",)} <= set(FOLDERS)


# scripts.examples runs the others, and so does its test
PROGRAMS = {place: code for place, code in blocks("py", "python").items() if not place.startswith(EXAMPLES)}


@pytest.mark.parametrize("place", PROGRAMS)
@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_programs_run(place: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Those that train a model lower its loss; the README's two do what it says."""
    monkeypatch.chdir(ROOT)
    namespace: dict[str, Any] = {}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        exec(PROGRAMS[place], namespace)
    if "model" in namespace:
        loss = cross_entropy(namespace["model"](namespace["inputs"]), namespace["targets"])
        assert float(loss.detach()) < 1.0 < math.log(3)
    else:
        shown = capsys.readouterr().out
        assert shown
    if place == "README.md-0":
        assert [float(part) for part in shown.strip(" []\n").split()] == pytest.approx([3, 3])
    if place == "README.md-1":
        assert type(namespace["trainer"].evaluator) is FusedEvaluator


def commands() -> Iterator[tuple[str, str]]:
    """Every line of a block of commands, and every command in the text."""
    for place, code in blocks("sh").items():
        for line in code.splitlines():
            yield place, line
    for name, text in DOCUMENTS.items():
        for command in re.findall(r"`((?:python -m|make|torchrun|pip install|source) [^`]+)`", text):
            yield name, command


COMMANDS = {f"{place}: {' '.join(shlex.split(line, comments=True))}": line for place, line in commands()}


class Understood(Exception):
    """The arguments of a command were parsed."""


@pytest.fixture
def parse_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(parser: argparse.ArgumentParser, parse: Any, arguments: Any) -> Any:
        options = parse(parser, arguments)
        if parser.prog.startswith("python -m"):
            raise Understood(options)
        return options

    for name in ("parse_args", "parse_intermixed_args"):
        parse = getattr(argparse.ArgumentParser, name)
        monkeypatch.setattr(
            argparse.ArgumentParser, name, lambda self, arguments=None, parse=parse: stop(self, parse, arguments)
        )


def in_capitals_or_own(word: str) -> bool:
    return bool(re.search(r"[A-Z]{3}|path/to", word.partition("=")[2] or word)) or word.partition("=")[2] in OWN


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.usefixtures("parse_only")
def test_commands_are_understood(command: str) -> None:
    words = shlex.split(COMMANDS[command], comments=True)
    if words[0] == "make":
        assert words[1] in TARGETS
        settings = dict(word.split("=", 1) for word in words[2:])
        assert settings.keys() <= {"PROFILE", "DRY_RUN"}
        assert settings.get("PROFILE", "quick") in choice_files([CONFIGS], "profile")
    elif words[0] == "pip":
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        assert not [name for name in re.findall(r"\[(\w+)\]", words[-1]) if name not in extras]
    elif words[0] == "git":
        assert words[:3] == ["git", "add", "configs"]
    elif words[0] == "source":
        assert words[1] == ".venv/bin/activate"
    else:
        module, arguments = words[words.index("-m") + 1], words[words.index("-m") + 2 :]
        check_module(module, [word for word in arguments if word not in ("NAME", "...")])


def check_module(module: str, arguments: list[str]) -> None:
    """The module takes the arguments; settings that choose something compose."""
    if module == "pytest":
        assert all((ROOT / word).exists() for word in arguments if word.startswith("tests"))
        return
    if not module.startswith("scripts."):
        assert (ROOT / (module.replace(".", "/") + ".py")).exists()
        return
    if module == "scripts.NAME":
        return
    found = ROOT / module.replace(".", "/")
    name = f"{module}.__main__" if found.is_dir() else module
    # what a command cannot do without, where a text names it alone
    required = {"records": ["check"], "new": ["task", "x"], "render_policy": ["x"], "compare": ["x"], "tune": ["x=y"]}
    with pytest.raises(Understood):
        importlib.import_module(name).main(arguments or required.get(module.rpartition(".")[2], []))
    settings = [word for word in arguments if re.match(r"[\w/.+]+=", word) and not in_capitals_or_own(word)]
    settings = [word for word in settings if not word.startswith(("profile=", "launcher"))]
    if module in ("scripts.run", "scripts.sweep", "scripts.check"):
        # of several values the first ones, and the last ones
        for place in (0, -1):
            parts = [word.partition("=") for word in settings]
            values = [value if "'" in value else value.split(",")[place] for *_, value in parts]
            compose_config(CONFIGS, [f"{name}={value}" for (name, *_), value in zip(parts, values, strict=True)])


def test_choices_in_the_text_exist() -> None:
    for name, text in DOCUMENTS.items():
        for group, choice in re.findall(
            r"`\+?((?:task|optimizer|study|launcher|logger|budget)(?:/\w+)?)=([a-z]\w*)`", text
        ):
            assert choice in OWN or (CONFIGS / group / f"{choice}.yaml").is_file(), f"{name}: {group}={choice}"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_linked_and_named_files_exist(name: str) -> None:
    folder = (ROOT / name).parent
    for link in re.findall(r"\]\((?!http)([^)#]+)", DOCUMENTS[name]):
        assert (folder / link).exists(), link
    for path in re.findall(r"`((?:\w+/)+|(?:\w+/)*\w+\.(?:py|yaml|csv|md|html|jsonl(?:\.xz)?))`", DOCUMENTS[name]):
        known = (folder / path).exists() or (ROOT / path).exists()
        assert known or re.search(r"[A-Z]{4}|my_|run\.json|demo/|reproduction/", path), path


def test_settings_shown_as_a_file_are_valid(tmp_path: Path) -> None:
    for place, code in blocks("yaml").items():
        (tmp_path / "optimizer").mkdir(exist_ok=True)
        (tmp_path / "optimizer" / "shown.yaml").write_text(code)
        from polystep.bench.composition import add_folder
        from scripts.check import checks

        assert len([*checks("optimizer", add_folder(["optimizer=shown"], tmp_path))]) > 5, place


HELP_LINES = {"scripts.run": 40}
MODULES = sorted(
    f"scripts.{path.stem}" for path in (ROOT / "scripts").glob("*.py") if "__main__" in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("module", MODULES)
def test_help_fits_a_screen(module: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(sys, "argv", [module, "--help"])
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(module).main(["--help"])
    lines = capsys.readouterr().out.splitlines()
    assert ended.value.code == 0 and 3 < len(lines) <= HELP_LINES.get(module, 24) and max(map(len, lines)) <= 100


@pytest.mark.slow
def test_the_block_of_results_is_up_to_date():
    assert with_results(README, COMMITTED) == README, "run python -m scripts.readme"


def test_without_its_markers_the_block_is_refused(tmp_path):
    with pytest.raises(StorageError, match="lacks the lines"):
        with_results("# Title", tmp_path)
