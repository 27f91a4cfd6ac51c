"""Where a process spends its time from its start to the first step of a run: intervals by name, the innermost counts.

python -m experiments.benchmarks.timeline FILE experiments.vae --steps 10      writes seconds by name to FILE as JSON
"""

from __future__ import annotations

import functools
import importlib
import importlib.machinery
import itertools
import json
import os
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

# Function -> name of the interval of a call. A listed function of a class is "module:Class.name".
PLACES = {
    "genjax_models.runs.planning:load_data": "data",
    "genjax_models.runs.engine:fingerprint": "data",
    "genjax_models.runs.engine:_prepared": "data",
    "genjax_models.runs.planning:check_members": "checks",
    "genjax_models.runs.engine:_begin": "files",
    "genjax_models.runs.ways:Programs._start": "first state",
    "genjax_models.runs.fit:_timed_chunk": "first step",
    "genjax_models.runs.logs:Logs.validate": "evaluation",
    "genjax_models.runs.sample_history:SampleHistory.append": "pictures",
    "genjax_models.runs.run:Run.save": "checkpoint",
}
LAST_IMPORT = "genjax_models.reports.final_evaluation"  # of the command; it imports all these modules
COMPILING = {
    "/jax/core/compile/jaxpr_trace_duration": "tracing",
    "/jax/core/compile/jaxpr_to_mlir_module_duration": "lowering",
    "/jax/core/compile/backend_compile_duration": "compiling",
}


class Interval(NamedTuple):
    """Seconds of a clock between which something happened."""

    name: str
    start: float
    end: float


class FirstStepError(Exception):
    """Ends the run after its first step."""


def spent(intervals: Iterable[Interval]) -> dict[str, float]:
    """Returns seconds by name; time within several intervals counts for the one that began last."""
    intervals = sorted(intervals, key=lambda interval: (interval.start, -interval.end))
    times = sorted({time for _, *ends in intervals for time in ends})
    seconds: dict[str, float] = defaultdict(float)
    active: list[Interval] = []
    for start, end in itertools.pairwise(times):
        while intervals and intervals[0].start <= start:
            active.append(intervals.pop(0))
        active = [interval for interval in active if interval.end > start]
        if active:
            seconds[active[-1].name] += end - start
    return dict(seconds)


def record(experiment: str, arguments: list[str], started: float) -> dict[str, float]:
    """Runs the command of an experiment up to its first step; returns the seconds since `started`, by name."""
    intervals: list[Interval] = []
    main_thread = threading.get_ident()

    def add(name: str, start: float) -> None:
        if threading.get_ident() == main_thread:
            intervals.append(Interval(name, start, time.time()))

    def timed(name: str, function: Callable, then: Callable = lambda *_: None) -> Callable:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            start = time.time()
            try:
                return function(*args, **kwargs)
            finally:
                add(name, start)
                then(*args)

        return call

    def listen(event: str, seconds: float, **_: Any) -> None:
        if event in COMPILING:
            add(COMPILING[event], time.time() - seconds)

    def imported(loader: Any, module: ModuleType) -> None:
        """Wraps the functions of `PLACES` once the command has imported them."""
        if module.__name__ != LAST_IMPORT:
            return
        import jax

        jax.monitoring.register_event_duration_secs_listener(listen)
        for place, name in PLACES.items():
            owner, _, path = place.partition(":")
            *parents, attribute = path.split(".")
            target = functools.reduce(getattr, parents, sys.modules[owner])
            setattr(target, attribute, timed(name, getattr(target, attribute)))
        _end_after_first_step()

    for loader in (importlib.machinery.SourceFileLoader, importlib.machinery.ExtensionFileLoader):
        loader.exec_module = timed("imports", loader.exec_module, imported)
    module = importlib.import_module(experiment)
    add("imports", started)  # with the start of the interpreter
    try:
        sys.argv = [sys.argv[0], *arguments]
        module.main(module.EXPERIMENT)
    except FirstStepError:
        add("other", started)
        return spent(intervals)
    raise AssertionError("the run has made no step")


def _end_after_first_step() -> None:
    from genjax_models.runs import fit

    first = fit._timed_chunk

    def chunk(*args: Any) -> None:
        first(*args)
        raise FirstStepError

    fit._timed_chunk = chunk  # pyright: ignore[reportAttributeAccessIssue]


def _start_of_process() -> float:
    """Returns the time, as `time.time`, at which this process started (Linux)."""
    ticks = int(Path("/proc/self/stat").read_text("utf-8").rpartition(")")[2].split()[19])
    uptime = float(Path("/proc/uptime").read_text("utf-8").split()[0])
    return time.time() - uptime + ticks / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    to, experiment, *arguments = sys.argv[1:]
    Path(to).write_text(json.dumps(record(experiment, arguments, _start_of_process())), "utf-8")
