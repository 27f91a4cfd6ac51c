"""How time and memory grow with examples, rows of the history, samples and members.

python -m experiments.benchmarks.growth
"""

from __future__ import annotations

import dataclasses
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from experiments.benchmarks import growth_points
from experiments.benchmarks.growth_points import Cost
from experiments.benchmarks.measure import machine
from experiments.benchmarks.processes import in_new_process
from genjax_models.runs.command_line import exit_on_error, parse
from genjax_models.runs.configuration import whole

Part = Literal["memory", "stream", "rows", "samples", "members"]


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """Measure time and memory per unit while one number grows; each point has a process of its own."""

    parts: tuple[Part, ...] = ("memory", "stream", "rows", "samples", "members")
    """Curves: examples in memory, streamed examples, rows of the history, samples k, and members of one program."""
    examples: tuple[int, ...] = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
    """Numbers of examples, in memory and streamed."""
    rows: tuple[int, ...] = (1_000, 10_000, 100_000)
    """Numbers of steps of a run that keeps a row of its history per step."""
    samples: tuple[int, ...] = (10, 100, 1_000, 10_000, 100_000)
    """Values of k."""
    members: tuple[int, ...] = (1, 4, 16, 64)
    """Numbers of seeds that share one program."""

    def __post_init__(self):
        whole(1_000, examples=self.examples)
        whole(10, rows=self.rows)
        whole(1, samples=self.samples, members=self.members)


# Part -> what grows, and the function that measures one point.
CURVES = {
    "memory": ("examples", growth_points.memory),
    "stream": ("examples", growth_points.stream),
    "rows": ("rows", growth_points.rows),
    "samples": ("samples", growth_points.samples),
    "members": ("members", growth_points.members),
}


def benchmark(options: Benchmark) -> Iterator[str]:
    """Yields lines with the results; each point is measured in a process of its own."""
    yield machine("jax", "numpy", "grain")
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"JAX_COMPILATION_CACHE_DIR": folder, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
        for part in options.parts:
            name, point = CURVES[part]
            values = getattr(options, name)
            yield f"{growth_points.WORDS[part]}, by number of {name}"
            yield from lines({n: in_new_process(point, n) for n in values})


def lines(points: Mapping[int, Mapping[str, Cost]]) -> Iterator[str]:
    """Yields a line per stage: for each number, microseconds per unit and MiB."""
    for stage in next(iter(points.values())):
        costs = {n: costs[stage] for n, costs in points.items()}
        cells = (f"{n:>12,}: {_time(cost)}{_memory(cost)}" for n, cost in costs.items())
        yield f"    {stage:22}" + "".join(cells)


def _time(cost: Cost) -> str:
    return f"{1e6 * cost.seconds / cost.units:.3g} us" if cost.seconds else ""


def _memory(cost: Cost) -> str:
    return f" {cost.mib:,.0f} MiB" if cost.mib else ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints. Returns the exit status."""
    with exit_on_error():
        options = parse(Benchmark, arguments, "python -m experiments.benchmarks.growth", Benchmark.__doc__)
        for line in benchmark(options):
            print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
