"""What scripts.new writes works as it is: it keeps its contract, passes its own test, and is styled and typed."""

import importlib
import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import baselines
import tasks
from polystep.contracts import ExpectedError
from scripts import check, new
from scripts.new import FILES, write_skeleton
from tests.function_objective import FunctionObjective

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {"optimizer": baselines, "task": tasks}


@pytest.fixture(params=FILES)
def written(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str, Path]:
    """Kind, name and root of new files, of which the modules can be imported."""
    kind = request.param
    package, name = PACKAGES[kind], f"made_up_{kind}"
    write_skeleton(kind, name, tmp_path)
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path / package.__name__)])
    yield kind, name, tmp_path
    sys.modules.pop(f"{package.__name__}.{name}", None)


def test_it_keeps_its_contract(written: tuple[str, str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    kind, name, root = written
    assert check.main(["--config-dir", str(root / "configs"), f"{kind}={name}"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"holds: records call it {name}, version 1" in lines and len(lines) >= 9
    assert all(line.startswith("holds: ") for line in lines)


def test_its_random_numbers_do_not_depend_on_its_name() -> None:
    """A test that passes under one name passes under all."""
    for skeleton in new.SKELETONS.glob("*.txt"):
        for line in skeleton.read_text().splitlines():
            assert "named_generator" not in line or "$" not in line, f"{skeleton.name}: {line}"


def test_it_passes_its_own_test(written: tuple[str, str, Path]) -> None:
    _, name, root = written
    (path,) = root.glob(f"tests/**/test_{name}.py")
    spec = importlib.util.spec_from_file_location(f"test_{name}", path)
    assert spec is not None and spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    tests = [value for key, value in vars(module).items() if key.startswith("test_")]
    assert tests
    for test in tests:
        test(*[FunctionObjective] * test.__code__.co_argcount)


def test_it_has_the_style_of_the_rest(written: tuple[str, str, Path]) -> None:
    _, _, root = written
    known = "lint.isort.known-first-party=['baselines', 'polystep', 'tasks']"
    for command in (["check", "--config", known], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--config", str(ROOT / "pyproject.toml"), str(root)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["Big", "with-dash", "1st", "class", "a b", "../up", ""])
def test_names_that_are_none_of_a_module_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ExpectedError, match="cannot name a module"):
        write_skeleton("optimizer", name, tmp_path)
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (ROOT / "baselines/spsa.py").read_text()
    assert new.main(["optimizer", "spsa"]) == 2
    assert (
        capsys.readouterr().out
        == "error: baselines/spsa.py is there already; choose another name, or delete it first\n"
    )
    assert (ROOT / "baselines/spsa.py").read_text() == before and not (ROOT / "baselines/__new__.py").exists()


@pytest.mark.parametrize("name", ["networks", "data"])
def test_names_of_folders_are_refused(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert new.main(["task", name]) == 2
    assert f"tasks/{name} is a folder, which Python would import instead" in capsys.readouterr().out
    assert not (ROOT / f"tasks/{name}.py").exists()


def test_the_command_says_what_it_wrote_and_what_comes_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(new, "ROOT", tmp_path)
    assert new.main(["optimizer", "my_method"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "wrote baselines/my_method.py",
        "wrote configs/optimizer/my_method.yaml",
        "wrote tests/baselines/test_my_method.py",
        "check it: python -m scripts.check optimizer=my_method",
        "run it:   python -m scripts.run task=snn_digits optimizer=my_method budget.steps=200",
    ]
    module = (tmp_path / "baselines/my_method.py").read_text()
    assert (
        "class MyMethod(PointOptimizer)" in module and '@component("my_method", version=1, title="My method"' in module
    )
    assert "seed: ${seed}" in (tmp_path / "configs/optimizer/my_method.yaml").read_text()
