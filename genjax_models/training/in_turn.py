"""Several trainers in turn: each member makes its steps on its own, and all members share one compiled program."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from genjax_models.training.loop import loop_over_rows
from genjax_models.types import Array, Batch, Metrics, Trainer, TrainState


def loop_in_turn(
    trainer_of: Callable[[Any], Trainer], values: Any, **options: Any
) -> Callable[[TrainState, Batch, Array, int], tuple[TrainState, Metrics]]:
    """Returns `run(state, data, rows, num_steps) -> (state, metrics)`, as `loop_over_rows` of the members together.

    In each call the members run one after the other. A member is the single run of its own trainer: bit for bit if
    members differ only in their keys, and to rounding if they differ in values, which are inputs of the program.

    Args:
      trainer_of: value -> the trainer of one member. The value is a tracer.
      values: a tree of arrays `[members]`, one entry per member; a tree without arrays if members differ only in their
        keys.
      options: options of `loop_over_rows`.

    Returns:
      `run`. States have a leading axis `[members]`, and metrics have leaves `[chunk, members]`. The state is not
      donated. All members stop before the first step that fails for any of them.
    """
    if jax.tree.leaves(values):
        of_one = lambda value, *inputs: loop_over_rows(trainer_of(value), **options)(*inputs)
        compiled = jax.jit(of_one, donate_argnums=1)
    else:
        single = loop_over_rows(trainer_of(values), **options)
        compiled = lambda _, *inputs: single(*inputs)

    def run(state: TrainState, data: Batch, rows: Array, num_steps: int) -> tuple[TrainState, Metrics]:
        def advance(member: int, count: int) -> tuple[TrainState, Metrics]:
            value, start, batches = _of_member((values, state, rows), member)
            return compiled(value, start, data, batches, count)

        first, members = int(state.step[0]), range(len(state.step))
        results = [advance(member, num_steps) for member in members]
        made = [int(end.step) - first for end, _ in results]
        least = min(made)  # below `num_steps` if a member failed: the others go back to that step
        results = [results[i] if made[i] == least else advance(i, least) for i in members]
        states, metrics = zip(*results, strict=True)
        return _stacked(states, 0), _stacked(metrics, 1)

    return run


@jax.jit
def _of_member(tree: Any, member: int) -> Any:
    return jax.tree.map(lambda a: a[member], tree)


@partial(jax.jit, static_argnums=1)
def _stacked(trees: Sequence[Any], axis: int) -> Any:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves, axis), *trees)
