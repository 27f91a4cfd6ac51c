"""The data's shape, checked where data enter a network, and the condition that goes with them."""

import math

import jax.numpy as jnp

from genjax_models.types import Array, Shape


def lead_of(x: Array, shape: Shape) -> Shape:
    """The batch axes of x `[..., *shape]`.

    Raises:
      ValueError: x does not end in `shape` (channels first, say).
    """
    lead = x.ndim - len(shape)
    if lead < 0 or x.shape[lead:] != tuple(shape):
        raise ValueError(f"the network takes examples of shape {tuple(shape)}, got an array of shape {x.shape}")
    return x.shape[:lead]


def flattened(x: Array, shape: Shape) -> Array:
    """x `[..., *shape]` -> `[..., prod(shape)]`."""
    return x.reshape(*lead_of(x, shape), math.prod(shape))


def with_condition(h: Array, condition: Array | None) -> Array:
    """h `[..., d]` with the condition's numbers behind its own; condition `[..., c]` is the same along absent axes.

    Images `[..., height, width, channels]` take a condition `[..., 1, 1, c]`: planes of one number each.
    """
    if condition is None:
        return h
    return jnp.concatenate([h, jnp.broadcast_to(condition, (*h.shape[:-1], condition.shape[-1]))], axis=-1)


def as_rows(x: Array) -> Array:
    """`[..., n]` -> `[rows, n]`.

    A linear map's gradient is a sum over all axes in front; over more than one, XLA:CPU transposes its operands first.
    """
    return x.reshape(-1, x.shape[-1])
