"""Many steps in one compiled loop, over data that live on the device or over a stacked chunk of a stream."""

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
    trainer: Trainer, *, batch_size: int, prepare: Prepare | None = None, chunk: int = 100, size: int | None = None
) -> Callable[[TrainState, Batch, int], tuple[TrainState, Metrics]]:
    """A compiled `run(state, data, num_steps) -> (state, metrics)` over a data set that lives on the device.

    The trainer may be of several members (`together`), which walk in step: then each has batches of its own, by its own
    key, and metrics have leaves `[chunk, members]`; the last step is the one before the first that fails for any.

    Each epoch is a fresh permutation of the data, a function of the state's key and the epoch alone, and drops the
    remainder that fills no batch. Batches are gathered and prepared inside the loop, so that data stay uint8
    until they are used.

    Args:
      trainer: whose `step` is repeated.
      batch_size: examples in a step, at most as many as the data have.
      prepare: (key, batch) -> batch, applied to each gathered batch with a key of its own (binarisation, say).
      chunk: the most steps that one call can make. `num_steps` may be any number up to it and is not compiled in: one
        trace serves calls of every length, and a call with 0 steps only compiles.
      size: examples in the data, where rows behind them only fill up what devices share evenly; by default all rows.

    Returns:
      `run`, jitted. The state is donated: use the one returned. Metrics have leaves `[chunk]`, of which the first
      `num_steps` count. Where a step's loss, gradient or updated variables are not finite, the state returned is
      the one before that step: `state.step` tells how many steps counted, `first_failure` names the culprit.
    """

    def loop(start: TrainState, data: Batch, num_steps: Array) -> tuple[TrainState, Metrics]:
        members = start.step.ndim
        for_each = jax.vmap if members else lambda function: function
        now = start.step[0] if members else start.step
        rows = for_each(lambda key: batch_rows(key, now, chunk, size or len(data.x), batch_size, num_steps))(start.key)

        def step(i: Array, state: TrainState) -> tuple[TrainState, Metrics]:
            def batch(key: PRNGKey, step: Array, rows: Array) -> Batch:
                return _prepared(prepare, key, step, jax.tree.map(lambda a: a[rows[i]], data))

            return trainer.step(state, for_each(batch)(state.key, state.step, rows))

        return _while_finite(step, start, num_steps, chunk)

    compiled = jax.jit(loop, donate_argnums=0)

    def run(state: TrainState, data: Batch, num_steps: int = chunk) -> tuple[TrainState, Metrics]:
        if not isinstance(num_steps, jax.Array) and not 0 <= operator.index(num_steps) <= chunk:
            raise ValueError(f"num_steps must be between 0 and the loop's chunk of {chunk}, got {num_steps}")
        return compiled(state, data, num_steps)

    return run


def loop_over_chunk(
    trainer: Trainer, *, prepare: Prepare | None = None
) -> Callable[[TrainState, Batch, int | None], tuple[TrainState, Metrics]]:
    """As `loop_over_data`, for data that arrive: `run(state, batches, num_steps)`, with leaves `[chunk, batch, ...]` of
    which the first `num_steps` are used; by default all.
    """

    def loop(state: TrainState, batches: Batch, num_steps: Array) -> tuple[TrainState, Metrics]:
        def step(i: Array, state: TrainState) -> tuple[TrainState, Metrics]:
            batch = jax.tree.map(lambda a: a[i], batches)
            return trainer.step(state, _prepared(prepare, state.key, state.step, batch))

        return _while_finite(step, state, num_steps, len(batches.x))

    compiled = jax.jit(loop, donate_argnums=0)

    def run(state: TrainState, batches: Batch, num_steps: int | None = None) -> tuple[TrainState, Metrics]:
        chunk = len(batches.x)
        if num_steps is not None and not 0 <= operator.index(num_steps) <= chunk:
            raise ValueError(f"num_steps must be between 0 and the chunk's {chunk}, got {num_steps}")
        return compiled(state, batches, chunk if num_steps is None else num_steps)

    return run


