"""The deterministic autoencoder: z = f(x), and g(z) close to x, without a word on p(z) (1.3.1)."""

from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp

from genjax_models.networks.pair import EncoderGenerator
from genjax_models.types import Array, Batch, PRNGKey, Variables


class AutoencoderModel(NamedTuple):
    """Pure functions of variables whose params are those of an "encoder" f and a "generator" g.

    `encode(variables, x)` `[..., *shape]` -> z `[..., latent]`, `generate(variables, z)` back; z has `latent` numbers.
    """

    latent: int
    init: Callable[[PRNGKey, Batch], Variables]
    encode: Callable[[Variables, Array], Array]
    generate: Callable[[Variables, Array], Array]


def autoencoder_model(encoder: nn.Module, generator: nn.Module, latent: int) -> AutoencoderModel:
    """Wires an encoder that emits z `[..., latent]` and a generator that emits x."""
    pair = EncoderGenerator(encoder, generator)
    return AutoencoderModel(
        latent=latent,
        init=lambda key, batch: pair.init(key, batch.x[:1], jnp.zeros((1, latent))),
        encode=lambda variables, x: pair.apply(variables, x, method="encode"),
        generate=lambda variables, z: pair.apply(variables, z, method="generate"),
    )
