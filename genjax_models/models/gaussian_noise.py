"""Gaussian noise on a generator's output, x = g(z) + sigma eps, and the density that it gives (20.10.4).

Without it p(x) lies on a manifold of no more dimensions than z has, and is no density at all. With it

    p(x | z) = N(x; g(z), sigma^2 I),      p(x) = E_{z ~ p(z)} p(x | z),

so that an implicit model can be asked for likelihoods like any other.
"""

import math

import distrax
import jax
import jax.numpy as jnp

from genjax_models.models.generator import GeneratorModel
from genjax_models.models.implicit import ImplicitModel, Noise
from genjax_models.models.latent_variable import standard_normal
from genjax_models.models.likelihoods import gaussian
from genjax_models.types import Array, Variables


def with_gaussian_noise(model: ImplicitModel, scale: float | Array, *, noise: Noise = "normal") -> GeneratorModel:
    """The model with N(0, scale^2 I) added to what it generates: it draws from, and has, a density.

    Args:
      model: x = g(z), of the same variables; batch normalisation is by running averages.
      scale: sigma, in the units of x.
      noise: the distribution of z that the model was made with.

    Returns:
      What asks for a `GeneratorModel` takes it: quadrature, annealing, importance sampling from the prior. A
      conditional one wants a label in `likelihood`, and in `sample`.

    Raises:
      ValueError: a scale that is not positive and finite (not checked where it is traced).
    """
    known = not isinstance(scale, jax.core.Tracer)
    if known and (isinstance(scale, str | bool) or not 0 < scale < math.inf):
        raise ValueError(f"the scale of noise on an output must be positive and finite, got {scale!r}")

    def prior(variables: Variables, label: Array | None = None) -> distrax.Distribution:
        if noise == "normal":
            return standard_normal(model.latent)
        edge = jnp.ones(model.latent)
        return distrax.Independent(distrax.Uniform(-edge, edge), 1)

    def likelihood(variables: Variables, z: Array, label: Array | None = None) -> distrax.Distribution:
        mean = model.generate(variables, z, label)
        return gaussian(mean.shape[z.ndim - 1 :], scale).distribution({"mean": mean})

    return GeneratorModel(model.init, prior, likelihood)
