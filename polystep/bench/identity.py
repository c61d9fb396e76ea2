"""Which run is this: a hash of everything that decides its numbers."""

import hashlib
import json
from typing import Any

from polystep.bench.records import RECORD_VERSION
from polystep.files import json_value

NOT_IDENTIFYING = ("records", "data_dir", "device", "threads", "logger", "checkpoint_seconds")
"""Settings that say where and how a run is computed and shown, not what is computed."""


def run_identity(config: dict[str, Any], data_fingerprint: str) -> str:
    """First 16 hexadecimal digits of SHA-256 over canonical JSON of the identifying settings (the seed among them), the
    data fingerprint and the record version.
    """
    return _digest({"config": identifying_settings(config), "data": data_fingerprint, "record_version": RECORD_VERSION})


def planned_identity(config: dict[str, Any]) -> str:
    """What is known of a run before its data are loaded: the same hash without them, of the settings alone."""
    return _digest(identifying_settings(json_value(config)))


def _digest(content: Any) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def run_name(config: dict[str, Any], identity: str) -> str:
    """task-optimizer-study-seed-identity: readable, and different for different runs."""
    names = config["names"]
    return "-".join([names["task"], names["optimizer"], names["study"], f"seed{config['seed']}", identity])


def identifying_settings(value: Any) -> Any:
    """The settings without those of NOT_IDENTIFYING and without nulls, wherever they stand.

    Null means that nothing is set, so a setting that is added later and is null leaves the identity of earlier runs as it is.
    """
    if isinstance(value, dict):
        return {
            key: identifying_settings(item)
            for key, item in value.items()
            if key not in NOT_IDENTIFYING and item is not None
        }
    if isinstance(value, list):
        return [identifying_settings(item) for item in value]
    return value
