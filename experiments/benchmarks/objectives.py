"""A step of every objective beside PyTorch, eager and compiled, with fused Adam: one mathematics, data on the device.

python -m experiments.benchmarks.objectives

The README's table is its output on 2 cores of an AMD EPYC, measured alone, 2026-11-21. Beside other processes PyTorch's
threads, which wait by spinning, lose far more than ours (5 x on the VAE, where 1.9 x was measured alone), and such
figures say nothing.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import numpy as np

import genjax_models as gx
from experiments import gmmn, iwae
from experiments.benchmarks import dcgan
from experiments.benchmarks.measure import Timing, by_turns, contestant, machine, ratio
from genjax_models.errors import InputError
from genjax_models.runs.command_line import explained, parse
from genjax_models.runs.configuration import positive, whole

if TYPE_CHECKING:
    import jax

    from genjax_models.models import LatentVariableModel
    from genjax_models.types import Objective

RATE, CHUNK, PIXELS = 1e-3, 100, 784
VAE_HIDDEN, VAE_LATENT, VAE_BATCH = 400, 20, 100
IWAE_HIDDEN, IWAE_LATENT, IWAE_BATCH = 200, 50, 20
GMMN_SIZES, GMMN_BATCH = (10, 64, 256, 256, 1024, PIXELS), 1_000
MMD_POINTS, MMD_FEATURES, MMD_BANDWIDTH = 10_000, 64, 8.0

Anywhere = Literal["vae", "vae_dynamic", "iwae_1", "iwae_5", "iwae_50", "dcgan", "gmmn", "mmd"]
OnAccelerators = Literal["iwae_50_batch_100", "iwae_50_batch_1000", "mmd_50000"]  # too long for a few cores
Name = Literal[Anywhere, OnAccelerators]
Run = Callable[[int], None]  # makes so many steps, and returns when they are done
CompileWith = dict[str, Any] | None  # arguments of torch.compile, or None for eager


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


class Ours(NamedTuple):
    """`run`, and `one()`: a single step compiled alone, to be asked what it takes.

    `counted()` is the same without loops, where there are some: XLA counts the operations of a loop's body once.
    """

    run: Run
    one: Callable[[], jax.stages.Compiled]
    counted: Callable[[], jax.stages.Compiled] | None = None


class Contest(NamedTuple):
    """Both sides of one objective, and the floating-point operations of its products of matrices in one step.

    PyTorch has none where it would need more memory than devices have.
    """

    what: str
    ours: Callable[[], Ours]
    theirs: Callable[[CompileWith], Run] | None
    flops: float


class Result(NamedTuple):
    """What was measured: times by contestant, MiB at the peak of a step by side, FLOPs of a step."""

    what: str
    timings: dict[str, Timing]
    memory: dict[str, float]
    flops: float
    flops_of_xla: float


OURS, EAGER, COMPILED, GRAPHS = "genjax_models", "torch eager", "torch.compile", "torch.compile, CUDA graphs"


# Our side


def training(
    objective: Objective,
    batch_size: int,
    binarise: str = "fixed",
    scaled: tuple[float, float] = (0, 1),
    devices: int | None = None,
    **adam: float,
) -> Ours:
    """What `fit` runs: batches gathered and prepared, all in one compiled loop; spread over `devices` where given."""
    import jax
    import optax

    data = gx.prepare(gx.load("mnist10k"), binarise=binarise, range=scaled)
    train = gx.trainer(objective, dict.fromkeys(objective.losses, optax.adam(**{"learning_rate": RATE, **adam})))
    if devices:
        train = gx.data_parallel(train, gx.data_mesh(devices))
    loop = gx.loop_over_data(train, batch_size=batch_size, prepare=data.each_step, chunk=CHUNK)
    state = jax.jit(train.init)(jax.random.key(0), data.example)

    def run(n: int) -> None:
        nonlocal state
        wanted = int(state.step) + n
        while n:
            state, _ = loop(state, data.train, min(n, CHUNK))
            n -= min(n, CHUNK)
        if int(state.step) != wanted:  # the loop stops where something is not finite: what it skipped is not fast
            raise ArithmeticError(f"the loop made {int(state.step)} steps of {wanted}")
        jax.block_until_ready(state)

    def one() -> jax.stages.Compiled:
        batch = gx.Batch(jax.ShapeDtypeStruct((batch_size, *data.example.x.shape[1:]), np.float32))
        return jax.jit(train.step, donate_argnums=0).lower(state, batch).compile()

    return Ours(run, one)


def model_of_images(latent: int, hidden: Sequence[int]) -> LatentVariableModel:
    """784-hidden-latent and back, ReLU."""
    posterior, likelihood = gx.diagonal_gaussian(latent), gx.bernoulli((28, 28, 1))
    encoder = gx.MLPEncoder((28, 28, 1), posterior.outputs, hidden)
    generator = gx.MLPGenerator(likelihood.outputs, hidden)
    return gx.latent_variable_model(encoder, posterior, generator, likelihood)


def our_vae(binarise: str) -> Ours:
    """784-400-20 and back, closed KL."""
    return training(gx.vae(model_of_images(VAE_LATENT, (VAE_HIDDEN,))), VAE_BATCH, binarise)


def our_iwae(k: int, batch_size: int = IWAE_BATCH) -> Ours:
    """784-200-200-50 and back, tanh: Burda et al.'s."""
    config = iwae.Config(hidden=(IWAE_HIDDEN, 100), latent=(100, IWAE_LATENT))
    return training(gx.iwae(iwae.build_model(config), num_samples=k), batch_size)


