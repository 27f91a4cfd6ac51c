"""The latent-variable model p(x, z) = p(z) p(x | z) with an encoder q(z | x), or both given a class."""

from collections.abc import Callable
from typing import Any, NamedTuple

import distrax
import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax_models.estimators.distributions import diagonal_normal
from genjax_models.models.families import Family
from genjax_models.networks.pair import EncoderGenerator
from genjax_models.types import Array, Batch, PRNGKey, Variables

Latent = Any  # z, a pytree of arrays: one array, or one for each stochastic layer


class LatentVariableModel(NamedTuple):
    """Pure functions of the model's variables.

    `posterior(variables, x, label=None)` is q(z | x), `prior(variables, label=None)` p(z) and
    `likelihood(variables, z, label=None)` p(x | z), for z with any leading axes. A conditional model wants a `label`
    `[batch]` in all of them; others read none.
    """

    init: Callable[[PRNGKey, Batch], Variables]
    posterior: Callable[..., distrax.Distribution]
    prior: Callable[..., distrax.Distribution]
    likelihood: Callable[..., distrax.Distribution]

    def generate(self, variables: Variables, z: Latent, label: Array | None = None) -> Array:
        """g(z) = E[x | z], `[..., *shape]`."""
        return self.likelihood(variables, z, label).mean()

    def sample(
        self, variables: Variables, key: PRNGKey, n: int, *, label: Array | None = None, mean: bool = False
    ) -> Array:
        """n draws, `[n, *shape]`: z from the prior, then x from p(x | z), or E[x | z] of the same z with `mean`.

        Args:
          variables: of the model.
          key: of z and x.
          n: how many.
          label: `[n]`, or one for all; of a conditional model.
          mean: whether to return E[x | z].
        """
        latent_key, data_key = jax.random.split(key)
        z = self.prior(variables, label).sample(seed=latent_key, sample_shape=n)
        likelihood = self.likelihood(variables, z, label)
        return likelihood.mean() if mean else likelihood.sample(seed=data_key)


def latent_variable_model(
    encoder: nn.Module, posterior: Family, generator: nn.Module, likelihood: Family, *, classes: int | None = None
) -> LatentVariableModel:
    """Wires two networks and the families whose parameters they emit, under a standard normal prior.

    Args:
      encoder: x `[..., *shape]` -> `posterior.outputs`.
      posterior: the family of q(z | x), over vectors.
      generator: z `[..., latent]` -> `likelihood.outputs`.
      likelihood: the family of p(x | z).
      classes: their number, for a conditional VAE (Sohn, Lee and Yan, 2015): q(z | x, label) and p(x | z, label), whose
        networks see the class as `[..., classes]` zeros and a one.

    Returns:
      A model whose variables have the params of an "encoder" and a "generator".
    """
    (latent,) = posterior.event_shape
    pair = EncoderGenerator(encoder, generator)

    def init(key: PRNGKey, batch: Batch) -> Variables:
        return pair.init(key, batch.x[:1], jnp.zeros((1, latent)), *condition(classes, jnp.zeros(1, jnp.int32)))

    def encode(variables: Variables, x: Array, label: Array | None = None) -> distrax.Distribution:
        return posterior.distribution(pair.apply(variables, x, *condition(classes, label), method="encode"))

    def generate(variables: Variables, z: Array, label: Array | None = None) -> distrax.Distribution:
        return likelihood.distribution(pair.apply(variables, z, *condition(classes, label), method="generate"))

    def prior(variables: Variables, label: Array | None = None) -> distrax.Distribution:
        return standard_normal(latent)

    return LatentVariableModel(init, encode, prior, generate)


def standard_normal(latent: int) -> distrax.Independent:
    """N(0, I) over vectors of `latent` numbers."""
    return diagonal_normal(jnp.zeros(latent), jnp.ones(latent))


def condition(classes: int | None, label: Array | None) -> tuple[Array, ...]:
    """What the networks of a model see beside x or z: the label `[...]` as `[..., classes]`, or nothing.

    Raises:
      ValueError: a conditional model without a label.
    """
    if classes is None:
        return ()
    if label is None:
        raise ValueError(f"the model is conditional on one of {classes} classes: it wants a label for each example")
    return (jax.nn.one_hot(label, classes),)
