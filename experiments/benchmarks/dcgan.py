"""A step of the DCGAN compared with PyTorch: 28 x 28, both players, batch 64, Adam, float32, data on the device.

python -m experiments.benchmarks.dcgan

On 2 cores of an AMD EPYC (jax 0.10.2, torch 2.13.0, 2 threads and their own allocators, fused Adam), measured alone,
2026-11-22, five turns, by `--turns 5 --seconds 0.3`:

                                     steps/s    the loop is faster by (least and most of the turns)
    genjax_models, compiled loop        24.7
    torch eager                         23.6    1.04 x  (1.01 to 1.08)
    torch eager, channels last          24.7    1.00 x  (0.95 to 1.06)
    torch.compile                       18.9    1.31 x  (1.24 to 1.37)
    torch.compile, channels last        19.6    1.26 x  (1.22 to 1.30)
    our loop, jax.lax's derivatives      0.9   27.55 x (27.14 to 28.88)

The last row has the convolutions and derivatives of `jax.lax`, which `flax.linen.Conv` uses. Nearly all of the
difference is in derivatives. The last cost removed was the gradient of a transposed convolution's kernel. As a
convolution of dy with kernel x, it left XLA's fast path: the kernel was larger, so XLA exchanged the two operands. With
the larger operand as the image from the start, the step takes 70 ms of processor time instead of 220.
"""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest import mock

import numpy as np

import genjax_models as gx
from experiments.benchmarks.measure import by_turns, contestant, machine, table, torch_with
from experiments.benchmarks.sides import CompileWith, Ours, Run, digits, torch_training, training
from genjax_models.runs.command_line import exit_on_error, parse
from genjax_models.runs.configuration import positive, whole

if TYPE_CHECKING:
    from genjax_models.data import Prepared
    from genjax_models.systems.precision import Precision
    from genjax_models.types import Objective

LATENT, BATCH = 100, 64
RATE, FIRST_MOMENT = 2e-4, 0.5


class Size(NamedTuple):
    """Shape of images, and channels of the discriminator's levels; the generator reverses them."""

    shape: tuple[int, int, int]
    channels: tuple[int, ...]


DIGITS = Size((28, 28, 1), (64, 128))
COLOURS = Size((64, 64, 3), (64, 128, 256, 512))  # Radford et al.; their generator starts at twice as many channels


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """Time a step of the DCGAN compared with PyTorch eager and torch.compile, in turns."""

    turns: int = 7
    """Rounds in which all contestants are timed."""
    seconds: float = 3.0
    """Time of each contestant per round."""
    native: bool = True
    """Also time the step with the convolutions and derivatives of jax.lax; it takes many times as long."""
    threads: int | None = None
    """Threads of PyTorch. Default: PyTorch's own choice."""

    def __post_init__(self):
        whole(5, turns=self.turns)
        positive(seconds=self.seconds)


def our_dcgan(size: Size = DIGITS, precision: Precision = "float32") -> Ours:
    """Returns the loop that `fit` runs: it gathers and scales batches, and is one compiled program."""
    import optax

    objective, adam = game(size, precision), optax.adam(RATE, b1=FIRST_MOMENT)
    return training(objective, BATCH, images(size), optimizers=dict.fromkeys(objective.losses, adam))


def game(size: Size, precision: Precision = "float32") -> Objective:
    """Returns the game of the DCGAN."""
    from genjax_models.networks.dcgan import DCGANDiscriminator, DCGANGenerator
    from genjax_models.systems.precision import at_precision

    generator, discriminator = at_precision(
        precision,
        DCGANGenerator(size.shape, size.channels[::-1]),
        DCGANDiscriminator(size.shape, size.channels),
    )
    return gx.gan(gx.adversarial_pair(generator, discriminator, LATENT))


def images(size: Size) -> Prepared:
    """Returns mnist10k, or noise for other sizes; noise takes as long."""
    if size == DIGITS:
        return digits("none", (-1, 1))
    from genjax_models.data import Split

    noise = np.random.default_rng(0).integers(0, 256, (12 * BATCH, *size.shape), np.uint8)
    parts = [Split(noise[rows]) for rows in (slice(BATCH, -BATCH), slice(BATCH), slice(-BATCH, None))]
    return gx.prepare(gx.from_splits(*parts), binarise="none", range=(-1, 1))


def jax_native() -> Run:
    """Returns the same loop with the convolutions of `flax.linen`: jax.lax convolutions and autodiff."""
    from genjax_models.networks import convolution

    with mock.patch.object(convolution, "_convolve", convolution.native):
        steps = our_dcgan().run
        steps(1)  # traces within the patch
    return steps


