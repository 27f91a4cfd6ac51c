"""Both sides of the LAPGAN and the MMD-GAN, with the same mathematics, and the operations of games."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING

import genjax_models as gx
from experiments import lapgan
from experiments.benchmarks import dcgan
from experiments.benchmarks.sides import (
    PIXELS,
    CompileWith,
    Ours,
    Run,
    digits,
    torch_digits,
    torch_mlp,
    torch_training,
    training,
)
from genjax_models.data.padding import padded

if TYPE_CHECKING:
    from genjax_models.types import Objective

MMD_GAN_SIZES, MMD_GAN_BATCH, MMD_GAN_BANDWIDTH = (50, 400, 16), 64, 1.0  # noise, hidden, features
LAPGAN_SIZES = (32, 16, 8)


def our_lapgan() -> Ours:
    """Returns the LAPGAN of `experiments.lapgan`, with levels of 32, 16 and 8 pixels."""
    import optax

    objective, adam = pyramid(), optax.adam(dcgan.RATE, b1=dcgan.FIRST_MOMENT)
    data = gx.prepare(padded(gx.load("mnist10k"), LAPGAN_SIZES[0]), binarise="none", range=(-1, 1))
    optimizers = dict.fromkeys(objective.losses, adam)
    return training(objective, lapgan.Config().training.batch_size, data, optimizers=optimizers)


def pyramid() -> Objective:
    """Returns the game of `our_lapgan`."""
    return lapgan.EXPERIMENT.build(lapgan.Config()).objective


def our_mmd_gan() -> Ours:
    """Returns the MMD-GAN: generator 50-400-784, features 784-400-16, Gaussian kernel, and the penalty."""
    return training(mmd_gan(), MMD_GAN_BATCH, digits("none"))


def mmd_gan() -> Objective:
    """Returns the game of `our_mmd_gan`."""
    from flax.linen import Dense, Sequential, leaky_relu, sigmoid

    latent, hidden, features = MMD_GAN_SIZES
    generator = Sequential([gx.MLPGenerator((28, 28, 1), (hidden,)), sigmoid])
    critic = Sequential([gx.MLPEncoder((28, 28, 1), (hidden,), ()), leaky_relu, Dense(features, use_bias=False)])
    return gx.mmd_gan(gx.adversarial_pair(generator, critic, latent), gx.gaussian_kernel(MMD_GAN_BANDWIDTH))


# PyTorch's side


def torch_lapgan(compile_with: CompileWith) -> Run:
    """Returns PyTorch's side of `our_lapgan`."""
    from torch.nn.functional import pad

    x = pad(torch_digits("none", (-1, 1)).reshape(-1, 1, 28, 28), (2, 2, 2, 2), value=-1.0)
    batch, adam = lapgan.Config().training.batch_size, {"lr": dcgan.RATE, "betas": (dcgan.FIRST_MOMENT, 0.999)}
    return torch_training(torch_pyramid(), compile_with, batch, x, **adam)


def torch_pyramid() -> list[tuple[Callable, list]]:
    """Returns the losses of both players of each level, finest first, with their parameters."""
    import torch

    def refined(generator, real):
        low = _low_pass(real)
        detail = generator(torch.cat([low, torch.randn_like(low)], 1))
        return low + detail - _low_pass(detail)

    def logits_with_low_pass(discriminator, x):
        return discriminator(torch.cat([x, _low_pass(x)], 1))[:, 0]

    players, side = [], LAPGAN_SIZES[-1]
    for level, size in enumerate(LAPGAN_SIZES[:-1]):
        players += _torch_level(level, refined, logits_with_low_pass, *_torch_refining_networks(size))

    def drawn(generator, real):
        return generator(torch.randn(len(real), lapgan.Config().latent)).reshape(-1, 1, side, side)

    def logits(discriminator, x):
        return discriminator(x.flatten(1))[:, 0]

    return players + _torch_level(len(LAPGAN_SIZES) - 1, drawn, logits, *_torch_coarsest_networks(side))


def _torch_level(level: int, draw, logits, generator, discriminator) -> list[tuple[Callable, list]]:
    """Returns the losses of both players at a level, on data halved `level` times, with their parameters."""
    import torch
    from torch.nn import functional

    def halved(x):
        for _ in range(level):
            x = functional.avg_pool2d(x, 2)
        return x

    def discriminator_loss(x):
        real = halved(x)
        with torch.no_grad():
            fake = draw(generator, real)
        return (
            functional.softplus(-logits(discriminator, real)) + functional.softplus(logits(discriminator, fake))
        ).mean()

    def generator_loss(x):
        return functional.softplus(-logits(discriminator, draw(generator, halved(x)))).mean()

    return [
        (discriminator_loss, list(discriminator.parameters())),
        (generator_loss, list(generator.parameters())),
    ]


