"""The parameters of the studies: configs/theory.yaml, changed by arguments."""

from collections.abc import Sequence
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from polystep.bench.schema import ConfigError, check_node, unknown
from polystep.validation import one_line
from scripts.console import CONFIGS

FILE = CONFIGS / "theory.yaml"


def study_names() -> tuple[str, ...]:
    """All studies, in the order of the page."""
    return tuple(map(str, OmegaConf.load(FILE)))


def read_parameters(choices: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The nodes of the chosen studies, of all where none is named.

    choices: names, and STUDY.PARAMETER=VALUE in Hydra's notation of values. Raises ConfigError.
    """
    names = [choice for choice in choices if "=" not in choice]
    changes = [choice for choice in choices if "=" in choice]
    known = study_names()
    for name in [*names, *(change.partition(".")[0].partition("=")[0] for change in changes)]:
        if name not in known:
            raise ConfigError(unknown(name, name, known))
    try:
        merged: Any = OmegaConf.merge(OmegaConf.load(FILE), OmegaConf.from_dotlist(changes))
        nodes: Any = OmegaConf.to_container(merged, resolve=True)
    except (OmegaConfBaseException, ValueError) as error:
        raise ConfigError(one_line(error)) from None
    for name in names or known:
        check_node(nodes[name], name)
    return {name: nodes[name] for name in known if name in (names or known)}
