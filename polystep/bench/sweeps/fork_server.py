"""Imported by the process that starts the runs of a sweep, and by no other, before all else.

SIGTERM to all processes of a sweep would end it before its runs, and nobody could tell how those ended. So it blocks the
signal; a run that it has just started inherits that, and takes the signal up where it begins. The code that it imports is
hashed once, for a run may begin after that code was edited.
"""

import signal

from polystep.bench.sources import suite_hash

signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
suite_hash()
