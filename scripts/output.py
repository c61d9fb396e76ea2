"""Where commands print. What becomes of it never decides what a command does."""

import os
import sys
from typing import Any


class Output:
    """Standard output, whatever it is at the moment; once it refuses what is written, that goes nowhere, without a word.

    A pipe that nobody reads any more, a full disk and a closed terminal refuse. Characters that its encoding lacks are
    written as escapes.
    """

    def write(self, text: str) -> int:
        """Write `text`; returns its length."""
        try:
            try:
                self._stream.write(text)
            except UnicodeEncodeError:
                self._stream.write(text.encode("ascii", "backslashreplace").decode())
        except (OSError, ValueError):
            self._leave()
        return len(text)

    def flush(self) -> None:
        """Pass on what was written."""
        try:
            self._stream.flush()
        except (OSError, ValueError):
            self._leave()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @property
    def _stream(self) -> Any:
        # None where the command was started with a closed standard output
        return sys.stdout or sys.__stderr__

    def _leave(self) -> None:
        """Send all that follows, and what waits in buffers, which Python flushes at its end, to nowhere."""
        try:
            with open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), self._stream.fileno())
        except (OSError, ValueError):
            # a closed stream, to which nothing more is written
            sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
