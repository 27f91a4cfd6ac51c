"""SIGTERM and SIGINT ask a run to stop; they do not break it."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def listening() -> Iterator[Callable[[], int]]:
    """Within, the first SIGTERM or SIGINT only leaves its number, which the function given returns (0 before).

    A second one acts as if nobody listened: it stops the process at once. Outside the main thread, where Python allows
    no handlers, nothing is changed.
    """
    received = [0]
    if threading.current_thread() is not threading.main_thread():
        yield lambda: received[0]
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(number: int, _) -> None:
        received[0] = number
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    for number in before:
        signal.signal(number, note)
    try:
        yield lambda: received[0]
    finally:
        restore()
