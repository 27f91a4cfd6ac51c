"""Traces of a few steps by JAX's profiler."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import jax

from genjax_models.runs.streams import BestEffortStream

_TRACES = "*.trace.json.gz"


def traces(folder: Path) -> Callable[[], contextlib.AbstractContextManager]:
    """Returns a factory of contexts in which JAX's profiler writes a trace into `folder`.

    At its end each context prints the path of the trace, and how to open it.
    """

    @contextlib.contextmanager
    def trace() -> Iterator[None]:
        options = jax.profiler.ProfileOptions()
        options.python_tracer_level = 0  # Python only waits for the steps, but would write thousands of events
        before = set(folder.rglob(_TRACES))
        with jax.profiler.trace(folder, profiler_options=options):
            yield
        for path in set(folder.rglob(_TRACES)) - before:
            advice = f"open it at https://ui.perfetto.dev, or by: pip install xprof; xprof --logdir {folder}"
            print(f"\ntrace: {path}\n{advice}", file=BestEffortStream(sys.stderr))

    return trace
