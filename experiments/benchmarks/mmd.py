"""The MMD beside PyTorch: a training step of a GMMN, and value and gradient at many points; time and peak memory.

python -m experiments.benchmarks.mmd

RECORD
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np

import genjax_models as gx
from experiments import gmmn
from experiments.benchmarks import objectives
from experiments.benchmarks.measure import Timing, by_turns, contestant, machine, ratio
from experiments.benchmarks.objectives import COMPILED, EAGER, OURS, PIXELS, CompileWith, Run
from genjax_models.errors import InputError
from genjax_models.runs.command_line import explained, parse
from genjax_models.runs.configuration import positive, whole

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
    """Points in each of two samples that we compare alone, once after compilation; 0 to leave it out."""

    def __post_init__(self):
        whole(3, turns=self.turns, turns_of_points=self.turns_of_points)
        positive(seconds=self.seconds)
        whole(1, points=self.points)
        whole(0, largest=self.largest)


class Memory(NamedTuple):
    """GiB of a process: resident before its first step, and the most that it ever had."""

    before: float
    peak: float


class Row(NamedTuple):
    """A contestant's times, and its memory, in a process of its own."""

    timing: Timing
    memory: Memory


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
    return objectives.our_gmmn().run


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
    return objectives.torch_mmd_squared(x, y, VARIANCES)


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
    """As `objectives.torch_gmmn`, with a derivative of one's own: in y_i, that of k(|y_i - t|^2) is 2 k' (y_i - t).

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

    generator = objectives.torch_generator()
    forward = generator if compile_with is None else torch.compile(generator, **compile_with)

    def loss(x):
        return Root.apply(x, forward(2 * torch.rand(len(x), objectives.GMMN_SIZES[0]) - 1))

    return objectives.torch_training(loss, list(generator.parameters()), None, objectives.GMMN_BATCH, "none")


STEPS: dict[str, Callable[[], Run]] = {
    OURS: our_gmmn,
    EAGER: partial(objectives.torch_gmmn, None),
    COMPILED: partial(objectives.torch_gmmn, {}),
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


def resident() -> Memory:
    """GiB of this process: now, and the most that it ever had."""
    with open("/proc/self/status") as file:
        found = dict(line.split(":", 1) for line in file)
    return Memory(*(int(found[name].split()[0]) / 2**20 for name in ("VmRSS", "VmHWM")))


def serve(connection, make: Callable[[], Run]) -> None:
    """Makes so many steps as it is asked for, each time; after each it tells the memory of this process."""
    run, before = make(), resident().before
    while steps := connection.recv():
        run(steps)
        connection.send(Memory(before, resident().peak))


@contextmanager
def apart(make: Callable[[], Run]) -> Iterator[Callable[[int], Memory]]:
    """`run(n)` in a process of its own, which tells its memory. The process ends with the context."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, make), daemon=True)
    process.start()
    theirs.close()

    def run(n: int) -> Memory:
        ours.send(n)
        return ours.recv()

    try:
        yield run
        ours.send(0)
        process.join()
    finally:
        process.kill()


def measure(makers: Mapping[str, Callable[[], Run]], *, turns: int, seconds: float, warm: int) -> dict[str, Row]:
    """Times all contestants by turns, each in a process of its own, and asks what memory it took."""
    memory = {}
    with ExitStack() as stack:

        def started(name: str) -> Run:
            run_apart = stack.enter_context(apart(makers[name]))

            def run(n: int) -> None:
                memory[name] = run_apart(n)

            return run

        ready = {name: contestant(partial(started, name)) for name in makers}
        timings = by_turns(ready, turns=turns, seconds=seconds, warm=warm)
    return {name: Row(timing, memory[name]) for name, timing in timings.items()}


# Telling


def table(title: str, rows: Mapping[str, Row]) -> str:
    """A line for each contestant; ratios are the median, least and greatest of the turns."""
    lines = [f"{title:38}  seconds   we are faster by            peak memory (before)"]
    for name, (timing, memory) in rows.items():
        by = "" if name == OURS else "{:5.2f} x  ({:.2f} to {:.2f})".format(*ratio(rows[OURS].timing, timing))
        gib = f"{memory.peak:5.2f} GiB  ({memory.before:.2f})"
        lines.append(f"    {name:34} {1 / timing.rate:8.4f}   {by:26}  {gib}")
    return "\n".join(lines)


def benchmark(options: Benchmark) -> Iterator[str]:
    """Measures; a text for each part, as it is done.

    Raises:
      InputError: PyTorch is not there.
    """
    if find_spec("torch") is None:
        raise InputError("the benchmark needs torch; pip install 'genjax_models[bench]'")
    yield f"{machine('jax', 'torch')}; PyTorch with its own threads and allocator; peak of resident memory"
    steps = measure(STEPS, turns=options.turns, seconds=options.seconds, warm=2)
    yield table(f"A step of a GMMN, batch {objectives.GMMN_BATCH:,}", steps)
    many = measure(at(options.points), turns=options.turns_of_points, seconds=0.0, warm=1)
    yield table(f"MMD and gradient, {options.points:,} + {options.points:,}", many)
    if options.largest:
        with apart(partial(our_mmd, options.largest)) as run:
            run(1)
            started = time.perf_counter()
            memory = run(1)
            seconds = time.perf_counter() - started
        size = f"{options.largest:,} + {options.largest:,}"
        yield f"MMD and gradient, {size}: {seconds:.1f} s, peak {memory.peak:.2f} GiB ({memory.before:.2f} before)"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    with explained():
        options = parse(Benchmark, arguments, "python -m experiments.benchmarks.mmd", Benchmark.__doc__)
        for part in benchmark(options):
            print(part, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
