"""Several trainers as one: what many seeds, or many values of a number, learn in a single program."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from genjax_models.types import Batch, Metrics, PRNGKey, Trainer, TrainState


def vmapped(trainer_of: Callable[[Any], Trainer], values: Any) -> Trainer:
    """The trainers `trainer_of(value)` of several members, by `vmap`: keys, states, batches and metrics have a leading
    axis `[members]`.

    Args:
      trainer_of: value -> the trainer of one member. It is given tracers.
      values: a tree of arrays `[members]`, of which each member has its own; a tree without arrays where all members
        are alike, and differ in their keys.

    Returns:
      A `Trainer`. `init` takes keys `[members]` and the example that all members share; `step` takes a batch for each
      member, leaves `[members, batch, ...]`. A member's step is that of its own trainer: what XLA computes of many as
      of one, which on the CPU it mostly does, is equal bit for bit, the rest to rounding.
    """

    def init(keys: PRNGKey, batch: Batch) -> TrainState:
        return jax.vmap(lambda value, key: trainer_of(value).init(key, batch))(values, keys)

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        def of_one(value: Any, state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
            return trainer_of(value).step(state, batch)

        # Members walk in step, so their counters are one number, of which XLA computes powers and cosines (Adam's bias
        # correction, a schedule) as it does for a member alone: of a vector they are another float32.
        axes = jax.tree.map(lambda leaf: None if _counts(leaf) else 0, state)
        counted = jax.tree.map(lambda leaf: leaf[0] if _counts(leaf) else leaf, state)
        try:
            moved, metrics = jax.vmap(of_one, (0, axes, 0), (axes, 0))(values, counted, batch)
        except ValueError:  # a counter of what happens to a member alone (steps that were skipped, say)
            return jax.vmap(of_one)(values, state, batch)
        return jax.tree.map(lambda new, old: jnp.broadcast_to(new, old.shape), moved, state), metrics

    return Trainer(init, step)


def _counts(leaf: jax.Array) -> bool:
    """Whether a leaf `[members, ...]` is an integer of each member."""
    return leaf.ndim == 1 and jnp.issubdtype(leaf.dtype, jnp.integer)
