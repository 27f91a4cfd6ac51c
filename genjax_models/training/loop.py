"""Many steps in one compiled `lax.scan`, over data that live on the device or over a stacked chunk of a stream."""

import operator
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.random import fold_in

from genjax_models.types import Array, Batch, Metrics, PRNGKey, Trainer, TrainState

Prepare = Callable[[PRNGKey, Batch], Batch]

# An index that no step and no player has, so that the keys folded with it are nobody else's.
_APART = np.uint32(2**32 - 1)


def loop_over_data(
    trainer: Trainer, *, batch_size: int, prepare: Prepare | None = None, chunk: int = 100
) -> Callable[[TrainState, Batch, int], tuple[TrainState, Metrics]]:
    """A compiled `run(state, data, num_steps) -> (state, metrics)` over a data set that lives on the device.

    Each epoch is a fresh permutation of the data, a function of the state's key and the epoch alone, and drops the
    remainder that fills no batch. Batches are gathered and prepared inside the scan, so that data stay uint8
    until they are used.

    Args:
      trainer: whose `step` is scanned.
      batch_size: examples in a step, at most as many as the data have.
      prepare: (key, batch) -> batch, applied to each gathered batch with a key of its own (binarisation, say).
      chunk: the most steps that one call can make. `num_steps` may be any number up to it and is not compiled in: one
        trace serves calls of every length, and a call with 0 steps only compiles.

    Returns:
      `run`, jitted. The state is donated: use the one returned. Metrics have leaves `[chunk]`, of which the first
      `num_steps` count. From the first step whose loss, gradient or updated variables are not finite the state
      stays as it was before that step: `state.step` tells how many steps counted, `first_failure` names the culprit.
    """

    def scan(state: TrainState, data: Batch, num_steps: Array) -> tuple[TrainState, Metrics]:
        def batch(step: Array, rows: Array) -> Batch:
            return _prepared(prepare, state.key, step, jax.tree.map(lambda a: a[rows], data))

        step = _guarded(trainer, batch)
        carry = state, jnp.bool_(True)
        rows = batch_rows(state.key, state.step, chunk, len(data.x), batch_size)
        nothing = jax.tree.map(lambda m: jnp.zeros(m.shape, m.dtype), jax.eval_shape(step, carry, rows[0])[1])

        def body(carry, turn):
            i, rows = turn
            return jax.lax.cond((i < num_steps) & carry[1], step, lambda carry, _: (carry, nothing), carry, rows)

        (state, _), metrics = jax.lax.scan(body, carry, (jnp.arange(chunk), rows))
        return state, metrics

    compiled = jax.jit(scan, donate_argnames="state")

    def run(state: TrainState, data: Batch, num_steps: int = chunk) -> tuple[TrainState, Metrics]:
        if not isinstance(num_steps, jax.Array) and not 0 <= operator.index(num_steps) <= chunk:
            raise ValueError(f"num_steps must be between 0 and the loop's chunk of {chunk}, got {num_steps}")
        return compiled(state, data, num_steps)

    return run


def loop_over_chunk(
    trainer: Trainer, *, prepare: Prepare | None = None
) -> Callable[[TrainState, Batch], tuple[TrainState, Metrics]]:
    """As `loop_over_data`, for data that arrive: `run(state, batches)`, with leaves `[num_steps, batch, ...]`."""

    def run(state: TrainState, batches: Batch) -> tuple[TrainState, Metrics]:
        def batch(step: Array, given: Batch) -> Batch:
            return _prepared(prepare, state.key, step, given)

        (state, _), metrics = jax.lax.scan(_guarded(trainer, batch), (state, jnp.bool_(True)), batches)
        return state, metrics

    return jax.jit(run, donate_argnames="state")


def batch_rows(key: PRNGKey, step: Array, num_steps: int, size: int, batch_size: int) -> Array:
    """Which rows of `size` examples make up the batches of steps `step ... step + num_steps - 1`.

    Returns:
      int32 `[num_steps, batch_size]`, the same whatever the chunks in which a run is cut.
    """
    per_epoch = size // batch_size
    if not per_epoch:
        raise ValueError(f"a batch of {batch_size} does not fit into {size} examples")
    steps = step + jnp.arange(num_steps)
    first = step // per_epoch
    epochs = first + jnp.arange((num_steps - 1) // per_epoch + 2)  # as many as these steps can touch
    orders = jax.vmap(lambda epoch: jax.random.permutation(fold_in(fold_in(key, _APART), epoch), size))(epochs)
    batches = orders[:, : per_epoch * batch_size].reshape(len(epochs) * per_epoch, batch_size)
    return batches[steps - first * per_epoch]


def first_failure(metrics: Metrics) -> tuple[int, list[str]] | None:
    """The first step in `metrics` (leaves `[num_steps]`) that is not finite, and the names that are not; or None."""
    failed = {name: ~np.isfinite(values) for name, values in metrics.items() if _guards(name)}
    steps = np.flatnonzero(np.any(list(failed.values()), axis=0))
    if not steps.size:
        return None
    return int(steps[0]), [name for name, bad in failed.items() if bad[steps[0]]]


def _guarded(trainer: Trainer, batch_of: Callable):
    """The trainer's step as a scan body that leaves the state alone once something in it was not finite."""

    def step(carry, turn):
        state, healthy = carry
        moved, metrics = trainer.step(state, batch_of(state.step, turn))
        healthy &= jnp.all(jnp.array([jnp.isfinite(value) for name, value in metrics.items() if _guards(name)]))
        # A sum is finite only if all that it is of is: an update can overflow where loss and gradient did not.
        floats = [leaf for leaf in jax.tree.leaves(moved.variables) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
        healthy &= jnp.isfinite(sum(jnp.sum(leaf) for leaf in floats))
        return (jax.tree.map(lambda new, old: jnp.where(healthy, new, old), moved, state), healthy), metrics

    return step


def _prepared(prepare: Prepare | None, key: PRNGKey, step: Array, batch: Batch) -> Batch:
    return batch if prepare is None else prepare(fold_in(fold_in(key, step), _APART), batch)


def _guards(name: str) -> bool:
    return name.endswith(("/loss", "/gradient_norm"))
