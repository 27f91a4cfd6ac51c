"""A process that measures parts, one after the other, until one of them fails.

Parts share a process, because a start takes seconds. After a failure the next part gets a new process: a crash on a
GPU leaves the process's device unusable. The process has its own session, so that it is killed with its children.
"""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

from experiments.accelerator.part import LeftOutError, Outcome, Part, line_of

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

START_SECONDS = 90  # most time for a process to start and find its device


class Worker:
    """Measures parts in another process, which starts with the first part and ends with the context.

    Args:
      log: file that gets the output of the process.
      prepare: called in each new process, before its first part.
      environment: variables of the process; it inherits the other variables.
    """

    def __init__(
        self, log: Path, prepare: Callable[[], object] | None = None, environment: dict[str, str] | None = None
    ):
        self._log, self._prepare, self._environment = log, prepare, environment or {}
        self._process, self._connection = None, None

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def measure(self, part: Part, latest: float) -> Outcome:
        """Measures the part in at most `part.seconds`, and until `latest` of the monotonic clock at most."""
        started = time.monotonic()
        if self._process is None:
            self._start()
            outcome = self._wait(min(started + START_SECONDS, latest))
            if outcome.status != "measured":
                return outcome._replace(note=f"the process did not start: {outcome.note}")
        begun = time.monotonic()
        outcome = self._wait(min(begun + part.seconds, latest), part)
        return outcome._replace(seconds=time.monotonic() - begun)

    def stop(self) -> None:
        """Kills the process and its children."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.kill()  # before it has its own session
            self._process.join()
        self._process = self._connection = None

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, remote = context.Pipe()
        self._process = context.Process(target=_work, args=(remote, self._log, self._prepare))
        with mock.patch.dict(os.environ, self._environment):
            self._process.start()
        remote.close()

    def _wait(self, until: float, part: Part | None = None) -> Outcome:
        """Sends the part, if there is one, and returns the outcome of what the process does.

        Unless the part is measured or left out, the process is gone.
        """
        facts, begun = None, time.monotonic()
        try:
            if part:
                self._connection.send(part)
            while self._connection.poll(max(0.0, until - time.monotonic())):
                message = self._connection.recv()
                if not isinstance(message, Outcome):
                    facts = message
                    continue
                if message.status == "failed":
                    self.stop()
                return message._replace(facts=facts)
            outcome = Outcome("stopped", f"stopped after {time.monotonic() - begun:.0f} s", facts)
        except (EOFError, ConnectionError):
            self._process.join(5)
            outcome = Outcome("failed", _end_of(self._process.exitcode), facts)
        self.stop()
        return outcome


def _end_of(status: int | None) -> str:
    by = f"by {signal.Signals(-status).name}" if status is not None and status < 0 else f"with exit status {status}"
    return f"the process ended {by}; its last output is in log.txt"


def _work(connection: Connection, log: Path, prepare: Callable[[], object] | None) -> None:
    """Prepares, then measures each part that is received, until the other side closes the connection."""
    with contextlib.suppress(OSError):
        os.setsid()
    with open(log, "ab") as output:
        for descriptor in (1, 2):
            os.dup2(output.fileno(), descriptor)
    try:
        if prepare:
            prepare()
    except Exception as error:  # reported, whatever it is
        connection.send(Outcome("failed", line_of(error)))
        return
    connection.send(Outcome("measured"))
    with contextlib.suppress(EOFError):
        while True:
            connection.send(_measured(connection.recv(), connection))


def _measured(part: Part, connection: Connection) -> Outcome:
    print(f"\n{part.name}", flush=True)
    gc.collect()  # frees arrays of earlier parts on the device
    try:
        for facts in part.measure():
            connection.send(facts)
    except LeftOutError as reason:
        return Outcome("left out", str(reason))
    except Exception as error:  # reported, whatever it is
        import traceback

        traceback.print_exc()
        return Outcome("failed", line_of(error))
    return Outcome("measured")