def torch_steps(
    compile_with: CompileWith, size: Size = DIGITS, precision: Precision = "float32", *, channels_last: bool = False
) -> Run:
    """Returns PyTorch's loop with fused Adam and compiled losses; losses are eager if `compile_with` is None.

    At bfloat16, PyTorch's autocast chooses the operations that compute in it.
    """
    import torch

    torch.manual_seed(0)
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    data = images(size)
    pixels = np.asarray(data.each_step(None, data.train).x)
    x = torch.tensor(pixels).permute(0, 3, 1, 2).contiguous(memory_format=memory_format)
    players = torch_game(size, memory_format)
    if precision == "bfloat16":
        players = [(in_bfloat16(loss), parameters) for loss, parameters in players]
    return torch_training(players, compile_with, BATCH, x, lr=RATE, betas=(FIRST_MOMENT, 0.999))


def in_bfloat16(loss: Callable) -> Callable:
    """Returns the loss under PyTorch's autocast to bfloat16, on its default device."""
    import torch

    def autocast_loss(batch):
        with torch.autocast(torch.get_default_device().type, dtype=torch.bfloat16):
            return loss(batch)

    return autocast_loss


def torch_game(size: Size, memory_format: Any = None) -> list[tuple[Callable, list]]:
    """Returns the losses of discriminator and generator, each with its parameters."""
    import torch
    from torch.nn import functional

    generator, discriminator = torch_generator(size), torch_discriminator(size)
    for network in (discriminator, generator):
        network.to(memory_format=memory_format or torch.contiguous_format)

    def discriminator_loss(real):
        with torch.no_grad():
            fake = generator(torch.randn(len(real), LATENT))
        return (functional.softplus(-discriminator(real)) + functional.softplus(discriminator(fake))).mean()

    def generator_loss(real):
        return functional.softplus(-discriminator(generator(torch.randn(len(real), LATENT)))).mean()

    return [
        (discriminator_loss, list(discriminator.parameters())),
        (generator_loss, list(generator.parameters())),
    ]


def torch_generator(size: Size):
    """Returns a dense layer, then transposed convolutions that double the image."""
    from torch import nn

    (height, width, colours), channels = size.shape, size.channels
    smallest = channels[-1], height >> len(channels), width >> len(channels)
    doubling = [
        layer
        for narrow, wide in zip(channels[-2::-1], channels[:0:-1], strict=True)
        for layer in (nn.ConvTranspose2d(wide, narrow, 4, 2, 1, bias=False), nn.BatchNorm2d(narrow), nn.ReLU())
    ]
    return nn.Sequential(
        nn.Linear(LATENT, math.prod(smallest), bias=False),
        nn.Unflatten(1, smallest),
        nn.BatchNorm2d(channels[-1]),
        nn.ReLU(),
        *doubling,
        nn.ConvTranspose2d(channels[0], colours, 4, 2, 1),
        nn.Tanh(),
    )


def torch_discriminator(size: Size):
    """Returns convolutions that halve the image, then a dense layer."""
    from torch import nn

    (height, width, colours), channels = size.shape, size.channels
    halving = [
        layer
        for narrow, wide in pairwise(channels)
        for layer in (nn.Conv2d(narrow, wide, 4, 2, 1, bias=False), nn.BatchNorm2d(wide), nn.LeakyReLU(0.2))
    ]
    return nn.Sequential(
        nn.Conv2d(colours, channels[0], 4, 2, 1),
        nn.LeakyReLU(0.2),
        *halving,
        nn.Flatten(),
        nn.Linear(channels[-1] * (height >> len(channels)) * (width >> len(channels)), 1),
    )


def benchmark(options: Benchmark) -> str:
    """Measures in turns, and returns the table."""
    torch = torch_with(options.threads)
    contestants = {
        "genjax_models, compiled loop": lambda: our_dcgan().run,
        "torch eager": lambda: torch_steps(None),
        "torch eager, channels last": lambda: torch_steps(None, channels_last=True),
        "torch.compile": lambda: torch_steps({}),
        "torch.compile, channels last": lambda: torch_steps({}, channels_last=True),
    }
    if options.native:
        contestants["our loop, jax.lax's derivatives"] = jax_native
    started = {name: contestant(make) for name, make in contestants.items()}
    timings = by_turns(started, turns=options.turns, seconds=options.seconds)
    about = machine("jax", "torch") + f"; PyTorch with {torch.get_num_threads()} threads and its own allocator"
    return f"{about}\n{table(timings, ours='genjax_models, compiled loop')}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints. Returns the exit status."""
    with exit_on_error():
        print(benchmark(parse(Benchmark, arguments, "python -m experiments.benchmarks.dcgan", Benchmark.__doc__)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
