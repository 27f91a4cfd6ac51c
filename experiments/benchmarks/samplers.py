"""Objectives that are judged by samples alone, in the benchmark: both sides of each, on one mathematics."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

import genjax_models as gx
from experiments import gmmn, gmmn_autoencoder, lapgan, moment_matching
from experiments.benchmarks import dcgan
from experiments.benchmarks.likelihoods import points
from experiments.benchmarks.sides import (
    PIXELS,
    RATE,
    CompileWith,
    Ours,
    Run,
    dense,
    digits,
    torch_digits,
    torch_mlp,
    torch_training,
    training,
)
from genjax_models.data.padding import padded

if TYPE_CHECKING:
    from genjax_models.types import Objective

GMMN_SIZES, GMMN_BATCH = (10, 64, 256, 256, 1024, PIXELS), 1_000
MMD_POINTS, MMD_FEATURES, MMD_BANDWIDTH = 10_000, 64, 8.0
MMD_GAN_SIZES, MMD_GAN_BATCH, MMD_GAN_BANDWIDTH = (50, 400, 16), 64, 1.0  # noise, hidden, features
MOMENTS, MOMENTS_BATCH = 4, 512
LAPGAN_SIZES = (32, 16, 8)


def our_lapgan() -> Ours:
    """Three levels, 32, 16 and 8 pixels wide: `experiments.lapgan`'s."""
    import optax

    objective, adam = lapgan.build(lapgan.Config()), optax.adam(dcgan.RATE, b1=dcgan.FIRST_MOMENT)
    data = gx.prepare(padded(gx.load("mnist10k"), LAPGAN_SIZES[0]), binarise="none", range=(-1, 1))
    optimizers = dict.fromkeys(objective.losses, adam)
    return training(objective, lapgan.Config().training.batch_size, data, optimizers=optimizers)


def our_mmd_gan() -> Ours:
    """A generator 50-400-784, and features 784-400-16 whose kernel is Gaussian, with the penalty."""
    return training(mmd_gan(), MMD_GAN_BATCH, digits("none"))


def mmd_gan() -> Objective:
    """The game of `our_mmd_gan`."""
    from flax.linen import Dense, Sequential, leaky_relu, sigmoid

    latent, hidden, features = MMD_GAN_SIZES
    generator = Sequential([gx.MLPGenerator((28, 28, 1), (hidden,)), sigmoid])
    critic = Sequential([gx.MLPEncoder((28, 28, 1), (hidden,), ()), leaky_relu, Dense(features, use_bias=False)])
    return gx.mmd_gan(gx.adversarial_pair(generator, critic, latent), gx.gaussian_kernel(MMD_GAN_BANDWIDTH))


def our_gmmn() -> Ours:
    """10-64-256-256-1024-784, six bandwidths, the root of the biased MMD^2: Li et al.'s."""
    import jax.numpy as jnp

    from genjax_models.objectives import matching

    config = gmmn.Config(latent=GMMN_SIZES[0], hidden=GMMN_SIZES[1:-1])

    def root_in_one_block(x, samples):
        kernel = gmmn.kernel_of(config.kernel_variances)
        return jnp.sqrt(gx.mmd_squared_biased(x, samples, kernel, block_size=GMMN_BATCH)), {}

    whole = matching(gmmn.build_model(config), root_in_one_block)
    return training(gmmn.build(config), GMMN_BATCH, digits("none"))._replace(
        counted=lambda: training(whole, GMMN_BATCH, digits("none")).one()
    )


def our_gmmn_autoencoder() -> Ours:
    """The second stage, from the second step on: the MMD of codes 784-1024-32, and a generator 10-...-32 of them."""
    import optax

    from genjax_models.objectives.gmmn_autoencoder import in_two_stages

    config, adam = gmmn_autoencoder.Config(autoencoder_steps=1), optax.adam(RATE)
    optimizers, objective = in_two_stages(adam, adam, autoencoder_steps=1), gmmn_autoencoder.build(config)
    of_generator = objective._replace(losses={"generator": objective.losses["generator"]})
    return training(objective, GMMN_BATCH, digits("none"), optimizers=optimizers)._replace(
        counted=lambda: training(of_generator, GMMN_BATCH, digits("none")).one()  # XLA counts the stage that rests too
    )


def our_moment_matching() -> Ours:
    """8-64-64-2 on eight modes, by the moments up to the fourth."""
    objective = moment_matching.objectives(moment_matching.MomentMatching(orders=(MOMENTS,)))[f"{MOMENTS} moments"]
    return training(objective, MOMENTS_BATCH, points("ring8"))


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