def batch_rows(
    key: PRNGKey, step: Array, num_steps: int, size: int, batch_size: int, wanted: Array | None = None
) -> Array:
    """Which rows of `size` examples make up the batches of steps `step ... step + num_steps - 1`.

    Returns:
      int32 `[num_steps, batch_size]`, the same whatever the chunks in which a run is cut. Where only the first `wanted`
      will be used, the others may be any rows.
    """
    per_epoch = size // batch_size
    if not per_epoch:
        raise ValueError(f"a batch of {batch_size} does not fit into {size} examples")
    steps = step + jnp.arange(num_steps)
    first, last = step // per_epoch, (step + (num_steps if wanted is None else wanted) - 1) // per_epoch
    epochs = first + jnp.arange((num_steps - 1) // per_epoch + 2)  # as many as these steps can touch

    def order(epoch):
        return jax.random.permutation(fold_in(fold_in(key, _APART), epoch), size)

    # Sorting a large data set takes as long as many steps: what lies behind the last epoch is left out.
    orders = jax.lax.map(lambda epoch: jax.lax.cond(epoch <= last, order, lambda _: jnp.arange(size), epoch), epochs)
    batches = orders[:, : per_epoch * batch_size].reshape(len(epochs) * per_epoch, batch_size)
    return batches[steps - first * per_epoch]


def first_failure(metrics: Metrics) -> tuple[int, list[str]] | None:
    """The first step in `metrics` (leaves `[num_steps]`) that is not finite, and the names that are not; or None.

    None of a loop that made fewer steps than it was asked for: the updated variables alone were not finite.
    """
    failed = {name: ~np.isfinite(values) for name, values in metrics.items() if _guards(name)}
    steps = np.flatnonzero(np.any(list(failed.values()), axis=0))
    if not steps.size:
        return None
    return int(steps[0]), [name for name, bad in failed.items() if bad[steps[0]]]


def _while_finite(step: Callable, start: TrainState, num_steps: Array | int, chunk: int) -> tuple[TrainState, Metrics]:
    """Up to `num_steps` steps `(i, state) -> (state, metrics)`, the last of them finite; metrics have leaves `[chunk]`,
    or `[chunk, members]`.

    Nothing is guarded within the steps, since that costs each of them: where something was not finite at the end,
    the same steps are made again from the start, up to the one that failed.
    """
    shapes = jax.eval_shape(step, 0, start)[1]
    nothing = jax.tree.map(lambda m: jnp.zeros((chunk, *m.shape), m.dtype), shapes)

    def attempt(carry):
        count, _, _, seen = carry

        def one(i, carry):
            state, metrics = carry
            state, new = step(i, state)
            return state, jax.tree.map(lambda all, m: all.at[i].set(m), metrics, new)

        state, metrics = jax.lax.fori_loop(0, count, one, (start, nothing))
        first = count == num_steps
        metrics = jax.tree.map(lambda new, old: jnp.where(first, new, old), metrics, seen)
        guards = jnp.array([jnp.isfinite(m) for name, m in metrics.items() if _guards(name)])
        finite = jnp.all(guards.reshape(len(guards), chunk, -1), axis=(0, 2))
        healthy = jnp.min(jnp.where(finite, count, jnp.arange(chunk)))  # steps before the first loss that is not finite
        # A step can fail by what it leads to alone: then the one before the first loss that shows it is suspected, ...
        sound = (healthy >= count) & _finite(state.variables)
        return jnp.where(sound, count, jnp.minimum(healthy, count - 1)), sound | (count == 0), state, metrics

    carry = jnp.asarray(num_steps, jnp.int32), jnp.bool_(False), start, nothing
    count, _, state, metrics = jax.lax.while_loop(lambda carry: ~carry[1], attempt, carry)
    # What came after the step that failed was computed from what it led to, and is no failure of its own.
    behind = jnp.arange(chunk) > count
    return state, jax.tree.map(lambda m: jax.vmap(jnp.where)(behind, jnp.zeros_like(m), m), metrics)


def _finite(tree) -> Array:
    """Whether every number is finite: a sum is, only if all that it is of are."""
    floats = [leaf for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
    return jnp.isfinite(sum(jnp.sum(leaf) for leaf in floats))


def _prepared(prepare: Prepare | None, key: PRNGKey, step: Array, batch: Batch) -> Batch:
    return batch if prepare is None else prepare(fold_in(fold_in(key, step), _APART), batch)


def _guards(name: str) -> bool:
    return name.endswith(("/loss", "/gradient_norm"))
