"""The MMD compared with PyTorch: a training step of a GMMN, and value and gradient at many points; time and memory.

python -m experiments.benchmarks.mmd

On 2 cores of an AMD EPYC (jax 0.10.2, torch 2.13.0), 2026-11-21, each contestant in its own process. Columns are wall
time and processor time in seconds; other load hardly changes processor time. A ratio belongs to the column before it:

                                     wall    we are faster by    processor    we are faster by         GiB (before)
    --parts step --turns 5 --seconds 1.5
    genjax_models                   0.075                            0.095                             0.69  (0.45)
    torch eager                     0.161    2.21 x (2.13 to 3.22)   0.246    2.51 x (2.31 to 3.34)    0.71  (0.51)
    torch.compile                   0.159    2.08 x (1.79 to 3.42)   0.227    2.49 x (1.96 to 2.98)    0.65  (0.55)
    torch.compile, by hand          0.123    1.68 x (1.55 to 6.48)   0.189    1.95 x (1.77 to 3.16)    0.66  (0.56)

    --cores 1 --parts step
    genjax_models                   0.318                            0.097                             0.71  (0.44)
    torch eager                     0.629    2.16 x (1.23 to 2.40)   0.203    2.12 x (2.04 to 2.23)    0.70  (0.50)
    torch.compile                   0.575    1.82 x (1.07 to 2.28)   0.175    1.81 x (1.77 to 1.87)    0.68  (0.54)
    torch.compile, by hand          0.520    1.63 x (0.97 to 2.31)   0.156    1.63 x (1.58 to 1.68)    0.68  (0.56)

    --cores 1 --parts points        10,000 + 10,000
    genjax_models                  12.743                            4.405                             0.58  (0.23)
    torch eager                    80.560    6.32 x (6.04 to 8.56)  26.609    6.14 x (5.93 to 6.27)    6.58  (0.29)
    torch.compile                  27.869    2.35 x (1.85 to 3.93)  10.457    2.39 x (2.37 to 2.46)    2.05  (0.39)
    torch eager, rows recomputed  103.951    5.51 x (4.91 to 14.7)  32.523    7.37 x (7.06 to 8.26)    1.10  (0.29)

    --parts largest                 50,000 + 50,000
    genjax_models                  92.1                            118.7                             1.59  (0.46)

The first and the last part ran next to little other work (load 4), the others next to much (load 13: we had a third of
a core). On one core, no thread of either side waits for another. Memory is the peak resident memory of a process, with
libraries and data: at 10,000 + 10,000 ours is 9% of the memory with whole matrices.

Reasons for the difference: our side computes each block of a matrix once for value and gradient, only half of the
blocks within a sample, and no gradient of the real-real term. Blocks of 512 stay in the second cache. At 1,000 + 1,000
points of 784 dimensions, value and gradient took 45 ms of processor time in blocks of 500, and 69 ms in one block (the
earlier default). At 6,000 + 6,000 they took 1.65 s in blocks of 384 or 512, 1.76 s of 256, and 1.78 s of 1,024.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from importlib.util import find_spec
from typing import Literal, NamedTuple, get_args

import numpy as np

from experiments.benchmarks import matching
from experiments.benchmarks.contests import COMPILED, EAGER, OURS
from experiments.benchmarks.measure import Timing, by_turns, contestant, machine, ratio
from experiments.benchmarks.mmd_sides import (
    mmd_of_matrices,
    mmd_of_rows,
    our_gmmn,
    our_mmd,
    torch_gmmn_by_hand,
    torch_mmd,
)
from experiments.benchmarks.processes import served
from experiments.benchmarks.sides import Run
from genjax_models.errors import InputError
from genjax_models.runs.command_line import exit_on_error, parse
from genjax_models.runs.configuration import positive, whole

Part = Literal["step", "points", "largest"]
BY_HAND, IN_ROWS = "torch.compile, gradient by hand", "torch eager, rows recomputed"


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """Time a GMMN's step and the MMD with its gradient at many points, compared with PyTorch; measure peak memory."""

    turns: int = 7
    """Number of rounds in which all contestants make steps of the GMMN."""
    seconds: float = 2.0
    """Time of each contestant per such round."""
    points: int = 10_000
    """Number of points in each of two samples, of 784 dimensions."""
    turns_of_points: int = 3
    """Number of rounds in which each contestant compares these samples once."""
    largest: int = 50_000
    """Number of points in each of two samples that only our side compares, once after compilation."""
    cores: int | None = None
    """Number of cores per contestant. Default: all. On one core no thread waits, so processor time is work."""
    parts: tuple[Part, ...] = get_args(Part)
    """Parts to measure."""

    def __post_init__(self):
        whole(3, turns=self.turns, turns_of_points=self.turns_of_points)
        positive(seconds=self.seconds)
        whole(1, points=self.points, largest=self.largest, cores=self.cores or 1)


