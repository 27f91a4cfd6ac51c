"""The data's shape, checked where data enter a network."""

import math

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
