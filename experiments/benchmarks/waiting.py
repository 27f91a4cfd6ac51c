"""The wait from a command to its first step, with an empty and with a full cache of compiled programs.

python -m experiments.benchmarks.waiting

The table has seconds. "Empty" and "full" are states of the cache of compiled programs; `make demo` is vae.

--experiments vae gan_mixture, on 2 cores of an AMD EPYC with AVX-512 (jax 0.10.2, CPU), measured alone, 2026-11-29:

| seconds | vae, empty | vae, full | gan_mixture, empty | gan_mixture, full |
| --- | --- | --- | --- | --- |
| interpreter and imports | 1.33 | 1.29 | 1.23 | 1.23 |
| reading and preparing data | 0.07 | 0.07 | 0.03 | 0.02 |
| tracing and lowering | 0.62 | 0.66 | 0.48 | 0.47 |
| compiling, or reading compiled programs | 3.56 | 0.24 | 2.75 | 0.23 |
| first evaluation | 0.02 | 0.03 | 0.02 | 0.02 |
| first pictures | 0.06 | 0.07 | 0.00 | 0.00 |
| first checkpoint | 0.07 | 0.09 | 0.04 | 0.04 |
| first state, first step, the rest | 0.15 | 0.15 | 0.12 | 0.11 |
| total | 6.03 | 2.60 | 4.66 | 2.13 |
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from experiments.benchmarks.measure import machine
from genjax_models.runs.command_line import exit_on_error, parse
from genjax_models.runs.configuration import whole

# Row of the table -> intervals of `experiments.benchmarks.timeline`.
ROWS = {
    "interpreter and imports": ("imports",),
    "reading and preparing data": ("data",),
    "tracing and lowering": ("tracing", "lowering"),
    "compiling, or reading compiled programs": ("compiling",),
    "first evaluation": ("evaluation",),
    "first pictures": ("pictures",),
    "first checkpoint": ("checkpoint",),
    "first state, first step, the rest": ("first state", "first step", "checks", "files", "other"),
}


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """Start commands of experiments in new processes, and divide the time up to their first step."""

    experiments: tuple[str, ...] = ("vae", "gan_mixture", "dcgan", "lapgan")
    """Experiments to start, by the names of their files; `make demo` is vae."""
    turns: int = 3
    """Starts of each experiment with an empty cache, and as many with a full one; the table has medians."""

    def __post_init__(self):
        whole(1, turns=self.turns)


def started(experiment: str, cache: Path) -> dict[str, float]:
    """Returns the seconds of a start by row of the table; compiled programs are kept in the folder `cache`."""
    settings = {"JAX_COMPILATION_CACHE_DIR": str(cache), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    with tempfile.TemporaryDirectory() as scratch:
        run, seconds = Path(scratch) / "run", Path(scratch) / "seconds.json"
        module = ["-m", "experiments.benchmarks.timeline", str(seconds), f"experiments.{experiment}"]
        subprocess.run(
            [sys.executable, *module, "--run-dir", str(run)], env=os.environ | settings, check=True, capture_output=True
        )
        return in_rows(json.loads(seconds.read_text("utf-8")))


def in_rows(seconds: Mapping[str, float]) -> dict[str, float]:
    """Returns the seconds of intervals by row of the table, and in total."""
    rows = {row: sum(seconds.get(name, 0.0) for name in names) for row, names in ROWS.items()}
    return rows | {"total": sum(seconds.values())}


def benchmark(options: Benchmark) -> str:
    """Measures, and returns the table."""
    columns: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for experiment in options.experiments:
            starts = {"empty": [], "full": []}
            for turn in range(options.turns):
                cache = Path(scratch) / f"{experiment}{turn}"
                for state in starts:
                    starts[state].append(started(experiment, cache))
            columns |= {f"{experiment}, {state}": median(turns) for state, turns in starts.items()}
    return f"{machine('jax', 'jaxlib', 'flax')}\n{table(columns)}"


def median(turns: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Returns the median of each row; the medians of the rows need not sum to the median of the totals."""
    return {row: float(np.median([turn[row] for turn in turns])) for row in turns[0]}


def table(columns: Mapping[str, Mapping[str, float]]) -> str:
    """Returns the table in Markdown: seconds, a column per experiment and state of the cache."""
    lines = [f"| seconds | {' | '.join(columns)} |", f"| --- |{' --- |' * len(columns)}"]
    for row in (*ROWS, "total"):
        lines.append(f"| {row} | {' | '.join(f'{column[row]:.2f}' for column in columns.values())} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints. Returns the exit status."""
    with exit_on_error():
        print(benchmark(parse(Benchmark, arguments, "python -m experiments.benchmarks.waiting", Benchmark.__doc__)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