class Row(NamedTuple):
    """Wall time and processor time of a contestant, `[turns]` each; its memory before and its peak, in GiB."""

    timing: Timing
    processor: Timing
    before: float
    peak: float


STEPS: dict[str, Callable[[], Run]] = {
    OURS: our_gmmn,
    EAGER: partial(matching.torch_gmmn, None),
    COMPILED: partial(matching.torch_gmmn, {}),
    BY_HAND: partial(torch_gmmn_by_hand, {}),
}


def contestants_at(points: int) -> dict[str, Callable[[], Run]]:
    """Returns the contestants that compare two samples of `points` points."""
    return {
        OURS: partial(our_mmd, points),
        EAGER: partial(torch_mmd, points, mmd_of_matrices, None),
        COMPILED: partial(torch_mmd, points, mmd_of_matrices, {}),
        IN_ROWS: partial(torch_mmd, points, mmd_of_rows, None),
    }


def measure(
    makers: Mapping[str, Callable[[], Run]], cores: int | None, *, turns: int, seconds: float, warm: int
) -> dict[str, Row]:
    """Times all contestants in turns, each in its own process, with the processor time and memory of their steps."""
    usages = {name: [] for name in makers}
    with ExitStack() as stack:

        def started(name: str) -> Run:
            run = stack.enter_context(served(makers[name], cores))
            return lambda n: usages[name].append(run(n))

        contestants = {name: contestant(partial(started, name)) for name in makers}
        timings = by_turns(contestants, turns=turns, seconds=seconds, warm=warm)
    processor = {name: np.array([usage.processor for usage in usages[name][-turns:]]) for name in makers}
    return {
        name: Row(timing, Timing(processor[name], 0.0), usages[name][-1].before, usages[name][-1].peak)
        for name, timing in timings.items()
    }


def table(title: str, rows: Mapping[str, Row]) -> str:
    """Returns a line per contestant; ratios are the median, least and greatest of the turns."""
    lines = [f"{title:36} {'seconds':>8}  {'we are faster by':24} {'processor':>14}  {'by':24} GiB at most (before)"]
    for name, row in rows.items():
        line = f"    {name:32}"
        for times, ours, width in (
            (row.timing, rows[OURS].timing, 9), (row.processor, rows[OURS].processor, 15)
        ):  # fmt: skip
            by = "" if name == OURS else "{:5.2f} x  ({:.2f} to {:.2f})".format(*ratio(ours, times))
            line += f"{1 / times.rate:{width}.3f}  {by:24}"
        lines.append(f"{line} {row.peak:.2f} ({row.before:.2f})")
    return "\n".join(lines)


def benchmark(options: Benchmark) -> Iterator[str]:
    """Yields a text per part, as soon as it is measured.

    Raises:
      InputError: PyTorch is not installed.
    """
    if find_spec("torch") is None:
        raise InputError("the benchmark needs torch; pip install 'genjax_models[bench]'")
    yield f"{machine('jax', 'torch')}; cores of each contestant: {options.cores or 'all'}"
    if "step" in options.parts:
        rows = measure(STEPS, options.cores, turns=options.turns, seconds=options.seconds, warm=2)
        yield table(f"A step of a GMMN, batch {matching.GMMN_BATCH:,}", rows)
    if "points" in options.parts:
        rows = measure(
            contestants_at(options.points), options.cores, turns=options.turns_of_points, seconds=0.0, warm=1
        )
        yield table(f"MMD and gradient, {options.points:,} + {options.points:,}", rows)
    if "largest" in options.parts:
        with served(partial(our_mmd, options.largest), options.cores) as run:
            run(1)
            started = time.perf_counter()
            usage = run(1)
            seconds = time.perf_counter() - started
        yield (
            f"MMD and gradient, {options.largest:,} + {options.largest:,}: {seconds:.1f} s, processor time"
            f" {usage.processor:.1f} s; {usage.peak:.2f} GiB at most ({usage.before:.2f} before)"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints. Returns the exit status."""
    with exit_on_error():
        options = parse(Benchmark, arguments, "python -m experiments.benchmarks.mmd", Benchmark.__doc__)
        for part in benchmark(options):
            print(part, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