def our_dcgan() -> Ours:
    """Both players."""
    from genjax_models.networks.dcgan import DCGANDiscriminator, DCGANGenerator

    generator = DCGANGenerator(dcgan.SHAPE, dcgan.CHANNELS[::-1])
    discriminator = DCGANDiscriminator(dcgan.SHAPE, dcgan.CHANNELS)
    objective = gx.gan(gx.adversarial_pair(generator, discriminator, dcgan.LATENT))
    adam = {"learning_rate": dcgan.RATE, "b1": dcgan.FIRST_MOMENT}
    return training(objective, dcgan.BATCH, "none", (-1, 1), **adam)


def our_gmmn() -> Ours:
    """10-64-256-256-1024-784, six bandwidths, the root of the biased MMD^2: Li et al.'s."""
    import jax.numpy as jnp

    from genjax_models.objectives import matching

    config = gmmn.Config(latent=GMMN_SIZES[0], hidden=GMMN_SIZES[1:-1])

    def root_in_one_block(x, samples):
        kernel = gmmn.kernel_of(config.kernel_variances)
        return jnp.sqrt(gx.mmd_squared_biased(x, samples, kernel, block_size=GMMN_BATCH)), {}

    whole = matching(gmmn.build_model(config), root_in_one_block)
    return training(gmmn.build(config), GMMN_BATCH, "none")._replace(
        counted=lambda: training(whole, GMMN_BATCH, "none").one()
    )


def our_mmd(points: int = MMD_POINTS) -> Ours:
    """The biased MMD^2 in blocks, and its gradient in one of the samples."""
    import jax

    x, y = (jax.device_put(sample) for sample in mmd_samples(points))
    estimate = lambda block_size: jax.jit(
        jax.value_and_grad(
            lambda y, x: gx.mmd_squared_biased(x, y, gx.gaussian_kernel(MMD_BANDWIDTH), block_size=block_size)
        )
    )
    in_blocks = estimate(None)

    def run(n: int) -> None:
        for _ in range(n):
            jax.block_until_ready(in_blocks(y, x))

    return Ours(run, lambda: in_blocks.lower(y, x).compile(), lambda: estimate(points).lower(y, x).compile())


def mmd_samples(points: int) -> tuple[np.ndarray, np.ndarray]:
    """Two of Gaussians whose means differ."""
    random = np.random.default_rng(0)
    return tuple((random.normal(size=(points, MMD_FEATURES)) + shift).astype(np.float32) for shift in (0, 0.1))


# PyTorch's side


def torch_training(
    loss: Callable,
    parameters: Sequence,
    compile_with: CompileWith,
    batch_size: int,
    binarise: str = "fixed",
    *,
    fused: bool | None = True,
) -> Run:
    """Steps of Adam on `loss(batch)` of shuffled batches of images `[batch, 784]`.

    Adam is fused, or with `fused=None` what PyTorch takes by default on a CPU: an operation at a time.
    """
    import torch

    data = gx.prepare(gx.load("mnist10k"), binarise=binarise)
    pixels = np.asarray(data.train.x, np.float32).reshape(len(data.train.x), -1)
    x = torch.tensor(pixels / 255 if pixels.max() > 1 else pixels)
    optimizer = torch.optim.Adam(parameters, lr=RATE, fused=fused)
    loss = loss if compile_with is None else torch.compile(loss, **compile_with)
    order, at = torch.randperm(len(x)), 0

    def run(n: int) -> None:
        nonlocal order, at
        for _ in range(n):
            if at + batch_size > len(x):
                order, at = torch.randperm(len(x)), 0
            batch = x[order[at : at + batch_size]]
            at += batch_size
            optimizer.zero_grad(set_to_none=True)
            loss(torch.bernoulli(batch) if binarise == "dynamic" else batch).backward()
            optimizer.step()

    return run


