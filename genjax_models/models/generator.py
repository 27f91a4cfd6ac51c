"""The model with a generator and no encoder: p(x) = E_{z ~ p(z)} p(x | z), an infinite mixture."""

from collections.abc import Callable
from typing import NamedTuple

import distrax
import flax.linen as nn
import jax.numpy as jnp

from genjax_models.models.families import Family
from genjax_models.models.latent_variable import LatentVariableModel, standard_normal
from genjax_models.models.learning import Learning, apply_in_learning, dropout_key, has_state
from genjax_models.networks.outputs import Emitted
from genjax_models.types import Array, Batch, PRNGKey, Variables


class GeneratorModel(NamedTuple):
    """Pure functions of the model's variables: a `LatentVariableModel` without `posterior`.

    A function that takes a `GeneratorModel` takes a `LatentVariableModel` as well: the parts have the same names and
    arguments.

    Attributes:
      init: (key, batch) -> variables.
      prior: (variables, label=None) -> p(z); the label is ignored.
      likelihood: (variables, z, label=None) -> p(x | z), for z with any leading axes.
      learning: (variables, key, batch) -> prior and likelihood in learning mode (`models.learning`). None if the
        network has neither dropout nor batch statistics.
      has_mean: whether p(x | z) has a mean.
    """

    init: Callable[[PRNGKey, Batch], Variables]
    prior: Callable[..., distrax.Distribution]
    likelihood: Callable[..., distrax.Distribution]
    learning: Callable[[Variables, PRNGKey, Batch], Learning] | None = None
    has_mean: bool = True

    generate = LatentVariableModel.generate
    shown = LatentVariableModel.shown
    sample = LatentVariableModel.sample


def generator_model(generator: nn.Module, likelihood: Family, latent: int) -> GeneratorModel:
    """Wires a network z `[..., latent]` -> `likelihood.outputs` and its family, under a standard normal prior.

    The variables have only the params of a "generator", at the same place as in `latent_variable_model`, so that this
    model also takes the variables of a latent-variable model.
    """
    network = _Generator(generator)

    def learning(variables: Variables, key: PRNGKey, batch: Batch) -> Learning:
        learn = lambda z: apply_in_learning(network, variables, dropout_key(key), z)
        return Learning(
            posterior=None,
            prior=standard_normal(latent),
            likelihood=lambda z: likelihood.distribution(learn(z)[0]),
            moved=lambda z: learn(z)[1] if has_state(variables) else variables,
            chunked=not has_state(variables),
        )

    return GeneratorModel(
        init=lambda key, batch: network.init(key, jnp.zeros((1, latent))),
        prior=lambda variables, label=None: standard_normal(latent),
        likelihood=lambda variables, z, label=None: likelihood.distribution(network.apply(variables, z)),
        learning=learning,
    )


class _Generator(nn.Module):
    """Gives the generator its name in the tree of variables."""

    generator: nn.Module

    def __call__(self, z: Array) -> Emitted:
        return self.generator(z)
