"""The MMD beside PyTorch: a training step of a GMMN, and value and gradient at many points; time and peak memory.

python -m experiments.benchmarks.mmd

On 2 cores of an AMD EPYC (jax 0.10.2, torch 2.13.0), 2026-11-21, each contestant in a process of its own; "of" are
seconds of processors, which hardly change with what runs beside, and the ratio is of the column before it:

                                        s    we are faster by           of    we are faster by         GiB (before)
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
    torch eager, rows made again  103.951    5.51 x (4.91 to 14.7)  32.523    7.37 x (7.06 to 8.26)    1.10  (0.29)

    --parts largest                 50,000 + 50,000
    genjax_models                  92.1                            118.7                             1.59  (0.46)

The first part and the last ran beside little other work (load 4), the others beside much (load 13: a third of a core
was ours). On one core no thread of either side waits for another. Memory is the peak of all that a process has
resident, libraries and data too: at 10,000 + 10,000 ours is 9% of that of whole matrices.

What makes the difference: ours makes each block of a matrix once for value and gradient, half of the blocks within a
sample, and no gradient of the real-real term. Blocks of 512 stay in the second cache: at 1,000 + 1,000 points of 784
dimensions value and gradient took 45 ms of processors in blocks of 500 and 69 ms in one block (which was the default),
at 6,000 + 6,000 1.65 s in blocks of 384 or 512, 1.76 s of 256 and 1.78 s of 1,024.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import numpy as np

import genjax_models as gx
from experiments import gmmn
from experiments.benchmarks import samplers, sides
from experiments.benchmarks.measure import Timing, by_turns, contestant, machine, ratio
from experiments.benchmarks.objectives import COMPILED, EAGER, OURS
from experiments.benchmarks.sides import PIXELS, CompileWith, Run
from genjax_models.errors import InputError
from genjax_models.runs.command_line import exit_on_error, parse
from genjax_models.runs.configuration import positive, whole

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

Part = Literal["step", "points", "largest"]
VARIANCES = gmmn.Config().kernel_variances  # six: those of Li et al.
BY_HAND, IN_ROWS = "torch.compile, gradient by hand", "torch eager, rows made again"
ROWS = 1_000  # of a block of PyTorch's


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """Time a GMMN's step, and the MMD with its gradient at many points, beside PyTorch, by turns; with peak memory."""

    turns: int = 7
    """Rounds in which all contestants make steps of the GMMN."""
    seconds: float = 2.0
    """Of each contestant in each of these rounds."""
    points: int = 10_000
    """In each of the two samples, of 784 dimensions."""
    turns_of_points: int = 3
    """Rounds in which all contestants compare these samples, once each."""
    largest: int = 50_000
    """Points in each of two samples that we compare alone, once after compilation."""
    cores: int | None = None
    """Of each contestant; by default all. On one, processor time is work alone: no thread waits for another."""
    parts: tuple[Part, ...] = get_args(Part)
    """What is measured."""

    def __post_init__(self):
        whole(3, turns=self.turns, turns_of_points=self.turns_of_points)
        positive(seconds=self.seconds)
        whole(1, points=self.points, largest=self.largest, cores=self.cores or 1)


class Taken(NamedTuple):
    """What steps took of the process that made them: seconds of processors, and GiB before the first step and at most.

    Both of memory are resident, and all that the process has: Python, libraries and data too.
    """

    processor: float
    before: float
    peak: float


class Row(NamedTuple):
    """A contestant's times by the wall, and seconds of processors per step, `[turns]` each; and its memory in GiB."""

    timing: Timing
    processor: Timing
    before: float
    peak: float


# The samples and what is made of them


def samples(points: int) -> tuple[np.ndarray, np.ndarray]:
    """Two of numbers in [0, 1], a fifth of them not zero, as in images of digits: `[points, 784]`."""
    random = np.random.default_rng(0)
    return tuple(
        random.uniform(size=(points, PIXELS)).astype(np.float32) * (random.uniform(size=(points, PIXELS)) < 0.2)
        for _ in range(2)
    )


