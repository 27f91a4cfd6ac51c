"""Keys as numbers, for where jax's own type of them cannot go: files, and other processes."""

from typing import Any

import jax
import numpy as np


def as_numbers(leaf: jax.Array) -> np.ndarray:
    """An array on the host; of a key, its numbers."""
    return np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf)


def zeros(shape: jax.ShapeDtypeStruct) -> np.ndarray:
    """As many as `as_numbers` gives of an array of this shape."""
    numbers = jax.eval_shape(jax.random.key_data, shape) if _is_key(shape) else shape
    return np.zeros(numbers.shape, numbers.dtype)


def as_before(numbers: jax.Array, like: Any) -> jax.Array:
    """A key again where `like`, an array or its shape, is one."""
    return jax.random.wrap_key_data(numbers) if _is_key(like) and not _is_key(numbers) else numbers


def _is_key(leaf: Any) -> bool:
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
