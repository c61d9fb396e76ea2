from pathlib import Path

import pytest

from scripts.console import CONFIGS
from scripts.list import KINDS, first_sentence, main


@pytest.mark.parametrize("kind", KINDS)
def test_every_choice_is_listed_with_the_command_that_uses_it(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([kind]) == 0
    printed = capsys.readouterr().out
    folder, command = KINDS[kind]
    assert command in printed
    for path in (CONFIGS / folder).glob("*.yaml"):
        assert path.stem in printed


def test_every_choice_says_what_it_is() -> None:
    for folder, _ in KINDS.values():
        for path in (CONFIGS / folder).glob("*.yaml"):
            sentence = first_sentence(path)
            assert 3 <= len(sentence.split()) <= 60, f"{path}: {sentence!r}"


def test_choices_of_ones_own_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "optimizer").mkdir()
    (tmp_path / "optimizer" / "mine.yaml").write_text("# Walks at random. It is slow.\n_target_: mine.Walk\n")
    assert main(["optimizers", "-cd", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "mine" in printed and "Walks at random." in printed and "polystep" in printed
    assert f"scripts.run optimizer=NAME --config-dir {tmp_path}" in " ".join(printed.split())
    assert main(["optimizers", "-cd", str(tmp_path / "none")]) == 2
    assert "does not exist" in capsys.readouterr().out
    (tmp_path / "optimizer" / "spsa.yaml").write_text("{}\n")
    assert main(["-cd", str(tmp_path)]) == 2
    assert "have one name" in capsys.readouterr().out.replace("\n", " ")


def test_what_is_none_of_the_kinds_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["task"])
    assert "task is none of tasks, optimizers, studies, profiles" in capsys.readouterr().err