def our_mmd(points: int) -> Run:
    """The biased MMD^2 and its gradient in y."""
    import jax

    x, y = (jax.device_put(sample) for sample in samples(points))
    kernel = gmmn.kernel_of(VARIANCES)
    estimate = jax.jit(jax.value_and_grad(lambda y, x: gx.mmd_squared_biased(x, y, kernel)))
    return lambda n: [jax.block_until_ready(estimate(y, x)) for _ in range(n)] and None


def our_gmmn() -> Run:
    """A step of training, in the loop that `fit` runs."""
    return samplers.our_gmmn().run


def torch_mmd(points: int, estimate: Callable, compile_with: CompileWith) -> Run:
    """As `our_mmd`, by an `estimate(x, y)` in PyTorch."""
    import torch

    x, y = (torch.tensor(sample) for sample in samples(points))
    y.requires_grad_()
    estimate = estimate if compile_with is None else torch.compile(estimate, **compile_with)

    def run(n: int) -> None:
        for _ in range(n):
            y.grad = None
            estimate(x, y).backward()

    return run


def of_matrices(x, y):
    """The biased MMD^2 of whole Gram matrices."""
    return samplers.torch_mmd_squared(x, y, VARIANCES)


def of_rows(x, y):
    """The same, of `ROWS` rows at a time, made again for the gradient: what one does in PyTorch to save memory."""
    from torch.utils.checkpoint import checkpoint

    def total(a, b):
        squared = ((a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T).clamp(min=0)
        return sum((squared * (-0.5 / variance)).exp().sum() for variance in VARIANCES)

    def mean(a, b):
        return sum(checkpoint(total, rows, b, use_reentrant=False) for rows in a.split(ROWS)) / (len(a) * len(b))

    return mean(x, x) + mean(y, y) - 2 * mean(x, y)


def root_and_gradient(x, y):
    """The root of the biased MMD^2, and its gradient in y, by hand."""

    def sums(a, b):
        squared = ((a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T).clamp(min=0)
        kernels = [(squared * (-0.5 / variance)).exp() for variance in VARIANCES]
        return sum(kernels), sum(k * (-0.5 / variance) for k, variance in zip(kernels, VARIANCES, strict=True))

    def gradient(slopes, b):
        return 2 * (slopes.sum(1, keepdim=True) * y - slopes @ b)

    (of_x, _), (of_y, slopes_in_y), (between, slopes_between) = sums(x, x), sums(y, y), sums(y, x)
    root = (of_x.mean() + of_y.mean() - 2 * between.mean()).clamp(min=1e-12).sqrt()
    slope = 2 * (gradient(slopes_in_y, y) / len(y) ** 2 - gradient(slopes_between, x) / (len(y) * len(x)))
    return root, slope / (2 * root)


def torch_gmmn_by_hand(compile_with: CompileWith) -> Run:
    """As `samplers.torch_gmmn`, with a derivative of one's own: in y_i, that of k(|y_i - t|^2) is 2 k' (y_i - t).

    Each Gram matrix and each exponential is made once, and the real-real term is of the value alone.
    """
    import torch

    compiled = root_and_gradient if compile_with is None else torch.compile(root_and_gradient, **compile_with)

    class Root(torch.autograd.Function):
        @staticmethod
        def forward(context, x, y):
            root, slope = compiled(x, y)
            context.save_for_backward(slope)
            return root

        @staticmethod
        def backward(context, cotangent):
            return None, cotangent * context.saved_tensors[0]

    generator = samplers.torch_generator()
    forward = generator if compile_with is None else torch.compile(generator, **compile_with)

    def loss(x):
        return Root.apply(x, forward(2 * torch.rand(len(x), samplers.GMMN_SIZES[0]) - 1))

    return sides.torch_training(
        [(loss, list(generator.parameters()))], None, samplers.GMMN_BATCH, sides.torch_digits("none")
    )


STEPS: dict[str, Callable[[], Run]] = {
    OURS: our_gmmn,
    EAGER: partial(samplers.torch_gmmn, None),
    COMPILED: partial(samplers.torch_gmmn, {}),
    BY_HAND: partial(torch_gmmn_by_hand, {}),
}


def at(points: int) -> dict[str, Callable[[], Run]]:
    """The contestants at so many points."""
    return {
        OURS: partial(our_mmd, points),
        EAGER: partial(torch_mmd, points, of_matrices, None),
        COMPILED: partial(torch_mmd, points, of_matrices, {}),
        IN_ROWS: partial(torch_mmd, points, of_rows, None),
    }


# Measuring, each in a process of its own


def serve(connection: Connection, make: Callable[[], Run], cores: int | None) -> None:
    """Makes so many steps as it is asked for, each time, and tells what they took."""
    if cores:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])  # before any thread is there
    run, before = make(), resident("VmRSS")
    while steps := connection.recv():
        started = time.process_time()
        run(steps)
        connection.send(Taken((time.process_time() - started) / steps, before, resident("VmHWM")))


