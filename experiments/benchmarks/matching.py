"""Both sides of the objectives that match moments or kernel means, with the same mathematics."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

import genjax_models as gx
from experiments import gmmn, gmmn_autoencoder
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
from experiments.studies import moment_matching
from genjax_models.systems.kernels import kernel_of_variances

GMMN_SIZES, GMMN_BATCH = (10, 64, 256, 256, 1024, PIXELS), 1_000
MMD_POINTS, MMD_FEATURES, MMD_BANDWIDTH = 10_000, 64, 8.0
MOMENTS, MOMENTS_BATCH = 4, 512


def our_gmmn() -> Ours:
    """Returns the GMMN of Li et al., 10-64-256-256-1024-784: six bandwidths, the root of the biased MMD^2."""
    import jax.numpy as jnp

    from genjax_models.objectives import matching

    config = gmmn.Config(latent=GMMN_SIZES[0], hidden=GMMN_SIZES[1:-1])

    system, kernel = gmmn.EXPERIMENT.build(config), kernel_of_variances(config.kernel_variances)

    def root_in_one_block(x, samples):
        return jnp.sqrt(gx.mmd_squared_biased(x, samples, kernel, block_size=GMMN_BATCH)), {}

    without_loops = matching(system.model, root_in_one_block)
    return training(system.objective, GMMN_BATCH, digits("none"))._replace(
        counted=lambda: training(without_loops, GMMN_BATCH, digits("none")).one()
    )


def our_gmmn_autoencoder() -> Ours:
    """Returns the second stage, after one step of the first: the MMD of codes 784-1024-32, a generator 10-...-32."""
    import optax

    from genjax_models.objectives.gmmn_autoencoder import in_two_stages

    config, adam = gmmn_autoencoder.Config(autoencoder_steps=1), optax.adam(RATE)
    optimizers = in_two_stages(adam, adam, autoencoder_steps=1)
    objective = gmmn_autoencoder.EXPERIMENT.build(config).objective
    second_stage = objective._replace(losses={"generator": objective.losses["generator"]})
    return training(objective, GMMN_BATCH, digits("none"), optimizers=optimizers)._replace(
        counted=lambda: training(second_stage, GMMN_BATCH, digits("none")).one()  # XLA also counts the resting stage
    )


def our_moment_matching() -> Ours:
    """Returns the generator 8-64-64-2 on eight modes, with the moments up to the fourth."""
    objective = moment_matching.objectives(moment_matching.MomentMatching(orders=(MOMENTS,)))[f"{MOMENTS} moments"]
    return training(objective, MOMENTS_BATCH, points("ring8"))


def our_mmd(points: int = MMD_POINTS) -> Ours:
    """Returns the biased MMD^2 in blocks, and its gradient in one sample."""
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
    """Returns samples of two Gaussians whose means differ."""
    random = np.random.default_rng(0)
    return tuple((random.normal(size=(points, MMD_FEATURES)) + shift).astype(np.float32) for shift in (0, 0.1))


# PyTorch's side


def torch_gmmn(compile_with: CompileWith) -> Run:
    """Returns PyTorch's side of `our_gmmn`."""
    import torch

    generator = torch_generator()

    def loss(x):
        samples = generator(2 * torch.rand(len(x), GMMN_SIZES[0]) - 1)
        return torch_mmd_squared(x, samples, gmmn.Config().kernel_variances).clamp(min=1e-12).sqrt()

    return torch_training([(loss, list(generator.parameters()))], compile_with, GMMN_BATCH, torch_digits("none"))


def torch_generator():
    """Returns the generator of `torch_gmmn`."""
    from torch import nn

    return torch_mlp(*GMMN_SIZES, activation=nn.ReLU, last=nn.Sigmoid)


def torch_gmmn_autoencoder(compile_with: CompileWith) -> Run:
    """Returns PyTorch's side of `our_gmmn_autoencoder`."""
    loss, parameters, _ = torch_matching_of_codes()
    return torch_training([(loss, parameters)], compile_with, GMMN_BATCH, torch_digits("none"))


def torch_matching_of_codes():
    """Returns the root of the MMD^2 of codes, and the parameters of the generator and of the resting encoder."""
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
    """Returns PyTorch's side of `our_moment_matching`."""
    import torch

    x = torch.tensor(np.asarray(points("ring8").train.x))
    return torch_training([torch_moments()], compile_with, MOMENTS_BATCH, x)


def torch_moments():
    """Returns the squared differences of moments, and the generator's parameters."""
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


def torch_mmd(compile_with: CompileWith, points: int = MMD_POINTS) -> Run:
    """Returns PyTorch's side of `our_mmd`, with whole matrices."""
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
    """Returns the biased MMD^2 of a sum of Gaussian kernels."""

    def mean_kernel(a, b):
        squared = ((a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T).clamp(min=0)
        return sum((squared * (-0.5 / variance)).exp().mean() for variance in variances)

    return mean_kernel(x, x) + mean_kernel(y, y) - 2 * mean_kernel(x, y)


# Operations by hand


def mmd_flops(points: int, features: int) -> float:
    """Returns the operations of three Gram matrices, and of two gradients in one sample."""
    return 2 * points**2 * features * 5


def moments_flops() -> float:
    """Returns the operations of the generator, the moments of both samples, and the gradient in one sample."""
    config = moment_matching.MomentMatching()
    of_moments = sum(2 ** (order + 1) for order in range(MOMENTS)) * MOMENTS_BATCH * 2
    return dense(MOMENTS_BATCH, config.latent, *config.hidden, 2, of_data=True) + 4 * of_moments
