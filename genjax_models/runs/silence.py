"""Notices that another process of a run has gone silent, because its host or the network is down.

A process that is killed closes its connections, which the others notice at once. A host that is down closes nothing:
TCP waits for a quarter of an hour, and JAX's own watch aborts the process with a stack trace.
"""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import jax

SECONDS = 60.0  # without a beat, after which a process counts as lost
_EVERY = 0.1  # of SECONDS, between two beats
_KEYS = "genjax_models/beats/"

_watches: "list[Watch]" = []  # of this process, while it is connected


def watch_others() -> None:
    """Ends this process with one line, in another thread, if another process goes silent; `stop_watching` ends this."""
    from jax._src.distributed import global_state  # the public interface has no store of keys and values

    index, count = jax.process_index(), jax.process_count()

    def lost(other: int) -> None:
        print(
            f"error: process {index} of {count} has not heard from process {other} for {SECONDS:g} s: its host or the"
            " network is down; continue with --resume",
            file=sys.stderr,
            flush=True,
        )
        os._exit(1)

    if count > 1:
        _watches.append(Watch(global_state.client, index, count, lost))


def stop_watching() -> None:
    """Ends the watch before the processes part."""
    while _watches:
        _watches.pop().stop()


class Watch:
    """Sends beats to the other processes, and calls `lost` with the index of a process that has gone silent.

    The beats go through the key-value store of JAX's coordinator, in process 0.
    """

    def __init__(self, client: Any, index: int, count: int, lost: Callable[[int], None]):
        self._client, self._index, self._lost = client, index, lost
        self._heard = {other: time.monotonic() for other in range(count) if other != index}
        self._stopped = threading.Event()
        for work in (self._beat, self._listen):
            threading.Thread(target=work, daemon=True).start()

    def stop(self) -> None:
        """Ends the watch: the processes part."""
        self._stopped.set()

    def _beat(self) -> None:
        """Counts upwards in the store, and notes whose count has changed. A call may wait if the network is down."""
        counts: dict[str, str] = {}
        for count in range(2**62):
            with contextlib.suppress(Exception):  # the store cannot be reached: `_listen` notices the silence
                self._client.key_value_set(f"{_KEYS}{self._index}", str(count), allow_overwrite=True)
                for key, value in self._client.key_value_dir_get(_KEYS):
                    other = int(key.rpartition("/")[2])
                    if other in self._heard and counts.get(key) != value:
                        counts[key], self._heard[other] = value, time.monotonic()
            if self._stopped.wait(_EVERY * SECONDS):
                return

    def _listen(self) -> None:
        while not self._stopped.wait(_EVERY * SECONDS / 2):
            other = min(self._heard, key=self._heard.__getitem__)
            if time.monotonic() - self._heard[other] > SECONDS:
                self._lost(other)
                return
