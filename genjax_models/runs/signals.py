"""Signals: a run stops at the end of its chunk, and a process that does not train ends with one line."""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

_NUMBERS = (signal.SIGTERM, signal.SIGINT)
_END = 0  # ends the thread; no signal has this number
_SAME_REQUEST = 1.0  # seconds: schedulers and terminals send a signal twice


@contextlib.contextmanager
def listening() -> Iterator[Callable[[], int]]:
    """Records the first SIGTERM or SIGINT inside the block; yields a function that returns its number, 0 before it.

    A second signal within a second is ignored; a later one has its default effect: it stops the process at once.
    One line on standard error answers at once. Outside the main thread, where Python allows no handlers, signals keep
    their effect.
    """
    received = [0]
    first = [0.0]

    def record(number: int, _: FrameType | None) -> None:
        if not received[0]:
            received[0], first[0] = number, time.monotonic()
        elif time.monotonic() - first[0] > _SAME_REQUEST:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    with _handlers(record), _answering():
        yield lambda: received[0]


@contextlib.contextmanager
def ending_in_one_line() -> Iterator[None]:
    """Ends the process with one line and exit status 128 + number at a SIGTERM or SIGINT inside the block.

    Files that are written inside the block are cleaned up, as at an error.
    """

    def end(number: int, _: FrameType | None) -> None:
        print(f"stopped by {signal.Signals(number).name}", file=sys.stderr)
        sys.exit(128 + number)

    with _handlers(end):
        yield


@contextlib.contextmanager
def _answering() -> Iterator[None]:
    """Answers the first signal inside the block with one line; needs handlers.

    Python runs a handler only after a compiled step or a compilation has returned. A thread need not wait: the
    interpreter writes the number of each signal to a pipe.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    from genjax_models.data.terminal import redraws  # imports numpy, which --help need not wait for

    reading, writing = os.pipe()
    os.set_blocking(writing, False)

    def answer() -> None:
        while (number := os.read(reading, 1)[0]) not in (*_NUMBERS, _END):
            pass
        if number != _END:
            line = f"{signal.Signals(number).name}: saves after the steps under way, then ends"
            print(f"\n{line}" if redraws(sys.stderr) else line, file=sys.stderr, flush=True)

    thread = threading.Thread(target=answer, daemon=True)
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.write(writing, bytes([_END]))
        thread.join()
        os.close(reading)
        os.close(writing)


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
