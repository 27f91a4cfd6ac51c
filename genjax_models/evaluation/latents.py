"""What the latent variables are used for."""

from typing import NamedTuple

import distrax
import jax
import jax.numpy as jnp

from genjax_models.evaluation.examples import map_examples
from genjax_models.models.latent_variable import LatentVariableModel
from genjax_models.types import Array, Variables

# A unit is active if the variance over data of its posterior mean is above this (Burda et al., 2015, section 5.1).
ACTIVITY_THRESHOLD = 0.01


class LatentUsage(NamedTuple):
    """How the latent dimensions are used over a set of n examples.

    `means` `[n, latent]` E_q[z | x]; `activity` `[latent]` their variance over data; `active` `[latent]` booleans;
    `kl_by_dimension` `[latent]` nats, mean over data, or None where q or p does not factorise.
    """

    means: Array
    activity: Array
    active: Array
    kl_by_dimension: Array | None


def latent_usage(model: LatentVariableModel, variables: Variables, x: Array, *, batch_size: int = 500) -> LatentUsage:
    """Posterior means, active units and KL by dimension over `x` `[n, *shape]`; nothing is drawn."""
    prior = model.prior(variables)

    def one(_, x: Array) -> tuple[Array, Array | None]:
        posterior = model.posterior(variables, x[None])
        return posterior.mean()[0], _kl_by_dimension(posterior, prior)

    means, kl = map_examples(one, jax.random.key(0), x, batch_size=batch_size)
    activity = jnp.var(means, axis=0)
    return LatentUsage(means, activity, activity > ACTIVITY_THRESHOLD, None if kl is None else jnp.mean(kl, axis=0))


def _kl_by_dimension(posterior: distrax.Distribution, prior: distrax.Distribution) -> Array | None:
    """KL of each dimension `[latent]` of a batch of one, where both are products over dimensions."""
    if not all(isinstance(p, distrax.Independent) and len(p.event_shape) == 1 for p in (posterior, prior)):
        return None
    return posterior.distribution.kl_divergence(prior.distribution)[0]
