"""Both sides of convolutional VAEs, with the same mathematics, and the operations of a step."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

import genjax_models as gx
from experiments.benchmarks.sides import CompileWith, Ours, Run, dense, digits, torch_digits, torch_training, training

if TYPE_CHECKING:
    from genjax_models.data import Prepared
    from genjax_models.models import LatentVariableModel

LATENT, HIDDEN, KERNEL, STRIDE = 16, 256, 4, 2
LEAST_SCALE = 1e-4


class Size(NamedTuple):
    """Shape of images, channels from the largest level to the smallest, and examples per step."""

    shape: tuple[int, int, int]
    channels: tuple[int, ...]
    batch: int


SIZES = {
    28: Size((28, 28, 1), (32, 64), 100),
    32: Size((32, 32, 3), (32, 64), 64),
    64: Size((64, 64, 3), (32, 32, 64, 64), 64),
}


def our_vae(side: int) -> Ours:
    """Returns the VAE: Bernoulli on digits, and the discretised logistic on images in colour."""
    return training(gx.vae(model_of(SIZES[side])), SIZES[side].batch, images(SIZES[side]))


def model_of(size: Size) -> LatentVariableModel:
    """Returns the model: strided convolutions, a hidden layer, 16 latents, and back."""
    posterior = gx.diagonal_gaussian(LATENT)
    likelihood = gx.bernoulli(size.shape) if size.shape[2] == 1 else gx.discretised_logistic(size.shape)
    encoder = gx.ConvolutionalEncoder(size.shape, posterior.outputs, size.channels, (HIDDEN,))
    generator = gx.ConvolutionalGenerator(likelihood.outputs, size.channels[::-1], (HIDDEN,))
    return gx.latent_variable_model(encoder, posterior, generator, likelihood)


def images(size: Size) -> Prepared:
    """Returns binary digits, or noise in colour; noise takes as long as images."""
    if size.shape[2] == 1:
        return digits("fixed")
    from genjax_models.data import Split

    noise = np.random.default_rng(0).integers(0, 256, (12 * size.batch, *size.shape), np.uint8)
    rows = slice(size.batch, -size.batch), slice(size.batch), slice(-size.batch, None)
    return gx.prepare(gx.from_splits(*(Split(noise[some]) for some in rows)), binarise="none", range=(0, 1))


def torch_vae(side: int, compile_with: CompileWith, *, channels_last: bool = False) -> Run:
    """Returns PyTorch's side of `our_vae`."""
    import torch

    size = SIZES[side]
    if size.shape[2] == 1:
        x = torch_digits("fixed").reshape(-1, 1, *size.shape[:2])
    else:
        data = images(size)
        x = torch.tensor(np.asarray(data.each_step(None, data.train).x)).permute(0, 3, 1, 2)
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    loss, networks = torch_loss(size)
    networks.to(memory_format=memory_format)
    x = x.contiguous(memory_format=memory_format)
    return torch_training([(loss, list(networks.parameters()))], compile_with, size.batch, x)


def torch_loss(size: Size):
    """Returns -ELBO from one sample with a closed KL, and the networks."""
    import torch
    from torch import nn
    from torch.nn import functional

    height, width, colours = size.shape
    smallest = height >> len(size.channels), width >> len(size.channels)
    features = size.channels[-1] * math.prod(smallest)
    widths = (colours, *size.channels)
    halving = [layer for pair in pairwise(widths) for layer in (nn.Conv2d(*pair, KERNEL, STRIDE, padding=1), nn.ReLU())]
    encoder = nn.Sequential(*halving, nn.Flatten(), nn.Linear(features, HIDDEN), nn.ReLU())
    mean_of, raw_scale_of = (nn.Linear(HIDDEN, LATENT) for _ in range(2))
    doubling = [
        layer
        for pair in pairwise(size.channels[::-1])
        for layer in (nn.ConvTranspose2d(*pair, KERNEL, STRIDE, padding=1), nn.ReLU())
    ]
    generator = nn.Sequential(
        nn.Linear(LATENT, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, features), nn.ReLU(),
        nn.Unflatten(1, (size.channels[-1], *smallest)), *doubling,
    )  # fmt: skip
    output = nn.ConvTranspose2d(size.channels[0], colours, KERNEL, STRIDE, padding=1)
    networks = nn.ModuleList([encoder, mean_of, raw_scale_of, generator, output])
    if colours > 1:
        networks.register_parameter("raw_scale", nn.Parameter(torch.zeros(colours, height, width)))

    def cross_entropy(x, h):
        return functional.binary_cross_entropy_with_logits(output(h), x, reduction="none")

    def code_length(x, h):
        mean, scale = 0.5 + output(h), functional.softplus(networks.raw_scale - 2.0) + LEAST_SCALE
        half = 0.5 / 255
        below = functional.logsigmoid((x + half - mean) / scale)
        above = functional.logsigmoid(-(x - half - mean) / scale)
        inside = below + above + torch.log(-torch.expm1(-2 * half / scale))
        return -torch.where(x < half, below, torch.where(x > 1 - half, above, inside))

    minus_log_likelihood = cross_entropy if colours == 1 else code_length

    def minus_elbo(x):
        h = encoder(x)
        mean, scale = mean_of(h), functional.softplus(raw_scale_of(h)) + 1e-4
        kl = 0.5 * (mean**2 + scale**2 - 1 - 2 * scale.log()).sum(-1)
        h = generator(mean + scale * torch.randn_like(mean))
        return (kl + minus_log_likelihood(x, h).flatten(1).sum(-1)).mean()

    return minus_elbo, networks


def flops(side: int) -> float:
    """Returns the operations of a step: both networks, forward and both gradients; data need no gradient."""
    (height, width, colours), channels, batch = SIZES[side]
    features = channels[-1] * (height >> len(channels)) * (width >> len(channels))
    encoder = dense(batch, features, HIDDEN, 2 * LATENT)
    generator = dense(batch, LATENT, HIDDEN, features)
    total = encoder + generator
    for level, (wide, narrow) in enumerate(pairwise((colours, *channels))):
        pixels = batch * (height >> (level + 1)) * (width >> (level + 1)) * KERNEL**2
        one = 2 * pixels * wide * narrow
        total += one * (3 if level else 2) + 3 * one
    return total
