"""Ways through the latent space: between two points, and along the difference of two classes."""

import jax.numpy as jnp

from genjax_models.types import Array


def spherical_interpolation(start: Array, end: Array, share: Array) -> Array:
    """Along the great circle from one latent to another, at even angles, its length from the one's to the other's.

    A straight line between two draws of N(0, I) in many dimensions passes through points nearer the origin than any
    draw is, which no generator was trained on; this way keeps their length (White, 2016). Nearly parallel ends, where
    the circle is a line to float32, go straight; so do opposite ones, between which no circle is shorter than another.

    Args:
      start: `[..., latent]`.
      end: the same.
      share: of the way, `[...]` that broadcasts against the leading axes: 0 is start, 1 is end.

    Returns:
      `[..., latent]`.
    """
    share = jnp.asarray(share)[..., None]
    lengths = [jnp.linalg.norm(z, axis=-1, keepdims=True) for z in (start, end)]
    a, b = (z / jnp.maximum(length, 1e-12) for z, length in zip((start, end), lengths, strict=True))
    # The angle of two unit vectors by their difference and sum: accurate where arccos of a dot product is not.
    angle = 2 * jnp.arctan2(
        jnp.linalg.norm(a - b, axis=-1, keepdims=True), jnp.linalg.norm(a + b, axis=-1, keepdims=True)
    )
    straight = jnp.sin(angle) < 1e-4
    sine = jnp.where(straight, 1.0, jnp.sin(angle))
    of_start = jnp.where(straight, 1 - share, jnp.sin((1 - share) * angle) / sine)
    of_end = jnp.where(straight, share, jnp.sin(share * angle) / sine)
    return ((1 - share) * lengths[0] + share * lengths[1]) * (of_start * a + of_end * b)


def class_means(z: Array, probabilities: Array) -> Array:
    """The mean latent of each class, every latent counted by how much its x belongs there.

    Args:
      z: `[n, latent]`.
      probabilities: of the classes of what was generated from each, `[n, classes]`.

    Returns:
      `[classes, latent]`; zeros for a class that no latent belongs to.
    """
    weights = probabilities.sum(axis=0)
    return jnp.where(weights[:, None] > 0, probabilities.T @ z / jnp.maximum(weights, 1e-12)[:, None], 0.0)