def torch_layers(*sizes: int, activation: Callable):
    """Linear layers with an activation behind each."""
    from torch import nn

    pairs = pairwise(sizes)
    return nn.Sequential(*(layer for pair in pairs for layer in (nn.Linear(*pair), activation())))


def torch_vae(binarise: str, compile_with: CompileWith, *, fused: bool | None = True) -> Run:
    """As `our_vae`."""
    from torch import nn

    loss, parameters = torch_latent_variable_loss((VAE_HIDDEN,), VAE_LATENT, nn.ReLU, None)
    return torch_training(loss, parameters, compile_with, VAE_BATCH, binarise, fused=fused)


def torch_iwae(k: int, compile_with: CompileWith, batch_size: int = IWAE_BATCH) -> Run:
    """As `our_iwae`."""
    from torch import nn

    loss, parameters = torch_latent_variable_loss((IWAE_HIDDEN, IWAE_HIDDEN), IWAE_LATENT, nn.Tanh, k)
    return torch_training(loss, parameters, compile_with, batch_size)


def torch_latent_variable_loss(hidden: Sequence[int], latent: int, activation: Callable, k: int | None):
    """Minus L_k, or minus the ELBO of one sample with a closed KL where k is None; and the parameters."""
    import torch
    from torch import nn
    from torch.nn import functional

    encoder = torch_layers(PIXELS, *hidden, activation=activation)
    mean_of, raw_scale_of = (nn.Linear(hidden[-1], latent) for _ in range(2))
    generator = nn.Sequential(
        torch_layers(latent, *reversed(hidden), activation=activation), nn.Linear(hidden[0], PIXELS)
    )
    networks = nn.ModuleList([encoder, mean_of, raw_scale_of, generator])

    def posterior(x):
        h = encoder(x)
        return mean_of(h), functional.softplus(raw_scale_of(h)) + 1e-4

    def log_likelihood(x, z):
        logits = generator(z)
        cross_entropy = functional.binary_cross_entropy_with_logits(logits, x.expand_as(logits), reduction="none")
        return -cross_entropy.sum(-1)

    def minus_elbo(x):
        mean, scale = posterior(x)
        kl = 0.5 * (mean**2 + scale**2 - 1 - 2 * scale.log()).sum(-1)
        return (kl - log_likelihood(x, mean + scale * torch.randn_like(mean))).mean()

    def minus_iwae_bound(x):
        mean, scale = posterior(x)
        z = mean + scale * torch.randn(k, *mean.shape, device=mean.device)
        log_prior_over_posterior = (0.5 * (((z - mean) / scale) ** 2 - z**2) + scale.log()).sum(-1)
        return math.log(k) - torch.logsumexp(log_likelihood(x, z) + log_prior_over_posterior, dim=0).mean()

    return minus_elbo if k is None else minus_iwae_bound, list(networks.parameters())


def torch_gmmn(compile_with: CompileWith) -> Run:
    """As `our_gmmn`."""
    import torch

    generator = torch_generator()

    def loss(x):
        samples = generator(2 * torch.rand(len(x), GMMN_SIZES[0]) - 1)
        return torch_mmd_squared(x, samples, gmmn.Config().kernel_variances).clamp(min=1e-12).sqrt()

    return torch_training(loss, list(generator.parameters()), compile_with, GMMN_BATCH, "none")


def torch_generator():
    """That of `our_gmmn`."""
    from torch import nn

    return nn.Sequential(torch_layers(*GMMN_SIZES[:-1], activation=nn.ReLU), nn.Linear(*GMMN_SIZES[-2:]), nn.Sigmoid())


def torch_mmd(compile_with: CompileWith, points: int = MMD_POINTS) -> Run:
    """As `our_mmd`, of whole matrices."""
    import torch

    x, y = (torch.tensor(sample) for sample in mmd_samples(points))
    y.requires_grad_()
    mmd = partial(torch_mmd_squared, variances=(MMD_BANDWIDTH**2,))
    mmd = mmd if compile_with is None else torch.compile(mmd, **compile_with)

    def run(n: int) -> None:
        for _ in range(n):
            y.grad = None
            mmd(x, y).backward()

    return run