def torch_gmmn(compile_with: CompileWith) -> Run:
    """As `our_gmmn`."""
    import torch

    generator = torch_generator()

    def loss(x):
        samples = generator(2 * torch.rand(len(x), GMMN_SIZES[0]) - 1)
        return torch_mmd_squared(x, samples, gmmn.Config().kernel_variances).clamp(min=1e-12).sqrt()

    return torch_training([(loss, list(generator.parameters()))], compile_with, GMMN_BATCH, torch_digits("none"))


def torch_generator():
    """That of `our_gmmn`."""
    from torch import nn

    return torch_mlp(*GMMN_SIZES, activation=nn.ReLU, last=nn.Sigmoid)


def torch_gmmn_autoencoder(compile_with: CompileWith) -> Run:
    """As `our_gmmn_autoencoder`."""
    loss, parameters, _ = torch_matching_of_codes()
    return torch_training([(loss, parameters)], compile_with, GMMN_BATCH, torch_digits("none"))


def torch_matching_of_codes():
    """The root of the MMD^2 of codes, the generator's parameters, and those of the encoder, which rests."""
    import torch
    from torch import nn

    config = gmmn_autoencoder.Config()
    encoder = torch_mlp(PIXELS, *config.autoencoder_hidden, config.code, activation=nn.ReLU, last=nn.Sigmoid)
    generator = torch_mlp(config.latent, *config.hidden, config.code, activation=nn.ReLU, last=nn.Sigmoid)

    def loss(x):
        with torch.no_grad():
            codes = encoder(x)
        samples = generator(2 * torch.rand(len(x), config.latent) - 1)
        return torch_mmd_squared(codes, samples, config.code_variances).clamp(min=1e-12).sqrt()

    return loss, list(generator.parameters()), list(encoder.parameters())


def torch_moment_matching(compile_with: CompileWith) -> Run:
    """As `our_moment_matching`."""
    import torch

    x = torch.tensor(np.asarray(points("ring8").train.x))
    return torch_training([torch_moments()], compile_with, MOMENTS_BATCH, x)


def torch_moments():
    """The squared differences of moments, and the generator's parameters."""
    import torch
    from torch import nn

    config = moment_matching.MomentMatching()
    generator = torch_mlp(config.latent, *config.hidden, 2, activation=nn.ReLU)

    def moments(x):
        powers = torch.ones(len(x), 1)
        for _ in range(MOMENTS):
            yield powers.T @ x / len(x)
            powers = (powers[:, :, None] * x[:, None]).flatten(1)

    def loss(x):
        pairs = zip(moments(x), moments(generator(torch.randn(len(x), config.latent))), strict=True)
        return sum(((a - b) ** 2).sum() for a, b in pairs)

    return loss, list(generator.parameters())


def torch_lapgan(compile_with: CompileWith) -> Run:
    """As `our_lapgan`."""
    from torch.nn.functional import pad

    x = pad(torch_digits("none", (-1, 1)).reshape(-1, 1, 28, 28), (2, 2, 2, 2), value=-1.0)
    batch, adam = lapgan.Config().training.batch_size, {"lr": dcgan.RATE, "betas": (dcgan.FIRST_MOMENT, 0.999)}
    return torch_training(torch_pyramid(), compile_with, batch, x, **adam)


