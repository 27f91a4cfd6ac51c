"""The generator alone: p(x) = E_{z ~ p(z)} p(x | z), an infinite mixture, without an encoder."""

from collections.abc import Callable
from typing import NamedTuple

import distrax
import flax.linen as nn
import jax.numpy as jnp

from genjax_models.models.families import Family
from genjax_models.models.latent_variable import LatentVariableModel, standard_normal
from genjax_models.networks.outputs import Emitted
from genjax_models.types import Array, Batch, PRNGKey, Variables


class GeneratorModel(NamedTuple):
    """Pure functions of the model's variables: what `LatentVariableModel` is without `posterior`.

    `prior(variables)` is p(z), `likelihood(variables, z)` p(x | z) for z with any leading axes; neither reads a label.
    What asks for a `GeneratorModel` takes a `LatentVariableModel` as well: the parts have the same names and arguments.
    """

    init: Callable[[PRNGKey, Batch], Variables]
    prior: Callable[..., distrax.Distribution]
    likelihood: Callable[..., distrax.Distribution]

    generate = LatentVariableModel.generate
    sample = LatentVariableModel.sample


def generator_model(generator: nn.Module, likelihood: Family, latent: int) -> GeneratorModel:
    """Wires a network z `[..., latent]` -> `likelihood.outputs` and its family, under a standard normal prior.

    The variables have the params of a "generator" alone. They lie where `latent_variable_model` has its own, so that
    this model reads the variables of that one.
    """
    network = _Generator(generator)
    return GeneratorModel(
        init=lambda key, batch: network.init(key, jnp.zeros((1, latent))),
        prior=lambda variables, label=None: standard_normal(latent),
        likelihood=lambda variables, z, label=None: likelihood.distribution(network.apply(variables, z)),
    )


class _Generator(nn.Module):
    """Gives the generator its name in the tree of variables."""

    generator: nn.Module

    def __call__(self, z: Array) -> Emitted:
        return self.generator(z)
