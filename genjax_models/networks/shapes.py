"""Checks the shape of the data that enter a network, and appends a condition to them."""

import math
from collections.abc import Callable

import jax.numpy as jnp

from genjax_models.types import Array, Shape


def lead_of(x: Array, shape: Shape) -> Shape:
    """Returns the batch axes of x `[..., *shape]`.

    Raises:
      ValueError: x does not end in `shape` (channels first, say).
    """
    lead = x.ndim - len(shape)
    if lead < 0 or x.shape[lead:] != tuple(shape):
        raise ValueError(f"the network takes examples of shape {tuple(shape)}, got an array of shape {x.shape}")
    return x.shape[:lead]


def flattened(x: Array, shape: Shape) -> Array:
    """Reshapes x `[..., *shape]` to `[..., prod(shape)]`."""
    return x.reshape(*lead_of(x, shape), math.prod(shape))


def with_condition(h: Array, condition: Array | None) -> Array:
    """Returns h `[..., d]` followed by the condition `[..., c]`, which is broadcast along axes that it lacks.

    Images `[..., height, width, channels]` need a condition `[..., 1, 1, c]`: it becomes constant planes.
    """
    if condition is None:
        return h
    return jnp.concatenate([h, jnp.broadcast_to(condition, (*h.shape[:-1], condition.shape[-1]))], axis=-1)


def with_condition_on_images(x: Array, condition: Array | None) -> Array:
    """Returns images x `[..., h, w, channels]` followed by the condition as further channels.

    The condition is an image of this height and width `[..., h, w, c]`, or a vector `[..., c]`, which becomes constant
    planes.
    """
    if condition is None:
        return x
    is_image = condition.ndim > 2 and condition.shape[-3:-1] == x.shape[-3:-1]
    return with_condition(x, condition if is_image else condition[..., None, None, :])


def as_rows(x: Array) -> Array:
    """Reshapes `[..., n]` to `[rows, n]`.

    The gradient of a linear map is a sum over all leading axes. For more than one leading axis, XLA:CPU first
    transposes the operands.
    """
    return x.reshape(-1, x.shape[-1])


def on_rows(layer: Callable[[Array], Array], h: Array) -> Array:
    """Returns `layer` of h `[..., d]`, computed on rows."""
    return layer(as_rows(h)).reshape(*h.shape[:-1], -1)


def in_blocks(x: Array) -> Array:
    """Reshapes images `[n, 2 h, 2 w, c]` to blocks of 2 x 2 pixels, `[n, h, 2, w, 2, c]`.

    A mean or a maximum over axes 2 and 4 is then pooling, whose gradient is fast on the CPU.
    """
    n, height, width, channels = x.shape
    return x.reshape(n, height // 2, 2, width // 2, 2, channels)
