"""New processes: functions with their own imports and memory, and contestants that report time and memory."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from experiments.benchmarks.sides import Run

if TYPE_CHECKING:
    from multiprocessing.connection import Connection


class Usage(NamedTuple):
    """Processor time of a step in seconds; memory of its process before the first step, and peak memory, in GiB.

    Memory is all resident memory of the process, with Python, libraries and data.
    """

    processor: float
    before: float
    peak: float


def in_new_process(function: Callable, *arguments: Any) -> Any:
    """Calls the function in a new process, and returns its result."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


@contextmanager
def served(make: Callable[[], Run], cores: int | None = None) -> Iterator[Callable[[int], Usage]]:
    """Yields `run(n)`, which makes n steps in a new process and returns their usage; the process ends with the context.

    Args:
      make: builds the contestant, in the new process.
      cores: number of cores of the new process; None for all.
    """
    context = multiprocessing.get_context("spawn")
    connection, remote = context.Pipe()
    process = context.Process(target=_serve, args=(remote, make, cores), daemon=True)
    process.start()
    remote.close()

    def run(n: int) -> Usage:
        connection.send(n)
        return connection.recv()

    try:
        yield run
        connection.send(0)
        process.join()
    finally:
        process.kill()


def _serve(connection: Connection, make: Callable[[], Run], cores: int | None) -> None:
    """Receives numbers of steps, makes the steps, and sends their usage; ends at 0."""
    if cores:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])  # must come before threads start
    run, before = make(), resident("VmRSS")
    while steps := connection.recv():
        started = time.process_time()
        run(steps)
        connection.send(Usage((time.process_time() - started) / steps, before, resident("VmHWM")))


def resident(which: Literal["VmRSS", "VmHWM"]) -> float:
    """Returns the resident memory of this process in GiB: current (VmRSS), or peak (VmHWM)."""
    with open("/proc/self/status", encoding="utf-8") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(which)) / 2**20
