"""Records of runs: what a run leaves behind, how it is identified, stored, bundled and checked.

The harness writes records and reports read them; neither imports the other, both import this package.
"""

from polystep.records.bundle import lean, read_bundle, read_places, write_bundle
from polystep.records.identity import cell_id, digest, run_id, settings_id
from polystep.records.record import (
    CLOCKS,
    COUNTERS,
    FORMAT,
    STEP_CLOCKS,
    TOO_MUCH,
    RecordError,
    Row,
    RunRecord,
    history_columns,
    read_record,
    shared_its_core,
    write_record,
)

__all__ = [
    "CLOCKS",
    "COUNTERS",
    "FORMAT",
    "STEP_CLOCKS",
    "TOO_MUCH",
    "RecordError",
    "Row",
    "RunRecord",
    "cell_id",
    "digest",
    "history_columns",
    "lean",
    "read_bundle",
    "read_places",
    "read_record",
    "run_id",
    "settings_id",
    "shared_its_core",
    "write_bundle",
    "write_record",
]
