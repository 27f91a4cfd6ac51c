"""The deterministic autoencoder: z = f(x), and g(z) close to x, without a distribution of z (1.3.1)."""

from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp

from genjax_models.models.learning import apply_in_learning
from genjax_models.networks.pair import EncoderGenerator
from genjax_models.types import Array, Batch, PRNGKey, Variables


class AutoencoderModel(NamedTuple):
    """Pure functions of variables with the params of an "encoder" f and a "generator" g.

    Attributes:
      latent: dimensions of z.
      init: (key, batch) -> variables.
      encode: (variables, x) -> f(x), `[..., *shape]` -> `[..., latent]`, for judging.
      generate: (variables, z) -> g(z), for judging.
      reconstruct: (variables, key, x) -> g(f(x)) in learning mode (`models.learning`), and the variables as they
        moved.
    """

    latent: int
    init: Callable[[PRNGKey, Batch], Variables]
    encode: Callable[[Variables, Array], Array]
    generate: Callable[[Variables, Array], Array]
    reconstruct: Callable[[Variables, PRNGKey, Array], tuple[Array, Variables]]


def autoencoder_model(encoder: nn.Module, generator: nn.Module, latent: int) -> AutoencoderModel:
    """Wires an encoder that emits z `[..., latent]` and a generator that emits x.

    Both may have dropout and batch normalisation, by the convention of `models.learning`.
    """
    pair = EncoderGenerator(encoder, generator)

    def reconstruct(variables: Variables, key: PRNGKey, x: Array) -> tuple[Array, Variables]:
        z, variables = apply_in_learning(pair, variables, key, x, method="encode")
        return apply_in_learning(pair, variables, key, z, method="generate")

    return AutoencoderModel(
        latent=latent,
        init=lambda key, batch: pair.init(key, batch.x[:1], jnp.zeros((1, latent))),
        encode=lambda variables, x: pair.apply(variables, x, method="encode"),
        generate=lambda variables, z: pair.apply(variables, z, method="generate"),
        reconstruct=reconstruct,
    )
