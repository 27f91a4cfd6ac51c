"""The deterministic autoencoder: z = f(x), and g(z) close to x, without a word on p(z) (1.3.1)."""

from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp

from genjax_models.networks.pair import EncoderGenerator
from genjax_models.types import Array, Batch, PRNGKey, Variables


class AutoencoderModel(NamedTuple):
    """Pure functions of variables whose params are those of an "encoder" f and a "generator" g.

    `encode(variables, x, key=None)` `[..., *shape]` -> z `[..., latent]`, `generate(variables, z)` back; z has `latent`
    numbers. The key, of dropout, is for learning.
    """

    latent: int
    init: Callable[[PRNGKey, Batch], Variables]
    encode: Callable[..., Array]
    generate: Callable[[Variables, Array], Array]


def autoencoder_model(encoder: nn.Module, generator: nn.Module, latent: int) -> AutoencoderModel:
    """Wires an encoder that emits z `[..., latent]` and a generator that emits x."""
    pair = EncoderGenerator(encoder, generator)

    def encode(variables: Variables, x: Array, key: PRNGKey | None = None) -> Array:
        return pair.apply(variables, x, method="encode", rngs=None if key is None else {"dropout": key})

    return AutoencoderModel(
        latent=latent,
        init=lambda key, batch: pair.init(key, batch.x[:1], jnp.zeros((1, latent))),
        encode=encode,
        generate=lambda variables, z: pair.apply(variables, z, method="generate"),
    )
