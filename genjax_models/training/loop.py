"""Many steps in one compiled loop, over data on the device or over a stacked chunk of a stream.

A loop has one of three forms, which make the same steps, bit for bit:

- "steps": one loop, whose length is an input. On a GPU the host then waits after every step, to read whether another
  one follows. CPUs and TPUs have no such wait.
- "blocks": an outer loop over blocks of steps, and a loop over the remainder. The length of a block is static, so
  that a GPU's host launches its steps without a wait. The step is compiled twice.
- "graph": as "steps", in one CUDA graph, if XLA can record every operation of the step; else as "steps".

`experiments.accelerator` times the three. The platform chooses: "blocks" on a GPU, else "steps".
"""

import operator
from collections.abc import Callable
from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax.random import fold_in

from genjax_models.training.epochs import APART, batch_rows
from genjax_models.types import Array, Batch, Metrics, PRNGKey, Trainer, TrainState

Prepare = Callable[[PRNGKey, Batch], Batch]
Form = Literal["steps", "blocks", "graph"]

_BLOCK = 100  # most steps in a block: one wait per 100 steps costs little, and the remainder stays short
# XLA's default list, and loops and conditions.
_IN_GRAPHS = "FUSION,CUBLAS,CUBLASLT,CUSTOM_CALL,CUDNN,DYNAMIC_SLICE_FUSION,CONDITIONAL,WHILE"


def loop_over_data(
    trainer: Trainer,
    *,
    batch_size: int,
    prepare: Prepare | None = None,
    chunk: int = 100,
    size: int | None = None,
    form: Form | None = None,
) -> Callable[[TrainState, Batch, int], tuple[TrainState, Metrics]]:
    """Returns a compiled `run(state, data, num_steps) -> (state, metrics)` over a data set on the device.

    Each epoch is a fresh permutation of the data, a function of the state's key and the epoch only. An epoch drops the
    remainder that fills no batch. Batches are gathered and prepared inside the loop, so that data stay uint8 until they
    are used.

    The trainer may have several members (`vmapped`). Each member then has its own batches, by its own key, and metrics
    have leaves `[chunk, members]`. All members stop before the first step that fails for any of them.

    Args:
      trainer: trainer whose `step` is repeated.
      batch_size: examples in a step, at most the size of the data.
      prepare: (key, batch) -> batch, applied to each gathered batch with its own key (binarisation, say).
      chunk: largest number of steps of one call. `num_steps` may be any number up to it and is not compiled in: one
        trace serves calls of every length, and a call with 0 steps only compiles.
      size: number of examples in the data; later rows are padding for devices with equal shares. None is all rows.
      form: form of the loop, as in the module's docstring. None is the platform's choice.

    Returns:
      `run`, jitted. The state is donated: use the returned state. Metrics have leaves `[chunk]`, of which the first
      `num_steps` are valid. If a step's loss, gradient or updated variables are not finite, the returned state is the
      state before that step. `state.step` is then the number of valid steps, and `first_failure` names the metric.

    Raises:
      ValueError: the form has another name.
    """
    form = _chosen(form)
    over_rows = _over_rows(trainer, prepare, form)

    def loop(start: TrainState, data: Batch, num_steps: Array) -> tuple[TrainState, Metrics]:
        now = start.step[0] if start.step.ndim else start.step
        of_run = lambda key: batch_rows(key, now, chunk, size or len(data.x), batch_size, num_steps)
        return over_rows(start, data, (jax.vmap(of_run) if start.step.ndim else of_run)(start.key), num_steps)

    compiled = _compiled(loop, form)

    def run(state: TrainState, data: Batch, num_steps: int = chunk) -> tuple[TrainState, Metrics]:
        if not isinstance(num_steps, jax.Array) and not 0 <= operator.index(num_steps) <= chunk:
            raise ValueError(f"num_steps must be between 0 and the loop's chunk of {chunk}, got {num_steps}")
        return compiled(state, data, num_steps)

    return run


def loop_over_rows(
    trainer: Trainer, *, prepare: Prepare | None = None, form: Form | None = None
) -> Callable[[TrainState, Batch, Array, int], tuple[TrainState, Metrics]]:
    """Returns a compiled `run(state, data, rows, num_steps) -> (state, metrics)`, as `loop_over_data`.

    The batch of step i of a call is `rows[i]` of the data, as `BatchRows` has them: `[chunk, batch_size]`, or
    `[members, chunk, batch_size]`. The first `num_steps` are used.
    """
    form = _chosen(form)
    return _compiled(_over_rows(trainer, prepare, form), form)


def _over_rows(trainer: Trainer, prepare: Prepare | None, form: Form) -> Callable:
    def loop(start: TrainState, data: Batch, rows: Array, num_steps: Array) -> tuple[TrainState, Metrics]:
        per_member = jax.vmap if start.step.ndim else lambda function: function

        def step(i: Array, state: TrainState) -> tuple[TrainState, Metrics]:
            def batch(key: PRNGKey, step: Array, rows: Array) -> Batch:
                return _prepared(prepare, key, step, jax.tree.map(lambda a: a[rows[i]], data))

            return trainer.step(state, per_member(batch)(state.key, state.step, rows))

        return _while_finite(step, start, num_steps, rows.shape[-2], form)

    return loop


