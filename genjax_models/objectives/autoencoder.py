"""The plain autoencoder, learned by its reconstruction error (1.3.1)."""

import jax
import jax.numpy as jnp

from genjax_models.models.autoencoder import AutoencoderModel
from genjax_models.types import Array, Aux, Objective


def autoencoder(model: AutoencoderModel) -> Objective:
    """One player, "autoencoder", that lowers |x - g(f(x))|^2: sum over dimensions, mean over the batch; f with dropout.

    `sample` decodes z ~ N(0, I). That is no draw from a learned p(x): nothing has asked the codes to look like
    N(0, I), and the pictures show it.
    """

    def loss(variables, key, batch, step):
        variables = variables["autoencoder"]
        reconstruction = model.generate(variables, model.encode(variables, batch.x, key))
        error = jnp.mean(squared_error(batch.x, reconstruction))
        return error, Aux({"squared_error": error})

    def sample(variables, key, n, *, label=None):
        return model.generate(variables["autoencoder"], jax.random.normal(key, (n, model.latent)))

    return Objective(lambda key, batch: {"autoencoder": model.init(key, batch)}, {"autoencoder": loss}, sample)


def squared_error(x: Array, reconstruction: Array) -> Array:
    """|x - reconstruction|^2 of each example: `[batch, ...]` twice -> `[batch]`."""
    return jnp.sum((x - reconstruction) ** 2, axis=range(1, x.ndim))
