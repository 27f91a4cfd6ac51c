"""Both sides of the benchmark of judging that need a model: NLL(k), and annealed importance sampling.

The model is the one of `experiments.iwae` with one stochastic layer: 784-200-200-50 and back, tanh, Bernoulli pixels.
PyTorch's side is written by hand, with the same weights.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import genjax_models as gx
from experiments.benchmarks.likelihoods import IWAE_LATENT, iwae_system
from experiments.benchmarks.sides import PIXELS, CompileWith, digits

if TYPE_CHECKING:
    from genjax_models.models import LatentVariableModel
    from genjax_models.types import Array, Variables

NLL_SAMPLES, NLL_IMAGES = 5_000, 20
ANNEALED_IMAGES, CHAINS, TEMPERATURES, LEAPFROG, STEP = 50, 16, 20, 5, 0.1
ROWS = 1_000  # latent samples of all images that a network of PyTorch sees at a time

Layers = list[tuple[Any, Any]]  # (weights [in, out], bias) in the order of `Judged.layers`


class Judged(NamedTuple):
    """A model with variables, its layers (two of the encoder, mean, raw scale, three of the generator), and images."""

    model: LatentVariableModel
    variables: Variables
    layers: Layers
    x: Array


def judged(images: int) -> Judged:
    """Returns the model with new weights, and binary test images `[images, 28, 28, 1]`."""
    import jax
    import jax.numpy as jnp

    system, data = iwae_system(50), digits()
    (variables,) = system.objective.init(jax.random.key(0), data.example).values()
    encoder, generator = (variables["params"][name] for name in ("encoder", "generator"))
    named = [encoder["MLP_0"]["Dense_0"], encoder["MLP_0"]["Dense_1"], encoder["mean"], encoder["raw_scale"]]
    named += [generator["MLP_0"]["Dense_0"], generator["MLP_0"]["Dense_1"], generator["logits"]]
    layers = [(layer["kernel"], layer["bias"]) for layer in named]
    return Judged(system.model, variables, layers, jnp.asarray(data.test.x[:images], jnp.float32))


def our_nll(setting: Judged, num_samples: int = NLL_SAMPLES) -> Callable[[], Any]:
    """Returns NLL(k) of all images with the effective sample sizes and k-hat, as one compiled call."""
    import jax

    nll = lambda variables, x: gx.negative_log_likelihood(
        setting.model, variables, jax.random.key(0), x, num_samples=num_samples
    )
    return functools.partial(jax.jit(nll), setting.variables, setting.x)


def our_nll_alone(setting: Judged) -> Callable[[], Any]:
    """Returns NLL(k) without diagnostics; compiled code computes only what it returns."""
    import jax

    nll = lambda variables, x: gx.negative_log_likelihood(setting.model, variables, jax.random.key(0), x)
    return functools.partial(jax.jit(lambda *a: nll(*a)["negative_log_likelihood"]), setting.variables, setting.x)


def products(setting: Judged) -> Callable[[], Any]:
    """Returns only the matrix products of NLL(k), on blocks of the same size: no draws, activations or densities."""
    import jax
    import jax.numpy as jnp

    (first, _), (second, _), (last, _) = setting.layers[4:]
    z = jax.random.normal(jax.random.key(0), (ROWS, len(first)))

    def block(scale: Array) -> Array:
        return jnp.sum((scale * z) @ first @ second @ last, axis=-1)

    scales = jnp.linspace(1, 2, NLL_SAMPLES * len(setting.x) // ROWS)
    return functools.partial(jax.jit(lambda scales: jax.lax.map(block, scales)), scales)


def our_annealing(setting: Judged) -> Callable[[], Any]:
    """Returns the log-weights of chains from the encoder, `[chains, images]`."""
    import jax

    from genjax_models.estimators.annealing import annealed_importance_sampling
    from genjax_models.estimators.annealing_path import linear_schedule

    def anneal(variables: Variables, x: Array) -> Array:
        likelihood = functools.partial(setting.model.likelihood, variables)
        chains = annealed_importance_sampling(
            jax.random.key(0), x, setting.model.prior(variables), likelihood, num_chains=CHAINS,
            schedule=linear_schedule(TEMPERATURES), step_size=STEP, num_leapfrog=LEAPFROG,
            initial=setting.model.posterior(variables, x),
        )  # fmt: skip
        return chains.log_weights

    return functools.partial(jax.jit(anneal), setting.variables, setting.x)


# PyTorch's side


class TorchModel(NamedTuple):
    """Functions of tensors: x `[n, 784]` -> mean and scale of q; z `[k, n, 50]` -> logits; and log p(x | z)."""

    posterior: Callable
    log_likelihood: Callable


def torch_model(layers: Layers) -> TorchModel:
    """Returns the model with our weights."""
    import torch
    from torch.nn import functional

    weights = [tuple(torch.tensor(np.asarray(part)) for part in layer) for layer in layers]
    linear = lambda h, i: torch.addmm(weights[i][1], h.reshape(-1, h.shape[-1]), weights[i][0])

    def posterior(x):
        h = torch.tanh(linear(torch.tanh(linear(x, 0)), 1))
        return linear(h, 2), functional.softplus(linear(h, 3)) + 1e-4

    def log_likelihood(x, z):
        logits = linear(torch.tanh(linear(torch.tanh(linear(z, 4)), 5)), 6).reshape(*z.shape[:-1], PIXELS)
        cross_entropy = functional.binary_cross_entropy_with_logits(logits, x.expand_as(logits), reduction="none")
        return -cross_entropy.sum(-1)

    return TorchModel(posterior, log_likelihood)


def torch_nll(
    setting: Judged, compile_with: CompileWith, num_samples: int = NLL_SAMPLES, noise: Any = None
) -> Callable[[], Any]:
    """Returns PyTorch's NLL(k), `[images]`, of `noise` `[k, images, 50]` or of new draws."""
    import torch

    model, x = torch_model(setting.layers), torch.tensor(np.asarray(setting.x).reshape(-1, PIXELS))

    def log_weights(x, mean, scale, noise):
        z = mean + scale * noise
        return model.log_likelihood(x, z) + (0.5 * (noise**2 - z**2) + scale.log()).sum(-1)

    log_weights = log_weights if compile_with is None else torch.compile(log_weights, **compile_with)
    k = ROWS // len(x)

    @torch.inference_mode()
    def nll():
        mean, scale = model.posterior(x)
        draw = lambda i: torch.randn(min(k, num_samples - i), *mean.shape) if noise is None else noise[i : i + k]
        weights = torch.cat([log_weights(x, mean, scale, draw(i)) for i in range(0, num_samples, k)])
        return math.log(num_samples) - torch.logsumexp(weights, dim=0)

    return nll


