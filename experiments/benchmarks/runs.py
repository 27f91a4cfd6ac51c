"""The cost of saving as a share of a run, and the time until a stopped run resumes.

python -m experiments.benchmarks.runs

On 2 cores of an AMD EPYC (jax 0.10.2, orbax-checkpoint 0.12.8) next to low-priority work, 2026-11-21; the state of the
default `experiments.vae` is 15 MB:

    10,000 steps, saved every 1,000: 85.8 s, of which saving is 3.5%
        checkpoints      1.97 s   2.3%   178.8 ms x 11
          arrays         1.33 s   1.6%   121.3 ms x 11
          sha256         0.13 s   0.1%     0.9 ms x 146
          fsync          0.21 s   0.2%     1.3 ms x 167
          deletion       0.27 s   0.3%    29.6 ms x 9
        pictures         1.01 s   1.2%    91.9 ms x 11
        rows             0.01 s   0.0%     0.1 ms x 111

    10,000 steps, saved every 100: 94.0 s, of which saving is 21.3%
        checkpoints     14.97 s  15.9%   148.2 ms x 101
        pictures         4.98 s   5.3%    49.3 ms x 101

    resumed: 0.52 s to the first new step (0.51 to 0.56), without 1.2 s of imports and 4.6 s of compilation

A line has seconds, their share of the whole run (without imports), and the mean time of a call. Indented parts belong
to `checkpoints`; "saving" is checkpoints, pictures and rows. Arrays are not compressed: compression saved 8% of the
disk and doubled the time. Saving is synchronous: at the default interval there is little to gain, and a failed save
stops the run at once.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import numpy as np

from experiments import vae
from experiments.benchmarks.measure import machine
from experiments.benchmarks.processes import in_new_process
from genjax_models.commands import train
from genjax_models.runs.command_line import exit_on_error, parse
from genjax_models.runs.configuration import whole
from genjax_models.systems.groups import Likelihood


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """Time saving in a run of `experiments.vae`, and the first step of a resumed run."""

    steps: int = 10_000
    """Steps of each run."""
    every: tuple[int, ...] = (1_000, 100)
    """Steps between evaluations, which save samples and a checkpoint: one run per value."""
    resumes: int = 5
    """Number of processes that resume the first run from its second last checkpoint."""

    def __post_init__(self):
        whole(1, steps=self.steps, every=self.every, resumes=self.resumes)


class Saving(NamedTuple):
    """Seconds of a whole run without imports, and its parts by name: (seconds, calls)."""

    seconds: float
    parts: Mapping[str, tuple[float, int]]


class Resuming(NamedTuple):
    """Seconds from the end of imports to the first new step (without compilation), of compilation, and of imports."""

    seconds: float
    compiling: float
    imports: float


def saving(arguments: Sequence[str], folder: Path) -> Saving:
    """Runs `experiments.vae` with these arguments in `folder`, and times its saving."""
    import orbax.checkpoint

    from genjax_models.runs import checkpoints, sample_history
    from genjax_models.runs.metrics_file import MetricsFile

    places = {
        "checkpoints": (checkpoints, "save"),
        "  arrays": (orbax.checkpoint.Checkpointer, "save"),
        "  sha256": (checkpoints, "digest_of_file"),
        "  fsync": (checkpoints, "sync"),
        "  deletion": (shutil, "rmtree"),
        "pictures": (sample_history.SampleHistory, "append"),
        "rows": (MetricsFile, "append"),
    }
    with timed(places) as parts, contextlib.redirect_stdout(sys.stderr):
        started = time.perf_counter()
        train.main(vae.EXPERIMENT, [*arguments, "--run-dir", str(folder)])
        return Saving(time.perf_counter() - started, dict(parts))


def resuming(folder: Path) -> Resuming:
    """Resumes the run in `folder`, and stops after one step."""
    started = time.perf_counter()
    import jax

    from genjax_models.reports import final_evaluation  # noqa: F401 - the command imports this
    from genjax_models.runs import engine, fit  # noqa: F401 - the command imports the engine

    vae.EXPERIMENT.build(vae.Config(likelihood=Likelihood("bernoulli")))  # imports the networks
    imported = time.perf_counter()
    compilations: list[tuple[float, float]] = []

    def listen(event: str, seconds: float, **_) -> None:
        if event.startswith("/jax/core/compile/"):
            compilations.append((time.perf_counter() - seconds, time.perf_counter()))

    class FirstStepError(Exception):
        pass

    timed_chunk = fit._timed_chunk

    def first_chunk(*args):
        timed_chunk(*args)
        raise FirstStepError

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        with mock.patch.object(fit, "_timed_chunk", first_chunk), contextlib.suppress(FirstStepError):
            train.main(vae.EXPERIMENT, ["--resume", str(folder)])
            raise AssertionError(f"the run in {folder} has no step left")
        seconds, compiling = time.perf_counter() - imported, covered(compilations)
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    return Resuming(seconds - compiling, compiling, imported - started)


@contextlib.contextmanager
def timed(places: Mapping[str, tuple[object, str]]) -> Iterator[dict[str, tuple[float, int]]]:
    """Counts seconds and calls of functions inside the context; `places` has (owner, attribute) by name."""
    totals = dict.fromkeys(places, (0.0, 0))

    def counted(name: str, function: Callable) -> Callable:
        @functools.wraps(function)
        def call(*args, **kwargs):
            started = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                seconds, calls = totals[name]
                totals[name] = seconds + time.perf_counter() - started, calls + 1

        return call

    with contextlib.ExitStack() as stack:
        for name, (owner, attribute) in places.items():
            function = counted(name, getattr(owner, attribute))
            stack.enter_context(mock.patch.object(owner, attribute, function))
        yield totals


def covered(intervals: Sequence[tuple[float, float]]) -> float:
    """Returns the length of the union of intervals, because a compilation contains other compilations."""
    total, reached = 0.0, -np.inf
    for start, end in sorted(intervals):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


def benchmark(options: Benchmark) -> str:
    """Measures each run in its own process, and returns the table."""
    lines = [machine("jax", "orbax-checkpoint")]
    with tempfile.TemporaryDirectory() as scratch:
        for every in options.every:
            folder = Path(scratch) / f"every{every}"
            arguments = ["--steps", str(options.steps), "--evaluate-every", str(every)]
            lines += ["", *saving_lines(in_new_process(saving, arguments, folder), options.steps, every)]
        folder = Path(scratch) / f"every{options.every[0]}"
        shutil.rmtree(max((folder / "checkpoints").iterdir()))
        lines += ["", *resuming_lines([in_new_process(resuming, folder) for _ in range(options.resumes)])]
    return "\n".join(lines)


def saving_lines(measured: Saving, steps: int, every: int) -> list[str]:
    """Returns a line about the run, and a line per part."""
    share = sum(measured.parts[name][0] for name in ("checkpoints", "pictures", "rows")) / measured.seconds
    lines = [f"{steps:,} steps, saved every {every:,}: {measured.seconds:.1f} s, of which saving is {share:.1%}"]
    for name, (seconds, calls) in measured.parts.items():
        each = 1e3 * seconds / max(1, calls)
        lines.append(f"    {name:14}{seconds:7.2f} s {seconds / measured.seconds:6.1%} {each:7.1f} ms x {calls}")
    return lines


def resuming_lines(measured: Sequence[Resuming]) -> list[str]:
    """Returns a line with medians, and the least and largest time."""
    seconds, compiling, imports = (np.array(column) for column in zip(*measured, strict=True))
    return [
        f"resumed: {np.median(seconds):.2f} s to the first new step ({seconds.min():.2f} to {seconds.max():.2f}),"
        f" without {np.median(imports):.1f} s of imports and {np.median(compiling):.1f} s of compilation"
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints. Returns the exit status."""
    with exit_on_error():
        print(benchmark(parse(Benchmark, arguments, "python -m experiments.benchmarks.runs", Benchmark.__doc__)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
