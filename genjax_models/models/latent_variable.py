"""The latent-variable model p(x, z) = p(z) p(x | z) with an encoder q(z | x)."""

from collections.abc import Callable
from typing import NamedTuple

import distrax
import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax_models.estimators.distributions import diagonal_normal
from genjax_models.models.families import Family
from genjax_models.networks.pair import EncoderGenerator
from genjax_models.types import Array, Batch, PRNGKey, Variables


class LatentVariableModel(NamedTuple):
    """Pure functions of the model's variables, whose params are those of an "encoder" and a "generator".

    `posterior(variables, x)` is q(z | x), `prior(variables)` p(z), `likelihood(variables, z)` p(x | z) for z with any
    leading axes.
    """

    init: Callable[[PRNGKey, Batch], Variables]
    posterior: Callable[[Variables, Array], distrax.Distribution]
    prior: Callable[[Variables], distrax.Distribution]
    likelihood: Callable[[Variables, Array], distrax.Distribution]

    def generate(self, variables: Variables, z: Array) -> Array:
        """g(z) = E[x | z], `[..., *shape]`."""
        return self.likelihood(variables, z).mean()

    def sample(self, variables: Variables, key: PRNGKey, n: int, *, mean: bool = False) -> Array:
        """n draws, `[n, *shape]`: z from the prior, then x from p(x | z), or E[x | z] of the same z with `mean`."""
        latent_key, data_key = jax.random.split(key)
        z = self.prior(variables).sample(seed=latent_key, sample_shape=n)
        likelihood = self.likelihood(variables, z)
        return likelihood.mean() if mean else likelihood.sample(seed=data_key)


def latent_variable_model(
    encoder: nn.Module, posterior: Family, generator: nn.Module, likelihood: Family
) -> LatentVariableModel:
    """Wires two networks and the families whose parameters they emit, under a standard normal prior.

    Args:
      encoder: x `[..., *shape]` -> `posterior.outputs`.
      posterior: the family of q(z | x), over vectors.
      generator: z `[..., latent]` -> `likelihood.outputs`.
      likelihood: the family of p(x | z).
    """
    (latent,) = posterior.event_shape
    pair = EncoderGenerator(encoder, generator)
    return LatentVariableModel(
        init=lambda key, batch: pair.init(key, batch.x[:1], jnp.zeros((1, latent))),
        posterior=lambda variables, x: posterior.distribution(pair.apply(variables, x, method="encode")),
        prior=lambda variables: diagonal_normal(jnp.zeros(latent), jnp.ones(latent)),
        likelihood=lambda variables, z: likelihood.distribution(pair.apply(variables, z, method="generate")),
    )
