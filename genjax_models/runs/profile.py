"""A trace of a few steps: what the machine did when."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import jax

from genjax_models.runs.history import BestEffortStream

_TRACES = "*.trace.json.gz"


def traces(folder: Path) -> Callable[[], contextlib.AbstractContextManager]:
    """Makes contexts within which JAX's profiler writes a trace into `folder`; each ends in a line that says how to
    open it."""

    @contextlib.contextmanager
    def trace() -> Iterator[None]:
        options = jax.profiler.ProfileOptions()
        options.python_tracer_level = 0  # Python waits for the steps, and has thousands of events to say so
        before = set(folder.rglob(_TRACES))
        with jax.profiler.trace(folder, profiler_options=options):
            yield
        for path in set(folder.rglob(_TRACES)) - before:
            how = f"open it at https://ui.perfetto.dev, or by: pip install xprof; xprof --logdir {folder}"
            print(f"\ntrace: {path}\n{how}", file=BestEffortStream(sys.stderr))

    return trace
