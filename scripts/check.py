"""Does a method or a task keep its contract:  python -m scripts.check optimizer=NAME

Prints what holds, a line each. Exit status: 0 all of it, 1 something does not hold, 2 wrong settings.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence

from polystep.bench.composition import compose_config
from polystep.bench.launch import PASSED_BY_HARNESS, build_component, check_section, plain_values
from polystep.bench.schema import check_node, locate
from polystep.component import component_of
from polystep.conformance import optimizer_checks, task_checks
from polystep.contracts import ExpectedError
from polystep.validation import place_of
from scripts.console import CONFIGS, EXIT_STATUS, add_config_dir, explain, guarded, overrides_of, say

KINDS = ("optimizer", "task")
SMALL = {
    # what needs no file stands in for data that would have to be fetched
    "dataset": "digits",
    "series": "sines",
    "history": 8,
    "validation_size": 200,
    "batch_size": 64,
    "variables": 200,
    "horizon": 20,
    "test_episodes": 5,
}
"""What makes a task small, where it has such a setting."""
SPLIT = {"dataset", "validation_size"}
"""What depends on each other."""
SHORT = {"environment_steps": 16, "batch_size": 16, "epochs": 1, "learning_starts": 4}
"""What makes the steps of a learner short, where it has such a setting."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.check", description="Check that a method or a task keeps its contract."
    )
    parser.add_argument(
        "settings", nargs="*", metavar="setting=value", help="optimizer=NAME or task=NAME, and settings"
    )
    add_config_dir(parser)
    options = parser.parse_intermixed_args(arguments)
    try:
        kinds = [kind for kind in KINDS if any(setting.startswith(f"{kind}=") for setting in options.settings)]
        if len(kinds) != 1:
            raise ExpectedError(
                "say what to check: optimizer=NAME or task=NAME; python -m scripts.list shows the names"
            )
        for sentence in checks(kinds[0], overrides_of(options)):
            say(f"holds: {sentence}")
    except AssertionError as error:
        say(f"does not hold: {error}")
        return EXIT_STATUS["failed"]
    except ExpectedError as error:
        return explain(error)
    except Exception as error:  # whatever the method or the task raises
        say(f"does not hold: {type(error).__name__} is raised by {place_of(error)}: {error}")
        return EXIT_STATUS["failed"]
    return EXIT_STATUS["finished"]


def checks(kind: str, overrides: Sequence[str]) -> Iterator[str]:
    """What holds of the optimizer or task that overrides choose, a sentence each; AssertionError at the first that does not.

    Raises ExpectedError where it cannot be built.
    """
    node = plain_values(compose_config(CONFIGS, ["budget.steps=5", *overrides]).config)[kind]
    check_section(node, kind)
    check_node(node, kind, PASSED_BY_HARNESS.get(kind, ()))
    yield f"its settings fit {node['_target_']}"
    declared = component_of(locate(node["_target_"], kind))
    version = "without a version" if declared.version is None else f"version {declared.version}"
    yield f"records call it {declared.name}, {version}"
    made_small = SHORT if kind == "optimizer" else SMALL
    given = {item.lstrip("+").partition("=")[0].removeprefix(f"{kind}.") for item in overrides}
    if given & SPLIT:
        given |= SPLIT
    others = {name: value for name, value in made_small.items() if name not in given and node.get(name, value) != value}
    if others:
        shown = ", ".join(f"{kind}.{name}={value}" for name, value in others.items())
        yield f"it is checked with {shown}, which is quick, in place of its own; settings of the command line are kept"
    node |= others
    node.pop("seed", None)
    if kind == "optimizer":
        yield from optimizer_checks(lambda **arguments: build_component(node, kind, **arguments))
    else:
        yield from task_checks(lambda seed: build_component(node, kind, seed=seed))


if __name__ == "__main__":
    sys.exit(guarded(main))
