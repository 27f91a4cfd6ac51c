"""Where progress is shown: as a bar that redraws its line, or as lines in a log."""

import builtins
import time
from typing import Any


def redraws(stream: Any) -> bool:
    """Returns whether a bar may redraw its line on the stream: on a terminal, and in a notebook."""
    try:
        return hasattr(builtins, "__IPYTHON__") or stream.isatty()
    except (AttributeError, ValueError):  # no stream, or closed
        return False


class Every:
    """True once in so many seconds, for lines in a log."""

    def __init__(self, seconds: float):
        self._seconds, self._last = seconds, time.monotonic()

    def __call__(self) -> bool:
        now = time.monotonic()
        due = now - self._last >= self._seconds
        self._last = now if due else self._last
        return due
