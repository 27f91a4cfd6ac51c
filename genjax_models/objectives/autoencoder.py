"""The plain autoencoder, learned by its reconstruction error (1.3.1)."""

import jax
import jax.numpy as jnp

from genjax_models.estimators.checks import check_count
from genjax_models.models.autoencoder import AutoencoderModel
from genjax_models.types import Array, Aux, Objective


def autoencoder(model: AutoencoderModel) -> Objective:
    """Returns an objective with one player, "autoencoder", that lowers |x - g(f(x))|^2.

    The error is a sum over dimensions and a mean over the batch. Both networks learn in learning mode.

    `sample` decodes z ~ N(0, I). These are no draws from a learned p(x): nothing makes the codes look like N(0, I).
    """

    def loss(variables, key, batch, step):
        reconstruction, moved = model.reconstruct(variables["autoencoder"], key, batch.x)
        error = jnp.mean(squared_error(batch.x, reconstruction))
        return error, Aux({"squared_error": error}, {"autoencoder": moved})

    def sample(variables, key, n, *, label=None):
        check_count("n", n)
        return model.generate(variables["autoencoder"], jax.random.normal(key, (n, model.latent)))

    return Objective(lambda key, batch: {"autoencoder": model.init(key, batch)}, {"autoencoder": loss}, sample)


def squared_error(x: Array, reconstruction: Array) -> Array:
    """Returns |x - reconstruction|^2 per example: `[batch, ...]` twice -> `[batch]`."""
    return jnp.sum((x - reconstruction) ** 2, axis=range(1, x.ndim))
