"""A line on stderr that says how far training is; what becomes of it never stops training."""

import contextlib
import sys
import time


class Progress:
    """On a terminal one line that is written over, at most ten times a second; elsewhere a line for everything that lasts."""

    def __init__(self, shown: bool):
        self._shown, self._written, self._last, self._started = shown, 0, 0.0, time.monotonic()

    def show(self, text: str, lasts: bool) -> None:
        """`lasts`: whether the line stays."""
        now = time.monotonic()
        if not self._shown or not (lasts or now - self._last > 0.1):
            return
        minutes, seconds = divmod(int(now - self._started), 60)
        text = f"{text}  {minutes}:{seconds:02d}"
        # a terminal that was closed, a full disk, no stderr at all
        with contextlib.suppress(OSError, ValueError, AttributeError):
            if sys.stderr.isatty():
                sys.stderr.write("\r" + text.ljust(self._written) + ("\n" if lasts else ""))
                self._written, self._last = (0 if lasts else len(text)), now
            elif lasts:
                sys.stderr.write(text + "\n")
            sys.stderr.flush()
