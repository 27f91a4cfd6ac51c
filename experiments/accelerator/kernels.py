"""Kernels and copies of a step on a GPU, counted in a profile."""

from __future__ import annotations

import gzip
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple


class Counts(NamedTuple):
    """Kernels, and copies from the device to the host; each of these may be a wait. None if the profile has no GPU."""

    kernels: float | None
    copies_to_host: float | None


def per_step(run: Callable[[int], object], steps: int) -> Counts:
    """Returns the counts of a step: of `steps` more steps in one call.

    What a call does once, such as the permutation of the data, is in no step. XLA runs no CUDA graphs while it is
    profiled, so that every kernel is seen, and the waits of the form "graph" are seen although it has none.
    """
    few, many = (profiled(run, n) for n in (steps, 2 * steps))
    return Counts(*(None if a is None or b is None else (b - a) / steps for a, b in zip(few, many, strict=True)))


def profiled(run: Callable[[int], object], steps: int) -> Counts:
    """Returns the counts of a call that makes so many steps."""
    import jax

    options = jax.profiler.ProfileOptions()
    options.python_tracer_level = 0
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder, profiler_options=options):
            run(steps)
        (path,) = Path(folder).rglob("*.trace.json.gz")
        return count(json.loads(gzip.decompress(path.read_bytes()))["traceEvents"])


def count(events: list[dict]) -> Counts:
    """Returns the counts of a trace: events in the lines of a GPU's streams. Other lines repeat them by name."""
    processes = {e["pid"]: e["args"]["name"] for e in events if e.get("name") == "process_name"}
    lines = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e.get("name") == "thread_name"}
    gpus = {pid for pid, name in processes.items() if "/device:GPU" in name}
    if not gpus:
        return Counts(None, None)
    streams = {line for line, name in lines.items() if line[0] in gpus and name.startswith("Stream")}
    names = [e["name"] for e in events if e.get("ph") == "X" and (e["pid"], e["tid"]) in streams]
    copies = [name for name in names if name.startswith(("Memcpy", "Memset"))]
    return Counts(len(names) - len(copies), sum(name.startswith("MemcpyD2H") for name in copies))