def resident(which: Literal["VmRSS", "VmHWM"]) -> float:
    """GiB of this process: now, or the most that it ever had."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(which)) / 2**20


@contextmanager
def apart(make: Callable[[], Run], cores: int | None = None) -> Iterator[Callable[[int], Taken]]:
    """`run(n)` in a process of its own, which tells what it took. The process ends with the context."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, make, cores), daemon=True)
    process.start()
    theirs.close()

    def run(n: int) -> Taken:
        ours.send(n)
        return ours.recv()

    try:
        yield run
        ours.send(0)
        process.join()
    finally:
        process.kill()


def measure(
    makers: Mapping[str, Callable[[], Run]], cores: int | None, *, turns: int, seconds: float, warm: int
) -> dict[str, Row]:
    """Times all contestants by turns, each in a process of its own, and asks what it took."""
    taken = {name: [] for name in makers}
    with ExitStack() as stack:

        def started(name: str) -> Run:
            run = stack.enter_context(apart(makers[name], cores))
            return lambda n: taken[name].append(run(n))

        ready = {name: contestant(partial(started, name)) for name in makers}
        timings = by_turns(ready, turns=turns, seconds=seconds, warm=warm)
    processor = {name: np.array([one.processor for one in taken[name][-turns:]]) for name in makers}
    return {
        name: Row(timing, Timing(processor[name], 0.0), taken[name][-1].before, taken[name][-1].peak)
        for name, timing in timings.items()
    }


# Telling


def table(title: str, rows: Mapping[str, Row]) -> str:
    """A line for each contestant; ratios are the median, least and greatest of the turns."""
    lines = [
        f"{title:36} {'seconds':>8}  {'we are faster by':24} {'of processors':>14}  {'by':24} GiB at most (before)"
    ]
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
    """Measures; a text for each part, as it is done.

    Raises:
      InputError: PyTorch is not there.
    """
    if find_spec("torch") is None:
        raise InputError("the benchmark needs torch; pip install 'genjax_models[bench]'")
    yield f"{machine('jax', 'torch')}, of which each contestant has {options.cores or 'all'}"
    if "step" in options.parts:
        rows = measure(STEPS, options.cores, turns=options.turns, seconds=options.seconds, warm=2)
        yield table(f"A step of a GMMN, batch {samplers.GMMN_BATCH:,}", rows)
    if "points" in options.parts:
        rows = measure(at(options.points), options.cores, turns=options.turns_of_points, seconds=0.0, warm=1)
        yield table(f"MMD and gradient, {options.points:,} + {options.points:,}", rows)
    if "largest" in options.parts:
        with apart(partial(our_mmd, options.largest), options.cores) as run:
            run(1)
            started = time.perf_counter()
            taken = run(1)
            seconds = time.perf_counter() - started
        yield (
            f"MMD and gradient, {options.largest:,} + {options.largest:,}: {seconds:.1f} s, of processors"
            f" {taken.processor:.1f} s; {taken.peak:.2f} GiB at most ({taken.before:.2f} before)"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    with exit_on_error():
        options = parse(Benchmark, arguments, "python -m experiments.benchmarks.mmd", Benchmark.__doc__)
        for part in benchmark(options):
            print(part, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
