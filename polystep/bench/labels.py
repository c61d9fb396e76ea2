"""Names for several settings of one method: what differs between them."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from polystep.bench.identity import identifying_settings, run_identity
from polystep.bench.records import RunRecord

LONGEST_LABEL = 60


def settings_identity(run: RunRecord) -> str:
    """Identity of everything but the seed: a mean over runs with different settings or data would describe no experiment."""
    return run_identity(_without_seed(run.config), run.data_fingerprint)


def setting_labels(runs: Sequence[RunRecord]) -> list[str]:
    """For each of several runs of one method with different settings, what tells it apart: "budget.steps=1500".

    Only keys that differ are named, and of those only values other than the one that most runs have, so the run with
    none is "". Keys within `optimizer` go without that prefix, targets by the name of their class. The start of the hash
    of the settings stands for a label longer than `LONGEST_LABEL`, and for all where they do not tell all apart.
    """
    settings = [_flat_settings(run) for run in runs]
    usual = _usual_values(settings)
    keys = _telling_keys(settings)
    labels = [
        ", ".join(f"{_shorten(key)}={run[key]}" for key in keys if key in run and run[key] != usual.get(key))
        for run in settings
    ]
    tell_apart = len(set(labels)) == len(labels)
    return [
        label if tell_apart and len(label) <= LONGEST_LABEL else settings_identity(run)[:6]
        for label, run in zip(labels, runs, strict=True)
    ]


def flat_settings(config: Mapping[str, Any]) -> dict[str, str]:
    """What identifies a configuration, but for its seeds, as texts by path."""
    return dict(_flat(identifying_settings(_without_seed(dict(config)))))


def _flat_settings(run: RunRecord) -> dict[str, str]:
    return flat_settings(run.config) | {"data": run.data_fingerprint[:6]}


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        elif key == "_target_":
            yield f"{prefix}{key}", str(value).rpartition(".")[2]
        elif value is not None:
            # Null says no more than an absent key. Truth is written as on a command line.
            yield f"{prefix}{key}", str(value).lower() if isinstance(value, bool) else str(value)


def _telling_keys(settings: Sequence[Mapping[str, str]]) -> list[str]:
    """Keys whose values differ, without those that only repeat or detail another one."""
    values = {key: tuple(run.get(key) for run in settings) for run in settings for key in run}
    differing = [key for key in sorted(values, key=lambda key: (len(key), key)) if len(set(values[key])) > 1]
    targets = [key for key in differing if key.endswith("_target_")]

    def is_detail(key: str) -> bool:
        """Whether another component explains the value, such as the rank that only one kind of subspace has."""
        return any(
            key != target
            and key.startswith(target.removesuffix("_target_"))
            and len(set(zip(values[target], values[key], strict=True))) == len(set(values[target]))
            for target in targets
        )

    keys: list[str] = []
    for key in differing:
        if not is_detail(key) and values[key] not in [values[kept] for kept in keys]:
            keys.append(key)
    return sorted(keys)


def _usual_values(settings: Sequence[Mapping[str, str]]) -> dict[str, str]:
    counts = Counter(item for run in settings for item in run.items())
    return {key: value for (key, value), count in counts.items() if count > len(settings) / 2}


def _shorten(key: str) -> str:
    return key.removesuffix("._target_").removeprefix("optimizer.")


def _without_seed(value: Any) -> Any:
    return {k: _without_seed(v) for k, v in value.items() if k != "seed"} if isinstance(value, dict) else value