def torch_pyramid():
    """The losses of both players of each level, finest first, and their parameters."""
    import torch
    from torch import nn
    from torch.nn import functional

    config, players = lapgan.Config(), []
    leaky_relu = partial(nn.LeakyReLU, 0.2)

    def low_pass(x):
        return functional.avg_pool2d(x, 2).repeat_interleave(2, -1).repeat_interleave(2, -2)

    def game(size, level, draw, judge, generator, discriminator):
        def halved(x):
            for _ in range(level):
                x = functional.avg_pool2d(x, 2)
            return x

        def discriminator_loss(x):
            real = halved(x)
            with torch.no_grad():
                fake = draw(generator, real)
            return (
                functional.softplus(-judge(discriminator, real)) + functional.softplus(judge(discriminator, fake))
            ).mean()

        def generator_loss(x):
            return functional.softplus(-judge(discriminator, draw(generator, halved(x)))).mean()

        return [
            (discriminator_loss, list(discriminator.parameters())),
            (generator_loss, list(generator.parameters())),
        ]

    def refined(generator, real):
        low = low_pass(real)
        made = generator(torch.cat([low, torch.randn_like(low)], 1))
        return low + made - low_pass(made)

    def judged_beside_low_pass(discriminator, x):
        return discriminator(torch.cat([x, low_pass(x)], 1))[:, 0]

    for level, size in enumerate(LAPGAN_SIZES[:-1]):
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
            leaky_relu(),
            nn.Conv2d(first, second, 4, 2, 1),
            leaky_relu(),
            nn.Flatten(),
            nn.Linear(second * (size // 4) ** 2, 1),
        )
        players += game(size, level, refined, judged_beside_low_pass, generator, discriminator)

    side = LAPGAN_SIZES[-1]
    generator = torch_mlp(config.latent, *config.hidden, side**2, activation=nn.ReLU, last=nn.Tanh)
    discriminator = nn.Sequential()
    for pair in pairwise([side**2, *config.hidden[::-1]]):
        discriminator.extend([nn.Linear(*pair), leaky_relu(), nn.Dropout(config.dropout)])
    discriminator.append(nn.Linear(config.hidden[0], 1))

    def drawn(generator, real):
        return generator(torch.randn(len(real), config.latent)).reshape(-1, 1, side, side)

    def judged(discriminator, x):
        return discriminator(x.flatten(1))[:, 0]

    return players + game(side, len(LAPGAN_SIZES) - 1, drawn, judged, generator, discriminator)


def torch_mmd_gan(compile_with: CompileWith) -> Run:
    """As `our_mmd_gan`; the critic's move is eager even where the generator's is compiled."""
    return torch_training(torch_critic_of_kernels(), compile_with, MMD_GAN_BATCH, torch_digits("none"))


def torch_critic_of_kernels():
    """The losses of both players, and their parameters."""
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

    @torch.compiler.disable  # it has no derivatives of derivatives
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
        return eager_critic_loss(x)  # since compiling a function that is marked itself unwraps it

    def generator_loss(x):
        return mmd_squared(critic(x), critic(draw(x)))

    return [(critic_loss, list(critic.parameters())), (generator_loss, list(generator.parameters()))]


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


# Operations by hand


def mmd_flops(points: int, features: int) -> float:
    """Three Gram matrices, and the gradient of two in the one sample that has one."""
    return 2 * points**2 * features * 5


def dcgan_flops(size: dcgan.Size = dcgan.DIGITS) -> float:
    """Of the networks of `experiments.benchmarks.dcgan`; a transposed convolution has those of its transpose."""
    (height, width, colours), channels = size
    outer, *inner = (
        (height >> level) * (width >> level) * 16 * narrow * wide
        for level, (narrow, wide) in enumerate(pairwise((colours, *channels)), start=1)
    )
    linear = (height >> len(channels)) * (width >> len(channels)) * channels[-1]
    judging, drawing = outer + sum(inner) + linear, linear * dcgan.LATENT + sum(inner) + outer
    return 2 * dcgan.BATCH * _moves(drawing, linear * dcgan.LATENT, judging, outer)


def lapgan_flops() -> float:
    """Of all levels' networks; each player's move has forward products of both networks, and backward of its own."""
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
        judging = outer + inner + last
        total += _moves(drawing, size**2 * 9 * 2 * narrow, judging, outer)
    side = LAPGAN_SIZES[-1] ** 2
    up = [config.latent, *config.hidden, side]
    down = [side, *config.hidden[::-1], 1]
    drawing, judging = (sum(a * b for a, b in pairwise(sizes)) for sizes in (up, down))
    return 2 * rows * (total + _moves(drawing, up[0] * up[1], judging, down[0] * down[1]))


def _moves(drawing: float, first_drawing: float, judging: float, first_judging: float) -> float:
    """Products of both moves: a draw and two judgements that are learned from, then both for the generator."""
    discriminator = drawing + 2 * (3 * judging - first_judging)
    return discriminator + 2 * judging + 3 * drawing - first_drawing


def mmd_gan_flops() -> float:
    """Of both moves. A penalty has the features, their slope, and twice the weights' share of each on the way back."""
    latent, hidden, features = MMD_GAN_SIZES
    drawing, judging = latent * hidden + hidden * PIXELS, PIXELS * hidden + hidden * features
    first, penalty = PIXELS * hidden, 2 * judging + 2 * judging + 2 * hidden * features
    critic = drawing + 2 * (3 * judging - first) + penalty
    generator = 2 * judging + judging + 3 * drawing - latent * hidden
    return 2 * MMD_GAN_BATCH * (critic + generator)


def moments_flops() -> float:
    """The generator, and every moment of both samples, with the way back to one."""
    config = moment_matching.MomentMatching()
    of_moments = sum(2 ** (order + 1) for order in range(MOMENTS)) * MOMENTS_BATCH * 2
    return dense(MOMENTS_BATCH, config.latent, *config.hidden, 2, of_data=True) + 4 * of_moments