def torch_annealing(setting: Judged, compile_with: CompileWith) -> Callable[[], Any]:
    """Returns PyTorch's `our_annealing`, with other draws."""
    import torch

    model, x = torch_model(setting.layers), torch.tensor(np.asarray(setting.x).reshape(-1, PIXELS))
    mean, scale = model.posterior(x)
    normal = lambda z, mean, scale: (-0.5 * ((z - mean) / scale) ** 2 - scale.log()).sum(-1)
    betas = torch.linspace(0, 1, TEMPERATURES)

    def log_ratio(z):
        return model.log_likelihood(x, z) + normal(z, torch.zeros(()), torch.ones(())) - normal(z, mean, scale)

    def value_and_gradient(z, beta):
        def total(z):
            value = normal(z, mean, scale) + beta * log_ratio(z)
            return value.sum(), value

        gradient, value = torch.func.grad(total, has_aux=True)(z)
        return value, gradient

    if compile_with is not None:
        log_ratio, value_and_gradient = (
            torch.compile(function, **compile_with) for function in (log_ratio, value_and_gradient)
        )

    def transition(z, beta):
        momentum = torch.randn_like(z)
        start, gradient = value_and_gradient(z, beta)
        at, moving, value = z, momentum, start
        for _ in range(LEAPFROG):
            moving = moving + STEP / 2 * gradient
            at = at + STEP * moving
            value, gradient = value_and_gradient(at, beta)
            moving = moving + STEP / 2 * gradient
        change = value - start + ((momentum**2).sum(-1) - (moving**2).sum(-1)) / 2
        return torch.where((torch.rand_like(change).log() < change)[..., None], at, z)

    @torch.no_grad()
    def anneal():
        z = mean + scale * torch.randn(CHAINS, len(x), IWAE_LATENT)
        log_weights = torch.zeros(CHAINS, len(x))
        for before, beta in pairwise(betas):
            log_weights = log_weights + (beta - before) * log_ratio(z)
            z = transition(z, beta)
        return log_weights

    return anneal


def assert_same_nll(setting: Judged) -> str:
    """Compares NLL(100) of the same draws on both sides, and returns the largest difference.

    Raises:
      ArithmeticError: an image differs by more than 1e-3 nats.
    """
    import jax
    import torch
    from jax.random import fold_in

    ours = our_nll(setting, 100)()["negative_log_likelihood"]
    keys = [fold_in(fold_in(jax.random.key(0), i), 0) for i in range(len(setting.x))]
    noise = np.concatenate([np.asarray(jax.random.normal(key, (100, 1, IWAE_LATENT))) for key in keys], axis=1)
    theirs = torch_nll(setting, None, 100, torch.tensor(noise))()
    difference = float(np.abs(np.asarray(ours) - theirs.numpy()).max())
    if not difference < 1e-3:
        raise ArithmeticError(f"NLL(100) of the same draws must agree to 1e-3 nats, got a difference of {difference}")
    return f"NLL(100) of the same draws: within {difference:.1e} nats"


def assert_same_bounds(setting: Judged, sides: Sequence[Callable[[], Any]]) -> str:
    """Compares the mean bounds of all sides, whose draws differ, and returns the differences in standard errors.

    Raises:
      ArithmeticError: the mean difference over images is more than 5 of its standard errors.
    """
    bounds = [np.logaddexp.reduce(np.asarray(side(), np.float64), axis=0) - math.log(CHAINS) for side in sides]
    differences = [theirs - bounds[0] for theirs in bounds[1:]]
    errors = [d.mean() / (d.std(ddof=1) / math.sqrt(len(d))) for d in differences]
    if not all(abs(error) < 5 for error in errors):
        raise ArithmeticError(f"mean bounds must agree to 5 standard errors, got differences of {errors}")
    return f"mean bounds {bounds[0].mean():.2f}, differences of " + ", ".join(
        f"{e:.1f} standard errors" for e in errors
    )
