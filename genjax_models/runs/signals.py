"""Signals: a run stops at the end of its chunk, and a process that does not train ends with one line."""

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

_NUMBERS = (signal.SIGTERM, signal.SIGINT)
_SAME_REQUEST = 1.0  # seconds: schedulers and terminals send a signal twice


@contextlib.contextmanager
def listening() -> Iterator[Callable[[], int]]:
    """Records the first SIGTERM or SIGINT inside the block; yields a function that returns its number, 0 before it.

    A second signal within a second is ignored; a later one has its default effect: it stops the process at once.
    Outside the main thread, where Python allows no handlers, signals keep their effect.
    """
    received = [0]
    first = [0.0]

    def record(number: int, _: FrameType | None) -> None:
        if not received[0]:
            received[0], first[0] = number, time.monotonic()
        elif time.monotonic() - first[0] > _SAME_REQUEST:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    with _handlers(record):
        yield lambda: received[0]


@contextlib.contextmanager
def ending_in_one_line() -> Iterator[None]:
    """Ends the process with one line and exit status 128 + number at a SIGTERM or SIGINT inside the block."""

    def end(number: int, _: FrameType | None) -> None:
        print(f"stopped by {signal.Signals(number).name} outside of training", file=sys.stderr)
        sys.exit(128 + number)

    with _handlers(end):
        yield


@contextlib.contextmanager
def _handlers(handler: Any) -> Iterator[None]:
    """Installs the handler inside the block; does nothing outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in _NUMBERS}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)
