"""A step of every objective beside PyTorch, eager and compiled, with fused Adam: one mathematics, data on the device.

python -m experiments.benchmarks.objectives

The README's table is its output on 2 cores of an AMD EPYC, measured alone, 2026-11-22. Beside other processes PyTorch's
threads, which wait by spinning, lose far more than ours (5 x on the VAE, where 1.9 x was measured alone), and such
figures say nothing.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import numpy as np

from experiments.benchmarks import dcgan, likelihoods, samplers
from experiments.benchmarks.likelihoods import (
    AUTOENCODER_BATCH,
    IWAE_BATCH,
    IWAE_HIDDEN,
    IWAE_LATENT,
    VAE_BATCH,
    VAE_HIDDEN,
    VAE_LATENT,
    autoencoding,
)
from experiments.benchmarks.measure import Timing, by_turns, contestant, machine, ratio
from experiments.benchmarks.samplers import GMMN_BATCH, MMD_GAN_BATCH, MMD_POINTS, mmd_flops
from experiments.benchmarks.sides import PIXELS, CompileWith, Contest, Run, dense
from genjax_models.errors import InputError
from genjax_models.runs.command_line import exit_on_error, parse
from genjax_models.runs.configuration import positive, whole

if TYPE_CHECKING:
    import jax

Anywhere = Literal[
    "autoencoder", "mixture", "infinite_mixture", "vae", "vae_dynamic", "info_vae", "iwae_1", "iwae_5", "iwae_50",
    "dcgan", "lapgan", "mmd_gan", "moment_matching", "gmmn", "gmmn_autoencoder", "mmd",
]  # fmt: skip
OnAccelerators = Literal[
    "iwae_50_batch_100", "iwae_50_batch_1000", "dcgan_colours", "mmd_50000"
]  # too long for a few cores
Name = Literal[Anywhere, OnAccelerators]


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """Time a step of each objective beside PyTorch eager and torch.compile, by turns."""

    only: tuple[Name, ...] = ()
    """Of these objectives; by default of all, without those on a CPU that take minutes there."""
    turns: int = 5
    """Rounds in which all contestants are timed."""
    seconds: float = 1.0
    """Of each contestant in each round."""
    threads: int | None = None
    """Of PyTorch; by default its own choice."""
    to: Path = Path("runs/benchmark")
    """The results go to this path, with the endings .json and .md."""

    def __post_init__(self):
        whole(5, turns=self.turns)
        positive(seconds=self.seconds)
        whole(1, threads=self.threads or 1)


class Result(NamedTuple):
    """What was measured: times by contestant, MiB at the peak of a step by side, FLOPs of a step."""

    what: str
    timings: dict[str, Timing]
    memory: dict[str, float]
    flops: float
    flops_of_xla: float


OURS, EAGER, COMPILED, GRAPHS = "genjax_models", "torch eager", "torch.compile", "torch.compile, CUDA graphs"


IWAES = (
    ("iwae_1", 1, IWAE_BATCH),
    ("iwae_5", 5, IWAE_BATCH),
    ("iwae_50", 50, IWAE_BATCH),
    ("iwae_50_batch_100", 50, 100),
    ("iwae_50_batch_1000", 50, 1_000),
)
PAPER_EXAMPLES = 60_000 * sum(3**stage for stage in range(8))  # epochs of MNIST in Burda et al.'s eight stages

CONTESTS: dict[str, Contest] = {
    "autoencoder": Contest(
        f"autoencoder, batch {AUTOENCODER_BATCH}",
        likelihoods.our_autoencoder,
        likelihoods.torch_autoencoder,
        dense(AUTOENCODER_BATCH, PIXELS, 500, 500, 16, of_data=True) + dense(AUTOENCODER_BATCH, 16, 500, 500, PIXELS),
    ),
    "mixture": Contest(
        "finite mixture, 8 components, batch 200",
        partial(likelihoods.our_mixture, "finite_mixture"),
        partial(likelihoods.torch_mixture, "finite_mixture"),
        2 * 200 * 8 * 2 * 2 * 3,
    ),
    "infinite_mixture": Contest(
        "infinite mixture, 1,000 draws, batch 200",
        partial(likelihoods.our_mixture, "prior_monte_carlo"),
        partial(likelihoods.torch_mixture, "prior_monte_carlo"),
        dense(1_000, 1, 64, 64, 3, of_data=True),
    ),
    "vae": Contest(
        f"VAE, batch {VAE_BATCH}",
        partial(likelihoods.our_vae, "fixed"),
        partial(likelihoods.torch_vae, "fixed"),
        autoencoding(VAE_BATCH, 1, (VAE_HIDDEN,), VAE_LATENT),
    ),
    "vae_dynamic": Contest(
        "VAE, binarised at every step",
        partial(likelihoods.our_vae, "dynamic"),
        partial(likelihoods.torch_vae, "dynamic"),
        autoencoding(VAE_BATCH, 1, (VAE_HIDDEN,), VAE_LATENT),
    ),
    "info_vae": Contest(
        f"InfoVAE, batch {VAE_BATCH}",
        likelihoods.our_info_vae,
        likelihoods.torch_info_vae,
        autoencoding(VAE_BATCH, 1, (VAE_HIDDEN,), VAE_LATENT) + mmd_flops(VAE_BATCH, VAE_LATENT),
    ),
    **{
        name: Contest(
            f"IWAE, k = {k}, batch {batch:,}",
            partial(likelihoods.our_iwae, k, batch),
            partial(likelihoods.torch_iwae, k, batch_size=batch),
            autoencoding(batch, k, (IWAE_HIDDEN, IWAE_HIDDEN), IWAE_LATENT),
        )
        for name, k, batch in IWAES
    },
    "dcgan": Contest(f"DCGAN, batch {dcgan.BATCH}", dcgan.ours, dcgan.torch_steps, samplers.dcgan_flops()),
    "dcgan_colours": Contest(
        f"DCGAN, 64 x 64 x 3, batch {dcgan.BATCH}",
        partial(dcgan.ours, dcgan.COLOURS),
        partial(dcgan.torch_steps, size=dcgan.COLOURS),
        samplers.dcgan_flops(dcgan.COLOURS),
    ),
    "lapgan": Contest(
        "LAPGAN, 3 levels, batch 64", samplers.our_lapgan, samplers.torch_lapgan, samplers.lapgan_flops()
    ),
    "mmd_gan": Contest(
        f"MMD-GAN, batch {MMD_GAN_BATCH}", samplers.our_mmd_gan, samplers.torch_mmd_gan, samplers.mmd_gan_flops()
    ),
    "moment_matching": Contest(
        f"{samplers.MOMENTS} moments, batch {samplers.MOMENTS_BATCH}",
        samplers.our_moment_matching,
        samplers.torch_moment_matching,
        samplers.moments_flops(),
    ),
    "gmmn": Contest(
        f"GMMN, batch {GMMN_BATCH:,}",
        samplers.our_gmmn,
        samplers.torch_gmmn,
        dense(GMMN_BATCH, *samplers.GMMN_SIZES, of_data=True) + mmd_flops(GMMN_BATCH, PIXELS),
    ),
    "gmmn_autoencoder": Contest(
        f"GMMN of codes, batch {GMMN_BATCH:,}",
        samplers.our_gmmn_autoencoder,
        samplers.torch_gmmn_autoencoder,
        dense(GMMN_BATCH, PIXELS, 1024, 32) / 3
        + dense(GMMN_BATCH, *samplers.GMMN_SIZES[:-1], 32, of_data=True)
        + mmd_flops(GMMN_BATCH, 32),
    ),
    "mmd": Contest(
        f"MMD and gradient, {MMD_POINTS:,} + {MMD_POINTS:,}",
        samplers.our_mmd,
        samplers.torch_mmd,
        mmd_flops(MMD_POINTS, samplers.MMD_FEATURES),
    ),
    "mmd_50000": Contest(
        "MMD and gradient, 50,000 + 50,000",
        partial(samplers.our_mmd, 50_000),
        None,
        mmd_flops(50_000, samplers.MMD_FEATURES),
    ),
}


# Measuring

PEERS: dict[str, CompileWith] = {EAGER: None, COMPILED: {}, GRAPHS: {"mode": "reduce-overhead"}}


def make(name: Name, side: str) -> Run:
    """One contestant of an objective, ready to run: ours, or one of `PEERS`."""
    return CONTESTS[name].ours().run if side == OURS else waiting(CONTESTS[name].theirs(PEERS[side]))


def waiting(run: Run) -> Run:
    """PyTorch's `run`, which on a GPU returns before its steps are done, until they are."""
    import torch

    def run_and_wait(n: int) -> None:
        run(n)
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    return run_and_wait


