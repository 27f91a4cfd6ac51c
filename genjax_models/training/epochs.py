"""The order of the examples: each epoch is a fresh permutation, and drops the remainder that fills no batch."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.random import fold_in
from jax.sharding import NamedSharding

from genjax_models.training.compiling import quickly_compiled
from genjax_models.types import Array, PRNGKey

# No step and no player has this index, so the keys folded with it are used nowhere else.
APART = np.uint32(2**32 - 1)


def batch_rows(
    key: PRNGKey, step: Array, num_steps: int, size: int, batch_size: int, used: Array | None = None
) -> Array:
    """Returns the rows, of `size` examples, in the batches of steps `step ... step + num_steps - 1`.

    Args:
      key: the run's.
      step: the first step.
      num_steps: number of steps.
      size: number of examples.
      batch_size: examples in a step.
      used: number of steps whose rows will be used; later rows are arbitrary. None is all.

    Returns:
      int32 `[num_steps, batch_size]`, the same for every cutting of the run into chunks.

    Raises:
      ValueError: the batch is larger than the data.
    """
    per_epoch = _steps_of_epoch(size, batch_size)
    steps = step + jnp.arange(num_steps)
    first, last = step // per_epoch, (step + (num_steps if used is None else used) - 1) // per_epoch
    epochs = first + jnp.arange((num_steps - 1) // per_epoch + 2)  # all that these steps can reach

    rows = jnp.arange(size, dtype=jnp.int32)
    order = partial(_order, key, size=size)

    # Sorting a large data set takes as long as many steps, so epochs after the last one are not permuted.
    orders = jax.lax.map(lambda epoch: jax.lax.cond(epoch <= last, order, lambda _: rows, epoch), epochs)
    batches = orders[:, : per_epoch * batch_size].reshape(len(epochs) * per_epoch, batch_size)
    return batches[steps - first * per_epoch]


class BatchRows:
    """The rows in the batches of a run's chunks, as `batch_rows`; an epoch is permuted once, in however many chunks.

    At 10^7 examples a permutation takes 10 s of a core, as long as thousands of steps of a small model.
    """

    def __init__(self, key: PRNGKey, *, size: int, batch_size: int, chunk: int):
        """Permutes nothing yet.

        Args:
          key: the run's, or keys `[members]`.
          size: number of examples.
          batch_size: examples in a step.
          chunk: largest number of steps of a chunk.

        Raises:
          ValueError: the batch is larger than the data.
        """
        self._key = jnp.copy(key)  # the loop donates the state
        self._per_epoch = per_epoch = _steps_of_epoch(size, batch_size)
        self._reached = (chunk - 1) // per_epoch + 2  # epochs that a chunk can reach
        self._epochs: dict[int, Array] = {}

        def batches(key: PRNGKey, epoch: Array) -> Array:
            order = _order(key, epoch, size=size)
            return order[: per_epoch * batch_size].reshape(per_epoch, batch_size)

        def rows(epochs: list[Array], start: Array) -> Array:
            epoch, batch = jnp.divmod(start + jnp.arange(chunk), per_epoch)
            return jnp.select([(epoch == i)[:, None] for i in range(len(epochs))], [e[batch] for e in epochs])

        members = key.ndim
        sharding = key.sharding if isinstance(key.sharding, NamedSharding) else None
        per_member = partial(jax.vmap, in_axes=(0, None)) if members else lambda function: function
        self._batches = quickly_compiled(per_member(batches), out_shardings=sharding)
        self._rows = quickly_compiled(per_member(rows), out_shardings=sharding)

    def __call__(self, step: int, num_steps: int) -> Array:
        """Returns int32 `[chunk, batch_size]`, or `[members, chunk, batch_size]`; rows after `num_steps` are arbitrary.

        Args:
          step: the first step of the chunk.
          num_steps: its steps, at most `chunk`.
        """
        first = step // self._per_epoch
        last = max(first, (step + num_steps - 1) // self._per_epoch)
        self._epochs = {epoch: batches for epoch, batches in self._epochs.items() if first <= epoch <= last}
        for epoch in range(first, last + 1):  # the earlier epochs are freed before the next one is permuted
            if epoch not in self._epochs:
                self._epochs[epoch] = self._batches(self._key, np.int32(epoch))
        reached = [self._epochs[min(epoch, last)] for epoch in range(first, first + self._reached)]
        return self._rows(reached, np.int32(step - first * self._per_epoch))


def _order(key: PRNGKey, epoch: Array, *, size: int) -> Array:
    """Returns the permutation of an epoch, int32 `[size]`."""
    return jax.random.permutation(fold_in(fold_in(key, APART), epoch), jnp.arange(size, dtype=jnp.int32))


def _steps_of_epoch(size: int, batch_size: int) -> int:
    if batch_size > size:
        raise ValueError(f"a batch of {batch_size} does not fit into {size} examples")
    return size // batch_size