def torch_mmd_squared(x, y, variances: Sequence[float]):
    """Biased, of a sum of Gaussian kernels."""

    def mean_kernel(a, b):
        squared = ((a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T).clamp(min=0)
        return sum((squared * (-0.5 / variance)).exp().mean() for variance in variances)

    return mean_kernel(x, x) + mean_kernel(y, y) - 2 * mean_kernel(x, y)


# Operations by hand: two for each product of two numbers within products of matrices


def dense(rows: float, *sizes: int, of_data: bool = False) -> float:
    """Forward, for the weights, and for the inputs but those of a network that starts at data."""
    layers = [inputs * outputs for inputs, outputs in pairwise(sizes)]
    return 2 * rows * (3 * sum(layers) - (layers[0] if of_data else 0))


def autoencoding(rows: float, samples: int, hidden: Sequence[int], latent: int) -> float:
    """An encoder of `rows`, and a generator of `samples` of each."""
    encoder = dense(rows, PIXELS, *hidden, 2 * latent, of_data=True)
    return encoder + dense(rows * samples, latent, *reversed(hidden), PIXELS)


def mmd_flops(points: int, features: int) -> float:
    """Three Gram matrices, and the gradient of two in the one sample that has one."""
    return 2 * points**2 * features * 5


def dcgan_flops() -> float:
    """Of the networks of `experiments.benchmarks.dcgan`; a transposed convolution has those of its transpose."""
    first, second = dcgan.CHANNELS
    outer, inner, linear = 14 * 14 * first * 16, 7 * 7 * second * 16 * first, 49 * second
    discriminator, generator = outer + inner + linear, linear * dcgan.LATENT + inner + outer
    of_weights_alone = 3 * discriminator - outer  # forward, weights, inputs but the data
    discriminator_moves = generator + 2 * of_weights_alone
    generator_moves = 2 * discriminator + 3 * generator - linear * dcgan.LATENT
    return 2 * dcgan.BATCH * (discriminator_moves + generator_moves)


CONTESTS: dict[str, Contest] = {
    "vae": Contest(
        f"VAE, batch {VAE_BATCH}",
        partial(our_vae, "fixed"),
        partial(torch_vae, "fixed"),
        autoencoding(VAE_BATCH, 1, (VAE_HIDDEN,), VAE_LATENT),
    ),
    "vae_dynamic": Contest(
        "VAE, binarised at every step",
        partial(our_vae, "dynamic"),
        partial(torch_vae, "dynamic"),
        autoencoding(VAE_BATCH, 1, (VAE_HIDDEN,), VAE_LATENT),
    ),
    **{
        name: Contest(
            f"IWAE, k = {k}, batch {batch:,}",
            partial(our_iwae, k, batch),
            partial(torch_iwae, k, batch_size=batch),
            autoencoding(batch, k, (IWAE_HIDDEN, IWAE_HIDDEN), IWAE_LATENT),
        )
        for name, k, batch in (
            ("iwae_1", 1, IWAE_BATCH),
            ("iwae_5", 5, IWAE_BATCH),
            ("iwae_50", 50, IWAE_BATCH),
            ("iwae_50_batch_100", 50, 100),
            ("iwae_50_batch_1000", 50, 1_000),
        )
    },
    "dcgan": Contest(f"DCGAN, batch {dcgan.BATCH}", our_dcgan, dcgan.torch_steps, dcgan_flops()),
    "gmmn": Contest(
        f"GMMN, batch {GMMN_BATCH:,}",
        our_gmmn,
        torch_gmmn,
        dense(GMMN_BATCH, *GMMN_SIZES, of_data=True) + mmd_flops(GMMN_BATCH, PIXELS),
    ),
    "mmd": Contest(
        f"MMD and gradient, {MMD_POINTS:,} + {MMD_POINTS:,}",
        our_mmd,
        torch_mmd,
        mmd_flops(MMD_POINTS, MMD_FEATURES),
    ),
    "mmd_50000": Contest(
        "MMD and gradient, 50,000 + 50,000", partial(our_mmd, 50_000), None, mmd_flops(50_000, MMD_FEATURES)
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
    about = f"{machine('jax', 'torch')}; {where}"
    peak, results = peak_of_products(), {}
    options.to.parent.mkdir(parents=True, exist_ok=True)
    for name in options.only or (get_args(Name) if torch.cuda.is_available() else get_args(Anywhere)):
        results[name] = measure(CONTESTS[name], options, sides)
        table = as_markdown(results, about, peak)
        print(table.splitlines()[1 + len(results)], flush=True)
        options.to.with_suffix(".json").write_text(json.dumps(as_json(results, about, peak), indent=1))
        options.to.with_suffix(".md").write_text(table + "\n")
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    with explained():
        print(benchmark(parse(Benchmark, arguments, "python -m experiments.benchmarks.objectives", Benchmark.__doc__)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