def measure(contest: Contest, options: Benchmark, sides: Sequence[str]) -> Result:
    """Times all sides of an objective by turns, and asks what a step takes."""
    ours, makers, sides = [], {}, sides if contest.theirs else ()
    for side in sides:
        makers[side] = lambda side=side: waiting(contest.theirs(PEERS[side]))
    makers[OURS] = lambda: ours.append(contest.ours()) or ours[0].run
    ready = {side: contestant(makers[side]) for side in (OURS, *sides)}
    timings = by_turns(ready, turns=options.turns, seconds=options.seconds, warm=2)
    step = ours[0].one()
    counted = ours[0].counted() if ours[0].counted else step
    memory = {OURS: memory_of(step), **{side: torch_memory(ready[side].run) for side in sides}}
    return Result(contest.what, timings, memory, contest.flops, counted.cost_analysis()["flops"])


def memory_of(step: jax.stages.Compiled) -> float:
    """MiB that a compiled step takes at its peak beside its arguments, with results that do not take their place."""
    found = step.memory_analysis()
    return (found.temp_size_in_bytes + found.output_size_in_bytes - found.alias_size_in_bytes) / 2**20


def torch_memory(run: Run) -> float:
    """MiB between the least and the most that PyTorch holds in two steps: activations and gradients."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    run(1)
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run(2)
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as seen:
        run(2)
    events = [event for event in seen.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = np.cumsum([event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())])
    return float(held.max() - held.min()) / 2**20


def peak_of_products(size: int = 2_048, repeats: int = 8) -> dict[str, float]:
    """Most GFLOP/s seen in products of two square matrices, by library; in float32 as both are set."""
    import time

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


# Telling


def as_json(results: Mapping[str, Result], about: str, peak: Mapping[str, float]) -> dict[str, Any]:
    """All numbers; seconds per step of each turn, ratios as median, least and most."""

    def one(result: Result) -> dict[str, Any]:
        ours = result.timings[OURS]
        return {
            "objective": result.what,
            "steps_per_second": {side: timing.rate for side, timing in result.timings.items()},
            "seconds_per_step": {side: timing.seconds.tolist() for side, timing in result.timings.items()},
            "faster_by": {side: ratio(ours, timing) for side, timing in result.timings.items() if side != OURS},
            "ready_in_seconds": {side: timing.compiling for side, timing in result.timings.items()},
            "memory_of_a_step_in_mib": result.memory,
            "flops_by_hand": result.flops,
            "flops_by_xla": result.flops_of_xla,
            "share_of_peak": share_of_peak(result, peak),
        }

    return {
        "machine": about,
        "peak_gflops": dict(peak),
        "results": {name: one(result) for name, result in results.items()},
    }


def share_of_peak(result: Result, peak: Mapping[str, float]) -> float:
    """Of the fastest products that this machine was seen to make."""
    return result.flops * result.timings[OURS].rate / 1e9 / max(peak.values())


def as_markdown(results: Mapping[str, Result], about: str, peak: Mapping[str, float]) -> str:
    """A table with a row for each objective, and what it was measured on."""
    peers = [side for side in PEERS if any(side in result.timings for result in results.values())]
    head = ["step of", "steps/s", *(f"faster than {side}" for side in peers)]
    head += ["ready in, s", "memory, MiB", "MFLOP by hand (XLA)", "of the peak"]
    rows = [head, ["---"] * len(head)]
    for result in results.values():
        ours = result.timings[OURS]
        row = [result.what, f"{ours.rate:.4g}"]
        for side in peers:
            timing = result.timings.get(side)
            row.append("" if timing is None else "{:.2f} x ({:.2f} to {:.2f})".format(*ratio(ours, timing)))
        row.append(" / ".join(f"{timing.compiling:.1f}" for timing in result.timings.values()))
        row.append(" / ".join(f"{mib:.3g}" for mib in result.memory.values()))
        row.append(f"{result.flops / 1e6:,.4g} ({result.flops_of_xla / 1e6:,.4g})")
        row.append(f"{share_of_peak(result, peak):.0%}")
        rows.append(row)
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    fastest = ", ".join(f"{name} {gflops:.0f}" for name, gflops in peak.items())
    order = " / ".join([OURS, *peers])
    hours = [
        f"batches of {batch:,} in {PAPER_EXAMPLES / batch / results[name].timings[OURS].rate / 3600:,.1f} hours"
        for name, k, batch in IWAES
        if k == 50 and name in results
    ]
    if hours:
        lines += ["", f"All {PAPER_EXAMPLES:,} examples of Burda et al.'s schedule, with k = 50: {', '.join(hours)}."]
    lines += ["", f"{about}. Times and memory are of {order}; products of 2048 x 2048 in GFLOP/s: {fastest}."]
    return "\n".join(lines)


def benchmark(options: Benchmark) -> str:
    """Measures, and writes both files.

    Returns:
      The table.
    """
    os.environ.setdefault("KINETO_LOG_LEVEL", "5")  # its profiler, by which memory is counted, need not say so
    try:
        import torch
    except ImportError as error:
        raise InputError("the benchmark needs torch; pip install 'genjax_models[bench]'") from error
    import jax

    if options.threads:
        torch.set_num_threads(options.threads)
    sides, where = [EAGER, COMPILED], f"PyTorch with {torch.get_num_threads()} threads and its own allocator"
    if torch.cuda.is_available() != (jax.default_backend() == "gpu"):
        devices = f"jax runs on {jax.default_backend()} and torch on {'cuda' if torch.cuda.is_available() else 'cpu'}"
        raise InputError(f"{devices}: both are to run on one device (JAX_PLATFORMS=cpu, CUDA_VISIBLE_DEVICES=)")
    if torch.cuda.is_available():
        torch.set_default_device("cuda")
        torch.set_float32_matmul_precision("high")  # TF32, as jax by default
        sides, where = [EAGER, COMPILED, GRAPHS], f"{torch.cuda.get_device_name()}, both sides with TF32"
    if jax.default_backend() == "tpu":
        sides, where = [], "a TPU, with no PyTorch beside it"
    about = f"{machine('jax', 'torch')}; {where}"
    peak, results = peak_of_products(), {}
    options.to.parent.mkdir(parents=True, exist_ok=True)
    for name in options.only or get_args(Anywhere if jax.default_backend() == "cpu" else Name):
        results[name] = measure(CONTESTS[name], options, sides)
        table = as_markdown(results, about, peak)
        print(table.splitlines()[1 + len(results)], flush=True)
        options.to.with_suffix(".json").write_text(json.dumps(as_json(results, about, peak), indent=1))
        options.to.with_suffix(".md").write_text(table + "\n")
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    with exit_on_error():
        print(benchmark(parse(Benchmark, arguments, "python -m experiments.benchmarks.objectives", Benchmark.__doc__)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
