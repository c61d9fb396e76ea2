"""Ctrl-C and SIGTERM, which clusters send before they kill: a run stops where nothing is lost, however many signals come."""

import contextlib
import signal
import threading
from collections.abc import Iterator

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Whether this process was told to stop. Work that must be whole looks at `requested` when it is done."""

    def __init__(self) -> None:
        self.requested = False
        self._at_once = False

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Around work that may be dropped halfway: the first signal raises KeyboardInterrupt, also one that came before."""
        self._at_once = True
        try:
            if self.requested:
                raise KeyboardInterrupt
            yield
        finally:
            self._at_once = False

    def notice(self, *_: object) -> None:
        """What a signal does."""
        self.requested = True
        if self._at_once:
            # once: what follows, a checkpoint and a record, is whole
            self._at_once = False
            raise KeyboardInterrupt


@contextlib.contextmanager
def heeded_signals() -> Iterator[Interruption]:
    """Inside, signals to stop are noticed instead of ending the process; those that are ignored stay so.

    Only the main thread can say what signals do; in others they are left as they are.
    """
    interruption = Interruption()
    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.getsignal(number) for number in SIGNALS}
    before = {number: handler for number, handler in before.items() if handler not in (signal.SIG_IGN, None)}
    try:
        for number in before:
            signal.signal(number, interruption.notice)
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
