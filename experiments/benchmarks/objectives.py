"""A step of every objective compared with PyTorch, eager and compiled, with fused Adam and data on the device.

python -m experiments.benchmarks.objectives

Both sides have the same mathematics. The README's table is the output on 2 cores of an AMD EPYC, measured alone,
2026-11-22. PyTorch's threads wait by spinning, so next to other processes they lose far more than ours (5 x on the
VAE, but 1.9 x measured alone): such figures mean nothing.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import numpy as np

from experiments.benchmarks.contests import COMPILED, CONTESTS, EAGER, GRAPHS, OURS, PEERS, Name, OnCPUs, waiting
from experiments.benchmarks.measure import by_turns, contestant, machine, torch_with
from experiments.benchmarks.objectives_report import Result, as_json, as_markdown
from experiments.benchmarks.sides import Contest, Run
from genjax_models.errors import InputError
from genjax_models.runs.command_line import exit_on_error, parse
from genjax_models.runs.configuration import positive, whole

if TYPE_CHECKING:
    import jax


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """Time a step of each objective compared with PyTorch eager and torch.compile, in turns."""

    only: tuple[Name, ...] = ()
    """Objectives to measure. Default: all; on a CPU, without the objectives that take minutes there."""
    turns: int = 5
    """Rounds in which all contestants are timed."""
    seconds: float = 1.0
    """Time of each contestant per round."""
    threads: int | None = None
    """Threads of PyTorch. Default: PyTorch's own choice."""
    to: Path = Path("runs/benchmark")
    """Path of the results, without the suffixes .json and .md."""

    def __post_init__(self):
        whole(5, turns=self.turns)
        positive(seconds=self.seconds)
        whole(1, threads=self.threads or 1)


def measure(contest: Contest, options: Benchmark, sides: Sequence[str]) -> Result:
    """Times all sides of an objective in turns, and measures memory and operations of a step."""
    ours, makers, sides = [], {}, sides if contest.theirs else ()
    for side in sides:
        makers[side] = lambda side=side: waiting(contest.theirs(PEERS[side]))
    makers[OURS] = lambda: ours.append(contest.ours()) or ours[0].run
    contestants = {side: contestant(makers[side]) for side in (OURS, *sides)}
    timings = by_turns(contestants, turns=options.turns, seconds=options.seconds, warm=2)
    step = ours[0].one()
    counted = ours[0].counted() if ours[0].counted else step
    memory = {OURS: memory_of(step), **{side: torch_memory(contestants[side].run) for side in sides}}
    return Result(contest.what, timings, memory, contest.flops, counted.cost_analysis()["flops"], contest.products)


def memory_of(step: jax.stages.Compiled) -> float:
    """Returns the MiB of a compiled step: temporary memory, and outputs that reuse no memory of arguments."""
    sizes = step.memory_analysis()
    return (sizes.temp_size_in_bytes + sizes.output_size_in_bytes - sizes.alias_size_in_bytes) / 2**20


def torch_memory(run: Run) -> float:
    """Returns the MiB between least and most memory of PyTorch in two steps: activations and gradients."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    run(1)
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run(2)
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as profiled:
        run(2)
    events = [event for event in profiled.profiler.kineto_results.events() if event.name() == "[memory]"]
    memory = np.cumsum([event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())])
    return float(memory.max() - memory.min()) / 2**20


def peak_of_products(size: int = 2_048, repeats: int = 8) -> dict[str, float]:
    """Returns the highest GFLOP/s of products of two square matrices, by library, at the current float32 precision."""
    import jax
    import torch

    a = np.random.default_rng(0).normal(size=(size, size)).astype(np.float32)
    ours, theirs, multiply = jax.device_put(a), torch.tensor(a), jax.jit(lambda a: a @ a)
    products = {
        OURS: lambda: jax.block_until_ready(multiply(ours)),
        "torch": lambda: waiting(lambda n: theirs @ theirs)(1),
    }
    best = dict.fromkeys(products, math.inf)
    for turn in range(repeats + 1):
        for name, product in products.items():
            started = time.perf_counter()
            product()
            best[name] = min(best[name], time.perf_counter() - started) if turn else math.inf
    return {name: 2 * size**3 / seconds / 1e9 for name, seconds in best.items()}


def benchmark(options: Benchmark) -> str:
    """Measures, writes both files, and returns the table."""
    os.environ.setdefault("KINETO_LOG_LEVEL", "5")  # silences PyTorch's profiler, which measures memory
    torch = torch_with(options.threads)
    import jax

    sides, where = [EAGER, COMPILED], f"PyTorch with {torch.get_num_threads()} threads and its own allocator"
    if torch.cuda.is_available() != (jax.default_backend() == "gpu"):
        devices = f"jax runs on {jax.default_backend()} and torch on {'cuda' if torch.cuda.is_available() else 'cpu'}"
        raise InputError(
            f"{devices}; both must run on one device (for the CPU: JAX_PLATFORMS=cpu CUDA_VISIBLE_DEVICES=)"
        )
    if torch.cuda.is_available():
        torch.set_default_device("cuda")
        torch.set_float32_matmul_precision("high")  # TF32, as jax by default
        sides, where = [EAGER, COMPILED, GRAPHS], f"{torch.cuda.get_device_name()}, both sides with TF32"
    if jax.default_backend() == "tpu":
        sides, where = [], "a TPU, without PyTorch"
    about = f"{machine('jax', 'torch')}; {where}"
    peak, results = peak_of_products(), {}
    options.to.parent.mkdir(parents=True, exist_ok=True)
    for name in options.only or get_args(OnCPUs if jax.default_backend() == "cpu" else Name):
        results[name] = measure(CONTESTS[name], options, sides)
        table = as_markdown(results, about, peak)
        print(table.splitlines()[1 + len(results)], flush=True)
        options.to.with_suffix(".json").write_text(json.dumps(as_json(results, about, peak), indent=1), "utf-8")
        options.to.with_suffix(".md").write_text(table + "\n", "utf-8")
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints. Returns the exit status."""
    with exit_on_error():
        print(benchmark(parse(Benchmark, arguments, "python -m experiments.benchmarks.objectives", Benchmark.__doc__)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
