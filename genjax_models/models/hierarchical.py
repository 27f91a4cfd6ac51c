"""Latent-variable models with several stochastic layers: Burda, Grosse and Salakhutdinov, 2015, section 5.

    p(x, z) = p(z_L) p(z_{L-1} | z_L) ... p(z_1 | z_2) p(x | z_1)
    q(z | x) = q(z_1 | x) q(z_2 | z_1) ... q(z_L | z_{L-1})

z is the tuple (z_1, ..., z_L), z_1 nearest to the data.
"""

from collections.abc import Sequence
from functools import partial

import distrax
import flax.linen as nn
import jax.numpy as jnp

from genjax_models.estimators.distributions import Chain
from genjax_models.models.families import Family
from genjax_models.models.latent_variable import Latent, LatentVariableModel, condition, standard_normal
from genjax_models.networks.pair import Layers
from genjax_models.types import Array, Batch, PRNGKey, Variables


def hierarchical_model(
    encoders: Sequence[nn.Module],
    posteriors: Sequence[Family],
    generators: Sequence[nn.Module],
    likelihoods: Sequence[Family],
    *,
    classes: int | None = None,
) -> LatentVariableModel:
    """Wires L encoders and L generators, listed from the data up, under a standard normal prior of z_L.

    Neither q nor p over all of z has a closed KL: the `elbo` wants form="monte_carlo".

    Args:
      encoders: `encoders[l]` reads z_l (x for l = 0) and emits `posteriors[l].outputs`.
      posteriors: families of q(z_{l+1} | z_l), over vectors.
      generators: `generators[l]` reads z_{l+1} and emits `likelihoods[l].outputs`.
      likelihoods: families of p(z_l | z_{l+1}); the first is of p(x | z_1).
      classes: their number, for a conditional model; every network sees the class.

    Raises:
      ValueError: not as many of each, or p and q disagree on the size of a layer.
    """
    counts = [len(each) for each in (encoders, posteriors, generators, likelihoods)]
    if len(set(counts)) > 1 or not counts[0]:
        raise ValueError(f"each layer has an encoder, a posterior, a generator and a likelihood, got {counts} of them")
    sizes = [posterior.event_shape for posterior in posteriors]
    if sizes[:-1] != [likelihood.event_shape for likelihood in likelihoods[1:]]:
        below = [likelihood.event_shape for likelihood in likelihoods[1:]]
        raise ValueError(f"q has layers of {sizes[:-1]} numbers below the last, p has {below}")
    layers = Layers(tuple(encoders), tuple(generators))

    def init(key: PRNGKey, batch: Batch) -> Variables:
        z = tuple(jnp.zeros((1, *size)) for size in sizes)
        return layers.init(key, batch.x[:1], z, *condition(classes, jnp.zeros(1, jnp.int32)))

    def q(variables: Variables, label: Array | None, layer: int, below: Array) -> distrax.Distribution:
        emitted = layers.apply(variables, layer, below, *condition(classes, label), method="encode")
        return posteriors[layer].distribution(emitted)

    def p(variables: Variables, label: Array | None, layer: int, above: Array) -> distrax.Distribution:
        emitted = layers.apply(variables, layer, above, *condition(classes, label), method="generate")
        return likelihoods[layer].distribution(emitted)

    def posterior(variables: Variables, x: Array, label: Array | None = None) -> Chain:
        up = [partial(q, variables, label, layer) for layer in range(1, len(sizes))]
        return Chain(q(variables, label, 0, x), up)

    def prior(variables: Variables, label: Array | None = None) -> Chain:
        down = [partial(p, variables, label, layer) for layer in range(len(sizes) - 1, 0, -1)]
        return Chain(standard_normal(*sizes[-1]), down, downwards=True)

    def likelihood(variables: Variables, z: Latent, label: Array | None = None) -> distrax.Distribution:
        return p(variables, label, 0, z[0])

    return LatentVariableModel(init, posterior, prior, likelihood)
