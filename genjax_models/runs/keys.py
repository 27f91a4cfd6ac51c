"""Keys as arrays of integers, for files and for other processes, which cannot hold JAX's key type."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def as_numbers(leaf: jax.Array) -> np.ndarray:
    """Returns the array on the host; of a key, its integers."""
    return np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf)


def zeros(shape: jax.ShapeDtypeStruct) -> np.ndarray:
    """Returns zeros of the shape and dtype that `as_numbers` gives for `shape`."""
    numbers = jax.eval_shape(jax.random.key_data, shape) if _is_key(shape) else shape
    return np.zeros(numbers.shape, numbers.dtype)


def from_numbers(numbers: jax.Array, like: Any) -> jax.Array:
    """Returns the inverse of `as_numbers`: a key if `like`, an array or its shape, is a key."""
    return jax.random.wrap_key_data(numbers) if _is_key(like) and not _is_key(numbers) else numbers


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
