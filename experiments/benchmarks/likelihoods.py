"""Both sides of the objectives with a likelihood or a reconstruction, with the same mathematics."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

import genjax_models as gx
from experiments import autoencoder, infinite_mixture, iwae
from experiments.benchmarks.sides import (
    PIXELS,
    CompileWith,
    Ours,
    Run,
    dense,
    digits,
    torch_digits,
    torch_layers,
    torch_mlp,
    torch_training,
    training,
)

if TYPE_CHECKING:
    from genjax_models.data import Prepared
    from genjax_models.models import LatentVariableModel
    from genjax_models.runs.protocol import System

VAE_HIDDEN, VAE_LATENT, VAE_BATCH = 400, 20, 100
IWAE_HIDDEN, IWAE_LATENT, IWAE_BATCH = 200, 50, 20
AUTOENCODER_BATCH = 100


def model_of_images(latent: int, hidden: Sequence[int]) -> LatentVariableModel:
    """Returns the model 784-hidden-latent and back, with ReLU."""
    posterior, likelihood = gx.diagonal_gaussian(latent), gx.bernoulli((28, 28, 1))
    encoder = gx.MLPEncoder((28, 28, 1), posterior.outputs, hidden)
    generator = gx.MLPGenerator(likelihood.outputs, hidden)
    return gx.latent_variable_model(encoder, posterior, generator, likelihood)


def our_vae(binarise: str, batch_size: int = VAE_BATCH) -> Ours:
    """Returns the VAE 784-400-20 and back, with a closed KL."""
    return training(gx.vae(model_of_images(VAE_LATENT, (VAE_HIDDEN,))), batch_size, digits(binarise))


def our_iwae(k: int, batch_size: int = IWAE_BATCH) -> Ours:
    """Returns the IWAE of Burda et al., 784-200-200-50 and back, with tanh."""
    return training(iwae_system(k).objective, batch_size)


def iwae_system(k: int) -> System:
    """Returns the system of `experiments.iwae` with these sizes."""
    some_steps = dataclasses.replace(iwae.Config().training, steps=1)  # the default depends on the number of examples
    config = iwae.Config(num_samples=k, hidden=(IWAE_HIDDEN, 100), latent=(100, IWAE_LATENT), training=some_steps)
    return iwae.EXPERIMENT.build(config)


def our_autoencoder() -> Ours:
    """Returns the autoencoder of `experiments.autoencoder`, 784-500-500-16 and back, on grey digits."""
    return training(autoencoder.EXPERIMENT.build(autoencoder.Config()).objective, AUTOENCODER_BATCH, digits("none"))


def our_info_vae() -> Ours:
    """Returns the InfoVAE 784-400-20 and back, with the MMD in place of the KL."""
    kernel = gx.rational_quadratic_kernel(math.sqrt(VAE_LATENT))
    return training(gx.info_vae(model_of_images(VAE_LATENT, (VAE_HIDDEN,)), kernel), VAE_BATCH)


def our_mixture(fit: str) -> Ours:
    """Returns a mixture on a spiral: eight Gaussians, or the infinite mixture 1-64-64-3 by 1,000 draws of its prior."""
    config = infinite_mixture.Config(fit=fit)
    return training(infinite_mixture.EXPERIMENT.build(config).objective, config.training.batch_size, points("spiral"))


def points(name: str) -> Prepared:
    """Returns points in the plane, with their stored values."""
    dataset = gx.load(name)
    return gx.prepare(dataset, binarise="none", range=dataset.range)


# PyTorch's side


def torch_vae(
    binarise: str, compile_with: CompileWith, batch_size: int = VAE_BATCH, *, fused: bool | None = True
) -> Run:
    """Returns PyTorch's side of `our_vae`."""
    import torch
    from torch import nn

    loss, parameters = torch_latent_variable_loss((VAE_HIDDEN,), VAE_LATENT, nn.ReLU, None)
    return torch_training(
        [(loss, parameters)],
        compile_with,
        batch_size,
        torch_digits(binarise),
        prepare=torch.bernoulli if binarise == "dynamic" else None,
        fused=fused,
    )


def torch_iwae(k: int, compile_with: CompileWith, batch_size: int = IWAE_BATCH) -> Run:
    """Returns PyTorch's side of `our_iwae`."""
    from torch import nn

    loss, parameters = torch_latent_variable_loss((IWAE_HIDDEN, IWAE_HIDDEN), IWAE_LATENT, nn.Tanh, k)
    return torch_training([(loss, parameters)], compile_with, batch_size)


def torch_latent_variable_loss(hidden: Sequence[int], latent: int, activation: Callable, k: int | None):
    """Returns -L_k (for `k=None`, -ELBO from one sample with a closed KL), and the parameters."""
    import torch
    from torch import nn
    from torch.nn import functional

    encoder = torch_layers(PIXELS, *hidden, activation=activation)
    mean_of, raw_scale_of = (nn.Linear(hidden[-1], latent) for _ in range(2))
    generator = torch_mlp(latent, *reversed(hidden), PIXELS, activation=activation)
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


