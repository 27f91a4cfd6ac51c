"""One function of one example, over a whole set, in bounded memory."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from genjax_models.types import PRNGKey


def map_examples(function: Callable[[PRNGKey, Any], Any], key: PRNGKey, x: Any, *, batch_size: int) -> Any:
    """`function(key_i, x_i)` for each example, `batch_size` at a time, the last batch ragged.

    Example i draws from `fold_in(key, i)`, so that no draw depends on the batch size; nothing is
    padded. Figures agree to float32 rounding.

    Args:
      function: (key, one example `[*shape]`) -> a pytree.
      key: split over the examples by index.
      x: `[n, *shape]`, n at least 1, or a pytree of them (a `Batch` with its labels).
      batch_size: examples in memory at once, at least 1.

    Returns:
      The pytree with leaves `[n, ...]`.

    Raises:
      ValueError: no examples, or a batch size below 1.
    """
    n = len(jax.tree.leaves(x)[0])
    if not n:
        raise ValueError("there are no examples to evaluate")
    if batch_size < 1:
        raise ValueError(f"the evaluation batch size must be at least 1, got {batch_size}")
    return jax.lax.map(
        lambda example: function(jax.random.fold_in(key, example[0]), example[1]),
        (jnp.arange(n), x),
        batch_size=min(batch_size, n),
    )
