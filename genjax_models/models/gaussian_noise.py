"""Gaussian noise on a generator's output, x = g(z) + sigma eps, and the density of its x (20.10.4).

Without noise p(x) lies on a manifold of at most as many dimensions as z has, and is no density at all. With noise

    p(x | z) = N(x; g(z), sigma^2 I),      p(x) = E_{z ~ p(z)} p(x | z),

so that the likelihood of an implicit model can be estimated.
"""

import math

import distrax
import jax.numpy as jnp

from genjax_models.models.generator import GeneratorModel
from genjax_models.models.implicit import ImplicitModel, Noise
from genjax_models.models.latent_variable import standard_normal
from genjax_models.models.learning import Learning, has_state
from genjax_models.models.likelihoods import gaussian
from genjax_models.types import Array, Batch, PRNGKey, Tracer, Variables


def with_gaussian_noise(model: ImplicitModel, scale: float | Array, *, noise: Noise = "normal") -> GeneratorModel:
    """Returns the model with N(0, scale^2 I) added to its samples, and so with a density.

    Args:
      model: x = g(z), with the same variables.
      scale: sigma, in the units of x.
      noise: distribution of z that the model was made with.

    Returns:
      A `GeneratorModel`, for quadrature, annealing and importance sampling from the prior. If the model is conditional,
      `likelihood` and `sample` need a label.

    Raises:
      ValueError: a scale that is not positive and finite; a traced scale is not checked.
    """
    known = not isinstance(scale, Tracer)
    if known and (isinstance(scale, str | bool) or not 0 < scale < math.inf):
        raise ValueError(f"the scale of noise on an output must be positive and finite, got {scale!r}")

    def prior(variables: Variables, label: Array | None = None) -> distrax.Distribution:
        if noise == "normal":
            return standard_normal(model.latent)
        edge = jnp.ones(model.latent)
        return distrax.Independent(distrax.Uniform(-edge, edge), 1)

    def about(mean: Array, z: Array) -> distrax.Distribution:
        return gaussian(mean.shape[z.ndim - 1 :], scale).distribution({"mean": mean})

    def likelihood(variables: Variables, z: Array, label: Array | None = None) -> distrax.Distribution:
        return about(model.generate(variables, z, label), z)

    def learning(variables: Variables, key: PRNGKey, batch: Batch) -> Learning:
        learn = lambda z: model.generate_in_learning(variables, key, z, batch.label)
        return Learning(
            posterior=None,
            prior=prior(variables),
            likelihood=lambda z: about(learn(z)[0], z),
            moved=lambda z: learn(z)[1] if has_state(variables) else variables,
            chunked=not has_state(variables),
        )

    return GeneratorModel(model.init, prior, likelihood, learning)
