"""Random changes of images, which pass gradients on."""

import jax
import jax.numpy as jnp

from genjax_models.types import Array, PRNGKey


def shifted(key: PRNGKey, x: Array, most: int, *, fill: float = 0.0) -> Array:
    """Returns images `[n, h, w, c]`, each shifted by up to `most` pixels along both axes and padded by `fill`."""
    padded = jnp.pad(x, ((0, 0), (most, most), (most, most), (0, 0)), constant_values=fill)
    offsets = jax.random.randint(key, (len(x), 2), 0, 2 * most + 1)
    return jax.vmap(lambda image, at: jax.lax.dynamic_slice(image, (*at, 0), x.shape[1:]))(padded, offsets)


def mirrored(key: PRNGKey, x: Array) -> Array:
    """Returns images `[n, h, w, c]`, each flipped left to right with probability one half."""
    return jnp.where(jax.random.bernoulli(key, shape=(len(x), 1, 1, 1)), x[:, :, ::-1], x)
