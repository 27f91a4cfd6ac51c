"""Shapes and sizes of states and batches, without compute."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from genjax_models.data.splits import Split
from genjax_models.types import Batch, Shape, Trainer, TrainState


def state_shape(trainer: Trainer, shape: Shape) -> TrainState:
    """Returns the state that `trainer.init` makes for examples of `shape`, as shapes."""
    example = Batch(jax.ShapeDtypeStruct((1, *shape), np.float32), length=jax.ShapeDtypeStruct((1,), np.int32))
    return jax.eval_shape(trainer.init, jax.eval_shape(lambda: jax.random.key(0)), example)


def batch_shape(split: Split | Batch, batch_size: int) -> Batch:
    """Returns the shapes of a step's batch: x in float32, other fields in their stored dtypes."""

    def field(values: Any, dtype: Any = None) -> jax.ShapeDtypeStruct | None:
        if values is None:
            return None
        return jax.ShapeDtypeStruct((batch_size, *values.shape[1:]), dtype or values.dtype)

    dtypes = {"x": np.float32}
    return Batch(**{name: field(getattr(split, name), dtypes.get(name)) for name in Batch._fields})


def count(tree: Any) -> int:
    """Returns the number of elements in a tree of arrays or shapes."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))


def num_bytes(tree: Any) -> int:
    """Returns the bytes of a tree of arrays or shapes."""
    return sum(math.prod(leaf.shape) * _item_size(leaf) for leaf in jax.tree.leaves(tree))


def _item_size(leaf: Any) -> int:
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return 8  # two uint32 of a threefry key
    return np.dtype(leaf.dtype).itemsize
