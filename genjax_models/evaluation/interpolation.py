"""Paths through the latent space: between two points, along directions, and along the difference of two classes."""

import jax.numpy as jnp
import numpy as np

from genjax_models.evaluation.labels import check_log_probabilities
from genjax_models.types import Array, Tracer


def spherical_interpolation(start: Array, end: Array, share: Array) -> Array:
    """Returns points on the great circle between two latents, at even angles; the length changes linearly.

    A straight line between two draws of N(0, I) in many dimensions passes nearer to the origin than any draw, where no
    generator was trained. The great circle keeps the length (White, 2016). The path is straight between nearly parallel
    ends, where the circle is a line to float32, and between opposite ends, which have no shortest circle.

    Args:
      start: first latents, `[..., latent]`.
      end: last latents, `[..., latent]`.
      share: share of the path, `[...]`, broadcast against the leading axes: 0 is start, 1 is end.

    Returns:
      Latents `[..., latent]`.
    """
    share = jnp.asarray(share)[..., None]
    lengths = [jnp.linalg.norm(z, axis=-1, keepdims=True) for z in (start, end)]
    a, b = (z / jnp.maximum(length, 1e-12) for z, length in zip((start, end), lengths, strict=True))
    # The angle by difference and sum is accurate for small angles; arccos of a dot product is not.
    angle = 2 * jnp.arctan2(
        jnp.linalg.norm(a - b, axis=-1, keepdims=True), jnp.linalg.norm(a + b, axis=-1, keepdims=True)
    )
    straight = jnp.sin(angle) < 1e-4
    sine = jnp.where(straight, 1.0, jnp.sin(angle))
    of_start = jnp.where(straight, 1 - share, jnp.sin((1 - share) * angle) / sine)
    of_end = jnp.where(straight, share, jnp.sin(share * angle) / sine)
    return ((1 - share) * lengths[0] + share * lengths[1]) * (of_start * a + of_end * b)


def walk_along(start: Array, directions: Array, reach: float, steps: int) -> Array:
    """Returns z - (z . v) v + s v for z = `start`, each direction v, and s at `steps` even steps from -reach to reach.

    The part of z along v becomes s, and all else stays. With `directions` the unit matrix, row i walks along z_i.

    Args:
      start: where all walks start, `[latent]`.
      directions: unit vectors, `[k, latent]`.
      reach: largest s, in standard deviations of a prior N(0, I).
      steps: points of a walk.

    Returns:
      Latents `[k, steps, latent]`.
    """
    start, directions = jnp.asarray(start), jnp.asarray(directions, jnp.result_type(start))
    rest = start - (directions @ start)[:, None] * directions
    return rest[:, None] + jnp.linspace(-reach, reach, steps)[:, None] * directions[:, None]


def grid_along(start: Array, directions: Array, reach: float, steps: int) -> Array:
    """Returns r + s v + t w for directions v and w, and s and t at `steps` even steps from -reach to reach.

    r is the part of `start` that is orthogonal to both directions.

    Args:
      start: where the grid is, `[latent]`.
      directions: two unit vectors, `[2, latent]`; they need not be orthogonal.
      reach: largest s and t, in standard deviations of a prior N(0, I).
      steps: points along a side.

    Returns:
      Latents `[steps, steps, latent]`: s by row, t by column.
    """
    start, directions = jnp.asarray(start), jnp.asarray(directions, jnp.result_type(start))
    v, w = directions
    rest = start - jnp.linalg.lstsq(directions.T, start)[0] @ directions
    along = jnp.linspace(-reach, reach, steps)[:, None]
    return rest + (along * v)[:, None] + along * w


def class_means(z: Array, probabilities: Array) -> Array:
    """Returns the mean latent of each class, weighted by class probabilities.

    Args:
      z: latents, `[n, latent]`.
      probabilities: class probabilities of the x generated from each latent, `[n, classes]`.

    Returns:
      Means `[classes, latent]`; zeros for a class without any probability.

    Raises:
      ValueError: on the host, a row is no probabilities.
    """
    if not isinstance(probabilities, Tracer):
        with np.errstate(divide="ignore", invalid="ignore"):
            check_log_probabilities(np.log(np.asarray(probabilities, np.float64)))
    weights = probabilities.sum(axis=0)
    return jnp.where(weights[:, None] > 0, probabilities.T @ z / jnp.maximum(weights, 1e-12)[:, None], 0.0)