def torch_autoencoder(compile_with: CompileWith) -> Run:
    """Returns PyTorch's side of `our_autoencoder`."""
    return torch_training([torch_reconstruction()], compile_with, AUTOENCODER_BATCH, torch_digits("none"))


def torch_reconstruction():
    """Returns the squared error, and the parameters."""
    from torch import nn

    latent, hidden = autoencoder.Config().latent, autoencoder.Config().networks.hidden
    encoder = torch_mlp(PIXELS, *hidden, latent, activation=nn.ReLU)
    generator = torch_mlp(latent, *reversed(hidden), PIXELS, activation=nn.ReLU)

    def loss(x):
        return ((x - generator(encoder(x))) ** 2).sum(-1).mean()

    return loss, [*encoder.parameters(), *generator.parameters()]


def torch_info_vae(compile_with: CompileWith) -> Run:
    """Returns PyTorch's side of `our_info_vae`."""
    return torch_training([torch_info_vae_loss()], compile_with, VAE_BATCH)


def torch_info_vae_loss():
    """Returns the negative reconstruction term plus the weighted MMD, and the parameters."""
    import torch
    from torch import nn
    from torch.nn import functional

    encoder = torch_layers(PIXELS, VAE_HIDDEN, activation=nn.ReLU)
    mean_of, raw_scale_of = (nn.Linear(VAE_HIDDEN, VAE_LATENT) for _ in range(2))
    generator = torch_mlp(VAE_LATENT, VAE_HIDDEN, PIXELS, activation=nn.ReLU)

    def mean_kernel(a, b, *, independent: bool):
        squared = ((a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T).clamp(min=0)
        kernel = 1 / (1 + squared / (2 * VAE_LATENT))
        return kernel.mean() if independent else (kernel.sum() - kernel.diagonal().sum()) / (len(a) * (len(a) - 1))

    def loss(x):
        h = encoder(x)
        mean, scale = mean_of(h), functional.softplus(raw_scale_of(h)) + 1e-4
        logits = generator(mean + scale * torch.randn_like(mean))
        cross_entropy = functional.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1).mean()
        z, prior = mean + scale * torch.randn_like(mean), torch.randn_like(mean)
        squared = mean_kernel(z, z, independent=False) + mean_kernel(prior, prior, independent=False)
        return cross_entropy + 1_000 * (squared - 2 * mean_kernel(z, prior, independent=True))

    networks = (encoder, mean_of, raw_scale_of, generator)
    return loss, [parameter for network in networks for parameter in network.parameters()]


def torch_mixture(fit: str, compile_with: CompileWith) -> Run:
    """Returns PyTorch's side of `our_mixture`."""
    import torch

    player = torch_finite_mixture() if fit == "finite_mixture" else torch_infinite_mixture()
    x = torch.tensor(np.asarray(points("spiral").train.x))
    return torch_training([player], compile_with, infinite_mixture.Config().training.batch_size, x)


def torch_finite_mixture():
    """Returns the negative log-likelihood of eight Gaussians in the plane, and the parameters."""
    import torch
    from torch.nn import functional

    count = infinite_mixture.Config().components
    logits, mean = torch.zeros(count, requires_grad=True), torch.randn(count, 2, requires_grad=True)
    raw_factor = (0.53 * torch.eye(2)).repeat(count, 1, 1).requires_grad_()

    def loss(x):
        factor = torch.where(torch.eye(2, dtype=torch.bool), functional.softplus(raw_factor) + 0.01, raw_factor).tril()
        standardised = torch.linalg.solve_triangular(factor, (x[:, None] - mean).permute(1, 2, 0), upper=False)
        log_scale = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        each = -0.5 * (standardised**2).sum(-2) + (functional.log_softmax(logits, 0) - log_scale)[:, None]
        return math.log(2 * math.pi) - torch.logsumexp(each, dim=0).mean()

    return loss, [logits, mean, raw_factor]


def torch_infinite_mixture():
    """Returns the negative log-likelihood, estimated from 1,000 draws of the prior, and the generator's parameters."""
    import torch
    from torch import nn
    from torch.nn import functional

    config = infinite_mixture.Config()
    features = torch_layers(config.latent, *config.hidden, activation=nn.Tanh)
    mean_of, raw_scale_of = nn.Linear(config.hidden[-1], 2), nn.Linear(config.hidden[-1], 1)

    def loss(x):
        h = features(torch.randn(config.num_samples, config.latent))
        mean, scale = mean_of(h), functional.softplus(raw_scale_of(h)) + 1e-4
        distance = sum(((x[:, i] - mean[:, i, None]) / scale) ** 2 for i in range(2))
        each = -0.5 * distance - 2 * scale.log() - math.log(2 * math.pi)
        return math.log(len(h)) - torch.logsumexp(each, dim=0).mean()

    return loss, [*features.parameters(), *mean_of.parameters(), *raw_scale_of.parameters()]


# Operations by hand


def autoencoding(rows: float, samples: int, hidden: Sequence[int], latent: int) -> float:
    """Returns the operations of an encoder on `rows` examples, and of a generator on `samples` latents of each."""
    encoder = dense(rows, PIXELS, *hidden, 2 * latent, of_data=True)
    return encoder + dense(rows * samples, latent, *reversed(hidden), PIXELS)
