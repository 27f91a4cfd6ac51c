"""How time and memory grow with examples, rows of the history, samples and members.

python -m experiments.benchmarks.growth

Microseconds of an example or a sample, and memory of the stage in MiB:

                                    10^3            10^4            10^5            10^6            10^7
    examples in memory, loaded      56.3     0      7.08    25      1.02    10      0.702   39      0.676  229
    a small mixture's training      0.343   54      0.535  134      0.675  153      0.748  215      1.14   614
    streamed examples, held         0.045    0      0.016    0      0.014    4      0.023   38      0.081  381
    their order, once an epoch      0.282    0      0.038    0      0.015    1      0.031    8      0.051   76
    their batches, read             5.49     9      5.86     9      6.24     9      7.74     9      8.14     9

                                    10              100             1,000           10,000          100,000
    IWAE, by samples               1,200    10      145     12      28.2    13      14.4    50      14.9   396
    NLL, by samples                182       5      18.6     4      6.57     8      4.15     8      4.25    18

On 2 cores of an AMD EPYC, measured alone (jax 0.10.2, CPU), 2026-11-28. Small numbers pay the cost of a call. Training
grows above 10^6 examples because sorting does: jax.random.permutation sorts three times from 2.6 million examples on,
twice below. An epoch is permuted once; permuted in every chunk, 10^7 examples cost 10 s per chunk. An IWAE holds k
samples of z and their gradients. Devices share the two cores here: a curve of them would mean nothing.

Streamed examples were measured on 2026-11-30. Many cost more per example than few, for three reasons, each timed alone
with `resource.getrusage`. Holding 10^7 (42 bytes each) needs new memory: the kernel takes 0.060 of the 0.061 us of
their digests, and a second array in the same memory takes 0.003. A shuffle swaps numbers at random, and 80 MB fit into
no cache: 0.034 us in place of 0.011 at 10^6, without page faults. A read of few examples finds its page in the
system's cache, which the reads of earlier epochs filled: 1.0 us at 10^3, 2.7 at 10^6 and 3.1 at 10^7. The kernel takes
the difference: read again, the same examples take 0.7, 1.3 and 1.5 us.

Members of one program (seeds of a small VAE, 200 steps, 2026-11-29):

                                    1       4       16      64
    seconds of a member             20.6    5.67    3.37    2.99
    seconds of the compilation      8.7     3.3     6.6     17.3
    milliseconds of a member's step 2.14    2.00    1.95    2.20
    memory of all in MiB            490     508     580     796

The first process also fills the cache of compiled programs. Two cores gain nothing by more members in a step; a report
takes 1.7 s of each member.

A run with a row per step, in seconds and MiB (2026-11-29):

    rows                            1,000        10,000       100,000
    report                          1.9    54    2.3    53    5.3    89
    comparison of two               0.3     2    0.6    13    2.1   162
    resuming, up to the next step   5.0    72    4.5    81    5.8   154

report.html (2 MiB) and the page of the comparison do not grow with the rows; metrics.jsonl has 190 bytes per row.
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
