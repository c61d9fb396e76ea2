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


def test_what_is_none_of_the_kinds_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["task"])
    assert "task is none of tasks, optimizers, studies, profiles" in capsys.readouterr().err
