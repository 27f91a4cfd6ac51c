"""Signals: the first SIGTERM or SIGINT asks a run to stop at the end of its chunk."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def listening() -> Iterator[Callable[[], int]]:
    """Records the first SIGTERM or SIGINT inside the block; yields a function that returns its number, 0 before it.

    A second signal has its default effect: it stops the process at once. Outside the main thread, where Python allows
    no handlers, signals keep their effect.
    """
    received = [0]
    if threading.current_thread() is not threading.main_thread():
        yield lambda: received[0]
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def record(number: int, _) -> None:
        received[0] = number
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    for number in before:
        signal.signal(number, record)
    try:
        yield lambda: received[0]
    finally:
        restore()
