"""Several trainers as one: many seeds, or many values of a number, learn in a single program."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from genjax_models.types import Batch, Metrics, PRNGKey, Trainer, TrainState


def vmapped(trainer_of: Callable[[Any], Trainer], values: Any) -> Trainer:
    """Returns the trainers `trainer_of(value)` of several members as one, by `jax.vmap`.

    Keys, states, batches and metrics have a leading axis `[members]`.

    Args:
      trainer_of: value -> the trainer of one member. The value is a tracer.
      values: a tree of arrays `[members]`, one entry per member; a tree without arrays if members differ only in their
        keys.

    Returns:
      A `Trainer`. `init` takes keys `[members]` and one example that all members share; `step` takes a batch per
      member, leaves `[members, batch, ...]`. A member's step is the step of its own trainer: equal bit for bit where
      XLA compiles many members as it compiles one, as it mostly does on the CPU, and to rounding elsewhere.
    """

    def init(keys: PRNGKey, batch: Batch) -> TrainState:
        return jax.vmap(lambda value, key: trainer_of(value).init(key, batch))(values, keys)

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        def one_member(value: Any, state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
            return trainer_of(value).step(state, batch)

        # All members are at the same step, so each counter is one number. XLA computes its powers and cosines (Adam's
        # bias correction, a schedule) as for one member; the powers of a vector differ in float32.
        shared = _shared_counters(state)
        axes = jax.tree.map(lambda is_shared: None if is_shared else 0, shared)
        counted = jax.tree.map(lambda is_shared, leaf: leaf[0] if is_shared else leaf, shared, state)
        try:
            moved, metrics = jax.vmap(one_member, (0, axes, 0), (axes, 0))(values, counted, batch)
        except ValueError:  # a counter that differs by member (steps that an optimizer skipped, say)
            return jax.vmap(one_member)(values, state, batch)
        return jax.tree.map(lambda new, old: jnp.broadcast_to(new, old.shape), moved, state), metrics

    return Trainer(init, step)


def _shared_counters(state: TrainState) -> TrainState:
    """Returns, for each leaf `[members, ...]`, whether it is an integer per member of the trainer or of an optimizer.

    Integers among the players are state of each member (Markov chains, say), and never shared.
    """

    def is_counter(leaf: jax.Array) -> bool:
        return leaf.ndim == 1 and jnp.issubdtype(leaf.dtype, jnp.integer)

    return jax.tree.map(lambda leaf: False, state)._replace(
        step=is_counter(state.step), opt_state=jax.tree.map(is_counter, state.opt_state)
    )