def loop_over_chunk(
    trainer: Trainer, *, prepare: Prepare | None = None, form: Form | None = None
) -> Callable[[TrainState, Batch, int | None], tuple[TrainState, Metrics]]:
    """Returns `run(state, batches, num_steps) -> (state, metrics)`, as `loop_over_data`, for streamed data.

    Batches have leaves `[chunk, batch, ...]`, of which the first `num_steps` are used; by default all.
    """
    form = _chosen(form)

    def loop(state: TrainState, batches: Batch, num_steps: Array) -> tuple[TrainState, Metrics]:
        def step(i: Array, state: TrainState) -> tuple[TrainState, Metrics]:
            batch = jax.tree.map(lambda a: a[i], batches)
            return trainer.step(state, _prepared(prepare, state.key, state.step, batch))

        return _while_finite(step, state, num_steps, len(batches.x), form)

    compiled = _compiled(loop, form)

    def run(state: TrainState, batches: Batch, num_steps: int | None = None) -> tuple[TrainState, Metrics]:
        chunk = len(batches.x)
        if num_steps is not None and not 0 <= operator.index(num_steps) <= chunk:
            raise ValueError(f"num_steps must be between 0 and the chunk's {chunk}, got {num_steps}")
        return compiled(state, batches, chunk if num_steps is None else num_steps)

    return run


def first_failure(metrics: Metrics) -> tuple[int, list[str]] | None:
    """Returns the first step in `metrics` (leaves `[num_steps]`) that is not finite, with its metrics' names; or None.

    A loop that stopped early with None had finite metrics, but updated variables that were not finite.
    """
    failed = {name: ~np.isfinite(values) for name, values in metrics.items() if _guards(name)}
    steps = np.flatnonzero(np.any(list(failed.values()), axis=0))
    if not steps.size:
        return None
    return int(steps[0]), [name for name, bad in failed.items() if bad[steps[0]]]


def _chosen(form: Form | None) -> Form:
    if form is None:
        return "blocks" if jax.default_backend() == "gpu" else "steps"
    if form not in get_args(Form):
        raise ValueError(f"form must be one of {', '.join(get_args(Form))}, got {form!r}")
    return form


def _compiled(loop: Callable, form: Form) -> Callable:
    options = {"xla_gpu_enable_command_buffer": _IN_GRAPHS} if form == "graph" else None
    return jax.jit(loop, donate_argnums=0, compiler_options=options)


def _while_finite(
    step: Callable, start: TrainState, num_steps: Array | int, chunk: int, form: Form
) -> tuple[TrainState, Metrics]:
    """Makes up to `num_steps` steps `(i, state) -> (state, metrics)`, and ends after the last finite one.

    Metrics have leaves `[chunk]` or `[chunk, members]`. No step checks itself, since the check would slow every step.
    If the end is not finite, the steps are repeated from the start, up to the step that failed.
    """
    step = jax.jit(step, inline=True)  # traced once for its shapes and the loop, whose i is weakly typed too
    shapes = jax.eval_shape(step, 0, start)[1]
    nothing = jax.tree.map(lambda m: jnp.zeros((chunk, *m.shape), m.dtype), shapes)

    def attempt(carry):
        count, _, _, earlier = carry

        def one(i, carry):
            state, metrics = carry
            state, new = step(i, state)
            return state, jax.tree.map(lambda all, m: all.at[i].set(m), metrics, new)

        state, metrics = _repeat(one, count, (start, nothing), chunk, form)
        first = count == num_steps
        metrics = jax.tree.map(lambda new, old: jnp.where(first, new, old), metrics, earlier)
        guards = jnp.array([jnp.isfinite(m) for name, m in metrics.items() if _guards(name)])
        finite = jnp.all(guards.reshape(len(guards), chunk, -1), axis=(0, 2))
        healthy = jnp.min(
            jnp.where(finite, count, jnp.arange(chunk, dtype=jnp.int32))
        )  # steps before the first bad loss
        # Only the variables of a step may fail: then suspect the step before the first loss that is not finite.
        sound = (healthy >= count) & _finite(state.variables)
        return jnp.where(sound, count, jnp.minimum(healthy, count - 1)), sound | (count == 0), state, metrics

    carry = jnp.asarray(num_steps, jnp.int32), jnp.bool_(False), start, nothing
    count, _, state, metrics = jax.lax.while_loop(lambda carry: ~carry[1], attempt, carry)
    # Metrics after the failed step follow from its failure, and are not reported as failures.
    later = jnp.arange(chunk) > count
    return state, jax.tree.map(lambda m: jax.vmap(jnp.where)(later, jnp.zeros_like(m), m), metrics)


def _repeat(one: Callable, count: Array, carry: tuple, chunk: int, form: Form) -> tuple:
    """Returns the carry after `one(i, carry)` for all i < `count`, which is at most `chunk`."""
    if form != "blocks":
        return jax.lax.fori_loop(0, count, one, carry)
    block = chunk // -(-chunk // _BLOCK)  # a whole chunk has fewer steps in the remainder than blocks
    in_blocks = count // block * block

    def of_block(i: Array, carry: tuple) -> tuple:
        return jax.lax.fori_loop(np.int32(0), np.int32(block), lambda j, carry: one(i * block + j, carry), carry)

    carry = jax.lax.fori_loop(0, count // block, of_block, carry)
    return jax.lax.fori_loop(in_blocks, count, one, carry)


def _finite(tree) -> Array:
    """Returns whether every number is finite; a sum with a term that is not finite is not finite."""
    floats = [leaf for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
    return jnp.isfinite(sum(jnp.sum(leaf) for leaf in floats))


def _prepared(prepare: Prepare | None, key: PRNGKey, step: Array, batch: Batch) -> Batch:
    return batch if prepare is None else prepare(fold_in(fold_in(key, step), APART), batch)


def _guards(name: str) -> bool:
    return name.endswith(("/loss", "/gradient_norm"))
