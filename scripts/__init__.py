"""Thin commands over the library, run as `python -m scripts.<name>`."""

import signal
import sys

if sys.platform == "win32":
    sys.exit(
        "error: the commands need Linux or macOS, for locks of files and limits of memory; on Windows use them in WSL "
        "(Windows Subsystem for Linux). The library works everywhere: polystep.minimize and polystep.Trainer"
    )

if sys.argv[0] == "-m" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # python -m scripts.NAME takes seconds to load, in which Ctrl-C ends it without a traceback (see `scripts.console.guarded`)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