def _torch_refining_networks(size: int):
    """Returns the generator and the discriminator of a finer level, for images of this side."""
    from torch import nn

    config = lapgan.Config()
    first, second = config.channels
    generator = nn.Sequential(
        nn.Conv2d(2, first, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(first, second, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(second, 1, 3, padding=1, bias=False),
    )
    first, second = config.discriminator_channels
    discriminator = nn.Sequential(
        nn.Conv2d(2, first, 4, 2, 1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(first, second, 4, 2, 1),
        nn.LeakyReLU(0.2),
        nn.Flatten(),
        nn.Linear(second * (size // 4) ** 2, 1),
    )
    return generator, discriminator


def _torch_coarsest_networks(side: int):
    """Returns the generator and the discriminator of the coarsest level, for images of this side."""
    from torch import nn

    config = lapgan.Config()
    generator = torch_mlp(config.latent, *config.hidden, side**2, activation=nn.ReLU, last=nn.Tanh)
    discriminator = nn.Sequential()
    for pair in pairwise([side**2, *config.hidden[::-1]]):
        discriminator.extend([nn.Linear(*pair), nn.LeakyReLU(0.2), nn.Dropout(config.dropout)])
    discriminator.append(nn.Linear(config.hidden[0], 1))
    return generator, discriminator


def _low_pass(x):
    from torch.nn import functional

    return functional.avg_pool2d(x, 2).repeat_interleave(2, -1).repeat_interleave(2, -2)


def torch_mmd_gan(compile_with: CompileWith) -> Run:
    """Returns PyTorch's side of `our_mmd_gan`; the critic's move is always eager."""
    return torch_training(torch_critic_of_kernels(), compile_with, MMD_GAN_BATCH, torch_digits("none"))


def torch_critic_of_kernels():
    """Returns the losses of both players, with their parameters."""
    import torch
    from torch import nn

    latent, hidden, features = MMD_GAN_SIZES
    generator = torch_mlp(latent, hidden, PIXELS, activation=nn.ReLU, last=nn.Sigmoid)
    critic = nn.Sequential(nn.Linear(PIXELS, hidden), nn.LeakyReLU(0.01), nn.Linear(hidden, features, bias=False))

    def kernel(a, b):
        squared = ((a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T).clamp(min=0)
        return (squared * (-0.5 / MMD_GAN_BANDWIDTH**2)).exp()

    def mmd_squared(x, y):
        within = [(k.sum() - k.diagonal().sum()) / (len(k) * (len(k) - 1)) for k in (kernel(x, x), kernel(y, y))]
        return sum(within) - 2 * kernel(x, y).mean()

    def draw(x):
        return generator(torch.randn(len(x), latent))

    @torch.compiler.disable  # torch.compile has no second derivatives
    def eager_critic_loss(x):
        with torch.no_grad():
            fake = draw(x)
        of_real, of_fake = critic(x), critic(fake)
        u = torch.rand(len(x), 1)
        between = (u * x + (1 - u) * fake).requires_grad_()
        features = critic(between)
        witness = kernel(features, of_real).mean(1) - kernel(features, of_fake).mean(1)
        (slope,) = torch.autograd.grad(witness.sum(), between, create_graph=True)
        penalty = ((slope.norm(dim=1) - 1) ** 2).mean()
        return penalty - mmd_squared(of_real, of_fake)

    def critic_loss(x):
        return eager_critic_loss(x)  # a wrapper without the mark, because torch.compile unwraps a marked function

    def generator_loss(x):
        return mmd_squared(critic(x), critic(draw(x)))

    return [(critic_loss, list(critic.parameters())), (generator_loss, list(generator.parameters()))]


# Operations by hand


def dcgan_flops(size: dcgan.Size = dcgan.DIGITS) -> float:
    """Returns the operations of `experiments.benchmarks.dcgan`; a transposed convolution counts as its transpose."""
    (height, width, colours), channels = size
    outer, *inner = (
        (height >> level) * (width >> level) * 16 * narrow * wide
        for level, (narrow, wide) in enumerate(pairwise((colours, *channels)), start=1)
    )
    linear = (height >> len(channels)) * (width >> len(channels)) * channels[-1]
    discriminating, drawing = outer + sum(inner) + linear, linear * dcgan.LATENT + sum(inner) + outer
    return 2 * dcgan.BATCH * _moves(drawing, linear * dcgan.LATENT, discriminating, outer)


def lapgan_flops() -> float:
    """Returns the operations of all levels: each move runs both networks forward, and its own network backward."""
    config, rows = lapgan.Config(), lapgan.Config().training.batch_size
    (narrow, wide), (first, second) = config.channels, config.discriminator_channels
    total = 0.0
    for size in LAPGAN_SIZES[:-1]:
        drawing = size**2 * 9 * (2 * narrow + narrow * wide + wide)
        outer, inner, last = (
            (size // 2) ** 2 * 16 * 2 * first,
            (size // 4) ** 2 * 16 * first * second,
            second * (size // 4) ** 2,
        )
        discriminating = outer + inner + last
        total += _moves(drawing, size**2 * 9 * 2 * narrow, discriminating, outer)
    side = LAPGAN_SIZES[-1] ** 2
    up = [config.latent, *config.hidden, side]
    down = [side, *config.hidden[::-1], 1]
    drawing, discriminating = (sum(a * b for a, b in pairwise(sizes)) for sizes in (up, down))
    return 2 * rows * (total + _moves(drawing, up[0] * up[1], discriminating, down[0] * down[1]))


def _moves(drawing: float, first_drawing: float, discriminating: float, first_discriminating: float) -> float:
    """Returns the products of both moves: a draw and two discriminations with gradients, then the generator's move."""
    discriminator = drawing + 2 * (3 * discriminating - first_discriminating)
    return discriminator + 2 * discriminating + 3 * drawing - first_drawing


def mmd_gan_flops() -> float:
    """Returns the operations of both moves. The penalty needs features, their slope, and weight gradients of both."""
    latent, hidden, features = MMD_GAN_SIZES
    drawing, discriminating = latent * hidden + hidden * PIXELS, PIXELS * hidden + hidden * features
    first, penalty = PIXELS * hidden, 2 * discriminating + 2 * discriminating + 2 * hidden * features
    critic = drawing + 2 * (3 * discriminating - first) + penalty
    generator = 2 * discriminating + discriminating + 3 * drawing - latent * hidden
    return 2 * MMD_GAN_BATCH * (critic + generator)
