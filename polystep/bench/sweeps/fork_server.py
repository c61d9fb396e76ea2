"""Imported by the process that starts the runs of a sweep, and by no other, before all else.

SIGTERM to all processes of a sweep would end it before its runs, and nobody could tell how those ended. So it blocks the
signal; a run that it has just started inherits that, and takes the signal up where it begins. The code that it imports is
hashed once, for a run may begin after that code was edited. So are other things done once that each run would do anew.
"""

# ruff: noqa: E402
import signal

signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from numba import njit

from polystep.bench.context import distributions
from polystep.bench.sources import suite_hash

suite_hash()
distributions()
Plugins.instance()
OverridesParser.create().parse_overrides(["seed=1"])
# the first kernel of a process makes numba ready; without parallel loops it starts no threads, which a fork would lose
njit(lambda value: value)(1)
